-- Seal what ended before a moment, is computed, and of which nothing is dirty any more.
UPDATE capacity_periods AS p
SET sealed_at = clock_timestamp()
WHERE p.sealed_at IS NULL AND p.ends_at <= %(ended_before)s
    AND NOT EXISTS (
        SELECT FROM dirty_periods AS d
        WHERE d.start_on >= p.start_on
            AND d.start_on < p.start_on + CASE p.period
                WHEN 'day' THEN interval '1 day'
                WHEN 'week' THEN interval '7 days'
                WHEN 'month' THEN interval '1 month'
                ELSE interval '3 months'
            END
            AND (d.period = p.period OR d.period = 'day' OR (d.period = 'month' AND p.period = 'quarter'))
    )
