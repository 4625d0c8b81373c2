r"""Long runs of one unit, folded: b'GET /' + b'a'*8170 + b' HTTP/1.1\r\n' instead of a screen full of a's.

    fold(b"GET /aaaa...", limit) -> [Piece(0, 5, 1), Piece(5, 1, 8170), Piece(8175, 11, 1)]

A piece is data[start : start + size], `count` times one after the other. Works on bytes and on text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SAMPLE: Final = 24  # a run is found by so many bytes that come again ...
LONGEST_UNIT: Final = 24  # ... at most so many bytes later
SHORTEST_RUN: Final = 2 * SAMPLE + LONGEST_UNIT
FEWEST: Final = 4
STRIDE: Final = 4096


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the data: `size` bytes (or characters) from `start`, `count` times."""

    start: int
    size: int
    count: int = 1

    @property
    def end(self) -> int:
        return self.start + self.size * self.count


def fold(data: bytes | str, limit: int) -> list[Piece]:
    """The pieces of `data`, in order and without gaps, until `limit` bytes of them have to be shown."""
    if len(data) < SHORTEST_RUN:
        return [Piece(0, len(data))] if data else []
    pieces: list[Piece] = []
    done = at = shown = 0
    while at + SAMPLE < len(data) and shown + at - done <= limit:
        unit = _find_again(data, at)
        if not unit:
            at += SAMPLE
            continue
        begin, end = _begin(data, at, unit, done), _end(data, at, unit)
        begin += _after_line_end(data[begin : begin + unit])
        count = (end - begin) // unit
        if count < FEWEST or end - begin < SHORTEST_RUN:
            at = max(end, at + SAMPLE)
            continue
        if begin > done:
            pieces.append(Piece(done, begin - done))
        pieces.append(Piece(begin, unit, count))
        shown += begin - done + unit
        done = at = begin + unit * count
    if done < len(data):
        pieces.append(Piece(done, len(data) - done))
    return pieces


def _find_again(data: bytes | str, at: int) -> int:
    """After how many bytes the sample at `at` comes again; 0 where it does not."""
    sample, stop = data[at : at + SAMPLE], at + SAMPLE + LONGEST_UNIT
    if isinstance(data, bytes) and isinstance(sample, bytes):
        again = data.find(sample, at + 1, stop)
    else:
        again = str(data).find(str(sample), at + 1, stop)
    return again - at if again >= 0 else 0


def _begin(data: bytes | str, at: int, unit: int, lowest: int) -> int:
    while at > lowest and data[at - 1] == data[at - 1 + unit]:
        at -= 1
    return at


def _after_line_end(unit: bytes | str) -> int:
    """Where a line begins in a unit: units that hold a line are folded as lines."""
    place = unit.find(b"\n") if isinstance(unit, bytes) else unit.find("\n")
    return (place + 1) % len(unit)


def _end(data: bytes | str, at: int, unit: int) -> int:
    """Where the run that `at` lies in ends."""
    step = STRIDE
    while step:  # as far as whole steps are equal, then the same with steps half as long
        if len(data) >= at + unit + step and data[at : at + step] == data[at + unit : at + unit + step]:
            at += step
        else:
            step //= 2
    return at + unit
