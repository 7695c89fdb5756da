-- Delete some fires that were recorded long ago; the newest ones of each job always stay.
DELETE FROM job_fires AS fire
USING (
    SELECT old.job_id, old.scheduled_at
    FROM job_fires AS old
    JOIN (
        SELECT
            known.job_id,
            (
                SELECT recent.scheduled_at
                FROM job_fires AS recent
                WHERE recent.job_id = known.job_id
                ORDER BY recent.scheduled_at DESC
                OFFSET %(newest_kept)s::integer - 1
                LIMIT 1
            ) AS from_at
        FROM (SELECT DISTINCT job_id FROM job_fires) AS known
    ) AS kept ON kept.job_id = old.job_id AND old.scheduled_at < kept.from_at
    WHERE old.recorded_at < %(before)s::timestamptz
    LIMIT %(limit)s::integer
) AS expired
WHERE fire.job_id = expired.job_id
  AND fire.scheduled_at = expired.scheduled_at
