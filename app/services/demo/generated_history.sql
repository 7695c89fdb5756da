-- Sizes of the days before the demo began, made up: each object as big as its first sample times the shape of its database
WITH real AS MATERIALIZED (
    SELECT c.instance_id, c.collected_at
    FROM capacity_collections AS c
    WHERE c.instance_id = %(instance_id)s AND c.run_item_id <> 0
    ORDER BY c.collected_at LIMIT 1
), days AS MATERIALIZED (
    SELECT d AS ago, (%(today)s::date - d + time '01:00') AT TIME ZONE %(zone)s AS collected_at
    FROM generate_series(1, %(days)s) AS d
), shapes AS MATERIALIZED (
    SELECT b.id AS database_id, days.ago, days.collected_at,
        CASE b.name
            WHEN 'orders' THEN 1 - 0.0045 * days.ago + 0.01 * sin(days.ago * 2 * pi() / 7)
            WHEN 'crm' THEN 1 - 0.0008 * days.ago
            -- emptied every 30 days, and fuller each time
            WHEN 'analytics' THEN (1 - 0.002 * days.ago) * (0.62 + 0.38 * ((300 - days.ago) %% 30) / 30.0)
            -- an archive was restored 75 days ago
            WHEN 'shop' THEN CASE WHEN days.ago > 75 THEN 0.55 ELSE 1 END - 0.0015 * days.ago
            ELSE 1
        END AS factor
    FROM databases AS b CROSS JOIN days
    WHERE b.instance_id = %(instance_id)s AND b.closed_at IS NULL
), began AS (
    INSERT INTO capacity_collections (collected_at, instance_id, run_item_id, ended_at)
    SELECT collected_at, %(instance_id)s, 0, collected_at + interval '1 minute' FROM days
), of_databases AS (
    INSERT INTO database_sizes (
        collected_at, total_bytes, data_bytes, index_bytes, error_bytes, instance_id, database_id,
        relation_count, exact_relations, estimated_relations, unsized_relations)
    SELECT shapes.collected_at, round(s.total_bytes * shapes.factor), round(s.data_bytes * shapes.factor),
        round(s.index_bytes * shapes.factor), s.error_bytes, s.instance_id, s.database_id,
        s.relation_count, s.exact_relations, s.estimated_relations, s.unsized_relations
    FROM real
    JOIN database_sizes AS s USING (instance_id, collected_at)
    JOIN shapes USING (database_id)
    RETURNING collected_at, total_bytes
), of_relations AS (
    INSERT INTO relation_sizes (
        collected_at, exact_at, total_bytes, data_bytes, toast_bytes, index_bytes, database_id, relation_id)
    SELECT shapes.collected_at, shapes.collected_at, round(s.total_bytes * shapes.factor), round(s.data_bytes * shapes.factor),
        round(s.toast_bytes * shapes.factor), round(s.index_bytes * shapes.factor), s.database_id, s.relation_id
    FROM real
    JOIN relation_sizes AS s USING (collected_at)
    JOIN shapes USING (database_id)
), of_the_instance AS (
    INSERT INTO instance_sizes (collected_at, total_bytes, known_bytes, instance_id, database_count, unsized_databases)
    SELECT sized.collected_at, CASE WHEN i.total_bytes IS NOT NULL THEN sized.bytes END, sized.bytes, i.instance_id,
        i.database_count, i.unsized_databases
    FROM real
    JOIN instance_sizes AS i USING (instance_id, collected_at)
    CROSS JOIN (SELECT collected_at, sum(total_bytes) AS bytes FROM of_databases GROUP BY collected_at) AS sized
), of_storages AS (
    INSERT INTO storage_sizes (collected_at, used_bytes, limit_bytes, instance_id, storage_id)
    SELECT days.collected_at, round(s.used_bytes * (1 - 0.002 * days.ago)), s.limit_bytes, s.instance_id, s.storage_id
    FROM real
    JOIN storage_sizes AS s USING (instance_id, collected_at)
    CROSS JOIN days
), seen_databases AS (
    UPDATE databases SET first_seen_at = (SELECT min(collected_at) FROM days)
    WHERE instance_id = %(instance_id)s AND closed_at IS NULL
), seen_relations AS (
    UPDATE relations SET first_seen_at = (SELECT min(collected_at) FROM days)
    WHERE database_id IN (SELECT database_id FROM shapes) AND closed_at IS NULL
), seen_storages AS (
    UPDATE storages SET first_seen_at = (SELECT min(collected_at) FROM days)
    WHERE instance_id = %(instance_id)s AND closed_at IS NULL
)
INSERT INTO dirty_periods (period, start_on, instance_id)
SELECT 'day', %(today)s::date - ago, %(instance_id)s FROM days
