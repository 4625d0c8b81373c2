"""Outside programs that some tests drive."""

from __future__ import annotations

import os
import shutil

import pytest


def require_program(name: str) -> str:
    """The program's path. Where it is missing the test is skipped, or fails when CI is set.

    In CI a missing program is a broken set-up: a skip there would look like a pass for ever.
    """
    path = shutil.which(name)
    if path:
        return path
    reason = f"this test needs the program {name}, which is not on PATH"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
