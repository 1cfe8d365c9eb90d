-- Questions to running workers: where does each of your greenlets stand, what has grown in you?
--
--     ask_workers ─► request ─► maintenance of the worker's host ─► the worker ─► answer ─► who asked
--
-- They travel as orders do, through taskd.request, and come back in seconds or not at all: whoever
-- asks waits for the rows of his questions here. No row is older than a few minutes.

-- What workers have answered.
--   request: the question's id; said: the answer, JSON.
CREATE TABLE taskd.answer (
    request      bigint      PRIMARY KEY,
    answered_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    said         text        NOT NULL
);

-- Ask workers; the ids of the questions, in the order of the workers.
--   p_kind: stacks (where everybody stands) or heap (what grows within p_seconds).
CREATE FUNCTION taskd.ask_workers_v1(p_kind text, p_workers bigint[], p_seconds real)
RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[];
BEGIN
    WITH asked AS (
        INSERT INTO taskd.request (kind, worker, seconds)
        SELECT p_kind, u.worker, p_seconds
        FROM unnest(p_workers) WITH ORDINALITY AS u (worker, place) ORDER BY u.place
        RETURNING id
    )
    SELECT array_agg(a.id ORDER BY a.id) INTO ids FROM asked a;
    PERFORM pg_notify('taskd', '"request"');
    RETURN ids;
END $$;

-- The questions to these workers that nobody has taken yet, each given once. Index request_worker.
CREATE FUNCTION taskd.take_questions_v1(p_workers bigint[])
RETURNS TABLE (id bigint, kind text, worker bigint, seconds real) LANGUAGE sql AS $$
    UPDATE taskd.request r SET taken_at = now()
    WHERE r.worker = ANY (p_workers) AND r.kind IN ('stacks', 'heap') AND r.taken_at IS NULL
    RETURNING r.id, r.kind, r.worker, r.seconds
$$;

-- Answer some questions with the same words, those that somebody still waits for: who asked deletes
-- question and answer in the end. What was answered minutes ago is left of somebody who died.
CREATE FUNCTION taskd.answer_v1(p_requests bigint[], p_said text) RETURNS void LANGUAGE sql AS $$
    DELETE FROM taskd.answer a WHERE a.answered_at < clock_timestamp() - interval '5 minutes';
    WITH asked AS (DELETE FROM taskd.request r WHERE r.id = ANY (p_requests) RETURNING r.id)
    INSERT INTO taskd.answer (request, said) SELECT a.id, p_said FROM asked a;
$$;
