"""An HTTP/1.1 server with a process for each connection, and one answer for each process.

Whoever is slow, rude or stuck is so in a process of its own; the parent only accepts, forks and counts. Every answer
says `Connection: Close`. To HTTP/1.1 everything is sent in chunks, files too; HTTP/1.0 gets a length.
"""

import argparse
import calendar
import contextlib
import hashlib
import html
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
import urllib.parse
from pathlib import Path

METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"}
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
HTML = ("Content-TYPE", "TEXT/HTML; charset=utf-8")
MOST_CHILDREN = 400
MIB = 1024 * 1024

WORD = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
TEXT = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
HOST = re.compile(r"(\[[0-9A-Fa-f.:]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(:[0-9]*)?")
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
DAYS = "Mon Tue Wed Thu Fri Sat Sun".split()
LONG_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()


class Status(Exception):
    """Any answer that is not a file, a page or the output of a program."""

    def __init__(self, code: int, *fields: tuple[str, str]):
        super().__init__(code)
        self.code, self.fields = code, fields


class Gone(Exception):
    """There is nobody to answer."""


# --- Reading -------------------------------------------------------------------------------------------------------


class Wire:
    """A socket to read from, with a deadline."""

    def __init__(self, sock: socket.socket, timeout: float):
        self.sock, self.timeout = sock, timeout
        self.buffer = b""
        self.deadline = time.monotonic() + timeout

    def be_patient(self) -> None:
        self.deadline = time.monotonic() + self.timeout

    def more(self) -> None:
        left = self.deadline - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError
            self.sock.settimeout(left)
            data = self.sock.recv(65536)
        except TimeoutError:
            raise Status(408) from None
        except OSError:
            raise Gone from None
        if not data:
            raise Status(400)
        self.buffer += data

    def line(self, most: int, code: int) -> str:
        """A line without its end, which may be a bare LF; with it, it may have `most` bytes."""
        while (end := self.buffer.find(b"\n", 0, most)) < 0:
            if len(self.buffer) >= most:
                raise Status(code)
            self.more()
        line, self.buffer = self.buffer[:end], self.buffer[end + 1 :]
        return line.removesuffix(b"\r").decode("latin-1")

    def exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            self.more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def fields(self) -> list[tuple[str, str]]:
        fields, room = [], 16384
        while True:
            line = self.line(room, 431)
            room -= len(line) + 2
            if not line:
                return fields
            if len(fields) == 100 or room <= 0:
                raise Status(431)
            name, colon, value = line.partition(":")
            value = value.strip(" \t")
            if not colon or not WORD.fullmatch(name) or not TEXT.fullmatch(value):
                raise Status(400)
            fields.append((name.lower(), value))


class Request:
    """What is known of a request so far; errors are answered with that."""

    line = "-"
    method = ""
    target = ""
    old = False
    fields: list[tuple[str, str]] = []
    body: bytes | None = None

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.fields if key == name]

    def one(self, name: str) -> str | None:
        values = self.all(name)
        return values[0] if len(values) == 1 else None

    def read(self, wire: Wire) -> None:
        try:
            wire.more()
        except Status:
            raise Gone from None  # nobody asked anything
        wire.be_patient()
        while not (line := wire.line(8192, 414)):
            if not wire.buffer:
                try:
                    wire.more()
                except Status:
                    raise Gone from None
        self.line = line
        found = re.fullmatch(r"([^ ]+) ([!-~]+) HTTP/([0-9])\.([0-9])", line)
        if not found or not WORD.fullmatch(found[1]):
            raise Status(400)
        if found[3] != "1":
            raise Status(505)
        self.method, self.target, self.old = found[1], found[2], found[4] == "0"
        self.fields = wire.fields()
        hosts = self.all("host")
        if len(hosts) > 1 or not (hosts or self.old) or (hosts and not HOST.fullmatch(hosts[0])):
            raise Status(400)
        wire.be_patient()
        self.read_body(wire)

    def read_body(self, wire: Wire) -> None:
        lengths, codings = self.all("content-length"), self.all("transfer-encoding")
        if codings:
            if lengths or self.old:
                raise Status(400)
            if ",".join(codings).strip(" \t").lower() != "chunked":
                raise Status(501)
        elif not lengths:
            return
        elif len(lengths) > 1 or not re.fullmatch("[0-9]+", lengths[0]):
            raise Status(411)
        elif len(lengths[0].lstrip("0")) > 7 or int(lengths[0][-8:]) > MIB:
            raise Status(413)
        if not self.old and "100-continue" in ",".join(self.all("expect")).lower():
            wire.sock.sendall(b"HTTP/1.1 100 \r\n\r\n")
        if lengths:
            self.body = wire.exactly(int(lengths[0][-8:]))
            return
        parts, total = [], 0
        while True:
            size = re.fullmatch(r"([0-9A-Fa-f]+)[ \t]*(;[\t -~\x80-\xff]*)?", wire.line(4096, 400))
            if not size:
                raise Status(400)
            digits = size[1].lstrip("0") or "0"
            total += int(digits[:8], 16)
            if len(digits) > 8 or total > MIB:
                raise Status(413)
            if digits == "0":
                break
            parts.append(wire.exactly(int(digits, 16)))
            if wire.exactly(1) != b"\r" or wire.exactly(1) != b"\n":
                raise Status(400)
        wire.fields()
        self.body = b"".join(parts)


# --- Dates and tags ------------------------------------------------------------------------------------------------


def write_date(seconds: float) -> str:
    t = time.gmtime(seconds)
    day, month = DAYS[t.tm_wday], MONTHS[t.tm_mon - 1]
    return f"{day}, {t.tm_mday:02d} {month} {t.tm_year:04d} {t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} GMT"


def read_date(text: str | None) -> int | None:
    """Seconds since 1970, for one of the three forms of a date."""
    words = (text or "").split(" ")
    with contextlib.suppress(ValueError, IndexError):
        if len(words) == 6 and words[5] == "GMT" and words[0][:-1] in DAYS and words[0][-1] == ",":
            _, day, month, year, clock, _ = words
        elif len(words) == 4 and words[3] == "GMT" and words[0][:-1] in LONG_DAYS and words[0][-1] == ",":
            day, month, year = words[1].split("-")
            this_year = time.gmtime().tm_year
            full = this_year // 100 * 100 + int(year)
            year = f"{full - 100 if full > this_year + 50 else full:04d}" if len(year) == 2 else ""
            clock = words[2]
        elif words[0] in DAYS and len(words) in (5, 6):
            if len(words) == 6 and (words[2] or len(words[3]) != 1):
                return None
            month, day, clock, year = words[1], words[-3].zfill(2), words[-2], words[-1]
        else:
            return None
        digits = re.fullmatch(r"(\d\d) (\d{4}) (\d\d):(\d\d):(\d\d)", f"{day} {year} {clock}", re.ASCII)
        if not digits:
            return None
        d, y, hh, mm, ss = map(int, digits.groups())
        number = MONTHS.index(month) + 1
        if 1 <= d <= calendar.monthrange(y, number)[1] and hh < 24 and mm < 60 and ss < 61:
            return calendar.timegm((y, number, d, hh, mm, ss))
    return None


def tags(text: str) -> list[str]:
    return re.findall(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"', text)


def unmodified(request: Request, tag: str, changed: int) -> None:
    """The four conditions; a Status if they do not want the file."""
    wanted, other = ", ".join(request.all("if-match")), ", ".join(request.all("if-none-match"))
    until, since = read_date(request.one("if-unmodified-since")), read_date(request.one("if-modified-since"))
    validators = ("ETag", tag), ("Last-Modified", write_date(changed))
    if request.all("if-match"):
        if wanted != "*" and tag not in tags(wanted):
            raise Status(412)
    elif until is not None and until < changed:
        raise Status(412)
    if request.all("if-none-match"):
        if other == "*" or tag in [known.removeprefix("W/") for known in tags(other)]:
            raise Status(304, *validators)
    elif since is not None and since >= changed:
        raise Status(304, *validators)


def slice_of(request: Request, tag: str, changed: int, size: int) -> tuple[int, int] | None:
    """Where the wanted part begins and ends (the byte after it); None for all."""
    text, validator = request.one("range"), request.one("if-range")
    if request.method != "GET" or not text or (validator and validator != tag and read_date(validator) != changed):
        return None
    unit, _, wanted = text.partition("=")
    if unit.lower() != "bytes" or "," in wanted:
        return None
    found = re.fullmatch(r"[ \t]*([0-9]*)-([0-9]*)[ \t]*", wanted)
    if not found or not (found[1] or found[2]):
        raise Status(400)
    # Zeros in front do not count, and int() takes no more than some thousand digits: no file is that long.
    first, last = (int("0" + digits.lstrip("0")[:4000]) for digits in found.groups())
    if found[1] and found[2] and last < first:
        raise Status(400)
    if not found[1]:
        first, last = max(0, size - last), size - 1
    elif not found[2]:
        last = size - 1
    if first >= size:
        raise Status(416, ("Content-Range", f"bytes */{size}"))
    return first, min(last + 1, size)


# --- Answering -----------------------------------------------------------------------------------------------------


class Child:
    """One connection."""

    def __init__(self, sock: socket.socket, client: tuple, root: Path, timeout: float):
        self.sock, self.client, self.root, self.timeout = sock, client, root, timeout
        self.request = Request()

    def run(self) -> None:
        try:
            self.request.read(Wire(self.sock, self.timeout))
            self.answer()
        except Status as status:
            self.send_status(status)
        except (Gone, ConnectionError, TimeoutError):
            return
        except Exception:
            traceback.print_exc()
            self.send_status(Status(500))
        self.linger()

    def linger(self) -> None:
        """Reads on for a moment: a close with bytes unread would be a reset, and that could eat the answer."""
        end = time.monotonic() + 2
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
            while (left := end - time.monotonic()) > 0:
                self.sock.settimeout(left)
                if not self.sock.recv(65536):
                    break

    def send_status(self, status: Status) -> None:
        with contextlib.suppress(OSError):
            if status.code == 304:
                self.send(304, list(status.fields), [], 0)
            else:
                page = f"<title>{status.code}</title><p>This has led to a {status.code}.".encode()
                self.send(status.code, [HTML, *status.fields], [page], len(page))

    def send(self, code: int, fields: list, content, length: int) -> None:
        old, silent = self.request.old, self.request.method == "HEAD" or code in (204, 304)
        lines = [f"HTTP/1.1 {code} ", "Server: one-each", "Connection: Close", f"Date:  {write_date(time.time())} "]
        if code not in (204, 304):
            lines.append(f"Content-Length: {length}" if old else "Transfer-Encoding: Chunked")
        lines += [f"{name}: {value}" for name, value in fields]
        self.push("\r\n".join([*lines, "", ""]).encode("latin-1"))
        sent = 0
        try:
            for piece in [] if silent else content:
                if piece:
                    # Leading zeros, capital digits and an extension: all of it is allowed in a chunk.
                    self.push(piece if old else b"%06X;n=1\r\n%b\r\n" % (len(piece), piece))
                    sent += len(piece)
            if not old and not silent:
                self.push(b"000\r\nX-Bytes: %d\r\n\r\n" % sent)
        finally:
            self.log(code, sent)

    def push(self, data: bytes) -> None:
        """Sends all of it, to a client who takes some of it every now and then."""
        self.sock.settimeout(self.timeout)
        view = memoryview(data)
        while view:
            view = view[self.sock.send(view) :]

    def log(self, code: int, sent: int) -> None:
        t = time.gmtime()
        stamp = f"{t.tm_mday:02d}/{MONTHS[t.tm_mon - 1]}/{t.tm_year}:{time.strftime('%H:%M:%S', t)} +0000"
        line = "".join(c if " " <= c <= "~" and c not in '"\\' else f"\\x{ord(c):02x}" for c in self.request.line)
        # One write, so that the lines of many processes do not mix.
        os.write(2, f'{self.client[0]} - - [{stamp}] "{line}" {code} {sent}\n'.encode())

    def answer(self) -> None:
        request = self.request
        if request.method not in METHODS:
            raise Status(501)
        if request.method == "OPTIONS" and request.target == "*":
            return self.send(204, [("Allow", "HEAD, GET, OPTIONS, POST")], [], 0)
        target = request.target
        if found := re.match("https?://[^/?#]+", target, re.IGNORECASE):
            target = target[found.end() :]
            target = target if target.startswith("/") else "/" + target
        path, _, query = target.partition("?")
        if not path.startswith("/") or "#" in target or re.search("%(?![0-9A-Fa-f]{2})", path):
            raise Status(400)
        decoded = os.fsdecode(urllib.parse.unquote_to_bytes(path))
        if "\0" in decoded or (os.sep == "\\" and "\\" in decoded):
            raise Status(404)
        names: list[str] = []
        for name in decoded.split("/"):
            if name == ".." and names:
                names.pop()
            elif name not in ("", ".", ".."):
                names.append(name)
        slash = decoded.rsplit("/", 1)[1] in ("", ".", "..")
        if any(name.startswith(".") for name in names):
            raise Status(404)

        script, name, rest = self.script_in(names, slash)
        allow = ("Allow", "GET, HEAD, POST, OPTIONS" if script else "OPTIONS, GET, HEAD")
        if not script:
            place = self.place(names)
        if request.method not in allow[1].split(", "):
            raise Status(405, allow)
        if request.method == "OPTIONS":
            return self.send(204, [allow], [], 0)
        if script:
            return self.run_script(script, name, rest, query)
        if place.is_file():
            if slash:
                raise Status(404)
            return self.send_file(place, names[-1])
        if names and not slash:
            raise Status(
                301, ("Location", f"./{urllib.parse.quote(os.fsencode(names[-1]))}/{'?' * bool(query)}{query}")
            )
        index = None
        with contextlib.suppress(Status):
            index = self.place([*names, "index.html"])
        if index and index.is_file():
            return self.send_file(index, "index.html")
        page = self.listing(names)
        return self.send(200, [HTML], [page], len(page))

    def place(self, names: list[str]) -> Path:
        """The real file or folder; 404 if it is hidden, elsewhere, or neither."""
        try:
            real = self.root.joinpath(*names).resolve(strict=True)
            visible = real.is_relative_to(self.root) and (real.is_file() or real.is_dir())
        except (OSError, ValueError, RuntimeError):
            raise Status(404) from None
        if not visible or any(part.startswith(".") for part in real.relative_to(self.root).parts):
            raise Status(404)
        return real

    def script_in(self, names: list[str], slash: bool) -> tuple[Path | None, str, str]:
        """The script that the path leads to or through, its name, and the path behind it."""
        for count in [1, 2] if names[:1] == ["cgi-bin"] else [1]:
            if len(names) < count or not names[count - 1].lower().endswith(".py"):
                continue
            real = self.place(names[:count])
            if real.is_file():
                if real.suffix.lower() != ".py" or real.parent not in (self.root, self.root / "cgi-bin"):
                    raise Status(404)
                rest = "".join("/" + name for name in names[count:])
                return real, "/" + "/".join(names[:count]), rest + "/" * slash
        return None, "", ""

    def listing(self, names: list[str]) -> bytes:
        links = ["../"] if names else []
        for name in sorted(os.listdir(self.root.joinpath(*names))):
            with contextlib.suppress(Status):
                if not name.startswith("."):
                    links.append(name + "/" * self.place([*names, name]).is_dir())
        lines = [
            f'<p><a class=entry href="{urllib.parse.quote(os.fsencode(link), safe="/")}"\n>{html.escape(link)}</a></p>'
            for link in links
        ]
        title = html.escape("/".join(["", *names]))
        return f"<!doctype html><title>{title}</title>\n{chr(10).join(lines)}\n".encode("utf-8", "replace")

    def send_file(self, place: Path, name: str) -> None:
        if ".py" in (place.suffix.lower(), os.path.splitext(name)[1].lower()) or name.lower() == ".py":
            raise Status(403)
        try:
            file = place.open("rb")
        except PermissionError:
            raise Status(403) from None
        with file:
            tag = f'"{hashlib.file_digest(file, "sha256").hexdigest()}"'
            facts = os.fstat(file.fileno())
            changed, size = int(facts.st_mtime), facts.st_size
            unmodified(self.request, tag, changed)
            wanted = slice_of(self.request, tag, changed, size)
            first, end = wanted or (0, size)
            kind = MEDIA_TYPES.get(os.path.splitext(name)[1].lower(), "application/octet-stream")
            kind = kind.title() + " ; charset=UTF-8" if kind.startswith("text/") else kind
            fields = [("Content-TYPE", kind), ("ETag", tag), ("Last-Modified", write_date(changed))]
            if wanted:
                fields.append(("Content-Range", f"bytes {first}-{end - 1}/{size}"))
            file.seek(first)
            pieces = (file.read(min(50_000, end - place)) for place in range(first, end, 50_000))
            self.send(206 if wanted else 200, fields, pieces, end - first)

    def run_script(self, script: Path, name: str, rest: str, query: str) -> None:
        request, here = self.request, self.sock.getsockname()
        env = {key: value for key, value in os.environ.items() if key in ("PATH", "SYSTEMROOT")}
        for key in dict(request.fields):
            if "_" not in key and key not in ("proxy", "authorization", "content-type", "content-length"):
                value = ", ".join(request.all(key))
                env["HTTP_" + key.replace("-", "_").upper()] = os.fsdecode(value.encode("latin-1"))
        env.update(
            GATEWAY_INTERFACE="CGI/1.1",
            PATH_INFO=rest,
            QUERY_STRING=query,
            REMOTE_ADDR=self.client[0],
            REMOTE_HOST=self.client[0],
            REQUEST_METHOD=request.method,
            SCRIPT_NAME=name,
            SERVER_NAME=re.sub(":[0-9]*$", "", request.one("host") or here[0]),
            SERVER_PORT=str(here[1]),
            SERVER_PROTOCOL="HTTP/1.0" if request.old else "HTTP/1.1",
            SERVER_SOFTWARE="one-each",
        )
        if rest:
            env["PATH_TRANSLATED"] = str(self.root) + rest
        if request.body is not None:
            env["CONTENT_LENGTH"] = str(len(request.body))
        if request.one("content-type"):
            env["CONTENT_TYPE"] = os.fsdecode(request.one("content-type").encode("latin-1"))
        pipe = subprocess.PIPE
        command = [sys.executable, str(script)]
        program = subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=script.parent, env=env, start_new_session=True)
        try:
            output, _ = program.communicate(request.body or b"", self.timeout)
        except subprocess.TimeoutExpired:
            raise Status(504) from None
        finally:
            with contextlib.suppress(OSError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()
        code, fields, content = self.read_output(output)
        self.send(code, fields, [content], len(content))

    @staticmethod
    def read_output(output: bytes) -> tuple[int, list, bytes]:
        found = re.match(rb"((?:[^\r\n]+\r?\n)+)\r?\n", output)
        if not found:
            raise Status(502)
        code, fields = "", []
        for line in found[1].decode("latin-1").replace("\r\n", "\n").removesuffix("\n").split("\n"):
            name, colon, value = line.partition(":")
            value = value.strip(" \t")
            if not colon or not WORD.fullmatch(name) or not TEXT.fullmatch(value):
                raise Status(502)
            if name.lower() == "status":
                code = value
            elif name.lower() not in ("connection", "content-length", "transfer-encoding", "date", "server", "trailer"):
                fields.append((name, value))
        names = {name.lower() for name, _ in fields}
        code = code or ("302" if "location" in names else "200" if "content-type" in names else "")
        if not re.fullmatch("[2-5][0-9][0-9]( .*)?", code):
            raise Status(502)
        return int(code[:3]), fields, output[found.end() :]


# --- The parent ----------------------------------------------------------------------------------------------------


def interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def leave(number: int, frame: object) -> None:
    raise SystemExit


def collect(children: set[int]) -> None:
    """Takes leave of the children that have ended."""
    for child in list(children):
        if os.waitpid(child, os.WNOHANG)[0]:
            children.discard(child)


def serve(listener: socket.socket, root: Path, timeout: float, children: set[int]) -> None:
    ended, bell = socket.socketpair()
    bell.setblocking(False)
    signal.set_wakeup_fd(bell.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    while True:
        collect(children)
        # The end of a child wakes us as a client does, so that nothing of it is left for longer than needed.
        waiting = [ended, listener] if len(children) < MOST_CHILDREN else [ended]
        ready, _, _ = select.select(waiting, [], [], 1)
        if ended in ready:
            ended.recv(4096)
        if listener not in ready:
            continue
        try:
            sock, client = listener.accept()
        except OSError:
            time.sleep(0.05)
            continue
        with sock:
            # No signal between the fork and what follows it, or a child would think it is the parent.
            signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
            try:
                child = os.fork()
            except OSError:
                child = -1
            if child == 0:
                try:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    signal.signal(signal.SIGINT, leave)
                    signal.signal(signal.SIGTERM, leave)
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
                    for theirs in (listener, ended, bell):
                        theirs.close()
                    Child(sock, client, root, timeout).run()
                finally:
                    os._exit(0)
            if child > 0:
                children.add(child)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))


def main() -> None:
    parser = argparse.ArgumentParser(description="A process for each connection.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[2] / "webroot")
    parser.add_argument("--timeout", type=float, default=10.0)
    options = parser.parse_args()
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    children: set[int] = set()
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    with socket.create_server((options.host, options.port), family=family, backlog=256) as listener:
        host, port = listener.getsockname()[:2]
        print(f"http://{f'[{host}]' if ':' in host else host}:{port}/", flush=True)
        try:
            serve(listener, options.root.resolve(), options.timeout, children)
        except KeyboardInterrupt:
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGTERM)
            for child in children:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(child, 0)


if __name__ == "__main__":
    main()
