-- Forget workers that have been silent for so many seconds (their jobs then count as stalled).
DELETE FROM procrastinate_workers
WHERE last_heartbeat < now() - make_interval(secs => %(seconds)s)
