"""What there is to grade: exercise.toml and the checks' decorators become Exercise values.

The decorators are read with `ast`, not by importing: listing the course costs milliseconds, and the list of
ids and points exists before any judge runs, so a check that did not run, or ran twice, can earn nothing.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from grader.model import Check, Exercise, KitError, Step, UsageError
from grader.names import find_check, find_exercise, find_step, nearest

CHECKS = Path(__file__).parent / "checks"


@dataclass(frozen=True, slots=True)
class Selection:
    """The part of one exercise to grade: all of it, or the checks named."""

    exercise: Exercise
    checks: tuple[Check, ...]


def load_course(root: Path = CHECKS) -> tuple[Exercise, ...]:
    """Every exercise below `root`, sorted by id. Raises KitError, which says where, when one is not well formed."""
    return tuple(load_exercise(path.parent) for path in sorted(root.glob("*/exercise.toml")))


def load_exercise(folder: Path) -> Exercise:
    """Read one folder of checks. The order of [[step]] is the teaching order."""
    manifest = folder / "exercise.toml"
    try:
        data = tomllib.loads(manifest.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise KitError(f"{manifest}: {error}") from error
    identity = _require(data, "id", str, manifest)
    tables = data.get("step", [])
    functions = {name for table in tables for name in _strings(table, "functions", manifest)}
    steps = tuple(_read_step(folder, identity, table, manifest, functions) for table in tables)
    exercise = Exercise(
        id=identity,
        title=_require(data, "title", str, manifest),
        main=_require(data, "main", str, manifest),
        kind=_require(data, "kind", str, manifest),
        forbidden_imports=_strings(data, "forbidden_imports", manifest),
        discouraged_imports=tuple(data.get("discouraged_imports", {}).items()),
        folder=folder,
        steps=steps,
    )
    _check_references(exercise, manifest)
    files = {_file_of(folder, step.id) for step in steps}
    for path in sorted(folder.glob("test_*.py")):
        if path not in files:
            raise KitError(
                f'{path}: no [[step]] of {manifest.name} is called "{_step_of(path)}", so nobody would run it'
            )
    return exercise


def _file_of(folder: Path, step: str) -> Path:
    return folder / f"test_{step.replace('-', '_')}.py"


def _step_of(path: Path) -> str:
    return path.stem.removeprefix("test_").replace("_", "-")


def _read_step(folder: Path, exercise: str, table: dict[str, Any], manifest: Path, functions: set[str]) -> Step:
    identity = _require(table, "id", str, manifest)
    needs = _strings(table, "needs", manifest)
    path = _file_of(folder, identity)
    if not path.exists():
        raise KitError(f'{manifest}: step "{identity}" has no checks: there is no {path.name}')
    return Step(
        exercise=exercise,
        id=identity,
        title=_require(table, "title", str, manifest),
        needs=needs,
        functions=_strings(table, "functions", manifest),
        hints=_strings(table, "hints", manifest),
        checks=_read_checks(path, exercise, identity, needs, functions),
        look=_strings(table, "look", manifest),
        shown_by=_strings(table, "shown_by", manifest),
        promised=_strings(table, "promised", manifest),
    )


def _strings(table: Mapping[str, Any], key: str, where: object) -> tuple[str, ...]:
    """A list of texts; () where the key is absent. One text alone, for want of a comma, is none."""
    found = table.get(key, ())
    if not isinstance(found, (list, tuple)) or not all(isinstance(item, str) for item in found):
        raise KitError(f'{where}: "{key}" must be a list of texts, found {found!r}')
    return tuple(found)


def _require(table: dict[str, Any], key: str, kind: type, manifest: Path) -> Any:
    if not isinstance(table.get(key), kind):
        raise KitError(f'{manifest}: "{key}" must be a {kind.__name__}, found {table.get(key)!r}')
    return table[key]


def _read_checks(
    path: Path, exercise: str, step: str, step_needs: tuple[str, ...], functions: set[str]
) -> tuple[Check, ...]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    except (SyntaxError, UnicodeDecodeError) as error:
        what = f"{error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else f" {error}"
        raise KitError(f"{path}:{what}") from error
    checks = []
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef):
            continue
        decorator = next((call for call in map(_check_call, node.decorator_list) if call), None)
        if decorator is None:
            if node.name.startswith("test_"):
                raise KitError(f"{path}:{node.lineno}: {node.name} has no @check decorator")
            continue
        check = _read_check(path, node, decorator, exercise, step, step_needs)
        words = {item.value for item in ast.walk(node) if isinstance(item, ast.Constant) and item.value in functions}
        checks.append(replace(check, calls=tuple(sorted(words))))
    return tuple(checks)


def _check_call(node: ast.expr) -> ast.Call | None:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "check":
        return node
    return None


def _read_check(
    path: Path, node: ast.FunctionDef, call: ast.Call, exercise: str, step: str, step_needs: tuple[str, ...]
) -> Check:
    where = f"{path}:{node.lineno}"
    try:
        identity = ast.literal_eval(call.args[0])
        options = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
        points, source = options["points"], options["source"]
    except (IndexError, KeyError, ValueError) as error:
        raise KitError(f'{where}: @check takes a literal id, points= and source= ("{error}")') from error
    prefix, _, name = identity.partition("/")
    if prefix != step or not name:
        raise KitError(f'{where}: the id "{identity}" must read "{step}/<name>"')
    if type(points) is not int or points < 1:
        raise KitError(f"{where}: points must be a whole number of at least 1, found {points!r}")
    claim, _, rule = (ast.get_docstring(node) or "").partition("\n\n")
    if not claim:
        raise KitError(f"{where}: {node.name} has no docstring, the sentence that the student reads")
    needs = step_needs + _strings(options, "needs", where)
    return Check(
        exercise=exercise,
        step=step,
        name=name,
        claim=" ".join(claim.split()),
        rule=" ".join(rule.split()),
        points=points,
        source=source,
        needs=tuple(need for need in dict.fromkeys(needs) if need != identity),
        node=f"{path.name}::{node.name}",
        fixtures=tuple(argument.arg for argument in node.args.args),
    )


def _check_references(exercise: Exercise, manifest: Path) -> None:
    known = [check.id for check in exercise.checks]
    for identity in known:
        if known.count(identity) > 1:
            raise KitError(f'{manifest}: the check "{identity}" is defined twice')
    for step in exercise.steps:
        for identity in step.shown_by:
            if identity not in known:
                raise KitError(
                    f'{manifest}: step "{step.id}" is shown by "{identity}", which no check defines.'
                    f" {nearest(identity, known)}"
                )
    for check in exercise.checks:
        for need in check.needs:
            if need not in known:
                raise KitError(
                    f'{manifest}: "{check.id}" needs "{need}", which no check defines. {nearest(need, known)}'
                )


def select(course: tuple[Exercise, ...], names: list[str]) -> tuple[Selection, ...]:
    """["cgi_calculator/query"] -> the checks it names, in course order; [] selects everything.

    Raises UsageError when a name matches nothing.
    """
    if not names:
        return tuple(Selection(exercise, exercise.checks) for exercise in course)
    wanted = [name.strip("/").split("/") for name in names]
    for parts in wanted:
        _expect_known(course, parts)
    return tuple(
        Selection(exercise, chosen)
        for exercise in course
        if (chosen := tuple(check for check in exercise.checks if _is_named(check, wanted)))
    )


def _is_named(check: Check, wanted: list[list[str]]) -> bool:
    parts = check.path.split("/")
    return any(parts[: len(name)] == name for name in wanted)


def _expect_known(course: tuple[Exercise, ...], parts: list[str]) -> None:
    """Raises UsageError with the nearest name where an exercise, a step or a check is called otherwise."""
    name = "/".join(parts)
    match len(parts):
        case 1:
            find_exercise(course, name)
        case 2:
            find_step(course, name)
        case 3:
            find_check(course, name)
        case _:
            raise UsageError(f'"{name}" has too many parts; a check is called EXERCISE/STEP/CHECK')
