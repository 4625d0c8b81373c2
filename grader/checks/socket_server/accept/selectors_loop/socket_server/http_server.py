"""An HTTP/1.1 server in one thread: an event loop over selectors, and a state machine for each connection.

Nothing in here ever waits, except select(). A connection has a `step`, the function that tries to understand the next
piece of what came in, and `outgoing`, an iterator of what is still to be sent. Programs (CGI) are children whose output
the same loop reads. What the server makes up while it runs goes out in chunks; files have a length.
"""

import argparse
import contextlib
import errno
import html
import os
import re
import selectors
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
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
# A status may be called anything. Where this has no word, the reason is left empty, which is just as legal.
REASONS = {
    200: "Here you are",
    206: "A piece of it",
    301: "Over there",
    304: "Nothing new",
    400: "I do not understand",
    403: "No",
    404: "Nothing here",
    405: "Not like this",
    500: "My fault",
    502: "The program talks nonsense",
    504: "The program sleeps",
}

LINE_LIMIT = 8192
FIELDS_LIMIT = 16384
FIELD_COUNT = 100
BODY_LIMIT = 1024 * 1024
OUTPUT_LIMIT = 64 * 1024 * 1024
PIECE = 64 * 1024
TURN = 16 * PIECE  # so much one connection may send before it is somebody else's turn
LINGER = 2.0

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~]+) HTTP/([0-9])\.([0-9])")
HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+)(?::[0-9]*)?")
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")
ENTITY_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')


class Refused(Exception):
    """A request that gets an error. After `fatal` ones nobody knows where the next request begins."""

    def __init__(self, status: int, why: str = "", fatal: bool = False, fields: tuple = ()):
        super().__init__(status, why)
        self.status, self.why, self.fatal, self.fields = status, why, fatal, list(fields)


@dataclass
class Request:
    line: str = "-"
    method: str = ""
    target: str = ""
    version: tuple = (1, 1)
    fields: list = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    has_body: bool = False

    def values(self, name: str) -> list[str]:
        return [value for known, value in self.fields if known == name]

    def value(self, name: str) -> str | None:
        """The value of a field that makes sense only once; several are as good as none."""
        values = self.values(name)
        return values[0] if len(values) == 1 else None

    def members(self, name: str) -> list[str]:
        """The members of a field that is a list, in lower case."""
        return [member.strip(" \t").lower() for value in self.values(name) for member in value.split(",")]


@dataclass
class Answer:
    """What goes back. The length is None where the content is made on the way."""

    status: int
    fields: list = field(default_factory=list)
    content: Iterator[bytes] = iter(())
    length: int | None = 0
    file: object = None


# --- Dates ---------------------------------------------------------------------------------------------------------


DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DATE_FORMS = (
    re.compile(r"\w{3}, (?P<d>\d\d) (?P<m>\w{3}) (?P<y>\d{4}) (?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d) GMT", re.ASCII),
    re.compile(r"\w{6,9}, (?P<d>\d\d)-(?P<m>\w{3})-(?P<y>\d\d) (?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d) GMT", re.ASCII),
    re.compile(r"\w{3} (?P<m>\w{3}) (?P<d>[ \d]\d) (?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d) (?P<y>\d{4})", re.ASCII),
)


def http_date(seconds: float) -> str:
    t = time.gmtime(seconds)
    return f"{DAYS[t.tm_wday]}, {t.tm_mday:02} {MONTHS[t.tm_mon - 1]} {t.tm_year:04} {time.strftime('%H:%M:%S', t)} GMT"


def parse_http_date(text: str) -> int | None:
    """One of the three forms that RFC 9110 knows, in seconds; None if it is none of them."""
    for form in DATE_FORMS:
        if not (found := form.fullmatch(text)) or found["m"] not in MONTHS:
            continue
        year = int(found["y"])
        if len(found["y"]) == 2:  # the latest year with these digits that is not more than 50 years ahead
            ahead = datetime.now(UTC).year + 50
            year = ahead - (ahead - year) % 100
        month, second = MONTHS.index(found["m"]) + 1, min(int(found["S"]), 59)
        try:
            moment = datetime(year, month, int(found["d"]), int(found["H"]), int(found["M"]), second, tzinfo=UTC)
        except ValueError:
            return None
        return int(moment.timestamp())
    return None


# --- From a target to something in the root ------------------------------------------------------------------------


def split_target(target: str) -> tuple[str, str]:
    """The raw path and the raw query of a target."""
    if found := re.fullmatch(r"https?://([^/?#]+)(.*)", target, re.IGNORECASE):
        target = found[2] if found[2].startswith("/") else "/" + found[2]
    if not target.startswith("/") or "#" in target:
        raise Refused(400, "The target is neither a path nor an address.")
    path, _, query = target.partition("?")
    if re.search(r"%(?![0-9A-Fa-f]{2})", path):
        raise Refused(400, "A percent sign without two hexadecimal digits.")
    return path, query


def path_segments(path: str) -> tuple[list[str], bool]:
    """The names on the way from the root, decoded once and without dots, and whether a folder is meant."""
    names: list[str] = []
    raw = [os.fsdecode(urllib.parse.unquote_to_bytes(part)) for part in path[1:].split("/")]
    for name in raw:
        if name == "..":
            del names[-1:]
        elif name not in ("", "."):
            names.append(name)
    return names, raw[-1] in ("", ".", "..")


@dataclass
class Place:
    """Something in the root: a file, a folder, or a script with what follows its name."""

    kind: str
    path: Path
    info: os.stat_result
    names: list
    extra: str = ""


class Site:
    """The folder that is served."""

    def __init__(self, root: Path):
        self.root = Path(os.path.realpath(root))
        self.script_folders = (self.root, self.root / "cgi-bin")

    def real(self, path: Path) -> tuple[Path, os.stat_result]:
        """Where a path ends when all links are followed; refused if that is nowhere, hidden, or outside."""
        try:
            real = Path(os.path.realpath(path, strict=True))
            info = real.stat()
        except PermissionError:
            raise Refused(403) from None
        except (OSError, ValueError):
            raise Refused(404) from None
        if not real.is_relative_to(self.root):
            raise Refused(404)
        if any(name.startswith(".") for name in real.relative_to(self.root).parts):
            raise Refused(404)
        if not stat.S_ISREG(info.st_mode) and not stat.S_ISDIR(info.st_mode):
            raise Refused(403, "This is neither a file nor a folder.")
        return real, info

    def find(self, path: str) -> Place:
        names, folder_wanted = path_segments(path)
        for name in names:
            if name.startswith(".") or "\0" in name or os.sep in name or (os.altsep and os.altsep in name):
                raise Refused(404)
        # A script may be followed by more: the first name in the right place that ends in .py is it.
        for depth in (1, 2) if names[:1] == ["cgi-bin"] else (1,):
            if len(names) >= depth and names[depth - 1].lower().endswith(".py"):
                real, info = self.real(self.root.joinpath(*names[:depth]))
                if stat.S_ISREG(info.st_mode):
                    if real.parent not in self.script_folders or not real.name.lower().endswith(".py"):
                        raise Refused(403)
                    extra = ""
                    if len(names) > depth or folder_wanted:
                        extra = "/" + "/".join(names[depth:]) + ("/" if folder_wanted and names[depth:] else "")
                    return Place("script", real, info, names[:depth], extra)
        real, info = self.real(self.root.joinpath(*names))
        if stat.S_ISDIR(info.st_mode):
            return Place("folder" if folder_wanted or not names else "bare folder", real, info, names)
        if names[-1].lower().endswith(".py") or real.name.lower().endswith(".py"):
            raise Refused(403, "Programs are not shown.")
        if folder_wanted:
            raise Refused(404)
        return Place("file", real, info, names)

    def listing(self, place: Place) -> Iterator[bytes]:
        """A page with a link to everything in a folder, name by name."""
        title = html.escape("/" + "/".join(place.names))
        head = f"<!doctype html>\n<html><head><meta charset=utf-8><title>{title}</title></head>\n"
        yield (head + f"<body><h1>{title}</h1>\n<ul>\n").encode("utf-8", "replace")
        if place.names:
            yield b'<li><a href="../">../</a></li>\n'
        try:
            names = sorted(os.listdir(place.path))
        except OSError:
            names = []
        for name in names:
            try:
                if name.startswith("."):
                    continue
                slash = "/" if stat.S_ISDIR(self.real(place.path / name)[1].st_mode) else ""
            except Refused:
                continue
            link = "./" + urllib.parse.quote(os.fsencode(name), safe="") + slash
            yield f'<li><a href="{link}">{html.escape(name)}{slash}</a></li>\n'.encode("utf-8", "replace")
        yield b"</ul>\n</body></html>\n"


# --- Conditions and ranges -----------------------------------------------------------------------------------------


def make_etag(info: os.stat_result) -> str:
    return f'"{info.st_ino:x}.{info.st_mtime_ns:x}.{info.st_size:x}"'


def matches(values: list[str], etag: str, weak: bool) -> bool:
    text = ",".join(values).strip()
    if text == "*":
        return True
    tags = ENTITY_TAG.findall(text)
    return etag in ([tag.removeprefix("W/") for tag in tags] if weak else tags)


def check_conditions(request: Request, etag: str, changed: int) -> int | None:
    """304 or 412, or None for the file itself, in the order of RFC 9110, 13.2.2."""
    if tags := request.values("if-match"):
        if not matches(tags, etag, weak=False):
            return 412
    elif (date := parse_http_date(request.value("if-unmodified-since") or "")) is not None and changed > date:
        return 412
    if tags := request.values("if-none-match"):
        if matches(tags, etag, weak=True):
            return 304
    elif (date := parse_http_date(request.value("if-modified-since") or "")) is not None and changed <= date:
        return 304
    return None


def number(digits: str) -> int:
    """A number of any length; beyond all files one is as good as another (and int() has a limit)."""
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) < 19 else 10**18


def wanted_ranges(request: Request, etag: str, changed: int, size: int) -> list[tuple[int, int]] | None:
    """Pairs of first and last byte; empty if all of them lie behind the end, None for the whole file."""
    text = request.value("range")
    if text is None or request.method != "GET":
        return None
    if (validator := request.value("if-range")) is not None:
        if validator != etag and parse_http_date(validator) != changed:
            return None
    unit, _, specs = text.partition("=")
    if unit.lower() != "bytes":
        return None
    ranges, several = [], specs.split(",")
    for spec in several:
        found = re.fullmatch(r"([0-9]*)-([0-9]*)", spec.strip(" \t"))
        if not found or found[0].strip(" \t") == "-":
            return None
        if not found[1]:
            if length := min(number(found[2]), size):
                ranges.append((size - length, size - 1))
            elif number(found[2]):
                return None  # the end of an empty file is the empty file
            continue
        first, last = number(found[1]), number(found[2]) if found[2] else size - 1
        if found[2] and last < first:
            return None
        if first < size:
            ranges.append((first, min(last, size - 1)))
    if len(several) > 8 or sum(last - first + 1 for first, last in ranges) > size:
        return None
    return ranges


# --- Programs ------------------------------------------------------------------------------------------------------


def script_environment(request: Request, place: Place, query: str, root: Path, here: tuple, there: tuple) -> dict:
    variables = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    for name, value in request.fields:
        # A name with an underscore could pass for another one, and who logs in is not the script's business.
        if "_" in name or name in ("proxy", "authorization", "proxy-authorization", "content-length", "content-type"):
            continue
        key = "HTTP_" + name.upper().replace("-", "_")
        variables[key] = f"{variables[key]}, {value}" if key in variables else value
    host = request.value("host") or ""
    variables |= {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": "selectors-loop/1.0",
        "SERVER_PROTOCOL": "HTTP/{}.{}".format(*request.version),
        "SERVER_NAME": re.sub(r":[0-9]*$", "", host) or here[0],
        "SERVER_PORT": str(here[1]),
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "/" + "/".join(place.names),
        "PATH_INFO": place.extra,
        "QUERY_STRING": query,
        "REMOTE_ADDR": there[0],
        "REMOTE_HOST": there[0],
    }
    if place.extra:
        variables["PATH_TRANSLATED"] = str(root) + place.extra
    if request.has_body:
        variables["CONTENT_LENGTH"] = str(len(request.body))
    if (media_type := request.value("content-type")) is not None:
        variables["CONTENT_TYPE"] = media_type
    return {name: os.fsdecode(value.encode("latin-1")) if name.startswith("HTTP_") else value
            for name, value in variables.items() if "\0" not in value}  # fmt: skip


def parse_script_output(output: bytes) -> tuple[int, list, bytes]:
    """The status, the fields and the content of a CGI response."""
    found = re.search(rb"(?:^|\r?\n)\r?\n", output)
    if not found:
        raise Refused(502, "The output has no empty line after its fields.")
    status, fields, seen = None, [], set()
    for line in output[: found.start()].split(b"\n"):
        name, colon, value = line.removesuffix(b"\r").decode("latin-1").partition(":")
        name, value = name.lower(), value.strip(" \t")
        if not colon or not TOKEN.fullmatch(name) or re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
            raise Refused(502, "The output has a line that is no field.")
        seen.add(name)
        if name == "status":
            if status is not None or not re.fullmatch(r"[2-5][0-9][0-9](?: .*)?", value):
                raise Refused(502, "The output has no proper status.")
            status = int(value[:3])
        elif name not in (
            "connection",
            "content-length",
            "transfer-encoding",
            "keep-alive",
            "trailer",
            "upgrade",
            "date",
        ):
            fields.append((name, value))
    if not seen & {"content-type", "location", "status"}:
        raise Refused(502, "The output has neither type nor status nor place.")
    return status or (302 if "location" in seen else 200), fields, output[found.end() :]


class Program:
    """A script that runs, and the connection that waits for it."""

    def __init__(self, server: "Server", connection: "Connection", place: Place, variables: dict):
        self.server, self.connection = server, connection
        self.output = bytearray()
        self.deadline = time.monotonic() + server.timeout
        with tempfile.TemporaryFile() as body:
            body.write(connection.request.body)
            body.seek(0)
            self.process = subprocess.Popen(
                [sys.executable, str(place.path)],
                stdin=body,
                stdout=subprocess.PIPE,
                cwd=place.path.parent,
                env=variables,
                start_new_session=True,
            )
        os.set_blocking(self.process.stdout.fileno(), False)
        self.reading = True
        server.selector.register(self.process.stdout, selectors.EVENT_READ, self.on_event)
        server.programs.add(self)

    def on_event(self, events: int) -> None:
        try:
            piece = os.read(self.process.stdout.fileno(), PIECE)
        except BlockingIOError:
            return
        self.output += piece
        if not piece:
            self.stop_reading()
        elif len(self.output) > OUTPUT_LIMIT:
            self.end(502)

    def stop_reading(self) -> None:
        if self.reading:
            self.reading = False
            self.server.selector.unregister(self.process.stdout)

    def check(self, now: float) -> None:
        """Called from time to time: is it done, or has it had its time?"""
        if self.process.poll() is not None:
            with contextlib.suppress(BlockingIOError):
                while self.reading and (piece := os.read(self.process.stdout.fileno(), PIECE)):
                    self.output += piece
            self.end()
        elif now > self.deadline:
            self.end(504)

    def end(self, status: int | None = None) -> None:
        self.kill()
        try:
            if status:
                raise Refused(status)
            status, fields, content = parse_script_output(bytes(self.output))
            self.connection.respond(Answer(status, fields, iter([content]), None))
        except Refused as error:
            self.connection.refuse(error)
        self.connection.run()

    def kill(self) -> None:
        self.stop_reading()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self.server.programs.discard(self)


# --- A connection --------------------------------------------------------------------------------------------------


class Connection:
    """One client.

    Either `step` is set (we read), or `outgoing` (we write), or neither: then a program runs, or we linger.
    """

    def __init__(self, server: "Server", sock: socket.socket, address: tuple):
        self.server, self.sock, self.address = server, sock, address
        self.incoming = bytearray()
        self.pending = memoryview(b"")
        self.outgoing = None
        self.lingering = self.ended = self.closed = False
        self.interest = 0
        sock.setblocking(False)
        self.expect_request()
        self.watch()

    def expect_request(self) -> None:
        self.request = Request()
        self.step = self.read_line
        self.begun = bool(self.incoming)
        self.fields_size = 0
        self.patience()

    def patience(self, seconds: float | None = None) -> None:
        self.deadline = time.monotonic() + (self.server.timeout if seconds is None else seconds)

    def watch(self) -> None:
        """Tells the selector what we wait for."""
        if self.outgoing is not None:
            interest = selectors.EVENT_WRITE
        else:
            interest = selectors.EVENT_READ if self.step or self.lingering else 0
        if self.closed or interest == self.interest:
            return
        if not self.interest:
            self.server.selector.register(self.sock, interest, self.on_event)
        elif interest:
            self.server.selector.modify(self.sock, interest, self.on_event)
        else:
            self.server.selector.unregister(self.sock)
        self.interest = interest

    def on_event(self, events: int) -> None:
        if events & selectors.EVENT_READ:
            try:
                data = self.sock.recv(PIECE)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                return self.close()
            if self.lingering:
                return None if data else self.close()
            self.ended = not data
            self.incoming += data
            if data and not self.begun:
                self.begun = True
                self.patience()
        self.run()

    def run(self) -> None:
        """Goes on as far as it is possible without waiting."""
        try:
            while not self.closed:
                if self.outgoing is not None:
                    if not self.flush():
                        break
                    self.finish_answer()
                elif not self.step:
                    break
                else:
                    try:
                        if not self.step():
                            if not self.ended:
                                break
                            if not self.begun or (self.step == self.read_line and not self.incoming):
                                return self.close()
                            raise Refused(400, "The request ends in the middle.", fatal=True)
                    except Refused as error:
                        self.refuse(error)
        except OSError:
            return self.close()
        self.watch()

    def expire(self) -> None:
        """Patience is at its end."""
        if self.outgoing is None and self.step and self.begun:
            self.refuse(Refused(408, "Too slow.", fatal=True))
            self.run()
        elif self.outgoing is not None or self.step or self.lingering:
            self.close()

    def close(self) -> None:
        if self.closed:
            return
        if self.interest:
            self.server.selector.unregister(self.sock)
        if self.outgoing is not None:
            self.log()
        self.closed = True
        self.sock.close()
        self.server.connections.discard(self)

    # The steps of reading. Each returns whether it got somewhere.

    def take_line(self, limit: int) -> bytes | None:
        """The next line without its CRLF; None if it is not there yet. With its CRLF it may have `limit` bytes."""
        end = self.incoming.find(b"\n", 0, limit)
        if end < 0:
            if len(self.incoming) >= limit:
                raise OverflowError
            return None
        line = bytes(self.incoming[: end + 1])
        del self.incoming[: end + 1]
        if not line.endswith(b"\r\n"):
            raise Refused(400, "A line does not end in CRLF.", fatal=True)
        return line[:-2]

    def read_line(self) -> bool:
        try:
            line = self.take_line(LINE_LIMIT)
        except OverflowError:
            raise Refused(414, "The request line is too long.", fatal=True) from None
        if not line:
            return line is not None
        self.request.line = line.decode("latin-1")
        found = REQUEST_LINE.fullmatch(line)
        if not found:
            raise Refused(400, "The first line is no request line.", fatal=True)
        self.request.method, self.request.target = found[1].decode(), found[2].decode()
        self.request.version = int(found[3]), int(found[4])
        if self.request.version[0] != 1:
            raise Refused(505, "Only HTTP/1.0 and HTTP/1.1 are spoken here.", fatal=True)
        self.step = self.read_fields
        return True

    def take_field(self) -> tuple[str, str] | None | bool:
        """The next field, True for the empty line, None if it is not there yet."""
        try:
            line = self.take_line(FIELDS_LIMIT - self.fields_size)
        except OverflowError:
            raise Refused(431, "The fields are too long.", fatal=True) from None
        if line is None:
            return None
        self.fields_size += len(line) + 2
        if not line:
            return True
        name, colon, value = line.decode("latin-1").partition(":")
        value = value.strip(" \t")
        if not colon or not TOKEN.fullmatch(name) or re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
            raise Refused(400, "A line among the fields is no field.", fatal=True)
        return name.lower(), value

    def read_fields(self) -> bool:
        found = self.take_field()
        if found is None:
            return False
        if found is not True:
            self.request.fields.append(found)
            if len(self.request.fields) > FIELD_COUNT:
                raise Refused(431, "There are too many fields.", fatal=True)
            return True
        hosts = self.request.values("host")
        if len(hosts) > 1 or (not hosts and self.request.version > (1, 0)):
            raise Refused(400, "There must be one Host.", fatal=True)
        if hosts and not HOST.fullmatch(hosts[0]):
            raise Refused(400, "The Host is not valid.", fatal=True)
        self.patience()
        self.begin_body()
        return True

    def begin_body(self) -> None:
        request = self.request
        lengths, codings = request.values("content-length"), request.values("transfer-encoding")
        if lengths and codings:
            raise Refused(400, "Both a length and a transfer coding.", fatal=True)
        if codings:
            if request.version == (1, 0):
                raise Refused(400, "HTTP/1.0 knows no transfer codings.", fatal=True)
            members = request.members("transfer-encoding")
            if members != ["chunked"]:
                raise Refused(400 if "chunked" in members[:-1] else 501, "Only chunked is known.", fatal=True)
            self.step = self.read_chunk_size
        elif lengths:
            if len(lengths) > 1 or not re.fullmatch("[0-9]+", lengths[0]):
                raise Refused(400, "The length is not a number.", fatal=True)
            digits = lengths[0].lstrip("0") or "0"
            if len(digits) > 9 or int(digits) > BODY_LIMIT:
                raise Refused(413, "The body is too long.", fatal=True)
            self.missing = int(digits)
            self.step = self.read_body
        else:
            self.step = self.handle
            return
        request.has_body = True
        empty = self.step == self.read_body and not self.missing
        if not self.incoming and not empty and request.version > (1, 0) and "100-continue" in request.members("expect"):
            self.sock.send(b"HTTP/1.1 100 Go on\r\n\r\n")  # nothing else is under way, so this always fits

    def read_body(self) -> bool:
        piece = self.incoming[: self.missing]
        del self.incoming[: self.missing]
        self.request.body += piece
        self.missing -= len(piece)
        if not self.missing:
            self.step = self.handle
        return not self.missing

    def read_chunk_size(self) -> bool:
        try:
            line = self.take_line(4096)
        except OverflowError:
            raise Refused(400, "The line of a chunk is too long.", fatal=True) from None
        if line is None:
            return False
        if not (found := CHUNK_LINE.fullmatch(line)):
            raise Refused(400, "A chunk has no proper size.", fatal=True)
        self.missing = int(found[1], 16)
        if len(self.request.body) + self.missing > BODY_LIMIT:
            raise Refused(413, "The body is too long.", fatal=True)
        self.fields_size = 0
        self.step = self.read_chunk if self.missing else self.read_trailers
        return True

    def read_chunk(self) -> bool:
        piece = self.incoming[: self.missing]
        del self.incoming[: self.missing]
        self.request.body += piece
        self.missing -= len(piece)
        if not self.missing:
            self.step = self.read_chunk_end
        return not self.missing

    def read_chunk_end(self) -> bool:
        if not b"\r\n".startswith(self.incoming[:2]):
            raise Refused(400, "A chunk is longer than its size.", fatal=True)
        if len(self.incoming) < 2:
            return False
        del self.incoming[:2]
        self.step = self.read_chunk_size
        return True

    def read_trailers(self) -> bool:
        found = self.take_field()
        if found is True:
            self.step = self.handle
        return found is not None

    # From a request to its answer.

    def handle(self) -> bool:
        """The request is complete."""
        self.step = None
        try:
            self.decide()
        except OSError:
            self.refuse(Refused(500))
        return True

    def decide(self) -> None:
        request = self.request
        if request.method not in METHODS:
            raise Refused(501, "This method is not known.")
        if request.target == "*" and request.method == "OPTIONS":
            return self.respond(Answer(204, [("allow", "OPTIONS, HEAD, GET")]))
        path, query = split_target(request.target)
        place = self.server.site.find(path)
        allowed = ["OPTIONS", "HEAD", "GET"] + (["POST"] if place.kind == "script" else [])
        if request.method not in allowed:
            raise Refused(405, "This method is not for this.", fields=[("allow", ", ".join(allowed))])
        if request.method == "OPTIONS":
            return self.respond(Answer(204, [("allow", ", ".join(allowed))]))
        if place.kind == "script":
            variables = script_environment(
                request, place, query, self.server.site.root, self.sock.getsockname(), self.address
            )
            Program(self.server, self, place, variables)
        elif place.kind == "bare folder":
            # Written from the names alone, with one slash each, so that it cannot be read as a host.
            location = "/" + "".join(urllib.parse.quote(os.fsencode(name), safe="") + "/" for name in place.names)
            raise Refused(301, fields=[("location", location + ("?" + query if query else ""))])
        elif place.kind == "folder":
            try:
                index, info = self.server.site.real(place.path / "index.html")
                is_page = stat.S_ISREG(info.st_mode) and not index.name.lower().endswith(".py")
            except Refused:
                is_page = False
            if is_page:
                self.respond_file(Place("file", index, info, [*place.names, "index.html"]))
            else:
                page = self.server.site.listing(place)
                self.respond(Answer(200, [("content-type", "text/html; charset=utf-8")], page, None))
        else:
            self.respond_file(place)
        return None

    def respond_file(self, place: Place) -> None:
        try:
            file = open(place.path, "rb")
        except PermissionError:
            raise Refused(403) from None
        except OSError as error:
            raise Refused(500 if error.errno in (errno.EMFILE, errno.ENFILE) else 404) from None
        info = os.fstat(file.fileno())
        size, changed, etag = info.st_size, int(info.st_mtime), make_etag(info)
        kind = MEDIA_TYPES.get(os.path.splitext(place.names[-1])[1].lower(), "application/octet-stream")
        if kind.startswith("text/"):
            kind += "; charset=utf-8"
        validators = [("etag", etag), ("last-modified", http_date(changed)), ("accept-ranges", "bytes")]
        status = check_conditions(self.request, etag, changed)
        ranges = None if status else wanted_ranges(self.request, etag, changed, size)
        if status == 304:
            file.close()
            self.respond(Answer(304, validators))
        elif status or ranges == []:
            file.close()
            raise Refused(status or 416, fields=[] if status else [("content-range", f"bytes */{size}")])
        elif ranges is None:
            pieces = file_pieces(file, 0, size)
            self.respond(Answer(200, [*validators, ("content-type", kind)], pieces, size, file))
        elif len(ranges) == 1:
            (first, last) = ranges[0]
            fields = [*validators, ("content-range", f"bytes {first}-{last}/{size}"), ("content-type", kind)]
            self.respond(Answer(206, fields, file_pieces(file, first, last + 1), last + 1 - first, file))
        else:
            boundary = f"part-{os.urandom(12).hex()}"
            fields = [*validators, ("content-type", f"multipart/byteranges; boundary={boundary}")]
            self.respond(Answer(206, fields, multipart(file, ranges, size, kind, boundary), None, file))

    def refuse(self, error: Refused) -> None:
        status = error.status
        text = (
            f"<!doctype html>\n<title>{status}</title>\n<h1>{status}</h1>\n<p>{html.escape(error.why)}</p>\n".encode()
        )
        fields = [*error.fields, ("content-type", "text/html; charset=utf-8")]
        self.respond(Answer(status, fields, iter([text]), len(text)), close=error.fatal)

    def respond(self, answer: Answer, close: bool = False) -> None:
        """Begins to send an answer."""
        request = self.request
        options = request.members("connection")
        old = request.version < (1, 1)
        self.close_after = close or "close" in options or (old and "keep-alive" not in options)
        if old and answer.length is None:
            content = b"".join(answer.content)  # no chunks for those who do not know them
            answer.content, answer.length = iter([content] if content else []), len(content)
        framing = []
        if answer.status in (204, 304):
            answer.content = iter(())
        elif answer.length is None:
            framing = [("transfer-encoding", "chunked")]
        else:
            framing = [("content-length", str(answer.length))]
        if request.method == "HEAD":
            answer.content = iter(())
        if self.close_after:
            framing.append(("connection", "close"))
        elif old:
            framing.append(("connection", "keep-alive"))
        lines = [f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, '')}"]
        lines += [f"{name}: {value}" for name, value in [*framing, *answer.fields, ("date", http_date(time.time()))]]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        self.step = None
        self.answer, self.sent = answer, 0
        self.outgoing = self.wire(head, answer, chunked=answer.length is None)
        self.patience()

    def wire(self, head: bytes, answer: Answer, chunked: bool) -> Iterator[bytes]:
        """The bytes of an answer as they go over the wire."""
        yield head
        silent = self.request.method == "HEAD" or answer.status in (204, 304)
        for piece in answer.content:
            if piece:
                self.sent += len(piece)
                yield b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece
        if chunked and not silent:
            yield b"0\r\n\r\n"

    def flush(self) -> bool:
        """Sends what can be sent now; True when all of the answer is gone."""
        budget = TURN
        while budget > 0:
            if not self.pending:
                piece = next(self.outgoing, None)
                if piece is None:
                    return True
                self.pending = memoryview(piece)
            try:
                count = self.sock.send(self.pending[:TURN])
            except (BlockingIOError, InterruptedError):
                return False
            self.pending = self.pending[count:]
            budget -= count
            self.patience()
        return False

    def finish_answer(self) -> None:
        self.log()
        self.outgoing = None
        if not self.close_after:
            return self.expect_request()
        # What is still on its way to us must not turn into a reset that eats the answer.
        self.lingering = True
        self.incoming.clear()
        self.patience(LINGER)
        self.sock.shutdown(socket.SHUT_WR)
        return None

    def log(self) -> None:
        if self.answer.file:
            self.answer.file.close()
        line = re.sub(r"[^ !#-\[\]-~]", lambda found: f"\\x{ord(found[0]):02x}", self.request.line)
        t = time.gmtime()
        moment = f"{t.tm_mday:02}/{MONTHS[t.tm_mon - 1]}/{t.tm_year}:{time.strftime('%H:%M:%S', t)} +0000"
        sys.stderr.write(f'{self.address[0]} - - [{moment}] "{line}" {self.answer.status} {self.sent}\n')
        sys.stderr.flush()


def file_pieces(file, start: int, stop: int) -> Iterator[bytes]:
    file.seek(start)
    while start < stop:
        piece = file.read(min(PIECE, stop - start))
        if not piece:
            raise OSError("the file became shorter while it was sent")
        start += len(piece)
        yield piece


def multipart(file, ranges: list[tuple[int, int]], size: int, kind: str, boundary: str) -> Iterator[bytes]:
    for first, last in ranges:
        head = f"\r\n--{boundary}\r\ncontent-range: bytes {first}-{last}/{size}\r\ncontent-type: {kind}\r\n\r\n"
        yield head.encode()
        yield from file_pieces(file, first, last + 1)
    yield f"\r\n--{boundary}--\r\n".encode()


# --- The loop ------------------------------------------------------------------------------------------------------


class Server:
    def __init__(self, listener: socket.socket, root: Path, timeout: float):
        self.site, self.timeout, self.listener = Site(root), timeout, listener
        self.selector = selectors.DefaultSelector()
        self.connections: set[Connection] = set()
        self.programs: set[Program] = set()
        self.deaf_until = 0.0
        listener.setblocking(False)
        self.selector.register(listener, selectors.EVENT_READ, self.accept)

    def accept(self, events: int) -> None:
        try:
            sock, address = self.listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):  # wait until somebody has gone
                self.selector.unregister(self.listener)
                self.deaf_until = time.monotonic() + 0.2
            return
        self.connections.add(Connection(self, sock, address))

    def run(self) -> None:
        swept = 0.0
        while True:
            pause = 0.02 if self.programs else 0.2 if self.connections or self.deaf_until else None
            for key, events in self.selector.select(pause):
                try:
                    still_there = self.selector.get_key(key.fileobj).data == key.data
                except (KeyError, ValueError):
                    still_there = False  # an earlier event of this round has ended it
                if still_there:
                    key.data(events)
            now = time.monotonic()
            if now - swept >= (0.02 if self.programs else 0.1):
                swept = now
                for program in list(self.programs):
                    program.check(now)
                for connection in list(self.connections):
                    if now > connection.deadline:
                        connection.expire()
                if self.deaf_until and now > self.deaf_until:
                    self.deaf_until = 0.0
                    self.selector.register(self.listener, selectors.EVENT_READ, self.accept)

    def shut_down(self) -> None:
        for program in list(self.programs):
            program.kill()
        for connection in list(self.connections):
            connection.sock.close()
        self.selector.close()
        self.listener.close()


def listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(address)
    listener.listen(512)
    return listener


def interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--root", type=Path, default=Path(__file__).parent / "../../webroot")
    parser.add_argument("--timeout", type=float, default=10.0)
    options = parser.parse_args()
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    listener = listen(options.host, options.port)
    server = Server(listener, options.root, options.timeout)
    host, port = listener.getsockname()[:2]
    print(f"http://{f'[{host}]' if ':' in host else host}:{port}/", flush=True)
    try:
        server.run()
    except KeyboardInterrupt:
        pass
    finally:
        server.shut_down()


if __name__ == "__main__":
    main()
