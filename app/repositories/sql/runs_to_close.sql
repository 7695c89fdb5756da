-- Which runs are still active although every one of their items has ended, and how did those end?
SELECT
    run.id AS run_id,
    run.cancel_requested_at IS NOT NULL AS cancel_requested,
    count(*) FILTER (WHERE item.state = 'succeeded') AS succeeded,
    count(*) FILTER (WHERE item.state = 'partial') AS partial,
    count(*) FILTER (WHERE item.state = 'failed') AS failed,
    count(*) FILTER (WHERE item.state = 'cancelled') AS cancelled
FROM task_runs AS run
LEFT JOIN task_run_items AS item ON item.run_id = run.id
WHERE run.state IN ('queued', 'running')
  AND run.planned_at IS NOT NULL
GROUP BY run.id
HAVING count(*) FILTER (WHERE item.state IN ('queued', 'running')) = 0
