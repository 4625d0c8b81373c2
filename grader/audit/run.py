"""`python -m grader audit`: everything that must hold before this kit may judge anybody.

stubs      are what the solutions generate, and score 0 on every check
solutions  score full
variants   correct programs in other styles (checks/<exercise>/accept/) score full
mutants    lose exactly the points they should; each check is failed by at least one
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from grader.arguments import positive
from grader.audit.mutants import Mutant, broken, grade_mutants, load_mutants, lost
from grader.audit.stubs import drifted, generate
from grader.course import Selection, load_course
from grader.grade import KIT, default_jobs, grade
from grader.model import Exercise, ExerciseCard, Settings
from grader.names import find_exercise, pick
from grader.submission import Submission

OK, PROBLEMS = 0, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `audit` takes: an exercise, mutants by id or every Nth, and how to grade."""
    parser.add_argument("exercise", nargs="?", help="only this exercise")
    parser.add_argument("--mutant", action="append", default=[], help="only this mutant (may be repeated)")
    parser.add_argument(
        "--every", type=positive, default=1, metavar="N", help="only every Nth mutant, for a quick look"
    )
    parser.add_argument("--effort", default="standard", choices=["quick", "standard", "thorough"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=positive, default=default_jobs())


def run(options: argparse.Namespace) -> int:
    """Audit the kit; prints a line per thing looked at, and returns 1 when anything does not hold."""
    course = load_course()
    chosen = [find_exercise(course, options.exercise)] if options.exercise else list(course)
    mutants = {mutant.id: mutant for exercise in chosen for mutant in load_mutants(exercise)}
    for name in options.mutant:
        pick(name, mutants, "mutant")
    settings = Settings(effort=options.effort, seed=options.seed, jobs=options.jobs)
    problems = 0
    for exercise in chosen:
        for subject, problem in audit(KIT, exercise, settings, tuple(options.mutant), options.every):
            problems += bool(problem)
            print(
                f"{'PROBLEM' if problem else 'ok     '} {exercise.id} {subject}" + (f": {problem}" if problem else "")
            )
    print(f"{problems} problems" if problems else "everything holds")
    return PROBLEMS if problems else OK


def audit(
    kit: Path, exercise: Exercise, settings: Settings, only: tuple[str, ...] = (), every: int = 1
) -> Iterator[tuple[str, str]]:
    """(what was looked at, "" or the problem), one after the other."""
    mutants = load_mutants(exercise)
    if only:
        mutants = tuple(mutant for mutant in mutants if mutant.id in only)
    else:
        yield from _audit_programs(kit, exercise, settings)
        yield "every check has a mutant", _unproven(exercise, mutants)
    for result in grade_mutants(kit, exercise, mutants[::every], settings):
        yield f"mutant {result.mutant.id} ({result.points} points)", result.problem


def _audit_programs(kit: Path, exercise: Exercise, settings: Settings) -> Iterator[tuple[str, str]]:
    drift = [path.relative_to(kit).as_posix() for path in drifted(generate(kit, exercise))]
    yield "generated files", f"not up to date: {', '.join(drift)}; run python -m grader stubs" if drift else ""
    yield "points", "" if exercise.points == 100 else f"the checks sum to {exercise.points}, not to 100"
    card = _grade(kit / "exercises", exercise, settings)
    yield "stub", f"scores {card.points}, not 0" if card.points else _broken(card)
    card = _grade(kit / "solutions", exercise, settings)
    yield "solution", f"loses {', '.join(sorted(lost(card)))}" if lost(card) else ""
    for folder in sorted((exercise.folder / "accept").glob("*/")):
        card = _grade(folder, exercise, settings)
        unfair = sorted(lost(card))
        yield f"variant {folder.name}", f"loses {', '.join(unfair)}" if unfair else _broken(card)


def _grade(root: Path, exercise: Exercise, settings: Settings) -> ExerciseCard:
    selection = Selection(exercise, exercise.checks)
    return grade(Submission(root.resolve(), root.name), (selection,), replace(settings, jobs=1)).cards[0]


def _broken(card: ExerciseCard) -> str:
    return f"broken checks: {', '.join(broken(card))}" if broken(card) else ""


def _unproven(exercise: Exercise, mutants: tuple[Mutant, ...]) -> str:
    caught = {identity for mutant in mutants for identity in mutant.fails}
    missing = [check.id for check in exercise.checks if check.id not in caught]
    return f"no mutant fails {', '.join(missing)}" if missing else ""
