-- What may our own account see beyond what every login sees?
SELECT 'superuser', current_setting('is_superuser') = 'on'
UNION ALL
SELECT rolname, pg_has_role(oid, 'USAGE')
FROM pg_roles
WHERE rolname IN ('pg_monitor', 'pg_read_all_settings', 'pg_read_all_stats') AND oid < 16384
ORDER BY 1
