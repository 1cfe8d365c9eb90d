"""Names of resources and limits, where a mask is set: told apart, and not told.

A name may be made from arguments, such as "customer:7". So a cover stands in its place: the same
one for the same name, so that lines can be told apart, as long as this process lives. What stands
in the daemons' file, and the limits of tasks and queues, is made from no arguments and is told.

All other names are covered, also those that jobs of other tasks alone seem to need: an answer
shows a few of the jobs that hold a name or wait for it, and whoever joined two answers would find
the masked one behind them.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Iterable, Sequence

from taskd.store.jobs import AnyConnection
from taskd.store.needs import Whose, read_limit
from taskd.store.resources import list_declared
from taskd.web.masking import HIDDEN

_NONCE, _PROOF = 8, 8


class Cover:
    """Covers names for one server. Thread-safe."""

    def __init__(self, mask: Iterable[str]) -> None:
        self._is_set = bool(frozenset(mask))
        self._key = secrets.token_bytes(32)

    def call(self, connection: AnyConnection, names: Sequence[str]) -> dict[str, str]:
        """What to call each of these names."""
        if not self._is_set:
            return {name: name for name in names}
        declared = set(list_declared(connection, names))
        return {
            name: name if name in declared or _is_of_place(name) else self._covered(name)
            for name in names
        }

    def _covered(self, name: str) -> str:
        cover = HIDDEN + self._digest(b"name", name.encode())[:4].hex()
        limit = read_limit(name)
        return cover if limit is None else limit[0].limit(cover)

    # -- where a list goes on, which says the last name of a page ---------------------------------

    def seal(self, text: str) -> str:
        """A text that only this process can read, in letters and digits, - and _."""
        nonce = secrets.token_bytes(_NONCE)
        hidden = self._mix(nonce, text.encode())
        proof = self._digest(b"proof", nonce + hidden)[:_PROOF]
        return base64.urlsafe_b64encode(nonce + proof + hidden).decode().rstrip("=")

    def unseal(self, sealed: str) -> str:
        """The text; raises ValueError for what this process has not sealed."""
        try:
            given = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
        except ValueError:
            given = b""
        nonce, proof, hidden = (
            given[:_NONCE],
            given[_NONCE : _NONCE + _PROOF],
            given[_NONCE + _PROOF :],
        )
        if not hmac.compare_digest(proof, self._digest(b"proof", nonce + hidden)[:_PROOF]):
            raise ValueError("is no `next` of an answer of this server: begin at the first page")
        return self._mix(nonce, hidden).decode()

    def _mix(self, nonce: bytes, text: bytes) -> bytes:
        """Add a stream of bytes that nobody else knows; once more, and it is gone."""
        blocks = (
            self._digest(b"stream", nonce + block.to_bytes(4, "big"))
            for block in range(len(text) // 32 + 1)
        )
        return bytes(a ^ b for a, b in zip(text, b"".join(blocks), strict=False))

    def _digest(self, purpose: bytes, text: bytes) -> bytes:
        return hmac.digest(self._key, purpose + b"\0" + text, "sha256")


def _is_of_place(name: str) -> bool:
    limit = read_limit(name)
    return limit is not None and limit[0] in (Whose.TASK, Whose.QUEUE)
