-- The parts of queues, but for those of paused ones, whose longest waiting first job has waited for
-- %(seconds)s. Called by find_waiting_parts; indexes queued_pkey and statistic_pkey; only where some part
-- is found also running and tally are read, which are small.
--   waited: how long that job has. quiet: for how long nothing of its part has begun at least, nor could
--   have: begins are told by what runs, by what has ended and is not yet counted, and by the statistics,
--   where a minute or an hour counts as begun in to its end.
WITH fronts AS MATERIALIZED (
    SELECT l.queue AS part, l.lane, q.id, q.task, coalesce(q.ready_at, q.created_at) AS ready_at
    FROM taskd.all_lanes_v1() l
    CROSS JOIN LATERAL (        -- LIMIT keeps the planner from joining to the whole table
        SELECT q.id, q.task, q.ready_at, q.created_at FROM taskd.queued q
        WHERE q.queue = l.queue COLLATE "C" AND q.lane = l.lane AND q.seq = l.seq
        LIMIT 1) q
), parts AS MATERIALIZED (
    SELECT DISTINCT ON (f.part) f.part, taskd.queue_of_v1(f.part) AS queue, f.lane, f.id, f.task,
           f.ready_at
    FROM fronts f
    WHERE f.ready_at < clock_timestamp() - %(seconds)s * interval '1 second'
    ORDER BY f.part, f.ready_at
), living AS MATERIALIZED (
    SELECT min(w.started_at) AS first_at
    FROM taskd.worker w JOIN taskd.host h ON h.id = w.host
    WHERE w.ended_at IS NULL AND h.ended_at IS NULL
      AND h.beat_at > clock_timestamp() - %(silent)s * interval '1 second'
)
SELECT p.part, p.queue, taskd.version_of_v1(p.part) AS requires, p.lane, p.id AS first_job, p.task,
       extract(epoch FROM clock_timestamp() - p.ready_at)::float8 AS waited,
       extract(epoch FROM clock_timestamp() - greatest(
           p.ready_at,
           (SELECT l.first_at FROM living l),
           (SELECT max(r.claimed_at) FROM taskd.running r WHERE r.queue = p.part),
           (SELECT max(t.at) FROM taskd.tally t WHERE t.queue = p.part),
           -- least would take no minute at all for this very moment.
           (SELECT least(m.at + interval '1 minute', clock_timestamp())
            FROM (SELECT max(s.at) AS at FROM taskd.statistic s
                  WHERE s.span = 'm' AND s.at > now() - interval '2 hours' AND s.queue = p.queue
                    AND s.started > 0) m
            WHERE m.at IS NOT NULL),
           (SELECT max(s.at) + interval '1 hour' FROM taskd.statistic s
            WHERE s.span = 'h' AND s.at BETWEEN now() - interval '2 days' AND now() - interval '1 hour'
              AND s.queue = p.queue AND s.started > 0)
       ))::float8 AS quiet
FROM parts p
LEFT JOIN taskd.queue k ON k.name = p.queue
WHERE NOT coalesce(k.paused, false)
ORDER BY p.part
