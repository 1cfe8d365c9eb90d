-- The end of an attempt. Every function here takes the worker and, for each job, the fence of its
-- claim, and touches only jobs whose fence and worker still match. Called by the reporter.
--
-- The plan must go from the ids to the primary key of running, whatever statistics say: analyzed at
-- a quiet moment the table looks empty, and "all of this worker's rows against all ids" looks
-- cheap, although it is quadratic. Hence enable_seqscan = off, and worker + 0, which no index has.

-- The ids that were not ours any more. An outcome that is recorded already (the answer to an earlier
-- call was lost) is not lost: the caller may repeat any call.
CREATE FUNCTION taskd.lost_jobs_v1(p_ids bigint[], p_fences bigint[]) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(u.id)
    FROM unnest(p_ids, p_fences) AS u (id, fence)
    WHERE NOT EXISTS (SELECT FROM taskd.history h WHERE h.id = u.id AND h.fence = u.fence)
      AND NOT EXISTS (SELECT FROM taskd.attempt a WHERE a.job = u.id AND a.fence = u.fence
                      AND a.outcome NOT IN ('l', 'g'))      -- those a rescue has written
$$;

-- The common case, with the smallest statement: succeeded, no result. p_durations in seconds.
-- NULL, or the ids that were lost.
CREATE FUNCTION taskd.complete_succeeded_v1(
    p_worker bigint, p_ids bigint[], p_fences bigint[], p_durations real[]
) RETURNS bigint[] LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
DECLARE
    ended integer;
BEGIN
    WITH gone AS (
        DELETE FROM taskd.running r
        USING unnest(p_ids, p_fences, p_durations) AS u (id, fence, duration)
        WHERE r.id = u.id AND r.fence = u.fence AND r.worker + 0 = p_worker
        RETURNING r.*, u.duration
    )
    INSERT INTO taskd.history (
        id, fence, worker, created_at, run_at, ready_at, started_at, timeout, priority, attempt,
        max_attempts, losses, crashes, state, queue, task, args, kwargs)
    SELECT g.id, g.fence, g.worker, g.created_at, g.run_at, g.ready_at,
           now() - g.duration * interval '1 second', g.timeout, g.priority, g.attempt,
           g.max_attempts, g.losses, g.crashes, 's', g.queue, g.task, g.args, g.kwargs
    FROM gone g;
    GET DIAGNOSTICS ended = ROW_COUNT;
    IF ended = cardinality(p_ids) THEN
        RETURN NULL;
    END IF;
    RETURN taskd.lost_jobs_v1(p_ids, p_fences);
END $$;

-- Any final state, with its result or its error. p_durations NULL: it never started.
CREATE FUNCTION taskd.complete_jobs_v1(
    p_worker bigint, p_ids bigint[], p_fences bigint[], p_durations real[], p_states "char"[],
    p_results text[], p_errors text[], p_tracebacks text[]
) RETURNS bigint[] LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
DECLARE
    ended integer;
BEGIN
    WITH gone AS (
        DELETE FROM taskd.running r
        USING unnest(p_ids, p_fences, p_durations, p_states, p_results, p_errors, p_tracebacks)
              AS u (id, fence, duration, state, result, error, traceback)
        WHERE r.id = u.id AND r.fence = u.fence AND r.worker + 0 = p_worker
        RETURNING r.*, u.duration, u.state, u.result, u.error, u.traceback
    )
    INSERT INTO taskd.history (
        id, fence, worker, created_at, run_at, ready_at, started_at, timeout, priority, attempt,
        max_attempts, losses, crashes, state, queue, task, args, kwargs, result, error, traceback)
    SELECT g.id, g.fence, g.worker, g.created_at, g.run_at, g.ready_at,
           now() - g.duration * interval '1 second', g.timeout, g.priority, g.attempt,
           g.max_attempts, g.losses, g.crashes, g.state, g.queue, g.task, g.args, g.kwargs,
           g.result, g.error, g.traceback
    FROM gone g;
    GET DIAGNOSTICS ended = ROW_COUNT;
    IF ended = cardinality(p_ids) THEN
        RETURN NULL;
    END IF;
    RETURN taskd.lost_jobs_v1(p_ids, p_fences);
END $$;

-- Attempts that ended but not their jobs. p_outcomes: r retry, t timed out (both keep the attempt
-- counted), z snooze, i interrupted (both give it back). p_delays in seconds; 0 goes to the front
-- lane of its queue at once if interrupted, to its own lane otherwise.
CREATE FUNCTION taskd.retry_jobs_v1(
    p_worker bigint, p_ids bigint[], p_fences bigint[], p_durations real[], p_outcomes "char"[],
    p_delays double precision[], p_errors text[], p_tracebacks text[]
) RETURNS bigint[] LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
DECLARE
    ended integer;
BEGIN
    WITH gone AS (
        DELETE FROM taskd.running r
        USING unnest(p_ids, p_fences, p_durations, p_outcomes, p_delays, p_errors, p_tracebacks)
              AS u (id, fence, duration, outcome, delay, error, traceback)
        WHERE r.id = u.id AND r.fence = u.fence AND r.worker + 0 = p_worker
        RETURNING r.*, u.duration, u.outcome, u.delay, u.error, u.traceback,
                  (r.attempt - CASE WHEN u.outcome IN ('z', 'i') THEN 1 ELSE 0 END)::smallint AS charged
    ), kept AS (
        INSERT INTO taskd.attempt (job, fence, worker, started_at, number, outcome, error, traceback)
        SELECT g.id, g.fence, g.worker, now() - coalesce(g.duration, 0) * interval '1 second',
               g.attempt, g.outcome, g.error, g.traceback
        FROM gone g
    ), later AS (
        INSERT INTO taskd.scheduled (
            run_at, id, created_at, timeout, priority, attempt, max_attempts, losses, crashes,
            queue, task, args, kwargs)
        SELECT now() + g.delay * interval '1 second', g.id, g.created_at, g.timeout, g.priority,
               g.charged, g.max_attempts, g.losses, g.crashes, g.queue, g.task, g.args, g.kwargs
        FROM gone g WHERE g.delay > 0
    ), again AS (
        INSERT INTO taskd.queued (
            seq, id, created_at, run_at, ready_at, timeout, lane, priority, attempt, max_attempts,
            losses, crashes, queue, task, args, kwargs)
        SELECT nextval('taskd.job_seq'), g.id, g.created_at, g.run_at, now(), g.timeout,
               CASE WHEN g.outcome = 'i' THEN 10 ELSE g.priority END, g.priority, g.charged,
               g.max_attempts, g.losses, g.crashes, g.queue, g.task, g.args, g.kwargs
        FROM (SELECT * FROM gone WHERE delay <= 0 ORDER BY id) g
        RETURNING queue, lane, seq
    ), told AS (
        SELECT taskd.notify_hosts_v1(a.queue, a.lane, count(*)::integer, min(a.seq))
        FROM again a
        WHERE EXISTS (SELECT FROM taskd.host WHERE idle)
        GROUP BY a.queue, a.lane
    )
    SELECT (SELECT count(*) FROM gone) + 0 * (SELECT count(*) FROM told) INTO ended;
    IF ended = cardinality(p_ids) THEN
        RETURN NULL;
    END IF;
    RETURN taskd.lost_jobs_v1(p_ids, p_fences);
END $$;

-- Claimed but never started (a worker drains with jobs in its hand): back to the front, and as if
-- never claimed.
CREATE FUNCTION taskd.give_back_jobs_v1(p_worker bigint, p_ids bigint[], p_fences bigint[])
RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
DECLARE
    given integer;
BEGIN
    WITH gone AS (
        DELETE FROM taskd.running r
        USING unnest(p_ids, p_fences) AS u (id, fence)
        WHERE r.id = u.id AND r.fence = u.fence AND r.worker + 0 = p_worker
        RETURNING r.*
    ), again AS (
        INSERT INTO taskd.queued (
            seq, id, created_at, run_at, ready_at, timeout, lane, priority, attempt, max_attempts,
            losses, crashes, queue, task, args, kwargs)
        SELECT nextval('taskd.job_seq'), g.id, g.created_at, g.run_at, g.ready_at, g.timeout, 10,
               g.priority, g.attempt - 1, g.max_attempts, g.losses, g.crashes, g.queue, g.task,
               g.args, g.kwargs
        FROM (SELECT * FROM gone ORDER BY id) g
        RETURNING queue, lane, seq
    ), told AS (
        SELECT taskd.notify_hosts_v1(a.queue, a.lane, count(*)::integer, min(a.seq))
        FROM again a
        WHERE EXISTS (SELECT FROM taskd.host WHERE idle)
        GROUP BY a.queue, a.lane
    )
    SELECT (SELECT count(*) FROM gone) + 0 * (SELECT count(*) FROM told) INTO given;
    RETURN given;
END $$;
