-- Hosts, workers, and what becomes of the jobs of the dead.
--
--   claim:   KEY SHARE on the worker's row, then its jobs enter running
--   rescue:  FOR UPDATE on the worker's row, end it, then its jobs leave running
--
-- The two locks exclude each other. So a claim that a killed worker had under way either commits
-- before the rescue looks, or finds its worker ended and claims nothing; no job stays behind.

-- A new row of a host that others took for dead wants the limits that its last one wanted, until it
-- says something else: they must not be let go of in between.
CREATE FUNCTION taskd.register_host_v1(p_incarnation uuid, p_name text, p_pid integer, p_version text)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    new_id bigint;
BEGIN
    INSERT INTO taskd.host (incarnation, name, pid, version)
    VALUES (p_incarnation, p_name, p_pid, p_version)
    RETURNING id INTO new_id;
    UPDATE taskd.limit_wish w SET host = new_id
    WHERE w.host = (SELECT max(h.id) FROM taskd.host h WHERE h.incarnation = p_incarnation AND h.id < new_id);
    RETURN new_id;
END $$;

-- NULL: the host is not (or no more) among the living.
CREATE FUNCTION taskd.register_worker_v1(
    p_host bigint, p_pid integer, p_pool text, p_slot smallint, p_generation integer, p_offers text[],
    p_greenlets integer, p_queues text[]
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    new_id bigint;
BEGIN
    PERFORM FROM taskd.host h WHERE h.id = p_host AND h.ended_at IS NULL FOR KEY SHARE;
    IF FOUND THEN
        INSERT INTO taskd.worker (host, pid, pool, slot, generation, offers, greenlets, queues)
        VALUES (p_host, p_pid, p_pool, p_slot, p_generation, p_offers, p_greenlets, p_queues)
        RETURNING id INTO new_id;
        PERFORM taskd.widen_windows_v1(p_queues);
    END IF;
    RETURN new_id;
END $$;

-- One beat: count up, say whether somebody here waits for work (NULL: as before), and look around.
--   alive: false when another host has declared this one dead.
--   others: the living hosts but this one, JSON {"id": beat, …}.
--   due: seconds until the first scheduled job is due (negative: overdue) or the first line gets a
--   token that it waits for; NULL for none.
--   slot: seconds until the first slot of a schedule is due, likewise.
--   requests: the newest request's id; unread orders exist when it grows.
--   paused: JSON [queue, …].
--   mail: whether letters wait for a dispatcher.
--   lanes: if p_looks, what all_lanes_v1 finds, JSON [[queue, lane, seq], …], and look_seconds that took.
CREATE FUNCTION taskd.beat_host_v1(
    p_host bigint, p_idle boolean, p_looks boolean DEFAULT false,
    OUT alive boolean, OUT others text, OUT due double precision, OUT slot double precision,
    OUT requests bigint, OUT paused text, OUT mail boolean, OUT lanes text,
    OUT look_seconds double precision
) LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz;
BEGIN
    IF p_looks THEN -- before the row is locked: who gives up on a long look must not wait for it
        began := clock_timestamp();
        lanes := (SELECT coalesce(json_agg(json_build_array(l.queue, l.lane, l.seq)), '[]')
                  FROM taskd.all_lanes_v1() l);
        look_seconds := extract(epoch FROM clock_timestamp() - began);
    END IF;
    UPDATE taskd.host h
    SET beat = h.beat + 1, beat_at = now(), idle = coalesce(p_idle, h.idle)
    WHERE h.id = p_host AND h.ended_at IS NULL;
    alive := FOUND;
    others := (SELECT json_object_agg(h.id, h.beat) FROM taskd.host h
               WHERE h.ended_at IS NULL AND h.id <> p_host);
    due := extract(epoch FROM least(
        (SELECT s.run_at FROM taskd.scheduled s ORDER BY s.run_at LIMIT 1),
        (SELECT r.retry_at FROM taskd.resource r WHERE r.retry_at IS NOT NULL ORDER BY r.retry_at LIMIT 1)
    ) - clock_timestamp());
    slot := (SELECT extract(epoch FROM s.next_at - clock_timestamp()) FROM taskd.schedule s
             WHERE s.next_at IS NOT NULL AND NOT s.paused AND s.removed_at IS NULL
             ORDER BY s.next_at LIMIT 1);
    requests := (SELECT r.id FROM taskd.request r ORDER BY r.id DESC LIMIT 1);
    paused := (SELECT json_agg(q.name) FROM taskd.queue q WHERE q.paused);
    mail := taskd.has_mail_v1();
END $$;

-- What is due enters the queue; at most p_count jobs, the earliest first. A job that asks for resources
-- and holds none joins its lines instead. And lines that waited for a token are looked at. The number promoted, and the lanes they entered as JSON
-- [[queue, lane, count, lowest seq], …]. Index scheduled_pkey.
CREATE FUNCTION taskd.promote_jobs_v1(p_count integer, OUT promoted integer, OUT lanes text)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    arrivals bigint[];
    names text[];
    moment timestamptz := clock_timestamp();  -- the function itself is no index condition
BEGIN
    WITH due AS (
        DELETE FROM taskd.scheduled WHERE ctid = ANY (ARRAY(
            SELECT s.ctid FROM taskd.scheduled s
            WHERE s.run_at <= moment
            ORDER BY s.run_at, s.id
            LIMIT p_count
            FOR UPDATE SKIP LOCKED))
        RETURNING *, CASE WHEN place IS NULL THEN taskd.asks_v1(res, queue, extra)
                          ELSE taskd.lacks_gate_v1(res, queue, extra) END AS asks
    ), lined AS (
        INSERT INTO taskd.blocked (
            id, created_at, run_at, stage, pending, timeout, priority, attempt, max_attempts, losses,
            crashes, queue, task, args, kwargs, extra, res, need, place, level)
        SELECT d.id, d.created_at, d.run_at, CASE WHEN d.place IS NULL THEN 'i' ELSE 'l' END, 0,
               d.timeout, d.priority, d.attempt, d.max_attempts, d.losses, d.crashes, d.queue, d.task,
               d.args, d.kwargs, d.extra, d.res, d.need, d.place,
               taskd.level_v1(d.res[cardinality(d.res)])
        FROM due d WHERE d.asks
    ), entered AS (
        INSERT INTO taskd.queued AS q (
            seq, id, created_at, run_at, ready_at, timeout, lane, priority, attempt, max_attempts,
            losses, crashes, queue, task, args, kwargs, extra, res, need, place)
        SELECT nextval('taskd.job_seq'), d.id, d.created_at, d.run_at, clock_timestamp(), d.timeout,
               taskd.lane_v1(d.priority, d.losses, d.crashes, d.place), d.priority, d.attempt, d.max_attempts,
               d.losses, d.crashes, d.queue, d.task, d.args, d.kwargs, d.extra, d.res, d.need, d.place
        FROM (SELECT * FROM due ORDER BY run_at, id) d
        WHERE NOT d.asks
        RETURNING q.queue, q.lane, q.seq
    ), by_lane AS (
        SELECT e.queue, e.lane, count(*)::integer AS n, min(e.seq) AS seq
        FROM entered e GROUP BY e.queue, e.lane
    ), told AS (
        SELECT taskd.notify_hosts_v1(l.queue, l.lane, l.n, l.seq)
        FROM by_lane l
        WHERE EXISTS (SELECT FROM taskd.host WHERE idle)
    )
    SELECT count(*) + 0 * (SELECT count(*) FROM told),
           (SELECT json_agg(json_build_array(l.queue, l.lane, l.n, l.seq)) FROM by_lane l),
           array_agg(d.id ORDER BY d.run_at, d.id) FILTER (WHERE d.asks)
    INTO promoted, lanes, arrivals
    FROM due d;
    names := ARRAY(SELECT r.name FROM taskd.resource r WHERE r.retry_at <= moment);
    IF names <> '{}' THEN
        PERFORM taskd.look_again_v1(names);
    END IF;
    IF arrivals IS NOT NULL THEN
        PERFORM taskd.send_arrivals_v1(arrivals);
        PERFORM taskd.see_to_mail_v1(false);
    END IF;
END $$;

-- End these workers, and decide what becomes of each of their jobs (column fate):
--
--   c  it was to be cancelled: it ends as cancelled
--   f  it fails: lost, killed or timed out too often, or its task says that it must not run again
--   l  the culprit: it comes back later, after 5 s, 10 s, 20 s, … up to an hour; it keeps the
--      resources it holds unless it says on_retry="release"
--   b  any other goes back, resumes before all that wait, and keeps the resources it holds; in
--      quarantine if it was lost twice by now, see lane_v1
--
-- p_charge: nobody is to blame, so each of p_begun counts a loss (NULL: each, for it is not known
-- which of them had begun); at p_max_losses it fails. None can be too late to begin any more: it may
-- have begun, and even have ended, without its report.
-- p_culprit: the job that its worker was killed for, and p_why: timeout (the attempt counts, and the
-- job fails if it was the last), hog, memory or cancel. Or crash: its worker died, and it alone had begun.
-- It counts a crash; at p_max_crashes it fails. Its neighbours go back uncharged.
-- p_stood: the job that stood where p_stack says, be it the culprit or not (NULL: none did, as far as is
-- known, and the stack is kept for nobody).
-- p_interrupted: the workers were stopped before their jobs were done.
-- Returns how many jobs went back, now or later, and how many failed.
CREATE FUNCTION taskd.rescue_workers_v1(
    p_workers bigint[], p_reason text, p_charge boolean, p_max_losses integer,
    p_max_crashes integer DEFAULT 3, p_culprit bigint DEFAULT NULL, p_why text DEFAULT NULL,
    p_stack text DEFAULT NULL, p_interrupted boolean DEFAULT false, p_begun bigint[] DEFAULT NULL,
    p_stood bigint DEFAULT NULL,
    OUT given_back integer, OUT failed integer
) LANGUAGE plpgsql SET jit = off AS $$
DECLARE
    over bigint[];
    holdings taskd.holding[];
    pause double precision;
BEGIN
    PERFORM FROM taskd.worker w WHERE w.id = ANY (p_workers) ORDER BY w.id FOR UPDATE;
    UPDATE taskd.worker w SET ended_at = now() WHERE w.id = ANY (p_workers) AND w.ended_at IS NULL;
    -- A cancel holds these rows until it has written its request: then the next statement sees it.
    PERFORM FROM taskd.running r WHERE r.worker = ANY (p_workers) ORDER BY r.id FOR UPDATE;
    PERFORM taskd.hold_adopted_v1(ARRAY(SELECT r.id FROM taskd.running r WHERE r.worker = ANY (p_workers)));
    WITH gone AS (
        DELETE FROM taskd.running r WHERE r.worker = ANY (p_workers)
        RETURNING r.*, r.id IS NOT DISTINCT FROM p_culprit AS guilty,
                  p_charge AND r.id IS DISTINCT FROM p_culprit
                  AND (p_begun IS NULL OR r.id = ANY (p_begun)) AS lost,
                  taskd.begun_v1(r.extra) AS left_extra
    ), counted AS MATERIALIZED (
        SELECT g.*, EXISTS (SELECT FROM taskd.request o WHERE o.job = g.id AND o.kind = 'cancel') AS cancelled,
               (g.losses + CASE WHEN g.lost THEN 1 ELSE 0 END)::smallint AS all_losses,
               (g.crashes + CASE WHEN g.guilty AND p_why <> 'cancel' THEN 1 ELSE 0 END)::smallint AS all_crashes,
               g.guilty AND p_why = 'timeout' AS timed_out
        FROM gone g
    ), judged AS MATERIALIZED (
        SELECT c.*, CASE
                   WHEN c.cancelled THEN 'cancelled while it ran; its worker is gone: ' || p_reason
                   WHEN c.timed_out AND c.attempt >= c.max_attempts THEN
                       format('JobTimeout: %s; its worker was killed', p_reason)
                   WHEN c.guilty AND c.all_crashes >= p_max_crashes THEN
                       format('poisoned: %s %s times, the last time because: %s',
                              CASE p_why WHEN 'crash' THEN 'it took its worker down'
                              ELSE 'its worker had to be killed' END,
                              c.all_crashes, p_reason)
                   WHEN c.lost AND c.all_losses >= p_max_losses THEN
                       format('poisoned: its worker was lost %s times, the last time because: %s',
                              c.all_losses, p_reason)
                   WHEN c.extra->>'on_lost' = 'fail' THEN
                       format('lost: its worker is gone (%s), and its task says on_lost="fail"', p_reason)
                   WHEN p_interrupted AND c.extra->>'on_interrupt' = 'fail' THEN
                       format('interrupted: %s, and its task says on_interrupt="fail"', p_reason)
               END AS final
        FROM counted c
    ), fated AS MATERIALIZED (
        SELECT j.*, CASE WHEN j.cancelled THEN 'c' WHEN j.final IS NOT NULL THEN 'f'
                         WHEN j.guilty THEN 'l' ELSE 'b' END AS fate,
               taskd.lets_go_v1(j.extra->>'on_retry' = 'release', 'r', j.res) AS releases,
               CASE WHEN j.id = p_stood THEN p_stack END AS stack,
               (j.attempt - CASE WHEN j.timed_out THEN 0 ELSE 1 END)::smallint AS charged,
               least(5 * 2.0 ^ least(CASE WHEN j.timed_out THEN j.attempt ELSE j.all_crashes END - 1, 20),
                     3600) AS pause
        FROM judged j
    ), kept AS (
        INSERT INTO taskd.attempt (
            job, fence, worker, started_at, number, outcome, queue, task, ready_at, error, traceback)
        SELECT f.id, f.fence, f.worker, f.claimed_at, f.attempt,
               CASE WHEN f.timed_out THEN 'h' WHEN f.guilty AND p_why <> 'crash' THEN 'k'
                    WHEN f.guilty OR f.lost THEN 'l' ELSE 'g' END,
               f.queue, f.task, coalesce(f.ready_at, f.created_at), p_reason, f.stack
        FROM fated f WHERE f.fate IN ('b', 'l')
    ), ended AS (
        INSERT INTO taskd.history (
            id, fence, worker, created_at, run_at, ready_at, started_at, timeout, priority, attempt,
            max_attempts, losses, crashes, state, queue, task, args, kwargs, extra, res, need, error,
            traceback)
        SELECT f.id, f.fence, f.worker, f.created_at, f.run_at, f.ready_at, f.claimed_at, f.timeout,
               f.priority, f.attempt, f.max_attempts, f.all_losses, f.all_crashes, f.fate, f.queue,
               f.task, f.args, f.kwargs, f.extra, f.res, f.need, f.final, f.stack
        FROM fated f WHERE f.fate IN ('c', 'f')
    ), later AS (
        INSERT INTO taskd.scheduled (
            run_at, id, created_at, timeout, priority, attempt, max_attempts, losses, crashes,
            queue, task, args, kwargs, extra, res, need, place)
        SELECT now() + f.pause * interval '1 second', f.id, f.created_at, f.timeout, f.priority,
               f.charged, f.max_attempts, f.all_losses, f.all_crashes, f.queue, f.task, f.args,
               f.kwargs, f.left_extra, taskd.own_v1(f.res, f.res), taskd.own_v1(f.res, f.need),
               CASE WHEN NOT f.releases THEN f.place END
        FROM fated f WHERE f.fate = 'l'
    ), again AS (
        INSERT INTO taskd.queued AS q (
            seq, id, created_at, run_at, ready_at, timeout, lane, priority, attempt, max_attempts,
            losses, crashes, queue, task, args, kwargs, extra, res, need, place)
        SELECT nextval('taskd.job_seq'), f.id, f.created_at, f.run_at, now(), f.timeout,
               taskd.lane_v1(10, f.all_losses, f.all_crashes, f.place), f.priority, f.charged, f.max_attempts,
               f.all_losses, f.all_crashes, f.queue, f.task, f.args, f.kwargs, f.left_extra, f.res, f.need,
               f.place
        FROM (SELECT * FROM fated WHERE fate = 'b' ORDER BY id) f
        RETURNING q.queue, q.lane, q.seq
    ), told AS (
        SELECT taskd.notify_hosts_v1(a.queue, a.lane, count(*)::integer, min(a.seq))
        FROM again a GROUP BY a.queue, a.lane
    )
    SELECT count(*) FILTER (WHERE f.fate IN ('b', 'l')) + 0 * (SELECT count(*) FROM told),
           count(*) FILTER (WHERE f.fate = 'f'),
           min(f.pause) FILTER (WHERE f.fate = 'l'),
           array_agg(f.id) FILTER (WHERE f.fate IN ('c', 'f')),
           array_agg(CASE WHEN f.fate = 'l' AND NOT f.releases
                          THEN taskd.gate_holding_v1(f.id, f.res, f.place)
                          ELSE ROW(f.id, f.res, f.need, f.place,
                                   CASE WHEN f.fate <> 'l' THEN f.extra->>'unique' END)::taskd.holding END)
               FILTER (WHERE (f.fate IN ('c', 'f') AND (f.extra IS NOT NULL OR f.res IS NOT NULL))
                          OR (f.fate = 'l' AND f.place IS NOT NULL
                              AND (f.releases OR f.res[cardinality(f.res)] LIKE '@queue %')))
    INTO given_back, failed, pause, over, holdings
    FROM fated f;
    DELETE FROM taskd.request o WHERE o.worker = ANY (p_workers);
    IF over IS NOT NULL OR holdings IS NOT NULL THEN
        PERFORM taskd.let_go_v1(over, (SELECT array_agg(false) FROM unnest(over)), holdings, true);
        PERFORM taskd.tell_failures_v1(over);
    END IF;
    PERFORM pg_notify('taskd', json_build_array(pause)::text) WHERE pause IS NOT NULL;
END $$;

-- Declare a host dead, if its beat still stands where the observer saw it stand for a whole lease
-- of the observer's own clock (p_beat NULL: it is known to be dead), end its workers and give their
-- jobs back. Several observers may try: one wins, the others skip.
CREATE FUNCTION taskd.rescue_host_v1(
    p_host bigint, p_beat bigint, p_reason text, p_charge boolean, p_max_losses integer,
    p_max_crashes integer DEFAULT 3, OUT given_back integer, OUT failed integer
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM taskd.host h
    WHERE h.id = p_host AND h.ended_at IS NULL AND (p_beat IS NULL OR h.beat = p_beat)
    FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        given_back := 0;
        failed := 0;
        RETURN;
    END IF;
    UPDATE taskd.host SET ended_at = now(), idle = false WHERE id = p_host;
    SELECT r.given_back, r.failed INTO given_back, failed
    FROM taskd.rescue_workers_v1(
        ARRAY(SELECT w.id FROM taskd.worker w WHERE w.host = p_host AND w.ended_at IS NULL),
        p_reason, p_charge, p_max_losses, p_max_crashes) r;
    DELETE FROM taskd.task WHERE host = p_host;
    DELETE FROM taskd.request WHERE host = p_host;
END $$;
