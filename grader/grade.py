"""The main job: (submission, selection, settings) -> Scorecard, one judge process per exercise, in parallel.

The list of checks and points is fixed before a judge starts. A judge that dies costs only the check it was at: the
rest goes to a new judge, a few times. What was never reported earns nothing.
"""

from __future__ import annotations

import ast
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from grader.course import Selection
from grader.credit import credited, waiting, wire_checks
from grader.job import Job
from grader.judging import JudgeRun, Stop
from grader.model import Check, ExerciseCard, Finding, Outcome, Scorecard, Settings, UsageError, Verdict
from grader.sandbox.isolation import choose_isolation, describe
from grader.sandbox.processes import become_subreaper
from grader.sandbox.scratch import copy_submission, remove_tree
from grader.source import Text, find_import, untouched
from grader.submission import Submission, look, read_main, warnings

Progress = Callable[[Outcome], None]

# Seconds for an exercise and for one check: bounds against what no other limit stops, wide enough for a machine that
# has ten other things to do. What hangs is ended by its target long before.
BUDGET = {"quick": 300.0, "standard": 300.0, "thorough": 1800.0}
CHECK_SECONDS = {"quick": 60.0, "standard": 60.0, "thorough": 300.0}
KIT = Path(__file__).resolve().parent.parent
MAX_JUDGES = 4  # a program that ends judge after judge would make its neighbours wait
OWN_DESIGN = "A design of your own: {points} points for functions that it does without, as the wire shows their work."
VERSIONS_OF = ("pytest", "hypothesis", "tinydb", "requests")


def grade(
    submission: Submission,
    selections: tuple[Selection, ...],
    settings: Settings,
    progress: Progress = lambda outcome: None,
    stop: Stop | None = None,
) -> Scorecard:
    """Grade the selected checks, until `stop` is requested. Raises KitError when the isolation cannot be had."""
    texts = {selection.exercise.id: read_main(submission, selection.exercise) for selection in selections}
    run = _Run(submission, settings, choose_isolation(settings.isolation), progress, texts, stop=stop or Stop())
    become_subreaper()  # what a judge leaves behind when it is ended comes to us, and is ended too
    with ThreadPoolExecutor(max(1, settings.jobs)) as pool:
        try:
            cards = tuple(pool.map(run.exercise, selections))
        except BaseException:  # Ctrl-C above all: nothing may be left running
            run.stop.now()
            raise
    return Scorecard(
        submission=submission.shown,
        settings=settings,
        isolation=describe(run.isolation),
        versions=_versions(),
        cards=cards,
        warnings=(*_warnings(submission, selections, texts), *dict.fromkeys(run.notes)),
    )


@dataclass(frozen=True, slots=True)
class _Run:
    """What all exercises of one run share."""

    submission: Submission
    settings: Settings
    isolation: str
    progress: Progress
    texts: dict[str, Text]
    notes: list[str] = field(default_factory=list)
    stop: Stop = field(default_factory=Stop)

    def exercise(self, selection: Selection) -> ExerciseCard:
        """Grade one exercise."""
        started = time.monotonic()
        text = self.texts[selection.exercise.id]
        note = ""
        outcomes = _without_running(self.submission, selection, text)
        if outcomes:
            note = _note(next(iter(outcomes.values())))
            for outcome in outcomes.values():
                self.progress(outcome)
        else:
            outcomes = self._judged(selection, wire_checks(selection, text.tree) if text.tree else ())
            if text.tree is not None:
                own = credited(selection.exercise, text.tree, outcomes)
                points = sum(outcome.check.points for outcome in own.values() if outcome.check in selection.checks)
                note = OWN_DESIGN.format(points=points) if own else ""
                outcomes |= waiting(selection.exercise, text.tree, outcomes) | own
        finished = [_complete(self.submission, selection, text.tree, outcomes[check.id]) for check in selection.checks]
        return ExerciseCard(selection.exercise, tuple(finished), note, round(time.monotonic() - started, 3))

    def _judged(self, selection: Selection, others: Iterable[str]) -> dict[str, Outcome]:
        """Each check's outcome, by id, from as many judges as it takes (at most MAX_JUDGES).

        Those that are selected, `others` (ids), and what all of them need.
        """
        order = _with_needs(selection, others)
        shown = {check.id for check in selection.checks}
        done: dict[str, Outcome] = {}
        deadline = time.monotonic() + BUDGET[self.settings.effort]
        for _ in range(MAX_JUDGES):
            rest = [check for check in order if check.id not in done]
            if not rest or self.stop.requested:
                break
            for outcome in self._one_judge(selection, rest, done, deadline):
                done[outcome.check.id] = outcome
                if outcome.check.id in shown:
                    self.progress(outcome)
        for check in order:
            done.setdefault(check.id, Outcome(check, Verdict.BROKEN, Finding(got="no judge reported this check")))
        return done

    def _one_judge(
        self, selection: Selection, rest: list[Check], done: dict[str, Outcome], deadline: float
    ) -> Iterator[Outcome]:
        exercise = selection.exercise
        scratch = Path(tempfile.mkdtemp(prefix="grader-"))
        try:
            self.notes.extend(copy_submission(self.submission.folder(exercise), scratch / "child" / "submission"))
            job = Job(
                checks_folder=str(exercise.folder),
                kit=str(KIT),
                scratch=str(scratch),
                shown=self.submission.shown_path(exercise),
                checks=tuple(check.id for check in rest),
                passed=tuple(key for key, outcome in done.items() if outcome.verdict is Verdict.PASSED),
                effort=self.settings.effort,
                seed=self.settings.seed,
                isolation=self.isolation,
                budget=max(1.0, deadline - time.monotonic()),
                check_seconds=CHECK_SECONDS[self.settings.effort],
            )
            yield from JudgeRun(job, rest, self.stop).outcomes()
        except UsageError as error:
            finding = Finding(expected="the folder of an exercise", got=str(error))
            yield from (Outcome(check, Verdict.FAILED, finding) for check in rest)
        finally:
            remove_tree(scratch)


def _warnings(submission: Submission, selections: tuple[Selection, ...], texts: dict[str, Text]) -> tuple[str, ...]:
    said: list[str] = []
    for exercise in (selection.exercise for selection in selections):
        tree = texts[exercise.id].tree
        if tree is not None:
            said += warnings(submission, exercise, tree)
    return tuple(said)


def _versions() -> tuple[tuple[str, str], ...]:
    found = [("python", platform.python_version()), ("os", f"{platform.system()} {platform.machine()}")]
    for name in VERSIONS_OF:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            found.append((name, "not installed"))
    return tuple(found)


def _without_running(submission: Submission, selection: Selection, text: Text) -> dict[str, Outcome]:
    """Outcomes that the text alone decides: missing, no valid Python, forbidden import, untouched. {} to run it."""
    exercise = selection.exercise
    if text.tree is None:
        verdict = Verdict.NOT_STARTED if text.missing else Verdict.CRASHED
        return {check.id: Outcome(check, verdict, text.problem) for check in selection.checks}
    if found := find_import(text.tree, exercise.forbidden_imports):
        name, line = found
        finding = Finding(
            expected="a program that does this work itself",
            got=f"import of {name}",
            why=f"{name} is not among the modules that this exercise allows (kit rule)",
            look=f"{submission.shown_path(exercise, exercise.main)}:{line}",
        )
        return {check.id: Outcome(check, Verdict.FAILED, finding) for check in selection.checks}
    if untouched(text.tree, exercise):
        return {check.id: _not_started(check) for check in selection.checks}
    return {}


def _note(outcome: Outcome) -> str:
    """What concerns every check of an exercise that could not be run, in a line."""
    finding = outcome.finding
    if finding is None or not finding.look:
        return ""
    return f"{finding.look}: {finding.got.partition(chr(10))[0]}"


def _not_started(check: Check) -> Outcome:
    return Outcome(check, Verdict.NOT_STARTED, Finding(expected=check.claim, got="not written yet"))


def _with_needs(selection: Selection, others: Iterable[str]) -> list[Check]:
    """The selected checks, `others` (ids), and all that they need, in course order."""
    by_id = {check.id: check for check in selection.exercise.checks}
    wanted = [*(check.id for check in selection.checks), *others]
    for identity in wanted:
        wanted += [need for need in by_id[identity].needs if need not in wanted]
    return [check for check in selection.exercise.checks if check.id in set(wanted)]


def _complete(submission: Submission, selection: Selection, tree: ast.Module | None, outcome: Outcome) -> Outcome:
    """Fill in where to look: the student's own frame where there is one, else the step's function."""
    finding = outcome.finding
    if finding is None or finding.look:
        return outcome
    exercise = selection.exercise
    if finding.frames:
        file, _, function = finding.frames[-1].partition(" in ")
        folder = exercise.main.rpartition("/")[0]
        where = submission.shown_path(exercise, f"{folder}/{file}" if folder else file)
        named = function and not function.startswith("<")  # "<module>" is the top level, "<lambda>" has no name
        return replace(outcome, finding=replace(finding, look=f"{where} {function}()" if named else where))
    if finding.unloaded:
        return replace(outcome, finding=replace(finding, look=submission.shown_path(exercise, exercise.main)))
    # What is not written yet names itself: "parse_number() is yours to write".
    naming = finding.expected if outcome.verdict is Verdict.NOT_STARTED else finding.sent
    place = look(submission, exercise, exercise.step_of(outcome.check), tree, naming.partition("(")[0])
    return replace(outcome, finding=replace(finding, look=place))


def default_jobs() -> int:
    """One exercise more than there are processors: a part of the checks of servers is waiting."""
    return 1 + (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
