-- How many bytes do table, TOAST and indexes of each relation of a list hold, in the order of the list, until time is up? What somebody
-- has locked against everybody, or waits to, is left out, with who it is: asking for its size would wait as well.
WITH locks AS MATERIALIZED (
  SELECT l.relation, l.pid, l.granted
  FROM pg_locks AS l
  WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
), locked AS MATERIALIZED (
  SELECT relation, pid, granted FROM locks
  UNION ALL
  SELECT i.indrelid, l.pid, l.granted FROM locks AS l JOIN pg_index AS i ON i.indexrelid = l.relation
)
SELECT r.oid,
       CASE WHEN r.owner IS NULL THEN 'gone' WHEN r.locked THEN 'locked' WHEN NOT turn.has_come THEN 'later' ELSE 'sized' END,
       CASE WHEN NOT r.locked AND turn.has_come THEN
         pg_relation_size(r.oid) + pg_relation_size(r.oid, 'fsm') + pg_relation_size(r.oid, 'vm')
           + CASE WHEN r.unlogged THEN pg_relation_size(r.oid, 'init') ELSE 0 END
       END,
       CASE WHEN r.locked OR NOT turn.has_come THEN NULL WHEN r.toast = 0 THEN 0 ELSE pg_total_relation_size(r.toast) END,
       CASE WHEN r.locked OR NOT turn.has_come THEN NULL WHEN r.indexed THEN pg_indexes_size(r.oid) ELSE 0 END,
       who.pid, who.granted, who.usename, who.since
FROM (
  SELECT asked.oid, asked.place, c.relowner AS owner, c.relpersistence = 'u' AS unlogged, c.reltoastrelid AS toast, c.relhasindex AS indexed,
         coalesce(c.oid IN (SELECT relation FROM locked) OR c.reltoastrelid IN (SELECT relation FROM locked), false) AS locked
  FROM unnest(string_to_array(current_setting('whalefall.list', true), ',')::oid[]) WITH ORDINALITY AS asked(oid, place)
  LEFT JOIN pg_class AS c ON c.oid = asked.oid
  ORDER BY asked.place OFFSET 0
) AS r
CROSS JOIN LATERAL (
  SELECT r.place = 1 OR clock_timestamp() < statement_timestamp() + current_setting('whalefall.time')::interval AS has_come OFFSET 0
) AS turn
LEFT JOIN LATERAL (
  SELECT l.pid, l.granted, a.usename, date_trunc('second', a.xact_start) AS since
  FROM locked AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
  WHERE r.locked AND l.relation IN (r.oid, r.toast)
  ORDER BY l.granted DESC LIMIT 1
) AS who ON r.locked
