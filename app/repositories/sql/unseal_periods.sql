-- Take the seal from what something is dirty of, and from what consists of it.
UPDATE capacity_periods AS p
SET sealed_at = NULL
FROM (SELECT DISTINCT period, start_on FROM dirty_periods) AS d
WHERE p.sealed_at IS NOT NULL
    AND (p.period = d.period OR d.period = 'day' OR (d.period = 'month' AND p.period = 'quarter'))
    AND p.start_on = date_trunc(p.period, d.start_on::timestamp)::date
