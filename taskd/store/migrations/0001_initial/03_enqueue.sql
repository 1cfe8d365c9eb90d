-- Enqueue: inserts only; takes no lock that anybody waits for, so it is safe in a caller's own
-- transaction at any isolation level.

-- Tell listening hosts that jobs wait. The payload says where, how many and from which seq on, so
-- that a commit that comes late (behind a low-water mark) is found at once.
CREATE FUNCTION taskd.notify_hosts_v1(p_queue text, p_lane integer, p_count integer, p_seq bigint)
RETURNS void LANGUAGE sql AS $$
    SELECT pg_notify('taskd', json_build_array(p_queue, p_lane, p_count, p_seq)::text)
$$;

-- p_args[i], p_kwargs[i]: the arguments of job i, JSON. Due when p_delay seconds have passed, or at
-- p_run_at, or now. p_always: notify even if no host says that it is idle; a caller's own
-- transaction must, because its snapshot may be older than the host's going idle.
-- The new ids, in the order of the arguments.
CREATE FUNCTION taskd.enqueue_jobs_v1(
    p_task text, p_args text[], p_kwargs text[], p_queue text, p_priority smallint,
    p_delay double precision, p_run_at timestamptz, p_max_attempts smallint, p_timeout real,
    p_always boolean
) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    n integer := cardinality(p_args);
    ids bigint[];
    due timestamptz := coalesce(p_run_at, clock_timestamp() + p_delay * interval '1 second');
BEGIN
    ids := ARRAY(SELECT nextval('taskd.job_seq') FROM generate_series(1, n));
    IF n = 0 THEN
        RETURN ids;
    ELSIF due > clock_timestamp() THEN
        INSERT INTO taskd.scheduled (run_at, id, created_at, timeout, priority, attempt,
                                     max_attempts, queue, task, args, kwargs)
        SELECT due, u.id, clock_timestamp(), p_timeout, p_priority, 0,
               p_max_attempts, p_queue, p_task, u.args, u.kwargs
        FROM unnest(ids, p_args, p_kwargs) AS u (id, args, kwargs);
        PERFORM pg_notify('taskd', json_build_array(extract(epoch FROM due - clock_timestamp()))::text)
        WHERE p_always OR EXISTS (SELECT FROM taskd.host WHERE idle);
    ELSE
        INSERT INTO taskd.queued (seq, id, created_at, run_at, timeout, lane, priority, attempt,
                                  max_attempts, queue, task, args, kwargs)
        SELECT u.id, u.id, clock_timestamp(), p_run_at, p_timeout, p_priority, p_priority, 0,
               p_max_attempts, p_queue, p_task, u.args, u.kwargs
        FROM unnest(ids, p_args, p_kwargs) AS u (id, args, kwargs);
        PERFORM taskd.notify_hosts_v1(p_queue, p_priority, n, ids[1])
        WHERE p_always OR EXISTS (SELECT FROM taskd.host WHERE idle);
    END IF;
    RETURN ids;
END $$;

-- A job that has ended, once more: a new job with its task and arguments. A final state is final.
-- One row for each id that was found ended, in the order of p_ids.
CREATE FUNCTION taskd.requeue_jobs_v1(p_ids bigint[])
RETURNS TABLE (old_id bigint, new_id bigint) LANGUAGE plpgsql AS $$
DECLARE
    olds bigint[];
    news bigint[];
BEGIN
    WITH again AS MATERIALIZED (
        SELECT nextval('taskd.job_seq') AS new_id, found.*
        FROM (SELECT h.*
              FROM unnest(p_ids) WITH ORDINALITY AS u (wanted, place)
              CROSS JOIN LATERAL (SELECT * FROM taskd.history h WHERE h.id = u.wanted LIMIT 1) h
              ORDER BY u.place) found
    ), entered AS (
        INSERT INTO taskd.queued (seq, id, created_at, timeout, lane, priority, attempt,
                                  max_attempts, queue, task, args, kwargs)
        SELECT a.new_id, a.new_id, clock_timestamp(), a.timeout, a.priority, a.priority, 0,
               a.max_attempts, a.queue, a.task, a.args, a.kwargs
        FROM again a
    )
    SELECT array_agg(a.id ORDER BY a.new_id), array_agg(a.new_id ORDER BY a.new_id)
    INTO olds, news FROM again a;
    PERFORM taskd.notify_hosts_v1(q.queue, q.lane, count(*)::integer, min(q.seq))
    FROM taskd.queued q
    WHERE q.id = ANY (news)
    GROUP BY q.queue, q.lane;
    RETURN QUERY SELECT * FROM unnest(olds, news);
END $$;
