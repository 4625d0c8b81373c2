"""Names on the command line -> exercises, steps and checks. A name that matches nothing raises UsageError."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TypeVar

from grader.model import Check, Exercise, Step, UsageError

Named = TypeVar("Named")


def find_exercise(course: tuple[Exercise, ...], name: str) -> Exercise:
    """ "socket_server" -> the exercise; what follows a slash is ignored."""
    return pick(name.strip("/").partition("/")[0], {exercise.id: exercise for exercise in course}, "exercise")


def find_step(course: tuple[Exercise, ...], name: str) -> Step:
    """ "cgi_calculator/query" or "cgi_calculator/query/plus" -> the step."""
    exercise = find_exercise(course, name)
    parts = name.strip("/").split("/")
    steps = {f"{exercise.id}/{step.id}": step for step in exercise.steps}
    if len(parts) < 2:
        raise UsageError(f"name a step as well: {', '.join(steps) or 'this exercise has none'}")
    return pick("/".join(parts[:2]), steps, "step")


def find_check(course: tuple[Exercise, ...], name: str) -> Check:
    """ "cgi_calculator/query/plus" -> the check."""
    step = find_step(course, name)
    checks = {check.path: check for check in step.checks}
    if len(name.strip("/").split("/")) < 3:
        raise UsageError(f"name a check as well: {', '.join(checks) or 'this step has none'}")
    return pick(name.strip("/"), checks, "check")


def pick(name: str, known: Mapping[str, Named], kind: str) -> Named:
    """The one that is called so. Raises UsageError with the nearest name, or with all of them."""
    if name in known:
        return known[name]
    raise UsageError(f'no {kind} is called "{name}". {nearest(name, known)}')


def nearest(name: str, known: Iterable[str]) -> str:
    """'Did you mean "cgi_calculator/query"?', or, where nothing is like it, all names there are."""
    names = list(known)
    # Of paths only the last part is compared: what they have in common says nothing.
    parts: dict[str, str] = {}
    for each in names:
        parts.setdefault(each.rpartition("/")[2], each)
    last = name.rpartition("/")[2]
    begun = [part for part in parts if len(last) > 1 and part.startswith(last)]
    close = begun or difflib.get_close_matches(last, parts, n=1)
    return f'Did you mean "{parts[close[0]]}"?' if close else f"There are: {', '.join(names) or 'none'}."
