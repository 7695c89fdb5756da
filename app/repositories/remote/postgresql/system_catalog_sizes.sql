-- How many bytes do the catalogs of this database hold together: tables, TOAST, indexes? Not those that all databases share, and
-- not pg_largeobject, which holds what people put there; unless it is empty (the last column), then it is a catalog as any other.
SELECT sum(pg_relation_size(oid) + pg_relation_size(oid, 'fsm') + pg_relation_size(oid, 'vm') + pg_relation_size(oid, 'init')),
       sum(CASE WHEN reltoastrelid = 0 THEN 0 ELSE pg_total_relation_size(reltoastrelid) END),
       sum(pg_indexes_size(oid)),
       empty.large_objects
FROM pg_class
CROSS JOIN (SELECT pg_relation_size('pg_largeobject') = 0 AS large_objects OFFSET 0) AS empty
WHERE relkind IN ('r', 'm', 'S') AND NOT relisshared AND (oid <> 'pg_largeobject'::regclass OR empty.large_objects)
  AND relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
GROUP BY empty.large_objects
