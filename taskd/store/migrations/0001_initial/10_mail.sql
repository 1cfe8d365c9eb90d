-- Dependencies and resources: one mechanism for all that a job may have to wait for beside its turn.
--
--   enqueue ─ letter "a" ─┐                 ┌─► blocked: pending 2 … 1 … 0 ─► queued
--   end     ─ letter "f" ─┼─► dispatcher ───┤
--   release ─ letter "r" ─┤   (one at a     └─► lines of the resources move up
--   cancel  ─ letter "c" ─┤    time, tried)
--   replace ─ letter "u" ─┘
--
-- No transaction of a user ever locks a resource or somebody else's job: enqueue, completion, retry,
-- cancel and rescue only insert letters. Whoever calls dispatch_v1 and gets the dispatch lock (it is
-- tried, never waited for) works the letters off in a short READ COMMITTED transaction. There, what is
-- released while no letter waits needs none.
--   anyone       inserts into queued, scheduled, blocked, dependency, mail; moves its own running jobs
--   dispatcher   alone changes resource and line, and updates or deletes blocked, dependency, mail

CREATE SEQUENCE taskd.mail_seq;

-- child may not begin before parent has ended. Consumed when it has.
CREATE TABLE taskd.dependency (
    parent       bigint      NOT NULL,
    child        bigint      NOT NULL,
    PRIMARY KEY (parent, child)
);
CREATE INDEX dependency_child ON taskd.dependency (child);

-- One letter a call, not a job.
--   f: parents have ended (ids, ok)        r: units are given back (res, need)
--   c: cancel these jobs (ids)             k: look whether parents of these jobs have ended already
--   a: these jobs join their lines (ids)   u: change these jobs (ids, calls; see 24_late_calls.sql)
-- Arrivals (is_late) are read after all others and a bounded number at a time, so that a flood of
-- enqueues delays no release. sender: the transaction that wrote it; it stands before seq, so that a
-- transaction has its number before its letter has one (see mail_mark_v1).
CREATE TABLE taskd.mail (
    is_late      boolean     NOT NULL GENERATED ALWAYS AS (kind = 'a') STORED,
    sender       xid8        NOT NULL DEFAULT pg_current_xact_id(),
    seq          bigint      NOT NULL DEFAULT nextval('taskd.mail_seq'),
    kind         "char"      NOT NULL,
    ids          bigint[],
    ok           boolean[],
    res          text[] COLLATE "C",
    need         integer[],
    calls        jsonb,
    PRIMARY KEY (is_late, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX mail_sender ON taskd.mail (sender);

-- While somebody keeps a transaction open, the letters that are gone stay in the index, and whoever
-- looks for new ones would read over all of them. So each session remembers, in a setting of its own,
-- up to which seq it has seen everything, and in which snapshot. What can be new to it since then is
--   above that seq, or
--   from a sender who was under way in that snapshot: one of its list, or one that was newer than all
--   that had ended by then, and so stands in no list.
-- Whoever began later has a seq above it, for seqs are given out after senders. An old mark, or one
-- of another session behind the same pooler, is as true as a new one, only less far; that of another
-- installation is none.
CREATE FUNCTION taskd.mail_mark_v1(
    p_is_late boolean, OUT upto bigint, OUT busy xid8[], OUT newer xid8
)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    mark text := current_setting(CASE WHEN p_is_late THEN 'taskd.late_mail' ELSE 'taskd.mail' END, true);
    seen text := split_part(mark, '|', 2);      -- xmin:xmax:xip,…
BEGIN
    upto := 0;
    busy := '{}';
    IF split_part(mark, '|', 3) = 'taskd.mail_seq'::regclass::oid::text THEN
        upto := split_part(mark, '|', 1);
        busy := string_to_array(split_part(seen, ':', 3), ',');
        newer := split_part(seen, ':', 2);
    END IF;
END $$;

CREATE FUNCTION taskd.mark_mail_v1(p_is_late boolean, p_upto bigint, p_seen pg_snapshot)
RETURNS void LANGUAGE sql AS $$
    SELECT set_config(CASE WHEN p_is_late THEN 'taskd.late_mail' ELSE 'taskd.mail' END,
                      p_upto || '|' || p_seen || '|' || 'taskd.mail_seq'::regclass::oid, false)
$$;

-- Whether letters wait for a dispatcher; a handful of looks at an index. Who hands a resource on asks
-- twice, so nothing here that is not such a look is a query; and letters of both kinds are looked for
-- at once if their marks are alike, as they are most of the time.
CREATE FUNCTION taskd.has_mail_v1() RETURNS boolean LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $$
DECLARE
    last bigint;
    are_alike boolean := current_setting('taskd.mail', true)
                         IS NOT DISTINCT FROM current_setting('taskd.late_mail', true);
    late boolean;
    kinds boolean[];
    mark record;
    is_there boolean;
    seen pg_snapshot;
BEGIN
    SELECT last_value INTO last FROM taskd.mail_seq;    -- before the snapshots of what follows
    FOREACH late IN ARRAY CASE WHEN are_alike THEN '{false}' ELSE '{false,true}' END::boolean[] LOOP
        kinds := CASE WHEN are_alike THEN '{false,true}' ELSE ARRAY[late] END;
        mark := taskd.mail_mark_v1(late);
        SELECT EXISTS (SELECT FROM taskd.mail m WHERE m.is_late = ANY (kinds) AND m.seq > mark.upto)
               OR EXISTS (SELECT FROM taskd.mail m WHERE m.sender = ANY (mark.busy)
                          AND (m.is_late = ANY (kinds)) IS TRUE AND m.seq + 0 <= mark.upto)
               OR EXISTS (SELECT FROM taskd.mail m WHERE m.sender >= mark.newer
                          AND (m.is_late = ANY (kinds)) IS TRUE AND m.seq + 0 <= mark.upto),
               pg_current_snapshot()
        INTO is_there, seen;
        IF is_there THEN
            RETURN true;
        ELSIF last > mark.upto + 50 OR NOT are_alike THEN
            PERFORM taskd.mark_mail_v1(kind, last, seen) FROM unnest(kinds) AS k (kind);
        END IF;
    END LOOP;
    RETURN false;
END $$;

-- Jobs have ended: release what they held, tell their children and whoever waits for them.
-- p_good: who succeeded; NULL: all did. Called by every function that ends jobs, after it has moved
-- them: these statements see each dependency whose check has locked the running row before us.
-- p_is_own: in a short transaction of taskd's own, so the letters are worked off at once.
CREATE FUNCTION taskd.let_go_v1(
    p_ids bigint[], p_good boolean[], p_holdings taskd.holding[], p_is_own boolean
) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    holdings taskd.holding[] := p_holdings;
    names text[];           -- what they held: of this resource
    units integer[];        --   so many units
    keys taskd.held_key[];
    told bigint[];          -- whose ends others wait for
    told_good boolean[];
BEGIN
    IF EXISTS (SELECT FROM taskd.adopted a WHERE a.job = ANY (p_ids)) THEN
        holdings := holdings || taskd.let_adopted_go_v1(p_ids);
    END IF;
    IF holdings IS NOT NULL THEN
        SELECT array_agg(u.name), array_agg(u.need) INTO names, units
        FROM unnest(holdings) h CROSS JOIN LATERAL unnest(h.res, h.need) AS u (name, need)
        WHERE h.place IS NOT NULL;          -- a job without a place holds none
        keys := ARRAY(SELECT ROW(h.key, h.id)::taskd.held_key FROM unnest(holdings) h WHERE h.key IS NOT NULL);
        IF keys <> '{}' THEN
            PERFORM taskd.drop_keys_v1(keys);
        END IF;
    END IF;
    SELECT array_agg(u.id), array_agg(coalesce(u.good, true)) INTO told, told_good
    FROM unnest(p_ids, p_good) AS u (id, good)
    WHERE (SELECT d.child FROM taskd.dependency d WHERE d.parent = u.id LIMIT 1) IS NOT NULL
       OR current_setting('transaction_isolation') <> 'read committed'; -- an old snapshot may miss one
    IF told IS NOT NULL THEN
        PERFORM taskd.send_release_v1(names, units);
        INSERT INTO taskd.mail (kind, ids, ok) VALUES ('f', told, told_good);
        names := NULL;
    END IF;
    PERFORM pg_notify('taskd_ended', w.token)
    FROM taskd.waiter w WHERE w.job = ANY (p_ids);
    IF p_is_own OR told IS NOT NULL OR names IS NOT NULL THEN
        PERFORM taskd.see_to_mail_v1(NOT p_is_own, names, units);
    END IF;
END $$;

-- What jobs that have ended hold because they ran when a limit was declared; NULL: nothing.
CREATE FUNCTION taskd.let_adopted_go_v1(p_ids bigint[]) RETURNS taskd.holding[] LANGUAGE plpgsql AS $$
DECLARE
    holdings taskd.holding[];
BEGIN
    WITH gone AS (
        DELETE FROM taskd.adopted a WHERE a.job = ANY (p_ids) RETURNING a.job, a.name
    )
    SELECT array_agg(ROW(g.job, ARRAY[g.name], ARRAY[1], 0, NULL)::taskd.holding) INTO holdings FROM gone g;
    RETURN holdings;
END $$;

-- Give back units by a letter; NULL: none.
CREATE FUNCTION taskd.send_release_v1(p_names text[], p_units integer[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_names IS NOT NULL THEN
        INSERT INTO taskd.mail (kind, res, need) VALUES ('r', p_names, p_units);
    END IF;
END $$;

-- Let blocked jobs join their lines, in the order of p_ids; NULL: nobody.
CREATE FUNCTION taskd.send_arrivals_v1(p_ids bigint[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO taskd.mail (kind, ids)
    SELECT 'a', array_agg(u.id ORDER BY u.place)
    FROM unnest(p_ids) WITH ORDINALITY AS u (id, place)
    GROUP BY (u.place - 1) / 500
    ORDER BY (u.place - 1) / 500
$$;

-- Work off whatever letters there are, and give units back (p_names, p_units; NULL: none). In a
-- transaction of somebody else's, who has sent one, let maintenance do it once that has committed (and
-- do not look: see enqueue_graph_v1).
CREATE FUNCTION taskd.see_to_mail_v1(
    p_is_foreign boolean, p_names text[] DEFAULT NULL, p_units integer[] DEFAULT NULL
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_is_foreign THEN
        PERFORM taskd.send_release_v1(p_names, p_units);
        PERFORM pg_notify('taskd', '"mail"');
    ELSIF taskd.dispatch_v1(100, 10, 500, p_names, p_units) < 0 THEN
        PERFORM pg_notify('taskd', '"mail"') WHERE EXISTS (SELECT FROM taskd.host WHERE idle);
    END IF;
END $$;

-- Move blocked jobs that wait for nothing more into the queue, or to what waits for its time. Those that
-- have yet to ask for their resources go there, too, and promote_jobs_v1 lets them ask.
-- The clock is read once: a job whose time came in between would be in both tables, or in none.
CREATE FUNCTION taskd.start_jobs_v1(p_ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    lane record;
    moment timestamptz := clock_timestamp();
BEGIN
    FOR lane IN
        WITH gone AS (
            DELETE FROM taskd.blocked b WHERE b.id = ANY (p_ids)
            RETURNING b.*, coalesce(b.run_at > moment, false)
                           OR (b.place IS NULL AND taskd.asks_v1(b.res, b.queue, b.extra)) AS is_later
        ), later AS (
            INSERT INTO taskd.scheduled (
                run_at, id, created_at, timeout, priority, attempt, max_attempts, losses, crashes,
                queue, task, args, kwargs, extra, res, need, place)
            SELECT coalesce(g.run_at, moment), g.id, g.created_at, g.timeout, g.priority, g.attempt,
                   g.max_attempts, g.losses, g.crashes, g.queue, g.task, g.args, g.kwargs, g.extra, g.res,
                   g.need, g.place
            FROM gone g WHERE g.is_later
        ), entered AS (
            INSERT INTO taskd.queued AS q (
                seq, id, created_at, run_at, ready_at, timeout, lane, priority, attempt, max_attempts,
                losses, crashes, queue, task, args, kwargs, extra, res, need, place)
            SELECT nextval('taskd.job_seq'), g.id, g.created_at, g.run_at, moment, g.timeout,
                   taskd.lane_v1(g.priority, g.losses, g.crashes, g.place), g.priority, g.attempt,
                   g.max_attempts, g.losses, g.crashes, g.queue,
                   g.task, g.args, g.kwargs, g.extra, g.res, g.need, g.place
            FROM (SELECT * FROM gone WHERE NOT is_later ORDER BY place, id) g
            RETURNING q.queue, q.lane, q.seq
        )
        SELECT e.queue, e.lane, count(*)::integer AS n, min(e.seq) AS seq
        FROM entered e GROUP BY e.queue, e.lane
    LOOP
        IF EXISTS (SELECT FROM taskd.host WHERE idle) THEN
            IF current_setting('taskd.untold', true) <> '' THEN     -- see 23_hand_offs.sql
                PERFORM set_config('taskd.untold', (current_setting('taskd.untold')::jsonb || jsonb_build_array(
                    jsonb_build_array(lane.queue, lane.lane, lane.n, lane.seq)))::text, true);
            ELSE
                PERFORM taskd.notify_hosts_v1(lane.queue, lane.lane, lane.n, lane.seq);
            END IF;
        END IF;
    END LOOP;
END $$;

-- Work off letters: at most p_rounds rounds of p_letters, and p_arrivals jobs that join lines.
-- Anyone may call it at any time, in a short transaction of taskd's own, never in a caller's.
-- The letters settled, so 0 means that there is nothing to do now; -1: somebody else is at it, or this
-- is no READ COMMITTED transaction; -2: some cannot be settled yet, because a transaction that is open
-- moves that job: come again in a while.
-- p_names, p_units: what this transaction gives back (NULL: nothing). That needs no letter if none waits
-- and nobody else is at it, which is how a resource is handed on most of the time.
CREATE FUNCTION taskd.dispatch_v1(
    p_letters integer, p_rounds integer, p_arrivals integer, p_names text[] DEFAULT NULL,
    p_units integer[] DEFAULT NULL
) RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    recancel bigint[] := '{}';
    recheck bigint[] := '{}';
    recall jsonb[] := '{}';     -- a letter each
    taken integer;
    admitted integer;
    total integer := 0;
    returned integer;
    has_more boolean := taskd.has_mail_v1();
    room integer := p_arrivals;
BEGIN
    IF NOT has_more AND p_names IS NULL THEN
        RETURN 0;
    ELSIF current_setting('transaction_isolation') <> 'read committed'
       OR NOT pg_try_advisory_xact_lock('taskd.mail'::regclass::oid::integer, 1) THEN
        PERFORM taskd.send_release_v1(p_names, p_units);
        RETURN -1;
    ELSIF has_more THEN
        PERFORM taskd.send_release_v1(p_names, p_units);
    ELSE
        PERFORM taskd.move_lines_up_v1(p_names, p_units);
        has_more := taskd.has_mail_v1();
        IF NOT has_more THEN
            RETURN 1;
        END IF;
        total := 1;
    END IF;
    FOR i IN 1 .. p_rounds LOOP
        EXIT WHEN NOT has_more;
        SELECT r.recancel, r.recheck, r.recall, r.taken, r.admitted
        INTO recancel, recheck, recall, taken, admitted
        FROM taskd.dispatch_round_v1(p_letters, room, recancel, recheck, recall) r;
        total := total + taken;
        room := room - admitted;
        has_more := taken > 0 AND taskd.has_mail_v1();
    END LOOP;
    -- What could not be settled, because somebody moves that job at this moment, comes again.
    INSERT INTO taskd.mail (kind, ids)
    SELECT l.kind, l.ids
    FROM (VALUES ('c'::"char", recancel), ('k', recheck)) AS l (kind, ids)
    WHERE l.ids <> '{}';
    GET DIAGNOSTICS returned = ROW_COUNT;
    PERFORM taskd.send_calls_v1(r.calls) FROM unnest(recall) AS r (calls);
    returned := returned + cardinality(recall);
    IF has_more OR (room <= 0 AND taskd.has_mail_v1()) THEN   -- for maintenance, at once
        PERFORM pg_notify('taskd', '"mail"');
    END IF;
    RETURN CASE WHEN returned > 0 THEN -2 ELSE total END;
END $$;

-- One round, under the dispatch lock. The order within it: changes, before anything starts that they
-- concern; checks and ends of parents, cancels, releases, arrivals. What it calls plans with the
-- settings of dispatch_v1; for BETWEEN and LIMIT 1 see 05_end.sql.
CREATE FUNCTION taskd.dispatch_round_v1(
    p_letters integer, p_arrivals integer, INOUT recancel bigint[], INOUT recheck bigint[],
    INOUT recall jsonb[], OUT taken integer, OUT admitted integer
) LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    letters taskd.mail[];
    kinds text;
    letter record;
    late record;                    -- what a letter of late calls leaves to be done
    has_waited boolean := false;    --   for a key, which it does once
    ended bigint[] := '{}';         -- parents that have ended
    ended_well boolean[] := '{}';
    doomed bigint[] := '{}';        -- to be cancelled because of a parent
    cancels bigint[] := '{}';
    others bigint[];                --   of these, those that do not wait
    arrivals bigint[] := '{}';
    checks bigint[] := '{}';
    names text[] := '{}';           -- what is given back: of this resource
    units integer[] := '{}';        --   so many units
    mark record;
    late_mark record;
    last bigint;                    -- the last seq that was given out before we look
    seen pg_snapshot;
    taken_late integer;
    found_late integer;
    upto bigint;                    -- the last seq of those we took
    late_upto bigint;
BEGIN
    mark := taskd.mail_mark_v1(false);
    late_mark := taskd.mail_mark_v1(true);
    SELECT s.last_value INTO last FROM taskd.mail_seq s;
    WITH prompt AS (
        (SELECT m.ctid, m.seq FROM taskd.mail m
         WHERE NOT m.is_late AND m.seq > mark.upto ORDER BY m.seq LIMIT p_letters)
        UNION ALL
        SELECT m.ctid, m.seq FROM taskd.mail m
        WHERE m.sender = ANY (mark.busy) AND m.is_late IS NOT TRUE AND m.seq + 0 <= mark.upto
        UNION ALL
        SELECT m.ctid, m.seq FROM taskd.mail m
        WHERE m.sender >= mark.newer AND m.is_late IS NOT TRUE AND m.seq + 0 <= mark.upto
        ORDER BY seq LIMIT p_letters
    ), late AS (
        (SELECT m.ctid, m.seq, m.ids FROM taskd.mail m
         WHERE m.is_late AND m.seq > late_mark.upto ORDER BY m.seq LIMIT p_letters)
        UNION ALL
        SELECT m.ctid, m.seq, m.ids FROM taskd.mail m
        WHERE m.sender = ANY (late_mark.busy) AND m.is_late IS NOT FALSE AND m.seq + 0 <= late_mark.upto
        UNION ALL
        SELECT m.ctid, m.seq, m.ids FROM taskd.mail m
        WHERE m.sender >= late_mark.newer AND m.is_late IS NOT FALSE AND m.seq + 0 <= late_mark.upto
        ORDER BY seq LIMIT p_letters
    ), admitted_ AS (
        SELECT x.ctid, x.seq
        FROM (SELECT l.ctid, l.seq,
                     sum(cardinality(l.ids)) OVER (ORDER BY l.seq) - cardinality(l.ids) AS before
              FROM late l) x
        WHERE x.before < p_arrivals
    ), gone AS (
        DELETE FROM taskd.mail
        WHERE ctid = ANY (ARRAY(SELECT ctid FROM prompt UNION ALL SELECT ctid FROM admitted_))
        RETURNING *
    )
    SELECT array_agg(ROW(g.*)::taskd.mail ORDER BY g.seq), string_agg(DISTINCT g.kind::text, ''),
           coalesce(sum(cardinality(g.ids)) FILTER (WHERE g.is_late), 0),
           count(*) FILTER (WHERE g.is_late), max(g.seq) FILTER (WHERE NOT g.is_late),
           max(g.seq) FILTER (WHERE g.is_late), (SELECT count(*) FROM late), pg_current_snapshot()
    INTO letters, kinds, admitted, taken_late, upto, late_upto, found_late, seen
    FROM gone g;
    taken := coalesce(cardinality(letters), 0);
    IF taken = 0 THEN
        RETURN;
    END IF;
    PERFORM taskd.mark_mail_v1(false, CASE WHEN taken - taken_late < p_letters THEN last ELSE upto END, seen);
    IF taken_late = found_late AND found_late < p_letters THEN
        PERFORM taskd.mark_mail_v1(true, last, seen);
    ELSIF taken_late > 0 THEN
        PERFORM taskd.mark_mail_v1(true, late_upto, seen);
    END IF;
    IF kinds ~ '[fack]' THEN
        SELECT coalesce(array_agg(i.id) FILTER (WHERE l.kind = 'f'), '{}'),
               coalesce(array_agg(i.ok) FILTER (WHERE l.kind = 'f'), '{}'),
               coalesce(array_agg(i.id) FILTER (WHERE l.kind = 'c'), '{}'),
               coalesce(array_agg(i.id ORDER BY l.seq, i.place) FILTER (WHERE l.kind = 'a'), '{}'),
               coalesce(array_agg(i.id) FILTER (WHERE l.kind = 'k'), '{}')
        INTO ended, ended_well, cancels, arrivals, checks
        FROM unnest(letters) l
        CROSS JOIN LATERAL unnest(l.ids, l.ok) WITH ORDINALITY AS i (id, ok, place);
    END IF;
    IF kinds ~ 'r' THEN
        SELECT array_agg(u.name), array_agg(u.need) INTO names, units
        FROM unnest(letters) l
        CROSS JOIN LATERAL unnest(l.res, l.need) AS u (name, need)
        WHERE l.kind = 'r';
    END IF;
    IF ended <> '{}' THEN   -- one with an old snapshot says nothing of a limit that is newer
        WITH gone AS (
            DELETE FROM taskd.adopted a WHERE a.job = ANY (ended) RETURNING a.name
        )
        SELECT names || coalesce(array_agg(g.name), '{}'), units || coalesce(array_agg(1), '{}')
        INTO names, units
        FROM gone g;
    END IF;
    IF kinds ~ 'u' THEN
        FOR letter IN SELECT l.calls FROM unnest(letters) l WHERE l.kind = 'u' ORDER BY l.seq DESC LOOP
            SELECT * INTO late FROM taskd.change_jobs_v1(letter.calls, has_waited);
            has_waited := late.waited;
            arrivals := arrivals || late.arrivals;
            recheck := recheck || late.recheck;
            IF late.recall <> '[]' THEN
                recall := recall || late.recall;
            END IF;
        END LOOP;
    END IF;
    IF checks <> '{}' THEN
        SELECT ended || c.ended, ended_well || c.ended_well, recheck || c.recheck
        INTO ended, ended_well, recheck
        FROM taskd.check_parents_v1(checks) c;
    END IF;
    IF ended <> '{}' THEN
        SELECT t.doomed, arrivals || t.arrivals INTO doomed, arrivals
        FROM taskd.tell_children_v1(ended, ended_well) t;
    END IF;
    IF cancels <> '{}' OR doomed <> '{}' THEN
        SELECT names || c.names, units || c.units, c.others INTO names, units, others
        FROM taskd.cancel_waiting_v1(cancels, doomed) c;
        IF others <> '{}' THEN
            recancel := recancel || taskd.cancel_running_v1(others);
        END IF;
    END IF;
    IF names <> '{}' THEN
        PERFORM taskd.move_lines_up_v1(names, units);
    END IF;
    IF arrivals <> '{}' THEN
        PERFORM taskd.join_lines_v1(arrivals);
    END IF;
END $$;

-- Letter k: parents that ended before their completion could see the dependency. A running parent is
-- locked, so that its completion comes after us and sees it.
CREATE FUNCTION taskd.check_parents_v1(
    p_children bigint[], OUT ended bigint[], OUT ended_well boolean[], OUT recheck bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    parents bigint[] := ARRAY(
        SELECT DISTINCT d.parent FROM taskd.dependency d WHERE d.child = ANY (p_children));
    locked bigint[] := ARRAY(
        SELECT r.id FROM taskd.running r WHERE r.id = ANY (parents) FOR KEY SHARE SKIP LOCKED);
BEGIN
    -- One statement, one snapshot: a job is in exactly one table. Whoever is in none was dropped with
    -- its history; nobody knows how it ended, so it did not end well.
    WITH found AS MATERIALIZED (
        SELECT p.id,
               (SELECT r.id FROM taskd.running r WHERE r.id = p.id LIMIT 1) IS NOT NULL AS runs,
               (SELECT h.state FROM taskd.history h WHERE h.id = p.id LIMIT 1) AS state,
               (SELECT b.id FROM taskd.blocked b WHERE b.id = p.id LIMIT 1) IS NOT NULL
               OR (SELECT s.id FROM taskd.scheduled s WHERE s.id = p.id LIMIT 1) IS NOT NULL
               OR (SELECT q.id FROM taskd.queued q WHERE q.id = p.id LIMIT 1) IS NOT NULL AS waits
        FROM unnest(parents) p (id)
    ), busy AS (
        SELECT f.id FROM found f WHERE f.runs AND NOT f.id = ANY (locked)
    )
    SELECT coalesce(array_agg(f.id) FILTER (WHERE NOT f.runs AND NOT f.waits), '{}'),
           coalesce(array_agg(f.state IS NOT DISTINCT FROM 's') FILTER (WHERE NOT f.runs AND NOT f.waits), '{}'),
           ARRAY(SELECT DISTINCT d.child FROM busy b
                 JOIN taskd.dependency d ON d.parent BETWEEN b.id AND b.id
                 WHERE d.child = ANY (p_children))
    INTO ended, ended_well, recheck
    FROM found f;
END $$;

-- Letter f: each dependency is consumed once. Children that wait for nothing more start, join their
-- lines (arrivals), or are doomed with a parent that did not end well.
CREATE FUNCTION taskd.tell_children_v1(
    p_ended bigint[], p_well boolean[], OUT doomed bigint[], OUT arrivals bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    ready bigint[];
BEGIN
    WITH consumed AS (
        DELETE FROM taskd.dependency d
        USING (SELECT u.id, bool_and(u.ok) AS ok FROM unnest(p_ended, p_well) AS u (id, ok) GROUP BY u.id) e
        WHERE d.parent BETWEEN e.id AND e.id
        RETURNING d.child, e.ok
    ), told AS (
        SELECT c.child, count(*)::integer AS n, bool_and(c.ok) AS ok FROM consumed c GROUP BY c.child
    ), children AS (
        SELECT b.id, (b.run_at IS NULL OR b.run_at <= clock_timestamp())
                     AND taskd.asks_v1(b.res, b.queue, b.extra) AS asks,
               b.pending - t.n AS left_, NOT t.ok AND NOT b.run_if_failed AS is_doomed
        FROM told t JOIN taskd.blocked b ON b.id BETWEEN t.child AND t.child
    ), counted AS (
        UPDATE taskd.blocked b SET pending = c.left_
        FROM children c WHERE b.id BETWEEN c.id AND c.id AND c.left_ > 0 AND NOT c.is_doomed
    )
    SELECT coalesce(array_agg(c.id) FILTER (WHERE c.is_doomed), '{}'),
           array_agg(c.id ORDER BY c.id) FILTER (WHERE c.left_ = 0 AND NOT c.is_doomed AND NOT c.asks),
           coalesce(array_agg(c.id ORDER BY c.id)
                    FILTER (WHERE c.left_ = 0 AND NOT c.is_doomed AND c.asks), '{}')
    INTO doomed, ready, arrivals
    FROM children c;
    IF ready IS NOT NULL THEN
        PERFORM taskd.start_jobs_v1(ready);
    END IF;
END $$;

-- Letter c: end jobs that wait, wherever they wait, and give back what they hold (names, units).
-- p_doomed: those that end because of a parent. others: of p_cancels, those that do not wait, or that
-- somebody moves at this moment.
CREATE FUNCTION taskd.cancel_waiting_v1(
    p_cancels bigint[], p_doomed bigint[], OUT names text[], OUT units integer[], OUT others bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    wanted bigint[] := p_cancels || p_doomed;
    gone bigint[];
    keys taskd.held_key[];
BEGIN
    WITH b AS (
        DELETE FROM taskd.blocked WHERE id = ANY (wanted) RETURNING *
    ), q AS (
        DELETE FROM taskd.queued WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM taskd.queued WHERE id = ANY (wanted) FOR UPDATE SKIP LOCKED))
        RETURNING *
    ), s AS (
        DELETE FROM taskd.scheduled WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM taskd.scheduled WHERE id = ANY (wanted) FOR UPDATE SKIP LOCKED))
        RETURNING *
    ), waited AS (
        DELETE FROM taskd.line WHERE ctid = ANY (ARRAY(
            SELECT (SELECT l.ctid FROM taskd.line l
                    WHERE l.res = u.name AND l.turn = b.turn AND l.place = b.place LIMIT 1)
            FROM b, unnest(b.res) AS u (name)
            WHERE b.stage = 'l' AND taskd.level_v1(u.name) = b.level))
        RETURNING res, need
    ), jobs AS (
        SELECT id, created_at, run_at, NULL::timestamptz AS ready_at, timeout, priority, attempt,
               max_attempts, losses, crashes, queue, task, args, kwargs, extra, res, need FROM b
        UNION ALL
        SELECT id, created_at, run_at, ready_at, timeout, priority, attempt, max_attempts, losses,
               crashes, queue, task, args, kwargs, extra, res, need FROM q
        UNION ALL
        SELECT id, created_at, run_at, NULL, timeout, priority, attempt, max_attempts, losses, crashes,
               queue, task, args, kwargs, extra, res, need FROM s
    ), ended AS (
        INSERT INTO taskd.history (
            id, created_at, run_at, ready_at, timeout, priority, attempt, max_attempts, losses, crashes,
            queue, task, args, kwargs, extra, res, need, state, error)
        SELECT j.*, 'c', CASE WHEN d.id IS NULL THEN 'cancelled'
                              ELSE 'a job that it came after did not succeed' END
        FROM jobs j
        LEFT JOIN (SELECT DISTINCT i AS id FROM unnest(p_doomed) i) d ON d.id = j.id
    ), freed AS (
        DELETE FROM taskd.dependency d USING b
        WHERE d.child BETWEEN b.id AND b.id AND b.stage = 'p'
    ), held AS (
        -- Granted entries are released; waiting ones only make the line be looked at again.
        SELECT u.name, u.need FROM b, unnest(b.res, b.need) AS u (name, need)
        WHERE b.stage = 'l' AND taskd.level_v1(u.name) <= b.level
        UNION ALL SELECT w.res, -w.need FROM waited w
        UNION ALL SELECT u.name, u.need FROM q, unnest(q.res, q.need) AS u (name, need)
        UNION ALL SELECT u.name, u.need FROM s, unnest(s.res, s.need) AS u (name, need)
                  WHERE s.place IS NOT NULL
    )
    SELECT (SELECT array_agg(j.id) FROM jobs j),
           (SELECT array_agg(ROW(j.extra->>'unique', j.id)::taskd.held_key) FROM jobs j
            WHERE j.extra ? 'unique'),
           coalesce(array_agg(h.name), '{}'), coalesce(array_agg(h.need), '{}')
    INTO gone, keys, names, units
    FROM held h;
    PERFORM taskd.drop_keys_v1(keys);
    IF gone IS NOT NULL THEN
        INSERT INTO taskd.mail (kind, ids, ok)
        SELECT 'f', array_agg(g.id), array_agg(false)
        FROM unnest(gone) g (id)
        WHERE (SELECT d.child FROM taskd.dependency d WHERE d.parent = g.id LIMIT 1) IS NOT NULL
        HAVING count(*) > 0;
        PERFORM pg_notify('taskd_ended', w.token) FROM taskd.waiter w WHERE w.job = ANY (gone);
    END IF;
    others := ARRAY(SELECT unnest(p_cancels) EXCEPT SELECT unnest(gone));
END $$;

-- Letter c: the workers of those that run are asked to cancel them; the lock on the row makes a retry
-- or a rescue wait until the request is there to be seen. A request that was taken is written anew, so
-- that a second cancel is told as the first was. The ids that somebody moves at this moment.
CREATE FUNCTION taskd.cancel_running_v1(p_ids bigint[]) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    asked bigint[];
BEGIN
    WITH held AS MATERIALIZED (
        SELECT r.id, r.worker FROM taskd.running r
        WHERE r.id = ANY (p_ids) ORDER BY r.id FOR UPDATE SKIP LOCKED
    ), taken AS (
        DELETE FROM taskd.request o USING held h
        WHERE o.job = h.id AND o.kind = 'cancel' AND o.taken_at IS NOT NULL
    ), ordered AS (
        INSERT INTO taskd.request (kind, job, worker)
        SELECT 'cancel', h.id, h.worker FROM held h
        WHERE (SELECT o.job FROM taskd.request o
               WHERE o.job = h.id AND o.kind = 'cancel' AND o.taken_at IS NULL LIMIT 1) IS NULL
    )
    SELECT array_agg(h.id) INTO asked FROM held h;
    IF asked IS NOT NULL THEN
        PERFORM pg_notify('taskd', '"request"');
    END IF;
    -- One statement, one snapshot: what is in none of these tables has ended, or never was.
    RETURN ARRAY(
        SELECT u.id FROM (SELECT unnest(p_ids) AS id EXCEPT SELECT unnest(asked)) u
        WHERE (SELECT r.id FROM taskd.running r WHERE r.id = u.id LIMIT 1) IS NOT NULL
           OR (SELECT q.id FROM taskd.queued q WHERE q.id = u.id LIMIT 1) IS NOT NULL
           OR (SELECT s.id FROM taskd.scheduled s WHERE s.id = u.id LIMIT 1) IS NOT NULL
           OR (SELECT b.id FROM taskd.blocked b WHERE b.id = u.id LIMIT 1) IS NOT NULL);
END $$;
