"""A copy of one exercise to run by hand, in the same sandbox that it is graded in."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from grader.model import Exercise, UsageError
from grader.sandbox.isolation import choose_isolation
from grader.sandbox.policy import child_uid
from grader.sandbox.processes import become_subreaper, sweep
from grader.sandbox.scratch import SKIPPED, copy_submission, remove_shared_memory
from grader.sandbox.spawn import Site
from grader.sandbox.stage import prepare_site
from grader.submission import Submission

KIT = Path(__file__).resolve().parents[2]


class Workplace:
    """Copies of the exercise as it is on disk. `site` makes a new one when a file has changed since the last."""

    def __init__(self, submission: Submission, exercise: Exercise, root: Path, isolation: str) -> None:
        """Everything lies below `root`, which no program may write to; what they leave for later copies in `files`."""
        self.submission, self.exercise, self.root, self.files = submission, exercise, root, root / "files"
        self._isolation, self._source = isolation, submission.folder(exercise)
        self._lock = threading.Lock()
        self._number, self._seen, self._site = 0, fingerprint(self._source), self._copy(0)

    def _copy(self, number: int) -> Site:
        copy_submission(self._source, self.root / f"copy-{number}" / "submission")
        return prepare_site(self.root, self.exercise, self._isolation, f"copy-{number}")

    @property
    def changed(self) -> bool:
        """Whether the files differ from those of the last copy."""
        return fingerprint(self._source) != self._seen

    def site(self) -> Site:
        """The copy to run."""
        with self._lock:
            now = fingerprint(self._source)
            if now != self._seen:
                self._number, self._seen = self._number + 1, now
                self._site = self._copy(self._number)
            return self._site

    def unmask(self, text: str) -> str:
        """The person's own paths in place of those of the copy."""
        for number in range(self._number + 1):
            copied = str(self.root / f"copy-{number}" / "submission")
            text = text.replace(copied, self.submission.shown_path(self.exercise))
        return text


@contextlib.contextmanager
def workplace(submission: Submission, exercise: Exercise) -> Iterator[Workplace]:
    """A workplace that leaves nothing behind: no folder, no process, no shared memory."""
    main = submission.folder(exercise) / exercise.main
    if not main.is_file():
        raise UsageError(f"{submission.shown_path(exercise, exercise.main)} does not exist")
    become_subreaper()
    with tempfile.TemporaryDirectory(prefix="grader-", ignore_cleanup_errors=True) as name:
        try:
            yield Workplace(submission, exercise, Path(name).resolve(), choose_isolation("auto"))
        finally:
            sweep()
            remove_shared_memory(child_uid())


def fingerprint(folder: Path) -> frozenset[tuple[str, int, int]]:
    """Path, time and size of every file below a folder: changes when a file does."""
    found = set()
    for here, names, files in os.walk(folder):
        names[:] = [name for name in names if name not in SKIPPED]
        for name in files:
            with contextlib.suppress(OSError):  # it vanished while we looked
                status = (Path(here) / name).lstat()
                found.add((str(Path(here) / name), status.st_mtime_ns, status.st_size))
    return frozenset(found)
