"""Tracebacks that a program printed: the student's own frames, and the text without the grader's."""

from __future__ import annotations

import re
from pathlib import Path

from grader.sandbox.policy import CHILD_CODE

FRAME = re.compile(r'  File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<function>.+))?')
START = "Traceback (most recent call last):"


def tidy_output(output: str, folder: Path) -> str:
    """Leave out the frames of the grader's own child code, and the scratch folder from the others' paths."""
    kept: list[str] = []
    skipping = False
    for line in output.splitlines():
        if match := FRAME.match(line):
            skipping = match["file"].startswith(str(CHILD_CODE))
        elif not line.startswith("    "):
            skipping = False
        if not skipping:
            kept.append(line.replace(f"{folder}/", "").replace(f"{folder}\\", ""))
    return "\n".join(kept)


def own_frames(output: str, folder: Path) -> tuple[str, ...]:
    """The frames of the last traceback that lie in `folder`, outermost first: "cgi_calc.py:41 in parse_query"."""
    _, found, trace = output.rpartition(START)
    frames = [match for line in trace.splitlines() if (match := FRAME.match(line))] if found else []
    own = [match for match in frames if Path(match["file"]).is_relative_to(folder)]
    return tuple(
        f"{Path(match['file']).relative_to(folder).as_posix()}:{match['line']}"
        + (f" in {match['function']}" if match["function"] else "")
        for match in own
    )
