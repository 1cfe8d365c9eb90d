-- Unique keys: at most one job that has not let go of it holds a key.

CREATE TABLE taskd.unique_key (
    key          text COLLATE "C" PRIMARY KEY,
    job          bigint      NOT NULL,
    expires_at   timestamptz              -- NULL: the job lets go when it has started, or finished
);
CREATE INDEX unique_key_expires ON taskd.unique_key (expires_at) WHERE expires_at IS NOT NULL;

-- Take a key for each job. A key that another job holds stays with it: DO NOTHING leaves no lock on
-- that row, so whoever enqueues and then forgets to commit keeps nobody from ending the job that
-- holds it. Two who take the same new key at once wait for each other. Of jobs of one call the first
-- has it: a later one may come after it, and never the other way round.
-- p_first: the first id of the call, whose jobs are not there yet; p_self: the job that enqueues.
-- The ids, in their order; -id: that job holds the key.
--
-- Nobody waits in a ring, because nobody waits for a key while he has a greater one, or has changed a
-- job. So whatever would have to go back for a smaller key is undone, by raising TD003, and begun anew.
CREATE FUNCTION taskd.take_keys_v1(p_jobs taskd.keyed_job[], p_first bigint, p_self bigint)
RETURNS bigint[] LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    ids bigint[];
    is_settled boolean := false;
BEGIN
    FOR attempt IN 1 .. 100 LOOP
        BEGIN
            IF attempt = 1 AND cardinality(p_jobs) > 1 THEN
                IF taskd.take_free_keys_v1(p_jobs) = cardinality(p_jobs) THEN
                    RETURN ARRAY(SELECT j.id FROM unnest(p_jobs) j);
                END IF;
            ELSE
                PERFORM taskd.take_key_v1(s.one, p_first, p_self)
                FROM (SELECT j AS one FROM unnest(p_jobs) j ORDER BY j.key COLLATE "C", j.id) s;
            END IF;
            -- A key that is nobody's was let go of since we looked; a free one we have yet to take.
            SELECT array_agg(CASE WHEN k.job = j.id THEN j.id ELSE -k.job END ORDER BY j.ordinality),
                   bool_and(k.key IS NOT NULL AND (
                       k.job = j.id OR NOT taskd.is_free_v1(k.job, k.expires_at, p_first, p_self)))
            INTO ids, is_settled
            FROM unnest(p_jobs) WITH ORDINALITY j
            LEFT JOIN taskd.unique_key k ON k.key BETWEEN j.key AND j.key;
            IF NOT is_settled THEN
                RAISE SQLSTATE 'TD003';
            END IF;
            PERFORM taskd.change_waiting_v1(p_jobs, ids);
            -- A claim may have been quicker than a replacement: then the key is free, and ours to take.
            IF EXISTS (
                SELECT FROM unnest(p_jobs) WITH ORDINALITY j
                WHERE j.on_conflict = 'replace' AND ids[j.ordinality] < 0
                  AND (SELECT k.job FROM taskd.unique_key k
                       WHERE k.key = j.key AND k.job = -ids[j.ordinality] LIMIT 1) IS NULL) THEN
                RAISE SQLSTATE 'TD003';
            END IF;
            RETURN ids;
        EXCEPTION WHEN SQLSTATE 'TD003' THEN
            NULL;           -- all of this attempt is undone
        END;
    END LOOP;
    RAISE EXCEPTION 'no unique key was to be had in 100 attempts' USING ERRCODE = '40001';
END $$;

-- Take all of these keys for these jobs, one each, in the order of the keys; whether that was possible:
-- else nothing was taken, for some may be another job's. Looking first leaves no dead rows behind where
-- most are; a SERIALIZABLE caller does not look, or two with other keys would make each other fail. A key
-- that comes twice, or that somebody takes meanwhile, is found by the insert, which is half the price of
-- one that must not fail.
CREATE FUNCTION taskd.take_new_keys_v1(p_ids bigint[], p_keys text[], p_until text)
RETURNS boolean LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'serializable'
       AND EXISTS (SELECT FROM taskd.unique_key k WHERE k.key = ANY (p_keys)) THEN
        RETURN false;
    END IF;
    INSERT INTO taskd.unique_key (key, job, expires_at)
    SELECT u.key, u.id, taskd.window_end_v1(p_until)
    FROM unnest(p_ids, p_keys) AS u (id, key)
    ORDER BY u.key COLLATE "C";
    RETURN true;
EXCEPTION WHEN unique_violation THEN
    RETURN false;
END $$;

-- When a key is free again that is held for a number of seconds; NULL: it is let go of.
CREATE FUNCTION taskd.window_end_v1(p_until text) RETURNS timestamptz LANGUAGE sql AS $$
    SELECT CASE WHEN p_until NOT IN ('started', 'finished')
                THEN clock_timestamp() + p_until::double precision * interval '1 second' END
$$;

-- Those of the keys that nobody has, all at once, in their order; how many.
CREATE FUNCTION taskd.take_free_keys_v1(p_jobs taskd.keyed_job[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    taken bigint;
BEGIN
    INSERT INTO taskd.unique_key (key, job, expires_at)
    SELECT DISTINCT ON (j.key COLLATE "C") j.key, j.id, taskd.window_end_v1(j.until)
    FROM unnest(p_jobs) j
    ORDER BY j.key COLLATE "C", j.id
    ON CONFLICT (key) DO NOTHING;
    GET DIAGNOSTICS taken = ROW_COUNT;
    RETURN taken;
END $$;

-- One key, also from a job that has to yield it.
CREATE FUNCTION taskd.take_key_v1(p_job taskd.keyed_job, p_first bigint, p_self bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR attempt IN 1 .. 100 LOOP
        INSERT INTO taskd.unique_key (key, job, expires_at)
        VALUES (p_job.key, p_job.id, taskd.window_end_v1(p_job.until))
        ON CONFLICT (key) DO NOTHING;
        EXIT WHEN FOUND;
        DELETE FROM taskd.unique_key k
        WHERE k.key = p_job.key AND taskd.is_free_v1(k.job, k.expires_at, p_first, p_self);
        EXIT WHEN NOT FOUND AND EXISTS (SELECT FROM taskd.unique_key k WHERE k.key = p_job.key);
    END LOOP;
END $$;

-- Whether the key of this job may be taken by a job of a call whose first id is p_first: it is the job
-- that enqueues (p_self), its time is over, or it has ended and could not let go (see drop_keys_v1).
CREATE FUNCTION taskd.is_free_v1(
    p_job bigint, p_expires_at timestamptz, p_first bigint, p_self bigint
) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN p_job IS NOT DISTINCT FROM p_self
        OR p_expires_at <= clock_timestamp()
        OR (p_expires_at IS NULL AND p_job < p_first
            AND NOT EXISTS (SELECT FROM taskd.live_job j WHERE j.id = p_job));
END $$;

-- Let go of the keys that these jobs hold. One that a caller's transaction is about to take over is
-- left to it, for its end is nothing to wait for: should it roll back, the key is that of a job that
-- has ended, and so free for the next who asks.
CREATE FUNCTION taskd.drop_keys_v1(p_keys taskd.held_key[]) RETURNS void LANGUAGE sql AS $$
    DELETE FROM taskd.unique_key WHERE ctid = ANY (ARRAY(
        SELECT k.ctid
        FROM unnest(p_keys) h
        JOIN taskd.unique_key k ON k.key BETWEEN h.key AND h.key AND k.job = h.job
        FOR UPDATE OF k SKIP LOCKED))
$$;

-- What jobs whose key another holds change of that one, where p_ids[i] is its -id: see keyed_job.
-- Only if it waits in queued or scheduled (else see 24_late_calls.sql). A lock on its row makes a claim
-- skip it, not wait.
-- If several have one key, the last call counts for its arguments, the earliest for its time.
-- In the order of the ids, so that two who change the same jobs lock them in one order.
CREATE FUNCTION taskd.change_waiting_v1(p_jobs taskd.keyed_job[], p_ids bigint[])
RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
DECLARE
    lane record;
    due double precision;
BEGIN
    IF EXISTS (SELECT FROM unnest(p_jobs) WITH ORDINALITY j
               WHERE j.on_conflict = 'replace' AND p_ids[j.ordinality] < 0) THEN
        UPDATE taskd.scheduled s
        SET args = c.args, kwargs = c.kwargs, extra = taskd.called_v1(s.extra, c.number)
        FROM taskd.last_calls_v1(p_jobs, p_ids) c
        WHERE s.id BETWEEN c.id AND c.id AND taskd.is_newer_v1(c.number, s.extra);
        FOR lane IN
            UPDATE taskd.queued q
            SET args = c.args, kwargs = c.kwargs, extra = taskd.called_v1(q.extra, c.number)
            FROM taskd.last_calls_v1(p_jobs, p_ids) c
            WHERE q.id BETWEEN c.id AND c.id AND taskd.is_newer_v1(c.number, q.extra)
            RETURNING q.queue, q.lane, q.seq
        LOOP
            PERFORM taskd.notify_hosts_v1(lane.queue, lane.lane, 1, lane.seq); -- a claim may have skipped it
        END LOOP;
    END IF;
    IF EXISTS (SELECT FROM unnest(p_jobs) WITH ORDINALITY j
               WHERE j.on_conflict = 'earlier' AND p_ids[j.ordinality] < 0) THEN
        WITH moved AS (
            DELETE FROM taskd.scheduled s USING taskd.earliest_calls_v1(p_jobs, p_ids) w
            WHERE s.id BETWEEN w.id AND w.id AND s.run_at > w.due
            RETURNING s.*, w.due
        ), entered AS (
            INSERT INTO taskd.scheduled (
                run_at, id, created_at, timeout, priority, attempt, max_attempts, losses, crashes,
                queue, task, args, kwargs, extra, res, need, place)
            SELECT m.due, m.id, m.created_at, m.timeout, m.priority, m.attempt, m.max_attempts,
                   m.losses, m.crashes, m.queue, m.task, m.args, m.kwargs, m.extra, m.res, m.need, m.place
            FROM moved m
        )
        SELECT greatest(extract(epoch FROM min(m.due) - clock_timestamp()), 0) INTO due FROM moved m;
        PERFORM pg_notify('taskd', json_build_array(due)::text) WHERE due IS NOT NULL;
    END IF;
END $$;

-- Column extra of a job once a call of this number has given it arguments, and whether one of this number
-- is newer than the last that has. Calls have numbers, the ids that their jobs would have had: of several
-- the one with the highest counts, whichever comes first.
CREATE FUNCTION taskd.called_v1(p_extra jsonb, p_number bigint) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(p_extra, '{}') || jsonb_build_object('call', p_number)
$$;
CREATE FUNCTION taskd.is_newer_v1(p_number bigint, p_extra jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(p_number > (p_extra->>'call')::bigint, true)
$$;

-- What jobs change whose key one of the same call holds (p_first: its first id), once that is stored.
CREATE FUNCTION taskd.change_new_v1(p_jobs taskd.keyed_job[], p_ids bigint[], p_first bigint)
RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
DECLARE
    ids bigint[];
BEGIN
    IF NOT EXISTS (SELECT FROM unnest(p_ids) i WHERE -i >= p_first) THEN
        RETURN;
    END IF;
    ids := ARRAY(           -- 0: the key is nobody's of this call
        SELECT CASE WHEN own.id IS NULL THEN 0 ELSE i.id END
        FROM unnest(p_ids) WITH ORDINALITY AS i (id, place)
        LEFT JOIN unnest(p_ids) own (id) ON own.id = -i.id AND own.id > 0
        ORDER BY i.place);
    PERFORM taskd.change_waiting_v1(p_jobs, ids);
    PERFORM taskd.change_blocked_v1(p_jobs, ids);   -- the dispatcher cannot see it yet
END $$;

-- The same as change_waiting_v1 for jobs that are blocked. For the dispatcher, or for jobs that it cannot
-- see yet.
CREATE FUNCTION taskd.change_blocked_v1(p_jobs taskd.keyed_job[], p_ids bigint[])
RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
BEGIN
    UPDATE taskd.blocked b
    SET args = c.args, kwargs = c.kwargs, extra = taskd.called_v1(b.extra, c.number)
    FROM taskd.last_calls_v1(p_jobs, p_ids) c
    WHERE b.id BETWEEN c.id AND c.id AND taskd.is_newer_v1(c.number, b.extra);
    UPDATE taskd.blocked b SET run_at = c.due
    FROM taskd.earliest_calls_v1(p_jobs, p_ids) c
    WHERE b.id BETWEEN c.id AND c.id AND b.run_at > c.due;
END $$;

-- The jobs (-id in p_ids) whose arguments are to be replaced, by which, and by the call of which number.
CREATE FUNCTION taskd.last_calls_v1(p_jobs taskd.keyed_job[], p_ids bigint[])
RETURNS TABLE (id bigint, args text, kwargs text, number bigint) LANGUAGE sql STABLE AS $$
    SELECT DISTINCT ON (-p_ids[j.ordinality]) -p_ids[j.ordinality], j.args, j.kwargs, j.id
    FROM unnest(p_jobs) WITH ORDINALITY j
    WHERE j.on_conflict = 'replace' AND p_ids[j.ordinality] < 0
    ORDER BY -p_ids[j.ordinality], j.id DESC
$$;

-- When the jobs (-id in p_ids) are to be due whose time may come earlier.
CREATE FUNCTION taskd.earliest_calls_v1(p_jobs taskd.keyed_job[], p_ids bigint[])
RETURNS TABLE (id bigint, due timestamptz) LANGUAGE sql AS $$
    SELECT -p_ids[j.ordinality], min(coalesce(j.due, clock_timestamp()))
    FROM unnest(p_jobs) WITH ORDINALITY j
    WHERE j.on_conflict = 'earlier' AND p_ids[j.ordinality] < 0
    GROUP BY 1
    ORDER BY 1
$$;
