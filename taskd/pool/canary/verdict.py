"""What both witnesses together say of each task.

The survivors are exact, but see only what has frames of a job. The ledger sees all, but is not
sure whose it is: a job is charged with what it throws out of a cache, whoever has put it there.
What one task has too much then, others have too little. So the ledger is believed where it charges
a task with much more (or less) than survives, and all tasks together as well.

Where it is not, it tells how much more may be left than survives.

Both are weighed by their means. What is said of a task that is accused is its mean too; of another
one no more than twice the least that is likely. A table that grew in one of a hundred jobs makes a
mean of some hundred bytes, which may as well be none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf

from taskd.fitting import SURE, Estimate
from taskd.pool.canary.ledger import Charge
from taskd.store.leaks import ACCUSED_BYTES, LEAST_CANARY_JOBS, Account

LEAST_PART = 0.5
"""All together have to be charged with this part of what one task has too much."""

LEAST_BYTES = 500_000.0
"""… and with so much, as is the task: by less a full cache may hold more than before. What another
task has too much is no witness, for it leaks and none of its jobs are old enough to be known."""

TIMES_LOW = 2.0
"""Of a task that is not accused no more is said than so many times the least that is likely."""


def weigh(charges: Sequence[Charge], survived: Mapping[str, Estimate]) -> list[Account]:
    """What a job of each task leaves behind, with 95 % between what."""
    together = [
        sum(_surplus(one, charged, survived) for one, charged in zip(charges, each, strict=True))
        for each in ([one.estimate for one in charges], [one.common for one in charges])
    ]
    accounts = []
    for one in charges:
        estimate = survived.get(one.task)
        is_outside = estimate is None or _is_outside(one, estimate)
        if is_outside and _is_real(_surplus(one, one.estimate, survived), together):
            accounts.append(_account(one, one.estimate))
        elif estimate is None:  # too few jobs yet for any of them to be old
            accounts.append(_account(one, _maybe_nothing(one.estimate)))
        else:
            account = _account(one, estimate)
            is_doubtful = is_outside or one.estimate.error == inf
            accounts.append(_doubted(account, one.estimate) if is_doubtful else account)
    return accounts


def spare_alike(accounts: Sequence[Account]) -> list[Account]:
    """Accuse those alone that leave twice as much as others may: all alike fill a cache of all."""
    return [
        one if one.low >= 2 * _usual(accounts, one) else replace(one, low=0.0) for one in accounts
    ]


def _usual(accounts: Sequence[Account], besides: Account) -> float:
    """The median of the others; ours, for by now a user's module may be named `statistics`."""
    others = sorted(
        one.may_leave for one in accounts if one is not besides and one.jobs >= LEAST_CANARY_JOBS
    ) or [0.0]
    return (others[(len(others) - 1) // 2] + others[len(others) // 2]) / 2


def _surplus(charge: Charge, charged: Estimate, survived: Mapping[str, Estimate]) -> float:
    """What its jobs are charged with and is not known to survive, in bytes."""
    if charged.error == inf:
        return 0.0
    known = survived.get(charge.task)
    return charge.jobs * (charged.value - (0.0 if known is None else known.value))


def _is_outside(charge: Charge, survived: Estimate) -> bool:
    return abs(charge.estimate.value - survived.value) > SURE * charge.estimate.error


def _is_real(surplus: float, together: Sequence[float]) -> bool:
    if min(abs(surplus), *map(abs, together)) < LEAST_BYTES:
        return False
    return min(each / surplus for each in together) >= LEAST_PART


def _maybe_nothing(estimate: Estimate) -> Estimate:
    return replace(estimate, error=max(estimate.error, abs(estimate.value) / SURE))


def _doubted(account: Account, charged: Estimate) -> Account:
    """The same; who is not accused may leave what it is charged with, where there are no frames."""
    if account.low >= ACCUSED_BYTES:
        return account
    return replace(account, high=max(account.high, charged.high))


def _account(charge: Charge, estimate: Estimate) -> Account:
    low, value = estimate.low, estimate.value
    if low < ACCUSED_BYTES:
        value = min(value, TIMES_LOW * low)
    return Account(
        task=charge.task,
        jobs=charge.jobs,
        bytes=max(value, 0.0),
        low=low,
        high=max(estimate.high, 0.0),
    )
