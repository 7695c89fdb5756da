-- Who holds what on which databases? Db is a pattern: "_" and "%" are wildcards.
SELECT User, Host, Db, CONCAT('' /* , every privilege column of this version */)
FROM mysql.db
ORDER BY Host, Db, User
