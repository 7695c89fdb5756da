-- Since when are raw rows of these days gone?
UPDATE capacity_periods
   SET expired_at = coalesce(expired_at, clock_timestamp())
 WHERE period = 'day' AND start_on = ANY (%(days)s::date[])
