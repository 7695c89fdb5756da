-- Who holds what on which column?
SELECT User, Host, Db, Table_name, Column_name, Column_priv
FROM mysql.columns_priv
ORDER BY Host, Db, User, Table_name, Column_name
