"""What to do next about the workers: a pure function of what is wanted, what is there and the time.

A worker's way through the plan:

    start ──► (starting) ──► ready ──► drain ──► interrupt ──► kill
                  │                      ▲
                  └─ not ready in time ──┼─ the daemon stops, or there is one too many
                                         ├─ its replacement is ready (old code, worn, ordered away)
                                         ├─ it is ordered to stop
                                         └─ of itself: it is ill, or a canary that has seen enough

A replacement is started first and the old worker drained only when the new one is at work, so that
a pool never has fewer workers than wanted; of a pool at most a tenth, but one, is replaced at once.
Whoever leaves is stood in for at once, but no pool has more than twice the workers that it wants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from taskd.board import Why, WorkerState
from taskd.config.sections import PoolSettings
from taskd.events import counted
from taskd.supervisor.actions import Action, Drain, Interrupt, Kill, Note, Start, Warn
from taskd.supervisor.ladder import HubView, Ladder, ToldView
from taskd.supervisor.memory.rules import NO_LIMITS, Held, Limits, about_hard, why_worn

BUSY_SHARE = 0.9
AT_WORK_SECONDS = 1.0
HEARD_SECONDS = 0.5


class Urgency(IntEnum):
    """How the daemon is to stop."""

    NONE = 0
    DRAIN = 1
    INTERRUPT = 2
    KILL = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """A worker as the plan sees it; times are seconds of the master's monotonic clock.

    `deadline` is that of its running job if it is a process worker's, `attempt` its fence;
    `warned` is the fence of the attempt that was told its time is over, at `warned_at`. The job was
    told to end because it is cancelled at `cancelled_at`. `told` and `hub` are a greenlet worker's.
    `dumped` is the job for whose sake it wrote its stacks, at `dumped_at`. `share` is how much of
    `max_jobs` it may do, `held` its memory, None as long as nothing is known of it. It runs
    `in_flight` jobs, and was ready at `ready_at`. A canary counts for none of its pool's workers.
    An unwanted one is to drain by somebody's order, a stopped one to be interrupted, too. One that
    is ill drains, because its loops fail again and again.
    """

    slot: int
    pool: str
    generation: int
    state: WorkerState
    started_at: float
    lives_until: float | None = None
    jobs_done: int = 0
    replaces: int | None = None
    drained_at: float | None = None
    interrupted_at: float | None = None
    killed: bool = False
    deadline: float | None = None
    job: int = 0
    attempt: int = 0
    warned: int = 0
    warned_at: float = 0.0
    cancelled_at: float | None = None
    told: ToldView | None = None
    hub: HubView | None = None
    dumped: int = 0
    dumped_at: float | None = None
    share: float = 1.0
    held: Held | None = None
    in_flight: int = 0
    ready_at: float | None = None
    is_canary: bool = False
    is_unwanted: bool = False
    is_to_stop: bool = False
    is_ill: bool = False

    @property
    def is_live(self) -> bool:
        """Whether it takes jobs, or will."""
        drains = self.drained_at is not None or self.state >= WorkerState.DRAINING
        return not drains and not self.killed


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolView:
    """A pool as it is wanted; generation None: no forkserver can fork for it now."""

    settings: PoolSettings
    processes: int
    generation: int | None
    may_start: bool = True
    limits: Limits = NO_LIMITS
    wants_canary: bool = False


def decide(
    pools: Mapping[str, PoolView], workers: Sequence[WorkerView], urgency: Urgency, now: float
) -> list[Action]:
    """Everything that is to be done now, in order."""
    actions: list[Action] = []
    for worker in workers:
        if not worker.killed:
            pool = pools.get(worker.pool)
            settings = pool.settings if pool is not None else PoolSettings()
            limits = pool.limits if pool is not None else NO_LIMITS
            actions.extend(_about_one(worker, settings, limits, urgency, now))
    if urgency is not Urgency.NONE:
        return actions
    for name, pool in pools.items():
        own = [worker for worker in workers if worker.pool == name]
        canaries = [worker for worker in own if worker.is_canary]
        own = [worker for worker in own if not worker.is_canary]
        actions.extend(_about_pool(name, pool, own, now))
        actions.extend(_about_canaries(name, pool, canaries, now))
    actions.extend(
        Drain(worker.slot, "its pool is no longer configured")
        for worker in workers
        if worker.pool not in pools and worker.is_live
    )
    return actions


def _about_one(
    worker: WorkerView, settings: PoolSettings, limits: Limits, urgency: Urgency, now: float
) -> list[Action]:
    """What time, urgency, its memory and its jobs ask of a single worker."""
    waited = None if worker.dumped_at is None else now - worker.dumped_at
    doomed = list(about_hard(worker.slot, worker.held, limits, worker.dumped, waited))
    if any(isinstance(action, Kill) for action in doomed):
        return doomed
    actions = doomed + list(_about_its_life(worker, settings, urgency, now))
    if not doomed and not any(isinstance(action, Kill) for action in actions):
        actions += _about_its_jobs(worker, settings, now)
    return actions


def _about_its_life(
    worker: WorkerView, settings: PoolSettings, urgency: Urgency, now: float
) -> Iterator[Action]:
    if urgency is Urgency.KILL:
        yield Kill(worker.slot, "killed on demand")
    elif worker.drained_at is not None:
        yield from _escalate(worker, settings, urgency, now)
    elif worker.state >= WorkerState.DRAINING:
        yield Note(worker.slot)
    elif urgency is not Urgency.NONE:
        yield Drain(worker.slot, "the daemon stops")
    elif worker.is_to_stop:
        yield Drain(worker.slot, "it was ordered to stop")
    elif worker.state < WorkerState.READY and now - worker.started_at > settings.startup_timeout:
        yield Kill(worker.slot, f"was not ready within {settings.startup_timeout:g} s")


def _escalate(
    worker: WorkerView, settings: PoolSettings, urgency: Urgency, now: float
) -> Iterator[Action]:
    drained_at = worker.drained_at if worker.drained_at is not None else now
    if worker.interrupted_at is None:
        is_over = now >= drained_at + settings.shutdown_timeout
        if (
            urgency >= Urgency.INTERRUPT
            or is_over
            or _is_to_be_interrupted(worker, drained_at, now)
        ):
            yield Interrupt(worker.slot)
    elif now >= worker.interrupted_at + settings.kill_grace:
        # What has made it ill holds out in it: uncharged it would do the same to the next.
        yield Kill(worker.slot, "did not end although it was interrupted", charge=worker.is_ill)


def _is_to_be_interrupted(worker: WorkerView, drained_at: float, now: float) -> bool:
    """Whether it was ordered to stop, and has heard of its drain: two signals at once are one."""
    has_heard = worker.state >= WorkerState.DRAINING or now >= drained_at + HEARD_SECONDS
    return worker.is_to_stop and has_heard


def _about_its_jobs(worker: WorkerView, settings: PoolSettings, now: float) -> Iterator[Action]:
    ladder = Ladder(worker.slot, settings, now, worker.dumped, worker.dumped_at)
    if worker.cancelled_at is not None:
        yield from ladder.about_warned(worker.job, Why.CANCEL, worker.cancelled_at)
    elif worker.deadline is not None and now > worker.deadline:
        if worker.warned != worker.attempt:
            yield Warn(worker.slot, worker.job, worker.attempt)
        else:
            yield from ladder.about_warned(worker.job, Why.TIMEOUT, worker.warned_at)
    told = [] if worker.told is None else list(ladder.about_told(worker.told, worker.hub))
    yield from told
    if worker.hub is not None and not told:
        yield from ladder.about_hub(worker.hub)


def _about_pool(
    name: str, pool: PoolView, workers: Sequence[WorkerView], now: float
) -> Iterator[Action]:
    live = [worker for worker in workers if worker.is_live]
    by_slot = {worker.slot: worker for worker in live}
    replacements = {
        worker.replaces: worker
        for worker in live
        if worker.replaces is not None and worker.replaces in by_slot
    }
    standing = [worker for worker in live if worker not in replacements.values()]
    surplus = _surplus(standing, pool)
    yield from _send_away(surplus, replacements)
    for old_slot, new in replacements.items():
        old = by_slot[old_slot]
        if old not in surplus and _is_at_work(new, old, now):
            yield Drain(old_slot, _why_worn(old, pool, now) or "replaced")
    if surplus or pool.generation is None or not pool.may_start:
        return
    leaving = len(workers) - len(live)
    too_many_leave = max(0, leaving - pool.processes)  # else one bad task takes every slot there is
    for _ in range(pool.processes - len(standing) - too_many_leave):
        yield Start(name)
    yield from _replace(name, pool, standing, workers, now)


def _about_canaries(
    name: str, pool: PoolView, canaries: Sequence[WorkerView], now: float
) -> Iterator[Action]:
    """At most one at a time, and nobody replaces it: it has stored what it has seen."""
    if pool.generation is None:
        return
    for canary in canaries:
        if canary.is_live and (worn := _why_worn(canary, pool, now)):
            yield Drain(canary.slot, worn)
    if pool.wants_canary and not canaries and pool.may_start:
        yield Start(name, is_canary=True)


def _is_at_work(new: WorkerView, old: WorkerView, now: float) -> bool:
    """Whether a replacement is about as busy as who it replaces, or has had the time to be."""
    if new.state is not WorkerState.READY:
        return False
    is_busy = new.in_flight >= BUSY_SHARE * old.in_flight
    return is_busy or (new.ready_at is not None and now >= new.ready_at + AT_WORK_SECONDS)


def _surplus(standing: Sequence[WorkerView], pool: PoolView) -> Sequence[WorkerView]:
    """Those that are too many: first of old generations, then the youngest."""
    order = sorted(standing, key=lambda one: (one.generation == pool.generation, -one.started_at))
    return order[: max(len(standing) - pool.processes, 0)]


def _send_away(
    surplus: Sequence[WorkerView], replacements: Mapping[int, WorkerView]
) -> Iterator[Action]:
    """Drain those that are too many, and whoever was to replace them."""
    for worker in surplus:
        yield Drain(worker.slot, "one worker less is wanted")
        if worker.slot in replacements:
            yield Drain(replacements[worker.slot].slot, "one worker less is wanted")


def _replace(
    name: str,
    pool: PoolView,
    standing: Sequence[WorkerView],
    workers: Sequence[WorkerView],
    now: float,
) -> Iterator[Action]:
    under_way = {worker.replaces for worker in workers if worker.replaces is not None}
    leaving = [worker for worker in workers if not worker.is_live]
    busy = sum(worker.slot in under_way for worker in standing) + len(leaving)
    room = max(1, pool.processes // 10) - busy
    # The most worn first: of those with old code, whichever.
    order = sorted(standing, key=lambda one: -one.held.bytes if one.held else 0)
    for worker in sorted(order, key=lambda one: not one.is_unwanted):
        if room <= 0:
            return
        if worker.slot not in under_way and _why_worn(worker, pool, now):
            why = why_worn(worker.held, pool.limits) if _is_of_age(worker, pool, now) else ""
            yield Start(name, replaces=worker.slot, why=why)
            room -= 1


def _why_worn(worker: WorkerView, pool: PoolView, now: float) -> str:
    """Why a worker is to be replaced: an order, old code, memory, jobs, age; empty if not."""
    if worker.is_unwanted:
        return "it was ordered to"
    if worker.generation != pool.generation:
        return "replaced"
    if not _is_of_age(worker, pool, now):
        return ""
    most_jobs = pool.settings.memory.max_jobs
    if most_jobs is not None and worker.jobs_done >= max(int(most_jobs * worker.share), 1):
        return f"it has done {counted(worker.jobs_done, 'job')}"
    if worker.lives_until is not None and now >= worker.lives_until:
        return "it has lived for its max_lifetime"
    limits = pool.limits.for_canary() if worker.is_canary else pool.limits
    worn = why_worn(worker.held, limits)
    return worn and f"it {worn.removeprefix('it ')}"


def _is_of_age(worker: WorkerView, pool: PoolView, now: float) -> bool:
    """Whether it has lived long enough to be worn by anything but old code."""
    return now - worker.started_at >= pool.settings.memory.min_lifetime
