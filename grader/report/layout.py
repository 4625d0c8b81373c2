"""A page of styled lines, none of them wider than the screen, and the two ways to break a text into such lines.

prose     breaks between words
literal   keeps every character, breaks after a line of the protocol, and knows in which line the caret belongs
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from grader.report.safe import neutral

MIN_WIDTH = 24
MIN_ROOM = 12
Span = tuple[str, str]

_UNIT = re.compile(r"\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|\\U[0-9a-f]{8}|\\[^\n]|.", re.DOTALL)
_LINE_END = "\\n"
_QUOTED = re.compile(r"(?P<prefix>\bb)?(?P<quote>['\"])(?P<body>(?:\\.|(?!(?P=quote))[^\\\n])*)(?P=quote)")


@dataclass(frozen=True, slots=True)
class Marks:
    """The few signs of a report that are not words."""

    passed: str
    failed: str
    waiting: str
    dot: str
    full: str
    empty: str
    margin: str


UNICODE = Marks("✓", "✗", "·", "·", "█", "░", "│")
ASCII = Marks("+", "x", "-", ".", "#", ".", "|")


@dataclass
class Page:
    """Lines of one report. `put` is the only way in: it neutralises and crops whatever it is given."""

    width: int
    marks: Marks
    encoding: str = "utf-8"
    _lines: list[Text] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.width = max(MIN_WIDTH, self.width)

    def put(self, *spans: Span) -> None:
        """One line of (text, style) pieces; what does not fit is cut off with "..."."""
        shown = [(neutral(text, self.encoding), style) for text, style in spans]
        room = self.width
        line = Text()
        if sum(cell_len(text) for text, _ in shown) > room:
            shown = _cropped(shown, room)
        for text, style in shown:
            line.append(text, style or None)
        line.rstrip()
        self._lines.append(line)

    def gap(self) -> None:
        """An empty line, never two in a row, never the first."""
        if self._lines and self._lines[-1].plain:
            self._lines.append(Text())

    def prose(self, text: str, style: str = "", *, indent: int = 0, first: Span | None = None) -> None:
        """A paragraph whose lines begin at column `indent`; `first` stands before the first of them."""
        lead, lead_style = first or ("", "")
        for number, line in enumerate(wrap(neutral(text, self.encoding), self.width - indent)):
            before = lead if number == 0 else ""
            self.put((before.ljust(indent), lead_style), (line, style))

    @property
    def text(self) -> Text:
        """Everything so far, lines joined by newlines, with one at the end."""
        lines = self._lines
        while lines and not lines[-1].plain:
            lines = lines[:-1]
        return Text("\n").join([*lines, Text()])


def _cropped(spans: list[Span], room: int) -> list[Span]:
    kept: list[Span] = []
    for text, style in spans:
        rest = room - sum(cell_len(before) for before, _ in kept)
        kept.append((text if cell_len(text) <= rest else crop(text, rest), style))
    if not kept[-1][0].endswith("...") and room > 3:
        joined = [(text, style) for text, style in kept if text]
        text, style = joined[-1]
        joined[-1] = (crop(text + "....", cell_len(text)), style)
        return joined
    return kept


def crop(text: str, room: int) -> str:
    """'A sentence that is long' in 12 columns -> 'A sentenc...'."""
    if cell_len(text) <= room:
        return text
    if room < 4:
        return set_cell_size(text, max(0, room))
    return set_cell_size(text, room - 3).rstrip() + "..."


def wrap(text: str, room: int) -> list[str]:
    """Lines of whole words, each at most `room` columns; a word that is longer is broken."""
    room = max(1, room)
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if cell_len(longer) <= room:
            line = longer
            continue
        if line:
            lines.append(line)
        *whole, line = _pieces(word, room)
        lines += whole
    return [*lines, line] if line or not lines else lines


def _pieces(word: str, room: int) -> list[str]:
    """A word cut where the line is full; a path after a slash, so that a file keeps its line number."""
    pieces = [""]
    for char in word:
        if cell_len(pieces[-1] + char) > room and pieces[-1]:
            folder, slash, file = pieces[-1].rpartition("/")
            pieces[-1:] = [folder + slash, file] if slash and file else [pieces[-1], ""]
        pieces[-1] += char
    return pieces


@dataclass(frozen=True, slots=True)
class Literal:
    """A text laid out character by character. `caret`: (line, column); `number`: what precedes it."""

    lines: tuple[str, ...]
    caret: tuple[int, int] | None = None
    number: int = 0


def literal(
    text: str, room: int, caret: int | None = None, encoding: str = "utf-8", *, at_line_ends: bool = True
) -> Literal:
    r"""Break after each escaped line end (`\n`) if `at_line_ends`, at real newlines, and where the line is full.

    `text` is escaped already where it shows bytes; an escape is never broken in two. `caret` is an offset into
    `text` and may stand behind its last character. The text itself is kept, character for character.
    """
    found = list(_UNIT.finditer(text))
    units = [unit[0] if unit[0] == "\n" else neutral(unit[0], encoding) for unit in found]
    lines = _fold(units, max(MIN_ROOM, room), at_line_ends)
    shown = tuple("".join(units[number] for number in line if units[number] != "\n") for line in lines)
    if caret is None:
        return Literal(shown)
    number = next((number for number, unit in enumerate(found) if caret < unit.end()), len(found))
    row = next((row for row, line in enumerate(lines) if number in line), len(lines) - 1)
    before = "".join(units[other] for other in lines[row] if other < number and units[other] != "\n")
    return Literal(shown, (row, min(cell_len(before), room - 1)), number)


def _fold(units: list[str], room: int, at_line_ends: bool) -> list[list[int]]:
    """The numbers of the units, line by line. Where a line is full, its last begun word goes to the next."""
    lines: list[list[int]] = [[]]
    used = 0
    for number, unit in enumerate(units):
        last = units[lines[-1][-1]] if lines[-1] else ""
        closes = number == len(units) - 1 and unit in "\"'"
        if last == "\n" or (at_line_ends and last == _LINE_END and not closes):
            lines.append([])
            used = 0
        wide = 0 if unit == "\n" else cell_len(unit)
        if used + wide > room:
            lines.append(_begun_word(units, lines[-1]))
            used = sum(cell_len(units[other]) for other in lines[-1])
        lines[-1].append(number)
        used += wide
    return lines


def whole_literals(text: str) -> str:
    r"""'f(b"a\\nb", 1)' -> 'f(b"a\\n"', a real newline, 'b"b", 1)': on each line a literal that Python takes."""
    return _QUOTED.sub(_at_its_lines, text)


def _at_its_lines(found: re.Match[str]) -> str:
    prefix, quote, body = found["prefix"] or "", found["quote"], found["body"]
    units = [unit[0] for unit in _UNIT.finditer(body)]
    shown = [
        f"{unit}{quote}\n{prefix}{quote}" if unit == _LINE_END and number + 1 < len(units) else unit
        for number, unit in enumerate(units)
    ]
    return f"{prefix}{quote}{''.join(shown)}{quote}"


def _begun_word(units: list[str], line: list[int]) -> list[int]:
    """Take the word begun at the end of a full line off it, unless that would leave the line half empty."""
    for place in range(len(line) - 1, len(line) // 2, -1):
        if units[line[place]] == " ":
            word = line[place + 1 :]
            del line[place + 1 :]
            return word
    return []
