"""A CGI program behind HTTP: each request starts it once, with the variables of RFC 3875 section 4.

Made for one person on one machine. When the program answers nothing that is a CGI response, the page says what it did
instead and what it wrote to standard error, which a gateway on the open network must never do.
"""

from __future__ import annotations

import html
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from urllib.parse import unquote_to_bytes

from grader.byhand.workplace import Workplace
from grader.model import Complaint, Verdict
from grader.target.cgi import CgiReply, CgiRequest, CgiTarget
from grader.target.headers import Headers

MAX_BODY = 16 << 20
MAX_REDIRECTS = 5
# Fields of the connection between client and gateway, and two that have variables of their own; "Proxy" would become
# HTTP_PROXY, which clients inside the program would obey.
NOT_PASSED_ON = frozenset(
    ["authorization", "connection", "content-length", "content-type", "expect", "keep-alive", "proxy",
     "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade"]
)  # fmt: skip
SET_BY_GATEWAY = frozenset(["connection", "content-length", "date", "server", "status", "transfer-encoding"])


class Gateway(ThreadingHTTPServer):
    """Listens on a port of its own choice; `public_port` is the one that the person's client sees."""

    daemon_threads = True
    allow_reuse_address = sys.platform != "win32"

    def __init__(self, place: Workplace, public_port: int, say: Callable[[str], None]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.place, self.public_port, self.say = place, public_port, say
        self.script_name = "/" + place.exercise.main

    def server_bind(self) -> None:
        """Bind, and take the address as the name."""
        # HTTPServer asks the name service for the host's full name here, which can take seconds.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    @property
    def address(self) -> tuple[str, int]:
        """("127.0.0.1", the port it listens on)."""
        return str(self.server_address[0]), int(self.server_address[1])


class Handler(BaseHTTPRequestHandler):
    """One request: find the program, run it, send its answer."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    server: Gateway

    def __getattr__(self, name: str) -> Callable[[], None]:
        # Every method is the program's to answer or to refuse.
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, *args: object) -> None:
        """The relay shows what passes."""

    def answer(self) -> None:
        """Run the program for this request and send what it answers, or a page that says why not."""
        refusal = refuse_body(self.headers)
        if refusal is not None:
            self.close_connection = True
            self._page(refusal[0], html.escape(refusal[1]))
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        path, _, query = self.path.partition("?")
        request = CgiRequest(
            method=self.command,
            query=_passable(query),
            body=body,
            content_type=_first(self.headers.get_all("Content-Type")),
            content_length=_first(self.headers.get_all("Content-Length")),
            meta=self._meta(),
            hold_stdin=True,
        )
        for _ in range(MAX_REDIRECTS):
            if path in ("", "/"):
                self._send(302, "Found", Headers([("Location", self.server.script_name)]), b"")
                return
            meta = self._path_info(path)
            if meta is None:
                script = html.escape(self.server.script_name)
                self._page(404, f'Nothing here but <a href="{script}">{script}</a>.')
                return
            try:
                reply = self._run(replace(request, meta=(*request.meta, *meta)))
            except Complaint as complaint:
                self._blame(complaint)
                return
            target = local_redirect(reply)
            if target is None:
                self._send(*answer_of(reply), reply.body)
                return
            # RFC 3875 section 6.2.2: the gateway answers as if this path had been asked for.
            path, _, query = target.partition("?")
            request = replace(request, method="GET", query=query, body=b"", content_type=None, content_length=None)
        self._page(500, f"The program sent {MAX_REDIRECTS} local redirects in a row.")

    def _meta(self) -> tuple[tuple[str, str | None], ...]:
        fields: dict[str, list[str]] = {}
        for name, value in self.headers.items():
            # With an underscore in it, a name could pass for another one.
            if name.lower() not in NOT_PASSED_ON and "_" not in name:
                fields.setdefault("HTTP_" + name.upper().replace("-", "_"), []).append(_passable(value))
        host = self.headers.get("Host", "").rpartition(":")[0] or "127.0.0.1"
        return (
            ("SERVER_NAME", _passable(host)),
            ("SERVER_PORT", str(self.server.public_port)),
            ("SERVER_PROTOCOL", self.request_version),
            *((name, ", ".join(values)) for name, values in fields.items()),
        )

    def _path_info(self, path: str) -> tuple[tuple[str, str | None], ...] | None:
        """PATH_INFO where the path goes on after the program's name; None when it does not name the program."""
        extra = path.removeprefix(self.server.script_name)
        decoded = unquote_to_bytes(extra.encode("latin-1"))
        if not path.startswith(self.server.script_name) or extra[:1] not in ("", "/") or b"\0" in decoded:
            return None
        return (("PATH_INFO", os.fsdecode(decoded)),) if extra else ()

    def _run(self, request: CgiRequest) -> CgiReply:
        place = self.server.place
        reply = CgiTarget(place.site(), place.exercise.main).run(request)
        self.server.say(place.unmask(reply.stderr))
        return reply

    def _blame(self, complaint: Complaint) -> None:
        finding, place = complaint.finding, self.server.place
        errors = place.unmask(finding.output)
        self.server.say(errors)
        if complaint.verdict is Verdict.NOT_STARTED:
            self._page(500, html.escape(f"Not written yet: {finding.expected}."))
            return
        self.server.say(f"expected {finding.expected}, got {finding.got}")
        self._page(
            504 if complaint.verdict is Verdict.TIMEOUT else 500,
            f"<dl><dt>Expected</dt><dd>{html.escape(finding.expected)}</dd>"
            f"<dt>Got</dt><dd>{html.escape(finding.got)}</dd></dl>"
            f"<p>What the program wrote to standard error:</p><pre>{html.escape(errors) or '(nothing)'}</pre>",
        )

    def _page(self, status: int, content: str) -> None:
        title = f"{status} {self.responses[status][0]}" if status in self.responses else str(status)
        page = (
            '<!doctype html><html lang="en"><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{title}</title><h1>{title}</h1>{content}"
            "<p><small>This page is from the gateway, not from the program behind it.</small></p></html>\n"
        )
        self._send(
            status, title.partition(" ")[2], Headers([("Content-Type", "text/html; charset=utf-8")]), page.encode()
        )

    def _send(self, status: int, reason: str, headers: Headers, body: bytes) -> None:
        self.send_response_only(status, reason)
        for name, value in headers:
            self.send_header(name, value)
        bodiless = status in (204, 304)
        if not bodiless and self.command != "HEAD":
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if not bodiless and self.command != "HEAD":
            self.wfile.write(body)


def refuse_body(headers: Message) -> tuple[int, str] | None:
    """Status and sentence for a body that this gateway does not take; None for one it does, or for none at all."""
    lengths = {value.strip() for value in headers.get_all("Content-Length", [])}
    if "Transfer-Encoding" in headers:
        return 411, "This gateway takes no Transfer-Encoding; send a Content-Length."
    if any(not (value.isascii() and value.isdigit()) for value in lengths) or len(lengths) > 1:
        return 400, "The Content-Length is no single number."
    if any(len(value) > 12 or int(value) > MAX_BODY for value in lengths):
        return 413, f"This gateway takes bodies of up to {MAX_BODY} bytes."
    return None


def local_redirect(reply: CgiReply) -> str | None:
    """The path that a program sends the gateway to: a Location that begins with "/", and no Status of its own."""
    location = reply.headers.get("Location", "") or ""
    return location if location.startswith("/") and "Status" not in reply.headers else None


def answer_of(reply: CgiReply) -> tuple[int, str, Headers]:
    """Status, reason and header fields for the client. A Location alone is a 302: RFC 3875 section 6.2.3."""
    redirects = "Location" in reply.headers and "Status" not in reply.headers
    status = 302 if redirects else reply.status
    known = BaseHTTPRequestHandler.responses.get(status)
    reason = ("" if redirects else reply.reason) or (known[0] if known else "")
    fields = [
        (name, value.encode("utf-8").decode("latin-1"))
        for name, value in reply.headers
        if name.lower() not in SET_BY_GATEWAY
    ]
    return status, reason.encode("latin-1", "replace").decode("latin-1"), Headers(fields)


def _first(values: list[str] | None) -> str | None:
    return _passable(values[0]) if values else None


def _passable(text: str) -> str:
    """Text of a header, one character per byte, as an environment variable that holds the same bytes."""
    return os.fsdecode(text.encode("latin-1").replace(b"\0", b""))
