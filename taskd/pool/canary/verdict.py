"""What both witnesses together say of each task.

The survivors are exact, but see only what has frames of a job. The ledger sees all, but is not
sure whose it is: a job is charged with what it throws out of a cache, whoever has put it there.
What one task has too much then, others have too little. So the ledger is believed where it charges
a task with much more (or less) than survives, and all tasks together as well.

Both are weighed by their means. What is said of a task is its mean too, once that is sure; till
then no more than twice the least that is likely. A table that grew in one of a hundred jobs makes
a mean of some hundred bytes, which may as well be none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from taskd.fitting import SURE, Estimate
from taskd.pool.canary.ledger import Charge
from taskd.store.leaks import Account

LEAST_PART = 0.5
"""All together have to be charged with this part of what one task has too much."""

LEAST_BYTES = 500_000.0
"""… and with so much, as is the task: by less a full cache may hold more than before. What another
task has too much is no witness, for it leaks and none of its jobs are old enough to be known."""

TIMES_LOW = 2.0
"""A mean that is more than so many times the least that is likely is not sure, and said as that."""


def weigh(charges: Sequence[Charge], survived: Mapping[str, Estimate]) -> list[Account]:
    """What a job of each task leaves behind, with 95 % between what."""
    surplus = {one.task: _surplus(one, survived.get(one.task)) for one in charges}
    together = sum(surplus.values())
    accounts = []
    for one in charges:
        estimate = survived.get(one.task)
        is_real = _is_real(surplus[one.task], together)
        if estimate is not None and not (_is_outside(one, estimate) and is_real):
            accounts.append(_account(one, estimate))
        elif is_real:
            accounts.append(_account(one, one.estimate))
        else:  # too few jobs yet for any of them to be old
            accounts.append(_account(one, _maybe_nothing(one.estimate)))
    return accounts


def spare_alike(accounts: Sequence[Account]) -> list[Account]:
    """Accuse those alone that leave twice as much as others: all alike fill a cache of all."""
    return [
        one if one.low >= 2 * _usual(accounts, one) else replace(one, low=0.0) for one in accounts
    ]


def _usual(accounts: Sequence[Account], besides: Account) -> float:
    """The median of the others; ours, for by now a user's module may be named `statistics`."""
    others = sorted(one.may_leave for one in accounts if one is not besides) or [0.0]
    return (others[(len(others) - 1) // 2] + others[len(others) // 2]) / 2


def _surplus(charge: Charge, survived: Estimate | None) -> float:
    """What its jobs are charged with and is not known to survive, in bytes."""
    return charge.jobs * (charge.estimate.value - (0.0 if survived is None else survived.value))


def _is_outside(charge: Charge, survived: Estimate) -> bool:
    return abs(charge.estimate.value - survived.value) > SURE * charge.estimate.error


def _is_real(surplus: float, together: float) -> bool:
    if surplus == 0 or 0 < surplus < LEAST_BYTES or 0 <= together < LEAST_BYTES:
        return False
    return together / surplus >= LEAST_PART


def _maybe_nothing(estimate: Estimate) -> Estimate:
    return replace(estimate, error=max(estimate.error, abs(estimate.value) / SURE))


def _account(charge: Charge, estimate: Estimate) -> Account:
    low = estimate.low
    return Account(
        task=charge.task,
        jobs=charge.jobs,
        bytes=max(min(estimate.value, TIMES_LOW * low), 0.0),
        low=low,
        high=max(estimate.high, 0.0),
    )
