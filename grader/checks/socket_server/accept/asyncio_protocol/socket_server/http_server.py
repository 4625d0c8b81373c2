"""An HTTP/1.1 server as an asyncio Protocol. What HTTP looks like in bytes is in wire.py, beside this file.

After an error the connection ends, so an error needs no body to be read first: it is answered as soon as the head is
there. A connection also ends after a big file and after a few requests, and every last answer says so.
"""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import html
import os
import re
import signal
import socket
import stat
import sys
import time
import urllib.parse
from collections.abc import Iterator
from http import HTTPStatus

import wire
from wire import BadRequest, Parser, Request, http_date, seconds_of

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
MEDIA_TYPES = {
    ".html": "text/html",
    ".htm": "text/html",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".css": "text/css",
    ".csv": "text/csv",
    ".js": "text/javascript",
    ".json": "application/json",
    ".xml": "application/xml",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".svg": "image/svg+xml",
    ".ico": "image/x-icon",
    ".webp": "image/webp",
}
CHARSET = ';Charset="UTF-8"'
BIG = 1_000_000  # a file from this size on is the last thing its connection carries
EARLY = True  # errors that the head alone tells are answered without waiting for the body
REQUESTS = 5  # so many requests a connection may carry
PIECE = 1 << 15
FULL = 1 << 17  # so many bytes of later requests may wait while one is answered
LINGER = 2.0
TICK = 0.2


class Failure(Exception):
    """Ends in an error page, or in a redirection."""

    def __init__(self, status: int, *fields: tuple[str, str]):
        super().__init__(status)
        self.status, self.fields = status, fields


# --- The folder ----------------------------------------------------------------------------------------------------


def split_target(target: str) -> tuple[str, str]:
    """Raw path and raw query."""
    if not target.startswith("/"):
        scheme, separator, rest = target.partition("://")
        if not separator or scheme.lower() not in ("http", "https"):
            raise Failure(400)
        authority = re.match("[^/?#]*", rest)[0]
        target = rest[len(authority) :]
        if not authority:
            raise Failure(400)
        if not target.startswith("/"):
            target = "/" + target
    if "#" in target:
        raise Failure(400)
    path, _, query = target.partition("?")
    if re.search("%(?![0-9a-fA-F]{2})", path):
        raise Failure(400)
    return path, query


def resolve(path: str) -> str:
    """Decoded once, dots resolved, no empty names: '/a/b' or '/a/b/' for a folder."""
    text = os.fsdecode(urllib.parse.unquote_to_bytes(path))
    if "\0" in text:
        raise Failure(400)
    names: list[str] = []
    parts = text.split("/")
    for part in parts:
        if part == "..":
            names = names[:-1]
        elif part not in ("", "."):
            names.append(part)
    tail = "/" if names and parts[-1] in ("", ".", "..") else ""
    return "/" + "/".join(names) + tail


def look(root: str, name: str) -> tuple[str, os.stat_result]:
    """The real path and the facts of a resolved name; a failure if it may not be seen."""
    if "/." in name or os.path.sep != "/" and os.path.sep in name:
        raise Failure(403)
    try:
        real = os.path.realpath(root + name, strict=True)
        facts = os.stat(real)
    except PermissionError:
        raise Failure(403) from None
    except (OSError, ValueError):
        raise Failure(404) from None
    inside = real == root or real.startswith(root.rstrip("/") + "/")
    if not inside or "/." in real[len(root.rstrip("/")) :]:
        raise Failure(403)
    if not (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)):
        raise Failure(404)
    return real, facts


def find_script(root: str, name: str) -> tuple[str, str, str] | None:
    """The file, the name and the rest of the path, if the path leads to or through a script."""
    found = re.fullmatch(r"(/(?:cgi-bin/)?[^/]*\.py)(/.*)?", name, re.IGNORECASE | re.DOTALL)
    if not found or (found[1].lower().startswith("/cgi-bin/") and not found[1].startswith("/cgi-bin/")):
        return None
    real, facts = look(root, found[1])
    if stat.S_ISDIR(facts.st_mode):
        return None
    if not real.lower().endswith(".py") or os.path.dirname(real) not in (root, os.path.join(root, "cgi-bin")):
        raise Failure(403)
    return real, found[1], found[2] or ""


def listing(root: str, folder: str) -> bytes:
    """A page with whole paths as links."""
    lines = []
    for entry in sorted(os.listdir(root + folder)):
        with contextlib.suppress(Failure):
            slash = "/" if stat.S_ISDIR(look(root, folder + entry)[1].st_mode) else ""
            link = urllib.parse.quote(os.fsencode(folder + entry)) + slash
            lines.append(f"<LI><A HREF='{html.escape(link)}'>{html.escape(entry)}{slash}</A>")
    page = f"<!DOCTYPE html><TITLE>{html.escape(folder)}</TITLE><UL>\n" + "\n".join(lines) + "\n</UL>\n"
    return page.encode("utf-8", "replace")


def file_pieces(file, start: int, count: int) -> Iterator[bytes]:
    file.seek(start)
    while count:
        piece = file.read(min(PIECE, count))
        if not piece:
            raise OSError("the file has become shorter")
        count -= len(piece)
        yield piece


# --- Conditions and ranges -----------------------------------------------------------------------------------------


def entity_tag(facts: os.stat_result) -> str:
    """A digest of what changes when a file does. The comma is there to keep everybody honest about lists."""
    digest = hashlib.blake2s(repr((facts.st_ino, facts.st_mtime_ns)).encode(), digest_size=9).digest()
    return f'"{base64.b64encode(digest).decode()},{facts.st_size}"'


def has_tag(value: str, tag: str, weak: bool) -> bool:
    if value.strip() == "*":
        return True
    found = re.findall(r'(W/)?("[!#-~\x80-\xff]*")', value)
    return any(known == tag and (weak or not mark) for mark, known in found)


def condition(request: Request, tag: str, changed: int) -> int:
    """200, 304 or 412."""
    since, until = seconds_of(request.get("if-modified-since")), seconds_of(request.get("if-unmodified-since"))
    if (tags := request.get("if-match")) is not None:
        if not has_tag(tags, tag, False):
            return 412
    elif until is not None and changed > until:
        return 412
    if (tags := request.get("if-none-match")) is not None:
        return 304 if has_tag(tags, tag, True) else 200
    return 304 if since is not None and changed <= since else 200


def part(request: Request, tag: str, changed: int, size: int) -> tuple[int, int] | None:
    """First byte and count of the wanted part, None for all. Several parts at once are not worth the trouble."""
    value = request.get("range")
    validator = request.get("if-range")
    if value is None or request.method != "GET" or value[:6].lower() != "bytes=" or "," in value:
        return None
    if validator is not None and validator != tag and seconds_of(validator) != changed:
        return None
    missing = Failure(416, ("Content-Range", f"bytes */{size}"))
    found = re.fullmatch(r"(\d*)-(\d*)", value[6:].strip(" \t"), re.ASCII)
    if not found or found[0] == "-":
        raise missing
    # Fifteen digits are enough for any file.
    first, last = (
        ("9" * 15 if len(digits.lstrip("0")) > 15 else digits.lstrip("0") or "0") for digits in found.groups()
    )
    first, last = int(first), int(last)
    if not found[1]:
        first, last = max(size - last, 0), size - 1
    elif not found[2]:
        last = size - 1
    elif last < first:
        raise missing
    if first >= size:
        raise missing
    return first, min(last, size - 1) - first + 1


# --- Programs ------------------------------------------------------------------------------------------------------


def variables(request: Request, root: str, name: str, rest: str, query: str, size: int, here, there) -> dict[str, str]:
    """The environment of a script: nothing of ours but PATH, and RFC 3875."""
    env = {key: os.environ[key] for key in ("PATH", "SYSTEMROOT") if key in os.environ}
    for field, values in request.fields.items():
        if field not in ("proxy", "content-length", "content-type", "authorization", "proxy-authorization"):
            if "_" not in field:
                env["HTTP_" + field.upper().replace("-", "_")] = os.fsdecode(", ".join(values).encode("latin-1"))
    env["GATEWAY_INTERFACE"] = "CGI/1.1"
    env["SERVER_SOFTWARE"] = "asyncio-protocol"
    env["SERVER_PROTOCOL"] = f"HTTP/1.{request.minor}"
    env["SERVER_NAME"] = re.sub(r":\d*$", "", request.get("host") or here[0])
    env["SERVER_PORT"] = str(here[1])
    env["REMOTE_ADDR"] = there[0]
    env["REMOTE_HOST"] = there[0]
    env["REQUEST_METHOD"] = request.method
    env["SCRIPT_NAME"] = name
    env["QUERY_STRING"] = query
    if rest:
        if "\0" in rest:
            raise Failure(404)
        env["PATH_INFO"] = rest
        env["PATH_TRANSLATED"] = root + rest
    if request.has_body:
        env["CONTENT_LENGTH"] = str(size)
    if "content-type" in request.fields:
        env["CONTENT_TYPE"] = os.fsdecode(request.get("content-type").encode("latin-1"))
    return env


def understand(output: bytes) -> tuple[int, str, list[tuple[str, str]], bytes]:
    """Status, reason, fields and content of a script's output."""
    head, separator, content = re.sub(rb"^\r?\n", b"\n\n", output).partition(b"\n\n")
    crlf = re.search(rb"\n\r\n", output)
    if crlf and (not separator or crlf.start() < len(head)):
        head, separator, content = output[: crlf.start()], b"\n", output[crlf.end() :]
    fields: list[tuple[str, str]] = []
    status = ""
    for line in head.split(b"\n"):
        name, colon, value = line.removesuffix(b"\r").partition(b":")
        if not colon or not wire.NAME.fullmatch(name) or not wire.VALUE.fullmatch(value.strip(b" \t")):
            raise Failure(502)
        pair = name.decode().title(), value.strip(b" \t").decode("latin-1")
        if pair[0] == "Status":
            status = pair[1]
            if not re.fullmatch("[2-5][0-9][0-9]( .*)?", status):
                raise Failure(502)
        else:
            fields.append(pair)
    names = {name for name, _ in fields}
    if not separator or not (status or names & {"Content-Type", "Location"}):
        raise Failure(502)
    ours = {"Connection", "Content-Length", "Transfer-Encoding", "Keep-Alive", "Upgrade", "Trailer", "Date"}
    status = status or ("302 Found" if "Location" in names else "200 OK")
    return int(status[:3]), status[4:], [pair for pair in fields if pair[0] not in ours], content


class Script(asyncio.SubprocessProtocol):
    """A child process; `done` is called once, with its output, or with None if it took too long."""

    def __init__(self, body: bytes, timeout: float, done):
        self.body, self.done = body, done
        self.output = bytearray()
        self.transport = None
        self.timer = asyncio.get_running_loop().call_later(timeout, self.finish, False)

    def connection_made(self, transport) -> None:
        self.transport = transport
        stdin = transport.get_pipe_transport(0)
        stdin.write(self.body)
        stdin.close()
        if not self.done:
            self.kill()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.output += data
        if len(self.output) > 1 << 26:
            self.finish(False)

    def process_exited(self) -> None:
        # What a grandchild may still hold open is not waited for, what is in the pipe is.
        asyncio.get_running_loop().call_later(0.3, self.finish, True)

    def connection_lost(self, error) -> None:
        self.finish(True)

    def kill(self) -> None:
        self.timer.cancel()
        if self.transport:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.transport.get_pid(), signal.SIGKILL)
            self.transport.close()

    def finish(self, in_time: bool) -> None:
        done, self.done = self.done, None
        if done:
            self.kill()
            done(bytes(self.output) if in_time else None)

    def abandon(self) -> None:
        self.done = None
        self.kill()


# --- A connection --------------------------------------------------------------------------------------------------


class Connection(asyncio.Protocol):
    everybody: set["Connection"] = set()

    def __init__(self, root: str, timeout: float):
        self.root, self.timeout = root, timeout
        self.loop = asyncio.get_running_loop()
        self.parser = Parser()
        self.events = self.parser.events()
        self.body = bytearray()
        self.mode = "idle"  # idle, head, body, answer (also: a script runs), linger, gone
        self.ended = self.paused = self.held = self.closing = False
        self.source = self.file = self.script = None
        self.count = self.sent = self.status = self.unsent = 0

    # What the loop tells us.

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.here, self.there = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        transport.set_write_buffer_limits(2 * PIECE)
        self.everybody.add(self)
        self.enter("idle")
        self.tick()

    def data_received(self, data: bytes) -> None:
        if self.mode == "linger":
            return
        self.parser.buffer += data
        if self.mode == "answer":
            if len(self.parser.buffer) > FULL and not self.held:
                self.held = True
                self.transport.pause_reading()
        else:
            self.drive()

    def eof_received(self) -> bool:
        self.ended = True
        if self.mode != "answer":
            self.drive()
        return True

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.pump()

    def connection_lost(self, error) -> None:
        if self.source:
            self.log()
        self.mode = "gone"
        self.source = None
        self.timer.cancel()
        if self.script:
            self.script.abandon()
        if self.file:
            self.file.close()
        self.everybody.discard(self)

    # Time.

    def enter(self, mode: str) -> None:
        """Another mode, and patience from the beginning."""
        self.mode = mode
        self.deadline = self.loop.time() + (LINGER if mode == "linger" else self.timeout)

    def tick(self) -> None:
        self.timer = self.loop.call_later(TICK, self.tick)
        unsent = self.transport.get_write_buffer_size()
        if self.script or (unsent and unsent != self.unsent):
            self.enter(self.mode)  # somebody else watches the script, and who reads may go on reading
        self.unsent = unsent
        if self.loop.time() > self.deadline:
            if self.mode in ("idle", "head", "body"):
                self.closing = True
                self.page(408)
            else:
                self.transport.abort()

    # Reading.

    def drive(self) -> None:
        """Goes on with the requests in the buffer."""
        if self.mode == "idle" and self.parser.buffer:
            self.enter("head")
        try:
            while self.mode in ("idle", "head", "body"):
                event = next(self.events)
                if event is wire.MORE:
                    if self.ended:  # nobody is there who could finish this
                        self.transport.abort() if self.mode == "idle" else self.transport.close()
                        self.mode = "gone"
                    return
                if isinstance(event, Request):
                    self.enter("body")
                    self.body.clear()
                    self.act = self.decide(event) if EARLY else lambda event=event: self.decide(event)()
                    if event.has_body and not self.parser.buffer and event.says("expect", "100-continue"):
                        if event.minor:
                            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                elif event is wire.END:
                    self.enter("answer")
                    self.act()
                else:
                    self.body += event
        except BadRequest as error:
            self.closing = True
            self.page(error.status, error.reason)
        except Failure as error:
            self.page(error.status, "", *error.fields)
        except OSError as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            self.page(500)

    def decide(self, request: Request):
        """What is to be done when the body is there. Failures are raised at once, then the body does not matter."""
        if request.method not in METHODS:
            raise Failure(501)
        if request.method == "OPTIONS" and request.target == "*":
            return lambda: self.answer(200, "Fine", [("Allow", "GET,HEAD,OPTIONS")])
        path, query = split_target(request.target)
        name = resolve(path)
        script = find_script(self.root, name)
        methods = ("GET", "HEAD", "POST") if script else ("GET", "HEAD", "OPTIONS")
        allow = ("Allow", ",".join(methods))
        if request.method not in methods:
            raise Failure(405, allow)
        if script:
            return lambda: self.run_script(request, *script, query)
        real, facts = look(self.root, name.rstrip("/") or "/")
        if request.method == "OPTIONS":
            return lambda: self.answer(200, "Fine", [allow])
        if not stat.S_ISDIR(facts.st_mode):
            if name.endswith("/"):
                raise Failure(404)
            return lambda: self.send_file(request, real, name)
        if name != "/" and not name.endswith("/"):
            host = request.get("host") or "{}:{}".format(*self.here)
            folder = urllib.parse.quote(urllib.parse.unquote_to_bytes(path), safe="/")
            location = ("Location", f"http://{host}{folder}/" + ("?" + query if query else ""))
            return lambda: self.page(308, "", location)
        with contextlib.suppress(Failure):
            index, facts = look(self.root, name + "index.html")
            if stat.S_ISREG(facts.st_mode) and not index.lower().endswith(".py"):
                return lambda: self.send_file(request, index, name + "index.html")
        return lambda: self.content(200, "Fine", [("Content-Type", "text/html" + CHARSET)], listing(self.root, name))

    # Answering.

    def send_file(self, request: Request, real: str, name: str) -> None:
        if real.lower().endswith(".py") or name.lower().endswith(".py"):
            raise Failure(403)
        try:
            file = open(real, "rb")
        except OSError as error:
            raise Failure(403 if isinstance(error, PermissionError) else 500) from None
        try:
            facts = os.fstat(file.fileno())
            changed, size, tag = int(facts.st_mtime), facts.st_size, entity_tag(facts)
            status = condition(request, tag, changed)
            if status == 412:
                raise Failure(412)
            fields = [("ETag", tag), ("Last-Modified", http_date(changed))]
            if status == 304:
                file.close()
                return self.answer(304, "Same as ever", fields)
            wanted = part(request, tag, changed, size)
        except Failure:
            file.close()
            raise
        self.file = file
        kind = MEDIA_TYPES.get(os.path.splitext(name)[1].lower(), "application/octet-stream")
        fields.append(("Content-Type", kind + (CHARSET if kind.startswith("text/") else "")))
        start, count = wanted or (0, size)
        if wanted:
            fields.append(("Content-Range", f"bytes {start}-{start + count - 1}/{size}"))
        if count >= BIG:
            self.closing = True
        return self.answer(206 if wanted else 200, "Fine", fields, count, file_pieces(file, start, count))

    def run_script(self, request: Request, real: str, name: str, rest: str, query: str) -> None:
        body = bytes(self.body)
        env = variables(request, self.root, name, rest, query, len(body), self.here, self.there)
        self.script = Script(body, self.timeout, self.script_done)
        start = self.loop.subprocess_exec(
            lambda script=self.script: script,
            sys.executable,
            real,
            cwd=os.path.dirname(real),
            env=env,
            stderr=None,
            start_new_session=True,
        )
        self.starting = self.loop.create_task(start)
        self.starting.add_done_callback(self.script_started)

    def script_started(self, task: asyncio.Task) -> None:
        if not task.cancelled() and task.exception():
            print(f"the script did not start: {task.exception()}", file=sys.stderr)
            if self.script:
                self.script.abandon()
                self.script = None
                self.page(500)

    def script_done(self, output: bytes | None) -> None:
        self.script = None
        try:
            if output is None:
                raise Failure(504)
            status, reason, fields, content = understand(output)
        except Failure as error:
            self.page(error.status)
        else:
            self.content(status, reason, fields, content)

    def page(self, status: int, why: str = "", *fields: tuple[str, str]) -> None:
        """An error, and then the end."""
        if status >= 400:
            self.closing = True
        text = f"{status} {HTTPStatus(status).phrase}\n{why}\n".encode()
        self.content(status, HTTPStatus(status).phrase, [*fields, ("Content-Type", "text/plain" + CHARSET)], text)

    def content(self, status: int, reason: str, fields: list, content: bytes) -> None:
        self.answer(status, reason, fields, len(content), iter([content]))

    def answer(
        self, status: int, reason: str, fields: list, count: int = 0, content: Iterator[bytes] | None = None
    ) -> None:
        self.enter("answer")
        self.count += 1
        request = self.parser.request
        # A body that has not been read is in the way of the next request, and so is a client that has gone.
        self.closing = self.closing or request.wants_close or self.count >= REQUESTS
        head = [("Connection", "close")] if self.closing else []
        if status not in (204, 304):
            head.append(("Content-Length", str(count)))
        if content is None or request.method == "HEAD" or status in (204, 304):
            content = iter(())
        self.transport.write(wire.answer_head(status, reason, [*head, ("Date", http_date(time.time())), *fields]))
        self.status, self.sent, self.source = status, 0, content
        self.pump()

    def pump(self) -> None:
        """Hands pieces to the transport while it takes them."""
        for _ in range(32):
            if self.paused or not self.source:
                return
            try:
                piece = next(self.source, None)
            except OSError:  # the length is announced already: only the end can tell that this is not all
                return self.transport.abort()
            if piece is None:
                return self.finish()
            self.sent += len(piece)
            self.transport.write(piece)
        self.loop.call_soon(self.pump)  # the others are waiting
        return None

    def finish(self) -> None:
        self.log()
        self.source = None
        if self.file:
            self.file.close()
            self.file = None
        if self.mode == "gone":
            return
        if self.closing:
            # Who is still sending should get to see the answer: our side ends, theirs is read for a moment.
            self.enter("linger")
            self.parser.buffer.clear()
            self.release()
            if self.ended:
                self.transport.close()
            else:
                self.transport.write_eof()
        else:
            self.enter("idle")
            self.release()
            self.loop.call_soon(self.drive)

    def release(self) -> None:
        if self.held:
            self.held = False
            self.transport.resume_reading()

    def log(self) -> None:
        line = self.parser.request.first_line.encode("unicode_escape").decode().replace('"', "\\x22")
        now = time.gmtime()
        day = f"{now.tm_mday:02}/{wire.MONTHS[now.tm_mon - 1]}/{now.tm_year}"
        moment = f"{day}:{time.strftime('%H:%M:%S', now)} +0000"
        print(f'{self.there[0]} - - [{moment}] "{line}" {self.status} {self.sent}', file=sys.stderr, flush=True)


# --- The program ---------------------------------------------------------------------------------------------------


async def run(host: str, port: int, root: str, timeout: float) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(lambda: Connection(root, timeout), host, port, backlog=512)
    address = server.sockets[0].getsockname()
    name = f"[{address[0]}]" if server.sockets[0].family == socket.AF_INET6 else address[0]
    print(f"http://{name}:{address[1]}/", flush=True)
    await stop.wait()
    server.close()
    for connection in list(Connection.everybody):
        connection.transport.abort()
    await asyncio.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", default=8080, type=int)
    parser.add_argument("--root", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../webroot"))
    parser.add_argument("--timeout", default=10.0, type=float)
    given = parser.parse_args()
    asyncio.run(run(given.host, given.port, os.path.realpath(given.root), given.timeout))


if __name__ == "__main__":
    main()
