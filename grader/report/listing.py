"""`--list`: exercises, steps and checks with their points."""

from __future__ import annotations

from rich.text import Text

from grader.course import Selection


def render(selections: tuple[Selection, ...]) -> Text:
    """One line per exercise, step and check."""
    shown = Text()
    for selection in selections:
        exercise = selection.exercise
        points = sum(check.points for check in selection.checks)
        shown.append(f"{exercise.id}  {points} points  {exercise.title}\n", style="bold")
        for step in exercise.steps:
            checks = [check for check in step.checks if check in selection.checks]
            if checks:
                shown.append(f"  {step.id}  {sum(check.points for check in checks)} points  {step.title}\n")
            for check in checks:
                shown.append(f"    {check.path}  {check.points}  {check.claim}\n", style="dim")
    return shown
