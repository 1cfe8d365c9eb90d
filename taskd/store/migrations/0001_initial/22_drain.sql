-- Orders to workers to end: each finishes the jobs that it has, or gives them back at once, and another
-- takes its place.
--
--     drain_workers ─► request ─► maintenance of the worker's host ─► its master ─► SIGTERM, once or twice

-- Those of these workers that live, by their ids; each is ordered to drain, or (p_now) to stop, unless it
-- was before and its host has not heard of it yet. The request is taken by that host's maintenance.
CREATE FUNCTION taskd.drain_workers_v1(p_workers bigint[], p_now boolean) RETURNS bigint[]
LANGUAGE plpgsql AS $$
DECLARE
    ordered constant text := CASE WHEN p_now THEN 'stop' ELSE 'drain' END;
    living bigint[];
BEGIN
    living := ARRAY(
        SELECT w.id FROM taskd.worker w JOIN taskd.host h ON h.id = w.host
        WHERE w.id = ANY (p_workers) AND w.ended_at IS NULL AND h.ended_at IS NULL
        ORDER BY w.id);
    INSERT INTO taskd.request (kind, worker)
    SELECT ordered, u.worker FROM unnest(living) AS u (worker)
    WHERE NOT EXISTS (SELECT FROM taskd.request r WHERE r.worker = u.worker AND r.kind = ordered);
    IF FOUND THEN
        PERFORM pg_notify('taskd', '"request"');
    END IF;
    RETURN living;
END $$;
