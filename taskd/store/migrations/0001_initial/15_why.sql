-- Why a job waits, and who holds what: for `taskd jobs why`, `taskd resources` and the same in Python.
--
-- All of it only reads, and nothing counts a long line or queue whole: p_most bounds what is counted,
-- p_first what is told by id. Lines are read from behind their hints (see taskd.resource). A bitmap would be made of all of a line, however few were asked for,
-- hence enable_bitmapscan. There is no index from a resource to its holders, which each claim and
-- each end would pay for; holders_v1 says what a look costs without.

-- Seconds from one moment to a later one; NULL if one of them is. A worker measures the start of a job by
-- its own clock, so it may lie a little before what came first.
CREATE FUNCTION taskd.lasted_v1(p_from timestamptz, p_to timestamptz) RETURNS double precision
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_to > p_from THEN extract(epoch FROM p_to - p_from)::double precision
                WHEN p_to <= p_from THEN 0 END
$$;

-- When a job last began to wait for resources: when it was enqueued, its time had come, its last attempt
-- had ended, or the last of the jobs that it came after. NULL: those are more than can be looked at.
CREATE FUNCTION taskd.asked_at_v1(
    p_id bigint, p_created_at timestamptz, p_run_at timestamptz, p_extra jsonb
) RETURNS timestamptz LANGUAGE sql STABLE SET jit = off AS $$
    SELECT CASE WHEN coalesce(jsonb_array_length(p_extra->'parents'), 0) <= 1000
                THEN greatest(
                    p_created_at, p_run_at,
                    (SELECT max(a.ended_at) FROM taskd.attempt a WHERE a.job = p_id),
                    (SELECT max((SELECT h.finished_at FROM taskd.history h
                                 WHERE h.id = p.parent::bigint LIMIT 1))
                     FROM jsonb_array_elements_text(p_extra->'parents') AS p (parent))) END
$$;

-- What is queued and holds something: it is in lanes of its own (see lane_v1), so that nothing is read of
-- what holds nothing. Goes from queue to queue; OFFSET 0 keeps each lane a look at queued_pkey of its own.
CREATE VIEW taskd.queued_holder AS
    WITH RECURSIVE queues AS (
        SELECT (SELECT q.queue FROM taskd.queued q ORDER BY q.queue LIMIT 1) AS queue
        UNION ALL
        SELECT (SELECT q.queue FROM taskd.queued q WHERE q.queue > n.queue ORDER BY q.queue LIMIT 1)
        FROM queues n WHERE n.queue IS NOT NULL
    )
    SELECT h.*
    FROM queues n
    CROSS JOIN generate_series(10, 29) AS l (lane)
    CROSS JOIN LATERAL (
        SELECT q.* FROM taskd.queued q
        WHERE q.queue = n.queue AND q.lane = l.lane::smallint AND q.place IS NOT NULL
        OFFSET 0) h;

-- What each job holds, a row a resource; the condition on state leaves one branch. A job that stands in
-- lines holds what it needs of the levels it has come to, but for what it still stands in line for.
--   since: how long it is in that state, as far as that is known.
CREATE VIEW taskd.holder AS
    SELECT 'running'::text AS state, r.id, r.task, r.res, u.name, u.need, r.claimed_at AS since, r.worker
    FROM taskd.running r CROSS JOIN LATERAL unnest(r.res, r.need) AS u (name, need)
    WHERE r.place IS NOT NULL
    UNION ALL
    SELECT 'running', r.id, r.task, ARRAY[a.name], a.name, 1, r.claimed_at, r.worker
    FROM taskd.adopted a JOIN taskd.running r ON r.id = a.job AND r.fence = a.fence
    UNION ALL
    SELECT 'scheduled', s.id, s.task, s.res, u.name, u.need, NULL, NULL
    FROM taskd.scheduled s CROSS JOIN LATERAL unnest(s.res, s.need) AS u (name, need)
    WHERE s.place IS NOT NULL
    UNION ALL
    SELECT 'blocked', b.id, b.task, b.res, u.name, u.need, NULL, NULL
    FROM taskd.blocked b CROSS JOIN LATERAL unnest(b.res, b.need) AS u (name, need)
    WHERE b.stage = 'l' AND b.pending < cardinality(b.res) AND taskd.level_v1(u.name) <= b.level
      AND NOT EXISTS (SELECT FROM taskd.line l
                      WHERE l.res = u.name AND l.turn = b.turn AND l.place = b.place)
    UNION ALL
    SELECT 'queued', q.id, q.task, q.res, u.name, u.need, coalesce(q.ready_at, q.created_at), NULL
    FROM taskd.queued_holder q CROSS JOIN LATERAL unnest(q.res, q.need) AS u (name, need);

-- The holders in one state of these resources: of each resource the first p_first, with how many there
-- are in that state (holders) and what they hold together (units). Of what is queued it reads the lanes of
-- those that hold something, else all jobs in that state: running ones are few, for the others the caller
-- sets a statement_timeout.
CREATE FUNCTION taskd.holders_v1(p_state text, p_names text[], p_first integer)
RETURNS TABLE (
    name text, id bigint, task text, need integer, since timestamptz, worker text, holders bigint,
    units bigint
) LANGUAGE sql STABLE SET jit = off AS $$
    SELECT f.name, f.id, f.task, f.need, f.since, w.pool || '/' || w.slot || ' on ' || h.name, f.holders,
           f.units
    FROM (SELECT o.name, o.id, o.task, o.need, o.since, o.worker,
                 count(*) OVER resource AS holders, sum(o.need) OVER resource AS units,
                 row_number() OVER (PARTITION BY o.name ORDER BY o.since, o.id) AS rank
          FROM taskd.holder o
          WHERE o.state = p_state AND o.res && p_names AND o.name = ANY (p_names)
          WINDOW resource AS (PARTITION BY o.name)) f
    LEFT JOIN taskd.worker w ON w.id = f.worker
    LEFT JOIN taskd.host h ON h.id = w.host
    WHERE f.rank <= p_first
    ORDER BY f.name, f.rank
$$;

-- The lines that a blocked job stands in: of each what is held, its limits, how many stand before the
-- job (at most p_most) and who is first. units: what is there, NULL for any number; that of a queue
-- without a limit (has_limit: false) is as many as are let in while its jobs have shares. Index line_pkey.
CREATE FUNCTION taskd.lines_of_v1(p_id bigint, p_most integer, p_first integer)
RETURNS TABLE (
    name text, need integer, used bigint, units integer, rate double precision, burst integer,
    has_limit boolean, retry_at timestamptz, before bigint, first bigint[]
) LANGUAGE sql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
    WITH lines AS MATERIALIZED (
        SELECT l.res, l.need, l.turn, l.place, coalesce(r.used, 0) AS used, r.retry_at,
               coalesce(r.turn, 0) AS from_turn, coalesce(r.place, 0) AS from_place
        FROM taskd.blocked b
        CROSS JOIN LATERAL unnest(b.res) AS u (name)
        JOIN taskd.line l ON l.res = u.name AND l.turn = b.turn AND l.place = b.place
        LEFT JOIN taskd.resource r ON r.name = l.res
        WHERE b.id = p_id AND b.stage = 'l'
    )
    SELECT l.res, l.need, l.used,
           CASE WHEN c.units IS NOT NULL OR l.res LIKE '@queue %'
                THEN taskd.units_v1(l.res, c.units)::integer END,
           c.rate, c.burst, c.units IS NOT NULL, l.retry_at,
           (SELECT count(*)
            FROM (SELECT FROM taskd.line o
                  WHERE o.res = l.res AND (o.turn, o.place) > (l.from_turn, l.from_place)
                    AND (o.turn, o.place) < (l.turn, l.place)
                  LIMIT p_most) o),
           ARRAY(SELECT o.id FROM taskd.line o
                 WHERE o.res = l.res AND (o.turn, o.place) > (l.from_turn, l.from_place)
                   AND (o.turn, o.place) < (l.turn, l.place)
                 ORDER BY o.turn, o.place
                 LIMIT p_first)
    FROM lines l
    LEFT JOIN taskd.capacity c ON c.name = l.res
    ORDER BY l.res
$$;

-- The jobs that a blocked one comes after and that have not been told of as ended: the first p_first.
-- state NULL: it is unknown, its history dropped.
CREATE FUNCTION taskd.parents_v1(p_id bigint, p_first integer)
RETURNS TABLE (id bigint, task text, state text, since timestamptz, worker text)
LANGUAGE sql STABLE SET jit = off AS $$
    SELECT d.parent, j.task, j.state, j.since, w.pool || '/' || w.slot || ' on ' || h.name
    FROM (SELECT e.parent FROM taskd.dependency e WHERE e.child = p_id ORDER BY 1 LIMIT p_first) d
    LEFT JOIN LATERAL (
        SELECT j.task, j.state,
               CASE WHEN j.finished_at IS NULL THEN j.worker END AS worker,
               CASE WHEN j.finished_at IS NULL THEN coalesce(j.started_at, j.ready_at) END AS since
        FROM taskd.job j WHERE j.id = d.parent LIMIT 1) j ON true
    LEFT JOIN taskd.worker w ON w.id = j.worker
    LEFT JOIN taskd.host h ON h.id = w.host
    ORDER BY d.parent
$$;

-- How many jobs a queued one has before it in the lanes of its queue (at most p_most), and the first of
-- them; the lane it is in. The lane that goes in turn with its own is left out. None: it is not queued.
-- Index queued_pkey.
CREATE FUNCTION taskd.turn_of_v1(p_id bigint, p_most integer, p_first integer)
RETURNS TABLE (lane smallint, before bigint, first bigint[])
LANGUAGE sql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
    WITH own AS MATERIALIZED (
        SELECT q.queue, q.lane, q.seq FROM taskd.queued q WHERE q.id = p_id LIMIT 1
    ), ahead AS MATERIALIZED (
        SELECT a.id, n.lane, a.seq
        FROM own o
        -- Lane 11 is claimed apart from the others.
        CROSS JOIN LATERAL (
            SELECT o.lane::integer AS lane
            UNION ALL
            SELECT g.lane FROM generate_series(0, 29) AS g (lane)
            WHERE taskd.lane_priority_v1(g.lane) BETWEEN taskd.lane_priority_v1(o.lane) + 1 AND 10) AS n
        CROSS JOIN LATERAL (
            SELECT q.id, q.seq FROM taskd.queued q
            WHERE q.queue = o.queue AND q.lane = n.lane::smallint
              AND q.seq < CASE WHEN n.lane = o.lane THEN o.seq ELSE 9223372036854775807 END
            ORDER BY q.seq
            LIMIT p_most) a
    )
    SELECT o.lane, least(p_most, (SELECT count(*) FROM ahead)),
           ARRAY(SELECT a.id FROM ahead a ORDER BY taskd.lane_priority_v1(a.lane) DESC, a.seq LIMIT p_first)
    FROM own o
$$;

-- The living workers, alike ones together: whether they take the queue of p_part, offer the version of
-- the code that it stands for, and know the task; how many jobs they run at
-- once (slots) and have in hand. A host is silent
-- that has not beaten for p_silent seconds. A pool that has published nothing yet may know any task.
CREATE FUNCTION taskd.crews_v1(p_part text, p_task text, p_silent double precision)
RETURNS TABLE (
    host text, pool text, queues text[], workers bigint, slots bigint, takes boolean, offers boolean,
    knows boolean, jobs bigint
) LANGUAGE sql STABLE SET jit = off AS $$
    SELECT c.name, c.pool, c.queues, c.workers, c.slots,
           c.queues = '{}' OR taskd.queue_of_v1(p_part) = ANY (c.queues),
           taskd.version_of_v1(p_part) IS NULL OR taskd.version_of_v1(p_part) = ANY (c.offers),
           p_task LIKE 'taskd.%'
           OR EXISTS (SELECT FROM taskd.task t
                      WHERE t.host = c.id AND t.pool = c.pool AND t.name = p_task)
           OR NOT EXISTS (SELECT FROM taskd.task t WHERE t.host = c.id AND t.pool = c.pool),
           c.jobs
    FROM (SELECT h.id, h.name, w.pool, w.queues, w.offers, count(*) AS workers,
                 sum(w.greenlets) AS slots,
                 sum((SELECT count(*) FROM taskd.running r WHERE r.worker = w.id))::bigint AS jobs
          FROM taskd.worker w JOIN taskd.host h ON h.id = w.host
          WHERE w.ended_at IS NULL AND h.ended_at IS NULL
            AND h.beat_at > clock_timestamp() - p_silent * interval '1 second'
          GROUP BY h.id, h.name, w.pool, w.queues, w.offers) c
    ORDER BY c.name, c.pool
$$;

-- A page of the resources and limits that are held, waited for or declared: those waited for first, each
-- kind by name, from behind p_after_name, which was waited for or not (p_after_waits; NULL: from the first).
-- p_names: these alone, also limits that only code has named. waiting: how many stand in line, at most p_most;
-- since: when the first of them began to wait. Reads the line of a name once for each name that is waited
-- for, and no more of taskd.capacity than is shown; of taskd.resource also the names between that are held
-- by nobody, or waited for. Indexes line_pkey, resource_pkey, capacity_declared.
CREATE FUNCTION taskd.resources_v1(
    p_names text[], p_after_waits boolean, p_after_name text, p_limit integer, p_most integer, p_first integer
) RETURNS TABLE (
    name text, used bigint, units integer, rate double precision, burst integer, is_declared boolean,
    retry_at timestamptz, waiting bigint, first bigint[], since timestamptz
) LANGUAGE sql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off AS $$
    WITH RECURSIVE lined AS (           -- from the line of one name to that of the next
        SELECT (SELECT l.res FROM taskd.line l
                WHERE l.res > CASE WHEN p_after_waits THEN p_after_name ELSE '' END COLLATE "C"
                ORDER BY l.res LIMIT 1) AS name
        WHERE p_names IS NULL AND p_after_waits IS NOT FALSE
        UNION ALL
        SELECT (SELECT l.res FROM taskd.line l WHERE l.res > n.name ORDER BY l.res LIMIT 1)
        FROM lined n WHERE n.name IS NOT NULL
    ), waited_for AS MATERIALIZED (
        SELECT n.name FROM lined n
        WHERE (SELECT r.waiting FROM taskd.resource r WHERE r.name = n.name)
        LIMIT p_limit
    ), others AS MATERIALIZED (
        (SELECT r.name FROM taskd.resource r
         WHERE p_names IS NULL AND r.used > 0 AND NOT r.waiting
           AND r.name > CASE WHEN p_after_waits THEN '' ELSE coalesce(p_after_name, '') END COLLATE "C"
         ORDER BY r.name
         LIMIT greatest(p_limit - (SELECT count(*) FROM waited_for), 0))
        UNION
        (SELECT c.name FROM taskd.capacity c
         WHERE p_names IS NULL AND c.is_declared
           AND c.name > CASE WHEN p_after_waits THEN '' ELSE coalesce(p_after_name, '') END COLLATE "C"
           AND NOT EXISTS (SELECT FROM taskd.resource r
                           WHERE r.name = c.name AND (r.used > 0 OR r.waiting))
         ORDER BY c.name
         LIMIT greatest(p_limit - (SELECT count(*) FROM waited_for), 0))
        UNION
        SELECT u.name FROM unnest(p_names) AS u (name)
    ), shown AS MATERIALIZED (
        SELECT n.name, coalesce(r.used, 0) AS used, c.units, c.rate, c.burst,
               coalesce(c.is_declared, false) AS is_declared, r.retry_at,
               coalesce(r.waiting, false) AS waiting,
               coalesce(r.turn, 0) AS turn, coalesce(r.place, 0) AS place
        FROM (SELECT w.name FROM waited_for w UNION ALL SELECT o.name FROM others o) n
        LEFT JOIN taskd.resource r ON r.name = n.name
        LEFT JOIN taskd.capacity c ON c.name = n.name
        WHERE r.used > 0 OR r.waiting OR c.name IS NOT NULL
        ORDER BY 8 DESC, 1
        LIMIT p_limit
    ), headed AS MATERIALIZED (
        SELECT s.*, ARRAY(SELECT l.id FROM taskd.line l
                          WHERE l.res = s.name AND (l.turn, l.place) > (s.turn, s.place)
                          ORDER BY l.turn, l.place
                          LIMIT greatest(p_first, 1)) AS heads
        FROM shown s
    )
    SELECT d.name, d.used, d.units, d.rate, d.burst, d.is_declared, d.retry_at,
           (SELECT count(*)
            FROM (SELECT FROM taskd.line l
                  WHERE l.res = d.name AND (l.turn, l.place) > (d.turn, d.place)
                  LIMIT p_most) l),
           d.heads[:p_first],
           (SELECT taskd.asked_at_v1(b.id, b.created_at, b.run_at, b.extra)
            FROM taskd.blocked b WHERE b.id = d.heads[1])
    FROM headed d
    ORDER BY d.waiting DESC, d.name
$$;

-- A page of a line in its order: p_limit entries from the front, or from behind the job p_after. None
-- if that job does not stand there. Index line_pkey.
CREATE FUNCTION taskd.line_page_v1(p_name text, p_after bigint, p_limit integer)
RETURNS TABLE (id bigint, task text, need integer, since timestamptz)
LANGUAGE sql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
    WITH start AS MATERIALIZED (
        SELECT r.turn, r.place FROM taskd.resource r WHERE r.name = p_name AND p_after IS NULL
        UNION ALL
        SELECT l.turn, l.place
        FROM taskd.blocked b
        JOIN taskd.line l ON l.res = p_name AND l.turn = b.turn AND l.place = b.place
        WHERE b.id = p_after AND b.stage = 'l'
    )
    SELECT p.id, b.task, p.need, taskd.asked_at_v1(b.id, b.created_at, b.run_at, b.extra)
    FROM start s
    CROSS JOIN LATERAL (
        SELECT l.id, l.need, l.turn, l.place FROM taskd.line l
        WHERE l.res = p_name AND (l.turn, l.place) > (s.turn, s.place)
        ORDER BY l.turn, l.place
        LIMIT p_limit) p
    LEFT JOIN taskd.blocked b ON b.id = p.id
    ORDER BY p.turn, p.place
$$;
