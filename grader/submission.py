"""The folder being graded: find it, read its main files, and say where to look in them. Nothing is ever imported."""

from __future__ import annotations

import ast
import contextlib
import sys
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from grader.model import Exercise, Finding, Step, UsageError
from grader.source import Text, find_import, functions, is_stub, parse

IGNORED = ("__MACOSX",)
MAX_MAIN = 1 << 20
MOST_NAMED = 6  # folders or files in a message


@dataclass(frozen=True, slots=True)
class Submission:
    """A folder with one subfolder per exercise; `shown` is how the person named it."""

    root: Path
    shown: str

    def folder(self, exercise: Exercise) -> Path:
        """Where this exercise lies in it, there or not."""
        return self.root / exercise.id

    def shown_path(self, exercise: Exercise, file: str = "") -> str:
        """'exercises/cgi_calculator/cgi-bin/cgi_calc.py', for messages."""
        return "/".join(part for part in (self.shown.rstrip("/"), exercise.id, file) if part)


def find_submission(path: Path, course: tuple[Exercise, ...]) -> Submission:
    """The folder at `path`, or the only folder up to two levels below it that holds exercises.

    Raises UsageError that says what was expected and what was found.
    """
    shown = path.as_posix()
    if exercise := _inside(path, course):
        folder, below = exercise
        raise UsageError(f"{shown} lies in one exercise; name the folder around it: python -m grader {folder} {below}")
    if not path.is_dir():
        there = "is a file" if path.exists() else "does not exist"
        raise UsageError(f"{shown} {there}; expected a folder with {_names(course)} in it")
    wanted = {exercise.id for exercise in course}
    level = [path]
    for _ in range(3):
        holding = [folder for folder in level if wanted & _subfolders(folder)]
        if len(holding) == 1:
            inner = holding[0].relative_to(path).as_posix()
            return Submission(holding[0].resolve(), shown if inner == "." else f"{shown.rstrip('/')}/{inner}")
        if len(holding) > 1:
            found = ", ".join(folder.as_posix() for folder in holding[:MOST_NAMED])
            more = f" and {len(holding) - MOST_NAMED} more" if len(holding) > MOST_NAMED else ""
            raise UsageError(f"{shown}: more than one folder holds exercises: {found}{more}; name one of them")
        level = [folder / name for folder in level for name in sorted(_subfolders(folder))]
    raise UsageError(f"{shown}: expected a folder with {_names(course)} in it, found {_content(path)}")


def _inside(path: Path, course: tuple[Exercise, ...]) -> tuple[str, str] | None:
    """Where the path is the folder of an exercise, or lies in one: (the folder around that, the exercise)."""
    wanted = {exercise.id: exercise for exercise in course}
    if not path.exists() or (path.is_dir() and wanted.keys() & _subfolders(path)):
        return None
    for at in (path, *path.parents):
        exercise = wanted.get(at.name)
        if exercise is not None and (at / exercise.main).is_file():
            return at.parent.as_posix(), exercise.id
    return None


def _content(folder: Path) -> str:
    try:
        names = sorted(item.name for item in folder.iterdir())
    except OSError as error:
        return f"a folder that cannot be read ({error.strerror})"
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return (", ".join(names[:MOST_NAMED]) or "an empty folder") + more


def _names(course: tuple[Exercise, ...]) -> str:
    return " or ".join(exercise.id for exercise in course)


def _subfolders(folder: Path) -> set[str]:
    try:
        found = list(folder.iterdir())
    except OSError:  # not ours to read
        return set()
    return {
        item.name
        for item in found
        if item.is_dir() and not item.is_symlink() and not item.name.startswith(".") and item.name not in IGNORED
    }


def read_main(submission: Submission, exercise: Exercise) -> Text:
    """Parse the main file. A missing file or a syntax error is a finding, not an exception."""
    path = submission.folder(exercise) / exercise.main
    shown = submission.shown_path(exercise, exercise.main)
    try:
        linked = _linked(path, submission.folder(exercise))
        if linked or not path.is_file():
            what = "a symbolic link" if linked else f"no such file{_others(submission.folder(exercise))}"
            return Text(None, Finding(expected=f"the file {shown}", got=what, look=shown), missing=True)
        data = path.read_bytes() if path.stat().st_size <= MAX_MAIN else None
    except OSError as error:
        return Text(None, Finding(expected=f"the file {shown}", got=str(error.strerror), look=shown), missing=True)
    if data is None:
        got = f"{path.stat().st_size} bytes"
        return Text(None, Finding(expected=f"at most {MAX_MAIN >> 20} MiB of Python", got=got, look=shown))
    text = parse(data, shown)
    if text.tree is not None and all(isinstance(node, ast.Expr) for node in text.tree.body):
        return Text(None, Finding(expected=f"the file {shown}", got="there is no code in it", look=shown), missing=True)
    return text


def _others(folder: Path) -> str:
    """Which Python files there are instead: one of them may only have the wrong name."""
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = [path.relative_to(folder).as_posix() for path in islice(folder.rglob("*.py"), 100)]
    found = sorted(name for name in names if "__pycache__" not in name)
    return f"; there is {', '.join(found[:MOST_NAMED])}" if found else ""


def _linked(path: Path, folder: Path) -> bool:
    """Whether the folder of the exercise, the file, or a folder between them is a symbolic link: nobody follows it."""
    return any(each.is_symlink() for each in (path, *path.parents) if each.is_relative_to(folder))


def warnings(submission: Submission, exercise: Exercise, tree: ast.Module) -> list[str]:
    """Sentences about what is no mistake in itself but will trouble the student elsewhere."""
    said = []
    main = submission.folder(exercise) / exercise.main
    for path in sorted(main.parent.glob("*.py")):
        if path.stem in sys.stdlib_module_names:
            shown = submission.shown_path(exercise, path.relative_to(submission.folder(exercise)).as_posix())
            said.append(
                f"{shown} has the name of a module of Python's own; rename it, or imports of {path.stem} load it"
            )
    for module, advice in exercise.discouraged_imports:
        if found := find_import(tree, (module,)):
            said.append(f"{submission.shown_path(exercise, exercise.main)}:{found[1]} imports {found[0]}: {advice}")
    return said


def look(submission: Submission, exercise: Exercise, step: Step, tree: ast.Module | None, called: str) -> str:
    """Where to look: the function `called`, else what the step has unwritten, else where it says, else all of it.

    "exercises/.../cgi_calc.py:124 escape(), or line 153 page()"
    """
    shown = submission.shown_path(exercise, exercise.main)
    if tree is None:
        return shown
    defined = functions(tree)
    found = [(name, defined[name]) for name in step.functions if name in defined]
    if called in defined:
        found = [(called, defined[called])]
    elif not any(is_stub(node) for _, node in found):
        found = [(name, defined[name]) for name in step.look if name in defined] or found
    open_ones = [item for item in found if is_stub(item[1])]
    if not found:
        return shown
    (first, node), *others = open_ones or found
    return f"{shown}:{node.lineno} {first}()" + "".join(f", or line {other.lineno} {name}()" for name, other in others)
