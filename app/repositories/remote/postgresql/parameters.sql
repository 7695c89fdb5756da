-- Who may SET or ALTER SYSTEM which parameter? (from version 15)
SELECT parname, paracl
FROM pg_parameter_acl
ORDER BY parname COLLATE "C"
