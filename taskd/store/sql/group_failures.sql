-- Failed jobs by task and cause, the most frequent first. Called by list_failures.
-- Of history only the partitions of the window are read, through index history_ended_badly and from
-- the newest job on, until %(most)s failures have been found; then those that were requeued are left out.
WITH failed AS MATERIALIZED (
    SELECT h.id, h.task, h.finished_at, h.error, h.requeued_as
    FROM taskd.history h
    WHERE h.state = 'f'
      AND h.finished_at >= now() - %(since)s * interval '1 second'
      AND (%(queue)s::text IS NULL OR h.queue = %(queue)s)
      AND (%(task)s::text IS NULL OR h.task = %(task)s)
    ORDER BY h.id DESC
    LIMIT %(most)s
), alike AS (                   -- first what is equal as it is, for folding costs more
    SELECT f.task, f.error, count(*) AS count, min(f.finished_at) AS first_at,
           max(f.finished_at) AS last_at, max(f.id) AS sample_job
    FROM failed f
    WHERE %(requeued)s OR f.requeued_as IS NULL
    GROUP BY f.task, f.error
), folded AS (
    SELECT a.*, taskd.cause_of_v1(a.error) AS cause
    FROM alike a
), grouped AS (
    SELECT f.task, f.cause, sum(f.count)::bigint AS count, min(f.first_at) AS first_at,
           max(f.last_at) AS last_at, max(f.sample_job) AS sample_job
    FROM folded f
    GROUP BY f.task, f.cause
), page AS (
    SELECT g.*
    FROM grouped g
    WHERE %(count)s::bigint IS NULL OR (g.count, g.sample_job) < (%(count)s, %(job)s::bigint)
    ORDER BY g.count DESC, g.sample_job DESC
    LIMIT %(limit)s
)
SELECT p.*, n.looked_at
FROM (SELECT count(*) AS looked_at FROM failed) n
LEFT JOIN page p ON true
ORDER BY p.count DESC, p.sample_job DESC
