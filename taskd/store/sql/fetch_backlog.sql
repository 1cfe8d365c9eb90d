-- What waits and runs now, by queue and the version of the code that it requires. Called by
-- fetch_backlog. Where no worker lives at all, every version may be offered by the next.
WITH offered AS (
    SELECT DISTINCT v.version
    FROM taskd.worker w
    JOIN taskd.host h ON h.id = w.host
    CROSS JOIN LATERAL unnest(w.offers || ''::text) AS v (version)
    WHERE w.ended_at IS NULL AND h.ended_at IS NULL
      AND h.beat_at > clock_timestamp() - %(silent)s * interval '1 second'
), there AS (
    SELECT b.part, b.state, b.jobs, b.is_exact,
           extract(epoch FROM clock_timestamp() - b.oldest)::float8 AS age
    FROM taskd.backlog_v1() b
    UNION ALL
    SELECT k.name, NULL, 0, true, NULL FROM taskd.queue k
    UNION ALL
    SELECT substr(c.name, 8), NULL, 0, true, NULL FROM taskd.capacity c WHERE c.name LIKE '@queue %%'
), parts AS (
    SELECT t.part, taskd.queue_of_v1(t.part) AS queue, taskd.version_of_v1(t.part) AS requires,
           coalesce(sum(t.jobs) FILTER (WHERE t.state = 'queued'), 0)::bigint AS queued,
           coalesce(sum(t.jobs) FILTER (WHERE t.state = 'scheduled'), 0)::bigint AS scheduled,
           coalesce(sum(t.jobs) FILTER (WHERE t.state = 'blocked'), 0)::bigint AS blocked,
           coalesce(sum(t.jobs) FILTER (WHERE t.state = 'running'), 0)::bigint AS running,
           bool_and(t.is_exact) AS is_exact,
           greatest(max(t.age) FILTER (WHERE t.state = 'queued'), 0) AS queued_seconds,
           max(t.age) FILTER (WHERE t.state = 'scheduled' AND t.age > 0) AS overdue_seconds,
           greatest(max(t.age) FILTER (WHERE t.state = 'blocked'), 0) AS blocked_seconds
    FROM there t
    GROUP BY t.part
), judged AS (
    SELECT p.*, coalesce(k.paused, false) AS paused,
           p.requires IS NULL OR p.requires IN (SELECT o.version FROM offered o)
               OR NOT EXISTS (SELECT FROM offered) AS offered
    FROM parts p LEFT JOIN taskd.queue k ON k.name = p.queue
)
SELECT j.queue, j.requires, j.paused, j.offered, j.queued, j.scheduled, j.blocked, j.running,
       CASE WHEN j.paused OR NOT j.offered THEN 0 ELSE j.queued END AS runnable, j.is_exact,
       CASE WHEN j.queued > 0 THEN j.queued_seconds END AS queued_seconds, j.overdue_seconds,
       CASE WHEN j.blocked > 0 THEN j.blocked_seconds END AS blocked_seconds
FROM judged j
ORDER BY j.queue, j.requires NULLS FIRST
