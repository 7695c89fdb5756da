-- When is what full, the soonest first? Only what is still there.
SELECT
    f.scope,
    i.name AS instance,
    coalesce(d.name, s.name) AS name,
    s.kind,
    f.computed_at,
    f.as_of,
    f.current_bytes,
    f.limit_bytes,
    f.limit_source,
    f.status,
    f.reason,
    f.bytes_per_day,
    f.days_to_limit,
    f.days_earliest,
    f.days_latest,
    f.history_days,
    f.regime_since,
    f.backtest_error,
    f.backtest_count
FROM capacity_forecasts AS f
JOIN instances AS i ON i.id = f.instance_id AND i.removed_at IS NULL
LEFT JOIN databases AS d ON f.scope = 'database' AND d.id = f.object_id
LEFT JOIN storages AS s ON f.scope = 'storage' AND s.id = f.object_id
WHERE d.closed_at IS NULL
    AND s.closed_at IS NULL
    AND (%(instance_id)s::integer IS NULL OR f.instance_id = %(instance_id)s)
    AND (%(scope)s::text IS NULL OR f.scope = %(scope)s)
    AND (%(until)s::date IS NULL OR f.as_of + f.days_to_limit::integer <= %(until)s)
ORDER BY
    f.as_of + f.days_to_limit::integer,
    array_position(ARRAY['full', 'fills', 'stable', 'shrinks', 'no_limit', 'cannot_say'], f.status),
    f.as_of + f.days_earliest::integer,
    f.bytes_per_day DESC NULLS LAST,
    i.name,
    f.scope,
    name
LIMIT %(limit)s
