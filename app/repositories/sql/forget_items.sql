-- Delete some items of these runs.
DELETE FROM task_run_items
WHERE id IN (
    SELECT item.id
    FROM task_run_items AS item
    WHERE item.run_id = ANY(%(run_ids)s::bigint[])
    LIMIT %(limit)s::integer
)
