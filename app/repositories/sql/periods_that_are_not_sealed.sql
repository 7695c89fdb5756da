-- Which periods that contain these days keep the aggregates of the days from being dropped, and why?
WITH needed AS (
    SELECT DISTINCT kind.period,
           CASE kind.period WHEN 'day' THEN day
                            ELSE date_trunc(kind.period, day::timestamp)::date END AS start_on
      FROM unnest(%(days)s::date[]) AS day
     CROSS JOIN unnest(ARRAY['day', 'week', 'month', 'quarter']) AS kind (period)
)
SELECT needed.period, needed.start_on,
       CASE
           WHEN period.start_on IS NULL THEN 'it is not aggregated'
           WHEN period.sealed_at IS NULL THEN 'it is not sealed yet'
           ELSE 'it has to be aggregated again'
       END AS reason
  FROM needed
  LEFT JOIN capacity_periods AS period
    ON period.period = needed.period AND period.start_on = needed.start_on
 WHERE period.sealed_at IS NULL
    OR EXISTS (SELECT FROM dirty_periods AS dirty
                WHERE dirty.period = needed.period AND dirty.start_on = needed.start_on)
 ORDER BY needed.start_on, needed.period
