-- Who may execute or alter which routine?
SELECT User, Host, Db, Routine_name, Routine_type, Proc_priv
FROM mysql.procs_priv
ORDER BY Host, Db, User, Routine_name, Routine_type
