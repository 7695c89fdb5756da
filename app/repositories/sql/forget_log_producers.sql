-- Delete some processes all of whose log entries have expired.
DELETE FROM log_producers
WHERE id IN (
    SELECT producer.id
    FROM log_producers AS producer
    WHERE coalesce(producer.last_entry_at, producer.started_at) < %(before)s::timestamptz
    LIMIT %(limit)s::integer
)
