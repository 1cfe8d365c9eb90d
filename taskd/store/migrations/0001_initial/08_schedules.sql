-- Schedules: what is enqueued at its time, exactly one job a slot, without a leader.
--
--   declare   a host says what its file and its code want scheduled
--   settle    each schedule gets the newest definition that a living host has declared
--   fire      whoever comes first enqueues the job of a slot and moves next_at on
--
-- Hosts compute slots; that something is due is only ever said by the clock of this database.

-- Each different wish for a schedule that some host has had, numbered in the order in which they
-- were first seen. So in a deploy, while old and new hosts declare one name differently, the newer
-- wish holds, however often an old host starts again; and it holds until no host has it any more.
--   source: yaml or code.  spec: JSON, one of {cron, timezone}, {every}, {run_at}.
--   options: JSON, what holds instead of the task's own, and catch_up, catch_up_limit, overlap.
CREATE TABLE taskd.schedule_definition (
    id           bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name         text COLLATE "C" NOT NULL,
    digest       text COLLATE "C" NOT NULL,     -- of all that follows, made by the host
    source       text        NOT NULL,
    task         text COLLATE "C" NOT NULL,
    spec         text        NOT NULL,
    args         text        NOT NULL,
    kwargs       text,
    options      text        NOT NULL,
    UNIQUE (name, digest)
);

-- Which definitions a host has. A host without a row has not spoken yet: its code is still being
-- imported. It is kept with the host's row, so that a definition keeps its number meanwhile.
CREATE TABLE taskd.schedule_voice (
    host         bigint      PRIMARY KEY,
    definitions  bigint[]    NOT NULL
);

-- One row for each schedule.
--   next_at: the first slot that nobody has seen to; NULL when none is left.
--   last_at, last_job: the last slot that got a job, and that job (or one that somebody asked for).
--   skipped_at: the last slot that passed without a job because the last one had not ended.
--   removed_at: since when no living host has it, though some host has spoken.
CREATE TABLE taskd.schedule (
    name         text COLLATE "C" PRIMARY KEY,
    definition   bigint      NOT NULL,
    next_at      timestamptz,
    last_at      timestamptz,
    last_job     bigint,
    skipped_at   timestamptz,
    paused       boolean     NOT NULL DEFAULT false,
    removed_at   timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    changed_at   timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
CREATE INDEX schedule_due ON taskd.schedule (next_at)      -- beat_host_v1, due schedules
    WHERE NOT paused AND removed_at IS NULL;

-- Who declares, settles and prunes does so one after the other: all three are rare. The lock is the
-- transaction's, so a pooler may stand between.
CREATE FUNCTION taskd.lock_schedules_v1() RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtext('taskd.schedules'))
$$;

-- Tell all hosts that some schedule's next_at or state is another than before.
CREATE FUNCTION taskd.notify_schedules_v1() RETURNS void LANGUAGE sql AS $$
    SELECT pg_notify('taskd', '"schedule"')
$$;

-- The definition that is to hold for a name: the newest one that a living host has; NULL for none.
CREATE FUNCTION taskd.wanted_definition_v1(p_name text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT max(d.id)
    FROM taskd.schedule_definition d
    WHERE d.name = p_name
      AND EXISTS (SELECT FROM taskd.schedule_voice v
                  JOIN taskd.host h ON h.id = v.host
                  WHERE h.ended_at IS NULL AND d.id = ANY (v.definitions))
$$;

-- All that a host wants scheduled, in place of what it wanted before; column by column.
CREATE FUNCTION taskd.declare_schedules_v1(
    p_host bigint, p_names text[], p_digests text[], p_sources text[], p_tasks text[],
    p_specs text[], p_args text[], p_kwargs text[], p_options text[]
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM taskd.lock_schedules_v1();
    INSERT INTO taskd.schedule_definition (name, digest, source, task, spec, args, kwargs, options)
    SELECT * FROM unnest(p_names, p_digests, p_sources, p_tasks, p_specs, p_args, p_kwargs, p_options)
    ON CONFLICT (name, digest) DO NOTHING;
    INSERT INTO taskd.schedule_voice (host, definitions)
    VALUES (p_host, ARRAY(SELECT d.id
                          FROM unnest(p_names, p_digests) AS u (name, digest)
                          JOIN taskd.schedule_definition d USING (name, digest)))
    ON CONFLICT (host) DO UPDATE SET definitions = excluded.definitions;
END $$;

-- The schedules that are not as the living hosts want them, each with what it is and what it is to
-- be: wanted NULL: nobody has it any more; definition NULL: it is new. As long as no living host
-- has spoken, nothing is missing.
CREATE FUNCTION taskd.unsettled_schedules_v1()
RETURNS TABLE (name text, definition bigint, wanted bigint, spec text, wanted_spec text,
               removed_seconds double precision, now timestamptz)
LANGUAGE sql AS $$
    WITH voice AS MATERIALIZED (
        SELECT v.definitions
        FROM taskd.schedule_voice v
        JOIN taskd.host h ON h.id = v.host AND h.ended_at IS NULL
    ), wanted AS (
        SELECT d.name, max(d.id) AS id
        FROM taskd.schedule_definition d
        WHERE d.id IN (SELECT unnest(v.definitions) FROM voice v)
        GROUP BY d.name
    )
    SELECT coalesce(w.name, s.name), s.definition, w.id, o.spec, n.spec,
           extract(epoch FROM clock_timestamp() - s.removed_at)::float8, clock_timestamp()
    FROM wanted w
    FULL JOIN taskd.schedule s ON s.name = w.name
    LEFT JOIN taskd.schedule_definition o ON o.id = s.definition
    LEFT JOIN taskd.schedule_definition n ON n.id = w.id
    WHERE CASE WHEN w.id IS NULL THEN s.removed_at IS NULL AND EXISTS (SELECT FROM voice)
               ELSE w.id IS DISTINCT FROM s.definition OR s.removed_at IS NOT NULL END
    ORDER BY 1
$$;

-- Let a schedule be what is wanted of it, if it still is what the caller saw (p_seen NULL: not
-- there) and p_wanted is still what is wanted (NULL: nothing). Its next slot is p_next_at, or stays
-- as it is with p_keep. False if somebody was faster, or a slot came meanwhile: look again.
CREATE FUNCTION taskd.settle_schedule_v1(
    p_name text, p_seen bigint, p_wanted bigint, p_keep boolean, p_next_at timestamptz
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    changed boolean;
BEGIN
    PERFORM taskd.lock_schedules_v1();
    IF taskd.wanted_definition_v1(p_name) IS DISTINCT FROM p_wanted THEN
        RETURN false;
    ELSIF p_wanted IS NULL THEN
        UPDATE taskd.schedule s SET removed_at = clock_timestamp()
        WHERE s.name = p_name AND s.definition = p_seen AND s.removed_at IS NULL;
    ELSIF p_seen IS NULL THEN
        INSERT INTO taskd.schedule (name, definition, next_at) VALUES (p_name, p_wanted, p_next_at)
        ON CONFLICT (name) DO NOTHING;
    ELSE
        UPDATE taskd.schedule s
        SET definition = p_wanted,
            next_at = CASE WHEN p_keep THEN s.next_at ELSE p_next_at END,
            removed_at = NULL,
            changed_at = CASE WHEN s.definition = p_wanted THEN s.changed_at ELSE clock_timestamp() END
        WHERE s.name = p_name AND s.definition = p_seen
          AND (p_keep OR p_next_at > s.last_at) IS NOT FALSE;   -- never a slot that has had its job
    END IF;
    changed := FOUND;
    IF changed THEN
        PERFORM taskd.notify_schedules_v1();
    END IF;
    RETURN changed;
END $$;

-- Whether a job is over, or was never there. One statement, so that a job on its way from table to
-- table is seen in one of them. Indexes queued_id, scheduled_id, blocked_pkey, running_pkey.
CREATE FUNCTION taskd.has_ended_v1(p_job bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT NOT (EXISTS (SELECT FROM taskd.running r WHERE r.id = p_job)
             OR EXISTS (SELECT FROM taskd.queued q WHERE q.id = p_job)
             OR EXISTS (SELECT FROM taskd.scheduled s WHERE s.id = p_job)
             OR EXISTS (SELECT FROM taskd.blocked b WHERE b.id = p_job))
$$;

-- Enqueue p_job, a new_job, for each of p_slots and let p_next be the next slot, if p_seen still is
-- it, and is due. Any number of hosts may try at once: one does it, the others get NULL. p_last: the
-- latest slot that has come. p_skip: not while the last job has not ended. The jobs' ids as
-- enqueue_graph_v1 gives them; none if p_slots is empty, or was skipped.
CREATE FUNCTION taskd.fire_schedule_v1(
    p_name text, p_definition bigint, p_seen timestamptz, p_next timestamptz,
    p_slots timestamptz[], p_last timestamptz, p_skip boolean, p_job jsonb
) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    before bigint;
    jobs jsonb;
    ids bigint[] := '{}';
BEGIN
    SELECT s.last_job INTO before
    FROM taskd.schedule s
    WHERE s.name = p_name AND s.definition = p_definition AND s.next_at = p_seen
      AND s.next_at <= clock_timestamp() AND NOT s.paused AND s.removed_at IS NULL
      AND EXISTS (SELECT FROM taskd.schedule_voice v
                  JOIN taskd.host h ON h.id = v.host
                  WHERE h.ended_at IS NULL AND s.definition = ANY (v.definitions))
    FOR UPDATE OF s SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF cardinality(p_slots) > 0 AND p_skip AND NOT taskd.has_ended_v1(before) THEN
        UPDATE taskd.schedule s SET next_at = p_next, skipped_at = p_last WHERE s.name = p_name;
        RETURN ids;
    END IF;
    SELECT jsonb_agg(p_job || jsonb_build_object('run_at', u.slot) ORDER BY u.place) INTO jobs
    FROM unnest(p_slots) WITH ORDINALITY AS u (slot, place);
    IF jobs IS NOT NULL THEN
        ids := taskd.enqueue_graph_v1(jobs::json, false, NULL);
    END IF;
    UPDATE taskd.schedule s
    SET next_at = p_next,
        last_at = CASE WHEN ids = '{}' THEN s.last_at ELSE p_last END,
        last_job = coalesce(abs(ids[cardinality(ids)]), s.last_job)
    WHERE s.name = p_name;
    RETURN ids;
END $$;

-- Enqueue p_job, a new_job, for a schedule now, beside its slots. NULL if p_skip and its last one has
-- not ended, which is then in busy. job is the id as enqueue_graph_v1 gives it.
CREATE FUNCTION taskd.run_schedule_v1(
    p_name text, p_skip boolean, p_job jsonb, OUT job bigint, OUT busy bigint
) LANGUAGE plpgsql AS $$
BEGIN
    SELECT s.last_job INTO busy FROM taskd.schedule s WHERE s.name = p_name FOR UPDATE;
    IF p_skip AND NOT taskd.has_ended_v1(busy) THEN
        RETURN;
    END IF;
    busy := NULL;
    job := (taskd.enqueue_graph_v1(json_build_array(p_job), false, NULL))[1];
    UPDATE taskd.schedule s SET last_job = abs(job) WHERE s.name = p_name;
END $$;

-- Let no slot of a schedule get a job any more; false if that was so already.
CREATE FUNCTION taskd.pause_schedule_v1(p_name text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE taskd.schedule s SET paused = true WHERE s.name = p_name AND NOT s.paused;
    IF FOUND THEN
        PERFORM taskd.notify_schedules_v1();
    END IF;
    RETURN FOUND;
END $$;

-- Let a paused schedule go on with p_next_at, if p_definition still holds; the slots that passed
-- meanwhile are over. False if it was not paused, or is another one by now.
CREATE FUNCTION taskd.resume_schedule_v1(
    p_name text, p_definition bigint, p_next_at timestamptz
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE taskd.schedule s SET paused = false, next_at = p_next_at
    WHERE s.name = p_name AND s.definition = p_definition AND s.paused
      AND (p_next_at > s.last_at) IS NOT FALSE;
    IF FOUND THEN
        PERFORM taskd.notify_schedules_v1();
    END IF;
    RETURN FOUND;
END $$;

-- Forget what hosts wanted that are long gone, and schedules that nobody has had for p_keep seconds.
-- A host's voice is kept as long as the host's row.
CREATE FUNCTION taskd.prune_schedules_v1(p_keep double precision) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    pruned integer;
BEGIN
    PERFORM taskd.lock_schedules_v1();
    DELETE FROM taskd.schedule s WHERE s.removed_at < now() - p_keep * interval '1 second';
    GET DIAGNOSTICS pruned = ROW_COUNT;
    DELETE FROM taskd.schedule_voice v
    WHERE NOT EXISTS (SELECT FROM taskd.host h WHERE h.id = v.host);
    DELETE FROM taskd.schedule_definition d
    WHERE NOT EXISTS (SELECT FROM taskd.schedule s WHERE s.definition = d.id)
      AND NOT EXISTS (SELECT FROM taskd.schedule_voice v WHERE d.id = ANY (v.definitions));
    RETURN pruned;
END $$;
