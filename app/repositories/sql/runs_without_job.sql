-- Which runs have no targets yet and no job that would ever give them some?
SELECT run.id AS run_id, run.cancel_requested_at IS NOT NULL AS cancel_requested
FROM task_runs AS run
WHERE run.state IN ('queued', 'running')
  AND run.planned_at IS NULL
  AND run.requested_at < now() - make_interval(secs => %(seconds)s)
  AND NOT EXISTS (
      SELECT
      FROM procrastinate_jobs AS job
      WHERE job.task_name = 'run_task'
        AND job.status IN ('todo', 'doing')
        AND (job.args ->> 'run_id')::bigint = run.id
  )
