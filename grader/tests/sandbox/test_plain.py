"""Values survive the way to a child and back; whatever else comes back is refused or is plain data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.engine.expect import same
from grader.sandbox.child import plain

text = st.text('aZ09\0\n"\\\u00e9\u20ac\U0001f4da\ud800', max_size=8)
keys = (
    st.none()
    | st.booleans()
    | text
    | st.integers()
    | st.integers(2**53 - 2, 2**53 + 2)
    | st.floats(allow_nan=False)
    | st.binary(max_size=8)
    | st.fractions()
    | st.decimals(allow_nan=False)
    | st.builds(Path, st.text("ab/.", max_size=6))
)
values = st.recursive(
    keys,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.frozensets(keys, max_size=4)
    ),
    max_leaves=12,
)


def over(value: Any) -> Any:
    """There and back, through JSON text."""
    return plain.decode(json.loads(json.dumps(plain.encode(value))))


@given(value=values)
@settings(max_examples=200, deadline=None, database=None)
def test_every_plain_value_comes_back_with_its_type(value: Any) -> None:
    assert same(over(value), value)


def test_not_a_number_comes_back() -> None:
    assert repr(over([float("nan"), float("inf"), Decimal("NaN")])) == "[nan, inf, Decimal('NaN')]"


def test_sets_and_byte_arrays_arrive_as_their_frozen_kin() -> None:
    assert same(over({1, 2}), frozenset({1, 2}))
    assert same(over(bytearray(b"ab")), b"ab")
    assert same(over(memoryview(b"ab")), b"ab")


class LyingInt(int):
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __index__(self) -> int:
        return 99

    def __repr__(self) -> str:
        return "99"


class LyingStr(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0

    def __str__(self) -> str:
        return "lie"


class LyingFloat(float):
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


class LyingList(list[int]):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None

    def __iter__(self) -> Iterator[int]:
        return iter([99])


class LyingDict(dict[str, int]):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None

    def items(self) -> Any:
        return [("lie", 99)]


@pytest.mark.parametrize(
    ("liar", "truth"),
    [
        pytest.param(LyingInt(5), 5, id="int"),
        pytest.param(LyingStr("five"), "five", id="str"),
        pytest.param(LyingFloat(0.5), 0.5, id="float"),
        pytest.param(LyingList([5]), [5], id="list"),
        pytest.param(LyingDict(five=5), {"five": 5}, id="dict"),
        pytest.param([LyingInt(5), {"x": LyingStr("five")}], [5, {"x": "five"}], id="nested"),
    ],
)
def test_a_subclass_arrives_as_what_it_holds_and_not_as_what_it_says(liar: Any, truth: Any) -> None:
    assert same(over(liar), truth)
    assert not same(over(liar), [truth])


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Head:
    method: str
    fields: list[tuple[str, str]]


class Loose:
    def __init__(self) -> None:
        self.status = 400
        self.open = print


def test_objects_arrive_as_the_name_of_their_type_and_plain_attributes() -> None:
    assert over(Point(1, 2)) == plain.Record("Point", {"x": 1, "y": 2})
    assert over(Head("GET", [("a", "b")])) == plain.Record("Head", {"method": "GET", "fields": [("a", "b")]})
    assert over(Loose()) == plain.Record("Loose", {"status": 400})
    assert over(Loose()).status == 400
    with pytest.raises(AttributeError):
        _ = over(Loose()).missing


def test_what_is_nested_too_deep_is_refused() -> None:
    value: list[Any] = []
    for _ in range(plain.MAX_DEPTH + 1):
        value = [value]
    with pytest.raises(ValueError, match="nested deeper"):
        plain.encode(value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text("0x1/eE.-nan_", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*"bifdtsqmpo?"]), inner, min_size=1, max_size=2)
    ),
    max_leaves=8,
)


@given(value=json_values)
@settings(max_examples=300, deadline=None, database=None)
def test_any_json_is_plain_data_or_a_value_error(value: Any) -> None:
    try:
        decoded = plain.decode(value)
    except ValueError:
        return
    plain.encode(decoded)  # and goes back


@pytest.mark.parametrize("text", ["1e999999999", "1e999999999/3", "1/1e999999999", "1/0", "1/2/3", ""])
def test_a_fraction_that_no_child_of_ours_writes_is_refused_at_once(text: str) -> None:
    with pytest.raises(ValueError, match=r"malformed|invalid literal"):
        plain.decode({"q": text})


def test_fractions_with_many_digits_come_back() -> None:
    assert same(over(Fraction(10**400, 3)), Fraction(10**400, 3))
