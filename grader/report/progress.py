"""What a person sees while grading runs: one line that is rewritten in a terminal, one line per exercise elsewhere.

Events come from several threads. Whatever happens to the stream, grading goes on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.cells import cell_len

from grader.model import Check, Exercise, Outcome
from grader.report.layout import crop
from grader.report.terminal import screen, write

TICK = 0.2


class Selected(Protocol):
    """The part of one exercise that is graded."""

    @property
    def exercise(self) -> Exercise: ...
    @property
    def checks(self) -> tuple[Check, ...]: ...


@dataclass
class Count:
    """How far one exercise is."""

    name: str
    total: int
    done: int = 0
    points: int = 0

    @property
    def finished(self) -> bool:
        """Whether every check has an outcome."""
        return self.done >= self.total


class Progress:
    """A context manager around a run; `update` is given each outcome as it comes, from any thread."""

    def __init__(self, selections: Iterable[Selected], stream: TextIO) -> None:
        self.counts = {each.exercise.id: Count(each.exercise.id, len(each.checks)) for each in selections}
        self._seen: set[str] = set()
        self._stream = stream
        self._screen = screen(stream)
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._open = True
        self._drawn = 0
        self._began = time.monotonic()
        self._clock = threading.Thread(target=self._tick, name="progress", daemon=True)

    def __enter__(self) -> Self:
        if self._screen.live:
            self._draw()
            self._clock.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._screen.live:
            self._clock.join()
            with self._lock:
                self._write("\r" + " " * self._drawn + "\r" if self._drawn else "")

    def update(self, outcome: Outcome) -> None:
        """Count an outcome; a check that was counted already, or was not asked for, changes nothing."""
        check = outcome.check
        with self._lock:
            count = self.counts.get(check.exercise)
            if count is None or check.path in self._seen:
                return
            self._seen.add(check.path)
            count.done += 1
            count.points += outcome.points
            if count.finished and not self._screen.live:
                self._write(f"graded {count.name}: {count.done} checks\n")
        if self._screen.live and count.finished:
            self._draw()

    def _tick(self) -> None:
        while not self._ended.wait(TICK):
            self._draw()

    def _draw(self) -> None:
        with self._lock:
            if self._ended.is_set():
                return
            # The last column stays free: a full line would scroll in some terminals.
            shown = line(list(self.counts.values()), time.monotonic() - self._began, self._screen.width - 1)
            wide = cell_len(shown)
            self._write("\r" + shown + " " * max(0, self._drawn - wide))
            self._drawn = wide

    def _write(self, text: str) -> None:
        if self._open and text:
            self._open = write(text, self._stream)


def line(counts: list[Count], seconds: float, width: int) -> str:
    """'grading  socket_server 12/40, wsgi_catalog 3/52   41 points   2 s', in at most `width` columns.

    Exercises that are finished leave the line; their points stay in the sum.
    """
    running = [count for count in counts if not count.finished]
    points = sum(count.points for count in counts)
    ending = f"   {points} points   {seconds:.0f} s"
    if not running:
        return crop(f"grading  finishing{ending}", width)
    names = ", ".join(f"{count.name} {count.done}/{count.total}" for count in running)
    if cell_len(f"grading  {names}{ending}") > width:
        done, total = sum(count.done for count in counts), sum(count.total for count in counts)
        names = f"{done}/{total} checks"
    return crop(f"grading  {names}{ending}", width)
