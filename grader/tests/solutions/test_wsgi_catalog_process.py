"""The catalog's model code as a process: its start, its own server, its end."""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from grader.tests.clients.wsgi_servers import running
from grader.tests.solutions.test_wsgi_catalog import MAIN, MOMO, SEED, SEEDED, catalog


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def refused(tmp_path: Path, *arguments: str) -> bytes:
    """What the command line says when it does not start."""
    done = subprocess.run([sys.executable, str(MAIN), *arguments], cwd=tmp_path, capture_output=True, timeout=30)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
    return done.stderr


def test_importing_it_makes_no_file(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv[1]); import main", str(MAIN.parent)]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=30, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    assert list(tmp_path.iterdir()) == []


def test_the_kit_s_seed_is_found_and_a_wrong_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CATALOG_SEED", raising=False)
    assert Path(catalog.default_seed()) == SEED
    monkeypatch.setenv("CATALOG_SEED", "elsewhere.json")
    assert catalog.default_seed() == "elsewhere.json"
    assert b"no.json" in refused(tmp_path, "--seed", "no.json")


def test_a_database_that_cannot_be_made_is_refused_at_the_start(tmp_path: Path) -> None:
    assert b"missing/catalog.json" in refused(tmp_path, "--db", "missing/catalog.json")
    assert b"a file in a folder that exists" in refused(tmp_path, "--db", ".")


def test_an_address_that_cannot_be_had_is_refused_at_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"port {port}".encode() in refused(tmp_path, "--port", port)
    assert b"port 70000" in refused(tmp_path, "--port", "70000")
    assert b"host ::z" in refused(tmp_path, "--host", "::z")


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_it_listens_at_an_ipv6_address_and_prints_it_as_an_address(tmp_path: Path) -> None:
    command = [sys.executable, str(MAIN), "--host", "::1", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r" http://\[::1\]:([0-9]+)/$", line)
            assert found, line
            connection = http.client.HTTPConnection("::1", int(found[1]), timeout=10)
            connection.request("GET", "/")
            assert connection.getresponse().status == 200
            connection.close()
        finally:
            process.kill()


def test_its_server_says_no_length_where_there_is_nothing(tmp_path: Path) -> None:
    db = tmp_path / "catalog.json"
    with running([sys.executable, str(MAIN), "--port", "0", "--db", str(db)], tmp_path, db, SEED) as (url, _):
        deleted = requests.delete(f"{url}/books/1", timeout=10)
        assert (deleted.status_code, deleted.headers.get("Content-Length"), deleted.content) == (204, None, b"")
        head = requests.head(f"{url}/books/2", timeout=10)
        page = requests.get(f"{url}/books/2", timeout=10)
        assert head.headers["Content-Length"] == page.headers["Content-Length"] == str(len(page.content))


def test_a_client_that_leaves_says_nothing_in_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    """What happens when no first line comes within Handler.timeout, without waiting for it."""
    with catalog.Server("127.0.0.1", 0) as server:
        try:
            raise TimeoutError("timed out")
        except TimeoutError:
            server.handle_error(None, ("127.0.0.1", 1))
        assert capfd.readouterr().err == ""
        try:
            raise KeyError("a mistake of ours")
        except KeyError:
            server.handle_error(None, ("127.0.0.1", 1))
        assert "a mistake of ours" in capfd.readouterr().err


def test_a_restarted_server_serves_what_the_killed_one_promised(tmp_path: Path) -> None:
    db = tmp_path / "catalog.json"
    command = [sys.executable, str(MAIN), "--port", "0", "--db", str(db)]
    with running(command, tmp_path, db, SEED) as (url, process):
        added = requests.post(f"{url}/books", json=MOMO, timeout=10).json()
        process.kill()
        process.wait(10)
    with running(command, tmp_path, db, SEED) as (url, _):
        assert requests.get(
            f"{url}/books/{added['id']}", headers={"Accept": "application/json"}, timeout=10
        ).json() == {
            **MOMO,
            "id": SEEDED + 1,
        }
