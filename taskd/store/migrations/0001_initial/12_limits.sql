-- Limits: resources that count. Named with @, so that no name of a user's can be one:
--   @key stripe   limit("stripe") in the code       @task shop.sync   of a task
--   @queue sync   of a queue; put before its jobs by the store itself, whoever enqueues them
-- They are admissions: a job is let into its queue when the limit leaves room for it, and a claim knows
-- nothing of limits. What is in the queue or runs counts, until its end is stored.

-- What the files of hosts say of limits; host 0 is an operator, who always lives and is right.
CREATE TABLE taskd.limit_wish (
    host         bigint      NOT NULL,
    name         text COLLATE "C" NOT NULL,
    units        integer,
    rate         double precision,
    burst        integer,
    declared_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (host, name)
);

-- The limit that the jobs of a queue pass, or NULL; those with a share pass one in any case.
CREATE FUNCTION taskd.gate_v1(p_part text, p_extra jsonb) RETURNS text LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET jit = off AS $$
DECLARE
    gate text := '@queue ' || taskd.queue_of_v1(p_part);
BEGIN
    IF p_extra ? 'fair' OR (SELECT c.name FROM taskd.capacity c WHERE c.name = gate LIMIT 1) IS NOT NULL THEN
        RETURN gate;
    END IF;
    RETURN NULL;
END $$;

-- Whether a job has something to ask for before it may enter its queue.
CREATE FUNCTION taskd.asks_v1(p_res text[], p_part text, p_extra jsonb) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT p_res IS NOT NULL OR taskd.gate_v1(p_part, p_extra) IS NOT NULL
$$;

-- The resources that a job has named itself: without the limit of a queue, which stands last. p_values
-- are those, or something that goes with each.
CREATE FUNCTION taskd.own_v1(p_res text[], p_values anyarray) RETURNS anyarray LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_res[cardinality(p_res)] LIKE '@queue %'
                THEN nullif(p_values[:cardinality(p_res) - 1], '{}') ELSE p_values END
$$;

-- Whether a job that holds resources has yet to pass the limit of its queue, or has to pass it anew.
CREATE FUNCTION taskd.lacks_gate_v1(p_res text[], p_part text, p_extra jsonb) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT taskd.gate_v1(p_part, p_extra) IS NOT NULL
       AND coalesce(p_res[cardinality(p_res)] NOT LIKE '@queue %', true)
$$;

-- Whether a job lets go of all that it holds between two attempts: if it says so, and if that is the
-- limit of its queue alone, unless it was interrupted and goes on at once. Of the limit of its queue it
-- lets go in each pause.
CREATE FUNCTION taskd.lets_go_v1(p_release boolean, p_outcome "char", p_res text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(p_release, false) OR (p_outcome <> 'i' AND taskd.own_v1(p_res, p_res) IS NULL)
$$;

-- What a job lets go of that keeps all but the limit of its queue.
CREATE FUNCTION taskd.gate_holding_v1(p_id bigint, p_res text[], p_place bigint) RETURNS taskd.holding
LANGUAGE sql IMMUTABLE AS $$
    SELECT ROW(p_id, p_res[cardinality(p_res):], ARRAY[1], p_place, NULL)::taskd.holding
$$;

-- All that a job asks for, in order. p_stands: it has begun to, so there is no other limit for it now,
-- unless it had none.
CREATE FUNCTION taskd.asked_v1(
    p_res text[], p_need integer[], p_part text, p_extra jsonb, p_stands boolean,
    OUT res text[], OUT need integer[]
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    gate text;
BEGIN
    res := p_res;
    need := p_need;
    IF p_stands AND res[cardinality(res)] LIKE '@queue %' THEN
        RETURN;
    END IF;
    gate := taskd.gate_v1(p_part, p_extra);
    res := taskd.own_v1(p_res, p_res);
    need := taskd.own_v1(p_res, p_need);
    IF gate IS NOT NULL THEN
        res := array_append(res, gate);
        need := array_append(need, 1);
    END IF;
END $$;

-- When code said what a job says of limits: at its enqueue, or at that of the job that it is once more.
CREATE FUNCTION taskd.said_at_v1(p_extra jsonb, p_created_at timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT coalesce((p_extra->>'limits_at')::timestamptz, p_created_at)
$$;

-- Jobs that join lines say what their code says of limits: the word of the job that was enqueued last
-- counts, except against an operator's. The names of those that are others than before, or NULL.
CREATE FUNCTION taskd.take_terms_v1(p_ids bigint[]) RETURNS text[] LANGUAGE sql AS $$
    WITH said AS (
        SELECT DISTINCT ON (t.key) t.key AS name, (t.value->>0)::integer AS units,
               (t.value->>1)::double precision AS rate, (t.value->>2)::integer AS burst,
               taskd.said_at_v1(b.extra, b.created_at) AS said_at
        FROM unnest(p_ids) WITH ORDINALITY AS u (id, place)
        JOIN taskd.blocked b ON b.id BETWEEN u.id AND u.id
        CROSS JOIN LATERAL jsonb_each(b.extra->'limits') t
        WHERE b.extra ? 'limits'
        ORDER BY t.key, taskd.said_at_v1(b.extra, b.created_at) DESC, u.place DESC
    ), changed AS (
        INSERT INTO taskd.capacity AS c (name, units, rate, burst, said_at)
        SELECT s.name, s.units, s.rate, s.burst, s.said_at FROM said s ORDER BY s.name
        ON CONFLICT (name) DO UPDATE
        SET units = excluded.units, rate = excluded.rate, burst = excluded.burst, said_at = excluded.said_at
        WHERE NOT c.is_declared AND c.said_at <= excluded.said_at
          AND (c.units, c.rate, c.burst) IS DISTINCT FROM (excluded.units, excluded.rate, excluded.burst)
        RETURNING name
    )
    SELECT array_agg(name) FROM changed
$$;

-- An operator says how much there is of a resource; p_units NULL: no more than code and files do, 0: it
-- is paused.
CREATE FUNCTION taskd.set_capacity_v1(p_name text, p_units integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM taskd.limit_wish w WHERE w.host = 0 AND w.name = p_name;
    IF p_units IS NOT NULL THEN
        INSERT INTO taskd.limit_wish (host, name, units) VALUES (0, p_name, p_units);
    END IF;
    IF NOT taskd.settle_limits_v1() THEN
        PERFORM taskd.look_again_v1(ARRAY[p_name]);
    END IF;
END $$;

-- Let the lines of these resources be looked at, for their capacity is another.
CREATE FUNCTION taskd.look_again_v1(p_names text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO taskd.mail (kind, res, need)
    VALUES ('r', p_names, array_fill(0, ARRAY[cardinality(p_names)]));
    PERFORM taskd.see_to_mail_v1(false);
END $$;

-- A worker of these queues (none: of all) has come: those without a limit have a wider window now, and
-- whoever waits there must not wait for an end.
CREATE FUNCTION taskd.widen_windows_v1(p_queues text[]) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
DECLARE
    names text[] := ARRAY(
        SELECT r.name FROM taskd.resource r
        WHERE r.name > '@queue ' AND r.name < '@queue!' AND r.waiting
          AND (p_queues = '{}' OR substring(r.name FROM 8) = ANY (p_queues))
          AND (SELECT c.units FROM taskd.capacity c WHERE c.name = r.name) IS NULL);
BEGIN
    IF names <> '{}' THEN
        PERFORM taskd.look_again_v1(names);
    END IF;
END $$;

-- All limits that a host's file says, in place of what it said before. Of several living hosts the one
-- that declared last counts. Blocks for the dispatch lock if a limit is another than before.
CREATE FUNCTION taskd.declare_limits_v1(
    p_host bigint, p_names text[], p_units integer[], p_rates double precision[], p_bursts integer[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM taskd.limit_wish w WHERE w.host = p_host;
    INSERT INTO taskd.limit_wish (host, name, units, rate, burst)
    SELECT p_host, u.* FROM unnest(p_names, p_units, p_rates, p_bursts) AS u (name, units, rate, burst);
    PERFORM taskd.settle_limits_v1();
END $$;

-- Let the limits be as the living hosts want them; whether some were not. Of a limit that nobody wants
-- any more there remains what code said of it last, as far as its job stands in line; or it is gone,
-- and all move up. The dispatcher takes the words of jobs in no order, so only its lock keeps the two
-- from waiting for each other in a ring.
CREATE FUNCTION taskd.settle_limits_v1() RETURNS boolean LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
DECLARE
    strays text[];          -- limits of queues that have jobs which passed by
    changed text[];
    name text;
BEGIN
    strays := ARRAY(
        SELECT c.name FROM taskd.capacity c
        WHERE c.name LIKE '@queue %'
          AND EXISTS (SELECT FROM taskd.queued q
                      WHERE taskd.is_part_v1(q.queue, substring(c.name FROM 8))
                        AND (q.res IS NULL OR q.res[cardinality(q.res)] <> c.name)
                      UNION ALL
                      SELECT FROM taskd.running r
                      WHERE taskd.is_part_v1(r.queue, substring(c.name FROM 8))
                        AND (r.res IS NULL OR r.res[cardinality(r.res)] <> c.name)
                        AND (SELECT a.job FROM taskd.adopted a
                             WHERE a.job = r.id AND a.fence = r.fence LIMIT 1) IS NULL));
    IF strays = '{}' AND NOT EXISTS (SELECT FROM taskd.limit_changes_v1()) THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock('taskd.mail'::regclass::oid::integer, 1);
    WITH changes AS MATERIALIZED (
        SELECT * FROM taskd.limit_changes_v1()
    ), left_ AS MATERIALIZED (
        SELECT x.name, t.limits->>0 AS units, t.limits->>1 AS rate, t.limits->>2 AS burst, t.said_at
        FROM changes x
        JOIN taskd.resource r ON r.name BETWEEN x.name AND x.name
        CROSS JOIN LATERAL (
            SELECT b.extra->'limits'->x.name AS limits,
                   taskd.said_at_v1(b.extra, b.created_at) AS said_at
            FROM (SELECT l.id FROM taskd.line l
                  WHERE l.res = x.name AND (l.turn, l.place) > (r.turn, r.place)
                  ORDER BY l.turn, l.place LIMIT 10000) l
            JOIN taskd.blocked b ON b.id BETWEEN l.id AND l.id
            WHERE b.extra->'limits' ? x.name
            ORDER BY 2 DESC, b.id DESC LIMIT 1) t
        WHERE NOT x.is_wanted
    ), kept AS (
        UPDATE taskd.capacity c
        SET units = l.units::integer, rate = l.rate::double precision, burst = l.burst::integer,
            is_declared = false, said_at = l.said_at
        FROM left_ l WHERE c.name = l.name
    ), gone AS (
        DELETE FROM taskd.capacity c USING changes x
        WHERE c.name = x.name AND NOT x.is_wanted AND NOT EXISTS (SELECT FROM left_ l WHERE l.name = x.name)
    ), forgotten AS (
        DELETE FROM taskd.resource r USING changes x
        WHERE r.name BETWEEN x.name AND x.name AND NOT x.is_wanted AND r.used = 0 AND NOT r.waiting
          AND r.empty_at IS NULL -- else it would be full again; it is forgotten later, by a prune
    ), set_ AS (
        INSERT INTO taskd.capacity (name, units, rate, burst, is_declared)
        SELECT x.name, x.units, x.rate, x.burst, true FROM changes x WHERE x.is_wanted
        ON CONFLICT ON CONSTRAINT capacity_pkey DO UPDATE
        SET units = excluded.units, rate = excluded.rate, burst = excluded.burst, is_declared = true
    )
    SELECT array_agg(x.name) INTO changed FROM changes x;
    FOREACH name IN ARRAY strays || coalesce(changed, '{}') LOOP
        IF name LIKE '@queue %' THEN
            PERFORM taskd.adopt_jobs_v1(name, substring(name FROM 8));
        END IF;
    END LOOP;
    IF changed IS NOT NULL THEN
        PERFORM taskd.look_again_v1(changed);
    END IF;
    RETURN true;
END $$;

-- The declared limits that are not what the living hosts want.
CREATE FUNCTION taskd.limit_changes_v1()
RETURNS TABLE (name text, is_wanted boolean, units integer, rate double precision, burst integer)
LANGUAGE sql AS $$
    WITH wanted AS (
        SELECT DISTINCT ON (w.name) w.name, w.units, w.rate, w.burst
        FROM taskd.limit_wish w LEFT JOIN taskd.host h ON h.id = w.host
        WHERE w.host = 0 OR (h.id IS NOT NULL AND h.ended_at IS NULL)
        ORDER BY w.name, w.host = 0 DESC, w.declared_at DESC, w.host DESC
    ), declared AS (
        -- While no host lives, what the last ones wanted stays.
        SELECT * FROM taskd.capacity c
        WHERE c.is_declared
          AND (EXISTS (SELECT FROM taskd.host h WHERE h.ended_at IS NULL)
               OR NOT EXISTS (SELECT FROM taskd.limit_wish w WHERE w.name = c.name))
    )
    SELECT coalesce(w.name, c.name), w.name IS NOT NULL, w.units, w.rate, w.burst
    FROM wanted w FULL JOIN declared c ON c.name = w.name
    WHERE (w.name IS NOT NULL AND c.name IS NOT NULL
           AND (w.units, w.rate, w.burst) IS NOT DISTINCT FROM (c.units, c.rate, c.burst)) IS NOT TRUE
$$;

-- A queue has a limit now: its jobs that wait to be claimed join the line, in their order, those that
-- wait for resources will, and those that run count. Under the dispatch lock; it waits for nobody. Who
-- enqueues, claims or ends a job while the limit is declared gets by, until the next look.
CREATE FUNCTION taskd.adopt_jobs_v1(p_gate text, p_queue text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    arrivals bigint[];
    counted bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM taskd.capacity c WHERE c.name = p_gate) THEN
        RETURN;
    END IF;
    WITH gone AS (
        DELETE FROM taskd.queued WHERE ctid = ANY (ARRAY(
            SELECT q.ctid FROM taskd.queued q
            WHERE taskd.is_part_v1(q.queue, p_queue)
              AND (q.res IS NULL OR q.res[cardinality(q.res)] <> p_gate)
            FOR UPDATE SKIP LOCKED))
        RETURNING *
    ), lined AS (
        INSERT INTO taskd.blocked (
            id, created_at, run_at, stage, pending, timeout, priority, attempt, max_attempts, losses,
            crashes, queue, task, args, kwargs, extra, res, need, place, level)
        SELECT g.id, g.created_at, g.run_at, CASE WHEN g.place IS NULL THEN 'i' ELSE 'l' END, 0, g.timeout,
               g.priority, g.attempt, g.max_attempts, g.losses, g.crashes, g.queue, g.task, g.args,
               g.kwargs, g.extra, g.res, g.need, g.place,
               taskd.level_v1(g.res[cardinality(g.res)])
        FROM gone g
    )
    SELECT array_agg(g.id ORDER BY taskd.lane_priority_v1(g.lane) DESC, g.seq) INTO arrivals FROM gone g;
    UPDATE taskd.blocked b SET res = array_append(b.res, p_gate), need = array_append(b.need, 1)
    WHERE b.stage = 'l' AND b.level < 3 AND b.res[cardinality(b.res)] <> p_gate
      AND taskd.is_part_v1(b.queue, p_queue);
    WITH running AS MATERIALIZED (
        -- Locked against a retry or a rescue, which look afterwards what stands in adopted.
        SELECT r.id, r.fence FROM taskd.running r
        WHERE taskd.queue_of_v1(r.queue) = p_queue
          AND (r.res IS NULL OR r.res[cardinality(r.res)] <> p_gate)
          AND (SELECT a.job FROM taskd.adopted a WHERE a.job = r.id AND a.fence = r.fence LIMIT 1) IS NULL
        FOR KEY SHARE SKIP LOCKED
    ), taken AS (
        INSERT INTO taskd.adopted (job, fence, name) SELECT r.id, r.fence, p_gate FROM running r
        RETURNING job
    )
    SELECT count(*) INTO counted FROM taken;
    IF counted > 0 THEN
        INSERT INTO taskd.resource AS r (name, used, waiting) VALUES (p_gate, counted, false)
        ON CONFLICT (name) DO UPDATE SET used = r.used + excluded.used;
    END IF;
    PERFORM taskd.send_arrivals_v1(arrivals);
END $$;

-- Jobs that are about to leave running, but not to end, and whose rows the caller has locked, hold what
-- they were adopted for as they hold all else.
CREATE FUNCTION taskd.hold_adopted_v1(p_ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    WITH taken AS (
        DELETE FROM taskd.adopted a USING taskd.running r
        WHERE a.job = ANY (p_ids) AND r.id = a.job AND r.fence = a.fence
        RETURNING a.job, a.name
    )
    UPDATE taskd.running r
    SET res = array_append(r.res, t.name), need = array_append(r.need, 1),
        place = coalesce(r.place, nextval('taskd.place_seq'))
    FROM taken t WHERE r.id = t.job;
END $$;

-- Move blocked jobs to another queue, under the dispatch lock; how many. Who stands in the line of the
-- old queue's limit leaves it.
CREATE FUNCTION taskd.move_blocked_v1(p_ids bigint[], p_queue text) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    further bigint[];
    gates text[];
    n integer;
BEGIN
    WITH gone AS (
        DELETE FROM taskd.line WHERE ctid = ANY (ARRAY(
            SELECT (SELECT l.ctid FROM taskd.line l
                    WHERE l.res = b.res[cardinality(b.res)] AND l.turn = b.turn AND l.place = b.place LIMIT 1)
            FROM taskd.blocked b
            WHERE b.id = ANY (p_ids) AND taskd.queue_of_v1(b.queue) <> p_queue
              AND b.stage = 'l' AND b.level = 3))
        RETURNING id, res, place
    )
    SELECT array_agg(g.id ORDER BY g.place), array_agg(DISTINCT g.res) INTO further, gates FROM gone g;
    UPDATE taskd.blocked b
    SET queue = taskd.moved_part_v1(b.queue, p_queue), res = a.res, need = a.need,
        level = least(b.level, 2), turn = CASE WHEN b.level = 3 THEN 0 ELSE b.turn END,
        pending = CASE WHEN b.level = 3 THEN 0 ELSE b.pending END
    FROM (SELECT m.id, CASE WHEN m.stage = 'l' THEN x.res ELSE taskd.own_v1(m.res, m.res) END AS res,
                 CASE WHEN m.stage = 'l' THEN x.need ELSE taskd.own_v1(m.res, m.need) END AS need
          FROM taskd.blocked m
          CROSS JOIN LATERAL taskd.asked_v1(m.res, m.need, p_queue, m.extra, false) x
          WHERE m.id = ANY (p_ids) AND taskd.queue_of_v1(m.queue) <> p_queue) a
    WHERE b.id = a.id;
    GET DIAGNOSTICS n = ROW_COUNT;
    PERFORM taskd.send_arrivals_v1(further);
    IF gates IS NOT NULL THEN
        PERFORM taskd.look_again_v1(gates);
    END IF;
    RETURN n;
END $$;

-- Move jobs to another queue that have passed the limit of their old one, or have to pass that of the new
-- one; how many.
CREATE FUNCTION taskd.move_limited_v1(p_ids bigint[], p_queue text) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    arrivals bigint[];
    names text[];
    units integer[];
    n integer;
BEGIN
    WITH gone AS (
        DELETE FROM taskd.queued WHERE ctid = ANY (ARRAY(
            SELECT q.ctid FROM taskd.queued q
            WHERE q.id = ANY (p_ids) AND taskd.queue_of_v1(q.queue) <> p_queue
              AND (q.res[cardinality(q.res)] LIKE '@queue %' OR taskd.gate_v1(p_queue, q.extra) IS NOT NULL)
            FOR UPDATE SKIP LOCKED))
        RETURNING *, taskd.own_v1(res, res) AS own_res, taskd.own_v1(res, need) AS own_need
    ), lined AS (
        INSERT INTO taskd.blocked (
            id, created_at, run_at, stage, pending, timeout, priority, attempt, max_attempts, losses,
            crashes, queue, task, args, kwargs, extra, res, need, place, level)
        SELECT g.id, g.created_at, g.run_at, CASE WHEN g.own_res IS NULL THEN 'i' ELSE 'l' END, 0,
               g.timeout, g.priority, g.attempt, g.max_attempts, g.losses, g.crashes,
               taskd.moved_part_v1(g.queue, p_queue), g.task, g.args, g.kwargs, g.extra, g.own_res,
               g.own_need, CASE WHEN g.own_res IS NOT NULL THEN g.place END,
               taskd.level_v1(g.own_res[cardinality(g.own_res)])
        FROM gone g
    ), freed AS (
        SELECT g.res[cardinality(g.res)] AS name, 1 AS units FROM gone g
        WHERE g.res[cardinality(g.res)] LIKE '@queue %'
    )
    SELECT (SELECT array_agg(g.id ORDER BY taskd.lane_priority_v1(g.lane) DESC, g.seq) FROM gone g),
           (SELECT count(*) FROM gone),
           (SELECT array_agg(f.name) FROM freed f), (SELECT array_agg(f.units) FROM freed f)
    INTO arrivals, n, names, units;
    IF names IS NOT NULL THEN
        INSERT INTO taskd.mail (kind, res, need) VALUES ('r', names, units);
    END IF;
    PERFORM taskd.send_arrivals_v1(arrivals);
    IF n > 0 THEN
        PERFORM taskd.see_to_mail_v1(false);
    END IF;
    RETURN n;
END $$;

-- Forget resources that nobody holds or wants, limits that only jobs have named, and what hosts wanted
-- that are gone; the number forgotten. It waits for nobody.
CREATE FUNCTION taskd.prune_resources_v1() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    pruned integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock('taskd.mail'::regclass::oid::integer, 1) THEN
        RETURN 0;
    END IF;
    -- A host that does not know yet that it is taken for dead may be declaring: it has locked what it
    -- wanted, and waits for our lock.
    DELETE FROM taskd.limit_wish WHERE ctid = ANY (ARRAY(
        SELECT w.ctid FROM taskd.limit_wish w
        WHERE w.host <> 0
          AND NOT EXISTS (SELECT FROM taskd.host h WHERE h.id = w.host AND h.ended_at IS NULL)
          AND NOT EXISTS (SELECT FROM taskd.capacity c WHERE c.name = w.name AND c.is_declared)
        FOR UPDATE OF w SKIP LOCKED));
    DELETE FROM taskd.resource r
    WHERE r.used = 0 AND NOT r.waiting
      AND (r.empty_at IS NULL OR r.empty_at < clock_timestamp() - coalesce(
               (SELECT taskd.span_v1(greatest(coalesce(c.burst, 1), 1), c.rate)
                FROM taskd.capacity c WHERE c.name = r.name), interval '0'));   -- else it is full again
    GET DIAGNOSTICS pruned = ROW_COUNT;
    DELETE FROM taskd.capacity c
    WHERE NOT c.is_declared AND NOT EXISTS (SELECT FROM taskd.resource r WHERE r.name = c.name);
    RETURN pruned;
END $$;
