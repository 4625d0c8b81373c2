"""Programs: as functions, then over the wire."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from hypothesis import strategies as st

from grader.checks.socket_server.wire import Fields, because, chunked, expect_allow, last, request, tokens, values
from grader.engine import check, expect, fuzz
from grader.sandbox.worker import Returned
from grader.target.function import Module
from grader.target.http1 import HttpReply
from grader.target.socket import SocketTarget
from grader.target.transcript import show_bytes
from grader.target.webroot import LOGGED, ODD_OUTPUTS, SOURCE_CANARY

SCRIPTS = {
    "/cgi-bin/calc.py/a/b": ("/cgi-bin/calc.py", "/a/b"),
    "/cgi-bin/calc.py": ("/cgi-bin/calc.py", ""),
    "/make_time.py": ("/make_time.py", ""),
    "/make_time.py/": ("/make_time.py", "/"),
    "/MAKE.PY/x.py": ("/MAKE.PY", "/x.py"),
    "/cgi-bin/a b.Py/": ("/cgi-bin/a b.Py", "/"),
    "/": None,
    "/notes.txt": None,
    "/docs/example.py": None,
    "/cgi-bin/": None,
    "/cgi-bin": None,
    "/cgi-bin/old/x.py": None,
    "/cgi-bin/notes.txt": None,
    "/a/cgi-bin/x.py": None,
    "/py": None,
    "/x.pyc": None,
    "/x.py.txt": None,
}
AT_ONCE = 8  # scripts
SLEEPERS = 2  # scripts that sleep meanwhile
MAY_STAY = 5  # processes that a server may have more for a while: the sleeping scripts are among them
OTHERS = f"status 200: {SLEEPERS} scripts sleep, and others are run meanwhile"
LEFT_OUT = ("content-length", "transfer-encoding", "connection", "authorization", "proxy", "x_a")
OUTPUTS: dict[bytes, tuple[int, Fields, bytes]] = {
    b"Content-Type: text/plain\n\nhello": (200, [("content-type", "text/plain")], b"hello"),
    b"Content-Type: text/plain\r\n\r\na\r\n\r\nb": (200, [("content-type", "text/plain")], b"a\r\n\r\nb"),
    b"Status: 404 Gone away\nX-A: 1\nX-A: 2\n\n": (404, [("x-a", "1"), ("x-a", "2")], b""),
    b"status:201\r\nContent-Type: a/b\n\r\n\n": (201, [("content-type", "a/b")], b"\n"),
    b"Location: http://a/\n\n": (302, [("location", "http://a/")], b""),
    b"Status: 301 x\nLocation: /b\n\nx": (301, [("location", "/b")], b"x"),
    b"Content-Type: a/b\nContent-Length: 5\nConnection: close\nTransfer-Encoding: chunked\nServer: x\nDate: y\n\n12": (
        200, [("content-type", "a/b")], b"12"),
}  # fmt: skip
BAD_OUTPUTS = (
    b"", b"hello", b"hello\n\n", b"\nhello", b"Content-Type: text/plain\n", b"Content-Type text/plain\n\n",
    b"X-A: 1\n\n",
    b"Status: OK\n\n", b"Status: 99\n\n", b"Status: 700\n\n", b"Status: 100\n\n", b"Status: 2000\n\n", b"Status:\n\n",
    b"Content-Type : a/b\n\n", b"Content-Type: a/b\n x\n\n", b"Content-Type: a\x00b\n\n",
    b"Content-Type: a/b\rX: y\n\n", b"Traceback\n\n\n",
)  # fmt: skip


# A body that nobody can find the end of -> how its field and bytes look. A reader that guesses runs the script with it.
UNFRAMED = {
    "gzip before chunked": ("gzip, chunked", b"3\r\nabc\r\n0\r\n\r\n"),
    "chunked, but not last": ("chunked, gzip", b"3\r\nabc\r\n0\r\n\r\n"),
    "an unknown coding": ("xchunked", b"3\r\nabc\r\n0\r\n\r\n"),
    "no CR LF after a chunk": ("chunked", b"3\r\nabcXX0\r\n\r\n"),
    "a size with a sign": ("chunked", b"+3\r\nabc\r\n0\r\n\r\n"),
    "a size with 0x": ("chunked", b"0x3\r\nabc\r\n0\r\n\r\n"),
    "a size behind a space": ("chunked", b" 3\r\nabc\r\n0\r\n\r\n"),
    "a size with an underscore": ("chunked", b"0_3\r\nabc\r\n0\r\n\r\n"),
}


def run(server: SocketTarget, target: str, *fields: str, method: str = "GET", body: bytes = b"") -> HttpReply:
    """One request to a script."""
    return server.exchange(last(target, *fields, method=method, body=body), method=method)


def variables(reply: HttpReply) -> dict[str, str]:
    """What show.py printed: its environment, its folder and its body."""
    expect(reply).status(200)
    return dict(line.split("=", 1) for line in reply.text.splitlines() if "=" in line)


@check("cgi/script", points=1, source="kit rule")
def test_which_paths_are_scripts(module: Module) -> None:
    """split_script() finds a .py in the root folder or in /cgi-bin, and what follows it; elsewhere there is none.

    README, "Programs": scripts lie in the root folder itself and in /cgi-bin; nothing else is ever run.
    """
    for path, expected in SCRIPTS.items():
        called = module.call("split_script", path)
        if expected is None:
            expect(called).returns(None)
        else:
            expect(called).returns_sequence(list(expected))


@check("cgi/variables", points=1, source="RFC 3875 section 4.1.18")
@fuzz(share=0.4, pairs=st.lists(st.tuples(tokens.map(str.lower) | st.sampled_from(LEFT_OUT), values), max_size=5))
def test_header_fields_become_variables(module: Module, pairs: Fields) -> None:
    """header_variables() makes HTTP_... variables of header fields, joins repeats, and leaves the dangerous out.

    Names become HTTP_ and capitals. Proxy and names with _ are left out: they would pass for other settings.
    """
    expected: dict[str, str] = {}
    for name, value in [*pairs, ("content-type", "a/b"), ("accept", "1"), ("accept", "2"), ("x-a", "3")]:
        if name not in LEFT_OUT and "_" not in name:
            key = "CONTENT_TYPE" if name == "content-type" else "HTTP_" + name.upper().replace("-", "_")
            expected[key] = f"{expected[key]}, {value}" if key in expected else value
    fields = [*pairs, ("content-type", "a/b"), ("accept", "1"), ("accept", "2"), ("x-a", "3")]
    expect(module.call("header_variables", fields)).returns(expected)


@check("cgi/output", points=1, source="RFC 3875 section 6")
@fuzz(share=0.2, noise=st.binary(max_size=30))
def test_the_output_of_a_script(module: Module, noise: bytes) -> None:
    """parse_script_output() takes status, fields and content apart, or raises HttpError with status 502.

    A script answers with header lines, an empty line and content; what is not like that is no answer: 502.
    """
    for output, expected in OUTPUTS.items():
        expect(module.call("parse_script_output", output)).returns_sequence(list(expected))
    for output in BAD_OUTPUTS:
        expect(module.call("parse_script_output", output)).raises("HttpError", status=502)
    called = module.call("parse_script_output", b"Content-Type: a/b\n" + noise)
    if not isinstance(called, Returned):
        expect(called).raises("HttpError", status=502)


@check("cgi/run", points=1, source="kit rule", needs=("serve/file",))
def test_a_script_is_run(server: SocketTarget) -> None:
    """/make_time.py and scripts in /cgi-bin are run for each request, and their output is the answer.

    README, "Programs": what a script prints after its header is the content of the answer.
    """
    expect(run(server, "/make_time.py")).status(200).body_has("It is ", "(UTC)")
    reply = run(server, "/cgi-bin/large.py")
    expect(reply).status(200).that(len(reply.body) == 300_000, expected="300000 bytes", got=f"{len(reply.body)} bytes")
    expect(server.exchange(request("/make_time.py"), half_close=True)).status(200).body_has("It is ")


@check("cgi/environment", points=1, source="RFC 3875 section 4.1", needs=("cgi/run",))
def test_the_environment_of_a_script(server: SocketTarget) -> None:
    """A script finds the request in its environment, and nothing of the server's own environment.

    A script knows its request from these variables alone. HTTP_PROXY and the server's own settings are not for it.
    """
    target = "/cgi-bin/show.py/extra%20path/%C3%BC%2541/?x=%20y+z&a=b?c"
    raw = last(target, "X-One: 1", "X-One: 2", "Proxy: evil", "Content-Type: a/b")
    reply = server.exchange(raw.replace(b"Host: localhost", b"Host: localhost:"))
    found = variables(reply)
    expected = {
        "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "SCRIPT_NAME": "/cgi-bin/show.py",
        "QUERY_STRING": "x=%20y+z&a=b?c",
        "PATH_INFO": "/extra path/\xfc%41/", "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_PORT": str(server.port),
        "REMOTE_ADDR": "127.0.0.1", "HTTP_X_ONE": "1, 2", "HTTP_HOST": "localhost:", "CONTENT_TYPE": "a/b",
    }  # fmt: skip
    for name, value in expected.items():
        got = f"{name}={found[name]}" if name in found else f"no variable {name}"
        expect(reply).that(found.get(name) == value, expected=f"{name}={value}", got=got)
    # RFC 3875 section 4.1.14: the host that the client named, or the server's own.
    named = found.get("SERVER_NAME") in ("localhost", "127.0.0.1")
    got = f"SERVER_NAME={found['SERVER_NAME']}" if "SERVER_NAME" in found else "no variable SERVER_NAME"
    expect(reply).that(named, expected="SERVER_NAME=localhost or SERVER_NAME=127.0.0.1", got=got)
    for name in ("HTTP_PROXY", "CONTENT_LENGTH", "HOME"):
        expect(reply).that(name not in found, expected=f"no variable {name}", got=f"{name}={found.get(name)}")
    folder = str(server.webroot.root / "cgi-bin")
    expect(reply).that(found.get("CWD") == folder, expected="the script's own folder as current directory")
    reply = server.exchange(last("/cgi-bin/show.py").replace(b"Host: localhost", b"Host: [::1]:80"))
    empty = variables(reply)
    got = repr(empty.get("QUERY_STRING"))
    expect(reply).that(empty.get("QUERY_STRING") == "", expected="an empty QUERY_STRING", got=got)
    for name in ("PATH_INFO", "HTTP_X_ONE"):  # the request before this one had both
        expect(reply).that(not empty.get(name), expected=f"no variable {name}", got=f"{name}={empty.get(name)}")
    named = empty.get("SERVER_NAME") in ("[::1]", "::1", "127.0.0.1")
    got = f"SERVER_NAME={empty.get('SERVER_NAME')}"
    expect(reply).that(named, expected="SERVER_NAME=[::1] or SERVER_NAME=127.0.0.1", got=got)
    with because("a NUL in a value is refused, or read as a space (RFC 9110 section 5.5)"):
        reply = run(server, "/cgi-bin/show.py", "X-Nul: a\0b")
        if reply.status != 400:
            got = f"HTTP_X_NUL={variables(reply).get('HTTP_X_NUL')!r}"
            expect(reply).that(got == "HTTP_X_NUL='a b'", expected="status 400, or HTTP_X_NUL='a b'", got=got)


@check("cgi/body", points=1, source="RFC 3875 section 4.2", needs=("cgi/run",))
def test_a_script_reads_the_body(server: SocketTarget) -> None:
    """A POST's body reaches the script's standard input without its framing, and CONTENT_LENGTH is its length.

    A script reads CONTENT_LENGTH bytes from standard input. Chunks are the server's business: it undoes them, or
    refuses.
    """
    body = b"user=j\xc3\xb6&x=%41\r\n\0"
    framings = (
        (f"Content-Length: {len(body)}", body),
        (f"content-length: {len(body)}", body),
        ("TRANSFER-ENCODING: Chunked", chunked([body[:5], body[5:]], ";ext=1", [("T", "1"), ("U", "2")])),
    )
    for field, sent in framings:
        with server.connect() as client:
            reply = client.send(request("/cgi-bin/show.py", field, method="POST", body=sent)).reply()
            found = variables(reply)
            for name, value in (("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", str(len(body))), ("BODY", repr(body))):
                got = f"{name}={found[name]}" if name in found else f"no variable {name}"
                expect(reply).that(found.get(name) == value, expected=f"{name}={value}", got=got)
            if not reply.closes:
                expect(client.send(last("/notes.txt")).reply()).status(200)
    for coding, broken in UNFRAMED.values():
        reply = run(server, "/cgi-bin/show.py", f"Transfer-Encoding: {coding}", method="POST", body=broken)
        expect(reply).status(400, 411, 413, 501)


@check("cgi/answers", points=1, source="RFC 3875 section 6", needs=("cgi/run",))
def test_what_a_script_answers(server: SocketTarget) -> None:
    """A script's Status, Location and fields are passed on, its errors not; what is no response gets 502 (or 500).

    Status and fields of the script become the server's; what it complains about is for the log. No response: 502.
    """
    gone, moved, reply, empty, split, nul = _run_all(server, "gone", "moved", "cookies", "empty", "split", "nul")
    expect(gone).status(410).header("X-Why", "moved on").body_has("not here").body_lacks(LOGGED)
    expect(moved).status(302).header("Location", "http://example.org/new")
    cookies, lengths = reply.headers.get_all("Set-Cookie"), reply.headers.get_all("Content-Length")
    two = "two Set-Cookie fields: a=1, then b=2"
    expect(reply).status(200).that(cookies == ["a=1", "b=2"], expected=two, got=repr(cookies))
    got = f"Content-Length: {', '.join(lengths)}"
    expect(reply).body(b"two cookies").that(len(lengths) < 2, expected="Content-Length once at most", got=got)
    dates = reply.headers.get_all("Date")
    expect(reply).that(len(dates) < 2, expected="Date once, not twice", got=f"Date: {', '.join(dates)}")
    expect(empty).status(204).no_header("Content-Length")
    for odd in (split, nul):  # answers are read strictly: with a CR or NUL in a value they are no HTTP
        expect(odd).status(200, 502, 500)
    with server.connect() as client:
        reply = client.send(last("/cgi-bin/show.py", method="HEAD")).reply("HEAD")
        expect(reply).status(200).header("X-Method", "HEAD")
        rest = client.end()
        expect(reply).that(not rest, expected="no content in the answer to HEAD", got=repr(rest[:200]))
    reply = server.exchange(request("/make_time.py", "Connection: keep-alive", version="HTTP/1.0"))
    expect(reply).status(200).body_has("It is ").no_header("Transfer-Encoding")
    with because('README, "Programs": output that is no CGI response gets 502 (or 500)'):
        nothing = [f"says?{query}" for query in ODD_OUTPUTS]
        same, *others = _run_all(server, *nothing, "crash", "silent")
        expect(same).status(304, 502, 500)
        for reply in others:
            expect(reply).status(502, 500).no_header("Set-Cookie").body_lacks("Traceback")
    for method in ("PUT", "DELETE"):
        reply = run(server, "/make_time.py", "Content-Length: 0", method=method)
        expect(reply).status(405)
        expect_allow(reply, "POST")


def _run_all(server: SocketTarget, *names: str) -> list[HttpReply]:
    """The answers of several scripts that are asked at the same time."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in names]
        for client, name in zip(clients, names, strict=True):
            script, _, query = name.partition("?")
            client.send(last(f"/cgi-bin/{script}.py{'?' * bool(query)}{query}"))
        return [client.reply() for client in clients]


@check("cgi/source", points=1, source="kit rule", needs=("cgi/run",))
def test_the_text_of_a_program_is_never_sent(server: SocketTarget) -> None:
    """A .py elsewhere is neither run nor shown, nor through a link; what is no .py in /cgi-bin is not run.

    README, "Programs": a program's text holds passwords and mistakes, so a .py is run or refused, never sent.
    """
    for target in (
        "/docs/example.py",
        "/docs/example%2epy",
        "/docs/example.p%79",
        "/docs/../docs/example.py",
        "/docs/SHOUT.PY",
        "/cgi-bin/old/x.py",
    ):
        expect(run(server, target)).status(403, 404).body_lacks(SOURCE_CANARY, "run by accident")
    if server.webroot.links:
        expect(run(server, "/peek.txt")).status(403, 404).body_lacks(SOURCE_CANARY)
    plain = (server.webroot.root / "cgi-bin" / "notes.txt").read_bytes()
    expect(run(server, "/cgi-bin/notes.txt")).status(200).body(plain)
    expect(run(server, "/nothing.py")).status(404)
    expect(run(server, "/cgi-bin/nothing.py/x")).status(404)
    for target in ("/make_time.p%79", "/./make_time.py"):
        expect(run(server, target)).status(200).body_has("It is ")
    expect(run(server, "/cgi-bin/LOUD.PY")).status(200).body_has("run, in capitals too")


@check("cgi/slow", points=1, source="kit rule", needs=("cgi/run",))
def test_a_slow_script_is_ended(server: SocketTarget, impatient_server: SocketTarget) -> None:
    """A script that is not done after --timeout seconds is killed with all it started; none stays when it has ended.

    README, "Programs": after --timeout seconds, 504 (500 and 502 are fine). "Clients": no child process is left over.
    """
    before = server.holdings()
    slow = last("/cgi-bin/parent.py")
    with contextlib.ExitStack() as stack:
        patient = stack.enter_context(impatient_server.connect()).send(slow)
        for _ in range(SLEEPERS):
            stack.enter_context(server.connect()).send(last("/cgi-bin/slow.py"))
        clients = [stack.enter_context(server.connect()) for _ in range(AT_ONCE)]
        for client in clients:
            client.send(last("/make_time.py"))
        with because('README, "Programs": while one script is slow, others are served', OTHERS):
            for client in clients:
                expect(client.reply()).status(200)
            expect(server.exchange(last("/notes.txt"))).status(200)
        expect(patient.reply()).status(504, 502, 500)
    end = time.monotonic() + 3.0
    while before is not None and (after := server.holdings()) is not None:
        more = after.children - before.children
        if more <= MAY_STAY:
            break
        got = f"{more} child processes more than before"
        sent = f"{AT_ONCE} times {show_bytes(last('/make_time.py'))}"
        ended = f"nothing left of {AT_ONCE} scripts that have ended"
        expect.that(time.monotonic() < end, sent=sent, expected=ended, got=got)
        expect(server.exchange(last("/notes.txt"))).status(200)
    while left := _running(str(impatient_server.webroot.root / "cgi-bin" / "parent.py")):
        got = f"still running: {left[0]}"
        ended = "the script and what it started have ended"
        expect.that(time.monotonic() < end, sent=show_bytes(slow), expected=ended, got=got)
        expect(impatient_server.exchange(last("/notes.txt"))).status(200)


def _running(path: str) -> list[str]:
    """The command lines of all processes that name this file, orphans too; [] where the system does not tell."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = entry.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
            if path in words:
                found.append(words)
    return found
