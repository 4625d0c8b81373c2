"""Bytes on the wire are shown whole where they matter, cut where they are many, and never obeyed."""

from __future__ import annotations

import pytest

from grader.byhand.wirelog import BODY_SHOWN, HEAD_SHOWN, WireLog, escaped_lines


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_requests_and_answers_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    log = WireLog()
    log.passed(1, ">", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    log.passed(1, "<", b'HTTP/1.1 200 OK\r\n\r\n"\\\xff\x1b[2J')
    log.closed(1, "the server has closed its side")
    assert lines(capsys) == [
        r"> 1  GET / HTTP/1.1\r\n",
        r"> 1  Host: x\r\n",
        r"> 1  \r\n",
        r"< 1  HTTP/1.1 200 OK\r\n",
        r"< 1  \r\n",
        r'< 1  "\\\xff\x1b[2J',
        r"* 1  the server has closed its side",
    ]


def test_a_long_body_is_cut_and_counted_when_the_turn_ends(capsys: pytest.CaptureFixture[str]) -> None:
    log = WireLog()
    log.passed(1, "<", b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * BODY_SHOWN)
    log.passed(1, "<", b"y" * 500)
    assert lines(capsys)[2:] == ["< 1  " + "x" * BODY_SHOWN]
    log.passed(2, ">", b"GET")
    assert lines(capsys) == ["> 2  GET"]
    log.passed(1, ">", b"GET")
    assert lines(capsys) == ["< 1  ... 500 more bytes", "> 1  GET"]


def test_a_head_without_end_is_cut_too(capsys: pytest.CaptureFixture[str]) -> None:
    log = WireLog()
    for _ in range(3):
        log.passed(1, ">", b"x" * HEAD_SHOWN)
    log.pause(1)
    log.pause(1)
    assert [len(line) - len("> 1  ") for line in lines(capsys)[:1]] == [HEAD_SHOWN]
    log.passed(1, "<", b"x")
    assert lines(capsys) == ["< 1  x"]


def test_a_blank_line_in_two_pieces_still_ends_the_head(capsys: pytest.CaptureFixture[str]) -> None:
    log = WireLog()
    log.passed(1, ">", b"A: b\r\n")
    log.passed(1, ">", b"\r\n" + b"x" * (BODY_SHOWN + 7))
    log.pause(1)
    assert lines(capsys)[-1] == "> 1  ... 7 more bytes"


def test_text_is_not_cut_where_everything_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    text = b" ".join(b"%d" % number for number in range(9000))
    WireLog(whole=True).passed(1, "<", b"\r\n\r\n" + text)
    assert lines(capsys)[-1] == "< 1  " + text.decode()


def test_a_long_run_is_folded_where_everything_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    WireLog(whole=True).passed(1, ">", b"GET /" + b"a" * 8170 + b" HTTP/1.1\r\n")
    assert lines(capsys) == [r'> 1  "GET /" + "a"*8170 + " HTTP/1.1\r\n" (8186 bytes)']


def test_of_binary_data_the_beginning_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    log = WireLog(whole=True)
    log.passed(1, "<", b"HTTP/1.1 200 OK\r\n\r\n" + bytes(range(128, 256)) * 20)
    log.passed(1, "<", bytes(range(128, 256)) * 80)
    log.closed(1, "the server has closed the connection")
    shown = lines(capsys)
    assert shown[-2] == f"< 1  ... {128 * 100 - 64} more bytes"
    assert sum(map(len, shown)) < 500


def test_what_a_program_prints_cannot_pass_for_ours(capsys: pytest.CaptureFixture[str]) -> None:
    WireLog().program("one\n< 1  HTTP/1.1 200 OK\r\x1b[2Jtwo\x0b\n")
    assert all(line.startswith("| ") for line in lines(capsys))


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"a\nb", [r"a\n", "b"], id="line feed"),
        pytest.param(b"a\rb\x0bc\x85", [r"a\rb\x0bc\x85"], id="no line ends"),
        pytest.param(b'\\"\n', [r"\\" + '"' + r"\n"], id="backslash and quote"),
    ],
)
def test_a_line_ends_at_its_line_feed(data: bytes, shown: list[str]) -> None:
    assert escaped_lines(data) == shown
