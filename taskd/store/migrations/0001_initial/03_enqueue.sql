-- Enqueue: inserts only; takes no lock that anybody waits for, so it is safe in a caller's own
-- transaction at any isolation level. (The exception is a unique key: whoever enqueues the same key
-- at the same moment waits, because only the commit tells whether the job exists.)

-- Tell listening hosts that jobs wait. The payload says where, how many and from which seq on, so
-- that a commit that comes late (behind a low-water mark) is found at once.
CREATE FUNCTION taskd.notify_hosts_v1(p_queue text, p_lane integer, p_count integer, p_seq bigint)
RETURNS void LANGUAGE sql AS $$
    SELECT pg_notify('taskd', json_build_array(p_queue, p_lane, p_count, p_seq)::text)
$$;

-- Raise TD002 unless p_args are JSON arrays and p_kwargs JSON objects: a job that no worker can decode
-- must be refused before it is stored. Clients of ours send nothing else.
CREATE FUNCTION taskd.check_arguments_v1(p_args text[], p_kwargs text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF EXISTS (SELECT FROM (SELECT unnest(p_args) AS args, unnest(p_kwargs) AS kwargs) u
               WHERE json_typeof(u.args::json) <> 'array' OR json_typeof(u.kwargs::json) <> 'object') THEN
        RAISE EXCEPTION 'the args of a job are a JSON array, its kwargs a JSON object or NULL'
        USING ERRCODE = 'TD002';
    END IF;
END $$;

-- Column extra with "expires_in", seconds from now, told as the moment that it is by this clock.
CREATE FUNCTION taskd.date_extra_v1(p_extra jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    IF p_extra ? 'expires_in' THEN
        RETURN p_extra - 'expires_in' || jsonb_build_object(
            'expires', extract(epoch FROM clock_timestamp()) + (p_extra->>'expires_in')::double precision);
    END IF;
    RETURN p_extra;
END $$;

-- A job that wants a key: what take_keys_v1 has to know of it.
--   until: "started", "finished", or seconds: then the key is free when they have passed
--   on_conflict, if another job holds the key: "keep" that as it is (or NULL), "replace" its arguments
--   by args and kwargs, or let it be due at due, if that is "earlier"
CREATE TYPE taskd.keyed_job AS (
    id bigint, key text, until text, on_conflict text, args text, kwargs text, due timestamptz
);

-- Calls of one task with the same options; p_args[i], p_kwargs[i] are the arguments of job i, JSON.
-- Due when p_delay seconds have passed, or at p_run_at, or now. p_always: notify even if no host
-- says that it is idle; a caller's own transaction must, because its snapshot may be older than the
-- host's going idle. p_extra: see column extra.
-- p_unique: NULL, or JSON {"keys": [one a job], "until": "started", "finished" or seconds,
-- "on_conflict": "keep", "replace" or "earlier", "self": the id of the job that enqueues, or null}.
-- The ids, in the order of the arguments; -id: that job held the key already, no new one was made.
CREATE FUNCTION taskd.enqueue_jobs_v1(
    p_task text, p_args text[], p_kwargs text[], p_queue text, p_priority smallint,
    p_delay double precision, p_run_at timestamptz, p_max_attempts smallint, p_timeout real,
    p_always boolean, p_extra jsonb, p_unique jsonb
) RETURNS bigint[] LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    n integer := cardinality(p_args);
    ids bigint[];
    keys text[];
    keyed taskd.keyed_job[];
    late bigint[] := '{}';
    until text := p_unique->>'until';
    keyed_extra jsonb;
    due timestamptz := coalesce(p_run_at, clock_timestamp() + p_delay * interval '1 second');
    first bigint;
    is_sound boolean;
    is_told boolean;
BEGIN
    p_extra := taskd.date_extra_v1(p_extra);
    IF n = 1 AND p_unique IS NULL AND due IS NULL THEN  -- most calls: one statement for all there is to do
        INSERT INTO taskd.queued AS q (seq, id, created_at, timeout, lane, priority, attempt,
                                       max_attempts, queue, task, args, kwargs, extra)
        SELECT s.id, s.id, clock_timestamp(), p_timeout, p_priority, p_priority, 0, p_max_attempts,
               p_queue, p_task, p_args[1], p_kwargs[1], p_extra
        FROM (SELECT nextval('taskd.job_seq') AS id) s
        WHERE NOT EXISTS (SELECT FROM taskd.capacity c      -- as gate_v1, which is no part of a plan
                          WHERE c.name = '@queue ' || taskd.queue_of_v1(p_queue))
          AND p_extra ? 'fair' IS NOT TRUE
        RETURNING q.id, json_typeof(q.args::json) = 'array'
                        AND json_typeof(q.kwargs::json) <> 'object' IS NOT TRUE,
                  p_always OR EXISTS (SELECT FROM taskd.host WHERE idle)
        INTO first, is_sound, is_told;
        IF NOT is_sound THEN
            PERFORM taskd.check_arguments_v1(p_args, p_kwargs);
        ELSIF first IS NOT NULL THEN
            IF is_told THEN
                PERFORM taskd.notify_hosts_v1(p_queue, p_priority, n, first);
            END IF;
            RETURN ARRAY[first];
        END IF;
    END IF;
    ids := ARRAY(SELECT nextval('taskd.job_seq') FROM generate_series(1, n));
    IF n = 0 THEN
        RETURN ids;
    END IF;
    first := ids[1];
    PERFORM taskd.check_arguments_v1(p_args, p_kwargs);
    IF p_unique IS NOT NULL THEN
        keyed_extra := coalesce(p_extra, '{}') || jsonb_build_object('until', until);
        keys := ARRAY(SELECT jsonb_array_elements_text(p_unique->'keys'));
        IF NOT taskd.take_new_keys_v1(ids, keys, until) THEN
            keyed := ARRAY(
                SELECT ROW(u.id, u.key, until, p_unique->>'on_conflict', u.args, u.kwargs, due)::taskd.keyed_job
                FROM unnest(ids, keys, p_args, p_kwargs) AS u (id, key, args, kwargs));
            ids := taskd.take_keys_v1(keyed, first, (p_unique->>'self')::bigint);
            late := taskd.late_calls_v1(keyed, ids);
        END IF;
        IF until NOT IN ('started', 'finished') THEN
            keys := NULL;           -- a window: nobody lets go of the key
        END IF;
    END IF;
    IF late <> '{}' THEN
        PERFORM taskd.send_calls_v1(jsonb_agg(taskd.late_call_v1(
            -ids[l.place], p_unique->>'on_conflict', keyed[l.place].id, due, false, p_timeout, p_priority,
            p_max_attempts, p_queue, p_task, p_args[l.place], p_kwargs[l.place],
            CASE WHEN keys IS NULL THEN p_extra
                 ELSE keyed_extra || jsonb_build_object('unique', keys[l.place]) END, NULL, NULL)))
        FROM unnest(late) AS l (place);
    END IF;
    IF due > clock_timestamp() THEN
        INSERT INTO taskd.scheduled (run_at, id, created_at, timeout, priority, attempt,
                                     max_attempts, queue, task, args, kwargs, extra)
        SELECT due, u.id, clock_timestamp(), p_timeout, p_priority, 0,
               p_max_attempts, p_queue, p_task, u.args, u.kwargs,
               CASE WHEN u.key IS NULL THEN p_extra
                    ELSE keyed_extra || jsonb_build_object('unique', u.key) END
        FROM unnest(ids, p_args, p_kwargs, keys) AS u (id, args, kwargs, key)
        WHERE u.id > 0;
        PERFORM pg_notify('taskd', json_build_array(extract(epoch FROM due - clock_timestamp()))::text)
        WHERE p_always OR EXISTS (SELECT FROM taskd.host WHERE idle);
    ELSIF taskd.gate_v1(p_queue, p_extra) IS NOT NULL THEN
        INSERT INTO taskd.blocked (id, created_at, run_at, stage, pending, timeout, priority, attempt,
                                   max_attempts, queue, task, args, kwargs, extra)
        SELECT u.id, clock_timestamp(), p_run_at, 'i', 0, p_timeout, p_priority, 0, p_max_attempts,
               p_queue, p_task, u.args, u.kwargs,
               CASE WHEN u.key IS NULL THEN p_extra
                    ELSE keyed_extra || jsonb_build_object('unique', u.key) END
        FROM unnest(ids, p_args, p_kwargs, keys) AS u (id, args, kwargs, key)
        WHERE u.id > 0;
        PERFORM taskd.send_arrivals_v1(ARRAY(SELECT i FROM unnest(ids) i WHERE i > 0));
        PERFORM taskd.see_to_mail_v1(p_always);
    ELSE
        INSERT INTO taskd.queued (seq, id, created_at, run_at, timeout, lane, priority, attempt,
                                  max_attempts, queue, task, args, kwargs, extra)
        SELECT u.id, u.id, clock_timestamp(), p_run_at, p_timeout, p_priority, p_priority, 0,
               p_max_attempts, p_queue, p_task, u.args, u.kwargs,
               CASE WHEN u.key IS NULL THEN p_extra
                    ELSE keyed_extra || jsonb_build_object('unique', u.key) END
        FROM (SELECT unnest(ids) AS id, unnest(p_args) AS args,       -- kept nowhere, unlike FROM unnest (…)
                     unnest(p_kwargs) AS kwargs, unnest(keys) AS key) u
        WHERE u.id > 0;
        PERFORM taskd.notify_hosts_v1(p_queue, p_priority, n, first)
        WHERE p_always OR EXISTS (SELECT FROM taskd.host WHERE idle);
    END IF;
    IF keyed IS NOT NULL THEN
        PERFORM taskd.change_new_v1(keyed, ids, first);
    END IF;
    IF late <> '{}' THEN
        PERFORM taskd.see_to_mail_v1(p_always);
    END IF;
    RETURN ids;
END $$;

-- A job as enqueue_graph_v1 takes it. parents: ids of jobs, or -n for the n-th job of the same call,
-- which must come before this one. key, until, on_conflict: see keyed_job. res, need: the
-- resources that it asks for, in any order. limits: of those that count, what the code says of them,
-- by name: [how many at once, how many begin in a second, in bursts of how many], each or null.
CREATE TYPE taskd.new_job AS (
    task text, args text, kwargs text, queue text, priority smallint, delay double precision,
    run_at timestamptz, max_attempts smallint, timeout real, extra jsonb, key text, until text,
    on_conflict text, run_if_failed boolean, parents bigint[], res text[], need integer[],
    is_grouped boolean, limits jsonb
);

-- Jobs that depend on each other or on resources, each with its own task and options: p_jobs is a
-- JSON array of new_job. Jobs with is_grouped carry the first id of the call as their group.
-- A resource that is named twice is needed once, and as much of it as the most that was said.
-- p_always: in a caller's own transaction; p_self: the job that enqueues, or NULL.
-- The ids, in order, as enqueue_jobs_v1 gives them. Raises TD001 for a parent that does not exist.
-- Reads nothing that another enqueue writes, or two SERIALIZABLE callers would make each other fail.
CREATE FUNCTION taskd.enqueue_graph_v1(p_jobs json, p_always boolean, p_self bigint)
RETURNS bigint[] LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    jobs taskd.new_job[] := ARRAY(SELECT j FROM json_populate_recordset(NULL::taskd.new_job, p_jobs) j);
    numbers bigint[] := ARRAY(SELECT nextval('taskd.job_seq') FROM generate_series(1, cardinality(jobs)));
    first bigint := numbers[1];
    ids bigint[];
    changing bigint[] := '{}';
    calls jsonb;
    news json;
    next_due timestamptz;
    arrivals bigint[];
    late bigint[];
BEGIN
    PERFORM taskd.check_arguments_v1(array_agg(j.args), array_agg(j.kwargs)) FROM unnest(jobs) j;
    PERFORM taskd.check_graph_v1(jobs);
    ids := taskd.take_graph_keys_v1(jobs, numbers, p_self);
    IF ids <> numbers THEN
        SELECT taskd.late_calls_v1(
            array_agg(taskd.keyed_job_v1(numbers[j.ordinality], j.key, j.until, j.on_conflict, j.args,
                                         j.kwargs, j.run_at, j.delay) ORDER BY j.ordinality), ids)
        INTO changing
        FROM unnest(jobs) WITH ORDINALITY j;
    END IF;
    WITH j AS MATERIALIZED (
        SELECT ids[j.ordinality] AS id, numbers[j.ordinality] AS number, j.*,
               coalesce(j.run_at, clock_timestamp() + j.delay * interval '1 second') AS due,
               CASE WHEN j.parents IS NOT NULL
                    THEN (SELECT array_agg(DISTINCT CASE WHEN p < 0 THEN abs(ids[-p]) ELSE p END)
                          FROM unnest(j.parents) p) END AS after
        FROM unnest(jobs) WITH ORDINALITY j
        WHERE ids[j.ordinality] > 0 OR j.ordinality = ANY (changing)
    ), n AS MATERIALIZED (
        SELECT j.*, CASE WHEN j.id < 0 THEN 'u'
                         WHEN j.after IS NOT NULL THEN 'p'
                         WHEN j.due > clock_timestamp() THEN 's'
                         WHEN j.res <> '{}' OR taskd.gate_v1(j.queue, j.extra) IS NOT NULL THEN 'i'
                         ELSE 'q' END AS stage,
               CASE WHEN j.res <> '{}'
                    THEN ARRAY(SELECT r COLLATE "C" FROM unnest(j.res) r GROUP BY 1
                               ORDER BY taskd.level_v1(r COLLATE "C"), 1) END AS names,
               CASE WHEN j.res <> '{}'
                    THEN ARRAY(SELECT max(u.need) FROM unnest(j.res, j.need) AS u (name, need)
                               GROUP BY u.name COLLATE "C"
                               ORDER BY taskd.level_v1(u.name COLLATE "C"), u.name COLLATE "C") END AS units,
               nullif(coalesce(CASE WHEN j.extra ? 'expires_in' THEN taskd.date_extra_v1(j.extra)
                                    ELSE j.extra END, '{}')
                      || CASE WHEN j.key IS NULL OR j.until NOT IN ('started', 'finished') THEN '{}'
                              ELSE jsonb_build_object('unique', j.key, 'until', j.until) END
                      || CASE WHEN j.after IS NULL THEN '{}'
                              ELSE jsonb_build_object('parents', j.after) END
                      || CASE WHEN j.limits IS NULL THEN '{}'
                              ELSE jsonb_build_object('limits', j.limits) END
                      || CASE WHEN j.is_grouped THEN jsonb_build_object('group', abs(ids[1]))
                              ELSE '{}' END, '{}') AS whole
        FROM j
    ), edges AS (
        INSERT INTO taskd.dependency (parent, child)
        SELECT p.parent, n.id
        FROM (SELECT * FROM n WHERE n.stage = 'p') n, unnest(n.after) AS p (parent)
    ), b AS (
        INSERT INTO taskd.blocked (
            id, created_at, run_at, stage, pending, run_if_failed, timeout, priority, attempt,
            max_attempts, queue, task, args, kwargs, extra, res, need)
        SELECT n.id, clock_timestamp(), n.due, n.stage, coalesce(cardinality(n.after), 0),
               coalesce(n.run_if_failed, false), n.timeout, n.priority, 0, n.max_attempts, n.queue,
               n.task, n.args, n.kwargs, n.whole, n.names, n.units
        FROM n WHERE n.stage IN ('p', 'i')
    ), s AS (
        INSERT INTO taskd.scheduled (
            run_at, id, created_at, timeout, priority, attempt, max_attempts, queue, task, args,
            kwargs, extra, res, need)
        SELECT n.due, n.id, clock_timestamp(), n.timeout, n.priority, 0, n.max_attempts, n.queue,
               n.task, n.args, n.kwargs, n.whole, n.names, n.units
        FROM n WHERE n.stage = 's'
    ), q AS (
        INSERT INTO taskd.queued (
            seq, id, created_at, run_at, timeout, lane, priority, attempt, max_attempts, queue,
            task, args, kwargs, extra)
        SELECT n.id, n.id, clock_timestamp(), n.run_at, n.timeout, n.priority, n.priority, 0,
               n.max_attempts, n.queue, n.task, n.args, n.kwargs, n.whole
        FROM n WHERE n.stage = 'q'
    ), lanes AS (
        SELECT n.queue, n.priority AS lane, count(*) AS count, min(n.id) AS seq
        FROM n WHERE n.stage = 'q' GROUP BY n.queue, n.priority
    )
    SELECT (SELECT json_agg(l) FROM lanes l), min(n.due) FILTER (WHERE n.stage = 's'),
           array_agg(n.id ORDER BY n.id) FILTER (WHERE n.stage = 'i'),
           array_agg(n.id ORDER BY n.id) FILTER (WHERE n.stage = 'p' AND EXISTS (
               SELECT FROM unnest(n.parents) p WHERE p > 0 OR ids[-p] < 0)),
           jsonb_agg(taskd.late_call_v1(
               -n.id, n.on_conflict, n.number, n.due, coalesce(n.run_if_failed, false), n.timeout,
               n.priority, n.max_attempts, n.queue, n.task, n.args, n.kwargs, n.whole, n.names, n.units)
               ORDER BY n.number) FILTER (WHERE n.stage = 'u')
    INTO news, next_due, arrivals, late, calls
    FROM n;
    IF p_always OR EXISTS (SELECT FROM taskd.host WHERE idle) THEN
        PERFORM taskd.notify_hosts_v1(l.queue, l.lane, l.count, l.seq)
        FROM json_to_recordset(news) AS l (queue text, lane integer, count integer, seq bigint);
        PERFORM pg_notify('taskd', json_build_array(extract(epoch FROM next_due - clock_timestamp()))::text)
        WHERE next_due IS NOT NULL;
    END IF;
    IF ids <> numbers THEN
        PERFORM taskd.change_new_v1(
            array_agg(taskd.keyed_job_v1(numbers[j.ordinality], j.key, j.until, j.on_conflict, j.args,
                                         j.kwargs, j.run_at, j.delay) ORDER BY j.ordinality), ids, first)
        FROM unnest(jobs) WITH ORDINALITY j;
    END IF;
    PERFORM taskd.send_calls_v1(calls);
    PERFORM taskd.send_arrivals_v1(arrivals);
    IF late IS NOT NULL THEN
        INSERT INTO taskd.mail (kind, ids) VALUES ('k', late);
    END IF;
    IF arrivals IS NOT NULL OR late IS NOT NULL OR calls IS NOT NULL THEN
        -- Letter k is for a later transaction: until this one commits, a parent that waits now may be
        -- claimed and end without having seen the dependency.
        PERFORM taskd.see_to_mail_v1(p_always OR late IS NOT NULL);
    END IF;
    RETURN ids;
END $$;

-- Refuse what could never run, or would stop the dispatcher, before anything is stored.
CREATE FUNCTION taskd.check_graph_v1(p_jobs taskd.new_job[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    unknown bigint[];
BEGIN
    IF EXISTS (
        SELECT FROM unnest(p_jobs) WITH ORDINALITY j
        WHERE j.parents IS NOT NULL
          AND EXISTS (SELECT FROM unnest(j.parents) p WHERE -p >= j.ordinality)) THEN
        RAISE EXCEPTION 'a parent in the same call must come before its child';
    ELSIF EXISTS (
        SELECT FROM unnest(p_jobs) j
        WHERE coalesce(j.res, j.need::text[]) IS NOT NULL
          AND EXISTS (SELECT FROM unnest(j.res, j.need) AS u (name, need)
                      WHERE (u.name IS NOT NULL AND u.need > 0) IS NOT TRUE)) THEN
        RAISE EXCEPTION 'each resource needs a name and a number of units from 1 on';
    ELSIF EXISTS (SELECT FROM unnest(p_jobs) j WHERE NOT taskd.fits_lines_v1(j)) THEN
        RAISE EXCEPTION 'a resource, a limit or a share of a job is none that could be stored';
    END IF;
    unknown := ARRAY(
        SELECT DISTINCT p.parent
        FROM (SELECT j.parents FROM unnest(p_jobs) j WHERE j.parents IS NOT NULL) j,
             unnest(j.parents) AS p (parent)
        WHERE p.parent > 0
          AND (SELECT k.id FROM taskd.live_job k WHERE k.id = p.parent LIMIT 1) IS NULL
          AND (SELECT h.id FROM taskd.history h WHERE h.id = p.parent LIMIT 1) IS NULL
        ORDER BY 1);
    IF unknown <> '{}' THEN
        RAISE EXCEPTION 'no such job: %', array_to_string(unknown[1:10], ', ') USING ERRCODE = 'TD001';
    END IF;
END $$;

-- Whether the dispatcher can store what a job says of resources, limits and shares. It could not tell
-- the caller any more, and would stumble over it again and again.
CREATE FUNCTION taskd.fits_lines_v1(p_job taskd.new_job) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN (p_job.res IS NULL
            OR NOT EXISTS (SELECT FROM unnest(p_job.res) r WHERE length(r) > 300 OR r LIKE '@queue %'))
       AND coalesce(length(p_job.extra->>'fair') <= 300, true)
       AND coalesce((p_job.extra->>'limits_at')::timestamptz < 'infinity', true)
       AND NOT EXISTS (
           SELECT FROM (VALUES (p_job.limits), (p_job.extra->'limits')) AS s (said)
           CROSS JOIN LATERAL jsonb_each(s.said) l
           WHERE l.key NOT SIMILAR TO '@(key|task) %' OR length(l.key) > 300
              OR coalesce((l.value->>0)::integer < 0
                          OR NOT (l.value->>1)::double precision BETWEEN 1e-9 AND 1e9
                          OR (l.value->>2)::integer < 1, false));
EXCEPTION WHEN OTHERS THEN      -- a number that is none, limits that are no object
    RETURN false;
END $$;

-- What take_keys_v1 has to know of a job of a graph.
CREATE FUNCTION taskd.keyed_job_v1(
    p_id bigint, p_key text, p_until text, p_on_conflict text, p_args text, p_kwargs text,
    p_run_at timestamptz, p_delay double precision
) RETURNS taskd.keyed_job LANGUAGE sql AS $$
    SELECT ROW(p_id, p_key, p_until, p_on_conflict, p_args, p_kwargs,
               coalesce(p_run_at, clock_timestamp() + p_delay * interval '1 second'))::taskd.keyed_job
$$;

-- The ids of the jobs once those that want a key have asked for it; -id: that job holds the key.
CREATE FUNCTION taskd.take_graph_keys_v1(p_jobs taskd.new_job[], p_ids bigint[], p_self bigint)
RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[] := p_ids;
    keyed taskd.keyed_job[];
    places integer[];
    taken bigint[];
BEGIN
    SELECT array_agg(j.ordinality),
           array_agg(taskd.keyed_job_v1(p_ids[j.ordinality], j.key, j.until, j.on_conflict, j.args,
                                        j.kwargs, j.run_at, j.delay))
    INTO places, keyed
    FROM unnest(p_jobs) WITH ORDINALITY j
    WHERE j.key IS NOT NULL;
    IF keyed IS NOT NULL THEN
        taken := taskd.take_keys_v1(keyed, p_ids[1], p_self);
        FOR i IN 1 .. cardinality(taken) LOOP
            ids[places[i]] := taken[i];
        END LOOP;
    END IF;
    RETURN ids;
END $$;

-- A job that has ended, once more: a new job with its task, arguments and resources. A final state is
-- final. p_once: only what was not requeued before. One row for each id that was found so, in the order
-- of p_ids; before: the job that it was requeued as before.
CREATE FUNCTION taskd.requeue_jobs_v1(p_ids bigint[], p_once boolean)
RETURNS TABLE (old_id bigint, new_id bigint, before bigint) LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    olds bigint[];
    ends timestamptz[];     -- when they ended: only those partitions are written to
    befores bigint[];
    jobs json;
    news bigint[];
BEGIN
    -- Of two who requeue the same at once, the second sees what the first has made of it.
    PERFORM FROM (SELECT DISTINCT i AS id FROM unnest(p_ids) i ORDER BY 1) w
    CROSS JOIN LATERAL (SELECT h.id FROM taskd.history h WHERE h.id = w.id LIMIT 1 FOR NO KEY UPDATE) h;
    SELECT array_agg(h.id ORDER BY u.place), array_agg(h.finished_at ORDER BY u.place),
           array_agg(h.requeued_as ORDER BY u.place),
           json_agg(json_build_object(
               'task', h.task, 'args', h.args, 'kwargs', h.kwargs, 'queue', h.queue,
               'priority', h.priority, 'timeout', h.timeout, 'max_attempts', h.max_attempts,
               'extra', nullif(
                   h.extra - '{unique,until,expires,schedule,call}'::text[]
                   || CASE WHEN h.extra ? 'limits'
                           THEN jsonb_build_object('limits_at', taskd.said_at_v1(h.extra, h.created_at))
                           ELSE '{}' END, '{}'),
               'res', taskd.own_v1(h.res, h.res), 'need', taskd.own_v1(h.res, h.need)) ORDER BY u.place)
    INTO olds, ends, befores, jobs
    FROM unnest(p_ids) WITH ORDINALITY AS u (wanted, place)
    CROSS JOIN LATERAL (SELECT * FROM taskd.history h WHERE h.id = u.wanted LIMIT 1) h
    WHERE NOT p_once OR h.requeued_as IS NULL;
    IF olds IS NOT NULL THEN
        news := taskd.enqueue_graph_v1(jobs, false, NULL);
        UPDATE taskd.history h SET requeued_as = u.new_id
        FROM unnest(olds, ends, news) AS u (old_id, ended_at, new_id)
        WHERE h.id BETWEEN u.old_id AND u.old_id AND h.finished_at = u.ended_at;
        RETURN QUERY SELECT * FROM unnest(olds, news, befores);
    END IF;
END $$;
