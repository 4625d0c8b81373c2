"""Starting a socket server: what is readiness, what is a failure, and whose."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grader.model import Complaint, Verdict
from grader.sandbox.processes import resident
from grader.target import socket as target
from grader.target.listening import Address, addresses, holdings
from grader.target.ports import free_port
from grader.target.socket import SocketTarget
from grader.target.transcript import TRANSCRIPT
from grader.target.webroot import Webroot
from grader.tests.sandbox.stage import stage

SERVER = """
import socket, sys, time
{before}
arguments = dict(zip(sys.argv[1::2], sys.argv[2::2]))
listener = socket.socket()
listener.bind(({host!r} or arguments["--host"], int(arguments["--port"])))
listener.listen()
count = 0
while True:
    sock, _ = listener.accept()
    count += 1
    data = sock.recv(65536)
    {during}
    body = str(count).encode()
    sock.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n%s" % (len(body), body))
    sock.close()
"""
HELLO = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def source(before: str = "", during: str = "", host: str = "") -> str:
    return SERVER.format(before=before, during=during, host=host)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[SocketTarget]]:
    made: list[SocketTarget] = []
    yield made
    for server in made:
        server.close()


def make(servers: list[SocketTarget], tmp_path: Path, text: str) -> SocketTarget:
    site = stage(tmp_path, "process", main=text)
    servers.append(SocketTarget(site, "main.py", Webroot(tmp_path, (), False)))
    return servers[-1]


def complaint_of(server: SocketTarget) -> Complaint:
    with pytest.raises(Complaint) as caught:
        server.exchange(HELLO)
    return caught.value


def test_the_first_client_of_a_server_is_the_first_exchange(servers: list[SocketTarget], tmp_path: Path) -> None:
    server = make(servers, tmp_path, source())
    # The table of sockets tells when it listens (Linux); elsewhere a first whole exchange does.
    first = 1 if sys.platform == "linux" else 2
    assert server.exchange(HELLO).body == str(first).encode()
    assert server.exchange(HELLO).body == str(first + 1).encode()


def test_a_server_that_takes_its_time_to_bind_is_waited_for(servers: list[SocketTarget], tmp_path: Path) -> None:
    assert make(servers, tmp_path, source(before="time.sleep(1.2)")).exchange(HELLO).status == 200


def test_what_does_not_refuse_at_once_is_not_listening_yet(
    servers: list[SocketTarget], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, tries = socket.create_connection, []

    def slow_to_refuse(*args: Any, **options: Any) -> socket.socket:
        try:
            return connect(*args, **options)
        except ConnectionRefusedError:
            tries.append(args)
            raise TimeoutError from None  # what a connect to a closed port ends in on Windows

    monkeypatch.setattr(target, "addresses", lambda pid: None)  # as where the system does not tell
    monkeypatch.setattr("socket.create_connection", slow_to_refuse)
    server = make(servers, tmp_path, source(before="time.sleep(0.5)"))
    assert server.exchange(HELLO).body == b"2"
    assert tries
    monkeypatch.setattr(target, "START_SECONDS", 0.5)
    assert (
        "listens nowhere"
        in complaint_of(make(servers, tmp_path / "other", "import time\ntime.sleep(60)\n")).finding.got
    )


def test_a_server_that_ends_at_once_is_told_with_its_exit_status_and_errors(
    servers: list[SocketTarget], tmp_path: Path
) -> None:
    server = make(servers, tmp_path, "import sys\nprint('no such thing', file=sys.stderr)\nsys.exit(3)\n")
    complaint = complaint_of(server)
    assert complaint.verdict is Verdict.CRASHED
    assert "exit status 3" in complaint.finding.got
    assert "no such thing" in complaint.finding.output


def test_a_server_that_does_not_listen_is_told_so_and_not_tried_again(
    servers: list[SocketTarget], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "START_SECONDS", 0.5)
    server = make(servers, tmp_path, "import time\ntime.sleep(60)\n")
    complaint = complaint_of(server)
    assert complaint.verdict is Verdict.TIMEOUT
    assert "listens nowhere" in complaint.finding.got
    assert complaint_of(server) is complaint


@pytest.mark.skipif(sys.platform != "linux", reason="the whole of 127.0.0.0/8 is local on Linux only")
def test_a_server_that_listens_elsewhere_is_told_where(
    servers: list[SocketTarget], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "START_SECONDS", 0.5)
    server = make(servers, tmp_path, source(host="127.0.0.2"))
    assert f"it listens on 127.0.0.2:{server.port or ''}" in complaint_of(server).finding.got


def test_a_port_that_somebody_took_meanwhile_is_nobodys_fault(
    servers: list[SocketTarget], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = [taken.getsockname()[1], taken.getsockname()[1]]
        monkeypatch.setattr(target, "free_port", lambda: ports.pop() if ports else free_port())
        server = make(servers, tmp_path, source())
        assert server.exchange(HELLO).status == 200
        assert ports == []


def test_an_untouched_stub_is_not_started(servers: list[SocketTarget], tmp_path: Path) -> None:
    text = 'raise NotImplementedError("step serve: listen() is yours to write")\n'
    assert complaint_of(make(servers, tmp_path, text)).verdict is Verdict.NOT_STARTED


def test_a_server_that_dies_is_noticed_and_started_again(servers: list[SocketTarget], tmp_path: Path) -> None:
    during = 'data == b"die" and sys.exit("too bad")'
    server = make(servers, tmp_path, source(during=during))
    assert server.exchange(HELLO).status == 200
    server.check_alive()
    with server.connect() as client:
        client.send(b"die").rest()
    complaint = None
    for _ in range(200):  # a crash takes some milliseconds to become an exit status
        try:
            server.check_alive()
        except Complaint as found:
            complaint = found
            break
        threading.Event().wait(0.01)
    assert complaint is not None
    assert complaint.verdict is Verdict.CRASHED
    assert "too bad" in complaint.finding.output
    assert server.exchange(HELLO).status == 200


def test_a_server_that_dies_instead_of_answering_is_told_so(servers: list[SocketTarget], tmp_path: Path) -> None:
    server = make(servers, tmp_path, source(during='data == b"die" and {}[data]'))
    assert server.exchange(HELLO).status == 200
    with server.connect() as client, pytest.raises(Complaint) as caught:
        client.send(b"die").reply()
    assert caught.value.verdict is Verdict.CRASHED
    assert "the program ended: exit status 1" in caught.value.finding.got
    assert TRANSCRIPT.witness is not None
    assert "KeyError: b'die'" in TRANSCRIPT.witness(0.0)
    assert server.exchange(HELLO).status == 200


def test_what_is_printed_belongs_to_the_check_that_caused_it(servers: list[SocketTarget], tmp_path: Path) -> None:
    during = 'print("asked", "second" if b"second" in data else "first", file=sys.stderr, flush=True)'
    server = make(servers, tmp_path, source(during=during))
    TRANSCRIPT.clear()
    assert server.exchange(HELLO).status == 200
    assert "asked first" in server.log("asked first")
    TRANSCRIPT.clear()
    reply = server.exchange(HELLO.replace(b"/", b"/second", 1))
    assert "asked second" in server.log("asked second")
    assert "asked second" in reply.stderr
    assert "asked first" not in reply.stderr


@pytest.mark.parametrize("words", ["", "a word of its author"])
def test_lines_of_the_log_are_left_out_also_where_they_are_cut(
    servers: list[SocketTarget], tmp_path: Path, words: str
) -> None:
    line = f'127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] "GET /{"a" * 3000} HTTP/1.1" 200 184\n'
    during = f"sys.stderr.write({line!r} * 9 + {(words and words + chr(10))!r})"
    server = make(servers, tmp_path, source(during=during))
    TRANSCRIPT.clear()
    reply = server.exchange(HELLO)
    assert "truncated" in server.log("truncated")
    assert words in server.log(words)
    for _ in range(200):  # the rest of the last line may still be on its way
        if "aaa" not in reply.stderr:
            break
        threading.Event().wait(0.01)
    assert ("truncated" in reply.stderr) == bool(words)
    assert reply.stderr.rstrip("\n").endswith(words)
    assert "aaa" not in reply.stderr


def test_a_flood_of_output_stops_nobody(servers: list[SocketTarget], tmp_path: Path) -> None:
    server = make(servers, tmp_path, source(before="print('x' * 3_000_000); print('y' * 3_000_000, file=sys.stderr)"))
    assert server.exchange(HELLO).status == 200
    assert len(server.printed("x")) <= target.OUTPUT


def test_closing_ends_what_the_server_started(servers: list[SocketTarget], tmp_path: Path) -> None:
    before = "import subprocess; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])"
    server = make(servers, tmp_path, source(before=before))
    assert server.exchange(HELLO).status == 200
    held = server.holdings()
    if held is None:
        pytest.skip("the system does not tell what a process has started")
    assert held.children == 1
    port = server.port
    server.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 1).close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_where_a_process_listens_is_read_from_the_system() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        found = addresses(os.getpid()) or []
        assert Address("127.0.0.1", listener.getsockname()[1]) in found


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_counted_in_pages_of_this_machine() -> None:
    held = holdings(os.getpid())
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS:")]
    assert held is not None
    assert held.memory >= int(line.split()[1]) * 0.8
    assert resident(2**22 + 1) == 0  # no process has this number
