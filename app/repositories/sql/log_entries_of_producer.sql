-- What has one process said since it was looked at last, in its own order?
SELECT
    entry.occurred_at,
    entry.producer_id,
    entry.sequence,
    entry.level,
    entry.severity_class,
    entry.logger,
    entry.module,
    entry.event,
    entry.fields,
    entry.traceback,
    entry.run_id,
    entry.item_id,
    entry.instance_id,
    entry.fingerprint,
    instance.name AS instance
FROM log_entries AS entry
LEFT JOIN instances AS instance ON instance.id = entry.instance_id
WHERE entry.producer_id = %(producer_id)s::bigint
  AND entry.sequence > %(after)s::bigint
  AND entry.sequence <= %(through)s::bigint
  AND entry.severity_class = ANY(%(classes)s::text[])
  AND entry.occurred_at >= %(since)s::timestamptz
  AND NOT entry.level = ANY(%(without_levels)s::text[])
  AND (%(run_id)s::bigint IS NULL OR entry.run_id = %(run_id)s::bigint)
  AND (%(instance_ids)s::integer[] IS NULL OR entry.instance_id = ANY(%(instance_ids)s::integer[]))
  AND (
      %(module)s::text IS NULL
      OR entry.module = %(module)s::text
      OR entry.logger = %(module)s::text
      OR starts_with(entry.logger, %(module)s::text || '.')
  )
  AND (%(fingerprint)s::bigint IS NULL OR entry.fingerprint = %(fingerprint)s::bigint)
  AND (
      %(pattern)s::text IS NULL
      OR entry.event ILIKE %(pattern)s::text
      OR entry.fields::text ILIKE %(pattern)s::text
      OR entry.traceback ILIKE %(pattern)s::text
      OR instance.name ILIKE %(pattern)s::text
  )
ORDER BY entry.sequence
LIMIT %(limit)s::bigint
