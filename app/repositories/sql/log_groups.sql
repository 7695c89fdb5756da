-- Which warnings and errors tell the same of how many servers, since when, and what does one look like?
SELECT
    grouped.fingerprint,
    grouped.entry_count,
    grouped.instance_count,
    grouped.first_at,
    grouped.last_at,
    grouped.severity_class,
    newest.level,
    newest.logger,
    newest.module,
    newest.event,
    newest.fields,
    newest.traceback,
    newest.run_id,
    instance.name AS instance
FROM (
    SELECT
        entry.fingerprint,
        entry.severity_class,
        count(*) AS entry_count,
        count(DISTINCT entry.instance_id) AS instance_count,
        min(entry.occurred_at) AS first_at,
        max(entry.occurred_at) AS last_at
    FROM log_entries AS entry
    WHERE entry.severity_class = ANY(%(classes)s::text[])
      AND entry.occurred_at >= %(since)s::timestamptz
      AND entry.occurred_at < %(until)s::timestamptz
      AND entry.fingerprint IS NOT NULL
    GROUP BY entry.fingerprint, entry.severity_class
    ORDER BY count(*) DESC, max(entry.occurred_at) DESC
    LIMIT %(limit)s::bigint
) AS grouped
JOIN LATERAL (
    SELECT
        example.level,
        example.logger,
        example.module,
        example.event,
        example.fields,
        example.traceback,
        example.run_id,
        example.instance_id
    FROM log_entries AS example
    WHERE example.severity_class = grouped.severity_class
      AND example.fingerprint = grouped.fingerprint
      AND example.occurred_at = grouped.last_at
    LIMIT 1
) AS newest ON true
LEFT JOIN instances AS instance ON instance.id = newest.instance_id
ORDER BY grouped.entry_count DESC, grouped.last_at DESC
