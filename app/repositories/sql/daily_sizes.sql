-- How large was each of these objects at the end of each day? -1: it was there and has no size.
SELECT
    r.object_id,
    r.start_on - %(first_day)s::date AS day,
    coalesce(r.last_bytes, -1) AS bytes
FROM capacity_rollups AS r
WHERE r.period = 'day'
    AND r.scope = %(scope)s
    AND r.object_id = ANY (%(object_ids)s)
    AND r.start_on BETWEEN %(first_day)s AND %(last_day)s
