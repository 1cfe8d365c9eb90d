-- A hand-off: the end of jobs, and the next claim of their worker, in one transaction of one statement:
--
--   SELECT taskd.begin_hand_off_v1(worker), taskd.complete_succeeded_v1(worker, …),
--          taskd.end_hand_off_v1(worker, …)
--
-- The functions of a list are executed in its order. What the end lets into the queues is committed
-- together with its claim, so it takes one commit and one way to the server, and nobody is called for
-- jobs that are gone when he looks. Either all of it happens or nothing; so no more than a claim alone
-- or an end alone can it leave a job without a worker that knows of it (see recover_claims_v1).

-- From now on, who lets jobs in tells end_hand_off_v1 of them, not the hosts. The worker's row is locked
-- before the rows of its jobs, as a rescue does. What is to be ended may be locked for long, by a job
-- that ended itself in a transaction of its own; a recovery, and every claim after it, would wait for us.
CREATE FUNCTION taskd.begin_hand_off_v1(p_worker bigint) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
BEGIN
    PERFORM FROM taskd.worker w WHERE w.id = p_worker FOR KEY SHARE;
    PERFORM set_config('taskd.untold', '[]', true), set_config('lock_timeout', '1s', true);
END $$;

-- Claim as claim_jobs_v1 does, and tell the hosts of those lanes that still hold what was let in, and where
-- that begins. Who finds nothing may sleep now, and not see what others have sent while we dispatched.
-- '-' instead of much: to send it might wait for a client that does not read, while we alone may dispatch.
-- He takes it by unread_jobs_v1 then.
CREATE FUNCTION taskd.end_hand_off_v1(
    p_worker bigint, p_queues text[], p_lanes smallint[], p_marks bigint[], p_count integer,
    p_ends integer[], p_recoveries integer
) RETURNS text LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    jobs text := taskd.claim_jobs_v1(p_worker, p_queues, p_lanes, p_marks, p_count, p_ends, p_recoveries);
    untold json := current_setting('taskd.untold');
BEGIN
    PERFORM set_config('taskd.untold', '', true);
    PERFORM taskd.notify_hosts_v1(u.news->>0, (u.news->>1)::integer, l.n, l.seq)
    FROM json_array_elements(untold) AS u (news)
    CROSS JOIN LATERAL (
        SELECT count(*)::integer AS n, min(w.seq) AS seq
        FROM (SELECT q.seq FROM taskd.queued q
              WHERE q.queue = u.news->>0 AND q.lane = (u.news->>1)::smallint
                AND q.seq >= (u.news->>3)::bigint
              ORDER BY q.seq LIMIT (u.news->>2)::integer) w) l
    WHERE l.n > 0;
    PERFORM pg_notify('taskd', '"mail"') WHERE jobs = '' AND taskd.has_mail_v1();
    RETURN CASE WHEN octet_length(jobs) > 32768 THEN '-' ELSE jobs END;
END $$;
