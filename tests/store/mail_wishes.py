"""What the machine may ask for: strategies, and how a wish is told to the store."""

from __future__ import annotations

import operator
from dataclasses import replace

from hypothesis import strategies as st

from taskd.store.host_rows import Judgement
from taskd.store.limits import Limit
from taskd.store.rows import NewJob
from tests.store.mail_jobs import EVERYTHING, Terms, Wish

QUEUES = ("a", "b")
PLAIN = ("w", "x", "y", "z")
COUNTED = ("@key o", "@key p", "@task q")
RESOURCES = (*PLAIN, *COUNTED)
RATED = "@key r"
"""What passes it always says how fast: an operator's word would take the rate away."""
RATE = Terms(None, minutes=45, burst=2)

plain_needs = st.dictionaries(
    st.sampled_from(PLAIN),
    st.sampled_from([1, 1, 2, 3, EVERYTHING, EVERYTHING]),
    max_size=3,
)
limits = st.dictionaries(st.sampled_from([*COUNTED, RATED]), st.just(1), min_size=1, max_size=2)
needs = st.one_of(plain_needs, limits, st.builds(operator.or_, plain_needs, limits))
said_units = st.fixed_dictionaries(dict.fromkeys(COUNTED, st.sampled_from([None, 1, 2, 3])))
queue_units = st.sampled_from([None, None, None, 0, 1, 2, 3])
delays = st.sampled_from([0, 0, 0, 0, 30, 90])
untils = st.sampled_from(["started", "finished", "finished", "3600"])
fates = st.sampled_from(["requeue", "requeue", "requeue", "requeue", "fail"])
wishes = st.builds(
    Wish,
    queue=st.sampled_from(QUEUES),
    priority=st.sampled_from([5, 7]),
    needs=st.one_of(st.just({}), needs, needs),
    share=st.sampled_from([None, None, None, "s", "t"]),
    run_if_failed=st.booleans(),
    delay=delays,
    expires=st.sampled_from([None, None, None, 30, 90]),
    key=st.sampled_from([None, None, None, "k", "l", "m"]),
    until=untils,
    on_conflict=st.sampled_from(["keep", "replace", "earlier"]),
    args=st.sampled_from(["[1]", "[2]", "[3]"]),
    max_attempts=st.sampled_from([1, 1, 2, 3]),
    on_lost=fates,
    on_interrupt=fates,
    on_retry=st.sampled_from(["hold", "hold", "release"]),
)
picks = st.lists(st.integers(0, 20), min_size=1, max_size=5)
maybe_picks = st.lists(st.one_of(st.none(), st.none(), st.integers(0, 30)), min_size=5, max_size=5)
six_booleans = st.lists(st.booleans(), min_size=6, max_size=6)
seldom = st.sampled_from([False, False, False, True])


judgements = st.builds(
    Judgement,
    max_losses=st.sampled_from([1, 2, 3, 5, 5]),
    max_crashes=st.sampled_from([1, 2, 3, 3, 4]),
    why=st.sampled_from(["", "", "", "timeout", "timeout", "hog", "hog", "memory", "crash"]),
    interrupted=st.booleans(),
)


def with_terms(wish: Wish, units: dict[str, int | None]) -> Wish:
    """What its code says of the limits that it passes: always a rate, and maybe so many units."""
    said = {name: Terms(number) for name, number in units.items() if number is not None}
    said[RATED] = RATE
    return replace(wish, terms={name: said[name] for name in wish.needs if name in said})


def as_limit(terms: Terms) -> Limit:
    """The same as the store has it."""
    rate = None if terms.minutes is None else 1 / (60 * terms.minutes)
    return Limit(terms.units, rate, terms.burst)


def extra(wish: Wish) -> dict[str, object] | None:
    """What is stored beside, of what is not usual."""
    said: dict[str, object] = {"fair": wish.share} if wish.share else {}
    for name in ("on_lost", "on_interrupt"):
        said |= {name: "fail"} if getattr(wish, name) == "fail" else {}
    said |= {"on_retry": "release"} if wish.on_retry == "release" else {}
    said |= {} if wish.expires is None else {"expires_in": wish.expires * 60}
    return said or None


def new_job(wish: Wish) -> NewJob:
    """The same as the store takes it."""
    said = {name: list(as_limit(terms)) for name, terms in wish.terms.items()}
    return NewJob(
        task="shop.sync",
        args=wish.args,
        queue=wish.queue,
        priority=wish.priority,
        delay=wish.delay * 60.0 or None,
        key=wish.key,
        until=wish.until,
        on_conflict=wish.on_conflict,
        run_if_failed=wish.run_if_failed,
        parents=wish.parents,
        res=tuple(wish.needs),
        need=tuple(wish.needs.values()),
        limits=said or None,
        extra=extra(wish),
        max_attempts=wish.max_attempts,
    )
