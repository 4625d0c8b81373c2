r"""What was sent and got, as people read it: nothing is lost that fits, runs are folded, a caret stands at its byte."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.sandbox.child.plain import Record
from grader.target.folding import fold
from grader.target.transcript import Transcript, escape, offset_shown, show_bare, show_bytes, show_call, show_value

LONG = b"GET /" + b"a" * 8170 + b" HTTP/1.1\r\n"
PARTS = st.tuples(st.binary(min_size=1, max_size=6), st.integers(1, 400)).map(lambda pair: pair[0] * pair[1])
DATA = st.lists(PARTS, max_size=5).map(b"".join)


@settings(max_examples=200, deadline=None, database=None)
@given(DATA)
def test_the_pieces_are_the_data(data: bytes) -> None:
    pieces = fold(data, 100_000)
    assert b"".join(data[piece.start : piece.start + piece.size] * piece.count for piece in pieces) == data


@settings(max_examples=200, deadline=None, database=None)
@given(st.lists(st.binary(max_size=6) | DATA, max_size=4))
def test_a_folded_value_is_still_the_value_in_python(value: list[bytes]) -> None:
    shown = show_value(value, 1_000_000)
    if " shown)" not in shown:
        assert eval(shown, {}) == value  # noqa: S307  (text of our own)


@settings(max_examples=200, deadline=None, database=None)
@given(st.text("aé\n'\"\\", max_size=60))
def test_what_is_short_is_shown_as_python_shows_it(text: str) -> None:
    assert ast.literal_eval(show_value(text)) == text


def test_a_long_run_is_folded_and_its_length_told() -> None:
    assert show_bytes(LONG) == r'"GET /" + "a"*8170 + " HTTP/1.1\r\n" (8186 bytes)'
    assert show_call("take_head", [LONG, 3], {}) == (
        r"take_head(b'GET /' + b'a'*8170 + b' HTTP/1.1\r\n', 3)  (8186 bytes)"
    )
    assert show_value([("a", "1")] * 1000) == "[('a', '1')]*1000"
    assert show_value(Record("Page", {"text": "ab" * 900})) == "Page(text='ab'*900)"


def test_equal_lines_are_folded_as_lines() -> None:
    assert show_bytes(b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * 300) == (
        r'"GET / HTTP/1.1\r\n" + "X: 1\r\n"*300 (1816 bytes)'
    )


@pytest.mark.parametrize("offset", [0, 4, 5, 8174, 8175, 8185])
def test_the_caret_stands_at_its_byte_in_what_is_folded(offset: int) -> None:
    assert show_bytes(LONG)[offset_shown(LONG, offset) :].startswith(escape(LONG[offset : offset + 1]))


@settings(max_examples=200, deadline=None, database=None)
@given(DATA.filter(bool), st.integers(0, 3000))
def test_a_caret_never_stands_outside(data: bytes, offset: int) -> None:
    assert 0 < offset_shown(data, min(offset, len(data))) < len(show_bytes(data))


def test_of_binary_data_only_the_beginning_is_shown() -> None:
    body = b"".join(number.to_bytes(4, "big") for number in range(375_000))
    shown = show_bytes(b"HTTP/1.1 200 OK\r\n\r\n" + body)
    assert shown.startswith(r'"HTTP/1.1 200 OK\r\n\r\n\x00')
    assert "(1500019 bytes, the first 64 shown)" in shown
    assert len(show_value(body)) < 400


def test_quotes_are_left_out_where_they_tell_nothing() -> None:
    assert show_bare(b'/a"b') == r"/a\"b"
    assert show_bare(b"/" + b"a" * 500) == '"/" + "a"*500 (501 bytes)'


def test_a_speaker_who_goes_on_has_one_entry() -> None:
    log, one, other = Transcript(), object(), object()
    for text, speaker in (("a", one), ("ab", one), ("x", other), ("abc", one)):
        log.got_more(text, speaker)
    log.sent("more")
    log.got_more("d", one)
    assert [exchange.text for exchange in log.exchanges] == ["ab", "x", "abc", "more", "d"]
