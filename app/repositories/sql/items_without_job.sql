-- Which items are still to be done although no job of the queue will do them?
SELECT item.id AS item_id, item.run_id, item.instance_id, item.attempt, item.state
FROM task_run_items AS item
WHERE item.state IN ('queued', 'running')
  AND NOT EXISTS (
      SELECT
      FROM procrastinate_jobs AS job
      WHERE job.id = item.job_id
        AND job.status IN ('todo', 'doing')
  )
ORDER BY item.id
