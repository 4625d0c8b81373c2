"""How the model server runs scripts: slow ones, many of them, ones that leave processes behind, odd output."""

from __future__ import annotations

import os
import runpy
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.tests.clients.socket_servers import SOLUTION, Running, running

PLAIN = "print('Content-Type: text/plain\\n')\n"
SCRIPTS = {
    "show.py": (
        "import os\nlines = [b'Content-Type: text/plain\\n', *(b'='.join(pair) for pair in os.environb.items())]\n"
        "os.write(1, b'\\n'.join(lines))\n"
    ),
    "hang.py": "import time\ntime.sleep(60)\n",
    "slow.py": "import time\ntime.sleep(0.7)\n" + PLAIN,
    "flood.py": "import sys\nwhile True: sys.stdout.write('x' * 1000000)\n",
    "header.py": "print('Content-Type: a/b\\nX-A: ' + 'a' * 70000 + '\\n')\n",
    "detach.py": (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True)\n"
        f"{PLAIN}print('complete', child.pid)\n"
    ),
    "reset.py": "print('Status: 205 Reset\\nContent-Type: text/plain\\n\\nsome content')\n",
    "media.py": "print('Status: 415\\nContent-Type: text/plain\\n\\n')\n",
}
MAX_SCRIPTS = 16
LINUX_ONLY = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks at processes in /proc")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served").resolve()
    for name, text in SCRIPTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "100%.txt").write_text("a file", encoding="utf-8")
    return folder


@pytest.fixture
def server(root: Path, tmp_path: Path) -> Iterator[Running]:
    with running(root, tmp_path / "log", "--timeout", "3") as found:
        yield found


@pytest.fixture
def patient(root: Path, tmp_path: Path) -> Iterator[Running]:
    """A server that waits for a script longer than ask() waits for an answer."""
    with running(root, tmp_path / "log", "--timeout", "60") as found:
        yield found


def ask(server: Running, target: str, *fields: str, method: str = "GET", version: str = "1.1") -> socket.socket:
    """A request on its way."""
    sock = socket.create_connection(("127.0.0.1", server.port), 30)
    lines = [f"{method} {target} HTTP/{version}", "Host: localhost", "Connection: close", *fields, "", ""]
    sock.sendall("\r\n".join(lines).encode("latin-1"))
    return sock


def answer_to(sock: socket.socket) -> tuple[int, bytes]:
    """Status and all bytes of an answer."""
    with sock:
        data = b""
        while piece := sock.recv(65536):
            data += piece
    return int(data.split(b" ")[1]), data


def variables(server: Running, target: str, *fields: str, **how: str) -> dict[bytes, bytes]:
    """What a script finds in its environment."""
    _, data = answer_to(ask(server, target, *fields, **how))
    return dict(line.split(b"=", 1) for line in data.splitlines() if b"=" in line)


def processes(name: str) -> list[int]:
    """The processes with this in their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if name.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_files_do_not_wait_for_scripts_whatever_their_name(patient: Running) -> None:
    hanging = [ask(patient, "/hang.py") for _ in range(MAX_SCRIPTS + 4)]
    assert answer_to(ask(patient, "/100%25.txt"))[0] == 200
    assert answer_to(ask(patient, "/nothing.py"))[0] == 404
    assert answer_to(ask(patient, "/docs/x.py.txt"))[0] == 404
    assert select.select(hanging, [], [], 0)[0] == []  # the scripts are not done yet
    for sock in hanging:
        sock.close()


def test_many_hanging_scripts_keep_nobody_waiting_longer_than_one(server: Running) -> None:
    begin = time.monotonic()
    hanging = [ask(server, "/hang.py") for _ in range(MAX_SCRIPTS * 6)]
    statuses = [answer_to(sock)[0] for sock in hanging]
    assert time.monotonic() - begin < 3 + 10  # in turns, each waiting for the one before, it would be 6 times 3
    assert set(statuses) <= {503, 504}
    assert statuses.count(504) >= MAX_SCRIPTS
    assert 503 in statuses


def test_scripts_that_wait_for_a_place_get_it(server: Running) -> None:
    slow = [ask(server, "/slow.py") for _ in range(MAX_SCRIPTS + 4)]
    assert [answer_to(sock)[0] for sock in slow] == [200] * len(slow)


@LINUX_ONLY
def test_no_script_outlives_the_server_however_many_wait(root: Path, tmp_path: Path) -> None:
    script = f"{root}{os.sep}hang.py"
    with running(root, tmp_path / "log", "--timeout", "60") as server:
        hanging = [ask(server, "/hang.py") for _ in range(MAX_SCRIPTS + 4)]
        end = time.monotonic() + 60
        while len(processes(script)) < MAX_SCRIPTS and time.monotonic() < end:
            time.sleep(0.05)
        assert len(processes(script)) == MAX_SCRIPTS
        os.kill(server.pid, signal.SIGTERM)
    for sock in hanging:
        sock.close()
    end = time.monotonic() + 30  # they would sleep for 60
    while processes(script) and time.monotonic() < end:
        time.sleep(0.05)
    left = processes(script)
    for pid in left:
        if sys.platform != "win32":
            os.kill(pid, signal.SIGKILL)
    assert left == []


@LINUX_ONLY
def test_a_process_that_a_script_leaves_behind_delays_no_answer(patient: Running) -> None:
    status, data = answer_to(ask(patient, "/detach.py"))
    assert (status, b"complete" in data) == (200, True)
    os.kill(int(data.split()[-1]), signal.SIGTERM)  # it runs still: who waits for its end would not be here yet


@pytest.mark.parametrize("script", ["flood.py", "header.py"])
def test_output_without_end_or_with_a_huge_header_is_502(patient: Running, script: str) -> None:
    assert answer_to(ask(patient, f"/{script}"))[0] == 502  # long before its time is over, which would be 504


def test_the_host_of_an_absolute_target_stands_for_the_host_field(server: Running) -> None:
    for version in ("1.0", "1.1"):
        found = variables(server, "http://example.org:81/show.py", version=version)
        assert (found[b"SERVER_NAME"], found[b"HTTP_HOST"]) == (b"example.org", b"example.org:81")
    found = variables(server, "/show.py")
    assert (found[b"SERVER_NAME"], found[b"HTTP_HOST"]) == (b"localhost", b"localhost")


def test_an_empty_body_has_a_length_and_no_body_has_none(server: Running) -> None:
    assert variables(server, "/show.py", "Content-Length: 0", method="POST")[b"CONTENT_LENGTH"] == b"0"
    assert b"CONTENT_LENGTH" not in variables(server, "/show.py")
    assert b"CONTENT_LENGTH" not in variables(server, "/show.py", method="POST")


@LINUX_ONLY
def test_the_bytes_of_fields_reach_a_script_as_they_were_sent(server: Running, root: Path) -> None:
    found = variables(server, "/show.py/a/gr%C3%BC%C3%9Fe?q", "Cookie: n=\xc3\xa9; m=\xe9")
    assert found[b"HTTP_COOKIE"] == b"n=\xc3\xa9; m=\xe9"
    assert found[b"PATH_INFO"] == "/a/grüße".encode()
    assert found[b"PATH_TRANSLATED"] == f"{root}/a/grüße".encode()
    assert b"PATH_TRANSLATED" not in variables(server, "/show.py")


def test_an_answer_with_status_205_has_no_content(server: Running) -> None:
    status, data = answer_to(ask(server, "/reset.py"))
    assert status == 205
    assert b"\r\nContent-Length: 0\r\n" in data
    assert data.endswith(b"\r\n\r\n")


def test_standard_statuses_of_scripts_have_their_reason_phrases(server: Running) -> None:
    assert answer_to(ask(server, "/media.py"))[1].startswith(b"HTTP/1.1 415 Unsupported Media Type\r\n")


def test_what_belongs_to_one_connection_is_not_passed_on() -> None:
    parse = runpy.run_path(str(SOLUTION))["parse_script_output"]
    fields = "TE: a\nTrailer: a\nUpgrade: a\nProxy-Connection: a\nKeep-Alive: a\nX-Mine: a\n"
    assert parse(f"Status:\t404\tGone\n{fields}\nno".encode()) == (404, [("x-mine", "a")], b"no")


def test_no_script_starts_once_the_server_ends(root: Path) -> None:
    server = runpy.run_path(str(SOLUTION))
    server["_scripts"].end()
    site = server["Site"](str(root))
    request = server["Request"]("GET", "/media.py", (1, 1), [("host", "a")])
    assert server["answer"](site, request).status == 503
