"""The model server under clients that other people wrote: libraries, curl, a load generator and a browser."""

from __future__ import annotations

import concurrent.futures
import http.client
import json
import mmap
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import h11
import pytest
import requests

from grader.target.webroot import CANARY, Webroot, build_webroot
from grader.tests.clients.browser import chromium
from grader.tests.clients.programs import require_program
from grader.tests.clients.socket_servers import KIT, Running, running

FEW_SECONDS = 20


@pytest.fixture(scope="module")
def webroot(tmp_path_factory: pytest.TempPathFactory) -> Webroot:
    found = build_webroot(KIT / "webroot", tmp_path_factory.mktemp("served"))
    shutil.copy(KIT / "solutions" / "cgi_calculator" / "cgi-bin" / "cgi_calc.py", found.root / "cgi-bin")
    return found


@pytest.fixture(scope="module")
def server(webroot: Webroot, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(webroot.root.resolve(), tmp_path_factory.mktemp("log") / "log", "--timeout", "5") as found:
        yield found


def curl(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    program = require_program("curl")
    command = [program, "--silent", "--show-error", "--noproxy", "*", "--max-time", str(FEW_SECONDS), *arguments]
    return subprocess.run(command, capture_output=True, timeout=FEW_SECONDS + 5, check=False)


def head_of(done: subprocess.CompletedProcess[bytes]) -> tuple[str, dict[str, str], bytes]:
    """Status line, fields in lower case, and content of what `curl -i` printed."""
    assert done.returncode == 0, done.stderr
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    return first, {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}, body


# h11: a client that refuses whatever RFC 9112 forbids.


def h11_answers(port: int, targets: list[tuple[str, str]]) -> list[tuple[int, bytes]]:
    """One connection, one request after the other, each answer taken apart by h11."""
    results = []
    connection = h11.Connection(h11.CLIENT)
    with socket.create_connection(("127.0.0.1", port), FEW_SECONDS) as sock:
        for method, target in targets:
            sock.sendall(connection.send(h11.Request(method=method, target=target, headers=[("Host", "localhost")])))
            sock.sendall(connection.send(h11.EndOfMessage()))
            status, body = 0, b""
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(sock.recv(65536))
                elif isinstance(event, h11.Response):
                    status = event.status_code
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    break
            results.append((status, body))
            connection.start_next_cycle()
    return results


def test_h11_reads_every_kind_of_answer_on_one_connection(server: Running, webroot: Webroot) -> None:
    notes = (webroot.root / "notes.txt").read_bytes()
    targets = [
        ("GET", "/notes.txt"), ("HEAD", "/notes.txt"), ("GET", "/nothing"), ("GET", "/docs"), ("GET", "/docs/"),
        ("DELETE", "/notes.txt"), ("OPTIONS", "*"), ("BREW", "/"), ("GET", "/make_time.py"), ("HEAD", "/large.bin"),
        ("GET", "/large.bin"), ("GET", "/empty.txt"), ("GET", "/cgi-bin/crash.py"), ("GET", "/notes.txt"),
    ]  # fmt: skip
    answers = h11_answers(server.port, targets)
    assert [status for status, _ in answers] == [200, 200, 404, 301, 200, 405, 204, 501, 200, 200, 200, 200, 502, 200]
    assert answers[0][1] == answers[-1][1] == notes
    assert answers[1][1] == b""
    assert answers[10][1] == (webroot.root / "large.bin").read_bytes()


def test_http_client_keeps_a_connection_and_posts_in_chunks(server: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=FEW_SECONDS)
    connection.request("GET", "/data.json")
    assert json.loads(connection.getresponse().read())["name"] == "webroot"
    first = connection.sock
    connection.request("POST", "/cgi-bin/show.py", body=iter([b"one ", b"two"]), encode_chunked=True)
    answer = connection.getresponse()
    assert (answer.status, answer.version) == (200, 11)
    assert b"BODY=b'one two'" in answer.read()
    assert connection.sock is first
    connection.close()


def test_requests_follows_redirects_and_uses_validators(server: Running) -> None:
    with requests.Session() as session:
        session.trust_env = False
        listing = session.get(server.url + "/docs", timeout=FEW_SECONDS)
        assert (listing.status_code, listing.url) == (200, server.url + "/docs/")
        assert listing.encoding == "utf-8"
        first = session.get(server.url + "/notes.txt", timeout=FEW_SECONDS)
        headers = {"If-None-Match": first.headers["ETag"]}
        again = session.get(server.url + "/notes.txt", headers=headers, timeout=FEW_SECONDS)
        assert (again.status_code, again.content) == (304, b"")
        odd = session.get(server.url + "/names/grüße.txt", timeout=FEW_SECONDS)
        assert odd.text.startswith("Letters outside ASCII")


def test_curl_sees_headers_ranges_and_versions(server: Running, webroot: Webroot) -> None:
    large = (webroot.root / "large.bin").read_bytes()
    first, fields, body = head_of(curl("-i", "-r", "1000-1999", server.url + "/large.bin"))
    assert first.startswith("HTTP/1.1 206")
    assert (fields["content-range"], body) == (f"bytes 1000-1999/{len(large)}", large[1000:2000])
    first, fields, _ = head_of(curl("-i", "--http1.0", server.url + "/notes.txt"))
    assert first.startswith("HTTP/1.1 200")
    assert fields["connection"] == "close"
    first, fields, body = head_of(curl("-I", server.url + "/large.bin"))
    assert (fields["content-length"], body) == (str(len(large)), b"")


def test_curl_resumes_a_download(server: Running, webroot: Webroot, tmp_path: Path) -> None:
    large = (webroot.root / "large.bin").read_bytes()
    partial = tmp_path / "large.bin"
    partial.write_bytes(large[:700_000])
    assert curl("-C", "-", "-o", str(partial), server.url + "/large.bin").returncode == 0
    assert partial.read_bytes() == large


def test_curl_never_gets_out_of_the_root(server: Running) -> None:
    for target in ("/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/../www-private/secret.txt"):
        first, _, body = head_of(curl("-i", "--path-as-is", server.url + target))
        assert first.split(" ")[1] in ("400", "403", "404")
        assert CANARY not in body


def test_curl_waits_for_100_continue_before_it_sends_much(server: Running, tmp_path: Path) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(b"x" * 900_000)
    done = curl("-v", "-H", "Expect: 100-continue", "--data-binary", f"@{upload}", server.url + "/cgi-bin/show.py")
    assert done.returncode == 0
    assert b"HTTP/1.1 100 Continue" in done.stderr
    assert b"CONTENT_LENGTH=900000" in done.stdout
    refused = curl("-v", "-H", "Expect: 100-continue", "-H", "Content-Length: 99999999", "-X", "POST", server.url + "/")
    assert b" 413 " in refused.stderr


def test_curl_fetches_many_files_in_parallel(server: Running, webroot: Webroot, tmp_path: Path) -> None:
    names = [path.name for path in sorted((webroot.root / "docs" / "chapters").iterdir()) if path.is_file()]
    names = [f"docs/chapters/{name}" for name in names] + ["notes.txt", "large.bin", "images/dawn.png", "style.css"]
    urls = [part for name in names * 4 for part in ("-o", str(tmp_path / "#1" / name), f"{server.url}/{name}")]
    assert curl("--parallel", "--parallel-max", "16", "--create-dirs", *urls).returncode == 0
    for name in names:
        assert (tmp_path / "#1" / name).read_bytes() == (webroot.root / name).read_bytes()


def test_the_calculator_of_the_first_exercise_runs_as_its_cgi_program(server: Running) -> None:
    target = "/cgi-bin/cgi_calc.py?user=jdoe&operand=0.1&operand=0.2&operation=add"
    first, fields, body = head_of(curl("-i", server.url + target))
    assert first.startswith("HTTP/1.1 200")
    assert fields["content-type"].startswith("text/html")
    assert b">0.3<" in body
    data = ["--data-urlencode", "operand=20", "--data-urlencode", "operand=22", "--data-urlencode", "operation=add"]
    _, _, body = head_of(curl("-i", *data, server.url + "/cgi-bin/cgi_calc.py"))
    assert b">42<" in body


def test_a_load_generator_gets_nothing_but_answers(server: Running) -> None:
    program = require_program("wrk")
    for extra in ([], ["-H", "Connection: close"]):
        command = [program, "-t1", "-c32", "-d1s", *extra, server.url + "/notes.txt"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=FEW_SECONDS, check=True)
        assert "Non-2xx" not in done.stdout
        assert "Socket errors" not in done.stdout, done.stdout
        count = int(done.stdout.partition(" requests in ")[0].split()[-1])
        assert count > 200


def test_ab_speaks_http_1_0_with_keep_alive(server: Running) -> None:
    program = require_program("ab")
    command = [program, "-q", "-k", "-n", "2000", "-c", "16", server.url + "/notes.txt"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=FEW_SECONDS, check=True)
    assert "Failed requests:        0" in done.stdout
    assert "Keep-Alive requests:    2000" in done.stdout


def test_three_hundred_silent_clients_do_not_keep_the_next_one_waiting(server: Running) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        silent = list(pool.map(lambda _: socket.create_connection(("127.0.0.1", server.port), 5), range(300)))
    try:
        assert requests.get(server.url + "/notes.txt", timeout=FEW_SECONDS).status_code == 200
    finally:
        for sock in silent:
            sock.close()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads a process's memory from /proc")
def test_memory_does_not_grow_with_the_number_of_requests(server: Running) -> None:
    def pages() -> int:
        return int(Path(f"/proc/{server.pid}/statm").read_text(encoding="ascii").split()[1])

    program = require_program("ab")
    command = [program, "-q", "-k", "-n", "5000", "-c", "8", server.url + "/notes.txt"]
    subprocess.run(command, capture_output=True, timeout=60, check=True)
    before = pages()
    for _ in range(3):
        subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert pages() - before < 2_000_000 // mmap.PAGESIZE


def test_a_browser_shows_the_page_with_its_style_and_pictures(server: Running) -> None:
    with chromium() as browser:
        page = browser.new_page()
        failed: list[str] = []
        page.on("requestfailed", lambda request: failed.append(request.url))
        page.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
        page.goto(server.url + "/")
        assert page.title() == "It serves"
        widths = page.evaluate("Array.from(document.images).map(image => image.complete ? image.naturalWidth : 0)")
        assert len(widths) == 2
        assert min(widths) > 0
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert colour == "rgb(251, 247, 239)"
        assert failed == []
        page.goto(server.url + "/names")
        assert page.url == server.url + "/names/"
        names = page.eval_on_selector_all("li a", "links => links.map(link => link.textContent)")
        assert {"salt & pepper.txt", "100%.txt", "grüße.txt", "once%20only.txt"} <= set(names)
        page.get_by_text("once%20only.txt").click()
        assert "Decode the address once" in page.inner_text("body")
        page.goto(server.url + "/odd/")
        page.get_by_text("<b>.txt", exact=True).click()
        assert page.inner_text("body") == "<b>.txt"
