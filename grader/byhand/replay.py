r"""`python -m grader replay`: run one thing again and show every byte that passed.

    replay PATH EXERCISE/STEP/CHECK                       a check, with the seed it failed with
    replay PATH EXERCISE --call 'parse_query("a=1%")'     one call of a function
    replay PATH EXERCISE --send 'operand=1&operand=2'     a query for a CGI program
    replay PATH EXERCISE --send 'GET / HTTP/1.1\r\n...'   bytes for a server, escaped as reports print them

A call or a request needs no seed: it is all there is to it.
"""

from __future__ import annotations

import argparse
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

from rich.text import Text

from grader.byhand.literal import parse_bytes, parse_call
from grader.byhand.program import Program
from grader.byhand.relay import CHUNK
from grader.byhand.wirelog import STYLES, WireLog
from grader.byhand.workplace import KIT, Workplace, workplace
from grader.course import Selection, load_course
from grader.grade import grade
from grader.model import Complaint, Exchange, Scorecard, Settings, UsageError, Verdict
from grader.names import find_check, find_exercise
from grader.report import terminal
from grader.report.finding import Case, put_finding
from grader.report.layout import ASCII, UNICODE, Page
from grader.report.safe import neutral
from grader.sandbox.worker import Raised
from grader.submission import find_submission
from grader.target.cgi import CgiRequest, CgiTarget, post_request
from grader.target.function import Module
from grader.target.transcript import TRANSCRIPT
from grader.target.webroot import build_webroot

EXIT_PASSED, EXIT_FAILED, EXIT_BROKEN = 0, 1, 3
SILENCE_SECONDS = 2.0
LONGEST_SECONDS = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `replay` takes: a folder and a check, or a call or bytes of one's own."""
    parser.add_argument("path", help="the folder that was graded")
    parser.add_argument("name", metavar="EXERCISE/STEP/CHECK", help="the check; only EXERCISE with --call or --send")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--call", metavar="CALL", help="call a function with plain values: 'parse_query(\"a=1%%\")'")
    what.add_argument("--send", metavar="TEXT", help=r"send a query (CGI), or bytes with \r \n \xNN (servers)")
    parser.add_argument(
        "--body", metavar="TEXT", help="with --send to a CGI program: POST this form (escapes as above)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the run that failed (default: 0)")
    parser.add_argument("--effort", default="standard", choices=["quick", "standard", "thorough"])


def run(options: argparse.Namespace) -> int:
    """Run it again; 0 when it passes or answers, 1 when it does not."""
    course = load_course()
    submission = find_submission(Path(options.path), course)
    if options.body is not None and options.send is None:
        raise UsageError("--body goes with --send")
    if options.call is None and options.send is None:
        if options.name.strip("/").count("/") < 1:
            find_exercise(course, options.name)
            raise UsageError(
                f"name the check as reports do, {options.name.strip('/')}/STEP/CHECK, or add --call or --send"
            )
        check = find_check(course, options.name)
        settings = Settings(effort=options.effort, seed=options.seed, jobs=1)
        selection = Selection(find_exercise(course, options.name), (check,))
        return show_check(grade(submission, (selection,), settings))
    exercise = find_exercise(course, options.name)
    with workplace(submission, exercise) as place:
        if options.call is not None:
            return _call(place, options.call)
        if exercise.kind == "cgi":
            return _query(place, options.send, options.body)
        if options.body is not None:
            raise UsageError("--body is for CGI programs; put head and body into --send")
        return _exchange(place, parse_bytes(options.send))


def show_check(card: Scorecard) -> int:
    """The whole transcript of the one check in a scorecard, then its finding."""
    (each,) = card.cards
    (outcome,) = each.outcomes
    show_exchanges(outcome.transcript)
    if outcome.verdict is Verdict.PASSED:
        terminal.show(f"{outcome.check.path} passes: {outcome.check.claim}")
        return EXIT_PASSED
    place = terminal.screen()
    page = Page(place.width, UNICODE if place.unicode else ASCII, place.encoding)
    put_finding(page, outcome, Case(card.submission, card.settings, each, verbose=False, scored=not card.broken))
    terminal.show(page.text)
    return EXIT_BROKEN if outcome.verdict is Verdict.BROKEN else EXIT_FAILED


def show_exchanges(exchanges: tuple[Exchange, ...]) -> None:
    """Every exchange in full: `>` what was sent, `<` what was got, a line of the wire on each line."""
    encoding = terminal.encoding()
    for exchange in exchanges:
        mark = ">" if exchange.way == "sent" else "<"
        lines = [f"{mark} {neutral(line, encoding)}" for line in at_line_ends(exchange.text)]
        terminal.show(Text("\n".join(lines), style=STYLES[mark]))


def at_line_ends(text: str) -> list[str]:
    r"""'"a\r\nb"' -> ['"a\r\n', 'b"']: escaped bytes, broken behind every line feed. Other text is one line."""
    if not text.startswith('"'):
        return [text]
    # A backslash and what follows it belong together: in \\n there is no line feed.
    pieces = re.findall(r"(?:\\[^n]|[^\\])*(?:\\n|$)", text, re.DOTALL)
    return [piece for piece in pieces if piece]


def _call(place: Workplace, text: str) -> int:
    name, args, kwargs = parse_call(text)
    module = Module(place.site(), place.exercise.main)
    try:
        return _answered(place, lambda: module.call(name, *args, **kwargs), lambda: module.output)
    finally:
        module.close()


def _query(place: Workplace, query: str, body: str | None) -> int:
    # The bytes of a query are those of the command line; a gateway would pass them on as they are.
    target = CgiTarget(place.site(), place.exercise.main)
    errors = ""

    def ask() -> None:
        nonlocal errors
        form = None if body is None else parse_bytes(body)
        errors = target.run(CgiRequest(query=query) if form is None else post_request(form, query=query)).stderr

    return _answered(place, ask, lambda: errors)


def _answered(place: Workplace, ask: Callable[[], object], output: Callable[[], str]) -> int:
    """Ask, show what passed, what the program printed, and, where there was no answer, why."""
    TRANSCRIPT.clear()
    log = WireLog()
    code, printed, reason = EXIT_PASSED, "", ""
    try:
        called = ask()
        printed = output()
        if isinstance(called, Raised):
            printed += "".join(f"\nraised at {frame}" for frame in called.frames)
    except Complaint as complaint:
        code, printed, reason = EXIT_FAILED, complaint.finding.output, describe(complaint)
    show_exchanges(TRANSCRIPT.exchanges)
    log.program(place.unmask(printed).strip())
    if reason:
        log.note(reason)
    return code


def describe(complaint: Complaint) -> str:
    """In one sentence, why there was no answer."""
    finding = complaint.finding
    if complaint.verdict is Verdict.NOT_STARTED:
        return f"not written yet: {finding.expected}"
    return f"expected {finding.expected}, got {finding.got}"


def _exchange(place: Workplace, data: bytes) -> int:
    """Send bytes to a server of its own and show what comes back, until it closes or has been silent for a while."""
    log = WireLog(whole=True)
    webroot = build_webroot(KIT / "webroot", place.root / "served")
    program = Program(place, webroot.root, log.program)
    try:
        with program.connect() as connection:
            log.passed(1, ">", data)
            return _answer(connection, data, log)
    except OSError as error:
        log.note(f"no connection: {program.wait(1.0) or error}")
        return EXIT_FAILED
    finally:
        program.end()


def _answer(connection: socket.socket, data: bytes, log: WireLog) -> int:
    deadline = time.monotonic() + LONGEST_SECONDS
    got = 0
    connection.settimeout(SILENCE_SECONDS)
    try:
        connection.sendall(data)
        while time.monotonic() < deadline:
            piece = connection.recv(CHUNK)
            if not piece:
                log.closed(1, "the server has closed the connection")
                return EXIT_PASSED if got else EXIT_FAILED
            got += len(piece)
            log.passed(1, "<", piece)
    except TimeoutError:
        log.closed(1, f"nothing more for {SILENCE_SECONDS:g} s; the connection is still open")
    except OSError as error:
        log.closed(1, f"the server has broken the connection ({error.strerror or error})")
    return EXIT_PASSED if got else EXIT_FAILED
