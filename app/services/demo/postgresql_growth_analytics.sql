-- Events by month, and nobody has thought of the months to come: they end up in the default partition
CREATE TABLE IF NOT EXISTS public.events (happened_at timestamptz, kind text, body text) PARTITION BY RANGE (happened_at);
CREATE TABLE IF NOT EXISTS public.events_rest PARTITION OF public.events DEFAULT;
DO $$
DECLARE first date := date_trunc('month', now() - interval '1 month');
BEGIN
    EXECUTE format('CREATE TABLE IF NOT EXISTS public.events_%s PARTITION OF public.events FOR VALUES FROM (%L) TO (%L)',
                   to_char(first, 'YYYY_MM'), first, first + interval '1 month');
END $$;
INSERT INTO public.events SELECT now() - n * interval '1 minute', 'click', repeat(md5(n::text), 3) FROM generate_series(1, 15000) AS n;
ANALYZE public.events;
