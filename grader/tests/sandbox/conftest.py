"""Fixtures of the sandbox's tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from grader.sandbox.isolation import landlock_holds
from grader.sandbox.processes import become_subreaper


@pytest.fixture(params=["process", "landlock"])
def isolation(request: pytest.FixtureRequest) -> str:
    """Every grade that this machine has."""
    if request.param == "landlock" and not landlock_holds():
        pytest.skip("this machine has no Landlock")
    return str(request.param)


@pytest.fixture
def landlock() -> str:
    if not landlock_holds():
        pytest.skip("this machine has no Landlock")
    return "landlock"


@pytest.fixture
def subreaper() -> Iterator[None]:
    """This process adopts orphans, as a judge does, for one test."""
    if sys.platform != "linux":
        pytest.skip("only Linux has subreapers")
    import ctypes

    assert become_subreaper()
    yield
    ctypes.CDLL(None).prctl(36, 0, 0, 0, 0)
