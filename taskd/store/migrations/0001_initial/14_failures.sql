-- Failures: what they have in common, and whom to tell of those that no worker has seen.

-- What an error has in common with others of its kind: its first line, in which quoted values are
-- '…', and numbers, UUIDs and hexadecimal ids are #. The name of the exception stays as it is. What a
-- worker last held is left out, for its unit would tell one cause from another, and not all have it.
--
--   KeyError: 'user-17'                             KeyError: '…'
--   shop.Refused: order 4711 at 12:30 (0x7f3a)      shop.Refused: order # at # (#)
--
-- Called by group_failures.sql and by filters on the cause.
CREATE FUNCTION taskd.cause_of_v1(p_error text) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    line text := left(split_part(coalesce(p_error, ''), E'\n', 1), 500);
    kind text := coalesce(substring(line FROM '^[[:alpha:]_][[:alnum:]_.]*(?=: |$)'), '');
    rest text := substr(line, length(kind) + 1);
BEGIN
    rest := regexp_replace(
        rest, $r$"[^"]*"|`[^`]*`|(?<![[:alnum:]])'[^']*'(?![[:alnum:]])$r$, '''…''', 'g');
    rest := regexp_replace(
        rest, $r$\m[[:xdigit:]]{8}(-[[:xdigit:]]{4}){3}-[[:xdigit:]]{12}\M$r$, '#', 'g');
    rest := regexp_replace(
        rest, $r$\m(0[xX]|(?=[[:xdigit:]]*[0-9])[[:xdigit:]]{7})[[:xdigit:]]+\M$r$, '#', 'g');
    rest := regexp_replace(rest, '; it last held [0-9.]+ [kMG]?B\M', '', 'g');
    RETURN kind || regexp_replace(rest, '[0-9]+([.,:][0-9]+)*', '#', 'g');
END $$;

-- Jobs of these that a rescue has failed: no worker has seen their end. If the code of a running
-- daemon has failure handlers for their task, a job is enqueued for each that calls them, where a
-- worker with that code will find it. Called by rescue_workers_v1; index history_id.
CREATE FUNCTION taskd.tell_failures_v1(p_ids bigint[]) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET jit = off AS $$
BEGIN
    PERFORM taskd.enqueue_jobs_v1(
        'taskd.call_failure_handlers', array_agg(format('[%s]', h.id) ORDER BY h.id),
        array_agg(NULL::text), h.queue, h.priority, NULL, NULL, 6::smallint, 60, true, NULL, NULL)
    FROM taskd.history h
    WHERE h.id = ANY (p_ids) AND h.state = 'f'
      AND EXISTS (SELECT FROM taskd.task t
                  WHERE t.name = h.task AND (t.description::json->>'on_failure')::boolean)
    GROUP BY h.queue, h.priority;
END $$;
