"""The versions of the code that a worker offers, on its slot of the board.

Only the worker knows for certain: while a new generation replaces the old one, both are there, in
one pool. Maintenance reads it to wake none but those who can run what has come.
"""

from __future__ import annotations

from collections.abc import Iterable

from taskd.board.layout import OFFER_WORDS, WORD, Slot
from taskd.errors import TaskdError

_LIMIT = (OFFER_WORDS - 1) * WORD
_BETWEEN = "\n"


class OffersTooLong(TaskdError):
    """The code offers more versions than a slot can name; drop those that no job waits for."""


def encode_offers(versions: Iterable[str]) -> bytes:
    """The versions as a slot holds them. Raises OffersTooLong."""
    ordered = sorted(versions)
    encoded = _BETWEEN.join(ordered).encode()
    if len(encoded) > _LIMIT:
        raise OffersTooLong(
            f"the code offers {len(ordered)} versions, {len(encoded)} bytes of names, and a worker "
            f"can tell {_LIMIT}: take requires=… out of tasks whose older jobs are done"
        )
    return encoded


def write_offers(slot: Slot, versions: Iterable[str]) -> None:
    """Tell what the worker of a slot offers, once in its life. Raises OffersTooLong."""
    encoded = encode_offers(versions)
    slot.offers[1:] = memoryview(encoded.ljust(_LIMIT, b"\0")).cast("Q")
    slot.offers[0] = len(encoded)  # only now do others see them, whole


def read_offers(slot: Slot) -> frozenset[str]:
    """What the worker of a slot offers; nothing before it has told."""
    length = slot.offers[0]
    if not length:
        return frozenset()
    return frozenset(slot.offers[1:].tobytes()[:length].decode().split(_BETWEEN))
