"""What stops one measurement, and no other."""

from __future__ import annotations


class CaseFailed(Exception):
    """A system cannot do a case, or did not do it: the table says so in its place."""
