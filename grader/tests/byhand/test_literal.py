"""What reports print can be pasted back."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.byhand.literal import parse_bytes, parse_call
from grader.engine.expect import same
from grader.model import UsageError
from grader.target.transcript import show_bytes

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.binary(max_size=5)
    | st.text("a\"'\\\n\u00e9", max_size=5) | st.fractions() | st.decimals(allow_nan=False)
    | st.builds(Path, st.text("ab/", max_size=4)),
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple)
    | st.dictionaries(st.integers(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(args=st.lists(plain, max_size=3), extra=plain)
@settings(max_examples=100, deadline=None, database=None)
def test_a_call_as_it_is_shown_is_the_same_call(args: list[Any], extra: Any) -> None:
    shown = ", ".join([*map(repr, args), f"extra={extra!r}"])
    name, got, kwargs = parse_call(f"Class.method({shown})")
    assert name == "Class.method"
    assert same(got, args)
    assert same(kwargs, {"extra": extra})


def test_sets_and_numbers_that_are_none() -> None:
    name, args, kwargs = parse_call("f({1}, set(), frozenset({2}), nan, -inf, Decimal('1E+3'), Fraction(1, 3))")
    assert (name, kwargs) == ("f", {})
    assert args[:3] == [{1}, set(), frozenset({2})]
    assert repr(args[3:5]) == "[nan, -inf]"
    assert args[5:] == [Decimal(1000), Fraction(1, 3)]


@pytest.mark.parametrize(
    "text",
    ["", "f", "f(", "f(x)", "f(g())", "f(__import__('os'))", "f(*[1])", "f(**{})", "(lambda: 1)()", "f(1)(2)",
     "f(Fraction(1, 0))", "f(open('x'))", "f(Decimal('x'))", "f({[]: 1})", "f(1); g(2)", "f(f'{x}')"],
)  # fmt: skip
def test_anything_but_one_call_with_plain_values_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--call takes one call"):
        parse_call(text)


@given(data=st.binary(max_size=60))
@settings(max_examples=200, deadline=None, database=None)
def test_bytes_as_they_are_shown_are_the_same_bytes(data: bytes) -> None:
    assert parse_bytes(show_bytes(data)) == data
    assert parse_bytes(show_bytes(data)[1:-1] + "x") == data + b"x"


def test_other_text_is_utf_8() -> None:
    assert parse_bytes("caf\u00e9\\r\\n") == b"caf\xc3\xa9\r\n"


@pytest.mark.parametrize("text", [r"\q", r"\x1", r"\xzz", "ends with \\"])
def test_an_escape_that_is_never_shown_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no escape"):
        parse_bytes(text)
