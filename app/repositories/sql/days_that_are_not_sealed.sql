-- Which days of these collections keep their raw rows from being dropped, and why?
WITH days AS (
    SELECT *
      FROM unnest(%(days)s::date[], %(firsts)s::timestamptz[], %(lasts)s::timestamptz[])
           AS days (day, first_at, last_at)
)
SELECT days.day,
       CASE
           WHEN period.start_on IS NULL THEN 'it is not aggregated'
           WHEN EXISTS (SELECT FROM dirty_periods AS dirty
                         WHERE dirty.period = 'day' AND dirty.start_on = days.day)
               THEN 'it has to be aggregated again'
           WHEN period.sealed_at IS NULL THEN 'it is not sealed yet'
           ELSE 'it was aggregated in another time zone'
       END AS reason
  FROM days
  LEFT JOIN capacity_periods AS period ON period.period = 'day' AND period.start_on = days.day
 WHERE period.sealed_at IS NULL
    OR days.first_at < period.starts_at
    OR days.last_at >= period.ends_at
    OR EXISTS (SELECT FROM dirty_periods AS dirty
                WHERE dirty.period = 'day' AND dirty.start_on = days.day)
 ORDER BY days.day
