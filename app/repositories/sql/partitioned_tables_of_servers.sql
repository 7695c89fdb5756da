-- How long will the partitioned tables on the servers last? Worst first.
SELECT instances.name AS instance,
       databases.name AS database,
       relations.schema_name,
       relations.name AS relation,
       health.strategy,
       health.key_definition,
       health.partition_count,
       health.last_partition,
       health.last_bound,
       health.last_bound_at,
       floor(extract(epoch FROM health.last_bound_at - now()) / 86400)::bigint AS runway_days,
       health.default_name,
       health.default_rows,
       health.observed_at
  FROM partitioned_relations AS health
  JOIN relations ON relations.id = health.relation_id
  JOIN databases ON databases.id = relations.database_id
  JOIN instances ON instances.id = databases.instance_id
 WHERE relations.closed_at IS NULL
   AND databases.closed_at IS NULL
   AND instances.removed_at IS NULL
   AND (%(instance)s::text IS NULL OR instances.name = %(instance)s::text)
 ORDER BY health.last_bound_at NULLS LAST, health.default_rows DESC NULLS LAST, 1, 2, 3, 4
 LIMIT %(most)s::bigint
