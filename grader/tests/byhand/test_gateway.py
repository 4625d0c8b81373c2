"""The gateway between a browser and a CGI program, by RFC 3875."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from grader.byhand import gateway as gateway_module
from grader.byhand.gateway import Gateway
from grader.byhand.workplace import workplace
from grader.model import UsageError
from grader.sandbox.policy import Policy
from grader.target.cgi import CgiTarget
from grader.tests.grading.specimens import TINY, submit

SCRIPT = "/cgi-bin/tiny.py"
ECHO = """
import os, sys
length = int(os.environ.get("CONTENT_LENGTH") or 0)
print("Content-Type: text/plain\\nX-Two: 1\\nX-Two: 2\\n")
for name in sorted(os.environ):
    if name not in ("PATH", "HOME", "TMPDIR", "TEMP", "TMP", "LC_CTYPE", "SYSTEMROOT", "LANG", "TZ"):
        print(f"{name}={os.environ[name]}")
print(sys.stdin.buffer.read(length))
"""


class Setting:
    """A gateway in front of a program that can be replaced."""

    def __init__(self, folder: Path, gateway: Gateway, said: list[str]) -> None:
        self.folder, self.gateway, self.said = folder, gateway, said

    def program(self, source: str) -> None:
        submit(self.folder, source)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, str]:
        connection = http.client.HTTPConnection(*self.gateway.address, timeout=15)
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        return reply.status, reply.headers, text


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    submission = submit(tmp_path, ECHO)
    said: list[str] = []
    with workplace(submission, TINY) as place, Gateway(place, 8000, said.append) as gateway:
        thread = threading.Thread(target=gateway.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield Setting(tmp_path, gateway, said)
        gateway.shutdown()


def test_a_request_becomes_variables(setting: Setting) -> None:
    status, headers, text = setting.ask(
        "GET",
        f"{SCRIPT}/extra%20path?a=%31&b",
        headers={"Host": "example.org:8000", "X-Some-Thing": "1", "Proxy": "http://evil", "Authorization": "Basic x"},
    )
    assert status == 200
    assert headers.get_all("X-Two") == ["1", "2"]
    assert text.splitlines() == [
        "GATEWAY_INTERFACE=CGI/1.1",
        "HTTP_ACCEPT_ENCODING=identity",
        "HTTP_HOST=example.org:8000",
        "HTTP_X_SOME_THING=1",
        "PATH_INFO=/extra path",
        "QUERY_STRING=a=%31&b",
        "REMOTE_ADDR=127.0.0.1",
        "REQUEST_METHOD=GET",
        f"SCRIPT_NAME={SCRIPT}",
        "SERVER_NAME=example.org",
        "SERVER_PORT=8000",
        "SERVER_PROTOCOL=HTTP/1.1",
        "SERVER_SOFTWARE=grader",
        "b''",
    ]


def test_a_form_arrives_with_length_and_type(setting: Setting) -> None:
    _, _, text = setting.ask("POST", SCRIPT, b"a=1&b=2", {"Content-Type": "application/x-www-form-urlencoded"})
    assert "CONTENT_LENGTH=7" in text
    assert "CONTENT_TYPE=application/x-www-form-urlencoded" in text
    assert "b'a=1&b=2'" in text
    assert "HTTP_CONTENT" not in text


def test_bytes_of_the_address_arrive_as_bytes(setting: Setting) -> None:
    setting.program("import os, sys\nsys.stdout.write('Content-Type: a/b\\n\\n' + ascii(os.environb[b'PATH_INFO']))")
    assert setting.ask("GET", f"{SCRIPT}/%C3%A9%ff")[2] == r"b'/\xc3\xa9\xff'"


@pytest.mark.parametrize(
    ("output", "status", "body"),
    [
        pytest.param(r"Status: 404 Gone Fishing\nContent-Type: a/b\n\nx", 404, "x", id="status"),
        pytest.param(r"Location: http://127.0.0.1/x\n\n", 302, "", id="redirect"),
        pytest.param(r"Status: 303\nLocation: /x\nContent-Type: a/b\n\nx", 303, "x", id="redirect with a body"),
        pytest.param(r"Status: 204\n\n", 204, "", id="no content"),
    ],
)
def test_what_the_program_says_becomes_the_answer(setting: Setting, output: str, status: int, body: str) -> None:
    setting.program(f"print('{output}', end='')")
    got, headers, text = setting.ask("GET", SCRIPT)
    assert (got, text) == (status, body)
    assert "Status" not in headers


def test_a_local_redirect_is_answered_as_if_it_had_been_asked_for(setting: Setting) -> None:
    setting.program(
        "import os\nif os.environ['REQUEST_METHOD'] == 'POST':\n"
        f"    print('Location: {SCRIPT}?from=post\\n')\n"
        "else:\n    print('Content-Type: a/b\\n\\n' + os.environ['QUERY_STRING'] + str('CONTENT_LENGTH' in os.environ))"
    )
    assert setting.ask("POST", SCRIPT, b"a=1")[2] == "from=postFalse\n"


def test_redirects_without_end_are_stopped(setting: Setting) -> None:
    setting.program(f"print('Location: {SCRIPT}\\n')")
    status, _, text = setting.ask("GET", SCRIPT)
    assert status == 500
    assert "local redirects in a row" in text


def test_every_method_is_the_programs_own_business(setting: Setting) -> None:
    assert "REQUEST_METHOD=PROPFIND" in setting.ask("PROPFIND", SCRIPT)[2]
    status, headers, text = setting.ask("HEAD", SCRIPT)
    assert (status, text) == (200, "")
    assert headers["Content-Type"] == "text/plain"


@pytest.mark.parametrize(
    ("source", "status", "parts"),
    [
        pytest.param("raise ValueError('<oh>')", 500, ["exit status 1", "ValueError: &lt;oh&gt;"], id="dies"),
        pytest.param("print('hello')", 500, ["a blank line", "hello"], id="no head"),
        pytest.param("while True: pass", 504, ["no answer within"], id="hangs"),
        pytest.param(
            "raise NotImplementedError('step page: page() is yours to write')", 500, ["Not written yet"], id="stub"
        ),
    ],
)
def test_a_program_that_gives_no_answer_is_explained(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, source: str, status: int, parts: list[str]
) -> None:
    monkeypatch.setattr(gateway_module, "CgiTarget", partial(CgiTarget, policy=Policy(wall=1.0)))
    setting.program(source)
    got, headers, text = setting.ask("GET", SCRIPT)
    assert got == status
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    for part in parts:
        assert part in text
    assert "<oh>" not in text


def test_error_output_reaches_the_person_with_their_own_paths(setting: Setting) -> None:
    setting.program("import sys\nprint(__file__, file=sys.stderr)\nprint('Content-Type: a/b\\n')")
    setting.ask("GET", SCRIPT)
    assert "".join(setting.said).strip() == "specimen/tiny/cgi-bin/tiny.py"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"Content-Length": "5x"}, 400, id="no number"),
        pytest.param({"Content-Length": "99999999999"}, 413, id="too large"),
        pytest.param({"Transfer-Encoding": "chunked"}, 411, id="chunked"),
    ],
)
def test_bodies_that_cannot_be_passed_on_are_refused(setting: Setting, headers: dict[str, str], status: int) -> None:
    got, reply, _ = setting.ask("POST", SCRIPT, None, headers)
    assert got == status
    assert reply["Connection"] == "close"


def test_the_front_page_leads_to_the_program_and_the_rest_is_not_found(setting: Setting) -> None:
    status, headers, _ = setting.ask("GET", "/")
    assert (status, headers["Location"]) == (302, SCRIPT)
    for path in ("/favicon.ico", "/cgi-bin/", SCRIPT + "x", SCRIPT + "/%00"):
        status, _, text = setting.ask("GET", path)
        assert status == 404
        assert f'href="{SCRIPT}"' in text


def test_a_changed_file_is_used_by_the_next_request(setting: Setting) -> None:
    for word in ("first", "second", "third"):
        setting.program(f"print('Content-Type: a/b\\n\\n{word} version')")
        assert setting.ask("GET", SCRIPT)[2] == f"{word} version\n"


def test_a_file_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    submission = submit(tmp_path, ECHO)
    (tmp_path / "tiny" / TINY.main).unlink()
    with pytest.raises(UsageError, match=r"specimen/tiny/cgi-bin/tiny\.py does not exist"):
        with workplace(submission, TINY):
            pass
