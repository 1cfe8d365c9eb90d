-- Resources and the lines before them. The dispatcher alone changes what is here; see 10_mail.sql.
--
-- A resource has used units and perhaps a capacity. One rule for all: an entry fits when capacity > 0
-- and (used = 0 or used + need <= capacity), and there is a token for it if there is a rate.
--   shared: need 1, no capacity   limited: need 1, capacity N   exclusive: need 2147483647
--   capacity 0: paused
-- The head of a line moves up while it fits. A job stands in all of its lines of a level at once, and
-- holds what it was granted while it waits for the rest: all lines of a level are in one order, so
-- nobody can deadlock. It joins those of the next level once it holds all of one, so that a job which
-- waits for another uses up no limit; and nobody who holds a later level waits for an earlier one.

CREATE SEQUENCE taskd.place_seq;

-- What is held of each resource.
--   waiting: somebody stands in its line.
--   turn, place: every entry of its line is behind this position. A hint of where to begin to read: it
--   is moved on only now and then, for a row that changes with each hand-off would grow a long chain
--   of versions while somebody keeps a transaction open.
--   empty_at: when the bucket of its rate was empty, if no token had been lost since.
--   retry_at: when the head of the line gets the next token, if it waits for one.
CREATE TABLE taskd.resource (
    name         text COLLATE "C" PRIMARY KEY,
    used         bigint      NOT NULL,
    waiting      boolean     NOT NULL,
    turn         bigint      NOT NULL DEFAULT 0,
    place        bigint      NOT NULL DEFAULT 0,
    empty_at     timestamptz,
    retry_at     timestamptz
) WITH (fillfactor = 40);
CREATE INDEX resource_retry ON taskd.resource (retry_at) WHERE retry_at IS NOT NULL; -- beat_host_v1

-- How much there is of a resource: units at once (NULL: any number), and tokens a second (rate), of
-- which burst are kept for later. is_declared: by an operator, so that code does not change it;
-- otherwise said_at is when the job was enqueued whose code said so.
CREATE TABLE taskd.capacity (
    name         text COLLATE "C" PRIMARY KEY,
    units        integer     CHECK (units >= 0),
    rate         double precision CHECK (rate > 0),
    burst        integer     CHECK (burst >= 1),
    is_declared  boolean     NOT NULL DEFAULT false,
    said_at      timestamptz
);
CREATE INDEX capacity_declared ON taskd.capacity (name) WHERE is_declared;      -- resources_v1

-- Who waits, in the order of (turn, place). turn: in the line of a task's or a queue's limit its share's
-- number of the round, 0 in all others. share: by what that is reckoned, NULL in all others.
CREATE TABLE taskd.line (
    res          text COLLATE "C" NOT NULL,
    turn         bigint      NOT NULL,
    place        bigint      NOT NULL,
    need         integer     NOT NULL,
    id           bigint      NOT NULL,
    share        text COLLATE "C",
    PRIMARY KEY (res, turn, place)
);
CREATE INDEX line_share ON taskd.line (res, share, turn) WHERE share IS NOT NULL;

-- What was running when the limit of its queue was declared, and holds a unit of it until that claim ends.
-- The row in running is left alone: a caller with an older snapshot that ends its job together with
-- what it writes could not delete one that was changed meanwhile. Nor does it see what stands here, but
-- it always sends a letter f, and the dispatcher looks.
CREATE TABLE taskd.adopted (
    job          bigint      NOT NULL,
    fence        bigint      NOT NULL,
    name         text COLLATE "C" NOT NULL,
    PRIMARY KEY (job, fence)
);

-- In which step a job asks for a resource: what it works on first, then the limits, the narrow ones
-- before the wide ones. Column res is in this order.
CREATE FUNCTION taskd.level_v1(p_name text) RETURNS smallint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_name IS NULL OR p_name NOT LIKE '@%' THEN 0 WHEN p_name LIKE '@key %' THEN 1
                WHEN p_name LIKE '@task %' THEN 2 ELSE 3 END::smallint
$$;

-- How long it takes until so many tokens have come; thirty years are as long as for ever.
CREATE FUNCTION taskd.span_v1(p_tokens double precision, p_rate double precision) RETURNS interval
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN p_rate > 0 THEN least(p_tokens / p_rate, 1e9) * interval '1 second' END
$$;

-- A rate as a bucket of `burst` tokens into which `rate` a second flow. When it was, or would have been,
-- empty. A bucket that was waited for (p_retry_at) may hold a little more: what came in while the one
-- who waits was late. Rates above 20 a second come in portions of 50 ms.
CREATE FUNCTION taskd.empty_since_v1(
    p_rate double precision, p_burst integer, p_empty_at timestamptz, p_retry_at timestamptz,
    p_now timestamptz
) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT least(p_now, greatest(
        p_empty_at,
        p_now - taskd.span_v1(greatest(coalesce(p_burst, 1), p_rate * 0.05), p_rate)
        - CASE WHEN p_retry_at < p_now THEN least(p_now - p_retry_at, interval '100 ms') ELSE interval '0' END))
$$;

-- How many tokens a bucket holds; without a rate there is no end of them.
CREATE FUNCTION taskd.tokens_v1(p_rate double precision, p_empty_since timestamptz, p_now timestamptz)
RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_rate IS NULL THEN 2147483647
                ELSE floor(extract(epoch FROM p_now - p_empty_since)::double precision * p_rate + 0.001)
           END::bigint
$$;

-- When the next token comes, or the next portion of them.
CREATE FUNCTION taskd.next_token_v1(p_rate double precision, p_empty_since timestamptz)
RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT p_empty_since + greatest(taskd.span_v1(1, p_rate), interval '50 ms')
$$;

-- How many jobs the living workers of a queue run at once, twice: so many are let into a queue without a
-- limit while its jobs have shares, so that no worker is idle and a share waits for few of another's.
CREATE FUNCTION taskd.window_v1(p_queue text) RETURNS integer LANGUAGE sql STABLE AS $$
    SELECT greatest(2, 2 * coalesce(sum(w.greenlets), 0))::integer
    FROM taskd.worker w JOIN taskd.host h ON h.id = w.host
    WHERE w.ended_at IS NULL AND h.ended_at IS NULL AND (w.queues = '{}' OR p_queue = ANY (w.queues))
$$;

-- The units of a resource, from its capacity (NULL: it has none).
CREATE FUNCTION taskd.units_v1(p_name text, p_units integer) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(p_units, CASE WHEN p_name LIKE '@queue %' THEN taskd.window_v1(substring(p_name FROM 8)) ELSE 2147483647 END)
$$;

-- A line that moves up. used: what is used of its resource with what was granted, was_used: what its row
-- says. units, tokens: how much there is, and may still be granted. turn, place: the position behind
-- which it is read. waiting: some are left. granted, entries, ids: how many entries were granted,
-- which, and whose they are.
CREATE TYPE taskd.moving_line AS (
    name text COLLATE "C", was_used bigint, used bigint, units bigint, tokens bigint, turn bigint,
    place bigint, waiting boolean, rate double precision, empty_at timestamptz, retry_at timestamptz,
    granted bigint, entries tid[], ids bigint[]
);

-- Letter r: give units back; then the heads of the lines move up while they fit. A line is read from
-- behind its hint, so a hand-off costs the same with any number of waiting jobs. Whoever does not fit
-- stops all behind him, for what they want is added up. Where nothing changed but the hint, it is moved on
-- once in 32 times, by chance.
CREATE FUNCTION taskd.move_lines_up_v1(p_names text[], p_units integer[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    quiet text[];                           -- nobody waits for these
    quiet_units bigint[];
    lines taskd.moving_line[];              -- the lines that still move
    settled taskd.moving_line[] := '{}';    -- those that came to rest
    changed taskd.moving_line[] := '{}';    --   of these, those whose rows say something else
    depth integer := 2;     -- how many of each line to read: few first, then eight times as many
    ready bigint[];
    further bigint[];
BEGIN
    SELECT array_agg(ROW(
               r.name, r.used, r.used - g.units, taskd.units_v1(r.name, c.units),
               taskd.tokens_v1(
                   c.rate, taskd.empty_since_v1(c.rate, c.burst, r.empty_at, r.retry_at, moment), moment),
               r.turn, r.place, true, c.rate,
               taskd.empty_since_v1(c.rate, c.burst, r.empty_at, r.retry_at, moment), r.retry_at, 0,
               '{}'::tid[], '{}'::bigint[])::taskd.moving_line) FILTER (WHERE r.waiting),
           array_agg(g.name) FILTER (WHERE NOT r.waiting AND g.units > 0),
           array_agg(g.units) FILTER (WHERE NOT r.waiting AND g.units > 0)
    INTO lines, quiet, quiet_units
    FROM (SELECT u.name, sum(u.units)::bigint AS units
          FROM unnest(p_names, p_units) AS u (name, units) GROUP BY u.name) g
    JOIN taskd.resource r ON r.name BETWEEN g.name AND g.name
    LEFT JOIN taskd.capacity c ON c.name BETWEEN g.name AND g.name;
    IF quiet IS NOT NULL THEN
        UPDATE taskd.resource r SET used = r.used - g.units
        FROM unnest(quiet, quiet_units) AS g (name, units) WHERE r.name BETWEEN g.name AND g.name;
    END IF;
    IF lines IS NULL THEN
        RETURN;
    END IF;
    WHILE lines IS NOT NULL LOOP
        SELECT array_agg(m.line) FILTER (WHERE m.goes_on),
               settled || array_agg(m.line) FILTER (WHERE NOT m.goes_on),
               changed || array_agg(m.line) FILTER (WHERE NOT m.goes_on AND m.is_changed)
        INTO lines, settled, changed
        FROM (
            SELECT ROW(s.name, s.was_used, s.used + h.taken, s.units, s.tokens - h.fitting,
                       coalesce(h.last[1], s.turn), coalesce(h.last[2], s.place), h.fitting < h.found,
                       s.rate, s.empty_at, s.retry_at, s.granted + h.fitting, s.entries || h.entries,
                       s.ids || h.ids)::taskd.moving_line AS line,
                   h.found = h.fitting AND h.found = depth AS goes_on,
                   h.fitting = h.found OR s.used + h.taken <> s.was_used OR s.rate IS NOT NULL
                   OR s.retry_at IS NOT NULL
                   OR (s.granted + h.fitting > 0 AND random() < 1.0 / 32) AS is_changed
            FROM unnest(lines) s
            CROSS JOIN LATERAL (
                SELECT count(*) AS found, count(*) FILTER (WHERE j.fits) AS fitting,
                       coalesce(max(j.upto) FILTER (WHERE j.fits), 0) AS taken,
                       max(ARRAY[j.turn, j.place]) FILTER (WHERE j.fits) AS last,
                       array_agg(j.entry) FILTER (WHERE j.fits) AS entries,
                       array_agg(j.id) FILTER (WHERE j.fits) AS ids
                FROM (
                    SELECT l.*, s.units > 0 AND l.nth <= s.tokens
                                AND (s.used + l.upto - l.need = 0 OR s.used + l.upto <= s.units) AS fits
                    FROM (
                        SELECT e.*, sum(e.need) OVER up AS upto, row_number() OVER up AS nth
                        FROM (
                            SELECT l.ctid AS entry, l.turn, l.place, l.need, l.id FROM taskd.line l
                            WHERE l.res = s.name AND (l.turn, l.place) > (s.turn, s.place)
                            ORDER BY l.turn, l.place LIMIT depth) e
                        WINDOW up AS (ORDER BY e.turn, e.place ROWS UNBOUNDED PRECEDING)) l) j) h) m;
        depth := depth * 8;
    END LOOP;
    IF changed <> '{}' THEN
        PERFORM taskd.settle_lines_v1(changed, moment);
    END IF;
    WITH gone AS (
        DELETE FROM taskd.line WHERE ctid = ANY (ARRAY(
            SELECT e FROM unnest(settled) s, unnest(s.entries) e))
    ), grants AS (
        SELECT i.id, count(*)::integer AS n FROM unnest(settled) s, unnest(s.ids) AS i (id) GROUP BY i.id
    ), jobs AS (
        SELECT b.ctid AS row_, b.id, b.place, b.pending - g.n AS left_,
               taskd.level_v1(b.res[cardinality(b.res)]) > b.level AS goes_on
        FROM grants g JOIN taskd.blocked b ON b.id BETWEEN g.id AND g.id
    ), counted AS (
        UPDATE taskd.blocked b SET pending = j.left_
        FROM jobs j WHERE b.ctid = j.row_ AND (j.left_ > 0 OR j.goes_on)
    )
    SELECT array_agg(j.id) FILTER (WHERE NOT j.goes_on),
           array_agg(j.id ORDER BY j.place) FILTER (WHERE j.goes_on)
    INTO ready, further
    FROM jobs j WHERE j.left_ = 0;
    IF ready IS NOT NULL THEN
        PERFORM taskd.start_jobs_v1(ready);
    END IF;
    IF further IS NOT NULL THEN
        PERFORM taskd.join_lines_v1(further);
    END IF;
END $$;

-- Write down how lines have come to rest, and tell when the first of them gets its next token.
CREATE FUNCTION taskd.settle_lines_v1(p_lines taskd.moving_line[], p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    retry timestamptz;
BEGIN
    WITH spent AS (
        SELECT l.*, l.empty_at + taskd.span_v1(l.granted, l.rate) AS spent_at FROM unnest(p_lines) l
    ), timed AS MATERIALIZED (
        SELECT s.*, CASE WHEN s.waiting AND taskd.tokens_v1(s.rate, s.spent_at, p_now) < 1
                         THEN taskd.next_token_v1(s.rate, s.spent_at) END AS next_at
        FROM spent s
    ), written AS (
        UPDATE taskd.resource r
        SET used = t.used, waiting = t.waiting, turn = t.turn, place = t.place, empty_at = t.spent_at,
            retry_at = t.next_at
        FROM timed t
        WHERE r.name BETWEEN t.name AND t.name
          AND (NOT t.waiting OR t.granted > 0
               OR (t.used, t.next_at) IS DISTINCT FROM (t.was_used, t.retry_at))
    )
    SELECT min(t.next_at) INTO retry FROM timed t;
    IF retry IS NOT NULL THEN
        PERFORM taskd.tell_due_v1(retry);
    END IF;
END $$;

-- Tell the hosts that something is to be done then (NULL: nothing).
CREATE FUNCTION taskd.tell_due_v1(p_at timestamptz) RETURNS void LANGUAGE sql AS $$
    SELECT pg_notify('taskd', json_build_array(greatest(extract(epoch FROM p_at - clock_timestamp()), 0))::text)
    WHERE p_at IS NOT NULL
$$;

-- Letter a: jobs join the ends of their lines, in the order of p_ids; what fits is granted at once.
-- Those that stand in lines already have got all that they wanted there, and go on to the next level.
CREATE FUNCTION taskd.join_lines_v1(p_ids bigint[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := clock_timestamp();
    changed text[] := taskd.take_terms_v1(p_ids);
    retry timestamptz;
    ready bigint[];
    further bigint[];
    free bigint[];
BEGIN
    WITH arrived AS MATERIALIZED (
        SELECT b.id, a.res, a.need, b.extra->>'fair' AS fair, u.place AS turn,
               (SELECT min(taskd.level_v1(r)) FROM unnest(a.res) r
                WHERE b.stage <> 'l' OR taskd.level_v1(r) > b.level) AS level
        FROM unnest(p_ids) WITH ORDINALITY AS u (id, place)
        JOIN taskd.blocked b ON b.id BETWEEN u.id AND u.id
        CROSS JOIN LATERAL taskd.asked_v1(b.res, b.need, b.queue, b.extra, b.stage = 'l') AS a (res, need)
    ), placed AS MATERIALIZED (
        SELECT a.*, nextval('taskd.place_seq') AS place
        FROM (SELECT * FROM arrived WHERE level IS NOT NULL ORDER BY turn) a
    ), asked AS MATERIALIZED (
        SELECT p.id, p.place, u.name, u.need, CASE WHEN p.level >= 2 THEN coalesce(p.fair, '') END AS share
        FROM placed p, unnest(p.res, p.need) AS u (name, need)
        WHERE taskd.level_v1(u.name) = p.level
    ), state AS MATERIALIZED (
        SELECT n.name, coalesce(r.used, 0) AS used, coalesce(r.waiting, false) AS waiting,
               coalesce(r.turn, 0) AS turn, coalesce(r.place, 0) AS place,
               taskd.units_v1(n.name, c.units) AS units, c.rate,
               taskd.empty_since_v1(c.rate, c.burst, r.empty_at, r.retry_at, moment) AS empty_since
        FROM (SELECT DISTINCT name FROM asked) n
        LEFT JOIN taskd.resource r ON r.name BETWEEN n.name AND n.name
        LEFT JOIN taskd.capacity c ON c.name BETWEEN n.name AND n.name
    ), seen AS (
        SELECT a.*, s.used, s.waiting, s.units, taskd.tokens_v1(s.rate, s.empty_since, moment) AS tokens,
               sum(a.need) OVER (PARTITION BY a.name ORDER BY a.place) AS upto,
               row_number() OVER (PARTITION BY a.name ORDER BY a.place) AS nth
        FROM asked a JOIN state s ON s.name = a.name
    ), judged AS MATERIALIZED (
        SELECT s.*, NOT s.waiting AND bool_and(
                   s.units > 0 AND s.nth <= s.tokens
                   AND (s.used + s.upto - s.need = 0 OR s.used + s.upto <= s.units))
               OVER (PARTITION BY s.name ORDER BY s.place) AS fits
        FROM seen s
    ), queued AS MATERIALIZED (
        SELECT j.name, j.place, j.need, j.id, j.share,
               row_number() OVER (PARTITION BY j.name, j.share ORDER BY j.place) - 1 AS behind
        FROM judged j WHERE NOT j.fits
    ), shares AS MATERIALIZED (
        -- A share's next turn: behind its own last one; or, so that everyone who stands there gets his turn
        -- in the end, behind that of the head.
        SELECT q.name, q.share, greatest(
                   coalesce((SELECT l.turn + 1 FROM taskd.line l
                             WHERE l.res = q.name AND (l.turn, l.place) > (s.turn, s.place)
                             ORDER BY l.turn, l.place LIMIT 1), s.turn),
                   (SELECT l.turn + 1 FROM taskd.line l
                    WHERE l.res = q.name AND l.share = q.share AND l.turn >= s.turn
                    ORDER BY l.turn DESC LIMIT 1)) AS turn
        FROM (SELECT DISTINCT name, share FROM queued WHERE share IS NOT NULL) q
        JOIN state s ON s.name = q.name
    ), turned AS MATERIALIZED (
        SELECT q.*, coalesce(s.turn + q.behind, 0) AS turn
        FROM queued q LEFT JOIN shares s ON s.name = q.name AND s.share = q.share
    ), lined AS (
        INSERT INTO taskd.line (res, turn, place, need, id, share)
        SELECT t.name, t.turn, t.place, t.need, t.id, t.share FROM turned t
    ), summed AS (
        SELECT j.name, coalesce(sum(j.need) FILTER (WHERE j.fits), 0) AS used, bool_or(NOT j.fits) AS waiting,
               count(*) FILTER (WHERE j.fits) AS n
        FROM judged j GROUP BY j.name
    ), timed AS (
        SELECT s.*, t.rate, t.empty_since + taskd.span_v1(s.n, t.rate) AS empty_at
        FROM summed s JOIN state t ON t.name = s.name
    ), noted AS (
        INSERT INTO taskd.resource AS r (name, used, waiting, empty_at, retry_at)
        SELECT t.name, t.used, t.waiting, t.empty_at,
               CASE WHEN t.waiting AND taskd.tokens_v1(t.rate, t.empty_at, moment) < 1
                    THEN taskd.next_token_v1(t.rate, t.empty_at) END
        FROM timed t
        ON CONFLICT (name) DO UPDATE
        SET used = r.used + excluded.used, waiting = r.waiting OR excluded.waiting,
            empty_at = excluded.empty_at, retry_at = excluded.retry_at
        WHERE excluded.used > 0 OR (excluded.waiting AND NOT r.waiting)
        RETURNING r.retry_at
    ), standing AS MATERIALIZED (
        SELECT p.id, p.place, p.level, p.res, p.need, coalesce(w.left_, 0) AS left_, coalesce(w.turn, 0) AS turn
        FROM placed p
        LEFT JOIN (SELECT t.id, count(*)::integer AS left_, max(t.turn) AS turn
                   FROM turned t GROUP BY t.id) w ON w.id = p.id
    ), stood AS (
        UPDATE taskd.blocked b
        SET stage = 'l', pending = s.left_, place = s.place, level = s.level, turn = s.turn,
            res = s.res, need = s.need
        FROM standing s WHERE b.id BETWEEN s.id AND s.id
        RETURNING b.id, b.place, b.pending, taskd.level_v1(b.res[cardinality(b.res)]) > b.level AS goes_on
    )
    SELECT array_agg(s.id) FILTER (WHERE NOT s.goes_on),
           array_agg(s.id ORDER BY s.place) FILTER (WHERE s.goes_on),
           (SELECT array_agg(a.id) FROM arrived a WHERE a.level IS NULL),
           (SELECT min(n.retry_at) FROM noted n)
    INTO ready, further, free, retry
    FROM stood s WHERE s.pending = 0;
    PERFORM taskd.tell_due_v1(retry);
    IF free IS NOT NULL THEN    -- what they waited to ask for is no more
        UPDATE taskd.blocked SET res = NULL, need = NULL WHERE id = ANY (free) AND stage <> 'l';
        ready := ready || free;
    END IF;
    IF ready IS NOT NULL THEN
        PERFORM taskd.start_jobs_v1(ready);
    END IF;
    IF further IS NOT NULL THEN
        PERFORM taskd.join_lines_v1(further);
    END IF;
    IF changed IS NOT NULL THEN
        PERFORM taskd.move_lines_up_v1(changed, array_fill(0, ARRAY[cardinality(changed)]));
    END IF;
END $$;

-- Must be empty at any snapshot: what the counters say against what the jobs hold.
CREATE VIEW taskd.audit AS
WITH holds AS (
    SELECT u.name, u.need::bigint FROM taskd.queued q, unnest(q.res, q.need) AS u (name, need)
    WHERE q.place IS NOT NULL
    UNION ALL SELECT u.name, u.need FROM taskd.running r, unnest(r.res, r.need) AS u (name, need)
              WHERE r.place IS NOT NULL
    UNION ALL SELECT a.name, 1 FROM taskd.adopted a
    UNION ALL SELECT u.name, u.need FROM taskd.scheduled s, unnest(s.res, s.need) AS u (name, need)
              WHERE s.place IS NOT NULL
    UNION ALL SELECT u.name, u.need FROM taskd.blocked b, unnest(b.res, b.need) AS u (name, need)
              WHERE b.stage = 'l' AND taskd.level_v1(u.name) <= b.level
                AND NOT EXISTS (SELECT FROM taskd.line l
                                WHERE l.res = u.name AND l.turn = b.turn AND l.place = b.place)
    UNION ALL SELECT u.name, u.need FROM taskd.mail m, unnest(m.res, m.need) AS u (name, need)
              WHERE m.kind = 'r'
), held AS (
    SELECT name, sum(need) AS units FROM holds GROUP BY name
), lines AS (
    SELECT res AS name, count(*) AS n FROM taskd.line GROUP BY res
), owed AS (
    SELECT id, 'l'::"char" AS stage, count(*) AS n FROM taskd.line GROUP BY id
    UNION ALL SELECT child, 'p', count(*) FROM taskd.dependency GROUP BY child
)
SELECT 'used' AS what, name, r.used::text AS is_, h.units::text AS should
FROM taskd.resource r FULL JOIN held h USING (name) WHERE coalesce(r.used, 0) <> coalesce(h.units, 0)
UNION ALL
SELECT 'waiting', name, r.waiting::text, (l.n > 0)::text
FROM taskd.resource r FULL JOIN lines l USING (name)
WHERE coalesce(r.waiting, false) <> (coalesce(l.n, 0) > 0)
UNION ALL
SELECT 'pending', b.id::text, b.pending::text, o.n::text
FROM taskd.blocked b LEFT JOIN owed o ON o.id = b.id AND o.stage = b.stage
WHERE b.pending <> coalesce(o.n, 0)
UNION ALL
SELECT 'position', l.res, l.turn || ' ' || l.place, '> ' || r.turn || ' ' || r.place
FROM taskd.line l JOIN taskd.resource r ON r.name = l.res WHERE (l.turn, l.place) <= (r.turn, r.place)
UNION ALL
SELECT 'orphan dependency', d.child::text, NULL, NULL
FROM taskd.dependency d
WHERE NOT EXISTS (SELECT FROM taskd.blocked b WHERE b.id = d.child AND b.stage = 'p')
UNION ALL
SELECT 'orphan line', l.id::text, NULL, NULL
FROM taskd.line l WHERE NOT EXISTS (SELECT FROM taskd.blocked b WHERE b.id = l.id AND b.stage = 'l');
