-- The end of an attempt. Every function here takes the worker and, for each job, the fence of its
-- claim, and touches only jobs whose fence and worker still match. Called by the reporter.
--
-- The plan must go from the ids to the primary key of running, whatever was there when it was made: at
-- a quiet moment the table looks empty, and to read all of it for each batch looks cheap. Hence
--   enable_seqscan = off   and worker + 0, which no index has;
--   id BETWEEN x AND x     because with id = x, all of the index is read in its order, as if to merge;
--   (SELECT … LIMIT 1)     because EXISTS may become a hash of all of a table.
-- The plan is generic, because making one for each array costs as much as the end of a job.
--
-- What ends must be told (let_go_v1), but most jobs have nobody to tell and nothing to let go of. So
-- the completions ask first, in one statement after the delete: whether anything lies in the range of
-- their ids, one look at each index. In a wide range dead entries could lie, so then they ask whether
-- those tables have any page: they have none where nobody has ever waited, and none again once all that
-- was there is dead and vacuumed, so a row that a look could see, or one not yet committed, is in a page.

-- The ids that were not ours any more. An outcome that is recorded already (the answer to an earlier
-- call was lost) is not lost: the caller may repeat any call.
CREATE FUNCTION taskd.lost_jobs_v1(p_ids bigint[], p_fences bigint[]) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(u.id)
    FROM unnest(p_ids, p_fences) AS u (id, fence)
    WHERE (SELECT 1 FROM taskd.history h WHERE h.id = u.id AND h.fence = u.fence LIMIT 1) IS NULL
      AND (SELECT 1 FROM taskd.attempt a WHERE a.job = u.id AND a.fence = u.fence
           AND a.outcome NOT IN ('l', 'g', 'h', 'k') LIMIT 1) IS NULL -- those a rescue has written
$$;

-- The common case, with the smallest statement: succeeded, no result. p_durations in seconds, p_cpus in
-- microseconds; NULL, there or in its place: not known. NULL, or the ids that were lost.
CREATE FUNCTION taskd.complete_succeeded_v1(
    p_worker bigint, p_ids bigint[], p_fences bigint[], p_durations real[], p_cpus bigint[] DEFAULT NULL
) RETURNS bigint[] LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    done bigint[];
    first bigint;
    last bigint;
    holdings taskd.holding[];
BEGIN
    WITH gone AS (
        DELETE FROM taskd.running r
        USING unnest(p_ids, p_fences, p_durations, p_cpus) AS u (id, fence, duration, cpu)
        WHERE r.id BETWEEN u.id AND u.id AND r.fence = u.fence AND r.worker + 0 = p_worker
        RETURNING r.*, u.duration, u.cpu
    ), ended AS (
        INSERT INTO taskd.history (
            id, fence, worker, created_at, run_at, ready_at, started_at, timeout, priority, attempt,
            max_attempts, losses, crashes, state, queue, task, args, kwargs, extra, res, need, cpu)
        SELECT g.id, g.fence, g.worker, g.created_at, g.run_at, g.ready_at,
               now() - g.duration * interval '1 second', g.timeout, g.priority, g.attempt,
               g.max_attempts, g.losses, g.crashes, 's', g.queue, g.task, g.args, g.kwargs, g.extra,
               g.res, g.need, g.cpu * 1e-6::real
        FROM gone g
    )
    SELECT array_agg(g.id), min(g.id), max(g.id),
           array_agg(ROW(g.id, g.res, g.need, g.place, g.extra->>'unique')::taskd.holding)
               FILTER (WHERE g.extra IS NOT NULL OR g.res IS NOT NULL)
    INTO done, first, last, holdings
    FROM gone g;
    IF holdings IS NOT NULL
       OR taskd.has_mail_v1()
       OR (CASE WHEN last - first > 10000 THEN
              pg_relation_size('taskd.dependency') + pg_relation_size('taskd.adopted')
              + pg_relation_size('taskd.waiter') > 0
          ELSE
              EXISTS (SELECT FROM taskd.dependency d WHERE d.parent BETWEEN first AND last)
              OR EXISTS (SELECT FROM taskd.adopted a WHERE a.job BETWEEN first AND last)
              OR EXISTS (SELECT FROM taskd.waiter w WHERE w.job BETWEEN first AND last)
          END)
       OR current_setting('transaction_isolation') <> 'read committed'
    THEN
        PERFORM taskd.let_go_v1(done, NULL, holdings, true);
    END IF;
    IF cardinality(done) = cardinality(p_ids) THEN
        RETURN NULL;
    END IF;
    RETURN taskd.lost_jobs_v1(p_ids, p_fences);
END $$;

-- Any final state, with its result or its error. p_durations NULL: it never started. p_is_own: not
-- in the transaction of a job that ends together with what it wrote. p_cpus in microseconds, p_memories
-- in bytes, as in history.
CREATE FUNCTION taskd.complete_jobs_v1(
    p_worker bigint, p_ids bigint[], p_fences bigint[], p_durations real[], p_states "char"[],
    p_results text[], p_errors text[], p_tracebacks text[], p_is_own boolean,
    p_cpus bigint[] DEFAULT NULL, p_memories bigint[] DEFAULT NULL
) RETURNS bigint[] LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    done bigint[];
    good boolean[];
    first bigint;
    last bigint;
    holdings taskd.holding[];
BEGIN
    WITH gone AS (
        DELETE FROM taskd.running r
        USING unnest(p_ids, p_fences, p_durations, p_states, p_results, p_errors, p_tracebacks, p_cpus,
                     p_memories)
              AS u (id, fence, duration, state, result, error, traceback, cpu, memory)
        WHERE r.id BETWEEN u.id AND u.id AND r.fence = u.fence AND r.worker + 0 = p_worker
        RETURNING r.*, u.duration, u.state, u.result, u.error, u.traceback, u.cpu, u.memory
    ), ended AS (
        INSERT INTO taskd.history (
            id, fence, worker, created_at, run_at, ready_at, started_at, timeout, priority, attempt,
            max_attempts, losses, crashes, state, queue, task, args, kwargs, extra, res, need, error,
            traceback, has_result, cpu, memory)
        SELECT g.id, g.fence, g.worker, g.created_at, g.run_at, g.ready_at,
               now() - g.duration * interval '1 second', g.timeout, g.priority, g.attempt,
               g.max_attempts, g.losses, g.crashes, g.state, g.queue, g.task, g.args, g.kwargs,
               g.extra, g.res, g.need, g.error, g.traceback, g.result IS NOT NULL,
               g.cpu * 1e-6::real, g.memory
        FROM gone g
    ), kept AS (
        INSERT INTO taskd.result (job, value)
        SELECT g.id, g.result FROM gone g WHERE g.result IS NOT NULL
    )
    SELECT array_agg(g.id), array_agg(g.state = 's'), min(g.id), max(g.id),
           array_agg(ROW(g.id, g.res, g.need, g.place, g.extra->>'unique')::taskd.holding)
               FILTER (WHERE g.extra IS NOT NULL OR g.res IS NOT NULL)
    INTO done, good, first, last, holdings
    FROM gone g;
    IF holdings IS NOT NULL OR NOT p_is_own
       OR taskd.has_mail_v1()
       OR (CASE WHEN last - first > 10000 THEN
              pg_relation_size('taskd.dependency') + pg_relation_size('taskd.adopted')
              + pg_relation_size('taskd.waiter') > 0
          ELSE
              EXISTS (SELECT FROM taskd.dependency d WHERE d.parent BETWEEN first AND last)
              OR EXISTS (SELECT FROM taskd.adopted a WHERE a.job BETWEEN first AND last)
              OR EXISTS (SELECT FROM taskd.waiter w WHERE w.job BETWEEN first AND last)
          END)
       OR current_setting('transaction_isolation') <> 'read committed'
    THEN
        PERFORM taskd.let_go_v1(done, good, holdings, p_is_own);
    END IF;
    IF cardinality(done) = cardinality(p_ids) THEN
        RETURN NULL;
    END IF;
    RETURN taskd.lost_jobs_v1(p_ids, p_fences);
END $$;

-- Column extra of a job that has begun: it cannot be too late for that any more.
CREATE FUNCTION taskd.begun_v1(p_extra jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_extra ? 'expires' THEN nullif(p_extra - 'expires', '{}') ELSE p_extra END
$$;

-- Attempts that ended but not their jobs. p_outcomes: r retry, t timed out (both keep the attempt
-- counted), z snooze, i interrupted (both give it back). p_delays in seconds; 0 goes to the front
-- lane of its queue at once if interrupted, to its own lane otherwise. One that is to be cancelled
-- ends as cancelled instead. One that has come to such an end in quarantine is cleared of its losses.
-- p_release: it lets go of its resources until the next attempt, and then stands in line for them anew;
-- NULL: none does.
CREATE FUNCTION taskd.retry_jobs_v1(
    p_worker bigint, p_ids bigint[], p_fences bigint[], p_durations real[], p_outcomes "char"[],
    p_delays double precision[], p_errors text[], p_tracebacks text[], p_release boolean[],
    p_cpus bigint[] DEFAULT NULL, p_memories bigint[] DEFAULT NULL
) RETURNS bigint[] LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    ended integer;
    cancelled bigint[];
    arrivals bigint[];
    holdings taskd.holding[];
BEGIN
    -- A cancel holds these rows until it has written its request: then the next statement sees it.
    PERFORM FROM taskd.running r WHERE r.id = ANY (p_ids) ORDER BY r.id FOR UPDATE;
    PERFORM taskd.hold_adopted_v1(p_ids);
    WITH gone AS MATERIALIZED (
        DELETE FROM taskd.running r
        USING unnest(p_ids, p_fences, p_durations, p_outcomes, p_delays, p_errors, p_tracebacks, p_release,
                     p_cpus, p_memories)
              AS u (id, fence, duration, outcome, delay, error, traceback, release, cpu, memory)
        WHERE r.id BETWEEN u.id AND u.id AND r.fence = u.fence AND r.worker + 0 = p_worker
        RETURNING r.*, now() - coalesce(u.duration, 0) * interval '1 second' AS started_at,
                  u.outcome, u.delay, u.error, u.traceback, u.cpu * 1e-6::real AS cpu, u.memory,
                  CASE WHEN NOT taskd.lets_go_v1(u.release, u.outcome, r.res) THEN r.place END AS kept_place,
                  (r.place IS NULL OR taskd.lets_go_v1(u.release, u.outcome, r.res))
                  AND taskd.asks_v1(r.res, r.queue, r.extra) AS asks,
                  (r.attempt - CASE WHEN u.outcome IN ('z', 'i') THEN 1 ELSE 0 END)::smallint AS charged,
                  (CASE WHEN r.losses >= 2 AND u.outcome <> 'i' THEN 0 ELSE r.losses END)::smallint AS left_losses,
                  (SELECT o.kind FROM taskd.request o WHERE o.job = r.id AND o.kind = 'cancel' LIMIT 1)
                  IS NOT NULL AS is_cancelled
    ), kept AS (
        INSERT INTO taskd.attempt (
            job, fence, worker, started_at, number, outcome, cpu, memory, queue, task, ready_at, error,
            traceback)
        SELECT g.id, g.fence, g.worker, g.started_at, g.attempt, g.outcome, g.cpu, g.memory, g.queue,
               g.task, coalesce(g.ready_at, g.created_at), g.error, g.traceback
        FROM gone g WHERE NOT g.is_cancelled
    ), over AS (
        INSERT INTO taskd.history (
            id, fence, worker, created_at, run_at, ready_at, started_at, timeout, priority, attempt,
            max_attempts, losses, crashes, state, cpu, memory, queue, task, args, kwargs, extra, res, need,
            error, traceback)
        SELECT g.id, g.fence, g.worker, g.created_at, g.run_at, g.ready_at, g.started_at, g.timeout,
               g.priority, g.attempt, g.max_attempts, g.losses, g.crashes, 'c', g.cpu, g.memory, g.queue, g.task, g.args,
               g.kwargs, g.extra, g.res, g.need, coalesce(g.error, 'cancelled while it ran'), g.traceback
        FROM gone g WHERE g.is_cancelled
    ), later AS (
        INSERT INTO taskd.scheduled (
            run_at, id, created_at, timeout, priority, attempt, max_attempts, losses, crashes,
            queue, task, args, kwargs, extra, res, need, place)
        SELECT now() + g.delay * interval '1 second', g.id, g.created_at, g.timeout, g.priority,
               g.charged, g.max_attempts, g.left_losses, g.crashes, g.queue, g.task, g.args, g.kwargs,
               taskd.begun_v1(g.extra), taskd.own_v1(g.res, g.res), taskd.own_v1(g.res, g.need), g.kept_place
        FROM gone g WHERE g.delay > 0 AND NOT g.is_cancelled
    ), lined AS (
        INSERT INTO taskd.blocked (
            id, created_at, run_at, stage, pending, timeout, priority, attempt, max_attempts, losses,
            crashes, queue, task, args, kwargs, extra, res, need)
        SELECT g.id, g.created_at, g.run_at, 'i', 0, g.timeout, g.priority, g.charged, g.max_attempts,
               g.left_losses, g.crashes, g.queue, g.task, g.args, g.kwargs, taskd.begun_v1(g.extra),
               g.res, g.need
        FROM gone g
        WHERE g.delay <= 0 AND NOT g.is_cancelled AND g.asks
        RETURNING id
    ), again AS (
        INSERT INTO taskd.queued AS q (
            seq, id, created_at, run_at, ready_at, timeout, lane, priority, attempt, max_attempts,
            losses, crashes, queue, task, args, kwargs, extra, res, need, place)
        SELECT nextval('taskd.job_seq'), g.id, g.created_at, g.run_at, now(), g.timeout,
               taskd.lane_v1(CASE WHEN g.outcome = 'i' THEN 10 ELSE g.priority END, g.left_losses, g.crashes,
                             g.kept_place),
               g.priority, g.charged, g.max_attempts, g.left_losses, g.crashes, g.queue, g.task, g.args,
               g.kwargs, taskd.begun_v1(g.extra), g.res, g.need, g.kept_place
        FROM (SELECT * FROM gone
              WHERE delay <= 0 AND NOT is_cancelled AND NOT asks
              ORDER BY id) g
        RETURNING q.queue, q.lane, q.seq
    ), told AS (
        SELECT taskd.notify_hosts_v1(a.queue, a.lane, count(*)::integer, min(a.seq))
        FROM again a
        WHERE EXISTS (SELECT FROM taskd.host WHERE idle)
        GROUP BY a.queue, a.lane
    )
    SELECT count(*) + 0 * (SELECT count(*) FROM told),
           array_agg(g.id) FILTER (WHERE g.is_cancelled),
           (SELECT array_agg(l.id ORDER BY l.id) FROM lined l),
           array_agg(CASE WHEN g.is_cancelled OR g.kept_place IS NULL
                          THEN ROW(g.id, g.res, g.need, g.place,
                                   CASE WHEN g.is_cancelled THEN g.extra->>'unique' END)::taskd.holding
                          ELSE taskd.gate_holding_v1(g.id, g.res, g.place) END)
               FILTER (WHERE (g.is_cancelled AND (g.extra IS NOT NULL OR g.res IS NOT NULL))
                          OR (g.place IS NOT NULL AND g.kept_place IS NULL)
                          OR (g.delay > 0 AND g.res[cardinality(g.res)] LIKE '@queue %'))
    INTO ended, cancelled, arrivals, holdings
    FROM gone g;
    PERFORM taskd.send_arrivals_v1(arrivals);
    IF cancelled IS NOT NULL OR holdings IS NOT NULL THEN
        PERFORM taskd.let_go_v1(cancelled, (SELECT array_agg(false) FROM unnest(cancelled)), holdings, true);
    ELSIF arrivals IS NOT NULL THEN
        PERFORM taskd.see_to_mail_v1(false);
    END IF;
    IF ended = cardinality(p_ids) THEN
        RETURN NULL;
    END IF;
    RETURN taskd.lost_jobs_v1(p_ids, p_fences);
END $$;

-- Claimed but never started (a worker drains with jobs in its hand): back to the front, and as if
-- never claimed. It keeps what it holds. One that is to be cancelled ends as cancelled instead. How
-- many went back.
CREATE FUNCTION taskd.give_back_jobs_v1(p_worker bigint, p_ids bigint[], p_fences bigint[])
RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    given integer;
    over bigint[];
    holdings taskd.holding[];
BEGIN
    -- A cancel holds these rows until it has written its request: then the next statement sees it.
    PERFORM FROM taskd.running r WHERE r.id = ANY (p_ids) ORDER BY r.id FOR UPDATE;
    PERFORM taskd.hold_adopted_v1(p_ids);
    WITH gone AS MATERIALIZED (
        DELETE FROM taskd.running r
        USING unnest(p_ids, p_fences) AS u (id, fence)
        WHERE r.id BETWEEN u.id AND u.id AND r.fence = u.fence AND r.worker + 0 = p_worker
        RETURNING r.*,
                  (SELECT o.kind FROM taskd.request o WHERE o.job = r.id AND o.kind = 'cancel' LIMIT 1)
                  IS NOT NULL AS is_cancelled
    ), ended AS (
        INSERT INTO taskd.history (
            id, fence, worker, created_at, run_at, ready_at, timeout, priority, attempt, max_attempts,
            losses, crashes, state, queue, task, args, kwargs, extra, res, need, error)
        SELECT g.id, g.fence, g.worker, g.created_at, g.run_at, g.ready_at, g.timeout, g.priority,
               g.attempt - 1, g.max_attempts, g.losses, g.crashes, 'c', g.queue, g.task, g.args,
               g.kwargs, g.extra, g.res, g.need, 'cancelled'
        FROM gone g WHERE g.is_cancelled
    ), again AS (
        INSERT INTO taskd.queued AS q (
            seq, id, created_at, run_at, ready_at, timeout, lane, priority, attempt, max_attempts,
            losses, crashes, queue, task, args, kwargs, extra, res, need, place)
        SELECT nextval('taskd.job_seq'), g.id, g.created_at, g.run_at, g.ready_at, g.timeout,
               taskd.lane_v1(10, g.losses, g.crashes, g.place), g.priority, g.attempt - 1, g.max_attempts, g.losses, g.crashes, g.queue, g.task,
               g.args, g.kwargs, g.extra, g.res, g.need, g.place
        FROM (SELECT * FROM gone WHERE NOT is_cancelled ORDER BY id) g
        RETURNING q.queue, q.lane, q.seq
    ), told AS (
        SELECT taskd.notify_hosts_v1(a.queue, a.lane, count(*)::integer, min(a.seq))
        FROM again a
        WHERE EXISTS (SELECT FROM taskd.host WHERE idle)
        GROUP BY a.queue, a.lane
    )
    SELECT count(*) FILTER (WHERE NOT g.is_cancelled) + 0 * (SELECT count(*) FROM told),
           array_agg(g.id) FILTER (WHERE g.is_cancelled),
           array_agg(ROW(g.id, g.res, g.need, g.place, g.extra->>'unique')::taskd.holding)
               FILTER (WHERE g.is_cancelled AND (g.extra IS NOT NULL OR g.res IS NOT NULL))
    INTO given, over, holdings
    FROM gone g;
    IF over IS NOT NULL THEN
        PERFORM taskd.let_go_v1(over, array_fill(false, ARRAY[cardinality(over)]), holdings, true);
    END IF;
    RETURN given;
END $$;
