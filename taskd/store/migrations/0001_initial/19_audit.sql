-- What people do to a running system through the dashboard, and what they say of failures.

-- An order that somebody gave: append-only, pruned by age.
--   role: operator, reader (of a sign-in) or cli; address: from where, as the server saw it, or user@host.
--   parameters: what was asked for, long lists cut. count: how many jobs (or other things) it changed.
CREATE TABLE taskd.audit_log (
    id           bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,      -- pages, newest first
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    role         text        NOT NULL,
    address      text        NOT NULL,
    action       text        NOT NULL,
    parameters   jsonb       NOT NULL,
    count        bigint      NOT NULL
);
CREATE INDEX audit_log_age ON taskd.audit_log (at);     -- prune

-- What people have said of failures with one cause (see cause_of_v1) of one task ('': of any task).
--   acknowledged_at: what has failed until then is known. muted: nobody wants to hear of it.
CREATE TABLE taskd.failure_mark (
    task         text COLLATE "C" NOT NULL,
    cause        text COLLATE "C" NOT NULL,
    acknowledged_at timestamptz,
    muted        boolean     NOT NULL DEFAULT false,
    note         text        NOT NULL DEFAULT '',
    changed_at   timestamptz NOT NULL DEFAULT now()
);
-- Both may be long, too long together for a key.
CREATE UNIQUE INDEX failure_mark_key ON taskd.failure_mark (md5(task || E'\n' || cause));

-- Change what is said of a cause; NULL leaves as it is. The row is gone when nothing is left to say.
CREATE FUNCTION taskd.mark_failure_v1(
    p_task text, p_cause text, p_acknowledged boolean, p_muted boolean, p_note text
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO taskd.failure_mark AS m (task, cause, acknowledged_at, muted, note)
    VALUES (p_task, p_cause, CASE WHEN p_acknowledged THEN now() END, coalesce(p_muted, false),
            coalesce(p_note, ''))
    ON CONFLICT (md5(task || E'\n' || cause)) DO UPDATE
    SET acknowledged_at = CASE WHEN p_acknowledged THEN now()
                               WHEN p_acknowledged IS NULL THEN m.acknowledged_at END,
        muted = coalesce(p_muted, m.muted), note = coalesce(p_note, m.note), changed_at = now();
    DELETE FROM taskd.failure_mark m
    WHERE md5(m.task || E'\n' || m.cause) = md5(p_task || E'\n' || p_cause)
      AND m.acknowledged_at IS NULL AND NOT m.muted AND m.note = '';
END $$;

-- Forget jobs that have ended, with their results, attempts and logs; how many it were. What has not
-- ended stays. Indexes history_id, result_job, attempt_job.
CREATE FUNCTION taskd.delete_jobs_v1(p_ids bigint[]) RETURNS integer LANGUAGE plpgsql
SET jit = off SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    ids bigint[];
BEGIN
    -- In the order in which requeue_jobs_v1 locks them.
    PERFORM FROM (SELECT DISTINCT i AS id FROM unnest(p_ids) i ORDER BY 1) w
    CROSS JOIN LATERAL (SELECT h.id FROM taskd.history h WHERE h.id = w.id LIMIT 1 FOR UPDATE) h;
    WITH gone AS (
        DELETE FROM taskd.history h WHERE h.id = ANY (p_ids) RETURNING h.id
    )
    SELECT array_agg(g.id) INTO ids FROM gone g;
    DELETE FROM taskd.result r WHERE r.job = ANY (ids);
    DELETE FROM taskd.attempt a WHERE a.job = ANY (ids);
    DELETE FROM taskd.job_log l WHERE l.job = ANY (ids);
    RETURN coalesce(cardinality(ids), 0);
END $$;
