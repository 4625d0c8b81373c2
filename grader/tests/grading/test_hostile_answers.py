"""Answers that no honest program gives must cost the program its points, and never break or hold up the grader."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from grader.checks.wsgi_catalog.shelves import read_made, write_new
from grader.model import Complaint, Verdict
from grader.sandbox.child.plain import Record
from grader.sandbox.isolation import landlock_holds
from grader.sandbox.policy import child_uid
from grader.sandbox.scratch import remove_tree
from grader.sandbox.spawn import Site
from grader.target.function import Module
from grader.target.site import SiteTarget
from grader.target.transcript import show_value
from grader.target.wsgi import WsgiTarget, files_below
from grader.tests.grading.specimens import RUN_STUB, grade_source, verdicts

LONG_NAME = """
class Odd(Exception): pass
Odd.__name__ = "\\x1b[2J" + "A" * 9_000_000
def backwards(text): raise Odd()
"""
HALF_AN_EXCEPTION = """
import os
for descriptor in range(3, 20):
    try:
        os.write(descriptor, b'{"raised": {"type": "x", "message": "m", "mro": [], "attrs": [], "frames": []}}\\n')
    except OSError:
        pass
"""


@pytest.mark.parametrize(
    "body",
    [
        "def backwards(text): return 10 ** 5000",
        "def backwards(text): return [{1: 10 ** 5000}]",
        LONG_NAME,
        HALF_AN_EXCEPTION,
    ],
    ids=["a number beyond repr", "a number beyond repr, inside", "a name of nine million letters", "half an exception"],
)
def test_an_answer_breaks_nothing(tmp_path: Path, body: str) -> None:
    card = grade_source(tmp_path, RUN_STUB + body)
    assert card.points == 0
    assert not card.broken, verdicts(card)


def test_a_number_beyond_repr_is_shown_in_words() -> None:
    assert "more than" in show_value(Record("R", {"n": 10**5000}))
    assert show_value([1, "a"]) == "[1, 'a']"


MANY_FOLDERS = """
import os
here = os.getcwd()
os.chdir(os.environ["HOME"])
for _ in range(2000):
    os.mkdir("d")
    os.chdir("d")
open("left", "w").close()
os.chdir(here)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows bounds the length of a path")
def test_folders_without_end_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    card = grade_source(tmp_path / "in", MANY_FOLDERS + RUN_STUB)
    assert not card.broken
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.skipif(child_uid() is None or not landlock_holds(), reason="needs a user of its own for the children")
def test_nothing_is_left_in_shared_memory(tmp_path: Path) -> None:
    left = Path("/dev/shm") / f"left-{os.getpid()}"
    grade_source(
        tmp_path, f"import os\nos.makedirs('{left}/inside', exist_ok=True)\nopen('{left}/file', 'w')\n" + RUN_STUB
    )
    assert not left.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="modes are for POSIX")
def test_a_closed_folder_is_removed_and_no_link_is_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    closed = tmp_path / "scratch" / "a" / "closed"
    closed.mkdir(parents=True)
    (closed / "file").touch()
    (closed / "link").symlink_to(outside)
    (tmp_path / "scratch" / "link").symlink_to(outside)
    closed.chmod(0)
    remove_tree(tmp_path / "scratch")
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert (outside / "kept").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a privilege")
def test_the_judge_follows_no_link_of_a_submission(tmp_path: Path) -> None:
    outside, link = tmp_path / "outside", tmp_path / "link"
    outside.write_bytes(b"secret")
    link.symlink_to(outside)
    with pytest.raises(Complaint):
        read_made(link)
    with pytest.raises(Complaint):
        write_new(link, b"overwritten")
    with pytest.raises(Complaint):
        read_made(tmp_path)
    assert outside.read_bytes() == b"secret"
    write_new(tmp_path / "new", b"new")
    assert read_made(tmp_path / "new") == b"new"


STATUS = """
def create_application():
    def application(environ, start_response):
        start_response("1" * 5000 + " OK", [])
        return [b""]
    return application
"""


def test_a_status_of_five_thousand_digits_is_none(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "main.py").write_text(STATUS, encoding="utf-8")
    module = Module(Site(tmp_path, tmp_path / "in", "process"), "main.py")
    try:
        app = WsgiTarget(module, tmp_path / "in", files_below(tmp_path / "in")).open("create_application")
        reply = app.get("/")
    finally:
        module.close()
    assert reply.status == 0
    assert "three digits" in "".join(reply.oddities)


SERVER = """
import socket, sys, threading, time, zlib
port = int(sys.argv[sys.argv.index("--port") + 1])
def answer(client):
    client.recv(65536)
    try:
        while True:
            {body}
    except OSError:
        pass
with socket.create_server(("127.0.0.1", port)) as listener:
    print(f"http://127.0.0.1:{{port}}/", flush=True)
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()
"""
ENDLESS = {
    "drip": 'client.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n"); [time.sleep(1) or client.sendall(b"x") for _ in "x" * 9]',
    "interim": 'client.sendall(b"HTTP/1.1 100 Continue\\r\\n\\r\\n" * 100)',
    "body": 'client.sendall(b"HTTP/1.1 200 OK\\r\\n\\r\\n" + b"x" * 1000000); client.sendall(b"x" * 20_000_000)',
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_site_is_not_waited_for_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr("grader.target.site.REPLY_SECONDS", 1.5)
    (tmp_path / "main.py").write_text(SERVER.format(body=ENDLESS[kind]), encoding="utf-8")
    running = SiteTarget(Site(tmp_path, tmp_path, "process"), "main.py").start()
    try:
        with pytest.raises(Complaint) as caught:
            running.get("/")
    finally:
        running.kill()
    assert caught.value.verdict is (Verdict.FAILED if kind == "body" else Verdict.TIMEOUT)
