-- Up to which run are there more rows, or more bytes in them and their items, than are to be kept?
SELECT max(counted.id) AS through_id
FROM (
    SELECT
        run.id,
        row_number() OVER newest_first AS newer_rows,
        sum(pg_column_size(run.*) + item.row_bytes) OVER newest_first AS newer_bytes
    FROM task_runs AS run
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(pg_column_size(item.*)), 0) AS row_bytes
        FROM task_run_items AS item
        WHERE item.run_id = run.id
    ) AS item
    WINDOW newest_first AS (ORDER BY run.id DESC)
) AS counted
WHERE counted.newer_rows > %(rows)s::bigint
   OR counted.newer_bytes > %(bytes)s::bigint
