-- Which jobs are scheduled, what did an operator change, and when was each fired last?
SELECT
    job.job_id,
    job.task,
    job.name,
    job.code_cron,
    job.cron,
    job.paused,
    job.effective_since,
    job.updated_at,
    job.updated_by,
    fire.scheduled_at AS last_fire_at,
    fire.outcome AS last_outcome,
    fire.run_id AS last_run_id
FROM job_settings AS job
LEFT JOIN LATERAL (
    SELECT recent.scheduled_at, recent.outcome, recent.run_id
    FROM job_fires AS recent
    WHERE recent.job_id = job.job_id
    ORDER BY recent.scheduled_at DESC
    LIMIT 1
) AS fire ON true
ORDER BY job.job_id
