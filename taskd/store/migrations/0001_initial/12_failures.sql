-- Failures: what they have in common.

-- What an error has in common with others of its kind: its first line, in which quoted values are
-- '…', and numbers, UUIDs and hexadecimal ids are #. The name of the exception stays as it is.
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
    RETURN kind || regexp_replace(rest, '[0-9]+([.,:][0-9]+)*', '#', 'g');
END $$;
