"""Checks are ordinary pytest tests: an editor can run one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from grader.grade import KIT


@pytest.mark.parametrize(("submission", "code"), [("solutions", 0), ("exercises", 1), ("nowhere", 4)])
def test_one_check_runs_as_plain_pytest(submission: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "grader/checks/cgi_calculator/test_response.py"],
        cwd=KIT,
        env={**os.environ, "SUBMISSION": submission, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "warning" not in done.stdout.lower()
