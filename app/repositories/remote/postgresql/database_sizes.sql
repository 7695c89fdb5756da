-- How many bytes does each database of a list hold, in the order of the list, as far as we may know and until time is up?
SELECT d.oid,
       CASE WHEN NOT d.there THEN 'gone' WHEN NOT d.allowed THEN 'denied' WHEN NOT turn.has_come THEN 'later' ELSE 'sized' END,
       CASE WHEN d.there AND d.allowed AND turn.has_come THEN pg_database_size(d.oid) END
FROM (
  SELECT asked.oid, asked.place, found.oid IS NOT NULL AS there,
         coalesce(has_database_privilege(found.oid, 'CONNECT'), false) OR pg_has_role('pg_read_all_stats', 'USAGE') AS allowed
  FROM unnest(string_to_array(current_setting('whalefall.list', true), ',')::oid[]) WITH ORDINALITY AS asked(oid, place)
  LEFT JOIN pg_database AS found ON found.oid = asked.oid
  ORDER BY asked.place OFFSET 0
) AS d
CROSS JOIN LATERAL (
  SELECT d.place = 1 OR clock_timestamp() < statement_timestamp() + current_setting('whalefall.time')::interval AS has_come OFFSET 0
) AS turn
