"""One check that did not pass, in full: sent, expected, got, why, look, hint, replay; always in this order.

What came from the submission is cut here, before anything else is done with it.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from rich.cells import cell_len

from grader.model import Exchange, ExerciseCard, Finding, Outcome, Settings, Verdict
from grader.report.layout import Literal, Page, literal, whole_literals
from grader.report.printed import telling_lines
from grader.report.safe import neutral

INDENT = 2
LABEL = 10
NARROW = 56
SHORT_LINES = 7
SHORT_TEXT = 4_000
LONG_TEXT = 40_000
SHOWN_EXCHANGES = 12
EXCHANGE_LINES = 8
OUTPUT_LINES = (12, 40)
MAX_OUTPUT = 4_096
SHOWN_FRAMES = 8

WORDS = {
    Verdict.PASSED: "passed",
    Verdict.FAILED: "failed",
    Verdict.TIMEOUT: "timeout: no answer in time",
    Verdict.CRASHED: "crashed: the program ended, or could not start",
    Verdict.NOT_STARTED: "not started",
    Verdict.BLOCKED: "not run: another check comes first",
    Verdict.BROKEN: "broken: the grader's own fault",
}
# A check that waits for another costs nothing that was there before: it only has not been tried.
NAMES = {verdict: verdict.value for verdict in Verdict} | {Verdict.BLOCKED: "not run"}
STYLES = {
    Verdict.PASSED: "green",
    Verdict.FAILED: "red",
    Verdict.TIMEOUT: "yellow",
    Verdict.CRASHED: "magenta",
    Verdict.NOT_STARTED: "dim",
    Verdict.BLOCKED: "dim",
    Verdict.BROKEN: "bold red",
}


@dataclass(frozen=True, slots=True)
class Case:
    """What the lines about one outcome depend on."""

    submission: str
    settings: Settings
    card: ExerciseCard
    verbose: bool
    scored: bool

    @property
    def brief(self) -> bool:
        """Whether expected values, and whatever may contain them, stay hidden."""
        return self.settings.feedback == "brief"


def put_finding(page: Page, outcome: Outcome, case: Case) -> None:
    """The header of one open check, its claim, and the rows that its verdict calls for."""
    check, verdict = outcome.check, outcome.verdict
    sign = page.marks.waiting if verdict in (Verdict.NOT_STARTED, Verdict.BLOCKED) else page.marks.failed
    worth = f"   {outcome.points} of {check.points}" if case.scored else ""
    page.put(
        (f"{sign} ", STYLES[verdict]), (check.id, "bold"), (worth, ""), (f"   {_word(page, verdict)}", STYLES[verdict])
    )
    page.prose(check.claim, "bold", indent=INDENT)
    finding = outcome.finding or Finding()
    if verdict is Verdict.BLOCKED:
        _row(page, "first", [(blocker(outcome, case.card), "")])
    elif verdict is Verdict.NOT_STARTED:
        if finding.expected != check.claim:
            _row(page, "to do", _cut(page, finding.expected, None, case))
    elif verdict is Verdict.BROKEN:
        _row(page, "fault", _cut(page, finding.got or "no word about it", None, case))
        put_output(page, "trace", finding.output, case)
        return
    else:
        _put_evidence(page, finding, case)
    _put_ways_on(page, outcome, finding, case)
    if case.verbose and not case.brief:
        _put_transcript(page, outcome.transcript, finding, case)


def _word(page: Page, verdict: Verdict) -> str:
    return NAMES[verdict] if page.width < NARROW else WORDS[verdict]


def put_common_finding(page: Page, outcome: Outcome, case: Case) -> None:
    """What keeps a whole exercise from being graded: a file that does not parse, a forbidden import."""
    finding = outcome.finding or Finding()
    number = len(case.card.outcomes)
    page.put((f"{page.marks.failed} {_word(page, outcome.verdict)}", STYLES[outcome.verdict]))
    page.prose(f"None of the {number} checks can be run before this is fixed.", "bold", indent=INDENT)
    _put_evidence(page, finding, case)
    if finding.why:
        _row_of_words(page, "why", finding.why)
    if finding.look:
        _row_of_words(page, "look", finding.look)


def _put_evidence(page: Page, finding: Finding, case: Case) -> None:
    if finding.sent:
        _row(page, "sent", _cut(page, finding.sent, None, case))
    if case.brief:
        return
    if finding.expected:
        _row(page, "expected", _cut(page, finding.expected, None, case))
    if finding.got:
        _row(page, "got", _cut(page, finding.got, finding.caret, case))
    frames = finding.frames
    if frames:
        hidden = len(frames) - SHOWN_FRAMES
        shown = [(frame[:300], "") for frame in frames[-SHOWN_FRAMES:]]
        _row(page, "raised at", [(f"... {hidden} more above", "dim"), *shown] if hidden > 0 else shown)
    put_output(page, "printed", finding.output, case)


def _put_ways_on(page: Page, outcome: Outcome, finding: Finding, case: Case) -> None:
    check = outcome.check
    waiting = outcome.verdict is Verdict.BLOCKED
    if rule := _rule(finding.why, outcome):
        _row_of_words(page, "why", rule)
    if finding.look and not waiting:
        _row_of_words(page, "look", finding.look)
    if case.card.exercise.step_of(check).hints and not waiting:
        put_command(page, "hint", f"python -m grader hint {check.exercise}/{check.step}")
    if outcome.verdict in (Verdict.FAILED, Verdict.TIMEOUT, Verdict.CRASHED):
        seed = f" --seed {case.settings.seed}" if case.settings.seed else ""
        chosen = case.settings.effort
        effort = f" --effort {chosen}" if chosen != "standard" else ""
        put_command(page, "replay", f"python -m grader replay {quoted(case.submission)} {check.path}{seed}{effort}")


def _rule(why: str, outcome: Outcome) -> str:
    """The reason without the claim, which stands above it already; "" where that leaves nothing but the README."""
    claim = outcome.check.claim.rstrip(".")
    short = why[len(claim) :].strip(" .()") if why.startswith(claim) else why
    return "" if short == "README" else short or why


def blocker(outcome: Outcome, card: ExerciseCard) -> str:
    """The id of the check to mend first: followed from check to check, as long as these are blocked themselves."""
    open_ones = {other.check.id: other for other in card.outcomes if other.verdict is not Verdict.PASSED}
    at = outcome
    for _ in card.outcomes:
        need = next((need for need in at.check.needs if need in open_ones), None)
        if need is None:
            break
        at = open_ones[need]
        if at.verdict is not Verdict.BLOCKED:
            return at.check.id
    # What it waits for was run but not asked for, so it is not on the card.
    return at.finding.expected.removesuffix(" passes first") if at.finding else at.check.id


def put_output(page: Page, label: str, output: str, case: Case) -> None:
    """What the program printed: each line behind a margin, so that it can never be taken for the grader's words."""
    most = OUTPUT_LINES[case.verbose]
    lines = telling_lines(output.strip("\r\n"), most, min(MAX_OUTPUT, most * _room(page)))
    if not any(line.strip() for line in lines):
        return
    rows: list[tuple[str, str]] = []
    for line in lines:
        pieces = literal(line.expandtabs(4), _room(page) - 2, None, page.encoding).lines
        rows += [(f"{page.marks.margin} {piece}", "dim") for piece in pieces]
    _row(page, label, rows)


def put_command(page: Page, label: str, command: str) -> None:
    """A command to type: in its row, or, where it is too long for that, in a line of its own."""
    command = neutral(command, page.encoding)
    if cell_len(command) <= _room(page):
        _row(page, label, [(command, "cyan")])
        return
    page.put((" " * INDENT, ""), (label, "dim"))
    for line in literal(command, page.width - 2 * INDENT, None, page.encoding).lines:
        page.put((" " * 2 * INDENT, ""), (line, "cyan"))


def quoted(path: str) -> str:
    """The path as a shell takes it: bare, in double quotes (every shell knows them), else as sh wants it."""
    if re.fullmatch(r"[\w./:\\~+-]+", path):
        return path
    return f'"{path}"' if re.fullmatch(r"[\w./:~+ ()-]+", path) else shlex.quote(path)


def _room(page: Page) -> int:
    return page.width - (2 * INDENT if page.width < NARROW else INDENT + LABEL)


def _row(page: Page, label: str, lines: list[tuple[str, str]]) -> None:
    """A label and its lines beside it; on a narrow screen below it."""
    if page.width < NARROW:
        page.put((" " * INDENT, ""), (label, "dim"))
        for line in lines:
            page.put((" " * 2 * INDENT, ""), line)
        return
    for number, line in enumerate(lines):
        page.put((" " * INDENT + (label if number == 0 else "").ljust(LABEL), "dim"), line)


def _row_of_words(page: Page, label: str, text: str) -> None:
    if page.width < NARROW:
        page.put((" " * INDENT, ""), (label, "dim"))
        page.prose(text[:SHORT_TEXT], indent=2 * INDENT)
    else:
        page.prose(text[:SHORT_TEXT], indent=INDENT + LABEL, first=(" " * INDENT + label, "dim"))


def _cut(page: Page, text: str, caret: int | None, case: Case) -> list[tuple[str, str]]:
    """The lines of a literal text; the part around the caret where there are too many, and how many are missing."""
    # Bytes of the wire stand in plain quotes; values of Python, and words, do not.
    wire = text.startswith('"')
    begin, part = _around(text, caret, LONG_TEXT if case.verbose else SHORT_TEXT)
    place = None if caret is None else max(0, min(caret, len(text)) - begin)
    laid = _laid_out(page, part, place, wire)
    rest = len(text) - begin - len(part)
    first, last = (0, len(laid.lines)) if case.verbose else _window(laid, cut_before=begin > 0, cut_after=rest > 0)
    shown = [(line, "") for line in laid.lines[first:last]]
    if laid.caret is not None:
        # Only in bytes that are shown whole is the place a number that a person can use: data[9].
        countable = begin == 0 and wire and '" + "' not in text
        shown.insert(laid.caret[0] + 1 - first, (_pointer(laid, laid.caret[1], _room(page), countable), "bold red"))
    more = "" if case.verbose else ", -v shows all"
    if before := begin + sum(map(len, laid.lines[:first])):
        shown.insert(0, (f"... {before} before this{more}", "dim"))
    if after := rest + sum(map(len, laid.lines[last:])):
        shown.append((f"... {after} more{more}", "dim"))
    return shown


def _around(text: str, caret: int | None, most: int) -> tuple[int, str]:
    """At most so many characters with the caret in their middle, and the offset at which they begin."""
    begin = max(0, min(caret or 0, len(text)) - most // 2)
    return begin, text[begin : begin + most]


def _laid_out(page: Page, part: str, place: int | None, wire: bool) -> Literal:
    """Bytes of the wire are shown line by line; a value of Python stands in one line, or is cut into whole literals."""
    laid = literal(part, _room(page), place, page.encoding, at_line_ends=wire)
    if wire or place is not None or len(laid.lines) == 1:
        return laid
    return literal(whole_literals(part), _room(page), None, page.encoding, at_line_ends=False)


def _window(laid: Literal, *, cut_before: bool, cut_after: bool) -> tuple[int, int]:
    """The first line to show and the one behind the last: few, and the caret's among them.

    `cut_before` and `cut_after` say that text is missing on that side already, so that a note stands there anyway.
    """
    number = len(laid.lines)
    if number <= SHORT_LINES:
        return 0, number
    row = laid.caret[0] if laid.caret else 0
    first = max(0, min(row - SHORT_LINES // 2, number - SHORT_LINES))
    last = first + SHORT_LINES
    # A line takes no more room than the note that it is missing.
    if first == 1 and not cut_before:
        first = 0
    if last == number - 1 and not cut_after:
        last = number
    return first, last


def _pointer(laid: Literal, column: int, room: int, countable: bool) -> str:
    """What stands below the caret's column, "^ byte 9"; the number comes first where it has no room behind."""
    number = f"byte {laid.number - 1}" if countable else ""
    pointer = f"^ {number}" if column + 2 + len(number) <= room else f"{number} ^"
    return " " * (column if pointer.startswith("^") else column + 1 - len(pointer)) + pointer


def _put_transcript(page: Page, transcript: tuple[Exchange, ...], finding: Finding, case: Case) -> None:
    """Every exchange but the ones that the rows above have shown already."""
    if [exchange.text for exchange in transcript] in ([finding.sent], [finding.sent, finding.got]):
        return
    rows: list[tuple[str, str]] = []
    if len(transcript) > SHOWN_EXCHANGES:
        rows.append((f"... {len(transcript) - SHOWN_EXCHANGES} earlier ones left out", "dim"))
    last = len(transcript) - 2  # the exchange that failed is shown whole
    for place, exchange in list(enumerate(transcript))[-SHOWN_EXCHANGES:]:
        lines = literal(exchange.text[:LONG_TEXT], _room(page) - 3, None, page.encoding).lines
        if place < last and len(lines) > EXCHANGE_LINES:
            lines = (*lines[:EXCHANGE_LINES], f"... {len(lines) - EXCHANGE_LINES} more lines")
        sign = "-> " if exchange.way == "sent" else "<- "
        rows += [((sign if number == 0 else "   ") + line, "dim") for number, line in enumerate(lines)]
    if rows:
        _row(page, "bytes", rows)
