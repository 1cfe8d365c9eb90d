"""Every test of the store that names `server`, `dsn` or `connection` runs on both servers."""

from __future__ import annotations

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server" in metafunc.fixturenames and not metafunc.definition.get_closest_marker(
        "one_server"
    ):
        metafunc.parametrize(
            "server", ["embedded_server", "debian_server"], indirect=True, ids=["pg18", "pg15"]
        )
