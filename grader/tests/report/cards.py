"""Made-up scorecards, one for each thing that a report has to tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from grader.model import Check, Exchange, Exercise, ExerciseCard, Finding, Outcome, Scorecard, Settings, Step, Verdict

VERSIONS = (("python", "3.11.9"), ("os", "Linux x86_64"), ("pytest", "8.3.0"), ("hypothesis", "6.110.0"))

STEPS = (
    ("head", "Read a request head", (("request-line", 4), ("header-case", 2), ("fuzz", 6))),
    ("static", "Serve a file from webroot", (("index", 8), ("dot-dot", 4), ("missing", 4), ("type", 4))),
    ("keep-alive", "Several requests on one connection", (("twice", 10), ("close", 8))),
)
CLAIMS = {
    "head/request-line": "The three parts of a request line come back.",
    "head/header-case": "Header names are found in any case.",
    "head/fuzz": "Any head that is built from parts gives these parts back, however long it is.",
    "static/index": "The target / is answered with index.html.",
    "static/dot-dot": "A target with .. never reaches a file outside webroot.",
    "static/missing": "A file that is not there is answered with 404.",
    "static/type": "The type of a file follows from its suffix.",
    "keep-alive/twice": "A second request on the same connection is answered.",
    "keep-alive/close": "After Connection: close the server closes the connection.",
}
NEEDS = {
    "static/missing": ("static/index",),
    "keep-alive/twice": ("static/index",),
    "keep-alive/close": ("static/index",),
}

DOT_DOT = Finding(
    sent=r'"GET /../data/initial_books.json HTTP/1.1\r\nHost: localhost\r\n\r\n"',
    expected="status 400, 403 or 404",
    got=r'"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 310\r\n\r\n' + "[{}, " * 60 + '{}]"',
    caret=10,
    why="dot segments are removed before the lookup (RFC 3986 section 5.2.4)",
    look="exercises/socket_server/http_server.py:41 resolve()",
)
TIMEOUT = Finding(
    sent=r'"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"',
    expected="an answer",
    got="no answer within 4 s",
    why="The target / is answered with index.html (README)",
    look="exercises/socket_server/http_server.py:66 answer()",
)
CRASH = Finding(
    sent="read_head(b'GET / HTTP/1.1')",
    expected="it returns ('GET', '/', 'HTTP/1.1')",
    got="it raised IndexError: list index out of range",
    why="The three parts of a request line come back (RFC 9112 section 3)",
    look="exercises/socket_server/http_server.py:23 parts()",
    frames=("http_server.py:31 in read_head", "http_server.py:23 in parts"),
    output="serving on 8123\nsecond line\n",
)
NOT_WRITTEN = Finding(
    expected="resolve() is yours to write",
    got="not written yet",
    why="The target / is answered with index.html (README)",
    look="exercises/socket_server/http_server.py:41 resolve()",
)
BROKEN = Finding(
    got="KeyError: 'status'", output='  File "test_static.py", line 12, in test_index\n    reply["status"]\n'
)
LITERALS = Finding(
    sent=r"take_head(b'GET / HTTP/1.1\r\nHost: ' + b'a'*8170 + b'\r\nAccept: text/html\r\nX: 1\r\n\r\n')  (8231 bytes)",
    expected=r"it returns (b'GET / HTTP/1.1\r\n', b'rest')",
    got=r"it returned (b'GET / HTTP/1.1\n', b'rest')",
    caret=31,
    why="A line ends in CR LF (RFC 9112 section 2.1)",
    look="exercises/socket_server/http_server.py:23 take_head()",
)
PRINTED = Finding(
    sent=r'"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"',
    expected="status 200",
    got=r'"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"',
    caret=10,
    why="index.html stands for its folder (README)",
    look="exercises/socket_server/http_server.py:41 resolve()",
    frames=("http_server.py:41 in resolve",),
    output="\n".join(
        [
            *(f"asked {number}" for number in range(20)),
            "Traceback (most recent call last):",
            '  File "http_server.py", line 41, in resolve',
            "    boom()",
            "NameError: name 'boom' is not defined",
            *(f"127.0.0.1 GET / {number}" for number in range(20)),
        ]
    ),
)
HOSTILE = Finding(
    sent="parse('\x1b[2J\u202eevil\r')",
    expected="[bold]no markup[/bold] :smile:",
    got="it returned '\x1b]0;title\x07\x1b[31mred\rscore 100 of 100\u2066\u200b \udc80\U0001f600' " + "A" * 1_000_000,
    caret=31,
    why="[red]why[/red] \u2028 next",
    look="exercises/\x1b[8m/http_server.py:1 \u202ex()",
    frames=("\x1b[1mhttp_server.py:1 in x\r", "e\u0301\u0301\u0301\u0301\u0301" * 100),
    output="score 100 of 100\r\n\x1b[2J\tpassed\n::error::x\n" + "flood " * 170_000 + "\nlast line \u202e",
)


def exercise(identity: str = "socket_server", title: str = "A web server on raw sockets") -> Exercise:
    steps = tuple(
        Step(
            exercise=identity,
            id=step,
            title=title_of_step,
            needs=(),
            functions=("resolve",),
            hints=("Which one?",),
            checks=tuple(_check(identity, step, name, points) for name, points in checks),
        )
        for step, title_of_step, checks in STEPS
    )
    return Exercise(identity, title, "http_server.py", "socket", (), (), Path("checks"), steps)


def _check(identity: str, step: str, name: str, points: int) -> Check:
    key = f"{step}/{name}"
    return Check(
        exercise=identity,
        step=step,
        name=name,
        claim=CLAIMS[key],
        rule="",
        points=points,
        source="kit rule",
        needs=NEEDS.get(key, ()),
        node=f"test_{step}.py::test_{name}",
    )


def graded(
    changes: Mapping[str, tuple[Verdict, Finding | None]], identity: str = "socket_server", title: str = "A web server"
) -> ExerciseCard:
    """Everything has passed except what `changes` says."""
    made = exercise(identity, title)
    outcomes = []
    for check in made.checks:
        verdict, finding = changes.get(check.id, (Verdict.PASSED, None))
        examples = 100 if check.name == "fuzz" and verdict is Verdict.PASSED else 0
        outcomes.append(Outcome(check, verdict, finding, examples=examples, seconds=0.01))
    return ExerciseCard(made, tuple(outcomes), seconds=1.5)


def scorecard(*cards: ExerciseCard, settings: Settings | None = None, isolation: str = "landlock") -> Scorecard:
    return Scorecard("exercises", settings or Settings(), isolation, VERSIONS, cards)


def not_started(identity: str = "socket_server", title: str = "A web server on raw sockets") -> ExerciseCard:
    changes = {
        check.id: (Verdict.NOT_STARTED, replace(NOT_WRITTEN, expected=check.claim)) for check in exercise().checks
    }
    return graded(changes, identity, title)


def _blocked(by: str) -> tuple[Verdict, Finding]:
    return Verdict.BLOCKED, Finding(expected=f"{by} passes first", got=f"{by} has not passed", why="README")


BLOCKED = {name: _blocked("static/index") for name in ("static/missing", "keep-alive/twice", "keep-alive/close")}
WIRE = (
    Exchange("sent", r'"GET /../data/initial_books.json HTTP/1.1\r\nHost: localhost\r\n\r\n"'),
    Exchange("got", r'"HTTP/1.1 200 OK\r\n"'),
    Exchange("got", r'"Content-Length: 310\r\n\r\n[{}, {}]"'),
)


def _chatty() -> ExerciseCard:
    reply = "".join(rf"line {number}\r\n" for number in range(19)) + "last line of a reply"
    talk = (Exchange("sent", '"again"'), Exchange("got", f'"{reply}"')) * 10
    finding = replace(CRASH, frames=tuple(f"http_server.py:{line} in f" for line in range(20)))
    card = graded({"head/fuzz": (Verdict.FAILED, finding)})
    return replace(
        card, outcomes=tuple(replace(each, transcript=talk) if each.finding else each for each in card.outcomes)
    )


def _with_wire(card: ExerciseCard) -> ExerciseCard:
    outcomes = tuple(replace(each, transcript=WIRE) if each.finding is DOT_DOT else each for each in card.outcomes)
    return replace(card, outcomes=outcomes)


def all_cards() -> dict[str, Scorecard]:
    """Every scorecard of this module by its name."""
    failed = Verdict.FAILED
    not_written = (Verdict.NOT_STARTED, NOT_WRITTEN)
    syntax = Finding(
        expected="valid Python",
        got="SyntaxError: '(' was never closed\n    return status(200",
        caret=51,
        look="exercises/socket_server/http_server.py:12",
    )
    one = _with_wire(graded({"static/dot-dot": (failed, DOT_DOT), "static/type": (failed, DOT_DOT)}))
    same = graded(dict.fromkeys((check.id for check in exercise().checks), (Verdict.CRASHED, syntax)))
    hostile = graded(
        {"static/index": (failed, HOSTILE), "static/dot-dot": (Verdict.CRASHED, replace(HOSTILE, caret=None))}
    )
    begun = {check.id: not_written for check in exercise().checks if not check.id.startswith("head/")}
    missing = Finding(expected="the file exercises/socket_server/http_server.py", got="no such file", look="exercises")
    gone = graded(dict.fromkeys((check.id for check in exercise().checks), (Verdict.NOT_STARTED, missing)))
    half = graded(
        {
            "head/fuzz": (failed, CRASH),
            "static/index": not_written,
            "static/missing": (Verdict.BLOCKED, None),
            **dict.fromkeys(("keep-alive/twice", "keep-alive/close"), not_written),
        }
    )
    lonely = graded(BLOCKED)
    many = graded(
        {
            "head/fuzz": (failed, LITERALS),
            "static/index": (failed, DOT_DOT),
            "static/dot-dot": (Verdict.TIMEOUT, TIMEOUT),
            "static/type": (Verdict.TIMEOUT, TIMEOUT),
            **BLOCKED,
        }
    )
    unloaded = replace(
        CRASH,
        sent="",
        expected="a file that loads",
        got="NameError: name 'sokcet' is not defined, raised while it was loaded",
        frames=("http_server.py:7 in <module>",),
        look="exercises/socket_server/http_server.py:7",
        unloaded=True,
    )
    not_loaded = graded(
        {
            **dict.fromkeys((check.id for check in exercise().checks), (Verdict.CRASHED, unloaded)),
            "static/index": (failed, DOT_DOT),
            **BLOCKED,
        }
    )
    return {
        "not-loaded": scorecard(not_loaded),
        "many-open": scorecard(many),
        "printed": scorecard(graded({"static/index": (failed, PRINTED)})),
        "chatty": scorecard(_chatty()),
        "half-written": scorecard(half),
        "missing-file": scorecard(replace(gone, note="exercises/socket_server/http_server.py: no such file")),
        "blocked-alone": scorecard(
            replace(lonely, outcomes=tuple(each for each in lonely.outcomes if each.check.step == "keep-alive"))
        ),
        "no-checks": scorecard(graded({}), replace(graded({}, "wsgi_catalog"), outcomes=())),
        "very-broken": scorecard(
            graded(dict.fromkeys((check.id for check in exercise().checks), (Verdict.BROKEN, None)))
        ),
        "all-pass": scorecard(graded({})),
        "three-pass": scorecard(*(graded({}, name, "A server") for name in ("cgi_calculator", "socket_server"))),
        "one-failure": scorecard(one, settings=Settings(seed=7)),
        "brief": scorecard(one, settings=Settings(feedback="brief"), isolation="process"),
        "timeout": scorecard(graded({"static/index": (Verdict.TIMEOUT, TIMEOUT), **BLOCKED})),
        "crash": scorecard(graded({"head/request-line": (Verdict.CRASHED, CRASH), "head/fuzz": (failed, CRASH)})),
        "syntax-error": scorecard(
            replace(same, note="exercises/socket_server/http_server.py:12: SyntaxError: '(' was never closed")
        ),
        "not-started": scorecard(not_started(), isolation="process"),
        "step-begun": scorecard(graded(begun)),
        "mixed": scorecard(
            graded({}, "cgi_calculator", "A calculator behind CGI"),
            one,
            not_started("wsgi_catalog", "A catalog of books on WSGI"),
        ),
        "broken": scorecard(graded({"static/index": (Verdict.BROKEN, BROKEN), "static/dot-dot": (failed, DOT_DOT)})),
        "hostile": replace(scorecard(hostile), submission="ex\x1b[1m [red] \u202e", warnings=("\x1b[5mwarned\r",)),
        "nothing": scorecard(),
    }
