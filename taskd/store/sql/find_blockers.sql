-- The sessions that hold locks which statements of taskd wait for, those that most wait for first.
-- Called by find_blockers. Of another role's session state and times are NULL, unless ours is a member
-- of pg_read_all_stats.
SELECT b.pid, b.application_name AS application, b.state,
       extract(epoch FROM clock_timestamp() - b.xact_start)::float8 AS seconds,
       count(DISTINCT w.pid)::integer AS waiting
FROM pg_stat_activity w
CROSS JOIN LATERAL unnest(pg_blocking_pids(w.pid)) AS u (pid)
JOIN pg_stat_activity b ON b.pid = u.pid
WHERE w.datname = current_database() AND w.wait_event_type = 'Lock' AND w.application_name LIKE 'taskd%%'
GROUP BY 1, 2, 3, 4
ORDER BY waiting DESC, b.pid
LIMIT 5
