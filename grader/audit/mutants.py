"""Wrong programs, one mistake each: each must lose exactly the points it should.

A mutant is a substitution in the solution (mutants.toml). `find` must match exactly once, so a mutant cannot rot
silently when the solution changes.
"""

from __future__ import annotations

import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from grader.course import Selection
from grader.grade import grade
from grader.judging import Stop
from grader.model import Exercise, ExerciseCard, KitError, Settings, Verdict
from grader.submission import Submission


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mistake: what to replace by what in the solution's main file, and the ids of the checks that must fail."""

    id: str
    fails: frozenset[str]
    edits: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class MutantResult:
    """What a mutant lost, against what it should."""

    mutant: Mutant
    lost: frozenset[str]
    points: int
    broken: tuple[str, ...] = ()

    @property
    def problem(self) -> str:
        """ "" when it lost exactly what it should, else a sentence."""
        missed, extra = sorted(self.mutant.fails - self.lost), sorted(self.lost - self.mutant.fails)
        parts = [
            f"broken checks: {', '.join(self.broken)}" if self.broken else "",
            f"should have failed but passed: {', '.join(missed)}" if missed else "",
            f"failed though it should pass: {', '.join(extra)}" if extra else "",
        ]
        return "; ".join(part for part in parts if part)


def load_mutants(exercise: Exercise) -> tuple[Mutant, ...]:
    """The mutants of an exercise. Raises KitError for one that names an unknown check or matches nothing."""
    path = exercise.folder / "mutants.toml"
    if not path.exists():
        return ()
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    known = {check.id for check in exercise.checks}
    mutants = tuple(_read(table, known, path) for table in data.get("mutant", []))
    ids = [mutant.id for mutant in mutants]
    if len(set(ids)) != len(ids):
        raise KitError(f"{path}: a mutant's id is used twice: {sorted({i for i in ids if ids.count(i) > 1})}")
    return mutants


def _read(table: dict[str, object], known: set[str], path: Path) -> Mutant:
    identity, fails = str(table.get("id")), table.get("fails")
    if not isinstance(fails, list) or not fails:
        raise KitError(f'{path}: mutant "{identity}" must list the checks that it fails')
    unknown = sorted(set(map(str, fails)) - known)
    if unknown:
        raise KitError(f'{path}: mutant "{identity}" names checks that do not exist: {", ".join(unknown)}')
    tables = table.get("edit") or [table]
    assert isinstance(tables, list)
    return Mutant(identity, frozenset(map(str, fails)), tuple((edit["find"], edit["replace"]) for edit in tables))


def apply(mutant: Mutant, source: str) -> str:
    """The solution's text with the mistake in it. Raises KitError unless each `find` matches exactly once."""
    for find, put in mutant.edits:
        if source.count(find) != 1:
            raise KitError(
                f'mutant "{mutant.id}": its text matches {source.count(find)} times, not once: {find[:80]!r}'
            )
        source = source.replace(find, put)
    return source


@contextmanager
def changed_copy(folder: Path, exercise: Exercise, change: Callable[[str], str]) -> Iterator[Submission]:
    """A submission in a temporary folder: a copy of an exercise's folder with its main file changed."""
    with tempfile.TemporaryDirectory(prefix="grader-audit-") as name:
        root = Path(name)
        shutil.copytree(folder, root / exercise.id, ignore=shutil.ignore_patterns("__pycache__"))
        main = root / exercise.id / exercise.main
        main.write_text(change(main.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
        yield Submission(root, "mutant")


def grade_mutant(kit: Path, exercise: Exercise, mutant: Mutant, settings: Settings, stop: Stop) -> MutantResult:
    """Grade one mutant on the whole exercise, until `stop` is requested."""
    with changed_copy(kit / "solutions" / exercise.id, exercise, lambda text: apply(mutant, text)) as submission:
        selection = Selection(exercise, exercise.checks)
        card = grade(submission, (selection,), replace(settings, jobs=1), stop=stop).cards[0]
    return MutantResult(mutant, lost(card), card.points, broken(card))


def lost(card: ExerciseCard) -> frozenset[str]:
    """The ids of the checks that did not pass."""
    return frozenset(outcome.check.id for outcome in card.outcomes if outcome.verdict is not Verdict.PASSED)


def broken(card: ExerciseCard) -> tuple[str, ...]:
    """The ids of the checks that failed through our own fault."""
    return tuple(outcome.check.id for outcome in card.outcomes if outcome.verdict is Verdict.BROKEN)


def grade_mutants(
    kit: Path, exercise: Exercise, mutants: tuple[Mutant, ...], settings: Settings
) -> Iterator[MutantResult]:
    """Grade many mutants, `settings.jobs` at a time; results come in the order of the file."""
    stop = Stop()
    with ThreadPoolExecutor(settings.jobs) as pool:
        try:
            yield from pool.map(lambda mutant: grade_mutant(kit, exercise, mutant, settings, stop), mutants)
        except BaseException:  # Ctrl-C above all: nobody waits for those that run
            pool.shutdown(wait=False, cancel_futures=True)
            stop.now()
            raise
