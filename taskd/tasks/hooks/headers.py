"""What middleware lets travel with a job: a few small JSON values, by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from taskd.errors import TooLarge
from taskd.tasks.json_faults import find_fault, find_key_fault

MAX_HEADERS = 8 * 1024
"""Bytes that the headers of a job may take, as JSON: each claim carries them."""


def check_headers(headers: Mapping[str, Any]) -> None:
    """Raise NotJson, with the place, or TooLarge unless these headers can be stored."""
    fault = find_key_fault(headers, "the names of the headers")
    if fault is not None:
        raise fault
    for name, value in headers.items():
        fault = find_fault(value, f"header {name}")
        if fault is not None:
            raise fault
    size = len(json.dumps(dict(headers), ensure_ascii=False).encode())
    if size > MAX_HEADERS:
        raise TooLarge("the headers", size, MAX_HEADERS, "let a reference travel instead")
