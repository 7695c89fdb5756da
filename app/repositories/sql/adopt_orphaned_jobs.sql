-- Give waiting jobs of a process-private queue ("direct-<worker id>") to everybody once that process is dead.
UPDATE procrastinate_jobs AS job
SET queue_name = %(items_queue)s
WHERE job.status = 'todo'
  AND job.queue_name LIKE 'direct-%%'
  AND NOT EXISTS (
      SELECT
      FROM procrastinate_workers AS worker
      WHERE worker.id = split_part(job.queue_name, '-', 2)::bigint
        AND worker.last_heartbeat >= now() - make_interval(secs => %(seconds)s)
  )
