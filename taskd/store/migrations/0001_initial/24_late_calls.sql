-- Calls that were to change the holder of their key ("replace" and "earlier", see 09_unique.sql) while it
-- was blocked. No transaction of a user locks a blocked job, or whoever forgets to commit would hold up
-- its lines. So such a call goes to the dispatcher, as a letter:
--   the job still waits: it gets the arguments, or the time
--   it has begun, or is gone, since: then the call comes too late, and is made again if that leaves it a
--   job of its own: so what is until "started" sees the newest arguments in any case

-- A call as a letter carries it: whom it would change, and the job that it else becomes.
CREATE FUNCTION taskd.late_call_v1(
    p_holder bigint, p_on_conflict text, p_id bigint, p_due timestamptz, p_run_if_failed boolean,
    p_timeout real, p_priority smallint, p_max_attempts smallint, p_queue text, p_task text, p_args text,
    p_kwargs text, p_extra jsonb, p_res text[], p_need integer[]
) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object(
        'holder', p_holder, 'on_conflict', p_on_conflict, 'due', coalesce(p_due, clock_timestamp()),
        'id', p_id, 'created_at', clock_timestamp(), 'run_at', p_due, 'run_if_failed', p_run_if_failed,
        'timeout', p_timeout, 'priority', p_priority, 'max_attempts', p_max_attempts, 'queue', p_queue,
        'task', p_task, 'args', p_args, 'kwargs', p_kwargs, 'extra', p_extra, 'res', p_res,
        'need', p_need)
$$;

-- The places of those calls whose holder (p_ids: -id) is of another call, and is not as they want it: it is
-- blocked, or somebody has moved it since change_waiting_v1 looked, or claimed it, so that it let go of the
-- key. For BETWEEN and LIMIT 1 see 05_end.sql.
CREATE FUNCTION taskd.late_calls_v1(p_jobs taskd.keyed_job[], p_ids bigint[])
RETURNS bigint[] LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN ARRAY(
        SELECT j.ordinality
        FROM (SELECT u.*, -p_ids[u.ordinality] AS holder,
                     row_number() OVER (PARTITION BY p_ids[u.ordinality], u.on_conflict
                                        ORDER BY u.ordinality DESC) AS nth_last
              FROM unnest(p_jobs) WITH ORDINALITY u
              WHERE u.on_conflict IN ('replace', 'earlier') AND p_ids[u.ordinality] < 0) j
        LEFT JOIN unnest(p_ids) own (id) ON own.id = j.holder
        CROSS JOIN LATERAL (
            SELECT (SELECT b.run_at > coalesce(j.due, clock_timestamp()) OR j.on_conflict = 'replace'
                    FROM taskd.blocked b WHERE b.id BETWEEN j.holder AND j.holder LIMIT 1) AS blocked,
                   (SELECT CASE WHEN j.on_conflict = 'replace' THEN taskd.is_newer_v1(j.id, q.extra) END
                    FROM taskd.queued q WHERE q.id BETWEEN j.holder AND j.holder LIMIT 1) AS queued,
                   (SELECT CASE WHEN j.on_conflict = 'replace' THEN taskd.is_newer_v1(j.id, s.extra)
                                ELSE s.run_at > coalesce(j.due, clock_timestamp()) END
                    FROM taskd.scheduled s WHERE s.id BETWEEN j.holder AND j.holder LIMIT 1) AS scheduled,
                   (SELECT k.job FROM taskd.unique_key k WHERE k.key BETWEEN j.key AND j.key LIMIT 1) AS now
        ) w
        WHERE own.id IS NULL AND (j.on_conflict = 'earlier' OR j.nth_last = 1)
          AND coalesce(w.blocked, w.queued, w.scheduled,
                       j.on_conflict = 'replace' AND w.now IS DISTINCT FROM j.holder)
        ORDER BY 1);
END $$;

-- Send calls to the dispatcher, NULL: none. A letter that would be larger than a JSON value may be is
-- refused here, where somebody is told.
CREATE FUNCTION taskd.send_calls_v1(p_calls jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO taskd.mail (kind, ids, calls)
    SELECT 'u', array_agg((c.call->>'holder')::bigint ORDER BY c.place), jsonb_agg(c.call ORDER BY c.place)
    FROM jsonb_array_elements(p_calls) WITH ORDINALITY AS c (call, place)
    GROUP BY (c.place - 1) / 100
$$;

-- A letter u. recall: calls whose holder, or whose key, somebody has in hand at this moment. arrivals,
-- recheck: jobs that calls became after all, which join their lines, or whose parents may have ended.
-- p_waited: the dispatcher has waited for a key in this round already, so it does not for another.
CREATE FUNCTION taskd.change_jobs_v1(
    p_calls jsonb, p_waited boolean, OUT arrivals bigint[], OUT recheck bigint[], OUT recall jsonb,
    OUT waited boolean
) LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    holders bigint[];
    jobs taskd.keyed_job[];
    ids bigint[];               -- -id of the holder, as change_waiting_v1 takes it; 0: not to be touched
    changed bigint[];
    again record;
    one record;
BEGIN
    SELECT array_agg(c.holder),
           array_agg(ROW(c.id, NULL, NULL, c.on_conflict, c.args, c.kwargs, c.due)::taskd.keyed_job
                     ORDER BY c.id),
           array_agg(-c.holder ORDER BY c.id)
    INTO holders, jobs, ids
    FROM jsonb_to_recordset(p_calls) AS c (
        holder bigint, on_conflict text, id bigint, args text, kwargs text, due timestamptz);
    changed := ARRAY(SELECT b.id FROM taskd.blocked b WHERE b.id = ANY (holders));
    IF changed <> '{}' THEN
        PERFORM taskd.change_blocked_v1(jobs, ids);
    END IF;
    changed := changed
        || ARRAY(SELECT q.id FROM taskd.queued q WHERE q.id = ANY (holders) FOR UPDATE SKIP LOCKED)
        || ARRAY(SELECT s.id FROM taskd.scheduled s WHERE s.id = ANY (holders) FOR UPDATE SKIP LOCKED);
    PERFORM taskd.change_waiting_v1(jobs, ARRAY(
        SELECT CASE WHEN -i.id = ANY (changed) THEN i.id ELSE 0 END
        FROM unnest(ids) WITH ORDINALITY AS i (id, place) ORDER BY i.place));
    arrivals := '{}';
    recheck := '{}';
    recall := '[]';
    waited := p_waited;
    FOR one IN      -- one statement, one snapshot: a job is in exactly one table
        SELECT u.call, u.call->>'on_conflict' = 'replace' AS replaces,
               (SELECT q.id FROM taskd.queued q WHERE q.id BETWEEN u.holder AND u.holder LIMIT 1) IS NOT NULL
               OR (SELECT s.id FROM taskd.scheduled s
                   WHERE s.id BETWEEN u.holder AND u.holder LIMIT 1) IS NOT NULL AS waits
        FROM (SELECT c.call, (c.call->>'holder')::bigint AS holder
              FROM jsonb_array_elements(p_calls) AS c (call)) u
        WHERE NOT u.holder = ANY (changed)
        ORDER BY (u.call->>'id')::bigint DESC
    LOOP
        IF one.waits THEN
            recall := recall || one.call;
        ELSIF one.replaces AND one.call->'extra' ? 'unique' THEN
            IF waited THEN
                recall := recall || one.call;
                CONTINUE;
            END IF;
            SELECT * INTO again FROM taskd.call_again_v1(one.call);
            arrivals := arrivals || again.arrivals;
            recheck := recheck || again.recheck;
            waited := again.waited;
            IF waited THEN
                recall := recall || one.call;
            END IF;
        END IF;
    END LOOP;
END $$;

-- A call that came too late to change the holder of its key: if nobody has the key by now it becomes a
-- job of its own. Whoever has it and was called for earlier is changed as the first one would have been;
-- one that was called for later stays as it is. waited: somebody has the key in hand, come again.
CREATE FUNCTION taskd.call_again_v1(
    p_call jsonb, OUT arrivals bigint[], OUT recheck bigint[], OUT waited boolean
) LANGUAGE plpgsql AS $$
DECLARE
    job taskd.blocked := jsonb_populate_record(NULL::taskd.blocked, p_call);
    holder bigint := -taskd.key_holder_v1(job.id, job.extra->>'unique', job.extra->>'until');
BEGIN
    arrivals := '{}';
    recheck := '{}';
    waited := holder IS NULL;
    IF holder = -job.id THEN
        INSERT INTO taskd.dependency (parent, child)
        SELECT p.parent::bigint, job.id FROM jsonb_array_elements_text(job.extra->'parents') AS p (parent);
        INSERT INTO taskd.blocked (
            id, created_at, run_at, stage, pending, run_if_failed, timeout, priority, attempt,
            max_attempts, queue, task, args, kwargs, extra, res, need)
        SELECT job.id, job.created_at, job.run_at, CASE WHEN job.extra ? 'parents' THEN 'p' ELSE 'i' END,
               coalesce(jsonb_array_length(job.extra->'parents'), 0), job.run_if_failed, job.timeout,
               job.priority, 0, job.max_attempts, job.queue, job.task, job.args, job.kwargs, job.extra,
               job.res, job.need;
        IF job.extra ? 'parents' THEN   -- in a later transaction: see enqueue_graph_v1
            recheck := ARRAY[job.id];
        ELSIF taskd.asks_v1(job.res, job.queue, job.extra)
              AND coalesce(job.run_at <= clock_timestamp(), true) THEN
            arrivals := ARRAY[job.id];
        ELSE
            PERFORM taskd.start_jobs_v1(ARRAY[job.id]);
        END IF;
    ELSIF holder <> (p_call->>'holder')::bigint AND holder < job.id AND EXISTS (
        SELECT FROM taskd.live_job j
        WHERE j.id = holder AND (j.extra->>'by' = job.extra->>'by' OR NOT job.extra ? 'by')) THEN
        PERFORM taskd.send_calls_v1(jsonb_build_array(p_call || jsonb_build_object('holder', holder)));
    END IF;
END $$;

-- Take a key for a job; who has it then, as take_keys_v1 tells it. NULL: somebody who has not committed
-- is taking it, or letting go of it; for him the dispatcher does not wait, or hardly.
CREATE FUNCTION taskd.key_holder_v1(p_job bigint, p_key text, p_until text) RETURNS bigint LANGUAGE plpgsql
SET lock_timeout = '1ms' AS $$
BEGIN
    RETURN (taskd.take_keys_v1(
        ARRAY[ROW(p_job, p_key, p_until, 'keep', NULL, NULL, NULL)::taskd.keyed_job],
        9223372036854775807, NULL))[1];
EXCEPTION WHEN lock_not_available OR serialization_failure THEN
    RETURN NULL;
END $$;
