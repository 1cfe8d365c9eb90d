"""Names of resources and limits that jobs of masked tasks need: told apart, and not told.

A name may be made from arguments, such as "customer:7". Where one is told together with a job of a
masked task, or it is not known of whose job it is, a cover stands in its place: the same one for
the same name, so that lines can be told apart, as long as this process lives. What stands in the
daemons' file, and the limits of tasks and queues, is made from no arguments and is told.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Collection, Iterable, Mapping
from itertools import chain

from taskd.store.jobs import AnyConnection
from taskd.store.needs import Whose, read_limit
from taskd.store.resources import list_covered, list_declared
from taskd.web.masking import HIDDEN

_NONCE, _PROOF = 8, 8


class Cover:
    """Covers names for one server. Thread-safe."""

    def __init__(self, mask: Iterable[str]) -> None:
        self._mask = sorted(mask)
        self._key = secrets.token_bytes(32)

    def call(
        self, connection: AnyConnection, told: Mapping[str, Collection[int]]
    ) -> dict[str, str]:
        """What to call names, each of which is told together with some living jobs."""
        if not self._mask:
            return {name: name for name in told}
        jobs = sorted(set(chain.from_iterable(told.values())))
        covered = set(list_covered(connection, jobs, self._mask)) if jobs else set()
        open_names = set(list_declared(connection, list(told)))
        return {
            name: name
            if name in open_names or _is_of_place(name) or (ids and covered.isdisjoint(ids))
            else self._covered(name)
            for name, ids in told.items()
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
