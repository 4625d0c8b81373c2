"""Many clients at once; silent, slow and rude ones."""

from __future__ import annotations

import contextlib
import re
import signal
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from grader.checks.socket_server.wire import expect_refusal, last, request
from grader.engine import check, expect, fuzz
from grader.target.connection import Connection
from grader.target.function import Module
from grader.target.listening import Holdings
from grader.target.socket import SocketTarget

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
CLIENTS = 64
PATIENCE = 0.5  # seconds: the --timeout of impatient_server
AT_MOST = 6.0  # seconds: by then it must have lost its patience, also on a busy machine
POLL = 0.03  # seconds between two looks at what a server holds
SMALL = 16384  # bytes: what a client has room for that does not read
SLACK = 5  # descriptors, threads, processes that may come and go
GROWTH = 10_000  # KiB that a hundred small requests may need in the worst case
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
    expect(fresh_server.exchange(last("/nothing"))).status(404)
    size = (fresh_server.webroot.root / "notes.txt").stat().st_size
    log = fresh_server.log("/nothing HTTP/1.1")
    got = log[-600:] or "nothing on standard error"
    for request_line, numbers in (("GET /notes.txt?a=b HTTP/1.1", str(size)), ("GET /nothing HTTP/1.1", "[0-9]+")):
        status = "404" if "nothing" in request_line else "200"
        pattern = rf'^127\.0\.0\.1 - - \[([^]]*)\] "{re.escape(request_line)}" {status} {numbers}\r?$'
        found = re.search(pattern, log, re.MULTILINE)
        like = f'127.0.0.1 - - [{_log_time()}] "{request_line}" {status} {numbers.replace("[0-9]+", "99")}'
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

    README, "Clients": 64 clients are served at the same time, whoever of them is ready first.
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
        for _ in range(2 * SLACK):
            stack.enter_context(server.connect(SMALL)).send(request("/large.bin"))
        idle = stack.enter_context(server.connect())
        expect(idle.send(request("/notes.txt")).reply()).status(200)
        stopped = [stack.enter_context(server.connect()) for _ in range(3)]
        for client, raw in zip(stopped, (b"", b"GET /notes.txt HTTP/1.1\r\nHost: a\r\n", body), strict=True):
            client.send(raw)
        trickling = stack.enter_context(server.connect())
        _trickle(trickling)
        for client in stopped:
            reply = client.reply_or_end(timeout=AT_MOST)
            if reply is not None:
                expect_refusal(server, reply, 408, 400)
            client.rest(AT_MOST)
        idle.reply_or_end(timeout=AT_MOST)  # a 408, perhaps
        idle.rest(AT_MOST)
        _settles(server, before, "the clients that read nothing let go", only_descriptors=True)
    serves(server)


def _settles(
    server: SocketTarget, before: Holdings | None, what: str, growth: int = 30_000, only_descriptors: bool = False
) -> None:
    """Within a while the server holds no more than before; `growth` in KiB is what its memory may have grown."""
    pause = threading.Event()
    end = time.monotonic() + AT_MOST
    while before is not None and (after := server.holdings()) is not None:
        clean = (
            after.descriptors <= before.descriptors + SLACK
            and (only_descriptors or after.threads <= before.threads + SLACK)
            and after.children <= before.children + SLACK
            and after.memory <= before.memory + growth
        )
        if clean:
            return
        expect.that(time.monotonic() < end, expected=f"{what}: not much more than {before}", got=str(after))
        pause.wait(POLL)  # clients would leave connections behind that linger for a moment


def _trickle(client: Connection) -> None:
    """Send a byte now and then, never a whole request, until the server has enough of it."""
    client.send(b"GET /notes.txt HTTP/1.1\r\nX: ")
    end = time.monotonic() + AT_MOST
    while client.is_open(PATIENCE / 4):
        client.send(b"a")
        expect.that(time.monotonic() < end, expected="408 or the end", got=f"still waiting after {AT_MOST:g} s")


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
    for round_number in range(2):
        for _ in range(20 if round_number == 0 else 50):
            for raw in (last("/large.bin", method="HEAD"), last("/notes.txt")):
                expect(server.exchange(raw, method=raw[:4].strip().decode())).status(200)
        if round_number == 0:
            before = server.holdings()
    _settles(server, before, "as before 100 more requests", GROWTH)
    for round_number in range(2):
        for number in range(100):
            with server.connect() as client:
                client.send((b"", b"GET", request("/notes.txt")[:40], request("/large.bin"))[number % 4])
                if number % 3 == 0:
                    client.abort()
        serves(server)
        if round_number == 0:
            before = server.holdings()
    _settles(server, before, "as after the first 100 rude clients")


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
