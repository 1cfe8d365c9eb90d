-- Claim: from queued to running.

-- Claim at most p_count jobs for a worker from the lanes (p_queues[i], p_lanes[i]), in that order,
-- each lane oldest first, only what lies above its low-water mark p_marks[i]; from lane i only until
-- p_ends[i] jobs are taken in all (p_ends NULL: p_count), by which queues share a claim; and no more
-- once their arguments are of 16 MiB together. Called by the claimer of each worker; index queued_pkey.
-- From lane 11 one job is taken, and only if it is alone in the claim: so whoever asks for that lane
-- must have no other job.
--
-- p_recoveries: how often the worker has recovered its claims when it sends this one.
--
-- NULL: the worker is not (or no more) among the living, so it must register again; or the claim is
-- one that was executed too late, and nobody waits for its answer any more.
-- '': nothing to claim; then nothing was written and no lock taken.
-- Otherwise JSON: [[id, seq, i, fence, attempt, max_attempts, timeout, task, args, kwargs, extra], …].
-- args and kwargs are spliced in, so that the claimer decodes one text a batch. A null behind the last
-- job says that it were too many bytes, so there may be more to claim than these. A job that holds a
-- unique key until it has started lets go of it here; extra of one that has expired says "is_late", and
-- of one that holds resources "holds".
--
-- To visit a lane costs 10 us, to see that none of its jobs is there 2. So whoever meets a dry one looks
-- for the next that is not, in one statement: a worker may know of a thousand, most of them dry.
--
-- The plan must stay the index scan also while statistics say that the table is empty, hence
-- enable_seqscan; jit=off because switching plans off makes their cost look huge. A generic plan,
-- because making a new one for each array costs as much as a claim of one job.
CREATE FUNCTION taskd.claim_jobs_v1(
    p_worker bigint, p_queues text[], p_lanes smallint[], p_marks bigint[], p_count integer,
    p_ends integer[] DEFAULT NULL, p_recoveries integer DEFAULT 0
) RETURNS text LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    rows_ tid[];
    size bigint;
    bytes bigint := 16 * 1024 * 1024;
    found_ text;
    keys taskd.held_key[];
    jobs text := '';
    free integer := p_count;
    room integer;
    onward integer := 1;                -- the next lane to visit
BEGIN
    FOR i IN 1 .. cardinality(p_queues) LOOP
        CONTINUE WHEN i < onward;
        room := least(free, p_ends[i] - (p_count - free));      -- of NULL, least takes no notice
        IF p_lanes[i] = 11 THEN
            room := CASE WHEN jobs = '' THEN least(room, 1) ELSE 0 END;
        END IF;
        CONTINUE WHEN room <= 0;
        SELECT array_agg(p.ctid), sum(p.size) INTO rows_, size
        FROM (
            SELECT q.ctid, octet_length(q.args) + coalesce(octet_length(q.kwargs), 0) AS size
            FROM taskd.queued q
            WHERE q.queue = p_queues[i] AND q.lane = p_lanes[i] AND q.seq > p_marks[i]
            ORDER BY q.seq
            LIMIT room
            FOR UPDATE SKIP LOCKED) p;
        IF rows_ IS NULL THEN
            SELECT j INTO onward
            FROM (SELECT generate_series(i + 1, cardinality(p_queues)) AS j) others
            WHERE (SELECT 1 FROM taskd.queued q
                   WHERE q.queue = p_queues[j] AND q.lane = p_lanes[j] AND q.seq > p_marks[j]
                   LIMIT 1) IS NOT NULL
            LIMIT 1;
            EXIT WHEN onward IS NULL;
            CONTINUE;
        END IF;
        IF jobs = '' THEN
            -- Against a rescue of this worker: whoever ends it waits for us, or we see that it ended.
            PERFORM FROM taskd.worker w
            WHERE w.id = p_worker AND w.ended_at IS NULL AND w.recoveries <= p_recoveries
            FOR KEY SHARE;
            IF NOT FOUND THEN
                RETURN NULL;
            END IF;
        END IF;
        IF size > bytes THEN
            rows_ := ARRAY(
                SELECT w.ctid
                FROM (SELECT q.ctid, sum(octet_length(q.args) + coalesce(octet_length(q.kwargs), 0))
                                     OVER (ORDER BY q.seq ROWS UNBOUNDED PRECEDING
                                           EXCLUDE CURRENT ROW) AS before
                      FROM taskd.queued q WHERE q.ctid = ANY (rows_)) w
                WHERE coalesce(w.before, 0) < bytes);
        END IF;
        bytes := bytes - size;
        WITH taken AS (
            DELETE FROM taskd.queued WHERE ctid = ANY (rows_)
            RETURNING *, nextval('taskd.fence_seq') AS fence
        ), started AS (
            INSERT INTO taskd.running (
                id, fence, worker, created_at, run_at, ready_at, timeout, priority, attempt,
                max_attempts, losses, crashes, queue, task, args, kwargs, extra, res, need, place)
            SELECT t.id, t.fence, p_worker, t.created_at, t.run_at, t.ready_at, t.timeout, t.priority,
                   t.attempt + 1, t.max_attempts, t.losses, t.crashes, t.queue, t.task, t.args,
                   t.kwargs, t.extra, t.res, t.need, t.place
            FROM taken t
        )
        SELECT string_agg(
                   concat('[', t.id, ',', t.seq, ',', i - 1, ',', t.fence, ',', t.attempt + 1, ',',
                          t.max_attempts, ',', coalesce(t.timeout::text, 'null'), ',', to_json(t.task),
                          ',', t.args, ',', coalesce(t.kwargs, 'null'), ',',
                          CASE WHEN t.extra IS NULL AND t.place IS NULL THEN 'null'
                               ELSE (coalesce(t.extra, '{}')
                                     || CASE WHEN t.place IS NULL THEN '{}' ELSE '{"holds": true}' END::jsonb
                                     || CASE WHEN (t.extra->>'expires')::double precision
                                                  < extract(epoch FROM clock_timestamp())
                                             THEN '{"is_late": true}' ELSE '{}' END::jsonb)::text END, ']'),
                   ',' ORDER BY t.seq),
               array_agg(ROW(t.extra->>'unique', t.id)::taskd.held_key)
                   FILTER (WHERE t.extra->>'until' = 'started')
        INTO found_, keys
        FROM taken t;
        IF keys IS NOT NULL THEN
            PERFORM taskd.drop_keys_v1(keys);
        END IF;
        jobs := jobs || CASE WHEN jobs = '' THEN '[' ELSE ',' END || found_;
        free := free - cardinality(rows_);
        EXIT WHEN free <= 0 OR bytes <= 0 OR p_lanes[i] = 11;
    END LOOP;
    RETURN CASE WHEN jobs = '' THEN '' ELSE jobs || CASE WHEN bytes > 0 THEN ']' ELSE ',null]' END END;
END $$;

-- A claim of this worker failed on its way: the server may have committed it, may execute it still,
-- or get to see it only later. Give back the jobs that the worker does not know of, as if they had
-- never been claimed; p_fences are those of all that it has in its hands. How many went back.
--
--   claim under way       holds the worker's row: we wait for it, and find its jobs
--   claim executed later  presents fewer recoveries than the row then holds: it claims nothing
--   recovery executed later, after the next one (p_recoveries counts them): changes nothing
CREATE FUNCTION taskd.recover_claims_v1(p_worker bigint, p_recoveries integer, p_fences bigint[])
RETURNS integer LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    ids bigint[];
    fences bigint[];
BEGIN
    PERFORM FROM taskd.worker w WHERE w.id = p_worker FOR UPDATE;
    UPDATE taskd.worker SET recoveries = p_recoveries
    WHERE id = p_worker AND recoveries < p_recoveries;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    SELECT array_agg(r.id), array_agg(r.fence) INTO ids, fences
    FROM taskd.running r
    WHERE r.worker = p_worker AND NOT EXISTS (SELECT FROM unnest(p_fences) f WHERE f = r.fence);
    RETURN taskd.give_back_jobs_v1(p_worker, ids, fences);
END $$;

-- What a worker has claimed without knowing it, because one job of the claim made its answer no JSON;
-- p_fences are those of all that it has in its hands. A row a job, each text by itself.
CREATE FUNCTION taskd.unread_jobs_v1(p_worker bigint, p_fences bigint[])
RETURNS TABLE (
    id bigint, queue text, fence bigint, attempt smallint, max_attempts smallint, timeout real,
    task text, args text, kwargs text, extra text
) LANGUAGE plpgsql STABLE SET enable_seqscan = off SET jit = off AS $$
BEGIN
    RETURN QUERY
    SELECT r.id, r.queue::text, r.fence, r.attempt, r.max_attempts, r.timeout, r.task::text, r.args,
           r.kwargs,
           CASE WHEN (r.extra->>'expires')::double precision < extract(epoch FROM clock_timestamp())
                THEN (r.extra || '{"is_late": true}')::text
                ELSE r.extra::text END
    FROM taskd.running r
    WHERE r.worker = p_worker AND NOT EXISTS (SELECT FROM unnest(p_fences) f WHERE f = r.fence)
    ORDER BY r.fence;
END $$;

-- Which of these lanes hold a job above their mark: (queue, lane, lowest such seq). Reads one index
-- entry a lane, beside the dead ones between the mark and it.
CREATE FUNCTION taskd.waiting_lanes_v1(p_queues text[], p_lanes smallint[], p_marks bigint[])
RETURNS TABLE (queue text, lane smallint, seq bigint) LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
BEGIN
    RETURN QUERY
    SELECT u.queue, u.lane, first.seq
    FROM unnest(p_queues, p_lanes, p_marks) AS u (queue, lane, mark)
    CROSS JOIN LATERAL (
        SELECT q.seq FROM taskd.queued q
        WHERE q.queue = u.queue COLLATE "C" AND q.lane = u.lane AND q.seq > u.mark
        ORDER BY q.seq LIMIT 1) first;
END $$;

-- Every lane that holds a job, with its lowest seq: hops from lane to lane over the index. This is
-- the rescan that finds new lanes and what was committed behind a mark. It starts at the front, so
-- it reads the dead entries that a long transaction keeps there: the caller limits its rate.
CREATE FUNCTION taskd.all_lanes_v1() RETURNS TABLE (queue text, lane smallint, seq bigint)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
BEGIN
    RETURN QUERY
    WITH RECURSIVE hop AS (
        (SELECT q.queue, q.lane, q.seq FROM taskd.queued q ORDER BY q.queue, q.lane, q.seq LIMIT 1)
        UNION ALL
        SELECT next.* FROM hop CROSS JOIN LATERAL (
            SELECT q.queue, q.lane, q.seq FROM taskd.queued q
            WHERE (q.queue, q.lane) > (hop.queue, hop.lane)
            ORDER BY q.queue, q.lane, q.seq LIMIT 1) next
    )
    SELECT hop.queue::text, hop.lane, hop.seq FROM hop;
END $$;
