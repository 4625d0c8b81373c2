"""`serve` from outside: a process, a browser's request, Ctrl-C, and nothing left behind."""

from __future__ import annotations

import http.client
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from grader.byhand.relay import listen
from grader.sandbox.processes import descendants

KIT = Path(__file__).resolve().parents[3]

SERVER = """
import argparse, socket
parser = argparse.ArgumentParser()
for name in ("--host", "--port", "--root"):
    parser.add_argument(name)
options = parser.parse_args()
with socket.create_server((options.host, int(options.port))) as listener:
    print(f"ready at http://{options.host}:{options.port}/")
    while True:
        connection, _ = listener.accept()
        with connection:
            if b"/stop" in connection.recv(1000):
                raise SystemExit(3)
            connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi")
"""


def write(folder: Path, exercise: str, main: str, source: str) -> None:
    path = folder / exercise / main
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")


class Served:
    """A running `serve`; `text` is what it has printed so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self.text = process, ""
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.text += line
                self._changed.notify_all()

    def wait_for(self, pattern: str) -> re.Match[str]:
        with self._changed:
            assert self._changed.wait_for(lambda: re.search(pattern, self.text), timeout=20), self.text
            found = re.search(pattern, self.text)
        assert found is not None
        return found

    def get(self, path: str) -> bytes:
        port = int(self.wait_for(r"http://127\.0\.0\.1:(\d+)/")[1])
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path)
        body = connection.getresponse().read()
        connection.close()
        return body

    def stop(self) -> int:
        """Ctrl-C; the exit code. Everything printed is in `text` afterwards."""
        if sys.platform == "win32":
            self.process.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            self.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self) -> int:
        code = self.process.wait(20)
        self._reader.join(5)
        return code


@contextmanager
def serving(folder: Path, exercise: str, *arguments: str) -> Iterator[Served]:
    process = subprocess.Popen(
        [sys.executable, "-m", "grader", "serve", str(folder), exercise, *arguments],
        cwd=KIT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        # A shell starts what runs in its background with Ctrl-C switched off, and children inherit that.
        preexec_fn=None if sys.platform == "win32" else restore_ctrl_c,
    )
    try:
        yield Served(process)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(20)


def restore_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_cgi_program_is_served_shown_and_stopped(tmp_path: Path) -> None:
    write(tmp_path, "cgi_calculator", "cgi-bin/cgi_calc.py", "print('Content-Type: text/plain\\n\\nhello')")
    with serving(tmp_path, "cgi_calculator") as served:
        assert served.get("/cgi-bin/cgi_calc.py?a=1") == b"hello\n"
        write(tmp_path, "cgi_calculator", "cgi-bin/cgi_calc.py", "print('Content-Type: text/plain\\n\\nchanged!')")
        assert served.get("/cgi-bin/cgi_calc.py?a=2") == b"changed!\n"
        assert served.stop() == 0
    assert r"> 1  GET /cgi-bin/cgi_calc.py?a=1 HTTP/1.1\r\n" in served.text
    assert r"< 1  HTTP/1.1 200 OK\r\n" in served.text
    assert r"< 2  changed!\n" in served.text
    assert served.text.endswith("stopped\n")


@pytest.mark.skipif(sys.platform == "win32", reason="the program's own answer to a reset differs there")
def test_a_socket_server_is_served_with_what_it_prints_and_leaves_no_process(tmp_path: Path) -> None:
    write(tmp_path, "socket_server", "http_server.py", SERVER)
    with serving(tmp_path, "socket_server") as served:
        assert served.get("/") == b"hi"
        port = served.wait_for(r"http://127\.0\.0\.1:(\d+)/")[1]
        served.wait_for(rf"\| ready at http://127\.0\.0\.1:{port}/")
        below = descendants(served.process.pid)
        assert below
        assert served.stop() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in below)
    assert r"< 1  hi" in served.text


def test_a_program_that_ends_by_itself_is_reported(tmp_path: Path) -> None:
    write(tmp_path, "socket_server", "http_server.py", SERVER)
    with serving(tmp_path, "socket_server") as served:
        with pytest.raises((http.client.HTTPException, OSError)):
            served.get("/stop")
        assert served.end() == 1
    assert "the program has ended: exit status 3" in served.text


def test_a_change_that_is_not_served_yet_is_mentioned(tmp_path: Path) -> None:
    write(tmp_path, "socket_server", "http_server.py", SERVER)
    with serving(tmp_path, "socket_server") as served:
        assert served.get("/") == b"hi"
        write(tmp_path, "socket_server", "http_server.py", SERVER.replace("hi", "ho"))
        served.wait_for("the files have changed")
        assert served.stop() == 0
    assert served.text.count("the files have changed") == 1


def test_a_polite_end_is_like_ctrl_c(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no SIGTERM to send")
    write(tmp_path, "socket_server", "http_server.py", SERVER)
    with serving(tmp_path, "socket_server") as served:
        assert served.get("/") == b"hi"
        served.process.send_signal(signal.SIGTERM)
        assert served.end() == 0
    assert served.text.endswith("stopped\n")


def test_a_taken_port_is_a_usage_error_with_advice(tmp_path: Path) -> None:
    write(tmp_path, "socket_server", "http_server.py", SERVER)
    with listen(0) as taken:
        with serving(tmp_path, "socket_server", "--port", str(taken.getsockname()[1])) as served:
            assert served.end() == 2
    assert "leave --port out to get a free one" in served.text


@pytest.mark.parametrize("exercise", ["socket_server", "wsgi_catalog"])
def test_the_solutions_can_be_served(exercise: str) -> None:
    with serving(KIT / "solutions", exercise) as served:
        assert b"<!doctype html>" in served.get("/").lower()
        assert served.stop() == 0
