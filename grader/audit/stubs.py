"""Stubs come from solutions: the student's functions keep their signature and docstring and lose their body.

Which functions are the student's stands in exercise.toml. Top-level names and methods that start with one underscore
are the solution's own and do not appear in the stub. Everything else is given to the student as it is.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from grader.model import Exercise, KitError
from grader.source import functions

TABLE = re.compile(r"(<!-- steps -->\n).*?(<!-- /steps -->)", re.DOTALL)
SKIPPED = ("__pycache__",)

Definition = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class _Edit:
    """Replace lines first..last (counted from 1, both included) by `lines`."""

    first: int
    last: int
    lines: tuple[str, ...]


def make_stub(source: str, exercise: Exercise) -> str:
    """The text of a solution -> the text of its stub. Raises KitError where the two cannot be told apart."""
    tree = ast.parse(source)
    lines = source.splitlines()
    found = functions(tree)
    edits = []
    for step in exercise.steps:
        for name in step.functions:
            if name not in found:
                raise KitError(f'{exercise.id}: step "{step.id}" names {name}(), which {exercise.main} does not define')
            edits.append(_empty(found[name], name, step.id, lines))
    private = [edit for node in _private(tree) if (edit := _remove(node, lines))]
    for edit in sorted([*edits, *private], key=lambda edit: edit.first, reverse=True):
        lines[edit.first - 1 : edit.last] = edit.lines
    lines = _without_idle_imports(lines)
    stub = re.sub(r"\n{4,}", "\n\n\n", "\n".join(lines)).rstrip() + "\n"
    _check_given(stub, tree, exercise)
    return stub


def _empty(node: Definition, name: str, step: str, lines: list[str]) -> _Edit:
    docstring = ast.get_docstring(node)
    first = node.body[0]
    if docstring is None or first.lineno == node.lineno:
        raise KitError(f"{name}() needs a docstring on a line of its own: it is the contract in the stub")
    indent = " " * first.col_offset
    todo = f"{indent}# TODO({step}): write {name}(), as the docstring says."
    body = f'{indent}raise NotImplementedError("step {step}: {name}() is yours to write")'
    assert first.end_lineno is not None
    assert node.end_lineno is not None
    return _Edit(first.end_lineno + 1, node.end_lineno, (todo, body))


def _without_idle_imports(lines: list[str]) -> list[str]:
    """The lines without imports that only the removed bodies used: they would give a design away."""
    tree = ast.parse("\n".join(lines))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    kept = list(lines)
    for node in reversed(tree.body):
        if not isinstance(node, (ast.Import, ast.ImportFrom)) or getattr(node, "module", "") == "__future__":
            continue
        names = [alias for alias in node.names if (alias.asname or alias.name.partition(".")[0]) in used]
        if len(names) < len(node.names):
            node.names = names
            assert node.end_lineno is not None
            kept[node.lineno - 1 : node.end_lineno] = [ast.unparse(node)] if names else []
    return kept


def _private(tree: ast.Module) -> list[ast.stmt]:
    """Statements that define names with one leading underscore, at the top level and in classes."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    statements = [*tree.body, *(node for item in classes for node in item.body)]
    return [node for node in statements if any(map(_is_private, _defined(node)))]


def _defined(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case _:
            return []


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _remove(node: ast.stmt, lines: list[str]) -> _Edit:
    first = min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", []))])
    while first > 1 and lines[first - 2].lstrip().startswith("#"):
        first -= 1  # the comment right above belongs to it
    while first > 1 and not lines[first - 2].strip():
        first -= 1
    assert node.end_lineno is not None
    return _Edit(first, node.end_lineno, ())


def _check_given(stub: str, solution: ast.Module, exercise: Exercise) -> None:
    """Given code must not use what was taken out."""
    removed = {name for node in _private(solution) for name in _defined(node) if _is_private(name)}
    for node in ast.walk(ast.parse(stub)):
        name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
        if name in removed:
            line = getattr(node, "lineno", 0)
            raise KitError(
                f"{exercise.id}: the stub uses {name} (line {line} of the stub), which is the solution's own"
            )


def step_table(exercise: Exercise) -> str:
    """The table of steps for the exercise's README."""
    rows = ["| step | what you build | points | functions |", "|---|---|--:|---|"]
    for step in exercise.steps:
        names = ", ".join(f"`{name}`" for name in step.functions)
        rows.append(f"| `{step.id}` | {step.title} | {step.points} | {names} |")
    rows.append(f"| | | **{exercise.points}** | |")
    return "\n".join(rows) + "\n"


def fill_table(readme: str, exercise: Exercise) -> str:
    """A README with its step table brought up to date. Raises KitError when it has no place for one."""
    if not TABLE.search(readme):
        raise KitError(f"{exercise.id}/README.md: no <!-- steps --> ... <!-- /steps --> to put the table of steps in")
    return TABLE.sub(lambda match: match[1] + step_table(exercise) + match[2], readme)


def generate(kit: Path, exercise: Exercise) -> dict[Path, str]:
    """Every generated file of an exercise and its text: the stubs, and the README with its table."""
    source, target = kit / "solutions" / exercise.id, kit / "exercises" / exercise.id
    main = (source / exercise.main).read_text(encoding="utf-8")
    readme = target / "README.md"
    return {
        target / exercise.main: make_stub(main, exercise),
        readme: fill_table(readme.read_text(encoding="utf-8"), exercise),
    }


def drifted(files: dict[Path, str]) -> list[Path]:
    """The generated files whose text on disk is another."""
    return [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]


def write(files: dict[Path, str]) -> list[Path]:
    """Bring the generated files up to date; returns those that changed."""
    changed = drifted(files)
    for path in changed:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], encoding="utf-8", newline="\n")
    return changed
