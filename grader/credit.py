"""Points for functions that a program does without, where the wire shows that it does their work.

Function checks exist so that a step can be paid before the whole stands. A program of another structure has no such
functions, and nothing may be lost for a design of one's own: what the function should have done is visible to a client.
Each step says which checks on the wire show it (`shown_by` in exercise.toml; else all of the step's own).

A program that has fewer than half of the stub's functions is a design of its own, and a name that it shares with the
stub by chance is not held against it, unless the exercise's README asks for that name (`promised`). In any other
program a function that is there is judged as it is.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import replace

from grader.course import Selection
from grader.model import Exercise, Finding, Outcome, Step, Verdict
from grader.source import functions, top_level_names


def credited(exercise: Exercise, tree: ast.Module, outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """The function checks that count as passed all the same, by id, with the outcome they get."""
    named, own_design = _named(exercise), _is_own_design(exercise, tree)
    there = top_level_names(tree)
    absent = named if own_design else _absent(named, there, outcomes)
    found: dict[str, Outcome] = {}
    for step in exercise.steps:
        if not _is_shown(step, outcomes) or (own_design and there & set(step.promised)):
            continue
        for check in (each for each in step.checks if each.calls_functions):
            outcome = outcomes.get(check.id)
            if outcome is not None and _is_without(outcome, absent, outcomes, found, own_design):
                found[check.id] = replace(outcome, verdict=Verdict.PASSED, finding=None, transcript=())
    return found


def waiting(exercise: Exercise, tree: ast.Module, outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    """The function checks of a design of one's own that are not paid yet, by id: each waits for a check on the wire.

    "There is no such function" would send their author the wrong way: what to mend is what the wire shows.
    """
    if not _is_own_design(exercise, tree):
        return {}
    found: dict[str, Outcome] = {}
    for step in exercise.steps:
        open_ones = [outcomes[key] for key in _shown_by(step) if key in outcomes and not _passed(outcomes[key])]
        first = next((each for each in open_ones if each.verdict is not Verdict.BLOCKED), None)
        for check in (each for each in step.checks if each.calls_functions):
            outcome = outcomes.get(check.id)
            if first and outcome and outcome.finding and (outcome.finding.absent or outcome.verdict is Verdict.BLOCKED):
                finding = Finding(expected=f"{first.check.id} passes first", got=f"{first.check.id} has not passed")
                found[check.id] = replace(outcome, verdict=Verdict.BLOCKED, finding=finding, transcript=())
    return found


def wire_checks(selection: Selection, tree: ast.Module) -> tuple[str, ...]:
    """The ids of the checks that show the work of functions which a program does without, in the steps selected."""
    there, own_design = set(functions(tree)), _is_own_design(selection.exercise, tree)
    steps = {check.step for check in selection.checks if check.calls_functions}
    return tuple(
        identity
        for step in selection.exercise.steps
        if step.id in steps and (own_design or set(step.functions) - there)
        for identity in _shown_by(step)
    )


def _named(exercise: Exercise) -> set[str]:
    """The functions of the stub that are the student's."""
    return {name for step in exercise.steps for name in step.functions}


def _is_own_design(exercise: Exercise, tree: ast.Module) -> bool:
    """Whether a program has fewer than half of the stub's functions."""
    named = _named(exercise)
    return 2 * len(named & set(functions(tree))) < len(named)


def _shown_by(step: Step) -> tuple[str, ...]:
    return step.shown_by or tuple(check.id for check in step.checks if not check.calls_functions)


def _absent(named: set[str], there: set[str], outcomes: Mapping[str, Outcome]) -> set[str]:
    """Functions of the stub that the program does not have, or that cannot be called as the stub says."""
    findings = [outcome.finding for outcome in outcomes.values() if outcome.finding is not None]
    return named - there | {finding.absent for finding in findings if finding.absent}


def _is_shown(step: Step, outcomes: Mapping[str, Outcome]) -> bool:
    shown_by = _shown_by(step)
    return bool(shown_by) and all(identity in outcomes and _passed(outcomes[identity]) for identity in shown_by)


def _passed(outcome: Outcome) -> bool:
    return outcome.verdict is Verdict.PASSED


def _is_without(
    outcome: Outcome,
    absent: set[str],
    outcomes: Mapping[str, Outcome],
    found: Mapping[str, Outcome],
    own_design: bool,
) -> bool:
    if outcome.verdict in (Verdict.PASSED, Verdict.BROKEN):
        return False
    if own_design:
        return True
    if outcome.verdict is Verdict.FAILED:
        return outcome.finding is not None and outcome.finding.absent in absent
    # What it waits for is not there either; a function that it calls itself must be missing too.
    needs = [need for need in outcome.check.needs if need in outcomes]
    return (
        outcome.verdict is Verdict.BLOCKED
        and set(outcome.check.calls) <= absent
        and all(_passed(outcomes[need]) or need in found for need in needs)
    )
