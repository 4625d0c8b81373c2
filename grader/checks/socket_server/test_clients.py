"""Many clients at once; silent, slow and rude ones."""

from __future__ import annotations

import contextlib
import re
import signal
import sys
import time

from hypothesis import strategies as st

from grader.checks.socket_server.wire import expect_refusal, last, request
from grader.engine import check, expect, fuzz
from grader.target.connection import Connection
from grader.target.function import Module
from grader.target.socket import SocketTarget

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
CLIENTS = 64
PATIENCE = 0.5  # seconds: the --timeout of impatient_server
AT_MOST = 6.0  # seconds: by then it must have lost its patience, also on a busy machine


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
    """log_line() writes the Common Log Format, in one line whatever the request line holds."""
    t = time.gmtime(seconds)
    when = f"{t.tm_mday:02}/{MONTHS[t.tm_mon - 1]}/{t.tm_year}:{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} +0000"
    escaped = "".join(
        f"\\{char}" if char in '"\\' else char if " " <= char <= "~" else f"\\x{ord(char):02x}" for char in line
    )
    expected = f'10.0.0.1 - - [{when}] "{escaped or "-"}" {status} {size or "-"}'
    expect(module.call("log_line", "10.0.0.1", seconds, line, status, size)).returns(expected)


@check("clients/log", points=1, source="kit rule", needs=("serve/file",))
def test_every_request_is_logged(fresh_server: SocketTarget) -> None:
    """Each answered request leaves a line of the Common Log Format on standard error."""
    expect(fresh_server.exchange(last("/notes.txt?a=b"))).status(200)
    expect(fresh_server.exchange(last("/nothing"))).status(404)
    size = (fresh_server.webroot.root / "notes.txt").stat().st_size
    log = fresh_server.log("/nothing HTTP/1.1")
    time_text = r"\[[0-9]{2}/[A-Z][a-z]{2}/[0-9]{4}:[0-9]{2}:[0-9]{2}:[0-9]{2} [+-][0-9]{4}\]"
    for request_line, numbers in (
        (r"GET /notes\.txt\?a=b HTTP/1\.1", f"200 {size}"),
        ("GET /nothing HTTP/1.1", "404 [0-9]+"),
    ):
        pattern = rf'^127\.0\.0\.1 - - {time_text} "{request_line}" {numbers}\r?$'
        found = re.search(pattern, log, re.MULTILINE) is not None
        plain = pattern.replace("\\", "").strip("^$")
        expect.that(found, expected=f"a line like {plain}", got=log[-600:] or "nothing on standard error")


@check("clients/silent", points=1, source="kit rule", needs=("serve/file",))
def test_a_silent_client_holds_up_nobody(server: SocketTarget) -> None:
    """While some clients are connected and silent, others are served; also when they leave without a word."""
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(server.connect())
        stack.enter_context(server.connect()).send(b"GET /notes.txt HTTP/1.1\r\nHos")
        for _ in range(3):
            serves(server)
    serves(server)


@check("clients/slow-reader", points=1, source="kit rule", needs=("serve/large",))
def test_a_client_that_does_not_read_holds_up_nobody(server: SocketTarget) -> None:
    """While clients that asked for much do not read it, others are served."""
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            client = stack.enter_context(server.connect())
            client.send(request("/large.bin") * 8)
        serves(server)


@check("clients/many", points=1, source="kit rule", needs=("serve/file",))
def test_64_clients_at_the_same_time(server: SocketTarget) -> None:
    """64 clients that have each sent half a request are all answered, the last one first."""
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
    """With --timeout 0.5, a client that is silent, stops in a request or trickles gets 408 or the end."""
    server = impatient_server
    serves(server)
    body = request("/notes.txt", "Content-Length: 9", method="POST", body=b"1234")
    with contextlib.ExitStack() as stack:
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
    serves(server)


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
    """Whatever a client sends, it gets an HTTP answer or the end; and the next client is served."""
    with server.connect() as client:
        client.send(raw).half_close().reply_or_end()
    serves(server)


@check("clients/leaks", points=1, source="kit rule", needs=("serve/file",))
def test_rude_clients_leave_nothing_behind(server: SocketTarget) -> None:
    """After 200 clients that hang up in the middle, no descriptor, thread, process or memory stays in use."""
    for round_number in range(2):
        for number in range(100):
            with server.connect() as client:
                client.send((b"", b"GET", request("/notes.txt")[:40], request("/large.bin"))[number % 4])
                if number % 3 == 0:
                    client.abort()
        serves(server)
        if round_number == 0:
            before = server.holdings()
    if before is None:
        return
    end = time.monotonic() + AT_MOST
    while True:
        after = server.holdings()
        assert after is not None
        clean = (
            after.descriptors <= before.descriptors + 5
            and after.threads <= before.threads + 5
            and after.children <= before.children + 5
            and after.memory <= before.memory + 30_000
        )
        if clean:
            return
        late = time.monotonic() > end
        expect.that(not late, expected=f"no more than after the first 100: {before}", got=str(after))
        serves(server)


@check("clients/stop", points=1, source="kit rule", needs=("serve/file",))
def test_the_server_stops_cleanly(fresh_server: SocketTarget) -> None:
    """SIGINT and SIGTERM end the server with exit status 0 within 3 seconds, idle connections or not."""
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
