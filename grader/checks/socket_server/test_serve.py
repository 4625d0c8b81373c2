"""Files over the wire."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from hypothesis import strategies as st

from grader.checks.socket_server.wire import because, expect_allow, last, percent, request, whole
from grader.engine import check, expect, fuzz
from grader.target.http1 import HttpReply
from grader.target.socket import SocketTarget
from grader.target.transcript import show_bytes
from grader.target.webroot import CANARY, HIDDEN, SOURCE_CANARY

# Requests that no server may serve, and the statuses that RFC 9112 and RFC 9110 leave for each.
MALFORMED: dict[str, tuple[bytes, tuple[int, ...]]] = {
    "no version": (b"GET /notes.txt\r\nHost: a\r\n\r\n", (400, 505)),
    "a version in lower case": (b"GET /notes.txt http/1.1\r\nHost: a\r\n\r\n", (400, 505)),
    "another protocol": (b"GET /notes.txt ICE/1.1\r\nHost: a\r\n\r\n", (400, 505)),
    "a version without its dot": (b"GET /notes.txt HTTP/1x1\r\nHost: a\r\n\r\n", (400, 505)),
    "a version of letters": (b"GET /notes.txt HTTP/x.y\r\nHost: a\r\n\r\n", (400, 505)),
    "no target": (b"GET HTTP/1.1\r\nHost: a\r\n\r\n", (400, 505)),
    "a version of three digits": (b"GET /notes.txt HTTP/1.10\r\nHost: a\r\n\r\n", (400, 505)),
    "a space after the version": (b"GET /notes.txt HTTP/1.1 \r\nHost: a\r\n\r\n", (400, 505)),
    "a byte beyond ASCII in the target": (b"GET /notes.txt?\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", (400, 505)),
    "a control character in the target": (b"GET /notes.txt?\x01 HTTP/1.1\r\nHost: a\r\n\r\n", (400, 505)),
    "one word": (b"hello\r\nHost: a\r\n\r\n", (400, 501, 505)),
    "two spaces": (b"GET  /notes.txt HTTP/1.1\r\nHost: a\r\n\r\n", (400, 505)),
    "spaces before the version": (b"GET /notes.txt   HTTP/1.1\r\nHost: a\r\n\r\n", (400, 505)),
    "a tab for a space": (b"GET\t/notes.txt HTTP/1.1\r\nHost: a\r\n\r\n", (400, 501, 505)),
    "a space in the target": (b"GET /not es.txt HTTP/1.1\r\nHost: a\r\n\r\n", (400, 404, 505)),
    "a space before the colon": (b"GET /notes.txt HTTP/1.1\r\nHost : a\r\n\r\n", (400,)),
    "a tab before the colon": (b"GET /notes.txt HTTP/1.1\r\nHost: a\r\nX-A\t: b\r\n\r\n", (400,)),
    # A folded line is refused, or read as a space (RFC 9112 section 5.2): this Host is wrong either way.
    "a folded Host": (b"GET /notes.txt HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", (400,)),
    "a line without a colon": (b"GET /notes.txt HTTP/1.1\r\nHost: a\r\nno colon here\r\n\r\n", (400,)),
}
WHOLE_ADDRESSES = ("http://example.org:80/notes.txt", "HTTP://EXAMPLE.ORG/notes.txt")
SMALL = 16384  # bytes: what the client of serve/large has room for
LINE, SECTION, COUNT = 8192, 16384, 100
INSIDE = (
    "/no/such/../../notes.txt",
    "/docs/../notes.txt",
    "/./notes.txt",
    "/docs/chapters/../../notes.txt",
    "/docs/./../notes.txt",
)
TRAVERSALS = (
    "/../secret.txt", "/../../../../etc/passwd", "/docs/../../secret.txt", "/%2e%2e/secret.txt",
    "/%2e%2e%2fsecret.txt",
    "/..%2fsecret.txt", "/.%2e/secret.txt", "/docs/%2e%2e/%2e%2e/secret.txt", "/../www-private/secret.txt",
    "/..\\secret.txt", "/..%5csecret.txt", "/%252e%252e/secret.txt", "/%252e%252e%252fsecret.txt",
    "/....//secret.txt",
    "/./../secret.txt", "//../secret.txt", "/%c0%ae%c0%ae/secret.txt", "/..;/secret.txt",
    "/notes.txt/../../secret.txt",
    "http://localhost/../secret.txt", "/..%00/secret.txt", "/%2e%2e//%2e%2e//etc/passwd",
)  # fmt: skip
# Most mixtures lead nowhere, however sloppy the server; a walk up and down arrives somewhere.
WALKS = st.lists(st.sampled_from(["../", "%2e%2e/", ".%2E/", "docs/", "./"]), min_size=1, max_size=4)
MIXTURES = st.lists(
    st.sampled_from(["/", "..", ".", "%2e%2e", "%2e", "%2f", "\\", "%5c", "docs", "%00", "%25", "//", ";"]), max_size=8
)


# Answers of many kinds. What a step has not brought yet is another answer until then; that has its date too.
DATED = (
    last("/notes.txt"), last("/nothing"), last("/docs"), last("/docs/"), request(host=None), last("bad"),
    last("/notes.txt", "Content-Length: 0", method="PUT"), last("/notes.txt", method="OPTIONS"),
    last("/notes.txt", "If-None-Match: *"), last("/notes.txt", 'If-Match: "other"'),
    last("/notes.txt", "Range: bytes=0-4"), last("/notes.txt", "Range: bytes=999999-"),
)  # fmt: skip


def content(server: SocketTarget, name: str) -> bytes:
    """The bytes of a file of the root."""
    return (server.webroot.root / name).read_bytes()


def get(server: SocketTarget, target: str, *fields: str, method: str = "GET") -> HttpReply:
    """One request that asks for the connection to end, and its answer."""
    return server.exchange(last(target, *fields, method=method), method=method)


def media(reply: HttpReply) -> str:
    """The media type without its parameters, in lower case."""
    return (reply.headers.get("Content-Type") or "").partition(";")[0].strip().lower()


@check("serve/file", points=1, source="RFC 9110 section 9.3.1")
def test_a_file_is_served(server: SocketTarget) -> None:
    """GET of a file is answered with status 200, HTTP/1.1 and exactly its bytes.

    GET asks for the current content of what the target names; status 200 says that here it is.
    """
    for name in ("data.json", "docs/chapters/one.txt"):
        expect(get(server, "/" + name)).status(200).body(content(server, name))


@check("serve/lines", points=1, source="RFC 9112 section 2.1", needs=("serve/file",))
def test_the_head_has_its_form(server: SocketTarget) -> None:
    """An answer begins with HTTP/1.1 and its status, and every line of its header ends in CR LF.

    HTTP is lines that end in CR LF. Programs on the way need not take a bare LF for a line end.
    """
    for target in ("/data.json", "/nothing"):
        reply = get(server, target)
        expect(reply).that(reply.version == "1.1", expected="a status line that begins with HTTP/1.1")
        got = show_bytes(reply.raw[: (reply.bare_lf or 0) + 1])
        expect(reply).that(reply.bare_lf is None, expected="CR LF at the end of every line of the header", got=got)


@check("serve/address", points=1, source="kit rule", needs=("serve/file",))
def test_the_address_is_printed_when_it_listens(server: SocketTarget) -> None:
    """When it listens, the server prints one line with its address, like http://127.0.0.1:8080/.

    README, "The program": whoever starts the server with port 0 learns the real port from that line alone.
    """
    address = f"127.0.0.1:{server.port}"
    printed = server.printed(address)
    expect.that(
        address in printed, sent=server.shown, expected=f"{address} on standard output", got=repr(printed[:300])
    )


@check("serve/loopback", points=1, source="kit rule", needs=("serve/file",))
def test_it_listens_where_it_was_told(server: SocketTarget) -> None:
    """With --host 127.0.0.1 the server listens on that address alone, on the port that --port names.

    README, "The program": it listens on the given address only. On any other one, the whole network could get in.
    """
    found = server.addresses()
    if found is not None:
        wrong = [str(address) for address in found if (address.host, address.port) != ("127.0.0.1", server.port)]
        expect.that(not wrong, sent=server.shown, expected=f"127.0.0.1:{server.port} alone", got=", ".join(wrong))


@check("serve/types", points=1, source="kit rule", needs=("serve/file",))
def test_content_types(server: SocketTarget) -> None:
    """Each file has the media type of its suffix in Content-Type; one with no known suffix is served too.

    README, "Files": MEDIA_TYPES, in any case of the suffix; texts and HTML name their charset, else a browser
    guesses.
    """
    types = {
        "index.html": "text/html", "UPPER.HTML": "text/html", "style.css": "text/css",
        "data.json": "application/json",
        "notes.txt": "text/plain", "images/plug.svg": "image/svg+xml", "images/dawn.png": "image/png",
        "no_suffix": "application/octet-stream",
    }  # fmt: skip
    for name, expected in types.items():
        reply = get(server, "/" + name)
        expect(reply).status(200).that(media(reply) == expected, expected=f"Content-Type: {expected}")
    for name in ("notes.txt", "index.html"):
        reply = get(server, "/" + name)
        value = (reply.headers.get("Content-Type") or "").lower().replace(" ", "").replace('"', "")
        expect(reply).that("charset=utf-8" in value, expected="Content-Type with charset=utf-8")


@check("serve/bytes", points=1, source="RFC 9110 section 8.6", needs=("serve/file",))
def test_bytes_are_left_as_they_are(server: SocketTarget) -> None:
    """Images, line ends of any kind and an empty file arrive byte by byte as they are on the disk.

    Content is bytes. Text mode would change line ends, and an image would not survive the decoding.
    """
    for name in ("images/dawn.png", "crlf.txt", "empty.txt", "no_suffix"):
        expect(get(server, "/" + name)).status(200).body(content(server, name))


@check("serve/large", points=1, source="RFC 9110 section 8.6", needs=("serve/file",))
def test_a_large_file_arrives_whole(server: SocketTarget) -> None:
    """A file of 1.5 MB arrives whole, also at a client that has little room and is slow to read.

    send() may take only a part of what it is given, when the reader is slow: it returns how much.
    """
    expected = content(server, "large.bin")
    with server.connect(SMALL) as client:
        reply = client.send(last("/large.bin")).wait(0.05).reply()
    expect(reply).status(200)
    same = reply.body == expected
    got = f"{len(reply.body)} bytes" + ("" if len(reply.body) != len(expected) else ", not the same")
    expect(reply).that(same, expected=f"the {len(expected)} bytes of large.bin", got=got)


@check("serve/length", points=1, source="kit rule", needs=("serve/file",))
def test_the_length_is_that_of_the_bytes(server: SocketTarget) -> None:
    """Every answer with content says its length in bytes in Content-Length, or comes in chunks.

    README, "Answers": a length in bytes, or chunks, so that the client knows when it has everything; not one byte
    after that.
    """
    for target in ("/notes.txt", "/nothing", "/gr%C3%BC%C3%9Fe/%C3%A4", "/empty.txt", "/docs/", "/names/"):
        reply = whole(server, target)
        framed = "Content-Length" in reply.headers or "Transfer-Encoding" in reply.headers
        expect(reply).that(framed, expected="a Content-Length field, or Transfer-Encoding: chunked")


@check("serve/date", points=1, source="RFC 9110 section 6.6.1", needs=("serve/file",))
def test_every_answer_has_the_date(server: SocketTarget) -> None:
    """Every answer with a status below 500 carries a Date field with the time it was made.

    A server with a clock must say when it made an answer: caches count a page's age from it.
    """
    for raw in DATED:
        reply = server.exchange(raw)
        if reply.status < 500:
            expect(reply).header_that("Date", _is_now, "the time now, like Sun, 06 Nov 1994 08:49:37 GMT")


def _is_now(value: str) -> bool:
    if not re.fullmatch(r"[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT", value):
        return False
    try:
        return abs(parsedate_to_datetime(value) - datetime.now(UTC)) < timedelta(minutes=2)
    except ValueError:
        return False


@check("serve/head", points=1, source="RFC 9110 section 9.3.2", needs=("serve/file",))
def test_head_is_get_without_content(server: SocketTarget) -> None:
    """HEAD gets the status and the header of GET, and no content.

    HEAD asks what GET would answer. After its header the next answer begins: any content would be taken for that.
    """
    plain = [(target, "X-A: 1") for target in ("/notes.txt", "/large.bin", "/nothing", "/docs/", "/docs")]
    for target, field in (*plain, ("/notes.txt", 'If-Match: "other"')):
        wanted = get(server, target, field)
        with server.connect() as client:
            reply = client.send(last(target, field, method="HEAD")).reply("HEAD")
            expect(reply).status(wanted.status)
            for name in ("Content-Type", "Content-Length", "ETag", "Last-Modified"):
                first, second = wanted.headers.get(name), reply.headers.get(name)
                if first is not None and (second is not None or name == "Content-Type"):
                    expect(reply).that(first == second, expected=f"{name}: {first}, as GET has it")
            rest = client.end()
            expect(reply).that(not rest, expected="nothing after the header", got=show_bytes(rest, 200))


@check("serve/missing", points=1, source="RFC 9110 section 15.5.5", needs=("serve/file",))
def test_what_is_not_there_is_404(server: SocketTarget) -> None:
    """A path with nothing behind it gets 404; so does a file with a slash after its name.

    404 says that there is nothing at this address. A file is no folder, so with a slash it is another address.
    """
    for target in ("/nothing", "/nothing/at/all.txt", "/docs/nothing", "/notes.txt/", "/notes.txt/x", "/" + "a" * 300):
        expect(get(server, target)).status(404)


@check("serve/methods", points=1, source="RFC 9110 section 15.5.6", needs=("serve/file",))
def test_other_methods_are_refused(server: SocketTarget) -> None:
    """PUT, DELETE, POST on a file get 405 with an Allow field that lists GET and HEAD; an unknown method gets 501.

    A known method that is not for this file gets 405 and, in Allow, those that are; 501 is for unknown methods.
    """
    for method in ("PUT", "DELETE", "PATCH", "POST"):
        reply = server.exchange(last("/notes.txt", "Content-Length: 0", method=method))
        expect(reply).status(405)
        expect_allow(reply, "GET", "HEAD")
    for method in ("BREW", "get"):
        expect(get(server, "/notes.txt", method=method)).status(501)


@check("serve/options", points=1, source="kit rule", needs=("serve/file",))
def test_options(server: SocketTarget) -> None:
    """OPTIONS of a file and OPTIONS * get 200 or 204 with an Allow field that lists GET and HEAD.

    README, "Answers": OPTIONS asks what may be done here, and Allow is the answer.
    """
    for target in ("/notes.txt", "*"):
        reply = get(server, target, method="OPTIONS")
        expect(reply).status(200, 204)
        expect_allow(reply, "GET", "HEAD")
        if reply.status == 204:
            expect(reply).no_header("Content-Length")


@check("serve/escapes", points=1, source="RFC 3986 section 2.1", needs=("serve/file",))
def test_escaped_names_are_found(server: SocketTarget) -> None:
    """Names with a space, &, %, <b>, + and letters outside ASCII are found by their escapes, decoded once.

    A URI holds a part of ASCII only; everything else comes as escaped bytes of UTF-8. A plus is a plus, in a path.
    """
    names = [f"names/{path.name}" for path in sorted((server.webroot.root / "names").iterdir())]
    names += [f"odd/{name}" for name in server.webroot.odd_names]
    for name in names:
        expect(get(server, "/" + percent(name, "/+"))).status(200).body(content(server, name))
    expect(get(server, "/names/once%20only.txt")).status(404)
    expect(get(server, "/%6eotes%2Etxt")).status(200).body(content(server, "notes.txt"))


@check("serve/query", points=1, source="RFC 3986 section 3.4", needs=("serve/file",))
def test_the_query_is_no_part_of_the_path(server: SocketTarget) -> None:
    """What follows the first ? is not part of the file's name; absolute-form is understood.

    A path ends at the first question mark. Every server must understand whole addresses, for requests through a
    proxy.
    """
    for target in ("/notes.txt?x=1", "/notes.txt?", "/notes.txt?a/../b?c", *WHOLE_ADDRESSES):
        expect(get(server, target)).status(200).body(content(server, "notes.txt"))


@check("serve/host", points=1, source="RFC 9112 section 3.2", needs=("serve/file",))
def test_host_is_demanded(server: SocketTarget) -> None:
    """An HTTP/1.1 request without Host, with two, or with an invalid one gets 400; any valid host is served.

    Without exactly one valid Host, programs on the way could mean another site than the server: 400 is demanded.
    """
    expect(server.exchange(request(host=None))).status(400)
    expect(server.exchange(request("/notes.txt", "Host: localhost"))).status(400)
    expect(server.exchange(request(host=None, version="HTTP/1.2"))).status(400)
    expect(server.exchange(request("/notes.txt", "Host: localhost", version="HTTP/1.0"))).status(400)
    for version in ("HTTP/1.1", "HTTP/1.0"):
        expect(server.exchange(request(host="a b", version=version))).status(400)
    expect(server.exchange(request(host="user@a/b"))).status(400)
    expect(server.exchange(request(host="a<b>:port:["))).status(400)
    expect(server.exchange(last("/notes.txt").replace(b"localhost", b"shop.example:81"))).status(200)
    for line in (b"host:localhost", b"HOST: localhost", b"Host:\t localhost \t", b"Host: a\r\nX-Empty:"):
        expect(server.exchange(last("/notes.txt").replace(b"Host: localhost", line))).status(200)


@check("serve/malformed", points=1, source="RFC 9112 section 3", needs=("serve/file",))
def test_malformed_requests_get_400(server: SocketTarget) -> None:
    """A request that is malformed gets an error and is not served.

    README, "Requests": one space, one target, one space, a version; a colon right after each name. Else 400.
    """
    for title, (raw, allowed) in MALFORMED.items():
        with because("", f"status {' or '.join(map(str, allowed))}, for {title}"):
            reply = server.exchange(raw)
        expect(reply).status(*allowed)


@check("serve/version", points=1, source="RFC 9110 section 2.5", needs=("serve/file",))
def test_versions(server: SocketTarget) -> None:
    """HTTP/1.0 without Host and HTTP/1.2 are served; HTTP/2.0, 3.0 and 0.9 get 505 (or 400).

    1.0 clients send no Host, 1.2 is served like 1.1, and another major version is another language.
    """
    for version in ("HTTP/1.0", "HTTP/1.2"):
        raw = request("/notes.txt", "Connection: close", version=version, host=None if version == "HTTP/1.0" else "a")
        expect(server.exchange(raw)).status(200).body(content(server, "notes.txt"))
    for version in ("HTTP/2.0", "HTTP/3.0", "HTTP/0.9"):
        expect(server.exchange(request(version=version))).status(505, 400)


@check("serve/too-long", points=1, source="RFC 9112 section 3", needs=("serve/file",))
def test_what_is_too_long_is_refused(server: SocketTarget) -> None:
    """8192 bytes of request line, 16384 of header and 100 fields are read; more gets 414, or 431 for the header.

    README, "Requests": 8192 bytes of line with its CR LF, 16384 of header with its empty line, 100 fields; beyond,
    414 and 431.
    """
    line, section, count = last("/notes.txt?"), last("/notes.txt", "X: "), last("/notes.txt").count(b":")
    target = "/notes.txt?" + "a" * (LINE - line.index(b"\r\n") - 2)
    field = "X: " + "b" * (SECTION - len(section) + section.index(b"\r\n") + 2)
    many = [f"X-{number}: 1" for number in range(COUNT - count)]
    for good in (last(target), last("/notes.txt", field), last("/notes.txt", *many)):
        expect(server.exchange(good)).status(200)
    for long in (last(target + "a"), last("/" + "a" * 20000)):
        expect(server.exchange(long)).status(414)
    for long in (last("/notes.txt", field + "b"), last("/notes.txt", "X: " + "b" * 60000)):
        expect(server.exchange(long)).status(431)
    for number in (1, 300):
        expect(server.exchange(last("/notes.txt", *many, *["Y: 1"] * number))).status(431)


@check("serve/dot-dot", points=1, source="RFC 3986 section 5.2.4", needs=("serve/file",))
def test_dot_dot_never_leaves_the_root(server: SocketTarget) -> None:
    """A path with . and .. in it leads to the file that it means, and never, in any disguise, out of the root.

    Dot segments are resolved as in a folder; what would lead above the root must not reach the file system.
    """
    for target in TRAVERSALS:
        reply = server.exchange(last(target))
        expect(reply).status(400, 403, 404).body_lacks(CANARY, b"root:")
    for target in INSIDE:
        expect(get(server, target)).status(200).body(content(server, "notes.txt"))


@check("serve/dot-dot-fuzz", points=1, source="RFC 3986 section 5.2.4", needs=("serve/file",))
@fuzz(
    path=st.one_of(WALKS.map("".join), MIXTURES.map("".join).map("{}/".format)),
    name=st.sampled_from(["secret.txt", "www-private/secret.txt", ".hidden.txt", "docs/example.py"]),
)
def test_no_target_reaches_a_secret(server: SocketTarget, path: str, name: str) -> None:
    """Whatever is mixed into a target, no secret comes back, and every answer is one.

    Escapes, double escapes, backslashes and dots can be mixed in any number of ways; none may lead to a secret.
    """
    reply = server.exchange(last(f"/{path}{name}"))
    expect(reply).body_lacks(CANARY, HIDDEN, SOURCE_CANARY)


@check("serve/links", points=1, source="kit rule", needs=("serve/file",))
def test_links_do_not_lead_out(server: SocketTarget) -> None:
    """A symbolic link inside the root is followed; one that leads out of it gets 403 or 404.

    README, "Files": a link may lead to another place in the root. One that leads out would give away the rest of
    the machine.
    """
    if not server.webroot.links:
        return
    expect(get(server, "/inside.txt")).status(200).body(content(server, "notes.txt"))
    for target in ("/outside.txt", "/outside/secret.txt"):
        expect(get(server, target)).status(403, 404).body_lacks(CANARY)


@check("serve/hidden", points=1, source="kit rule", needs=("serve/file",))
def test_hidden_files_stay_hidden(server: SocketTarget) -> None:
    """A name that begins with a dot is not there for clients: 404 (or 403).

    README, "Files": names with a dot in front hold settings and secrets, like .git; they are hidden.
    """
    for target in ("/.hidden.txt", "/.git/config", "/%2egit/config", "/docs/../.hidden.txt", "/.git", "/.git/"):
        expect(get(server, target)).status(404, 403).body_lacks(HIDDEN)
