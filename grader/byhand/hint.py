"""`python -m grader hint EXERCISE/STEP`: the hints of a step, one at a time, from a question to almost the answer.

How many were shown is kept in a small file in the user's own state folder. Where that cannot be written, the
first hint is shown and `--number` gives the others.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path

from grader.course import load_course
from grader.model import Step, UsageError
from grader.names import find_step

STATE = "three-servers"
KIT = Path(__file__).resolve().parents[2]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `hint` takes: a step, and which of its hints."""
    parser.add_argument("step", metavar="EXERCISE/STEP", help="for example cgi_calculator/query")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--all", action="store_true", help="every hint of the step at once")
    choice.add_argument("--number", type=int, metavar="N", help="the Nth hint, counted from 1")
    choice.add_argument("--restart", action="store_true", help="begin again with the first hint")


def run(options: argparse.Namespace) -> int:
    """Show a hint and remember that it was shown."""
    step = find_step(load_course(), options.step)
    name = f"{step.exercise}/{step.id}"
    if not step.hints:
        print(f'The step "{name}" has no hints. Its README section and docstrings say everything.')
        return 0
    memory = Memory(state_folder() / "hints.json", KIT)
    if options.all:
        wanted = range(1, len(step.hints) + 1)
    elif options.number is not None:
        if not 1 <= options.number <= len(step.hints):
            raise UsageError(f"{name} has {len(step.hints)} hints, numbered from 1; there is no hint {options.number}")
        wanted = range(options.number, options.number + 1)
    else:
        seen = 0 if options.restart else memory.shown(name)
        number = min(seen + 1, len(step.hints))
        wanted = range(number, number + 1)
    for number in wanted:
        print(f"{name}, hint {number} of {len(step.hints)}: {step.hints[number - 1]}")
    remembered = memory.remember(name, wanted[-1])
    print(what_next(step, name, wanted[-1], remembered))
    return 0


def what_next(step: Step, name: str, number: int, remembered: bool) -> str:
    """The line after a hint: how to see more, or that this was the last."""
    if number >= len(step.hints):
        return "That was the last one. --all shows them together, --restart begins again."
    if remembered:
        return "Ask again for a stronger one."
    return f"For a stronger one: python -m grader hint {name} --number {number + 1}"


def state_folder() -> Path:
    """Where programs keep such things for the user: by the custom of each system."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
        return (Path(base) if base else Path.home() / "AppData" / "Local") / STATE
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / STATE
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local" / "state") / STATE


class Memory:
    """{"folder of the kit: exercise/step": how many of its hints were shown}, each copy of the kit for itself.

    A file that cannot be read counts as empty.
    """

    def __init__(self, path: Path, kit: Path) -> None:
        self._path, self._kit = path, kit

    def _read(self) -> dict[str, int]:
        with contextlib.suppress(OSError, ValueError):
            data = json.loads(self._path.read_text(encoding="utf-8"))
            if isinstance(data, dict):
                return {str(key): value for key, value in data.items() if type(value) is int and value >= 0}
        return {}

    def shown(self, name: str) -> int:
        """How many hints of the step `name` ("cgi_calculator/query") have been shown; 0 at first."""
        return self._read().get(self._key(name), 0)

    def _key(self, name: str) -> str:
        return f"{self._kit}: {name}"

    def remember(self, name: str, number: int) -> bool:
        """Write the number down; False where that is not possible."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=self._path.parent, prefix="hints-", delete=False, encoding="utf-8"
            ) as file:
                json.dump({**self._read(), self._key(name): number}, file)
            Path(file.name).replace(self._path)
        except OSError:
            return False
        return True
