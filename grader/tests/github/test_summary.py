"""The job summary, read by a Markdown parser: our headings and tables, and a submission's text in code blocks only."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from grader.model import Scorecard, Verdict
from grader.report.github import MAX_SUMMARY, summary
from grader.report.markdown import code, plain, table
from grader.tests.github import runner
from grader.tests.github.hostile import PIECES, cards, texts, unhurried
from grader.tests.report.cards import DOT_DOT, HOSTILE, all_cards, graded, scorecard

CARDS = all_cards()
OWN_BLOCKS = ("heading", "paragraph", "table", "thead", "tbody", "tr", "th", "td")
FORGED = re.compile(r"forged|octocat|example\.org|onerror|tada")


def parse(markdown: str) -> list[Token]:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown)


def flat(tokens: list[Token]) -> list[Token]:
    return [each for token in tokens for each in (token, *(token.children or []))]


def texts_of(tokens: list[Token], kind: str) -> list[str]:
    inside = [tokens[number + 1] for number, token in enumerate(tokens) if token.type == f"{kind}_open"]
    return ["".join(each.content for each in token.children or []) for token in inside]


def test_a_mixed_run_reads_well() -> None:
    tokens = parse(summary(CARDS["mixed"]))
    assert texts_of(tokens, "heading") == [
        "Score: 92 of 150",
        "A calculator behind CGI: 50 of 50",
        "A web server: 42 of 50",
        "A catalog of books on WSGI: 0 of 50",
    ]
    cells = texts_of(tokens, "td")
    assert cells[:4] == ["head", "Read a request head", "12 of 12", "all 3 passed"]
    assert cells[16:20] == ["static", "Serve a file from webroot", "12 of 20", "2 of 4 passed"]
    assert cells[27] == "not started"
    first, second = (token.content for token in tokens if token.type == "fence")
    labels = [line[2:12].strip() for line in first.splitlines()[2:] if line[2:12].strip()]
    assert labels == ["sent", "expected", "got", "why", "look", "hint", "replay"]
    assert "python -m grader replay exercises socket_server/static/dot-dot" in first
    assert "not started" in second


def test_only_one_failure_of_an_exercise_is_shown_in_full() -> None:
    tokens = parse(summary(CARDS["crash"]))
    (shown,) = [token.content for token in tokens if token.type == "fence"]
    assert "head/request-line" in shown and "head/fuzz" not in shown


def test_one_cause_is_said_once() -> None:
    tokens = parse(summary(CARDS["syntax-error"]))
    (shown,) = [token.content for token in tokens if token.type == "fence"]
    assert "None of the 9 checks can be run before this is fixed." in shown
    assert "Next" not in summary(CARDS["syntax-error"])


def test_full_marks_show_no_code() -> None:
    tokens = parse(summary(CARDS["all-pass"]))
    assert not [token for token in tokens if token.type == "fence"]
    assert texts_of(tokens, "heading")[0] == "Score: 50 of 50"


def test_a_broken_grader_gives_no_score() -> None:
    shown = summary(CARDS["broken"])
    assert not re.search(r"[0-9]+ of [0-9]+", shown)
    assert "KeyError: 'status'" in shown


def test_a_grader_broken_everywhere_stays_short() -> None:
    card = replace(HOSTILE, got="\n```\n::error::" * 9000)
    broken = [graded(dict.fromkeys(("static/index", "static/type", "head/fuzz"), (Verdict.BROKEN, card)), "x")] * 9
    shown = summary(scorecard(*broken))
    assert len(shown) < 20_000
    assert "and 7 more" in shown
    assert_only_ours(shown)


def test_a_part_says_that_it_is_one() -> None:
    whole = CARDS["all-pass"]
    card = whole.cards[0]
    shown = summary(replace(whole, cards=(replace(card, outcomes=card.outcomes[:3]),)))
    assert "only a part was graded" in shown
    assert "Serve a file" not in shown


def test_the_summary_stays_within_githubs_limit() -> None:
    many = [graded({"static/index": (Verdict.FAILED, HOSTILE)}, f"exercise{number}") for number in range(2000)]
    shown = summary(scorecard(*many))
    assert 500_000 < len(shown.encode()) < MAX_SUMMARY + 1000 < runner.MAX_SUMMARY
    assert "more exercises are not shown here" in shown
    assert_only_ours(shown)


def assert_only_ours(markdown: str) -> None:
    """No link, image, HTML, mention or heading but ours; hostile words only in code blocks; no hidden character."""
    assert all(char.isprintable() for char in markdown.replace("\n", ""))
    markdown.encode("utf-8")
    tokens = flat(parse(markdown))
    assert not [token for token in tokens if token.type in ("link_open", "image", "html_block", "html_inline", "hr")]
    for token in tokens:
        if token.type.endswith(("_open", "_close")) and token.type.rpartition("_")[0] not in ("strong", *OWN_BLOCKS):
            pytest.fail(f"a block that is not ours: {token.type}")
        if token.type == "fence":
            assert token.info == "text"
        elif token.type not in ("inline",):
            assert not FORGED.search(token.content), token


@unhurried
@given(cards())
def test_hostile_text_stays_in_its_code_block(card: Scorecard) -> None:
    shown = summary(card)
    assert len(shown.encode()) < runner.MAX_SUMMARY
    assert_only_ours(shown)
    headings = texts_of(parse(shown), "heading")
    assert headings[0] == f"Score: {card.points} of {card.max_points}"
    assert len(headings) == 1 + len(card.cards)


@unhurried
@given(cards(verdicts=st.just(Verdict.BROKEN)))
def test_hostile_text_in_a_broken_run_stays_in_its_code_block(card: Scorecard) -> None:
    assert_only_ours(summary(card))


@unhurried
@given(texts)
def test_no_text_closes_its_code_block(text: str) -> None:
    tokens = parse(f"before\n\n{code(text)}\n\nafter")
    kinds = [token.type for token in tokens]
    assert kinds == ["paragraph_open", "inline", "paragraph_close", "fence", *kinds[:3]]


@pytest.mark.parametrize("piece", [piece for piece in PIECES if piece.isprintable()])
def test_plain_words_are_shown_as_they_are(piece: str) -> None:
    tokens = parse(table(["a", "points"], [[plain(piece), plain("x")]]))
    inline = [token for token in tokens if token.type == "inline"][2]
    assert "".join(child.content for child in inline.children or []) == piece.strip()
    assert {child.type for child in inline.children or []} <= {"text", "text_special"}


def test_what_would_hide_in_a_code_block_is_shown() -> None:
    assert code("a\x1b[2J\r\u202eb\n``` c\n") == "````text\na\\x1b[2J\\r\\u202eb\n``` c\n````"


def test_points_stand_at_the_right_edge() -> None:
    assert table(["step", "points"], [["a", "3 of 4"]]) == "| step | points |\n| --- | ---: |\n| a | 3 of 4 |"


def test_the_finding_of_a_summary_is_the_one_of_the_terminal() -> None:
    shown = summary(scorecard(graded({"static/dot-dot": (Verdict.FAILED, DOT_DOT)})))
    assert "  expected  status 400, 403 or 404\n" in shown
    assert "                      ^ byte 9\n" in shown
