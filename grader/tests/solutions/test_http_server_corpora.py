"""The request-parsing corpora of others, as facts: what gunicorn's and llhttp's own tests accept and refuse.

The requests are written here anew, after reading those tests (gunicorn tests/requests/valid and invalid, llhttp
test/request). Each row says what the other parser does and what our server does; where the two differ, `why` gives
the reason. A row without a reason is an agreement, and the test holds it to that.
"""

# ruff: noqa: E501  (rows of a table)

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from grader.target.connection import Connection
from grader.target.http1 import HttpReply
from grader.tests.clients.socket_servers import KIT, Running, running

ACCEPTED, REFUSED = "accepted", "refused"
HOST = b"Host: localhost\r\n"
TAIL = b"Connection: close\r\n\r\n"
NO_HOST = "HTTP/1.1 needs a Host (RFC 9112 section 3.2); a parser leaves that to its server"
ORIGIN = "an origin server of files speaks no such protocol"


@dataclass(frozen=True)
class Case:
    """One request, what another parser's tests say of it, and the statuses that we answer."""

    id: str
    raw: bytes
    theirs: str
    ours: tuple[int, ...]
    why: str = ""


def get(line: bytes = b"GET /notes.txt HTTP/1.1", fields: bytes = b"", body: bytes = b"") -> bytes:
    """A request around one interesting part."""
    return line + b"\r\n" + HOST + fields + TAIL + body


def post(fields: bytes, body: bytes) -> bytes:
    """A request with a body, for a file: our server reads the body and says 405."""
    return get(b"POST /notes.txt HTTP/1.1", fields, body)


CHUNKED = b"Transfer-Encoding: chunked\r\n"

CASES = (
    # Request lines.
    Case("gunicorn: NUL in the method", get(b"GE\0T /notes.txt HTTP/1.1"), REFUSED, (400,)),
    Case("gunicorn: a letter outside ASCII in the method", get("GETß / HTTP/1.1".encode()), REFUSED, (400,)),
    Case("gunicorn: LF between the words", get(b"GET\n/\nHTTP/1.1"), REFUSED, (400,)),
    Case("gunicorn: a version of a hundred digits", get(b"GET / HTTP/" + b"1" * 100 + b".1"), REFUSED, (400,)),
    Case("gunicorn: no version", get(b"GET /notes.txt"), REFUSED, (400,)),
    Case("gunicorn: a line of one word", get(b"GET"), REFUSED, (400,)),
    Case("gunicorn: an empty target", get(b"GET  HTTP/1.1"), REFUSED, (400,)),
    Case("gunicorn: bytes outside ASCII in the target", get("GET /grüße HTTP/1.1".encode()), ACCEPTED, (400,),
         "RFC 3986 has no such characters: they travel as percent escapes. Two parsers may decode them differently"),
    Case("gunicorn: a method that begins with a hyphen", get(b"-BLARGH /notes.txt HTTP/1.1"), ACCEPTED, (501,)),
    Case("gunicorn: a method in lower case", get(b"get /notes.txt HTTP/1.1"), REFUSED, (501,),
         "methods are case sensitive (RFC 9110 section 9.1): well formed, unknown"),
    Case("gunicorn: a method with #", get(b"GET#x /notes.txt HTTP/1.1"), REFUSED, (501,),
         "# is a token character (RFC 9110 section 5.6.2)"),
    Case("llhttp: ICE protocol", get(b"GET /notes.txt ICE/1.0"), REFUSED, (400,)),
    Case("llhttp: RTSP protocol", get(b"PUT /notes.txt RTSP/1.0"), REFUSED, (400,)),
    Case("llhttp: IHTTP protocol", get(b"GET /notes.txt IHTTP/1.0"), REFUSED, (400,)),
    Case("llhttp: an unknown method", get(b"MKCOLA /notes.txt HTTP/1.1"), REFUSED, (501,),
         "llhttp knows a list of methods; any token is one (RFC 9110 section 9.1)"),
    Case("llhttp: version 5.6", get(b"GET /notes.txt HTTP/5.6"), REFUSED, (505,)),
    Case("llhttp: no version at all (HTTP/0.9)", b"GET /notes.txt\r\n\r\n", ACCEPTED, (400,),
         "HTTP/0.9 is gone: RFC 9112 has no such request"),
    Case("llhttp: an empty line before the request", b"\r\n" + get(), ACCEPTED, (200,)),
    Case("llhttp: a space in the target", get(b"GET /not es.txt HTTP/1.1"), REFUSED, (400,)),
    Case("llhttp: UTF-8 in the target (strict)", get("GET /δ¶/δt HTTP/1.1".encode()), REFUSED, (400,)),
    Case("llhttp: quotes in the target", get(b'GET /with_"quotes"?a=\\"b\\" HTTP/1.1'), ACCEPTED, (404,)),
    Case("llhttp: a question mark in the query", get(b"GET /notes.txt?foo=bar?baz HTTP/1.1"), ACCEPTED, (200,)),
    Case("llhttp: a vertical bar in the query", get(b"GET /notes.txt?query=| HTTP/1.1"), ACCEPTED, (200,)),
    Case("llhttp: a fragment", get(b"GET /notes.txt?page=1#posts HTTP/1.1"), ACCEPTED, (400,),
         "a fragment is no part of a request target (RFC 9112 section 3.2)"),
    Case("llhttp: absolute-form ended by a query", get(b"GET http://localhost?x=y HTTP/1.1"), ACCEPTED, (200,)),
    Case("llhttp: absolute-form with a port", get(b"GET http://localhost:1234 HTTP/1.1"), ACCEPTED, (200,)),
    Case("llhttp: absolute-form with a password", get(b"GET http://a%12:b!&*$@localhost:1234/x HTTP/1.1"), ACCEPTED, (400,),
         "userinfo in an http address is to be treated as an error (RFC 9110 section 4.2.4)"),
    Case("llhttp: CONNECT", get(b"CONNECT home_0.example:443 HTTP/1.1"), ACCEPTED, (405,)),
    Case("gunicorn, llhttp: no Host", b"GET /notes.txt HTTP/1.1\r\n\r\n", ACCEPTED, (400,), NO_HOST),
    # Fields.
    Case("gunicorn: padding around a value", get(fields=b"Name: \t value \t \r\n"), ACCEPTED, (200,)),
    Case("gunicorn: a folded line", get(fields=b"Long: one\r\n two\r\n"), REFUSED, (400,)),
    Case("llhttp: a folded line", get(fields=b"Line1:   abc\r\n\tdef\r\n"), ACCEPTED, (400,),
         "obs-fold: RFC 9112 section 5.2 lets a server refuse it, and refusing cannot be misread"),
    Case("gunicorn: a control character in a value", get(fields=b"Foo: b\x01r\r\n"), REFUSED, (400,)),
    Case("gunicorn: a space in a name", get(fields=b"Foo Bar: 1\r\n"), REFUSED, (400,)),
    Case("gunicorn: a space before the colon", get(fields=b"Foo : 1\r\n"), REFUSED, (400,)),
    Case("gunicorn: a name outside ASCII", get(fields="Zwölf: 1\r\n".encode()), REFUSED, (400,)),
    Case("gunicorn: UTF-8 in a value", get(fields="Name: Düsseldorf\r\n".encode()), ACCEPTED, (200,)),
    Case("llhttp: 0xFF in a value", get(fields=b"Header2: \xffValue\r\n"), ACCEPTED, (200,)),
    Case("llhttp: @ in a name", get(fields=b"Fo@: Failure\r\n"), REFUSED, (400,)),
    Case("llhttp: 0x01 in a name", get(fields=b"Foo\x01test: Bar\r\n"), REFUSED, (400,)),
    Case("llhttp: an empty name", get(fields=b": Bar\r\n"), REFUSED, (400,)),
    Case("llhttp: CR between fields", get(fields=b"Foo: 1\rBar: 2\r\n"), REFUSED, (400,)),
    Case("llhttp: LF between fields", get(fields=b"x:x\nTransfer-Encoding: chunked\r\n"), REFUSED, (400,)),
    Case("llhttp: an empty value, then CR", get(fields=b"x:\rTransfer-Encoding: chunked\r\n"), REFUSED, (400,)),
    Case("llhttp: a space before the first field", b"GET / HTTP/1.1\r\n Host: foo\r\n\r\n", REFUSED, (400,)),
    Case("llhttp: a name and its colon on two lines", get(fields=b"name\r\n : value\r\n"), REFUSED, (400,)),
    Case("llhttp: a corrupted Connection", get(fields=b"Connection\r\x1bA\xd5eep-Alive\r\n"), REFUSED, (400,)),
    Case("llhttp: LF only", get().replace(b"\r\n", b"\n"), REFUSED, (400,)),
    Case("llhttp: an upgrade", get(fields=b"Connection: Upgrade\r\nUpgrade: WebSocket\r\n"), ACCEPTED, (200,)),
    Case("gunicorn: a first line of the PROXY protocol", b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n" + get(), ACCEPTED, (400,), ORIGIN),
    # Lengths.
    Case("llhttp: a length with zeros in front", post(b"Content-Length: 003\r\n", b"abc"), ACCEPTED, (405,)),
    Case("llhttp: a length with blanks around it", post(b"Content-Length:  3 \r\n", b"abc"), ACCEPTED, (405,)),
    Case("llhttp: a length of 22 digits", post(b"Content-Length: 1" + b"0" * 21 + b"\r\n", b""), REFUSED, (413,)),
    Case("llhttp: a length of two numbers", post(b"Content-Length: 4 2\r\n", b""), REFUSED, (400,)),
    Case("llhttp: an empty length", post(b"Content-Length:\r\n", b""), REFUSED, (400,)),
    Case("llhttp: two lengths", post(b"Content-Length: 1\r\nContent-Length: 2\r\n", b"a"), REFUSED, (400,)),
    Case("llhttp: a length with CR for its hyphen", post(b"Content\rLength: 3\r\n", b"abc"), REFUSED, (400,)),
    Case("gunicorn: a length of -0", post(b"Content-Length: -0\r\n", b""), REFUSED, (400,)),
    Case("gunicorn: a length in another script", post("Content-Length: ³\r\n".encode("latin-1"), b"abc"), REFUSED, (400,)),
    Case("gunicorn: a length with an underscore", post(b"Content-Length: 0_1\r\n", b"a"), REFUSED, (400,)),
    Case("gunicorn: equal lengths twice", post(b"Content-Length: 1\r\nContent-Length: 1\r\n", b"a"), REFUSED, (400,)),
    Case("gunicorn: Content_Length with an underscore beside the length",
         post(b"Content-Length: 7\r\nContent_Length: -1E23\r\n", b"tricked"), REFUSED, (405,),
         "it is another field, and means nothing in HTTP; what could confuse a CGI script is kept from it there"),
    Case("gunicorn: Transfer_Encoding with an underscore", post(b"Transfer_Encoding: gzip\r\n" + CHUNKED, b"0\r\n\r\n"),
         REFUSED, (405,), "as with Content_Length"),
    # Transfer codings and chunks.
    Case("llhttp: an empty coding beside a length", post(b"Transfer-Encoding:\r\nContent-Length: 5\r\n", b"hello"), REFUSED, (400,)),
    Case("llhttp: identity beside a length", post(b"Transfer-Encoding: identity\r\nContent-Length: 5\r\n", b"World"), REFUSED, (400,)),
    Case("llhttp: pigeons", post(b"Transfer-Encoding: pigeons\r\n", b""), REFUSED, (501,)),
    Case("gunicorn: chunked twice", post(CHUNKED * 2, b"0\r\n\r\n"), REFUSED, (400,)),
    Case("gunicorn: chunked, then identity", post(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"), REFUSED, (400,)),
    Case("gunicorn: gzip, chunked", post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), ACCEPTED, (501,),
         "a proxy may hand it on; a server that cannot unpack gzip says so (RFC 9112 section 6.1)"),
    Case("gunicorn: chunked beside a length", post(CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n"), REFUSED, (400,)),
    Case("gunicorn: chunked in HTTP/1.0", get(b"POST /notes.txt HTTP/1.0", CHUNKED, b"0\r\n\r\n"), REFUSED, (400,)),
    Case("gunicorn: a vertical tab before chunked", post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"), REFUSED, (400,)),
    Case("gunicorn: LF before the extension", post(CHUNKED, b"5\n;\r\nhello\r\n0\r\n\r\n"), REFUSED, (400,)),
    Case("gunicorn: a chunk without its size", post(CHUNKED, b"\r\nhello\r\n0\r\n\r\n"), REFUSED, (400,)),
    Case("gunicorn: a size with a sign", post(CHUNKED, b"+5\r\nhello\r\n0\r\n\r\n"), REFUSED, (400,)),
    Case("gunicorn: a size with 0x", post(CHUNKED, b"0x5\r\nhello\r\n0\r\n\r\n"), REFUSED, (400,)),
    Case("gunicorn: a size with an underscore", post(CHUNKED, b"0_5\r\nhello\r\n0\r\n\r\n"), REFUSED, (400,)),
    Case("gunicorn: a blank before the size", post(CHUNKED, b" 5\r\nhello\r\n0\r\n\r\n"), REFUSED, (400,)),
    Case("gunicorn: no CRLF after the data", post(CHUNKED, b"5\r\nhelloXX0\r\n\r\n"), REFUSED, (400,)),
    Case("gunicorn: a trailer that is no field", post(CHUNKED, b"0\r\nnot a field\r\n\r\n"), REFUSED, (400,)),
    Case("gunicorn: a quoted extension", post(CHUNKED, b'5;name="a b"\r\nhello\r\n0\r\n\r\n'), ACCEPTED, (405,)),
    Case("llhttp: sizes in either case and zeros before the last", post(CHUNKED, b"A\r\n0123456789\r\n000\r\n\r\n"), ACCEPTED, (405,)),
    Case("llhttp: trailers", post(CHUNKED, b"5\r\nhello\r\n0\r\nVary: *\r\nA: b\r\n\r\n"), ACCEPTED, (405,)),
    Case("llhttp: extensions", post(CHUNKED, b"5;love;much=aretheseparametersfor\r\nhello\r\n0\r\n\r\n"), ACCEPTED, (405,)),
    Case("llhttp: no semicolon before an extension", post(CHUNKED, b"2 ext\r\naa\r\n0\r\n\r\n"), REFUSED, (400,)),
    Case("llhttp: nothing after the semicolon", post(CHUNKED, b"2;\r\naa\r\n0\r\n\r\n"), REFUSED, (405,),
         "an extension has no meaning here; skipping an empty one moves no boundary"),
    Case("llhttp: a quote that is not closed", post(CHUNKED, b'5;a="b\r\nhello\r\n0\r\n\r\n'), REFUSED, (405,),
         "extensions are skipped up to CRLF, which no quoted string can hold, so the boundary is the same"),
)  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    log: Path = tmp_path_factory.mktemp("corpora") / "log"
    with running(KIT / "webroot", log, "--timeout", "5") as found:
        yield found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_server_agrees_or_has_a_reason(server: Running, case: Case) -> None:
    with Connection(server.port, 5.0) as client:
        reply = client.send(case.raw).half_close().reply()
    assert isinstance(reply, HttpReply)
    assert reply.status in case.ours
    # 404, 405 and 501 for a method are answers of the server to a request that was parsed.
    parsed = reply.status in (200, 404, 405) or (reply.status == 501 and b"Transfer" not in case.raw)
    agrees = parsed == (case.theirs == ACCEPTED)
    assert agrees != bool(case.why), "a disagreement needs a reason, an agreement none"
