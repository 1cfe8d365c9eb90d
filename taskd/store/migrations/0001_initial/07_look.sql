-- Looking at jobs, and cancelling them.

-- Every job, wherever it is. A condition on id or state reaches each table's own index.
CREATE VIEW taskd.job AS
    SELECT id, task, queue, 'queued'::text AS state, priority, attempt, max_attempts, losses, crashes,
           timeout, args, kwargs, NULL::text AS result, NULL::text AS error, NULL::text AS traceback,
           created_at, run_at, ready_at, NULL::timestamptz AS started_at,
           NULL::timestamptz AS finished_at, NULL::bigint AS worker
    FROM taskd.queued
    UNION ALL
    SELECT id, task, queue, 'scheduled', priority, attempt, max_attempts, losses, crashes,
           timeout, args, kwargs, NULL, NULL, NULL,
           created_at, run_at, NULL, NULL, NULL, NULL
    FROM taskd.scheduled
    UNION ALL
    SELECT id, task, queue, 'blocked', priority, attempt, max_attempts, losses, crashes,
           timeout, args, kwargs, NULL, NULL, NULL,
           created_at, run_at, NULL, NULL, NULL, NULL
    FROM taskd.blocked
    UNION ALL
    SELECT id, task, queue, 'running', priority, attempt, max_attempts, losses, crashes,
           timeout, args, kwargs, NULL, NULL, NULL,
           created_at, run_at, ready_at, claimed_at, NULL, worker
    FROM taskd.running
    UNION ALL
    SELECT id, task, queue,
           CASE state WHEN 's' THEN 'succeeded' WHEN 'f' THEN 'failed' ELSE 'cancelled' END,
           priority, attempt, max_attempts, losses, crashes,
           timeout, args, kwargs, result, error, traceback,
           created_at, run_at, ready_at, started_at, finished_at, worker
    FROM taskd.history;

-- Cancel jobs: what waits ends at once; a running one gets a request, and its worker ends it.
-- A row for each id: cancelled, cancelling, ended (it was over already) or unknown.
CREATE FUNCTION taskd.cancel_jobs_v1(p_ids bigint[])
RETURNS TABLE (id bigint, outcome text) LANGUAGE plpgsql SET jit = off AS $$
#variable_conflict use_column
DECLARE
    over bigint[];
    asked bigint[];
BEGIN
    WITH q AS (
        DELETE FROM taskd.queued WHERE id = ANY (p_ids)
        RETURNING id, created_at, run_at, ready_at, timeout, priority, attempt, max_attempts,
                  losses, crashes, queue, task, args, kwargs
    ), s AS (
        DELETE FROM taskd.scheduled WHERE id = ANY (p_ids)
        RETURNING id, created_at, run_at, NULL::timestamptz, timeout, priority, attempt, max_attempts,
                  losses, crashes, queue, task, args, kwargs
    ), b AS (
        DELETE FROM taskd.blocked WHERE id = ANY (p_ids)
        RETURNING id, created_at, run_at, NULL::timestamptz, timeout, priority, attempt, max_attempts,
                  losses, crashes, queue, task, args, kwargs
    ), ended AS (
        INSERT INTO taskd.history AS h (
            id, created_at, run_at, ready_at, timeout, priority, attempt, max_attempts, losses,
            crashes, queue, task, args, kwargs, state)
        SELECT x.*, 'c' FROM (SELECT * FROM q UNION ALL SELECT * FROM s UNION ALL SELECT * FROM b) x
        RETURNING h.id
    )
    SELECT array_agg(id) INTO over FROM ended;
    WITH ordered AS (
        INSERT INTO taskd.request AS o (kind, job, worker)
        SELECT 'cancel', r.id, r.worker FROM taskd.running r WHERE r.id = ANY (p_ids)
        RETURNING o.job
    )
    SELECT array_agg(job) INTO asked FROM ordered;
    IF asked IS NOT NULL THEN
        PERFORM pg_notify('taskd', '"request"');
    END IF;
    RETURN QUERY
    SELECT u.id, CASE WHEN u.id = ANY (over) THEN 'cancelled'
                      WHEN u.id = ANY (asked) THEN 'cancelling'
                      WHEN EXISTS (SELECT FROM taskd.job j WHERE j.id = u.id) THEN 'ended'
                      ELSE 'unknown' END
    FROM unnest(p_ids) AS u (id);
END $$;

-- The orders for these workers' jobs: (request, worker, job), taken out of the table.
CREATE FUNCTION taskd.take_requests_v1(p_workers bigint[])
RETURNS TABLE (kind text, worker bigint, job bigint) LANGUAGE sql AS $$
    DELETE FROM taskd.request r WHERE r.worker = ANY (p_workers) RETURNING r.kind, r.worker, r.job
$$;

-- Ask the living hosts to report their processes now.
CREATE FUNCTION taskd.ask_reports_v1() RETURNS void LANGUAGE sql AS $$
    INSERT INTO taskd.request (kind, host) SELECT 'report', h.id FROM taskd.host h WHERE h.ended_at IS NULL;
    SELECT pg_notify('taskd', '"request"');
$$;
