"""What the report says, and that nothing a submission can say changes how it looks."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from grader.model import Exchange, ExerciseCard, Finding, Outcome, Scorecard, Settings, Verdict
from grader.report.finding import blocker, quoted
from grader.report.layout import crop, literal, whole_literals, wrap
from grader.report.opening import next_open
from grader.report.others import listed
from grader.report.printed import telling_lines
from grader.report.safe import head_and_tail, neutral
from grader.report.text import render
from grader.tests.report.cards import all_cards, exercise, scorecard
from grader.tests.report.golden import FOLDER, reports

CARDS = all_cards()
NASTY = (
    "aZ09 \t\r\n\x00\x07\x08\x0b\x1b\x7f\x85\x9b\xa0\xad\xe9[]/\\'\"|:`\u0301\u200b\u200d\u200e\u202a\u202e\u2028"
    "\u2066\u3000\u4e2d\u2705\ufe0f\ufeff\uff11\ue000\udc80\U0001f1e9\U0001f469\U0001f3fd\U000e0061\U000e0100"
)
TEXTS = st.text(NASTY, max_size=60) | st.text(NASTY, max_size=8).map(lambda part: part * 400) | st.just("")
PLACES = st.none() | st.integers(0, 4000)


def show(name: str, *, width: int = 80, verbose: bool = False, unicode: bool = True) -> str:
    return render(CARDS[name], width=width, verbose=verbose, unicode=unicode).plain


@pytest.mark.parametrize("name", reports())
def test_a_report_is_what_its_golden_file_says(name: str) -> None:
    assert reports()[name] == (FOLDER / name).read_text(encoding="utf-8")


def test_every_golden_file_belongs_to_a_report() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(reports())


@pytest.mark.parametrize("name", CARDS)
def test_the_last_line_is_the_score_and_a_broken_grader_has_none(name: str) -> None:
    last = show(name).splitlines()[-1]
    if CARDS[name].broken:
        assert last.startswith("no score")
        assert not re.search(r"\d+ of \d+(?! check)", show(name))
    else:
        assert last.startswith(f"score {CARDS[name].points} of {CARDS[name].max_points} ")


@pytest.mark.parametrize("name", CARDS)
def test_only_a_broken_grader_mentions_the_staff(name: str) -> None:
    assert ("staff" in show(name)) == bool(CARDS[name].broken)


def test_the_printed_total_is_the_sum_of_the_printed_rows() -> None:
    text = show("mixed")
    rows = [int(found) for found in re.findall(r"^  . [\w-]+ .*?(\d+) of \d+$", text, re.MULTILINE)]
    parts = [int(found) for found in re.findall(r"^\w+ +(\d+) of \d+  ", text, re.MULTILINE)]
    assert sum(rows) == sum(parts) == CARDS["mixed"].points == 92


def test_the_rows_of_a_failure_stand_in_their_order() -> None:
    text = show("one-failure")
    labels = re.findall(r"^  (sent|expected|got|why|look|hint|replay)\b", text, re.MULTILINE)
    assert labels == ["sent", "expected", "got", "why", "look", "hint", "replay"]


def test_the_caret_stands_under_its_byte() -> None:
    lines = show("one-failure").splitlines()
    at = next(number for number, line in enumerate(lines) if line.strip().startswith("^ byte 9"))
    assert lines[at - 1][lines[at].index("^") :].startswith("200 OK")


@pytest.mark.parametrize("caret", [1, 500, 1900, 3899, 3900])
def test_a_long_text_is_cut_around_the_caret(caret: int) -> None:
    body = "".join(f"{number:05d}" for number in range(780))
    finding = Finding(expected="x", got=body, caret=caret)
    card = scorecard(_with({"static/dot-dot": (Verdict.FAILED, finding)}))
    lines = render(card, width=80, verbose=False, unicode=False).plain.splitlines()
    at = next(number for number, line in enumerate(lines) if line.strip() == "^")
    if caret < len(body):
        assert lines[at - 1][lines[at].index("^")] == body[caret]
    rows = [line.removeprefix("  got").strip() for line in lines if re.fullmatch(r"(  got)? +\d+", line)]
    hidden = re.findall(r"\.\.\. (\d+) (?:before this|more), -v shows all", "\n".join(lines))
    assert sum(map(len, rows)) + sum(map(int, hidden)) == len(body)
    assert len(rows) <= 7


def _with(changes: dict[str, tuple[Verdict, Finding | None]]) -> ExerciseCard:
    made = exercise()
    return ExerciseCard(
        made, tuple(Outcome(check, *changes.get(check.id, (Verdict.PASSED, None))) for check in made.checks)
    )


def test_verbose_shows_every_failure_with_all_its_bytes() -> None:
    text = show("one-failure", verbose=True)
    assert "-v shows" not in text
    assert text.count("  expected  status 400, 403 or 404") == 2
    assert text.count("[{},") == 120 + 2
    assert "-> " in text
    assert "hypothesis 6.110.0" in text


def test_brief_feedback_shows_the_request_and_the_rule_and_no_answer() -> None:
    for verbose in (False, True):
        text = show("brief", verbose=verbose)
        assert "GET /../data/initial_books.json" in text
        assert "RFC 3986 section 5.2.4" in text
        assert not re.search(r"expected|got|400, 403|200 OK|\[\{\}", text)


def test_an_untouched_exercise_says_where_to_begin_and_nothing_else() -> None:
    for verbose in (False, True):
        text = show("not-started", verbose=verbose)
        assert "exercises/socket_server/http_server.py:41 resolve()" in text
        assert "exercises/socket_server/README.md" in text
        assert len(text.splitlines()) <= 13
        assert "fail" not in text


@pytest.mark.parametrize(("name", "word"), [("timeout", "timeout"), ("crash", "crashed"), ("one-failure", "failed")])
def test_verdicts_are_told_apart_in_words(name: str, word: str) -> None:
    first = next(line for line in show(name).splitlines() if re.match(r"✗ \w+/", line))
    assert word in first


def test_a_blocked_check_says_what_comes_first() -> None:
    assert "static/missing waits for static/index" in show("timeout")
    assert "2 checks of keep-alive wait for static/index" in show("timeout")


def test_a_chain_of_blocked_checks_names_its_beginning() -> None:
    card = _with(
        {
            "static/index": (Verdict.FAILED, None),
            "static/missing": (Verdict.BLOCKED, None),
            "keep-alive/twice": (Verdict.BLOCKED, None),
        }
    )
    twice = card.outcomes[7]
    chained = replace(twice, check=replace(twice.check, needs=("static/missing",)))
    circular = replace(twice, check=replace(twice.check, needs=(twice.check.id,)))
    assert blocker(chained, card) == "static/index"
    assert blocker(circular, replace(card, outcomes=(circular,))) == "keep-alive/twice"


def test_names_are_listed_as_a_sentence_has_them() -> None:
    for count, shown in enumerate(["", "a", "a and b", "a, b and c", "a, b, c and 1 more"]):
        assert listed(list("abcd"[:count])) == shown


def test_what_concerns_a_whole_exercise_is_said_once() -> None:
    assert show("syntax-error").count("SyntaxError") == 1
    assert "None of the 9 checks" in show("syntax-error")


def test_the_frames_are_the_student_s_own_lines() -> None:
    assert "http_server.py:31 in read_head" in show("crash")
    assert "│ second line" in show("crash")


def test_the_replay_names_the_seed_when_it_is_not_the_usual_one() -> None:
    assert "replay exercises socket_server/static/dot-dot --seed 7" in show("one-failure")
    assert "--seed" not in show("timeout")


def test_a_part_of_an_exercise_is_not_taken_for_the_whole() -> None:
    whole = _with({})
    part = replace(whole, outcomes=whole.outcomes[:3])
    text = render(scorecard(part), width=80, verbose=False, unicode=True).plain
    assert "score 12 of 12 · only a part was graded" in text
    assert "Well built" not in text


def test_the_next_step_is_where_work_has_begun() -> None:
    assert show("mixed").splitlines()[-1].endswith("next: socket_server/static")


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("exercises", "exercises"),
        ("C:\\a\\b", "C:\\a\\b"),
        ("my work/ex", '"my work/ex"'),
        ("$(rm -rf ~)", "'$(rm -rf ~)'"),
        ("a'b", "'a'\"'\"'b'"),
    ],
)
def test_a_path_in_a_command_is_quoted_for_a_shell(path: str, shown: str) -> None:
    assert quoted(path) == shown


@pytest.mark.parametrize("name", CARDS)
@pytest.mark.parametrize("verbose", [False, True])
def test_colour_adds_nothing_to_the_words(name: str, verbose: bool) -> None:
    text = render(CARDS[name], width=80, verbose=verbose, unicode=True)
    file = io.StringIO()
    Console(file=file, force_terminal=True, color_system="standard", width=200, legacy_windows=False).print(
        text, end="", soft_wrap=True
    )
    assert re.sub(r"\x1b\[[0-9;]*m", "", file.getvalue()) == text.plain


def _is_harmless(text: str, width: int) -> None:
    for line in text.removesuffix("\n").split("\n"):
        assert cell_len(line) <= width, line
        assert all(char.isprintable() for char in line), ascii(line)


@pytest.mark.parametrize("width", [24, 33, 40, 57, 80, 100])
@pytest.mark.parametrize("name", CARDS)
def test_no_line_is_wider_than_the_screen(name: str, width: int) -> None:
    for verbose in (False, True):
        _is_harmless(show(name, width=width, verbose=verbose), width)


FINDINGS = st.builds(
    Finding,
    sent=TEXTS,
    expected=TEXTS,
    got=TEXTS,
    caret=PLACES,
    why=TEXTS,
    look=TEXTS,
    frames=st.lists(TEXTS, max_size=3).map(tuple),
    output=TEXTS,
)


@st.composite
def scorecards(draw: st.DrawFn) -> Scorecard:
    made = exercise(title=draw(TEXTS))
    verdicts = st.sampled_from(Verdict)
    exchanges = st.lists(st.builds(Exchange, st.sampled_from(["sent", "got"]), TEXTS), max_size=3).map(tuple)
    outcomes = tuple(
        Outcome(check, draw(verdicts), draw(st.none() | FINDINGS), draw(exchanges)) for check in made.checks[3:6]
    )
    card = ExerciseCard(made, outcomes, draw(TEXTS))
    chosen = Settings(feedback=draw(st.sampled_from(["full", "brief"])), seed=draw(st.integers(0, 3)))
    return Scorecard(draw(TEXTS), chosen, "process", (("python", "3"),), (card,), (draw(TEXTS),))


@settings(max_examples=60, deadline=None, database=None)
@given(scorecards(), st.integers(24, 100), st.booleans())
def test_whatever_a_submission_says_the_report_keeps_its_shape(card: Scorecard, width: int, verbose: bool) -> None:
    _is_harmless(render(card, width=width, verbose=verbose, unicode=True).plain, width)
    plain = render(card, width=width, verbose=verbose, unicode=False, encoding="ascii").plain
    _is_harmless(plain, width)
    assert plain.isascii()
    wide = render(card, width=100, verbose=verbose, unicode=True).plain
    assert wide.splitlines()[-1].startswith("no score" if card.broken else f"score {card.points} of {card.max_points} ")


@settings(max_examples=200, deadline=None, database=None)
@given(TEXTS, st.integers(12, 60), st.integers(0, 80))
def test_a_literal_fits_and_is_the_same_text_at_any_width(text: str, room: int, caret: int) -> None:
    laid, unbroken = literal(text, room, caret), literal(text, 100_000, caret)
    assert all(cell_len(line) <= room for line in laid.lines)
    assert "".join(laid.lines) == "".join(unbroken.lines)
    assert laid.number == unbroken.number
    assert laid.caret is not None
    assert laid.caret[0] < len(laid.lines)
    assert laid.caret[1] < room


@settings(max_examples=200, deadline=None, database=None)
@given(st.text('ab \\"n\nx4\u4e2d', max_size=80), st.integers(12, 60))
def test_a_literal_keeps_every_visible_character(text: str, room: int) -> None:
    assert "".join(literal(text, room).lines) == text.replace("\n", "")


def test_a_long_exchange_shows_the_last_pieces_whole_and_counts_the_rest() -> None:
    text = show("chatty", verbose=True)
    assert "... 8 earlier ones left out" in text
    assert "... 12 more lines" in text
    assert text.count("last line of a reply") == 1
    assert "... 12 more above" in text


def test_a_step_that_is_half_written_says_what_is_left() -> None:
    assert "not started  static/index: resolve()\n" in show("half-written")
    assert "keep-alive:" not in show("half-written")


def test_a_missing_file_is_named() -> None:
    assert "no such file" in show("missing-file")


def test_a_check_that_waits_for_an_unselected_one_names_it() -> None:
    text = show("blocked-alone")
    assert "static/index" in text
    assert "replay" not in text


def test_lines_of_the_protocol_begin_on_lines_of_their_own() -> None:
    assert literal(r'"GET / HTTP/1.1\r\nHost: a\r\n\r\n"', 60).lines == (
        r'"GET / HTTP/1.1\r\n',
        r"Host: a\r\n",
        r'\r\n"',
    )


def test_an_escape_is_never_broken_in_two() -> None:
    assert literal("a" * 11 + r"\x1b" + "b", 12).lines == ("a" * 11, r"\x1bb")


def test_words_are_wrapped_and_long_ones_broken() -> None:
    assert wrap("one two three", 7) == ["one two", "three"]
    assert wrap("a" * 7, 3) == ["aaa", "aaa", "a"]
    assert wrap("a/folder/of/main.py:330 read()", 16) == ["a/folder/of/", "main.py:330", "read()"]
    assert wrap("", 10) == [""]


def test_a_text_is_cropped_to_columns_not_characters() -> None:
    assert crop("A sentence that is long", 12) == "A sentenc..."
    assert crop("\u4e2d" * 9, 9) == "\u4e2d" * 3 + "..."
    assert crop("abcdef", 2) == "ab"


def test_marks_that_stack_on_a_letter_are_limited() -> None:
    assert neutral("e" + "\u0301" * 4) == "e\u0301\u0301\\u0301\\u0301"


def test_what_an_encoding_lacks_is_shown_escaped() -> None:
    assert neutral("é\u4e2d", "cp1252") == "é\\u4e2d"
    assert neutral("é", "no such encoding") == "\\xe9"


def test_head_and_tail_say_how_much_is_missing() -> None:
    assert head_and_tail("a\nb\n", 4, 100) == ["a", "b"]
    assert head_and_tail("\n".join("abcdefgh"), 4, 100) == ["a", "b", "... 11 characters left out ...", "g", "h"]
    assert head_and_tail("x" * 50 + "y" * 50, 4, 10) == ["x" * 5, "... 90 characters left out ...", "y" * 5]


def test_the_step_that_is_worked_on_has_its_lines_and_every_other_one_line() -> None:
    text = show("many-open")
    assert "✗ static: 1 failed, 2 timeout, 1 waits for static/index\n" in text
    assert "· not run      2 checks of keep-alive wait for static/index\n" in text
    assert "static/type" not in text
    assert "static/type" in show("many-open", verbose=True)


def test_steps_that_wait_for_the_same_check_share_a_line() -> None:
    blocked = dict.fromkeys(
        ("static/dot-dot", "static/missing", "keep-alive/twice", "keep-alive/close"), (Verdict.BLOCKED, None)
    )
    made = _with({"static/index": (Verdict.FAILED, None), "head/fuzz": (Verdict.FAILED, None), **blocked})
    needy = tuple(
        replace(each, check=replace(each.check, needs=("head/fuzz",))) if each.verdict is Verdict.BLOCKED else each
        for each in made.outcomes
        if each.check.id != "static/index"
    )
    text = render(scorecard(replace(made, outcomes=needy)), width=80, verbose=False, unicode=True).plain
    assert "· not run      4 checks of static and keep-alive wait for head/fuzz\n" in text


def test_a_rule_without_a_reason_that_stands_in_the_readme_has_no_line() -> None:
    assert not re.search("^  why", show("timeout"), re.MULTILINE)
    assert re.search(r"^  why +index.html stands for its folder \(README\)$", show("printed"), re.MULTILINE)


def test_of_what_was_printed_the_last_traceback_is_shown() -> None:
    text = show("printed")
    assert "NameError: name 'boom' is not defined" in text
    assert "│ ... 20 lines before this" in text
    assert "│ ... 20 more lines" in text
    assert "asked 19" not in text


def test_without_a_traceback_the_end_is_shown() -> None:
    assert telling_lines("\n".join("abcdef"), 3, 100) == ["... 3 lines before this", "d", "e", "f"]
    assert telling_lines("a\nb", 3, 100) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"f(b'a\r\nb\n', 1)", "f(b'a\\r\\n'\nb'b\\n', 1)"),
        (r"""f("it's\nso")""", 'f("it\'s\\n"\n"so")'),
        (r"f('a\\nb')", r"f('a\\nb')"),
        ("it isn't a literal", "it isn't a literal"),
    ],
)
def test_a_literal_is_broken_into_whole_literals(text: str, shown: str) -> None:
    assert whole_literals(text) == shown


def test_a_value_stands_in_one_line_while_it_fits() -> None:
    finding = Finding(sent=r"parse(b'0 /0 HTTP/1.1\n')", expected="year=1\\n3", got="x")
    card = scorecard(_with({"static/dot-dot": (Verdict.FAILED, finding)}))
    assert r"  sent      parse(b'0 /0 HTTP/1.1\n')" + "\n" in render(card, width=80, verbose=False, unicode=True).plain


def test_nothing_is_cut_where_the_note_would_take_as_much_room() -> None:
    finding = Finding(expected="x", got="\n".join("abcdefgh"))
    card = scorecard(_with({"static/dot-dot": (Verdict.FAILED, finding)}))
    text = render(card, width=80, verbose=False, unicode=True).plain
    assert "-v shows all" not in text


def test_in_a_design_of_its_own_the_wire_comes_first() -> None:
    assert _first_told(_own_design()) == "static/index"


def test_what_only_waits_for_a_later_step_does_not_hide_what_failed_there() -> None:
    ids = [check.id for check in exercise().checks]
    todo = Finding(expected="listing_page() is yours to write")
    card = _with({ids[1]: (Verdict.NOT_STARTED, todo), ids[-1]: (Verdict.FAILED, Finding(expected="status 200"))})
    assert exercise().checks[0].step == exercise().checks[1].step
    assert _first_told(card) == ids[-1]
    assert _first_told(_with({ids[1]: (Verdict.NOT_STARTED, todo)})) == ids[1]


def test_after_a_file_that_does_not_load_the_first_step_is_the_next() -> None:
    unloaded = Finding(expected="a file that loads", got="NameError", unloaded=True)
    card = _with({check.id: (Verdict.CRASHED, unloaded) for check in exercise().checks})
    outcomes = [
        replace(each, check=replace(each.check, fixtures=("module",))) if each.check.step == "head" else each
        for each in card.outcomes
    ]
    assert _first_told(replace(card, outcomes=tuple(outcomes))) == "head/request-line"


def _first_told(card: ExerciseCard) -> str:
    outcome = next_open(card)
    return outcome.check.id if outcome else ""


def test_a_function_that_is_not_there_is_shown_whole_once_at_most() -> None:
    shown = render(scorecard(_own_design()), width=80, verbose=True, unicode=True).plain
    assert "static/index   0 of 8" in shown
    assert "a function named" not in shown


def _own_design() -> ExerciseCard:
    without = Finding(expected="a function named parts", got="no function named parts", absent="parts")
    card = _with(
        {
            "head/request-line": (Verdict.FAILED, without),
            "head/header-case": (Verdict.FAILED, without),
            "static/index": (Verdict.FAILED, Finding(expected="status 200", got="status 500")),
        }
    )
    outcomes = [
        replace(each, check=replace(each.check, fixtures=("module",))) if each.check.step == "head" else each
        for each in card.outcomes
    ]
    return replace(card, outcomes=tuple(outcomes))
