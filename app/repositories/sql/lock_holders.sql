-- Who holds locks on a table or its partitions, and since when? The longest first.
SELECT activity.pid,
       coalesce(nullif(activity.application_name, ''), 'unnamed') AS application_name,
       activity.state,
       min(activity.xact_start) AS since
  FROM pg_locks AS locks
  JOIN pg_stat_activity AS activity ON activity.pid = locks.pid
 WHERE locks.locktype = 'relation'
   AND locks.granted
   AND locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND (locks.relation = to_regclass(%(table_name)s)
        OR locks.relation IN (SELECT inhrelid FROM pg_inherits
                               WHERE inhparent = to_regclass(%(table_name)s)))
   AND locks.pid <> pg_backend_pid()
 GROUP BY 1, 2, 3
 ORDER BY since NULLS LAST
 LIMIT 3
