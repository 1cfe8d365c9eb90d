"""Do the tests notice? Breaks one line of the SQL at a time; each must fail the model or a test.

`make mutants` runs it. First the model, which takes seconds; what it does not see is given to the
tests of fixed interleavings and of plans, run in a copy of the project that has the broken line.
Exits with 1 if a mutant lived.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from taskd.store import connect, schema
from tests import servers
from tests.conftest import TestServer
from tests.store.mail_machine import run_machine

ROOT = Path(__file__).parents[2]
SQL = Path("taskd/store/migrations/0001_initial")
SHARP = (
    "test_mail_races.py",
    "test_cancel_races.py",
    "test_quarantine.py",
    "test_unique_races.py",
    "test_late_calls.py",
    "test_mail_plans.py",
    "test_line_plans.py",
    "test_share_plans.py",
    "test_mail_marks.py",
    "test_limits.py",
)
SEEDS = range(1, 5)
EXAMPLES_A_SEED = 50
INVALID = (
    psycopg.errors.SyntaxError,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedTable,
)


@dataclass(frozen=True)
class Mutant:
    """A line of a file, and what it becomes; `of`: the function after whose name it stands."""

    name: str
    file: str
    of: str
    line: str
    becomes: str

    def break_in(self, folder: Path) -> None:
        """Break the copy of the project in this folder."""
        path = folder / SQL / self.file
        path.write_text(self.broken(path.read_text(encoding="utf-8")), encoding="utf-8")

    def broken(self, text: str) -> str:
        """A file's text with the broken line. Raises AssertionError if there is no such line."""
        start = text.index(f"FUNCTION taskd.{self.of}(")
        end = text.find("\n$$;", start), text.find("END $$;", start)
        place = text.find(self.line, start)
        if place < 0 or place > min(e for e in end if e >= 0):
            raise AssertionError(f"{self.name}: no such line in {self.of}")
        return text[:place] + self.becomes + text[place + len(self.line) :]


MUTANTS = [
    Mutant(
        "a late call to a blocked job is not sent",
        "24_late_calls.sql",
        "late_calls_v1",
        "coalesce(w.blocked, w.queued",
        "coalesce(w.queued",
    ),
    Mutant(
        "a late call changes a job of a later one",
        "24_late_calls.sql",
        "call_again_v1",
        " AND holder < job.id",
        "",
    ),
    Mutant(
        "a late call undoes a later one",
        "09_unique.sql",
        "is_newer_v1",
        "coalesce(p_number > (p_extra->>'call')::bigint, true)",
        "true",
    ),
    Mutant(
        "a late call that meets a lock is forgotten",
        "24_late_calls.sql",
        "change_jobs_v1",
        "        IF one.waits THEN\n            recall := recall || one.call;",
        "        IF one.waits THEN\n            NULL;",
    ),
    Mutant(
        "a late call does not become a job",
        "24_late_calls.sql",
        "call_again_v1",
        "IF holder = -job.id THEN",
        "IF false THEN",
    ),
    Mutant(
        "a stale fence counts",
        "05_end.sql",
        "complete_succeeded_v1",
        " AND r.fence = u.fence",
        "",
    ),
    Mutant(
        "another worker's claim counts",
        "05_end.sql",
        "complete_jobs_v1",
        " AND r.worker + 0 = p_worker",
        "",
    ),
    Mutant("arrivals pass the line", "11_lines.sql", "join_lines_v1", "NOT s.waiting AND ", ""),
    Mutant(
        "exclusive holders share",
        "11_lines.sql",
        "join_lines_v1",
        "s.used + s.upto <= s.units",
        "s.used + s.upto - s.need < s.units",
    ),
    Mutant(
        "a paused resource is given out", "11_lines.sql", "join_lines_v1", "s.units > 0 AND ", ""
    ),
    Mutant(
        "the line is not looked at after a cancel",
        "10_mail.sql",
        "cancel_waiting_v1",
        "SELECT w.res, -w.need FROM waited w",
        "SELECT w.res, -w.need FROM waited w WHERE false",
    ),
    Mutant(
        "a cancelled job keeps what it was granted",
        "10_mail.sql",
        "cancel_waiting_v1",
        "WHERE b.stage = 'l' AND taskd.level_v1(u.name) <= b.level",
        "WHERE false",
    ),
    Mutant(
        "a cancelled job that was queued keeps what it held",
        "10_mail.sql",
        "cancel_waiting_v1",
        "unnest(q.res, q.need) AS u (name, need)",
        "unnest(q.res, q.need) AS u (name, need) WHERE false",
    ),
    Mutant(
        "a retry that releases keeps",
        "05_end.sql",
        "retry_jobs_v1",
        "OR (g.place IS NOT NULL AND g.kept_place IS NULL)",
        "",
    ),
    Mutant(
        "a grant stops after its first look",
        "11_lines.sql",
        "move_lines_up_v1",
        "h.found = h.fitting AND h.found = depth",
        "false",
    ),
    Mutant(
        "a line that came to rest counts as waiting",
        "11_lines.sql",
        "move_lines_up_v1",
        "h.fitting < h.found,",
        "true,",
    ),
    Mutant(
        "a parent that failed is as good as any",
        "10_mail.sql",
        "tell_children_v1",
        "NOT t.ok AND NOT b.run_if_failed",
        "false",
    ),
    Mutant(
        "run_if_failed does nothing",
        "10_mail.sql",
        "tell_children_v1",
        "NOT t.ok AND NOT b.run_if_failed",
        "NOT t.ok",
    ),
    Mutant(
        "parents that have ended already are not looked for",
        "03_enqueue.sql",
        "enqueue_graph_v1",
        "VALUES ('k', late)",
        "VALUES ('k', '{}')",
    ),
    Mutant(
        "arrivals join in the wrong order",
        "10_mail.sql",
        "dispatch_round_v1",
        "array_agg(i.id ORDER BY l.seq, i.place)",
        "array_agg(i.id ORDER BY l.seq DESC, i.place)",
    ),
    Mutant(
        "arrivals are taken without a bound",
        "10_mail.sql",
        "dispatch_round_v1",
        "WHERE x.before < p_arrivals",
        "",
    ),
    Mutant(
        "a poisoned job keeps what it held",
        "06_hosts.sql",
        "rescue_workers_v1",
        "FILTER (WHERE (f.fate IN ('c', 'f') AND (",
        "FILTER (WHERE (f.fate = 'c' AND (",
    ),
    Mutant(
        "a retry revives what is to be cancelled",
        "05_end.sql",
        "retry_jobs_v1",
        """(SELECT o.kind FROM taskd.request o WHERE o.job = r.id AND o.kind = 'cancel' LIMIT 1)
                  IS NOT NULL""",
        "false",
    ),
    Mutant(
        "a give-back revives what is to be cancelled",
        "05_end.sql",
        "give_back_jobs_v1",
        """(SELECT o.kind FROM taskd.request o WHERE o.job = r.id AND o.kind = 'cancel' LIMIT 1)
                  IS NOT NULL""",
        "false",
    ),
    Mutant(
        "a promoted holder lines up once more",
        "06_hosts.sql",
        "promote_jobs_v1",
        "CASE WHEN place IS NULL THEN taskd.asks_v1(res, queue, extra)",
        "CASE WHEN true THEN taskd.asks_v1(res, queue, extra)",
    ),
    Mutant(
        "a job lets go of another job's key",
        "09_unique.sql",
        "drop_keys_v1",
        " AND k.job = h.job",
        "",
    ),
    Mutant(
        "of two that want one key the last has it",
        "09_unique.sql",
        "take_free_keys_v1",
        'ORDER BY j.key COLLATE "C", j.id',
        'ORDER BY j.key COLLATE "C", j.id DESC',
    ),
    Mutant(
        "keys are taken in any order",
        "09_unique.sql",
        "take_free_keys_v1",
        """SELECT DISTINCT ON (j.key COLLATE "C") j.key, j.id, taskd.window_end_v1(j.until)
    FROM unnest(p_jobs) j
    ORDER BY j.key COLLATE "C", j.id""",
        "SELECT j.key, j.id, taskd.window_end_v1(j.until) FROM unnest(p_jobs) j",
    ),
    Mutant(
        "keys that are all new are taken in any order",
        "09_unique.sql",
        "take_new_keys_v1",
        """
    ORDER BY u.key COLLATE "C";""",
        ";",
    ),
    Mutant(
        "who goes back for a key holds greater ones meanwhile",
        "09_unique.sql",
        "take_keys_v1",
        "RAISE SQLSTATE 'TD003'",
        "CONTINUE",
    ),
    Mutant(
        "a job cannot enqueue its own key",
        "09_unique.sql",
        "is_free_v1",
        "p_job IS NOT DISTINCT FROM p_self\n        OR ",
        "",
    ),
    Mutant(
        "a child whose time comes meanwhile runs without what it needs",
        "10_mail.sql",
        "start_jobs_v1",
        "OR (b.place IS NULL AND taskd.asks_v1(b.res, b.queue, b.extra))",
        "",
    ),
    Mutant(
        "a move turns the order round",
        "07_look.sql",
        "move_jobs_v1",
        "ORDER BY lane, seq",
        "ORDER BY lane, seq DESC",
    ),
    Mutant(
        "children are told in the statement that ends their parent",
        "05_end.sql",
        "complete_succeeded_v1",
        "EXISTS (SELECT FROM taskd.dependency d WHERE d.parent BETWEEN first AND last)",
        "false",
    ),
    Mutant(
        "a plan made while nothing ran reads all that runs",
        "05_end.sql",
        "complete_succeeded_v1",
        "r.id BETWEEN u.id AND u.id",
        "r.id = u.id",
    ),
    Mutant(
        "a plan made while nobody waited reads all who wait",
        "11_lines.sql",
        "join_lines_v1",
        "r.name BETWEEN n.name AND n.name",
        "r.name = n.name",
    ),
    Mutant(
        "a running parent is not locked while it is looked at",
        "10_mail.sql",
        "check_parents_v1",
        " FOR KEY SHARE SKIP LOCKED",
        "",
    ),
    Mutant(
        "what runs when a limit is declared is never let go of",
        "10_mail.sql",
        "let_go_v1",
        "WHERE a.job = ANY (p_ids)) THEN",
        "WHERE a.job = ANY (p_ids) AND false) THEN",
    ),
    Mutant(
        "an old snapshot is trusted to see all children",
        "10_mail.sql",
        "let_go_v1",
        "OR current_setting('transaction_isolation') <> 'read committed'",
        "",
    ),
    Mutant(
        "a dispatcher is waited for",
        "10_mail.sql",
        "dispatch_v1",
        "OR NOT pg_try_advisory_xact_lock('taskd.mail'::regclass::oid::integer, 1)",
        "OR pg_advisory_xact_lock('taskd.mail'::regclass::oid::integer, 1) IS NULL",
    ),
    Mutant(
        "an old snapshot may dispatch",
        "10_mail.sql",
        "dispatch_v1",
        "current_setting('transaction_isolation') <> 'read committed'",
        "false",
    ),
    Mutant(
        "what is given back while another dispatches is lost",
        "10_mail.sql",
        "dispatch_v1",
        """PERFORM taskd.send_release_v1(p_names, p_units);
        RETURN -1;""",
        "RETURN -1;",
    ),
    Mutant(
        "what could not be settled counts as settled",
        "10_mail.sql",
        "dispatch_v1",
        "RETURN CASE WHEN returned > 0 THEN -2 ELSE total END",
        "RETURN total",
    ),
    Mutant(
        "a cancel of what moves is forgotten",
        "10_mail.sql",
        "dispatch_round_v1",
        "recancel := recancel || taskd.cancel_running_v1(others)",
        "PERFORM taskd.cancel_running_v1(others)",
    ),
    Mutant(
        "a cancel waits for a completion",
        "10_mail.sql",
        "cancel_running_v1",
        "FOR UPDATE SKIP LOCKED",
        "FOR UPDATE",
    ),
    Mutant(
        "a retry does not wait for a cancel",
        "05_end.sql",
        "retry_jobs_v1",
        "PERFORM FROM taskd.running r WHERE r.id = ANY (p_ids) ORDER BY r.id FOR UPDATE;",
        "",
    ),
    Mutant(
        "a key under way is waited for",
        "09_unique.sql",
        "drop_keys_v1",
        "FOR UPDATE OF k SKIP LOCKED",
        "FOR UPDATE OF k",
    ),
    Mutant(
        "what has begun is too late to begin",
        "05_end.sql",
        "begun_v1",
        "nullif(p_extra - 'expires', '{}')",
        "p_extra",
    ),
    Mutant(
        "what died with its worker is too late to begin",
        "06_hosts.sql",
        "rescue_workers_v1",
        "taskd.begun_v1(r.extra) AS left_extra",
        "r.extra AS left_extra",
    ),
    Mutant(
        "a replacement that a claim beat is lost",
        "09_unique.sql",
        "take_keys_v1",
        "WHERE j.on_conflict = 'replace' AND ids[j.ordinality] < 0",
        "WHERE false",
    ),
    Mutant(
        "a move takes no notice of the dispatcher",
        "07_look.sql",
        "move_jobs_v1",
        "PERFORM pg_advisory_xact_lock('taskd.mail'::regclass::oid::integer, 1);",
        "NULL;",
    ),
    Mutant(
        "a job enters a limited queue past the limit",
        "03_enqueue.sql",
        "enqueue_jobs_v1",
        "WHERE c.name = '@queue ' || taskd.queue_of_v1(p_queue))",
        "WHERE false)",
    ),
    Mutant(
        "a share enters past the limit of its queue",
        "03_enqueue.sql",
        "enqueue_jobs_v1",
        "AND p_extra ? 'fair' IS NOT TRUE",
        "",
    ),
    Mutant(
        "enqueue reads the mail",
        "10_mail.sql",
        "see_to_mail_v1",
        "IF p_is_foreign THEN",
        "IF p_is_foreign AND EXISTS (SELECT FROM taskd.mail) THEN",
    ),
    Mutant(
        "levels are ignored",
        "11_lines.sql",
        "level_v1",
        "CASE WHEN p_name IS NULL OR p_name NOT LIKE '@%' THEN 0",
        "CASE WHEN true THEN 0",
    ),
    Mutant(
        "a job goes on before it holds all of a level",
        "11_lines.sql",
        "join_lines_v1",
        "FROM stood s WHERE s.pending = 0",
        "FROM stood s",
    ),
    Mutant(
        "who goes on joins in the wrong order",
        "11_lines.sql",
        "join_lines_v1",
        "array_agg(s.id ORDER BY s.place)",
        "array_agg(s.id ORDER BY s.place DESC)",
    ),
    Mutant(
        "who was let in starts without later levels",
        "11_lines.sql",
        "move_lines_up_v1",
        "taskd.level_v1(b.res[cardinality(b.res)]) > b.level AS goes_on",
        "false AS goes_on",
    ),
    Mutant(
        "a cancelled job keeps what earlier levels gave",
        "10_mail.sql",
        "cancel_waiting_v1",
        "WHERE b.stage = 'l' AND taskd.level_v1(u.name) <= b.level\n        UNION",
        "WHERE b.stage = 'l' AND taskd.level_v1(u.name) = b.level\n        UNION",
    ),
    Mutant(
        "a hint goes behind one that did not fit",
        "11_lines.sql",
        "move_lines_up_v1",
        "FILTER (WHERE j.fits) AS last",
        "AS last",
    ),
    Mutant(
        "a hint goes back within its turn",
        "11_lines.sql",
        "move_lines_up_v1",
        "coalesce(h.last[2], s.place)",
        "0",
    ),
    Mutant(
        "a line that came to rest is not written down",
        "11_lines.sql",
        "move_lines_up_v1",
        "h.fitting = h.found OR s.used + h.taken",
        "s.used + h.taken",
    ),
    Mutant(
        "units that were granted are not written down",
        "11_lines.sql",
        "move_lines_up_v1",
        "s.used + h.taken <> s.was_used OR ",
        "",
    ),
    Mutant(
        "tokens that were granted are not written down",
        "11_lines.sql",
        "move_lines_up_v1",
        "OR s.rate IS NOT NULL\n",
        "\n",
    ),
    Mutant(
        "a token is waited for that no rate gives any more",
        "11_lines.sql",
        "move_lines_up_v1",
        "OR s.retry_at IS NOT NULL\n",
        "\n",
    ),
    Mutant(
        "a hint is set one place too far",
        "11_lines.sql",
        "settle_lines_v1",
        "place = t.place,",
        "place = t.place + 1,",
    ),
    Mutant(
        "a hint is set one turn too far",
        "11_lines.sql",
        "settle_lines_v1",
        "turn = t.turn,",
        "turn = t.turn + 1,",
    ),
    Mutant(
        "a share begins before the hint",
        "11_lines.sql",
        "join_lines_v1",
        "ORDER BY l.turn, l.place LIMIT 1), s.turn)",
        "ORDER BY l.turn, l.place LIMIT 1), 0)",
    ),
    Mutant(
        "tokens are not counted by who joins",
        "11_lines.sql",
        "join_lines_v1",
        "AND s.nth <= s.tokens",
        "",
    ),
    Mutant(
        "tokens are not counted by a line",
        "11_lines.sql",
        "move_lines_up_v1",
        "l.nth <= s.tokens",
        "true",
    ),
    Mutant(
        "who joins takes no token",
        "11_lines.sql",
        "join_lines_v1",
        "taskd.span_v1(s.n, t.rate)",
        "taskd.span_v1(0, t.rate)",
    ),
    Mutant(
        "a line that moves up takes no token",
        "11_lines.sql",
        "settle_lines_v1",
        "taskd.span_v1(l.granted, l.rate)",
        "taskd.span_v1(0, l.rate)",
    ),
    Mutant(
        "the window is ignored",
        "11_lines.sql",
        "units_v1",
        "taskd.window_v1(substring(p_name FROM 8))",
        "2147483647",
    ),
    Mutant(
        "what is held is forgotten with a limit that goes",
        "11_lines.sql",
        "join_lines_v1",
        " AND stage <> 'l'",
        "",
    ),
    Mutant(
        "a retry tells nobody that it joins lines",
        "05_end.sql",
        "retry_jobs_v1",
        "ELSIF arrivals IS NOT NULL THEN",
        "ELSIF false THEN",
    ),
    Mutant(
        "code overrules an operator",
        "12_limits.sql",
        "take_terms_v1",
        "WHERE NOT c.is_declared AND",
        "WHERE",
    ),
    Mutant(
        "the first word on a limit counts",
        "12_limits.sql",
        "take_terms_v1",
        "u.place DESC",
        "u.place",
    ),
    Mutant(
        "what runs is not counted by a new limit",
        "12_limits.sql",
        "adopt_jobs_v1",
        "IF counted > 0 THEN",
        "IF false THEN",
    ),
    Mutant(
        "a limit that moves up lets one too many in",
        "11_lines.sql",
        "move_lines_up_v1",
        "s.used + l.upto <= s.units",
        "s.used + l.upto <= s.units + 1",
    ),
    Mutant(
        "a limit lets one too many of those in who come",
        "11_lines.sql",
        "join_lines_v1",
        "s.used + s.upto <= s.units",
        "s.used + s.upto <= s.units + 1",
    ),
    Mutant(
        "the limit of a task is asked for together with its queue's",
        "11_lines.sql",
        "level_v1",
        "WHEN p_name LIKE '@task %' THEN 2",
        "WHEN p_name LIKE '@task %' THEN 3",
    ),
    Mutant(
        "a pause keeps the place in its queue",
        "05_end.sql",
        "retry_jobs_v1",
        "OR (g.delay > 0 AND g.res[cardinality(g.res)] LIKE '@queue %')",
        "",
    ),
    Mutant(
        "a share that comes stands before all that wait",
        "11_lines.sql",
        "join_lines_v1",
        "coalesce((SELECT l.turn + 1 FROM taskd.line l",
        "coalesce((SELECT l.turn FROM taskd.line l",
    ),
    Mutant(
        "a share that comes takes no notice of what waits of it",
        "11_lines.sql",
        "join_lines_v1",
        "WHERE l.res = q.name AND l.share = q.share AND l.turn >= s.turn",
        "WHERE false",
    ),
    Mutant(
        "the window is one too wide", "11_lines.sql", "window_v1", "greatest(2, 2", "greatest(3, 2"
    ),
    Mutant(
        "a worker counts for queues that it does not take",
        "11_lines.sql",
        "window_v1",
        "AND (w.queues = '{}' OR p_queue = ANY (w.queues))",
        "",
    ),
    Mutant(
        "a worker that comes finds nobody let in for it",
        "06_hosts.sql",
        "register_worker_v1",
        "PERFORM taskd.widen_windows_v1(p_queues);",
        "NULL;",
    ),
    Mutant(
        "who waits for resources is not told of a new limit",
        "12_limits.sql",
        "adopt_jobs_v1",
        "WHERE b.stage = 'l' AND b.level < 3",
        "WHERE false",
    ),
    Mutant(
        "an older word counts against a newer one",
        "12_limits.sql",
        "take_terms_v1",
        "AND c.said_at <= excluded.said_at",
        "",
    ),
    Mutant(
        "nothing of the code's word is left without the operator's",
        "12_limits.sql",
        "settle_limits_v1",
        "ORDER BY 2 DESC, b.id DESC LIMIT 1",
        "AND false",
    ),
    Mutant(
        "a file counts against an operator",
        "12_limits.sql",
        "limit_changes_v1",
        "ORDER BY w.name, w.host = 0 DESC",
        "ORDER BY w.name, w.host = 0",
    ),
    Mutant(
        "nobody looks for tokens that have come",
        "06_hosts.sql",
        "promote_jobs_v1",
        "WHERE r.retry_at <= moment",
        "WHERE false",
    ),
    Mutant(
        "who is promoted in a pause passes no limit of its queue",
        "06_hosts.sql",
        "promote_jobs_v1",
        "ELSE taskd.lacks_gate_v1(res, queue, extra) END",
        "ELSE false END",
    ),
    Mutant(
        "a moved job keeps its place in the old queue",
        "12_limits.sql",
        "move_limited_v1",
        "AS name, 1 AS units",
        "AS name, 0 AS units",
    ),
    Mutant(
        "a look at both kinds of letters sees one",
        "10_mail.sql",
        "has_mail_v1",
        "WHEN are_alike THEN '{false,true}'",
        "WHEN are_alike THEN '{false}'",
    ),
    Mutant(
        "a look at letters with marks of their own sees one kind",
        "10_mail.sql",
        "has_mail_v1",
        "ELSE '{false,true}' END",
        "ELSE '{false}' END",
    ),
    Mutant(
        "marks of two kinds of letters count as alike",
        "10_mail.sql",
        "has_mail_v1",
        "IS NOT DISTINCT FROM current_setting('taskd.late_mail', true)",
        "IS NOT NULL",
    ),
    Mutant(
        "a look forgets who was under way",
        "10_mail.sql",
        "has_mail_v1",
        "m.sender = ANY (mark.busy)",
        "false",
    ),
    Mutant(
        "a look forgets who may have been under way",
        "10_mail.sql",
        "has_mail_v1",
        "m.sender >= mark.newer",
        "false",
    ),
    Mutant(
        "a round forgets who was under way",
        "10_mail.sql",
        "dispatch_round_v1",
        "m.sender = ANY (mark.busy)",
        "false",
    ),
    Mutant(
        "a round forgets whose arrivals were under way",
        "10_mail.sql",
        "dispatch_round_v1",
        "m.sender = ANY (late_mark.busy)",
        "false",
    ),
    Mutant(
        "a round forgets who may have been under way",
        "10_mail.sql",
        "dispatch_round_v1",
        "m.sender >= mark.newer",
        "false",
    ),
    Mutant(
        "a round forgets whose arrivals may have been under way",
        "10_mail.sql",
        "dispatch_round_v1",
        "m.sender >= late_mark.newer",
        "false",
    ),
    Mutant(
        "letters that a round left are passed over",
        "10_mail.sql",
        "dispatch_round_v1",
        "CASE WHEN taken - taken_late < p_letters THEN last ELSE upto END",
        "last",
    ),
    Mutant(
        "arrivals without room are passed over",
        "10_mail.sql",
        "dispatch_round_v1",
        "taken_late = found_late AND found_late < p_letters",
        "found_late < p_letters",
    ),
    Mutant(
        "arrivals that a round left are passed over",
        "10_mail.sql",
        "dispatch_round_v1",
        "taken_late = found_late AND found_late < p_letters",
        "taken_late = found_late",
    ),
    Mutant(
        "who ends a job does not give back what it was adopted for",
        "10_mail.sql",
        "let_go_v1",
        "holdings || taskd.let_adopted_go_v1(p_ids)",
        "holdings",
    ),
    Mutant(
        "an old snapshot's end does not give back what it was adopted for",
        "10_mail.sql",
        "dispatch_round_v1",
        "DELETE FROM taskd.adopted a WHERE a.job = ANY (ended)",
        "DELETE FROM taskd.adopted a WHERE false",
    ),
    Mutant(
        "a quick end does not look what it was adopted for",
        "05_end.sql",
        "complete_succeeded_v1",
        "OR EXISTS (SELECT FROM taskd.adopted a WHERE a.job BETWEEN first AND last)",
        "",
    ),
    Mutant(
        "a retry does not hold what it was adopted for",
        "05_end.sql",
        "retry_jobs_v1",
        "PERFORM taskd.hold_adopted_v1(p_ids);",
        "NULL;",
    ),
    Mutant(
        "what is given back does not hold what it was adopted for",
        "05_end.sql",
        "give_back_jobs_v1",
        "PERFORM taskd.hold_adopted_v1(p_ids);",
        "NULL;",
    ),
    Mutant(
        "what is rescued does not hold what it was adopted for",
        "06_hosts.sql",
        "rescue_workers_v1",
        "PERFORM taskd.hold_adopted_v1(",
        "PERFORM (",
    ),
    Mutant(
        "a prune waits for a host that declares",
        "12_limits.sql",
        "prune_resources_v1",
        "FOR UPDATE OF w SKIP LOCKED",
        "FOR UPDATE OF w",
    ),
    Mutant(
        "a withdrawn limit is forgotten while somebody holds it",
        "12_limits.sql",
        "settle_limits_v1",
        "AND r.used = 0 AND NOT r.waiting",
        "",
    ),
    Mutant(
        "a crash is not counted",
        "06_hosts.sql",
        "rescue_workers_v1",
        "CASE WHEN g.guilty AND p_why <> 'cancel' THEN 1",
        "CASE WHEN false THEN 1",
    ),
    Mutant(
        "a cancel that needs a kill counts as a crash",
        "06_hosts.sql",
        "rescue_workers_v1",
        "g.guilty AND p_why <> 'cancel'",
        "g.guilty",
    ),
    Mutant(
        "who had not begun is charged",
        "06_hosts.sql",
        "rescue_workers_v1",
        " AND (p_begun IS NULL OR r.id = ANY (p_begun))",
        "",
    ),
    Mutant(
        "the culprit counts a loss, too",
        "06_hosts.sql",
        "rescue_workers_v1",
        "p_charge AND r.id IS DISTINCT FROM p_culprit",
        "p_charge",
    ),
    Mutant(
        "an attempt that was killed for its time is given back",
        "06_hosts.sql",
        "rescue_workers_v1",
        "WHEN j.timed_out THEN 0 ELSE 1",
        "WHEN false THEN 0 ELSE 1",
    ),
    Mutant(
        "a job that took too long runs once more than it may",
        "06_hosts.sql",
        "rescue_workers_v1",
        "c.attempt >= c.max_attempts",
        "c.attempt > c.max_attempts",
    ),
    Mutant(
        "what must not run twice does",
        "06_hosts.sql",
        "rescue_workers_v1",
        "c.extra->>'on_lost' = 'fail'",
        "false",
    ),
    Mutant(
        "an interrupt fails what was only lost",
        "06_hosts.sql",
        "rescue_workers_v1",
        "p_interrupted AND c.extra->>'on_interrupt' = 'fail'",
        "c.extra->>'on_interrupt' = 'fail'",
    ),
    Mutant(
        "a culprit keeps the limit of its queue while it pauses",
        "06_hosts.sql",
        "rescue_workers_v1",
        "f.fate = 'l' AND f.place IS NOT NULL",
        "f.fate = 'l' AND false",
    ),
    Mutant(
        "two suspects are in one claim",
        "04_claim.sql",
        "claim_jobs_v1",
        "least(room, 1)",
        "room",
    ),
    Mutant(
        "others are claimed behind a suspect",
        "04_claim.sql",
        "claim_jobs_v1",
        " OR p_lanes[i] = 11;",
        ";",
    ),
    Mutant(
        "the lane behind a dry one is not looked at",
        "04_claim.sql",
        "claim_jobs_v1",
        "generate_series(i + 1,",
        "generate_series(i + 2,",
    ),
    Mutant(
        "the end of jobs far apart tells nobody",
        "05_end.sql",
        "complete_succeeded_v1",
        "pg_relation_size('taskd.waiter') > 0",
        "pg_relation_size('taskd.waiter') < 0",
    ),
    Mutant(
        "the end of a parent and of a job far apart tells no child",
        "05_end.sql",
        "complete_succeeded_v1",
        "pg_relation_size('taskd.dependency') + ",
        "",
    ),
    Mutant(
        "the end of jobs far apart gives back nothing that was adopted",
        "05_end.sql",
        "complete_succeeded_v1",
        " + pg_relation_size('taskd.adopted')",
        "",
    ),
    Mutant(
        "one that ends an attempt in quarantine stays there",
        "05_end.sql",
        "retry_jobs_v1",
        "r.losses >= 2 AND u.outcome <> 'i'",
        "false",
    ),
    Mutant(
        "a host that lives is declared dead",
        "06_hosts.sql",
        "rescue_host_v1",
        " OR h.beat = p_beat)",
        " OR h.beat >= 0)",
    ),
    Mutant(
        "a purge forgets all states",
        "07_look.sql",
        "purge_jobs_v1",
        "h.state = ANY ($2)",
        "true OR h.state = ANY ($2)",
    ),
    Mutant(
        "a purge leaves attempts behind",
        "07_look.sql",
        "purge_jobs_v1",
        "DELETE FROM taskd.attempt a WHERE a.job = ANY (ids);",
        "",
    ),
]


@contextmanager
def broken_copy(mutant: Mutant) -> Iterator[Path]:
    """A copy of what the tests need, with the broken line."""
    with tempfile.TemporaryDirectory(prefix="taskd-mutant-") as name:
        folder = Path(name)
        ignore = shutil.ignore_patterns("__pycache__", ".*")
        for part in ("taskd", "tests"):
            shutil.copytree(ROOT / part, folder / part, ignore=ignore)
        shutil.copy(ROOT / "pyproject.toml", folder)
        mutant.break_in(folder)
        yield folder


def is_seen_by_model(server: TestServer, folder: Path) -> bool:
    """Whether the machine finds a difference between the broken SQL and the model."""
    name = server.create(template="template0")
    try:
        with closing(connect.connect(server.of(name))) as connection:
            for script in sorted((folder / SQL).glob("*.sql")):
                connection.execute(script.read_bytes())
        for number in SEEDS:
            run_machine(server.of(name), EXAMPLES_A_SEED, number, shrink=False)
    except INVALID:
        raise
    except (AssertionError, psycopg.Error, ExceptionGroup):
        return True
    finally:
        server.drop(name)
    return False


def failed_tests(folder: Path) -> list[str]:
    """The tests of interleavings and plans that fail on the broken SQL."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "pg15"]
    command += [f"tests/store/{name}" for name in SHARP]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    lines = [line for line in ran.stdout.splitlines() if line.startswith("FAILED ")]
    return [line.split("::")[1].split("[")[0].split(" - ")[0] for line in lines]


def main(wanted: str = "") -> int:
    """Try all mutants, or those whose name holds `wanted`; how many lived."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # or the server would stay
    running = servers.start_debian_postgres()
    lived = 0
    try:
        server = TestServer(running.dsn)
        for mutant in MUTANTS:
            if wanted not in mutant.name:
                continue
            with broken_copy(mutant) as folder:
                seen = "the model" if is_seen_by_model(server, folder) else ""
                others = [] if seen else failed_tests(folder)
            lived += not (seen or others)
            by = seen or ", ".join(others) or "NOBODY"
            print(f"{mutant.name}: seen by {by}", flush=True)
        server.close()
    finally:
        running.stop()
    assert schema.KNOWN == 1, "later migrations have lines to break, too"
    return lived


if __name__ == "__main__":
    sys.exit(1 if main(*sys.argv[1:2]) else 0)
