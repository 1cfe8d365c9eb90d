-- What those may do who may not touch the tables: enqueue jobs, and look at the states of these.
--
-- The three functions with SECURITY DEFINER are the only ones of taskd's that run with the rights of
-- their owner. Each fixes its search_path, with the caller's temporary schema last, so that no name in
-- it, or in what it calls, ever means a thing of the caller's; and nobody may call it who was not
-- given that (`taskd schema roles` does). session_user is who logged in, whose rights a function
-- never changes: a job says in its column extra, under "by", whose it is.

-- Column extra of somebody's own job: of what he says only what an enqueue may say, and who he is.
-- Raises 22023 for a value that no enqueue has, for it would be read when others are in the same
-- statement: one "expires" that is no number, and nothing of its queue could be claimed any more.
CREATE FUNCTION taskd.own_extra_v1(p_extra jsonb) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    said jsonb;
    wrong text;
BEGIN
    SELECT jsonb_object_agg(e.key, e.value),
           min(e.key) FILTER (WHERE NOT CASE
               WHEN e.key IN ('expires', 'expires_in')
               THEN jsonb_typeof(e.value) = 'number' AND (e.value #>> '{}')::numeric BETWEEN 0 AND 1e11
               WHEN e.key = 'headers' THEN jsonb_typeof(e.value) = 'object'
               WHEN e.key = 'fair' THEN jsonb_typeof(e.value) = 'string' AND length(e.value #>> '{}') <= 300
               WHEN e.key = 'on_retry' THEN e.value = '"release"'
               ELSE e.value = '"fail"' END)
    INTO said, wrong
    FROM jsonb_each(p_extra) e
    WHERE e.key IN ('expires', 'expires_in', 'headers', 'fair', 'on_lost', 'on_interrupt', 'on_retry');
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'extra: % of a job cannot be so', wrong USING ERRCODE = '22023';
    END IF;
    RETURN coalesce(said, '{}') || jsonb_build_object('by', session_user);
END $$;

-- Raise 42501 if one of these jobs (-id: it held a key that a new one wanted) has not ended and is
-- another's: a call that changes it must be undone.
CREATE FUNCTION taskd.check_own_v1(p_ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    other bigint;
BEGIN
    SELECT -i INTO other FROM unnest(p_ids) i
    WHERE i < 0 AND EXISTS (SELECT FROM taskd.live_job j
                            WHERE j.id = -i AND j.extra->>'by' IS DISTINCT FROM session_user)
    LIMIT 1;
    IF other IS NOT NULL THEN
        RAISE EXCEPTION 'job % holds the unique key and is not yours to change: leave on_conflict at "keep"',
            other USING ERRCODE = '42501';
    END IF;
END $$;

-- Raise 22023 for what no client of ours would send, and would be in the way of others if it were
-- stored: a priority that is a lane of taskd's own, a time that no program can read.
CREATE FUNCTION taskd.check_own_values_v1(
    p_task text, p_queue text, p_priority integer, p_max_attempts integer, p_timeout real,
    p_delay double precision, p_run_at timestamptz, p_until text
) RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
    century double precision := 101 * 366 * 86400.0;
BEGIN
    IF (length(p_task) BETWEEN 1 AND 500 AND length(p_queue) BETWEEN 1 AND 300
        AND p_priority BETWEEN 0 AND 9 AND p_max_attempts BETWEEN 1 AND 32767
        AND coalesce(p_timeout > 0 AND p_timeout < century, true)
        AND coalesce(abs(p_delay) < century, true)
        AND coalesce(p_run_at BETWEEN '0001-01-02' AND now() + century * interval '1 second', true)
        AND CASE WHEN p_until IN ('started', 'finished') THEN true
                 ELSE coalesce(p_until::double precision BETWEEN 0 AND century, true) END) IS NOT TRUE THEN
        RAISE EXCEPTION 'task, queue, priority (0 to 9), max_attempts, timeout, or a time of a job cannot be so'
        USING ERRCODE = '22023';
    END IF;
END $$;

-- enqueue_jobs_v1 for those who may do no more than that; see there. The key of another's job is not
-- taken over (p_unique.self is ignored), and its arguments and time stay as they are.
CREATE FUNCTION taskd.enqueue_own_jobs_v1(
    p_task text, p_args text[], p_kwargs text[], p_queue text, p_priority smallint,
    p_delay double precision, p_run_at timestamptz, p_max_attempts smallint, p_timeout real,
    p_always boolean, p_extra jsonb, p_unique jsonb
) RETURNS bigint[] LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ids bigint[];
BEGIN
    PERFORM taskd.check_own_values_v1(
        p_task, p_queue, p_priority, p_max_attempts, p_timeout, p_delay, p_run_at, p_unique->>'until');
    ids := taskd.enqueue_jobs_v1(
        p_task, p_args, p_kwargs, p_queue, p_priority, p_delay, p_run_at, p_max_attempts, p_timeout,
        p_always, taskd.own_extra_v1(p_extra), p_unique - 'self');
    IF p_unique->>'on_conflict' IN ('replace', 'earlier') THEN
        PERFORM taskd.check_own_v1(ids);
    END IF;
    RETURN ids;
END $$;

-- enqueue_graph_v1 for the same. A job that is another's is none that theirs could come after: its end
-- would tell of it. So it is refused as one that does not exist.
CREATE FUNCTION taskd.enqueue_own_graph_v1(p_jobs json, p_always boolean)
RETURNS bigint[] LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    jobs taskd.new_job[] := ARRAY(SELECT j FROM json_populate_recordset(NULL::taskd.new_job, p_jobs) j);
    ids bigint[];
    foreign_ids bigint[];
BEGIN
    PERFORM taskd.check_own_values_v1(
        j.task, j.queue, j.priority, j.max_attempts, j.timeout, j.delay, j.run_at, j.until)
    FROM unnest(jobs) j;
    foreign_ids := ARRAY(
        SELECT DISTINCT p.parent
        FROM (SELECT j.parents FROM unnest(jobs) j WHERE j.parents IS NOT NULL) j,
             unnest(j.parents) AS p (parent)
        WHERE p.parent > 0
          AND (SELECT k.extra->>'by' FROM taskd.job k WHERE k.id = p.parent LIMIT 1)
              IS DISTINCT FROM session_user
        ORDER BY 1);
    IF foreign_ids <> '{}' THEN
        RAISE EXCEPTION 'no such job: %', array_to_string(foreign_ids[1:10], ', ')
        USING ERRCODE = 'TD001';
    END IF;
    ids := taskd.enqueue_graph_v1(
        (SELECT json_agg(j.job::jsonb
                         || jsonb_build_object('extra', taskd.own_extra_v1(nullif(j.job::jsonb->'extra', 'null')))
                         ORDER BY j.place)
         FROM json_array_elements(p_jobs) WITH ORDINALITY AS j (job, place)),
        p_always, NULL);
    -- A parent of this call may have turned out to be another's job that holds its key.
    foreign_ids := ARRAY(
        SELECT DISTINCT -ids[-p.parent]
        FROM (SELECT j.parents FROM unnest(jobs) j WHERE j.parents IS NOT NULL) j,
             unnest(j.parents) AS p (parent)
        WHERE p.parent < 0 AND ids[-p.parent] < 0
          AND (SELECT k.extra->>'by' FROM taskd.job k WHERE k.id = -ids[-p.parent] LIMIT 1)
              IS DISTINCT FROM session_user
        ORDER BY 1);
    IF foreign_ids <> '{}' THEN
        RAISE EXCEPTION 'no such job: %', array_to_string(foreign_ids[1:10], ', ')
        USING ERRCODE = 'TD001';
    END IF;
    PERFORM taskd.check_own_v1(array_agg(ids[j.ordinality]))
    FROM unnest(jobs) WITH ORDINALITY j
    WHERE j.on_conflict IN ('replace', 'earlier');
    RETURN ids;
END $$;

-- What is to be known of one's own jobs by those who may do no more than enqueue: where they are, not
-- what they returned or raised. Other ids are left out.
CREATE FUNCTION taskd.own_states_v1(p_ids bigint[])
RETURNS TABLE (
    id bigint, task text, queue text, requires text, state text, priority smallint, attempt smallint,
    max_attempts smallint, losses smallint, crashes smallint, timeout real, has_result boolean,
    created_at timestamptz, run_at timestamptz, ready_at timestamptz, started_at timestamptz,
    finished_at timestamptz
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT j.id, j.task, j.queue, j.requires, j.state, j.priority, j.attempt, j.max_attempts,
           j.losses, j.crashes, j.timeout, j.has_result, j.created_at, j.run_at, j.ready_at,
           j.started_at, j.finished_at
    FROM taskd.job j
    WHERE j.id = ANY (p_ids) AND j.extra->>'by' = session_user
$$;

REVOKE EXECUTE ON FUNCTION
    taskd.enqueue_own_jobs_v1(
        text, text[], text[], text, smallint, double precision, timestamptz, smallint, real, boolean,
        jsonb, jsonb),
    taskd.enqueue_own_graph_v1(json, boolean),
    taskd.own_states_v1(bigint[])
FROM PUBLIC;
