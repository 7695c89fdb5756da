-- How much of what may be used, as people have said? Only of what is still there.
SELECT l.scope, i.name AS instance, coalesce(d.name, s.name) AS name, s.kind, l.limit_bytes, l.set_at, l.set_by
FROM capacity_limits AS l
LEFT JOIN databases AS d ON l.scope = 'database' AND d.id = l.object_id
LEFT JOIN storages AS s ON l.scope = 'storage' AND s.id = l.object_id
JOIN instances AS i
    ON i.removed_at IS NULL
    AND i.id = CASE l.scope WHEN 'instance' THEN l.object_id ELSE coalesce(d.instance_id, s.instance_id) END
WHERE d.closed_at IS NULL AND s.closed_at IS NULL
ORDER BY i.name, l.scope, name
