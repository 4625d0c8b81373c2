"""What the model server does where no check looks: stopping in the middle, a port that is taken, its edges."""

from __future__ import annotations

import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.target.connection import Connection
from grader.target.webroot import Webroot, build_webroot
from grader.tests.clients.socket_servers import KIT, SOLUTION, Running, running

ASK = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
POSIX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")


@pytest.fixture(scope="module")
def webroot(tmp_path_factory: pytest.TempPathFactory) -> Webroot:
    return build_webroot(KIT / "webroot", tmp_path_factory.mktemp("served").resolve())


@pytest.fixture
def server(webroot: Webroot, tmp_path: Path) -> Iterator[Running]:
    with running(webroot.root, tmp_path / "log") as found:
        yield found


def gone(pid: int, seconds: float) -> bool:
    """Whether a process (or its zombie's work) has ended by then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        status = Path(f"/proc/{pid}/status")
        if not status.exists() or "State:\tZ" in status.read_text(encoding="utf-8"):
            return True
        time.sleep(0.01)
    return False


@POSIX_ONLY
def test_an_answer_on_its_way_is_finished_before_the_server_stops(server: Running, webroot: Webroot) -> None:
    expected = (webroot.root / "large.bin").read_bytes()
    with Connection(server.port, 10) as client:
        client.send(ASK % b"large.bin" * 3)
        first = client.reply()
        os.kill(server.pid, signal.SIGTERM)
        assert first.body == expected
        rest = client.rest()
    assert rest.endswith(expected)


@POSIX_ONLY
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks at processes in /proc")
def test_a_script_that_runs_is_ended_with_the_server(server: Running) -> None:
    with Connection(server.port, 10) as client:
        client.send(ASK % b"cgi-bin/slow.py")
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
        end = time.monotonic() + 30
        found: list[str] = []
        while not found and time.monotonic() < end:
            # The thread that started it is its parent here, so look at all of them.
            found = [pid for task in children.parents[1].glob("*/children") for pid in task.read_text().split()]
        assert len(found) == 1
        os.kill(server.pid, signal.SIGINT)
        os.kill(server.pid, signal.SIGINT)
        assert gone(int(found[0]), 30)  # left alone, it would sleep for 60
        assert gone(server.pid, 30)


def test_a_port_that_is_taken_is_an_error_and_not_shared(server: Running, webroot: Webroot) -> None:
    command = [sys.executable, "-I", str(SOLUTION), "--port", str(server.port), "--root", str(webroot.root)]
    second = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert second.returncode != 0
    assert b"Error" in second.stderr
    assert second.stdout == b""


def test_a_root_that_is_no_folder_is_a_usage_error(tmp_path: Path) -> None:
    command = [sys.executable, "-I", str(SOLUTION), "--port", "0", "--root", str(tmp_path / "nothing")]
    done = subprocess.run(command, capture_output=True, timeout=20, check=False)
    assert done.returncode == 2
    assert b"is not a folder" in done.stderr


def test_without_a_root_it_serves_the_webroot_of_the_kit(tmp_path: Path) -> None:
    command = [sys.executable, "-I", str(SOLUTION), "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        process.terminate()
    assert line.startswith(f"Serving {KIT / 'webroot'} at http://127.0.0.1:")


def test_ipv6_is_served_where_there_is_any(webroot: Webroot) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    command = [sys.executable, "-I", str(SOLUTION), "--host", "::1", "--port", "0", "--root", str(webroot.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().decode().rpartition(":")[2].strip().strip("/"))
        with socket.create_connection(("::1", port), 10) as sock:
            sock.sendall(b"GET /notes.txt HTTP/1.1\r\nHost: [::1]\r\nConnection: close\r\n\r\n")
            assert sock.recv(20).startswith(b"HTTP/1.1 200")
        with socket.create_connection(("::1", port), 10) as sock, sock.makefile("rb") as answer:
            sock.sendall(b"GET /cgi-bin/show.py HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n")
            assert b"SERVER_NAME=[::1]\n" in answer.read()  # RFC 3875 section 4.1.14
        process.terminate()


def test_an_error_that_nobody_foresaw_is_500_without_its_traceback(webroot: Webroot, tmp_path: Path) -> None:
    text = SOLUTION.read_text(encoding="utf-8")
    broken = tmp_path / "broken.py"
    find = "    path = clean_path(raw_path)\n"
    assert text.count(find) == 1
    broken.write_text(text.replace(find, find + '    assert "notes" not in path\n'), encoding="utf-8")
    with running(webroot.root, tmp_path / "log", main=broken) as server, Connection(server.port, 10) as client:
        reply = client.send(ASK % b"notes.txt").reply()
        assert reply.status == 500
        assert b"Traceback" not in reply.body
        assert client.send(ASK % b"data.json").reply().status == 200
        assert b"AssertionError" in server.log.read_bytes()


def test_more_clients_than_it_takes_at_once_wait_their_turn(webroot: Webroot, tmp_path: Path) -> None:
    text = SOLUTION.read_text(encoding="utf-8")
    small = tmp_path / "small.py"
    small.write_text(text.replace("MAX_CLIENTS = 500", "MAX_CLIENTS = 3"), encoding="utf-8")
    with running(webroot.root, tmp_path / "log", main=small) as server:
        clients = [Connection(server.port, 10) for _ in range(10)]
        for client in clients:
            client.send(ASK % b"notes.txt")
        for client in clients:
            assert client.reply().status == 200
            client.close()


def test_a_client_that_speaks_in_the_moment_of_the_stop_is_no_error(webroot: Webroot) -> None:
    server = runpy.run_path(str(SOLUTION))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        loop = server["_Loop"](server["Site"](str(webroot.root)), listener)
        with socket.create_connection(listener.getsockname()):
            while not loop.tasks:
                loop.accept()
            (task,) = loop.tasks
            loop.close(task)
            loop.resume(task)  # select() had named both, the signal and this client
        assert not loop.tasks
        loop.stop()
        loop.run()
