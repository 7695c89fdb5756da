-- The state of every object over each of some days in a row, computed from the samples.
-- edges are the midnights around the days, one more than there are days; unless everything is
-- wanted, only the pairs of dirty_days (1: the first day) and dirty_instances are computed.
WITH dirty (day, instance_id) AS (
    SELECT * FROM unnest(%(dirty_days)s::integer[], %(dirty_instances)s::integer[])
),
samples (scope, owner_id, object_id, day, collected_at, bytes, exact_at) AS NOT MATERIALIZED (
    SELECT 1, instance_id, instance_id, width_bucket(collected_at, %(edges)s::timestamptz[]),
        collected_at, total_bytes, collected_at
    FROM instance_sizes
    WHERE collected_at >= %(starts_at)s AND collected_at < %(ends_at)s
        AND total_bytes IS NOT NULL  -- an unknown is not a sample
        AND (%(everything)s OR (width_bucket(collected_at, %(edges)s::timestamptz[]), instance_id)
            IN (SELECT day, instance_id FROM dirty))
    UNION ALL
    SELECT 2, instance_id, database_id, width_bucket(collected_at, %(edges)s::timestamptz[]),
        collected_at, total_bytes, collected_at
    FROM database_sizes
    WHERE collected_at >= %(starts_at)s AND collected_at < %(ends_at)s
        AND (%(everything)s OR (width_bucket(collected_at, %(edges)s::timestamptz[]), instance_id)
            IN (SELECT day, instance_id FROM dirty))
    UNION ALL
    SELECT 3, database_id, relation_id, width_bucket(collected_at, %(edges)s::timestamptz[]),
        collected_at, total_bytes, exact_at
    FROM relation_sizes
    WHERE collected_at >= %(starts_at)s AND collected_at < %(ends_at)s
        AND (%(everything)s OR (width_bucket(collected_at, %(edges)s::timestamptz[]), database_id)
            IN (SELECT d.day, b.id FROM dirty AS d JOIN databases AS b USING (instance_id)))
    UNION ALL
    SELECT 4, instance_id, storage_id, width_bucket(collected_at, %(edges)s::timestamptz[]),
        collected_at, used_bytes, collected_at
    FROM storage_sizes
    WHERE collected_at >= %(starts_at)s AND collected_at < %(ends_at)s
        AND (%(everything)s OR (width_bucket(collected_at, %(edges)s::timestamptz[]), instance_id)
            IN (SELECT day, instance_id FROM dirty))
),
collections AS MATERIALIZED (
    SELECT instance_id, day, count(*)::integer AS number,
        min(collected_at) AS first_at, max(collected_at) AS last_at
    FROM (
        SELECT instance_id, collected_at,
            width_bucket(collected_at, %(edges)s::timestamptz[]) AS day
        FROM capacity_collections
        WHERE collected_at >= %(starts_at)s AND collected_at < %(ends_at)s
    ) AS begun
    WHERE %(everything)s OR (day, instance_id) IN (SELECT day, instance_id FROM dirty)
    GROUP BY instance_id, day
),
-- Nearly every object's first and last sample are those of its instance's first and last
-- collection: only at these moments a pair of time and bytes is worth its making.
ends (collected_at) AS MATERIALIZED (
    SELECT first_at FROM collections WHERE number > 1
    UNION ALL
    SELECT last_at FROM collections WHERE number > 1
),
states AS MATERIALIZED (
    SELECT scope, owner_id, object_id, day,
        count(*)::integer AS seen, (count(*) - count(exact_at))::integer AS estimated,
        sum(bytes) AS sum_bytes, min(bytes) AS min_bytes, max(bytes) AS max_bytes,
        min(collected_at) AS first_at, max(collected_at) AS last_at,
        min(ARRAY[(date_part('epoch', collected_at) * 1000000)::bigint, bytes])
            FILTER (WHERE collected_at IN (SELECT collected_at FROM ends)) AS first_pair,
        max(ARRAY[(date_part('epoch', collected_at) * 1000000)::bigint, bytes])
            FILTER (WHERE collected_at IN (SELECT collected_at FROM ends)) AS last_pair
    FROM samples
    GROUP BY scope, owner_id, object_id, day
),
settled AS NOT MATERIALIZED (
    SELECT *,
        CASE
            WHEN seen = 1 THEN min_bytes
            WHEN first_pair[1] = (date_part('epoch', first_at) * 1000000)::bigint THEN first_pair[2]
        END AS first_bytes,
        CASE
            WHEN seen = 1 THEN min_bytes
            WHEN last_pair[1] = (date_part('epoch', last_at) * 1000000)::bigint THEN last_pair[2]
        END AS last_bytes
    FROM states
),
looked_up AS (
    SELECT scope, object_id, day,
        min(x.bytes) FILTER (WHERE x.collected_at = s.first_at) AS first_bytes,
        max(x.bytes) FILTER (WHERE x.collected_at = s.last_at) AS last_bytes
    FROM settled AS s JOIN samples AS x USING (scope, object_id, day)
    WHERE (s.first_bytes IS NULL OR s.last_bytes IS NULL)
        AND x.collected_at IN (s.first_at, s.last_at)
    GROUP BY scope, object_id, day
),
objects (scope, owner_id, object_id, instance_id, first_seen_at, closed_at) AS (
    SELECT 1, id, id, id, NULL, NULL FROM instances
    UNION ALL
    SELECT 2, instance_id, id, instance_id, first_seen_at, closed_at FROM databases
    UNION ALL
    SELECT 3, r.database_id, r.id, d.instance_id, r.first_seen_at, r.closed_at
    FROM relations AS r JOIN databases AS d ON d.id = r.database_id
    UNION ALL
    SELECT 4, instance_id, id, instance_id, first_seen_at, closed_at FROM storages
),
expected AS (
    SELECT o.scope, o.object_id, o.instance_id, c.day,
        CASE
            WHEN coalesce(o.first_seen_at <= c.first_at, true)
                AND coalesce(o.closed_at > c.last_at, true) THEN c.number
            ELSE (
                SELECT count(*)::integer FROM capacity_collections AS k
                WHERE k.instance_id = c.instance_id
                    AND k.collected_at >= greatest(c.first_at, o.first_seen_at)
                    AND k.collected_at <= c.last_at
                    AND k.collected_at < coalesce(o.closed_at, 'infinity')
            )
        END AS number
    FROM collections AS c JOIN objects AS o USING (instance_id)
    WHERE coalesce(o.first_seen_at <= c.last_at, true) AND coalesce(o.closed_at > c.first_at, true)
)
INSERT INTO capacity_rollups_day (
    start_on, instance_id, object_id, period, scope, seen, expected, estimated,
    sum_bytes, min_bytes, max_bytes, first_bytes, first_at, last_bytes, last_at
)
SELECT %(first_day)s::date + (coalesce(s.day, e.day) - 1),
    coalesce(
        e.instance_id, CASE WHEN s.scope <> 3 THEN s.owner_id ELSE d.instance_id END
    ),
    coalesce(s.object_id, e.object_id), 'day',
    (ARRAY['instance', 'database', 'relation', 'storage'])[coalesce(s.scope, e.scope)],
    coalesce(s.seen, 0), coalesce(e.number, 0), coalesce(s.estimated, 0),
    s.sum_bytes, s.min_bytes, s.max_bytes,
    coalesce(s.first_bytes, l.first_bytes), s.first_at,
    coalesce(s.last_bytes, l.last_bytes), s.last_at
FROM settled AS s
FULL JOIN expected AS e
    ON e.scope = s.scope AND e.object_id = s.object_id AND e.day = s.day
LEFT JOIN looked_up AS l
    ON l.scope = s.scope AND l.object_id = s.object_id AND l.day = s.day
LEFT JOIN databases AS d ON s.scope = 3 AND d.id = s.owner_id
WHERE s.seen > 0 OR e.number > 0
ORDER BY 3, 1  -- as the primary key has them
