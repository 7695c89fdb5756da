-- Who holds what on which table? An empty list: only columns of it, see column_grants.sql.
SELECT User, Host, Db, Table_name, Table_priv FROM mysql.tables_priv ORDER BY Host, Db, User, Table_name
