-- Unique keys: at most one job that has not let go of it holds a key.

CREATE TABLE taskd.unique_key (
    key          text COLLATE "C" PRIMARY KEY,
    job          bigint      NOT NULL,
    expires_at   timestamptz              -- NULL: the job lets go when it has started, or finished
);
CREATE INDEX unique_key_expires ON taskd.unique_key (expires_at) WHERE expires_at IS NOT NULL;

-- Take a key for each job (p_unique: see enqueue_jobs_v1). A key that another job holds stays with it:
-- DO NOTHING leaves no lock on that row, so whoever enqueues and then forgets to commit keeps nobody
-- from ending the job that holds it. Two who take the same new key at once wait for each other, in
-- the order of the keys.
--   ids: of each job, or -id of the job that holds its key; extras: p_extra with what lets go of it.
CREATE FUNCTION taskd.take_keys_v1(
    p_ids bigint[], p_extra jsonb, p_unique jsonb, OUT ids bigint[], OUT extras jsonb[]
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off AS $$
DECLARE
    keys text[] := ARRAY(SELECT jsonb_array_elements_text(p_unique->'keys'));
    self bigint := (p_unique->>'self')::bigint;
    until text := p_unique->>'until';
    expires timestamptz;
    is_settled boolean := false;
BEGIN
    IF until NOT IN ('started', 'finished') THEN
        expires := clock_timestamp() + until::double precision * interval '1 second';
    END IF;
    FOR attempt IN 1 .. 100 LOOP
        INSERT INTO taskd.unique_key (key, job, expires_at)
        SELECT DISTINCT ON (u.key) u.key, u.id, expires
        FROM unnest(keys, p_ids) AS u (key, id)
        ORDER BY u.key, u.id
        ON CONFLICT (key) DO NOTHING;
        -- A key of the job that enqueues, or one whose time is over, is free. What is nobody's was
        -- let go of since the insert looked.
        SELECT array_agg(CASE WHEN k.job = u.id THEN u.id ELSE -k.job END ORDER BY u.place),
               bool_and(k.job IS NOT NULL)
        INTO ids, is_settled
        FROM unnest(keys, p_ids) WITH ORDINALITY AS u (key, id, place)
        LEFT JOIN taskd.unique_key k
          ON k.key = u.key AND (k.job = u.id OR k.job IS DISTINCT FROM self)
         AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp());
        EXIT WHEN is_settled;
        DELETE FROM taskd.unique_key k
        WHERE k.key = ANY (keys) AND (k.job = self OR k.expires_at <= clock_timestamp());
    END LOOP;
    IF NOT is_settled THEN
        RAISE EXCEPTION 'no unique key was to be had in 100 attempts' USING ERRCODE = '40001';
    END IF;
    IF expires IS NULL THEN
        extras := ARRAY(
            SELECT coalesce(p_extra, '{}') || jsonb_build_object('unique', k, 'until', until)
            FROM unnest(keys) WITH ORDINALITY AS u (k, place) ORDER BY u.place);
    END IF;
END $$;

-- Of jobs whose key another holds (-id): the id, and the arguments of the last call for it.
CREATE FUNCTION taskd.last_calls_v1(p_ids bigint[], p_args text[], p_kwargs text[])
RETURNS TABLE (id bigint, args text, kwargs text) LANGUAGE sql IMMUTABLE AS $$
    SELECT DISTINCT ON (u.id) -u.id, u.args, u.kwargs
    FROM unnest(p_ids, p_args, p_kwargs) WITH ORDINALITY AS u (id, args, kwargs, place)
    WHERE u.id < 0
    ORDER BY u.id, u.place DESC
$$;

-- What a second enqueue with the same key changes of the job that holds it, where p_ids[i] is its -id:
--   replace: its arguments become those of job i     earlier: it is due at p_due, if that is earlier
-- Only if it still waits in queued or scheduled. A lock on its row makes a claim skip it, not wait.
CREATE FUNCTION taskd.change_waiting_v1(
    p_ids bigint[], p_args text[], p_kwargs text[], p_due timestamptz, p_on_conflict text
) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    lane record;
BEGIN
    IF p_on_conflict = 'replace' THEN
        UPDATE taskd.scheduled s SET args = c.args, kwargs = c.kwargs
        FROM taskd.last_calls_v1(p_ids, p_args, p_kwargs) c WHERE s.id = c.id;
        FOR lane IN
            UPDATE taskd.queued q SET args = c.args, kwargs = c.kwargs
            FROM taskd.last_calls_v1(p_ids, p_args, p_kwargs) c WHERE q.id = c.id
            RETURNING q.queue, q.lane, q.seq
        LOOP
            PERFORM taskd.notify_hosts_v1(lane.queue, lane.lane, 1, lane.seq); -- a claim may have skipped it
        END LOOP;
    ELSIF p_on_conflict = 'earlier' THEN
        WITH moved AS (
            DELETE FROM taskd.scheduled s
            WHERE s.id = ANY (ARRAY(SELECT -u FROM unnest(p_ids) u WHERE u < 0))
              AND s.run_at > coalesce(p_due, clock_timestamp())
            RETURNING s.*
        )
        INSERT INTO taskd.scheduled (
            run_at, id, created_at, timeout, priority, attempt, max_attempts, losses, crashes, queue,
            task, args, kwargs, extra, res, need, place)
        SELECT coalesce(p_due, clock_timestamp()), m.id, m.created_at, m.timeout, m.priority,
               m.attempt, m.max_attempts, m.losses, m.crashes, m.queue, m.task, m.args, m.kwargs,
               m.extra, m.res, m.need, m.place
        FROM moved m;
        IF FOUND THEN
            PERFORM pg_notify('taskd', json_build_array(
                greatest(extract(epoch FROM p_due - clock_timestamp()), 0))::text);
        END IF;
    END IF;
END $$;
