-- Remember what has no size: since when is kept, also if it was renamed or fails for another reason now
INSERT INTO unsized_objects (
    instance_id, database_id, relation_id, name, kind, reason_code, reason, remedy, since,
    observed_at
)
SELECT
    %(instance_id)s::integer, n.database_id, n.relation_id, n.name, n.kind, n.reason_code, n.reason,
    n.remedy, coalesce(before.since, %(collected_at)s::timestamptz), %(observed_at)s::timestamptz
FROM unnest(
    %(database_ids)s::integer[], %(relation_ids)s::integer[], %(names)s::text[], %(kinds)s::text[],
    %(codes)s::text[], %(reasons)s::text[], %(remedies)s::text[]
) AS n(database_id, relation_id, name, kind, reason_code, reason, remedy)
LEFT JOIN LATERAL (
    SELECT min(o.since) AS since
    FROM unsized_objects AS o
    WHERE o.instance_id = %(instance_id)s::integer
      AND o.database_id = n.database_id
      AND o.relation_id = n.relation_id
) AS before ON true
ON CONFLICT (instance_id, database_id, relation_id, kind, name) DO UPDATE SET
    reason_code = excluded.reason_code,
    reason = excluded.reason,
    remedy = excluded.remedy,
    observed_at = excluded.observed_at
