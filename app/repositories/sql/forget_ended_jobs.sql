-- Delete some jobs that ended so, so many seconds ago; runs and items keep what is worth keeping.
DELETE FROM procrastinate_jobs
WHERE id IN (
    SELECT job.id
    FROM procrastinate_jobs AS job
    WHERE job.status = ANY(%(statuses)s::procrastinate_job_status[])
      AND NOT EXISTS (
          SELECT
          FROM procrastinate_events AS event
          WHERE event.job_id = job.id
            AND event.at > now() - make_interval(secs => %(seconds)s)
      )
    LIMIT %(limit)s::integer
)
