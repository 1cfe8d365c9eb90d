-- Looking at jobs, and cancelling, moving and purging them.

-- Settings of the transaction that calls them. They are functions because RDS Proxy binds a client that
-- sends SET or set_config itself, be it for one transaction, to one connection until it leaves; what a
-- function sets binds nobody (its user guide, "Avoiding pinning an RDS Proxy").

-- No statement may take longer than so many seconds, and none is worth compiling.
CREATE FUNCTION taskd.limit_statements_v1(p_seconds double precision) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('statement_timeout', round(p_seconds * 1000)::text, true),
            set_config('jit', 'off', true);
END $$;

-- None may wait longer than so many seconds for a lock.
CREATE FUNCTION taskd.limit_locks_v1(p_seconds double precision) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('lock_timeout', round(p_seconds * 1000)::text, true);
END $$;

-- They are planned as those within our functions are: by an index wherever there is one.
CREATE FUNCTION taskd.plan_by_index_v1() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
            set_config('jit', 'off', true);
END $$;

-- Every job that has not ended, wherever it is. A condition on id, state or part reaches each table's
-- own index. part: where it waits; queue and requires: what that says (see queue_of_v1). has_result:
-- it returned something, which may have been dropped by now.
CREATE VIEW taskd.live_job AS
    SELECT id, task, taskd.queue_of_v1(queue) AS queue, 'queued'::text AS state, priority, attempt,
           max_attempts, losses, crashes, timeout, args, kwargs, extra, NULL::text AS result,
           NULL::text AS error, NULL::text AS traceback, created_at, run_at, ready_at,
           NULL::timestamptz AS started_at, NULL::timestamptz AS finished_at, NULL::bigint AS worker,
           res, need, taskd.version_of_v1(queue) AS requires, queue AS part,
           false AS has_result, NULL::real AS cpu, NULL::bigint AS memory, NULL::bigint AS requeued_as,
           NULL::bigint AS cause_hash
    FROM taskd.queued
    UNION ALL
    SELECT id, task, taskd.queue_of_v1(queue), 'scheduled', priority, attempt, max_attempts, losses,
           crashes, timeout, args, kwargs, extra, NULL, NULL, NULL,
           created_at, run_at, NULL, NULL, NULL, NULL, res, need, taskd.version_of_v1(queue), queue,
           false, NULL, NULL, NULL, NULL
    FROM taskd.scheduled
    UNION ALL
    SELECT id, task, taskd.queue_of_v1(queue), 'blocked', priority, attempt, max_attempts, losses,
           crashes, timeout, args, kwargs, extra, NULL, NULL, NULL,
           created_at, run_at, NULL, NULL, NULL, NULL, res, need, taskd.version_of_v1(queue), queue,
           false, NULL, NULL, NULL, NULL
    FROM taskd.blocked
    UNION ALL
    SELECT r.id, r.task, taskd.queue_of_v1(r.queue),
           CASE WHEN (SELECT o.kind FROM taskd.request o WHERE o.job = r.id AND o.kind = 'cancel' LIMIT 1)
                     IS NOT NULL
                THEN 'cancelling' ELSE 'running' END,
           r.priority, r.attempt, r.max_attempts, r.losses, r.crashes,
           r.timeout, r.args, r.kwargs, r.extra, NULL, NULL, NULL,
           r.created_at, r.run_at, r.ready_at, r.claimed_at, NULL, r.worker, r.res, r.need,
           taskd.version_of_v1(r.queue), r.queue, false, NULL, NULL, NULL, NULL
    FROM taskd.running r;

-- The jobs that have ended, a branch a state: so a condition on the state is a constant of a branch,
-- and one on failed or cancelled jobs finds its own small index.
CREATE VIEW taskd.ended_job AS
    SELECT h.id, h.task, taskd.queue_of_v1(h.queue) AS queue, 'succeeded'::text AS state, h.priority,
           h.attempt, h.max_attempts, h.losses, h.crashes, h.timeout, h.args, h.kwargs, h.extra,
           (SELECT r.value FROM taskd.result r WHERE r.job = h.id LIMIT 1) AS result,
           h.error, h.traceback, h.created_at, h.run_at, h.ready_at, h.started_at, h.finished_at,
           h.worker, h.res, h.need, taskd.version_of_v1(h.queue) AS requires, h.queue AS part,
           h.has_result, h.cpu, h.memory, h.requeued_as, NULL::bigint AS cause_hash
    FROM taskd.history h WHERE h.state = 's'
    UNION ALL
    SELECT h.id, h.task, taskd.queue_of_v1(h.queue), 'failed', h.priority, h.attempt, h.max_attempts,
           h.losses, h.crashes, h.timeout, h.args, h.kwargs, h.extra, NULL, h.error, h.traceback,
           h.created_at, h.run_at, h.ready_at, h.started_at, h.finished_at, h.worker, h.res, h.need,
           taskd.version_of_v1(h.queue), h.queue, false, h.cpu, h.memory, h.requeued_as,
           h.cause_hash
    FROM taskd.history h WHERE h.state = 'f'
    UNION ALL
    SELECT h.id, h.task, taskd.queue_of_v1(h.queue), 'cancelled', h.priority, h.attempt, h.max_attempts,
           h.losses, h.crashes, h.timeout, h.args, h.kwargs, h.extra, NULL, h.error, h.traceback,
           h.created_at, h.run_at, h.ready_at, h.started_at, h.finished_at, h.worker, h.res, h.need,
           taskd.version_of_v1(h.queue), h.queue, false, h.cpu, h.memory, h.requeued_as,
           NULL
    FROM taskd.history h WHERE h.state = 'c';

-- Every job.
CREATE VIEW taskd.job AS
    SELECT * FROM taskd.live_job
    UNION ALL
    SELECT * FROM taskd.ended_job;

-- Whether the arguments of a job hold p_args (a JSON array, equal from its front on; null: anything)
-- and p_kwargs (a JSON object that theirs contain). Arguments may hold what jsonb cannot (a NUL
-- character); such a job is not found by its arguments.
CREATE FUNCTION taskd.holds_arguments_v1(args text, kwargs text, p_args jsonb, p_kwargs jsonb)
RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN (p_kwargs IS NULL OR kwargs::jsonb @> p_kwargs)
       AND (p_args IS NULL OR NOT EXISTS (
               SELECT FROM jsonb_array_elements(p_args) WITH ORDINALITY AS w (value, place)
               WHERE w.value <> 'null' AND w.value IS DISTINCT FROM args::jsonb->(w.place - 1)::integer));
EXCEPTION WHEN untranslatable_character OR invalid_text_representation THEN
    RETURN false;
END $$;

-- Cancel jobs: what waits ends at once; a running one gets a request, and its worker ends it.
-- A row for each id: cancelled, cancelling, ended (it was over already) or unknown. cancelling: it
-- runs, or somebody moves it at this moment; then our letter stays until it has come to rest.
-- Waits for nobody but, for a tenth of a second, for a dispatcher that is at it.
CREATE FUNCTION taskd.cancel_jobs_v1(p_ids bigint[])
RETURNS TABLE (id bigint, outcome text) LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO taskd.mail (kind, ids) VALUES ('c', p_ids);
    FOR attempt IN 1 .. 20 LOOP
        EXIT WHEN taskd.dispatch_v1(100, 10, 500) <> -1;
        PERFORM pg_sleep(0.005);
    END LOOP;
    PERFORM pg_notify('taskd', '"mail"') WHERE taskd.has_mail_v1();
    RETURN QUERY
    SELECT u.id, CASE WHEN h.state = 'c' AND h.finished_at >= now() THEN 'cancelled'
                      WHEN h.id IS NOT NULL THEN 'ended'
                      WHEN (SELECT j.id FROM taskd.live_job j WHERE j.id = u.id LIMIT 1) IS NOT NULL
                      THEN 'cancelling'
                      ELSE 'unknown' END
    FROM unnest(p_ids) AS u (id)
    LEFT JOIN LATERAL (SELECT h.id, h.state, h.finished_at FROM taskd.history h
                       WHERE h.id = u.id LIMIT 1) h ON true;
END $$;

-- The orders for these workers' jobs: (kind, worker, job), each given once. The rows of a cancel stay
-- until its job has ended. Questions are not among them: see take_questions_v1.
CREATE FUNCTION taskd.take_requests_v1(p_workers bigint[])
RETURNS TABLE (kind text, worker bigint, job bigint) LANGUAGE sql AS $$
    UPDATE taskd.request r SET taken_at = now()
    WHERE r.worker = ANY (p_workers) AND r.kind = 'cancel' AND r.taken_at IS NULL
    RETURNING r.kind, r.worker, r.job
$$;

-- Ask the living hosts to report their processes now.
CREATE FUNCTION taskd.ask_reports_v1() RETURNS void LANGUAGE sql AS $$
    INSERT INTO taskd.request (kind, host) SELECT 'report', h.id FROM taskd.host h WHERE h.ended_at IS NULL;
    SELECT pg_notify('taskd', '"request"');
$$;

-- Let waiting jobs wait in another queue instead, behind those that are there. How many it were.
-- What runs stays, as does what somebody moves at this moment; a retry goes where it came from. What
-- requires a version of the code still does there. Blocked jobs are the dispatcher's: with any among
-- them it waits for the dispatch lock, and has it until its end. Each passes the limit of its new queue
-- instead of that of its old one, and keeps the resources that it holds.
CREATE FUNCTION taskd.move_jobs_v1(p_ids bigint[], p_queue text) RETURNS integer
LANGUAGE plpgsql SET jit = off SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    lane record;
    moved integer := 0;
    n integer;
BEGIN
    IF EXISTS (SELECT FROM taskd.blocked WHERE id = ANY (p_ids)) THEN
        PERFORM pg_advisory_xact_lock('taskd.mail'::regclass::oid::integer, 1);
        moved := taskd.move_blocked_v1(p_ids, p_queue);
    END IF;
    moved := moved + taskd.move_limited_v1(p_ids, p_queue);
    UPDATE taskd.scheduled SET queue = taskd.moved_part_v1(queue, p_queue)
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM taskd.scheduled
        WHERE id = ANY (p_ids) AND taskd.queue_of_v1(queue) <> p_queue
        FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS n = ROW_COUNT;
    moved := moved + n;
    FOR lane IN
        WITH gone AS (
            DELETE FROM taskd.queued WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM taskd.queued
                WHERE id = ANY (p_ids) AND taskd.queue_of_v1(queue) <> p_queue
                FOR UPDATE SKIP LOCKED))
            RETURNING *
        ), entered AS (
            INSERT INTO taskd.queued AS q (
                seq, id, created_at, run_at, ready_at, timeout, lane, priority, attempt, max_attempts,
                losses, crashes, queue, task, args, kwargs, extra, res, need, place)
            SELECT nextval('taskd.job_seq'), g.id, g.created_at, g.run_at, g.ready_at, g.timeout, g.lane,
                   g.priority, g.attempt, g.max_attempts, g.losses, g.crashes,
                   taskd.moved_part_v1(g.queue, p_queue), g.task, g.args, g.kwargs, g.extra, g.res,
                   g.need, g.place
            FROM (SELECT * FROM gone ORDER BY lane, seq) g
            RETURNING q.queue, q.lane, q.seq
        )
        SELECT e.queue, e.lane, count(*)::integer AS n, min(e.seq) AS seq
        FROM entered e GROUP BY e.queue, e.lane
    LOOP
        moved := moved + lane.n;
        PERFORM taskd.notify_hosts_v1(lane.queue, lane.lane, lane.n, lane.seq)
        WHERE EXISTS (SELECT FROM taskd.host WHERE idle);
    END LOOP;
    RETURN moved;
END $$;

-- Forget ended jobs, with their results, attempts and logs: those in a state of p_states that ended
-- before p_before and lie in the p_blocks blocks of a partition of history from p_from on. The number
-- forgotten. The caller walks over the partition, so nothing is read twice and no lock is held long.
-- What somebody requeues or deletes at this moment stays: it is locked in another order than this.
CREATE FUNCTION taskd.purge_jobs_v1(
    p_part text, p_from bigint, p_blocks bigint, p_before timestamptz, p_states "char"[],
    p_queue text, p_task text
) RETURNS integer LANGUAGE plpgsql SET jit = off AS $$
DECLARE
    ids bigint[];
BEGIN
    EXECUTE format(
        'WITH gone AS (
             DELETE FROM taskd.%1$I h
             WHERE h.ctid = ANY (ARRAY(
                 SELECT h.ctid FROM taskd.%1$I h
                 WHERE h.ctid >= %2$L::tid AND h.ctid < %3$L::tid
                   AND h.finished_at < $1 AND h.state = ANY ($2)
                   AND ($3 IS NULL OR taskd.queue_of_v1(h.queue) = $3) AND ($4 IS NULL OR h.task = $4)
                 FOR UPDATE SKIP LOCKED))
             RETURNING h.id)
         SELECT array_agg(id) FROM gone',
        p_part, format('(%s,0)', p_from), format('(%s,0)', p_from + p_blocks))
    INTO ids USING p_before, p_states, p_queue, p_task;
    DELETE FROM taskd.result r WHERE r.job = ANY (ids);
    DELETE FROM taskd.attempt a WHERE a.job = ANY (ids);
    DELETE FROM taskd.job_log l WHERE l.job = ANY (ids);
    RETURN coalesce(cardinality(ids), 0);
END $$;
