-- Of which instances there is anything in some days in a row: collections, samples or states.
-- edges are the midnights around the days, one more than there are days.
SELECT DISTINCT %(first_day)s::date + (day - 1) AS start_on, instance_id
FROM (
    SELECT width_bucket(collected_at, %(edges)s::timestamptz[]) AS day, instance_id
    FROM (
        SELECT collected_at, instance_id FROM capacity_collections
        WHERE collected_at >= %(starts_at)s AND collected_at < %(ends_at)s
        UNION
        SELECT collected_at, instance_id FROM instance_sizes
        WHERE collected_at >= %(starts_at)s AND collected_at < %(ends_at)s
        UNION
        SELECT collected_at, instance_id FROM database_sizes
        WHERE collected_at >= %(starts_at)s AND collected_at < %(ends_at)s
        UNION
        SELECT collected_at, instance_id FROM storage_sizes
        WHERE collected_at >= %(starts_at)s AND collected_at < %(ends_at)s
    ) AS found
    UNION
    SELECT start_on - %(first_day)s::date + 1, instance_id
    FROM capacity_rollups_day
    WHERE start_on >= %(first_day)s::date
        AND start_on < %(first_day)s::date + (cardinality(%(edges)s::timestamptz[]) - 1)
) AS known
ORDER BY start_on, instance_id
