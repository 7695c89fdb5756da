-- Delete jobs that ended so many seconds ago; runs and items keep what is worth keeping.
DELETE FROM procrastinate_jobs AS job
WHERE job.status IN ('succeeded', 'failed', 'cancelled', 'aborted')
  AND NOT EXISTS (
      SELECT
      FROM procrastinate_events AS event
      WHERE event.job_id = job.id
        AND event.at > now() - make_interval(secs => %(seconds)s)
  )
