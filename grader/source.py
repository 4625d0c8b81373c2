"""A main file as a syntax tree: parse it, and ask what it defines, imports and has not written yet. Nothing is run."""

from __future__ import annotations

import ast
import codecs
import io
import tokenize
import warnings as warnings_module
from dataclasses import dataclass

from grader.model import Exercise, Finding, Step

ENCODINGS = ("utf-8", "utf-8-sig", "ascii", "iso8859-1", "iso8859-15", "cp1252")  # as codecs call them


@dataclass(frozen=True, slots=True)
class Text:
    """The main file of an exercise as a syntax tree, or what is wrong with it."""

    tree: ast.Module | None
    problem: Finding | None = None
    missing: bool = False


def parse(data: bytes, shown: str) -> Text:
    """The text of a file, as Python reads it. What is wrong with it is a finding that says where, not an exception."""
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
    tree = parse(text, "").tree
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
