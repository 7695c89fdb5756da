-- How many bytes does each tablespace of a list hold, in the order of the list, as far as we may know and until time is up?
SELECT t.oid,
       CASE WHEN NOT t.there THEN 'gone' WHEN NOT t.allowed THEN 'denied' WHEN NOT turn.has_come THEN 'later' ELSE 'sized' END,
       CASE WHEN t.there AND t.allowed AND turn.has_come THEN pg_tablespace_size(t.oid) END
FROM (
  SELECT asked.oid, asked.place, found.oid IS NOT NULL AS there,
         coalesce(has_tablespace_privilege(found.oid, 'CREATE'), false) OR pg_has_role('pg_read_all_stats', 'USAGE')
           OR found.oid = (SELECT dattablespace FROM pg_database WHERE datname = current_database()) AS allowed
  FROM unnest(string_to_array(current_setting('whalefall.list', true), ',')::oid[]) WITH ORDINALITY AS asked(oid, place)
  LEFT JOIN pg_tablespace AS found ON found.oid = asked.oid
  ORDER BY asked.place OFFSET 0
) AS t
CROSS JOIN LATERAL (
  SELECT t.place = 1 OR clock_timestamp() < statement_timestamp() + current_setting('whalefall.time')::interval AS has_come OFFSET 0
) AS turn
