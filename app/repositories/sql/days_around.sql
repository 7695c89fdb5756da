-- Which days that are aggregated lie in a time, and which days have a mark: may samples of them go?
SELECT start_on, starts_at, ends_at, sealed_at IS NOT NULL AS sealed,
       EXISTS (SELECT FROM dirty_periods AS dirty
                WHERE dirty.period = 'day' AND dirty.start_on = capacity_periods.start_on) AS dirty
  FROM capacity_periods
 WHERE period = 'day'
   AND starts_at <= %(last_at)s::timestamptz
   AND ends_at > %(first_at)s::timestamptz
 UNION ALL
SELECT DISTINCT start_on, NULL::timestamptz, NULL::timestamptz, false, true
  FROM dirty_periods
 WHERE period = 'day'
   AND start_on BETWEEN %(first_on)s::date AND %(last_on)s::date
 ORDER BY 1
