-- Which runs that have ended may go, the oldest first? The newest ones of each task always stay.
WITH kept AS (
    SELECT
        known.task,
        (
            SELECT run.id
            FROM task_runs AS run
            WHERE run.task = known.task
            ORDER BY run.id DESC
            OFFSET %(newest_kept)s::integer - 1
            LIMIT 1
        ) AS from_id
    FROM (SELECT DISTINCT task FROM task_runs) AS known
)
SELECT run.id
FROM task_runs AS run
JOIN kept ON kept.task = run.task AND run.id < kept.from_id
WHERE run.state IN ('succeeded', 'partial', 'failed', 'cancelled')
  AND (
      run.id <= %(through_id)s::bigint
      OR coalesce(run.ended_at, run.requested_at) < CASE
          WHEN run.state IN ('partial', 'failed') THEN %(failed_before)s::timestamptz
          ELSE %(before)s::timestamptz
      END
  )
ORDER BY run.id
LIMIT %(limit)s::integer
