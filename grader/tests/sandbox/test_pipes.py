"""Readers of pipes keep a bounded amount, never stop reading, and never wait beyond their deadline."""

from __future__ import annotations

import os
import sys
import time

import pytest

from grader.sandbox.pipes import Drain, Lines, Replies

Reader = type[Lines] | type[Replies]
windows = sys.platform == "win32"
both = pytest.mark.parametrize(
    "reader",
    [Lines, pytest.param(Replies, marks=pytest.mark.skipif(windows, reason="pipes cannot be waited for there"))],
)


def soon() -> float:
    """A deadline that only a hang reaches."""
    return time.monotonic() + 30.0


def filled(data: bytes) -> int:
    """The reading end of a pipe that holds `data` and is closed."""
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    return reading


@pytest.mark.parametrize(
    ("data", "kept"),
    [
        pytest.param(b"", b"", id="empty"),
        pytest.param(b"abcdef", b"abcdef", id="fits"),
        pytest.param(b"abcdefgh", b"abcdefgh", id="just fits"),
        pytest.param(b"abcdefghij", b"abcde\n[... 2 bytes truncated ...]\nhij", id="cut"),
    ],
)
def test_head_and_tail_are_kept_and_the_middle_is_counted(data: bytes, kept: bytes) -> None:
    drain = Drain(filled(data), 5, 3)
    assert drain.ended(soon())
    assert drain.data == kept
    assert drain.total == len(data)
    assert drain.truncated == (len(data) > 8)


def test_without_a_tail_the_head_is_all_that_is_kept() -> None:
    drain = Drain(filled(b"abcdefgh"), 5)
    assert drain.ended(soon())
    assert (drain.data, drain.truncated) == (b"abcde", True)


@pytest.mark.timeout(60)
def test_the_end_of_a_stream_that_stays_open_is_not_waited_for() -> None:
    reading, writing = os.pipe()
    drain = Drain(reading, 5)
    assert not drain.ended(time.monotonic() + 0.05)
    os.close(writing)
    assert drain.ended(soon())


def test_who_watches_gets_everything() -> None:
    pieces: list[bytes] = []
    drain = Drain(filled(b"abcdefgh"), 1, 1, pieces.append)
    assert drain.ended(soon())
    assert b"".join(pieces) == b"abcdefgh"


@both
def test_lines_come_one_by_one_then_the_end(reader: Reader) -> None:
    lines = reader(filled(b"one\n\ntwo\nunfinished"), 100)
    assert [lines.next(soon()) for _ in range(4)] == [b"one", b"", b"two", None]


@both
def test_a_line_in_pieces_is_put_together(reader: Reader) -> None:
    reading, writing = os.pipe()
    lines = reader(reading, 100)
    os.write(writing, b"on")
    with pytest.raises(TimeoutError):
        lines.next(time.monotonic() + 0.05)
    os.write(writing, b"e\ntw")
    assert lines.next(soon()) == b"one"
    os.write(writing, b"o\n")
    os.close(writing)
    assert [lines.next(soon()), lines.next(soon())] == [b"two", None]


@both
def test_a_line_without_end_ends_the_stream(reader: Reader) -> None:
    reading, writing = os.pipe()
    lines = reader(reading, 1000)
    os.write(writing, b"x" * 1001)
    assert lines.next(soon()) is None
    os.close(writing)
    lines.close()


@both
def test_the_end_is_told_again_and_again(reader: Reader) -> None:
    lines = reader(filled(b"one\n"), 100)
    assert [lines.next(soon()), lines.next(soon())] == [b"one", None]
    lines.close()
    lines.close()


def test_lines_that_nobody_takes_do_not_pile_up() -> None:
    reading, writing = os.pipe()
    lines = Lines(reading, 1000)
    for _ in range(300):
        os.write(writing, b"x" * 99 + b"\n")
    os.close(writing)
    lines._thread.join(30)
    kept = list(iter(lambda: lines.next(soon()), None))
    assert 10 <= len(kept) < 20
