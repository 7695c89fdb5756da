-- How many rows are kept of what is not partitioned, how big are they, and how old is the oldest?
SELECT
    'task_runs' AS name,
    count(*) FILTER (WHERE state IN ('succeeded', 'cancelled')) AS row_count,
    pg_total_relation_size('task_runs') + pg_total_relation_size('task_run_items') AS total_bytes,
    min(coalesce(ended_at, requested_at)) FILTER (WHERE state IN ('succeeded', 'cancelled'))
        AS oldest_at
FROM task_runs
UNION ALL
SELECT
    'task_runs_failed',
    count(*) FILTER (WHERE state IN ('partial', 'failed')),
    NULL,
    min(coalesce(ended_at, requested_at)) FILTER (WHERE state IN ('partial', 'failed'))
FROM task_runs
UNION ALL
SELECT 'job_fires', count(*), pg_total_relation_size('job_fires'), min(recorded_at)
FROM job_fires
UNION ALL
SELECT
    'procrastinate_jobs',
    count(DISTINCT job.id) FILTER (WHERE job.status IN ('succeeded', 'cancelled', 'aborted')),
    pg_total_relation_size('procrastinate_jobs') + pg_total_relation_size('procrastinate_events'),
    min(event.at) FILTER (WHERE job.status IN ('succeeded', 'cancelled', 'aborted'))
FROM procrastinate_jobs AS job
LEFT JOIN procrastinate_events AS event ON event.job_id = job.id
UNION ALL
SELECT
    'procrastinate_jobs_failed',
    count(DISTINCT job.id) FILTER (WHERE job.status = 'failed'),
    NULL,
    min(event.at) FILTER (WHERE job.status = 'failed')
FROM procrastinate_jobs AS job
LEFT JOIN procrastinate_events AS event ON event.job_id = job.id
UNION ALL
SELECT 'log_producers', count(*), pg_total_relation_size('log_producers'),
    min(coalesce(last_entry_at, started_at))
FROM log_producers
