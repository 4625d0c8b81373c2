"""Two values that should be equal, shown so that the difference is seen: what is long and alike is left out as "...".

contrast({"pages": 2, ...}, {"pages": 3, ...})   ->  {'pages': 2, ...}   {'pages': 3, ...}
contrast([a, b, c, ...], [a, x, c, ...])         ->  item 2 of 20: b     item 2 of 20: x
contrast("long text ...", "long toxt ...")       ->  both from a few characters before the first difference
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from grader.sandbox.child.plain import Record
from grader.target.transcript import escape, show_value

SHORT = 60  # characters: what is not longer is shown whole
BEFORE, AFTER = 24, 72  # characters around the first difference of two texts
LONGEST_WORD = 16  # a longer one may be cut


@dataclass(frozen=True, slots=True)
class Contrast:
    """How two values are shown. `caret` is an offset into `got`: where two texts part."""

    wanted: str
    got: str
    caret: int | None = None

    def within(self, before: str, after: str = "") -> Contrast:
        """The same inside of something larger."""
        caret = None if self.caret is None else self.caret + len(before)
        return Contrast(f"{before}{self.wanted}{after}", f"{before}{self.got}{after}", caret)


def contrast(wanted: Any, got: Any) -> Contrast:
    """Both values, whole where they are short or have nothing in common."""
    whole = Contrast(show_value(wanted), show_value(got))
    if max(len(whole.wanted), len(whole.got)) <= SHORT:
        return whole
    match wanted, got:
        case (str(), str()) | (bytes(), bytes()):
            return _texts(wanted, got)
        case (dict(), dict()):
            return _fields(wanted, got, "{", "}", lambda key: f"{key!r}: ")
        case (Record(), Record()) if wanted.type == got.type:
            return _fields(wanted.attrs, got.attrs, f"{wanted.type}(", ")", lambda key: f"{key}=")
        case (list(), list()) | (tuple(), tuple()):
            return _items(wanted, got)
        case _:
            return whole


def same(got: Any, wanted: Any) -> bool:
    """Equal in value and in built-in type, all the way down. Values come from plain.decode: no student's __eq__."""
    if isinstance(wanted, Record):
        return isinstance(got, Record) and got.type == wanted.type and same(got.attrs, wanted.attrs)
    if type(got) is not type(wanted):
        return False
    if isinstance(wanted, (list, tuple)):
        return len(got) == len(wanted) and all(same(a, b) for a, b in zip(got, wanted, strict=True))
    if isinstance(wanted, dict):
        return got.keys() == wanted.keys() and all(same(got[key], wanted[key]) for key in wanted)
    return bool(got == wanted)


def loosen(value: Any) -> Any:
    """Tuples, lists and named tuples of the submission as lists, all the way down."""
    if isinstance(value, Record):
        return [loosen(item) for item in value.attrs.values()]
    if isinstance(value, (list, tuple)):
        return [loosen(item) for item in value]
    return value


def shaped_like(wanted: Any, got: Any) -> Any:
    """`wanted` with lists and tuples as `got` has them: where both kinds are right, they are no difference to show."""
    if not isinstance(wanted, (list, tuple)) or not isinstance(got, (list, tuple)):
        return wanted
    items = [shaped_like(a, b) for a, b in zip(wanted, got, strict=False)] + list(wanted[len(got) :])
    return tuple(items) if isinstance(got, tuple) else items


def _texts(wanted: Any, got: Any) -> Contrast:
    """Two texts, or two pieces of bytes, from shortly before the place where they part."""
    at = first_difference(wanted, got)
    start, end = max(0, at - BEFORE), _word_end(wanted, at + AFTER, " " if isinstance(wanted, str) else b" ")
    unit = "byte" if isinstance(wanted, bytes) else "character"
    shown = [repr(text[start:end]) + " ..." * (end < len(text)) for text in (wanted, got)]
    caret = len(repr(got[start:at])) - 1
    return Contrast(shown[0], shown[1], caret).within(f"from {unit} {start} on: " if start else "")


def bytes_apart(wanted: bytes, got: bytes) -> Contrast:
    """Two pieces of bytes, as the wire shows them; long ones from shortly before the place where they part."""
    at = first_difference(wanted, got)
    start, end = max(0, at - BEFORE) if at > SHORT else 0, _word_end(got, at + AFTER, b" ")
    shown = [f'"{escape(whole[start:end])}"' + " ..." * (end < len(whole)) for whole in (wanted, got)]
    caret = 1 + len(escape(got[start:at]))
    return Contrast(shown[0], shown[1], caret).within(f"from byte {start} on: " if start else "")


def _word_end(whole: Any, end: int, blank: Any) -> int:
    """`end`, or, where that cuts a word in two, the place before that word."""
    before = whole.rfind(blank, end - LONGEST_WORD, end) if end < len(whole) else -1
    return end if before < 0 else before


def first_difference(one: Any, other: Any) -> int:
    """The offset of the first item that differs, or the length of the shorter."""
    shorter = min(len(one), len(other))
    return next((at for at in range(shorter) if one[at] != other[at]), shorter)


def _fields(wanted: dict[Any, Any], got: dict[Any, Any], begin: str, end: str, name: Any) -> Contrast:
    """Only the fields that differ."""
    left: list[str] = []
    right: list[str] = []
    caret = None
    for key in dict.fromkeys([*wanted, *got]):
        if key in wanted and key in got:
            if same(got[key], wanted[key]):
                continue
            both = contrast(wanted[key], got[key]).within(name(key))
            if both.caret is not None and caret is None:
                caret = len(begin) + sum(len(text) + 2 for text in right) + both.caret
            left.append(both.wanted)
            right.append(both.got)
        elif key in wanted:
            left.append(f"{name(key)}{show_value(wanted[key])}")
        else:
            right.append(f"{name(key)}{show_value(got[key])}")
    if any(key in got and same(got[key], wanted[key]) for key in wanted):
        left.append("...")
        right.append("...")
    return Contrast(f"{begin}{', '.join(left)}{end}", f"{begin}{', '.join(right)}{end}", caret)


def _items(wanted: Any, got: Any) -> Contrast:
    """Only the items between those that are alike at the beginning and at the end."""
    shorter = min(len(wanted), len(got))
    before = next((at for at in range(shorter) if not same(got[at], wanted[at])), shorter)
    left = shorter - before
    after = next((at for at in range(left) if not same(got[-1 - at], wanted[-1 - at])), left)
    ends = len(wanted) - after, len(got) - after
    if ends[0] - before == ends[1] - before == 1:
        both = contrast(wanted[before], got[before])
        return both.within(f"item {before + 1} of {len(wanted)}: ") if len(wanted) > 1 else both.within("[", "]")
    shown = [_part(whole, before, end) for whole, end in zip((wanted, got), ends, strict=True)]
    return Contrast(shown[0], shown[1])


def _part(items: Any, begin: int, end: int) -> str:
    if begin == 0 and end == len(items):
        return show_value(items)
    parts = [f"... {begin} equal"] * (begin > 0) + [show_value(item) for item in items[begin:end]]
    parts += [f"{len(items) - end} equal ..."] * (end < len(items))
    shown = ", ".join(parts)
    return f"[{shown}] ({len(items)} items)" if isinstance(items, list) else f"({shown}) ({len(items)} items)"
