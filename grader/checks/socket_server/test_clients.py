"""Many clients at once; silent, slow and rude ones."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from grader.checks.socket_server.wire import expect_refusal, last, request
from grader.engine import check, expect, fuzz
from grader.target.connection import Connection
from grader.target.function import Module
from grader.target.listening import Holdings
from grader.target.ports import LOOPBACK
from grader.target.socket import SocketTarget
from grader.target.transcript import show_bytes

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
CLIENTS = 64
NOT_READING = 96  # clients: more than a usual pool has threads
PATIENCE = 0.5  # seconds: the --timeout of impatient_server
AT_MOST = 6.0  # seconds: by then it must have lost its patience, also on a busy machine
POLL = 0.03  # seconds between two looks at what a server holds
SMALL = 16384  # bytes: what a client has room for that does not read
SLACK = 5  # descriptors, threads, processes that may come and go
ROUNDS = 5  # that do the same: a leak grows in each of them, what is kept for the next time does not
AWHILE = 0.5  # seconds: so long a server may take to tidy up after a round, before the next one
REFUSED = b"GARBAGE\r\n\r\n"
# Answers that are a file, a part of one, or none because of a condition; each may forget to close it.
POLITE = (
    last("/large.bin", method="HEAD"), last("/notes.txt"), last("/notes.txt", "If-None-Match: *"),
    last("/large.bin", 'If-Match: "other"', method="HEAD"), last("/data.json", "Range: bytes=0-4"),
)  # fmt: skip
POLITELY = "20 times HEAD /large.bin, also with If-Match, GET /notes.txt, also with If-None-Match, and a part of a file"
HEAD = b"GET /notes.txt HTTP/1.1\r\nHost: a\r\n"
# The beginning of a request, and what trickles after it: bytes, and lines and chunks that are complete, but never all.
TRICKLES = (
    (HEAD + b"X: ", b"a"),
    (HEAD, b"X: 1\r\n"),
    (request("/notes.txt", "Content-Length: 999", method="POST"), b"a"),
    (request("/notes.txt", "Transfer-Encoding: chunked", method="POST"), b"1\r\na\r\n"),
)
FORGED = '127.0.0.9 - - "GET /forged HTTP/1.1" 200 9'


def serves(server: SocketTarget) -> None:
    """A new client is served."""
    expect(server.exchange(last("/notes.txt"))).status(200)


@check("clients/log-line", points=1, source="kit rule")
@fuzz(
    share=0.3,
    seconds=st.integers(0, 4_000_000_000),
    line=st.text(st.characters(max_codepoint=255), max_size=20),
    status=st.integers(200, 505),
    size=st.integers(0, 10**7),
)
def test_a_line_of_the_log(module: Module, seconds: int, line: str, status: int, size: int) -> None:
    """log_line() writes the Common Log Format, in one line whatever the request line holds.

    The docstring of log_line(): with raw quotes or line ends in it, a request could write lines of its own into the
    log.
    """
    t = time.gmtime(seconds)
    when = f"{t.tm_mday:02}/{MONTHS[t.tm_mon - 1]}/{t.tm_year}:{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} +0000"
    escaped = "".join(
        f"\\{char}" if char in '"\\' else char if " " <= char <= "~" else f"\\x{ord(char):02x}" for char in line
    )
    expected = f'10.0.0.1 - - [{when}] "{escaped or "-"}" {status} {size or "-"}'
    expect(module.call("log_line", "10.0.0.1", seconds, line, status, size)).returns(expected)


@check("clients/log", points=1, source="kit rule", needs=("serve/file",))
def test_every_request_is_logged(fresh_server: SocketTarget) -> None:
    """Each answered request leaves one line of the Common Log Format on standard error, with the time now.

    README, "The program": client, time, request line, status, bytes; one line for each request, whatever is in it.
    """
    expect(fresh_server.exchange(last("/notes.txt?a=b"))).status(200)
    with fresh_server.connect() as client:
        client.send(request(f"/\r{FORGED}\r")).reply_or_end()
    put = fresh_server.exchange(last("/notes.txt?put", "Content-Length: 0", method="PUT")).status
    no_host = fresh_server.exchange(request("/notes.txt?no-host", "Connection: close", host=None)).status
    expect(fresh_server.exchange(last("/nothing"))).status(404)
    size = (fresh_server.webroot.root / "notes.txt").stat().st_size
    log = fresh_server.log("/nothing HTTP/1.1")
    got = log[-600:] or "nothing on standard error"
    lines = (
        ("GET /notes.txt?a=b HTTP/1.1", "200", str(size)), ("GET /nothing HTTP/1.1", "404", "[0-9]+"),
        ("PUT /notes.txt?put HTTP/1.1", str(put), "[-0-9]+"),
        ("GET /notes.txt?no-host HTTP/1.1", str(no_host), "[-0-9]+"),
    )  # fmt: skip
    for request_line, status, numbers in lines:
        pattern = rf'^127\.0\.0\.1 - - \[([^]]*)\] "{re.escape(request_line)}" {status} {numbers}\r?$'
        found = re.search(pattern, log, re.MULTILINE)
        like = f'127.0.0.1 - - [{_log_time()}] "{request_line}" {status} {numbers if numbers.isdigit() else 99}'
        expect.that(found is not None, expected=f"a line like {like}", got=got)
        assert found is not None
        expect.that(_is_recent(found[1]), expected=f"the time now, like [{_log_time()}]", got=f"[{found[1]}]")
    forged = any(line.startswith(FORGED[:9]) for line in re.split("[\r\n]", log))
    expect.that(not forged, expected="one line for a request line with a CR in it", got=repr(log[-600:]))


def _log_time() -> str:
    now = datetime.now(UTC)
    return f"{now.day:02}/{MONTHS[now.month - 1]}/{now:%Y:%H:%M:%S} +0000"


def _is_recent(text: str) -> bool:
    """Whether a log's time, in whatever zone it is written, is not far from now."""
    match = re.fullmatch(r"([0-9]{2})/([A-Z][a-z]{2})/([0-9]{4}:[0-9]{2}:[0-9]{2}:[0-9]{2} [+-][0-9]{4})", text)
    if match is None or match[2] not in MONTHS:
        return False
    try:
        when = datetime.strptime(f"{match[1]}/{MONTHS.index(match[2]) + 1}/{match[3]}", "%d/%m/%Y:%H:%M:%S %z")
    except ValueError:
        return False
    return abs(when - datetime.now(UTC)) < timedelta(hours=1)


@check("clients/silent", points=1, source="kit rule", needs=("serve/file",))
def test_a_silent_client_holds_up_nobody(server: SocketTarget) -> None:
    """While some clients are connected and silent, others are served; also when they leave without a word.

    README, "Clients": a client that says nothing holds up nobody, else one visitor could stop the server.
    """
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(server.connect())
        stack.enter_context(server.connect()).send(b"GET /notes.txt HTTP/1.1\r\nHos")
        for _ in range(3):
            serves(server)
    serves(server)


@check("clients/slow-reader", points=1, source="kit rule", needs=("serve/file",))
def test_a_client_that_does_not_read_holds_up_nobody(server: SocketTarget) -> None:
    """While clients that asked for much do not read it, others are served.

    README, "Clients": sending waits for the slowest reader, so everybody else must not wait with it.
    """
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            client = stack.enter_context(server.connect())
            client.send(request("/large.bin") * 8)
        serves(server)


@check("clients/many", points=1, source="kit rule", needs=("serve/file",))
def test_64_clients_at_the_same_time(server: SocketTarget) -> None:
    """64 clients that have each sent half a request are all answered, the last one first.

    README, "Clients": 64 clients are served at the same time, whoever of them is ready first. listen() takes a number:
    so many may wait to be accepted, and the system turns away the others.
    """
    raw = last("/notes.txt")
    expected = (server.webroot.root / "notes.txt").read_bytes()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(CLIENTS)]
        for client in clients:
            client.send(raw[:30])
        # Each is answered while the ones before it are still waiting: a queue would have to end in their order.
        for client in reversed(clients):
            expect(client.send(raw[30:]).reply()).status(200).body(expected)


@check("clients/timeouts", points=1, source="kit rule", needs=("serve/file",))
def test_patience_ends(impatient_server: SocketTarget) -> None:
    """With --timeout 0.5, a client that is silent, stops in a request, trickles or does not read is let go.

    README, "Clients": --timeout is your patience, and every client without an end would cost a connection for ever.
    """
    server = impatient_server
    serves(server)
    before = server.holdings()
    body = request("/notes.txt", "Content-Length: 9", method="POST", body=b"1234")
    with contextlib.ExitStack() as stack:
        dripping = stack.enter_context(socket.create_connection((LOOPBACK, server.port)))
        dripping.sendall(REFUSED)
        idle = stack.enter_context(server.connect())
        expect(idle.send(request("/notes.txt")).reply()).status(200)
        asking = request("/notes.txt", "Expect: 100-continue", "Content-Length: 9", method="POST")
        asks = stack.enter_context(server.connect()).send(asking)
        stopped = [stack.enter_context(server.connect()) for _ in range(3)]
        for client, raw in zip(stopped, (b"", b"GET /notes.txt HTTP/1.1\r\nHost: a\r\n", body), strict=True):
            client.send(raw)
        if asks.interim(AT_MOST).status == 100:
            stopped.append(asks)
        trickling = [(stack.enter_context(server.connect()).send(raw), piece) for raw, piece in TRICKLES]
        for _ in range(NOT_READING):
            stack.enter_context(server.connect(SMALL)).send(request("/large.bin"))
        _trickle(trickling, dripping)
        for client in stopped:
            reply = client.reply_or_end(timeout=AT_MOST)
            if reply is not None:
                expect_refusal(server, reply, 408, 400)
            client.rest(AT_MOST)
        idle.reply_or_end(timeout=AT_MOST)  # a 408, perhaps
        idle.rest(AT_MOST)
        _lets_go(server, before)
        _drip(dripping)
        serves(server)  # while those who read nothing are still here: whoever leaves makes room by that


def _lets_go(server: SocketTarget, before: Holdings | None) -> None:
    """Within a while, clients that read nothing hold no connection any more."""
    pause, end = threading.Event(), time.monotonic() + AT_MOST
    while before is not None and (after := server.holdings()) is not None:
        if after.descriptors <= before.descriptors + SLACK:
            return
        got = f"{after.descriptors} descriptors are open; before them {before.descriptors} were"
        sent = f"{NOT_READING} clients: {show_bytes(request('/large.bin'))}, and nothing of the answer read"
        expect.that(time.monotonic() < end, sent=sent, expected="the clients that read nothing let go", got=got)
        pause.wait(POLL)


def _trickle(clients: list[tuple[Connection, bytes]], dripping: socket.socket) -> None:
    """Send each its piece now and then, never a whole request, until the server has enough of all of them."""
    began = [(client, piece, client.sent) for client, piece in clients]
    pause, end = threading.Event(), time.monotonic() + AT_MOST
    while began := [each for each in began if each[0].is_open(0)]:
        _, piece, sent = began[0]
        sent = f"{sent}, then {show_bytes(piece)} every {PATIENCE / 4:g} s"
        got = f"still waiting after {AT_MOST:g} s"
        expected = f"408, 400 or the end {PATIENCE:g} s after the request or its body began, however busily it goes on"
        expect.that(time.monotonic() < end, sent=sent, expected=expected, got=got)
        pause.wait(PATIENCE / 4)
        for client, piece, _ in began:
            client.send(piece)
        with contextlib.suppress(OSError):
            dripping.send(b"a")


def _drip(dripping: socket.socket) -> None:
    """Go on sending after an answer that ends the connection, until the server stops to listen."""
    pause, end = threading.Event(), time.monotonic() + AT_MOST
    sent = f"{show_bytes(REFUSED)}, and after the answer one byte every {POLL:g} s"
    with contextlib.suppress(OSError):
        while dripping.send(b"a"):
            got = f"still reading after {AT_MOST:g} s"
            expect.that(time.monotonic() < end, sent=sent, expected="the connection is closed", got=got)
            pause.wait(POLL)


@check("clients/bytes", points=1, source="kit rule", needs=("serve/file",))
@fuzz(
    share=0.4,
    raw=st.binary(min_size=1, max_size=80)
    | st.binary(max_size=20).map(lambda some: b"GET /notes.txt HTTP/1.1\r\nHost: a\r\n" + some + b"\r\n\r\n")
    | st.binary(max_size=20).map(lambda some: b"GET /" + some + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    | st.binary(max_size=20).map(
        lambda some: b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + some
    ),
)
def test_any_bytes_leave_the_server_alive(server: SocketTarget, raw: bytes) -> None:
    """Whatever a client sends, it gets an HTTP answer or the end; and the next client is served.

    README, "Clients": whatever bytes a client sends, the next client is served.
    """
    with server.connect() as client:
        client.send(raw).half_close().reply_or_end()
    serves(server)


@check("clients/leaks", points=1, source="kit rule", needs=("serve/file",))
def test_rude_clients_leave_nothing_behind(server: SocketTarget) -> None:
    """After many requests and 200 clients that hang up, no descriptor, thread, process or memory stays in use.

    README, "Clients": what each client leaves behind adds up, until the system refuses the next one.
    """
    _expect_no_growth(server, lambda: _polite_round(server), POLITELY, 10_000)
    _expect_no_growth(server, lambda: _rude_round(server), "100 clients that hang up", 20_000)


def _polite_round(server: SocketTarget) -> None:
    for _ in range(20):
        for raw in POLITE:
            expect(server.exchange(raw, method=raw[:4].strip().decode())).status(200, 206, 304, 404, 412)


def _rude_round(server: SocketTarget) -> None:
    for number in range(100):
        with server.connect() as client:
            client.send((b"", b"GET", request("/notes.txt")[:40], request("/large.bin"))[number % 4])
            if number % 3 == 0:
                client.abort()
    serves(server)


def _expect_no_growth(server: SocketTarget, a_round: Callable[[], None], what: str, growth: int) -> None:
    """Of several rounds that do the same, one adds next to nothing; `growth` is in KiB of memory.

    One difference alone says little: memory is kept for the next request, and a pool starts its threads one by one.
    """
    a_round()
    held = [_settled(server, None, 0, AWHILE)]
    for number in range(ROUNDS):
        a_round()
        held.append(_settled(server, held[-1], growth, AT_MOST if number == ROUNDS - 1 else AWHILE))
        before, after = held[-2:]
        if before is None or after is None or _is_no_more(after, before, growth):
            return
    sent = f"{ROUNDS + 1} rounds: {what}"
    expect.that(False, sent=sent, expected="a round after which not much more is held", got="; ".join(map(str, held)))


def _settled(server: SocketTarget, before: Holdings | None, growth: int, seconds: float) -> Holdings | None:
    """What the server holds when it is no more than `before`, or does not change any more, or the time is over."""
    pause, end = threading.Event(), time.monotonic() + seconds
    held = server.holdings()
    while held is not None and time.monotonic() < end:
        if before is not None and _is_no_more(held, before, growth):
            break
        pause.wait(POLL)
        again = server.holdings()
        if before is None and again == held:
            break
        held = again
    return held


def _is_no_more(after: Holdings, before: Holdings, growth: int) -> bool:
    return (
        after.descriptors <= before.descriptors + SLACK
        and after.threads <= before.threads + SLACK
        and after.children <= before.children + SLACK
        and after.memory <= before.memory + growth
    )


@check("clients/stop", points=1, source="kit rule", needs=("serve/file",))
def test_the_server_stops_cleanly(fresh_server: SocketTarget) -> None:
    """SIGINT and SIGTERM end the server with exit status 0 within 3 seconds, idle connections or not.

    README, "The program": after SIGINT or SIGTERM it ends with status 0 within 3 seconds, so that it can be started
    again.
    """
    if sys.platform == "win32":
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        with fresh_server.connect() as client:
            if not client.send(request("/notes.txt")).reply().closes:
                client.is_open(0.01)
            code = fresh_server.stop(number, 3.0)
            got = (
                "it still runs" if code is None else f"exit status {code}" if code >= 0 else f"killed by signal {-code}"
            )
            expect.that(code == 0, sent=f"signal {number.name}", expected="exit status 0 within 3 s", got=got)
