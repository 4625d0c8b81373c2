"""The folder being graded: find it, and read its files as text. Nothing in it is ever imported here."""

from __future__ import annotations

import ast
import codecs
import contextlib
import io
import sys
import tokenize
import warnings as warnings_module
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from grader.model import Exercise, Finding, Step, UsageError

IGNORED = ("__MACOSX",)
MAX_MAIN = 1 << 20
MOST_NAMED = 6  # folders or files in a message
ENCODINGS = ("utf-8", "utf-8-sig", "ascii", "iso8859-1", "iso8859-15", "cp1252")  # as codecs call them


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


@dataclass(frozen=True, slots=True)
class Text:
    """The main file of an exercise as a syntax tree, or what is wrong with it."""

    tree: ast.Module | None
    problem: Finding | None = None
    missing: bool = False


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
    text = _parse(data, shown)
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


def _parse(data: bytes, shown: str) -> Text:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _unreadable(
            data, 0, "a file in UTF-8", "a file in UTF-16; save it as UTF-8 (encoding, in your editor)", shown
        )
    if b"\0" in data:
        return _unreadable(data, data.index(0), "text", "a zero byte, which no text has", shown)
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        # Some codecs take minutes for a megabyte, and this runs in the grader itself.
        if codecs.lookup(encoding).name not in ENCODINGS:
            got = f"a declaration of the encoding {encoding}"
            return Text(None, Finding(expected="a file in UTF-8", got=got, look=f"{shown}:1"))
        with warnings_module.catch_warnings():  # they would print lines of the program as the grader's own words
            warnings_module.simplefilter("ignore")
            return Text(ast.parse(data.decode(encoding), filename=shown))
    except SyntaxError as error:
        line = (error.text or "").rstrip("\n")
        got = f"{type(error).__name__}: {error.msg}" + (f"\n{line}" if line.strip() else "")
        caret = got.index("\n") + error.offset if "\n" in got and error.offset else None
        return Text(None, Finding(expected="valid Python", got=got, caret=caret, look=f"{shown}:{error.lineno or 1}"))
    except UnicodeDecodeError as error:
        return _unreadable(data, error.start, "a file in UTF-8", f"the byte 0x{data[error.start]:02x}", shown)
    except (ValueError, RecursionError, MemoryError) as error:
        return Text(None, Finding(expected="valid Python", got=f"{type(error).__name__}: {error}", look=f"{shown}:1"))


def _unreadable(data: bytes, at: int, expected: str, got: str, shown: str) -> Text:
    """What is wrong with the byte at this offset, and in which line it stands."""
    line = data.count(b"\n", 0, at) + 1
    return Text(None, Finding(expected=expected, got=got, look=f"{shown}:{line}"))


def functions(tree: ast.Module) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """Top-level functions by name and methods as "Class.method"; the last definition of a name counts."""
    found: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found[node.name] = node
        if isinstance(node, ast.ClassDef):
            methods = [item for item in node.body if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))]
            found.update({f"{node.name}.{item.name}": item for item in methods})
    return found


def top_level_names(tree: ast.Module) -> set[str]:
    """What a module defines, assigns or imports by name at its top level, and methods as "Class.method"."""
    names = set(functions(tree))
    for node in tree.body:
        match node:
            case ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                names |= {alias.asname or alias.name for alias in aliases}
            case _:
                pass
    return names


def is_stub(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether the body is a docstring at most and `raise NotImplementedError(...)`."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    if len(body) != 1 or not isinstance(body[0], ast.Raise):
        return False
    raised = body[0].exc
    name = raised.func if isinstance(raised, ast.Call) else raised
    return isinstance(name, ast.Name) and name.id == "NotImplementedError"


def untouched(tree: ast.Module, exercise: Exercise) -> bool:
    """Whether every function that is the student's is still a stub: then nothing needs to run."""
    found = functions(tree)
    named = [name for step in exercise.steps for name in step.functions]
    return bool(named) and all(name in found and is_stub(found[name]) for name in named)


def only_stubs(text: bytes, step: Step) -> bool:
    """Whether nothing of a step is written yet, in a main file of this text."""
    tree = _parse(text, "").tree
    if tree is None:
        return False
    found = functions(tree)
    return bool(step.functions) and all(name in found and is_stub(found[name]) for name in step.functions)


def find_import(tree: ast.Module, modules: tuple[str, ...]) -> tuple[str, int] | None:
    """The first use of one of the modules (or of "module.name"): (name, line).

    Looks at import statements, at attributes of imported modules, and at __import__ and import_module with a literal.
    """
    names = _imported_names(tree)
    for node in ast.walk(tree):
        used: list[str] = []
        match node:
            case ast.Import(names=aliases):
                used = [alias.name for alias in aliases]
            case ast.ImportFrom(module=str(module), level=0, names=aliases):
                used = [module, *(f"{module}.{alias.name}" for alias in aliases)]
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in names:
                used = [f"{names[name]}.{attribute}"]
            case ast.Call(func=function, args=[ast.Constant(value=str(literal)), *_]):
                called = getattr(function, "attr", getattr(function, "id", ""))
                used = [literal] if called in ("__import__", "import_module") else []
            case _:
                continue
        for name in used:
            if any(name == module or name.startswith(module + ".") for module in modules):
                return name, getattr(node, "lineno", 1)
    return None


def _imported_names(tree: ast.Module) -> dict[str, str]:
    """Names that stand for modules: "asyncio" -> "asyncio", "s" -> "http.server" after `import http.server as s`."""
    found = {}
    for node in ast.walk(tree):
        for alias in node.names if isinstance(node, ast.Import) else []:
            first = alias.name.partition(".")[0]
            found[alias.asname or first] = alias.name if alias.asname else first
    return found


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
