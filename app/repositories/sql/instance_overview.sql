-- What does the ledger hold of every instance: accounts, privileged ones, coverage, held removals, last sync?
SELECT
    i.id,
    i.name AS instance,
    i.engine,
    i.server_version AS version,
    i.enabled,
    a.accounts,
    a.privileged,
    c.changes_24h,
    c.raised_24h,
    coalesce(cardinality(h.account_ids), 0) AS held,
    s.scopes_full,
    s.scopes_not_seen,
    t.ended_at AS last_sync_at,
    t.state,
    t.error
FROM instances AS i
LEFT JOIN LATERAL (
    SELECT count(*) AS accounts, count(*) FILTER (WHERE privileged) AS privileged
    FROM accounts
    WHERE instance_id = i.id AND removed_at IS NULL AND kind NOT IN ('system', 'public')
) AS a ON true
LEFT JOIN LATERAL (
    SELECT count(*) AS changes_24h, count(*) FILTER (WHERE raised) AS raised_24h
    FROM account_changes
    WHERE instance_id = i.id AND occurred_at > now() - interval '24 hours'
) AS c ON true
LEFT JOIN held_removals AS h ON h.instance_id = i.id AND h.state = 'held'
LEFT JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE s.status = 'full') AS scopes_full,
        coalesce(
            jsonb_agg(
                jsonb_build_array(coalesce(d.name, 'server'), s.status, s.reason, s.remedy)
                ORDER BY d.name NULLS FIRST
            ) FILTER (WHERE s.status <> 'full' AND NOT s.expected),
            '[]'
        ) AS scopes_not_seen
    FROM account_scopes AS s
    LEFT JOIN databases AS d ON d.id = s.database_id
    WHERE s.instance_id = i.id AND d.closed_at IS NULL
) AS s ON true
LEFT JOIN LATERAL (
    SELECT it.ended_at, it.state, it.error
    FROM task_run_items AS it
    JOIN task_runs AS r ON r.id = it.run_id AND r.task = 'sync_accounts'
    WHERE it.instance_id = i.id AND it.ended_at IS NOT NULL
    ORDER BY it.id DESC
    LIMIT 1
) AS t ON true
WHERE i.removed_at IS NULL
ORDER BY i.name
