"""Plain data across the process boundary: Python values <-> JSON, both ways, without pickle.

None, bool, str, small ints, finite floats and lists are themselves; everything else is an object with one key:

    {"b": "latin-1 text"}   bytes          {"i": "-0x1f"}          an int beyond 53 bits
    {"t": [...]}            tuple          {"f": "nan"}            a float that JSON lacks
    {"d": [[k, v], ...]}    dict           {"s": [...]}            set or frozenset
    {"q": "1/3"}            Fraction       {"m": "0.1"}            Decimal
    {"p": "/a/b"}           Path           {"o": ["Name", {...}]}  any other object: its type and plain attributes

Subclasses of the built-in types arrive as the built-in type, so no method of the student's ever runs in the
process that compares.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

MAX_DEPTH = 60
# Of keys that a program chooses all may have one hash, and then each costs as much as there are. Text is safe: its
# hash is another one in every process.
MAX_KEYS = 1000
MAX_DIGITS = 20_000
SAFE_INT = 2**53


@dataclass(frozen=True)
class Record:
    """An object of a class of the submission: the name of its type and its plain attributes."""

    type: str
    attrs: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"{self.type}({', '.join(f'{name}={value!r}' for name, value in self.attrs.items())})"

    def __getattr__(self, name: str) -> Any:
        try:
            return object.__getattribute__(self, "attrs")[name]
        except KeyError:
            raise AttributeError(name) from None


def encode(value: Any, depth: int = MAX_DEPTH) -> Any:
    """A value that json.dumps takes. Raises ValueError past MAX_DEPTH levels of nesting."""
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        number = int.__index__(value)
        return number if -SAFE_INT < number < SAFE_INT else {"i": hex(number)}
    if isinstance(value, float):
        number_float = float.__float__(value)
        finite = number_float - number_float == 0.0
        return number_float if finite else {"f": float.__repr__(number_float)}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {"b": bytes(value).decode("latin-1")}
    if depth == 0:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, list):
        return [encode(item, depth - 1) for item in list.__iter__(value)]
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return {"t": [encode(item, depth - 1) for item in tuple.__iter__(value)]}
    if isinstance(value, dict):
        return {"d": [[encode(key, depth - 1), encode(item, depth - 1)] for key, item in dict.items(value)]}
    if isinstance(value, (set, frozenset)):
        return {"s": [encode(item, depth - 1) for item in value]}
    return _encode_object(value, depth)


def _encode_object(value: Any, depth: int) -> Any:
    # The modules are looked up, not imported: a value of theirs exists only where they are loaded already.
    for tag, module, name in (
        ("q", "fractions", "Fraction"),
        ("m", "decimal", "Decimal"),
        ("p", "pathlib", "PurePath"),
    ):
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(value, kind):
            return {tag: str(value)}
    kind = type(value)
    if hasattr(value, "_fields"):
        attrs = {str(name): getattr(value, name) for name in value._fields}
    elif hasattr(kind, "__dataclass_fields__"):
        attrs = {name: getattr(value, name, None) for name in kind.__dataclass_fields__}
    else:
        attrs = {name: item for name, item in getattr(value, "__dict__", {}).items() if is_plain(item)}
    return {"o": [kind.__name__, {str(name): encode(item, depth - 1) for name, item in attrs.items()}]}


def is_plain(value: Any, depth: int = 5) -> bool:
    """Whether a value is built-in data all the way down, and nests at most `depth` levels deep."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return depth > 0 and all(is_plain(item, depth - 1) for item in value)
    if isinstance(value, dict):
        return depth > 0 and all(is_plain(key) and is_plain(item, depth - 1) for key, item in value.items())
    return value is None or isinstance(value, (bool, int, float, str, bytes))


def decode(value: Any, depth: int = MAX_DEPTH) -> Any:
    """The inverse of encode(). Raises ValueError for anything that encode() does not produce.

    Also for what it produces of sets and dicts of over MAX_KEYS keys that are no text.
    """
    if not isinstance(value, (list, dict)):
        return value
    if depth < 0:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, list):
        return [decode(item, depth - 1) for item in value]
    if len(value) != 1:
        raise ValueError(f"an object with {len(value)} keys")
    (tag, body), *_ = value.items()
    try:
        return _decode_tagged(tag, body, depth - 1)
    except (TypeError, AttributeError, ArithmeticError, KeyError) as error:
        raise ValueError(f"malformed {tag!r} value") from error


def _decode_tagged(tag: str, body: Any, depth: int) -> Any:
    match tag:
        case "b":
            return body.encode("latin-1")
        case "i":
            return int(body, 16)
        case "f":
            return float(body)
        case "t":
            return tuple([decode(item, depth) for item in body])
        case "d":
            _bound_keys([key for key, _ in body])
            return {decode(key, depth): decode(item, depth) for key, item in body}
        case "s":
            _bound_keys(body)
            return frozenset([decode(item, depth) for item in body])
        case "q":
            from fractions import Fraction

            # Not Fraction(body): of "1e999999999" it would make a number of a billion digits.
            numerator, _, denominator = body.partition("/")
            return Fraction(int(numerator), int(denominator or 1))
        case "m":
            from decimal import Decimal

            if len(body) > MAX_DIGITS:
                raise ValueError(f"a number of over {MAX_DIGITS} digits")
            return Decimal(body)
        case "p":
            from pathlib import Path

            return Path(body)
        case "o":
            name, attrs = body
            return Record(str(name), {str(key): decode(item, depth) for key, item in attrs.items()})
        case _:
            raise ValueError(f"unknown tag {tag!r}")


def _bound_keys(keys: list[Any]) -> None:
    if len(keys) > MAX_KEYS and sum(type(key) is not str for key in keys) > MAX_KEYS:
        raise ValueError(f"over {MAX_KEYS} keys that are no text")
