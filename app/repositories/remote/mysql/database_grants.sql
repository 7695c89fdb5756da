-- Who holds what on which databases? Db is a pattern: "_" and "%" are wildcards unless partial_revokes is on.
SELECT User, Host, Db, CONCAT('' /* , every privilege column of this version */)
FROM mysql.db
ORDER BY Host, Db, User
