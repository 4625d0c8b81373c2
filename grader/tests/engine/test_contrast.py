"""Two long values that are nearly alike: what is shown of them is what differs."""

from __future__ import annotations

from typing import Any

import pytest

from grader.engine.contrast import bytes_apart, contrast, shaped_like
from grader.engine.expect import expect
from grader.model import Complaint
from grader.sandbox.child.plain import Record
from grader.sandbox.worker import Returned

PAIRS = [("key", f"value {number}") for number in range(20)]
LONG = "a text that goes on and on, " * 9


def without(items: list[Any], *places: int) -> list[Any]:
    return [item for place, item in enumerate(items) if place not in places]


@pytest.mark.parametrize(
    ("wanted", "got", "shown"),
    [
        pytest.param(1, "1", ("1", "'1'"), id="short"),
        pytest.param(
            {"text": LONG, "pages": 2},
            {"text": LONG, "pages": 3},
            ("{'pages': 2, ...}", "{'pages': 3, ...}"),
            id="field",
        ),
        pytest.param(
            {"text": LONG, "a": 1}, {"text": LONG, "b": 2}, ("{'a': 1, ...}", "{'b': 2, ...}"), id="other field"
        ),
        pytest.param(
            Record("Page", {"text": LONG, "n": 1}),
            Record("Page", {"text": LONG, "n": True}),
            ("Page(n=1, ...)", "Page(n=True, ...)"),
            id="record",
        ),
        pytest.param(
            PAIRS,
            [*PAIRS[:2], ("key", "?"), *PAIRS[3:]],
            ("item 3 of 20: ('key', 'value 2')", "item 3 of 20: ('key', '?')"),
            id="item",
        ),
        pytest.param(
            PAIRS,
            without(PAIRS, 4, 5),
            (
                "[... 4 equal, ('key', 'value 4'), ('key', 'value 5'), 14 equal ...] (20 items)",
                "[... 4 equal, 14 equal ...] (18 items)",
            ),
            id="items left out",
        ),
        pytest.param(["k"] * 3, ["l" * 200], ("['k', 'k', 'k']", "['l'*200]"), id="nothing in common"),
    ],
)
def test_what_is_alike_is_left_out(wanted: object, got: object, shown: tuple[str, str]) -> None:
    both = contrast(wanted, got)
    assert (both.wanted, both.got) == shown


@pytest.mark.parametrize("place", [0, 5, 80, 250])
def test_texts_are_shown_from_shortly_before_the_place_where_they_part(place: int) -> None:
    other = LONG[:place] + "X" + LONG[place + 1 :]
    both = contrast(LONG, other)
    assert both.caret is not None
    assert both.got[both.caret] == "X"
    assert both.wanted[both.caret] == LONG[place]
    assert len(both.got) < 160


def test_the_caret_is_right_inside_of_something_larger() -> None:
    wanted = {"books": [{"title": "A"}, {"title": LONG}], "n": 1}
    got = {"books": [{"title": "A"}, {"title": LONG[:100] + "X"}], "n": 1}
    both = contrast(wanted, got)
    assert both.caret is not None
    assert both.got[both.caret] == "X"
    assert both.got.startswith("{'books': item 2 of 2: {'title': from character 76 on: ")


def test_bytes_are_shown_as_the_wire_shows_them() -> None:
    both = bytes_apart(b"one\r\n" * 30, b"one\r\n" * 29 + b"two\r\n")
    assert both.caret is not None
    assert both.got[both.caret :].startswith(r'two\r\n"')
    assert both.wanted.startswith('from byte 121 on: "')


def test_lists_and_tuples_are_no_difference_where_both_are_right() -> None:
    assert shaped_like(["GET", "/", [1, 0]], ("POST", "/", (1, 0))) == ("GET", "/", (1, 0))
    assert shaped_like([("a", "1")], [["a", "2"], ["b"]]) == [["a", "1"]]
    with pytest.raises(Complaint) as caught:
        expect(Returned(("0", "0", (1, 1)))).returns_sequence(["0", "0", (1, 0)])
    assert caught.value.finding.expected == "it returns ('0', '0', (1, 0))"
    assert caught.value.finding.got == "it returned ('0', '0', (1, 1))"
