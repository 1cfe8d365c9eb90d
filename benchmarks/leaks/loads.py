"""What the loads are like: each makes noise of another kind."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """`weights` of the five tasks, `later` those of the second half, if they are others.

    `cache`: entries that a cache holds, `keys`: of so many; it is full when most keys were there
    once. `ring`: small objects that outlive their job. `spikes`: the share of jobs that need 13 MB
    for a moment.
    """

    weights: tuple[float, ...] = (0.35, 0.25, 0.20, 0.12, 0.08)
    later: tuple[float, ...] = ()
    cache: int = 300
    keys: int = 20_000
    ring: int = 200
    spikes: float = 0.0


OTHER_MIX = (0.10, 0.20, 0.20, 0.15, 0.35)

LOADS = {
    "steady": Load(),
    "cache": Load(cache=4000),
    "slow cache": Load(cache=15_000, keys=15_000),
    "fragments": Load(ring=6000),
    "spikes": Load(spikes=0.0005),
    "other mix": Load(later=OTHER_MIX),
    "all": Load(later=OTHER_MIX, cache=3000, ring=3000, spikes=0.0005),
}
