r"""What feedback prints, read back: calls with plain arguments, and bytes with escapes. Nothing here is executed.

parse_call('parse_query("a=1+2")')      -> ("parse_query", ["a=1+2"], {})
parse_bytes(r"GET / HTTP/1.1\r\n\r\n")  -> b"GET / HTTP/1.1\r\n\r\n"
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from grader.model import UsageError

# The values that repr() writes as a call or as a bare name.
CONSTRUCTORS: dict[str, Callable[..., Any]] = {
    "Fraction": Fraction,
    "Decimal": Decimal,
    "Path": Path,
    "PosixPath": Path,
    "WindowsPath": Path,
    "set": set,
    "frozenset": frozenset,
    "bytearray": bytearray,
}
NAMES = {"nan": float("nan"), "inf": float("inf")}
_ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\", '"': b'"', "'": b"'"}
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|(.)|$)", re.DOTALL)


def parse_call(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """A call with literal arguments -> (name, args, kwargs). Raises UsageError for anything else."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
        if not isinstance(node, ast.Call) or any(keyword.arg is None for keyword in node.keywords):
            raise ValueError("it is no call")
        args = [_value(item) for item in node.args]
        kwargs = {str(keyword.arg): _value(keyword.value) for keyword in node.keywords}
        return _dotted(node.func), args, kwargs
    except (SyntaxError, ValueError, TypeError, ArithmeticError, RecursionError, MemoryError) as error:
        why = error.msg if isinstance(error, SyntaxError) else error
        raise UsageError(f"--call takes one call with plain values, such as 'parse_query(\"a=1\")': {why}") from error


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    raise ValueError("what is called is no name")


def _value(node: ast.expr) -> Any:
    match node:
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item) for item in items)
        case ast.Set(elts=items):
            return {_value(item) for item in items}
        case ast.Dict(keys=keys, values=values):
            return {_value(key): _value(item) for key, item in zip(keys, values, strict=True) if key is not None}
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in CONSTRUCTORS:
            return CONSTRUCTORS[name](*map(_value, args))
        case ast.Name(id=name) if name in NAMES:
            return NAMES[name]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Name(id=name)) if name in NAMES:
            return -NAMES[name]
        case _:
            try:
                return ast.literal_eval(node)
            except ValueError:
                raise ValueError(f"{ast.unparse(node)} is no plain value") from None


def parse_bytes(text: str) -> bytes:
    r"""Text with the escapes of the feedback (\r \n \t \xNN \\ \" ) as bytes; other characters as UTF-8.

    Quotes around the whole are dropped. Raises UsageError for an escape that feedback never prints.
    """
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    found, done = bytearray(), 0
    for match in _ESCAPE.finditer(text):
        found += text[done : match.start()].encode("utf-8", "surrogateescape")
        digits, letter = match.groups()
        if digits is None and letter not in _ESCAPES:
            raise UsageError(f"{match.group()} is no escape that --send knows; a backslash itself is \\\\")
        found += bytes([int(digits, 16)]) if digits else _ESCAPES[letter]
        done = match.end()
    return bytes(found + text[done:].encode("utf-8", "surrogateescape"))
