-- What could not be sized at the last collection, since when, why, and what to do about it?
SELECT
    i.name AS instance,
    d.name AS database,
    u.name,
    u.kind,
    u.reason_code,
    u.reason,
    u.remedy,
    u.since,
    u.observed_at
FROM unsized_objects AS u
JOIN instances AS i ON i.id = u.instance_id AND i.removed_at IS NULL
LEFT JOIN databases AS d ON d.id = u.database_id
WHERE (%(instance_id)s::integer IS NULL OR u.instance_id = %(instance_id)s)
  AND (%(database_id)s::integer IS NULL OR u.database_id = %(database_id)s)
ORDER BY i.name, d.name NULLS FIRST, u.relation_id IS NOT NULL, u.kind, u.name, u.id
LIMIT %(limit)s
