-- Which jobs are being run by a worker that has given no sign of life for so many seconds?
SELECT
    job.id AS job_id,
    job.task_name,
    coalesce((job.args ->> 'item_id')::bigint, (job.args ->> 'run_id')::bigint) AS target_id,
    job.attempts + coalesce((job.args ->> 'attempts')::int, 0) AS attempts
FROM procrastinate_jobs AS job
LEFT JOIN procrastinate_workers AS worker ON worker.id = job.worker_id
WHERE job.status = 'doing'
  AND (worker.id IS NULL OR worker.last_heartbeat < now() - make_interval(secs => %(seconds)s))
ORDER BY job.id
FOR UPDATE OF job SKIP LOCKED
