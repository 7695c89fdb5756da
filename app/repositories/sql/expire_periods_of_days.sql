-- Since when are aggregates of days that these weeks and months consist of gone?
UPDATE capacity_periods
   SET expired_at = coalesce(expired_at, clock_timestamp())
 WHERE (period, start_on) IN (
           SELECT kind.period, date_trunc(kind.period, day::timestamp)::date
             FROM unnest(%(days)s::date[]) AS day
            CROSS JOIN unnest(ARRAY['week', 'month']) AS kind (period)
       )
