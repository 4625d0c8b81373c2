"""What a program printed: the lines that tell most, where there are too many of them.

The last traceback, wherever it stands (a server goes on to log what it answered); else the end.
"""

from __future__ import annotations

from grader.report.safe import head_and_tail

TRACEBACK = "Traceback (most recent call last):"


def telling_lines(text: str, lines: int, characters: int) -> list[str]:
    """At most `lines` lines and about `characters` characters, and lines that say how many others there are."""
    every = text.splitlines()
    if len(every) <= lines and len(text) <= characters:
        return every
    begin, end = _last_traceback(every) or (max(0, len(every) - lines), len(every))
    shown = head_and_tail("\n".join(every[begin:end]), lines, characters)
    before = [f"... {begin} line{'s' * (begin > 1)} before this"] if begin else []
    after = [f"... {len(every) - end} more line{'s' * (len(every) - end > 1)}"] if end < len(every) else []
    return before + shown + after


def _last_traceback(lines: list[str]) -> tuple[int, int] | None:
    """Where the last traceback begins and ends (behind the line that names the exception)."""
    begin = next((at for at in range(len(lines) - 1, -1, -1) if lines[at].strip() == TRACEBACK), None)
    if begin is None:
        return None
    last = next((at for at in range(begin + 1, len(lines)) if not lines[at].startswith((" ", "\t"))), len(lines) - 1)
    return begin, last + 1
