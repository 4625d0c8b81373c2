"""Request and Response objects, and a reader with a deadline."""

import io
import re
import time
from email.utils import formatdate

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
REASONS = {
    200: "Okay",
    204: "Nothing To Say",
    206: "Part",
    301: "Moved",
    302: "Found",
    304: "Same As Ever",
    400: "Bad",
    403: "Forbidden",
    404: "Gone Fishing",
    405: "Not That Way",
    408: "Too Slow",
    411: "Length?",
    412: "Precondition Failed",
    413: "Too Large",
    414: "Line Too Long",
    416: "Out Of Range",
    417: "No",
    431: "Header Too Large",
    500: "Oops",
    501: "Never Heard Of It",
    502: "Bad Script",
    504: "Script Too Slow",
    505: "Version",
}
LINE_MAX, FIELDS_MAX, COUNT_MAX, BODY_MAX = 8192, 16384, 100, 1 << 20


class Refuse(Exception):
    """An error with its status; close: nobody knows where the next request begins."""

    def __init__(self, status, close=True, **fields):
        super().__init__(status)
        self.status, self.close = status, close
        self.fields = {k.replace("_", "-"): v for k, v in fields.items()}


class Gone(Exception):
    """The client is not there any more (or never was)."""


class SocketRaw(io.RawIOBase):
    """recv() with an absolute deadline, for io.BufferedReader."""

    def __init__(self, sock):
        self.sock, self.deadline = sock, None

    def readable(self):
        return True

    def readinto(self, buffer):
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.sock.settimeout(left)
        return self.sock.recv_into(buffer)


class Request:
    """One request: read_head(), then framing(), then read_body()."""

    def __init__(self):
        self.line = "-"
        self.method = self.target = ""
        self.version = (1, 1)
        self.fields = []
        self.body = b""
        self.ambiguous = False

    def all(self, name):
        return [v for k, v in self.fields if k == name]

    def one(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def members(self, name):
        return [m.strip().lower() for v in self.all(name) for m in v.split(",") if m.strip()]

    # Reading.

    def read_line(self, reader, limit, status):
        line = reader.readline(limit)
        if len(line) >= limit and not line.endswith(b"\n"):
            raise Refuse(status)
        if not line.endswith(b"\n"):
            raise Gone if not line else Refuse(400)
        if not line.endswith(b"\r\n"):
            raise Refuse(400)
        return line[:-2]

    def read_head(self, reader):
        line = b""
        for _ in range(20):
            line = self.read_line(reader, LINE_MAX + 1, 414)
            if line:
                break
        if len(line) + 2 > LINE_MAX:
            raise Refuse(414)
        self.line = line.decode("latin-1")
        parts = line.split(b" ")
        if len(parts) != 3 or not TOKEN.match(parts[0]) or not re.fullmatch(rb"[!-~]+", parts[1]):
            raise Refuse(400)
        got = re.fullmatch(rb"HTTP/(\d)\.(\d)", parts[2])
        if not got:
            raise Refuse(400)
        self.version = (int(got[1]), int(got[2]))
        if self.version[0] != 1:
            raise Refuse(505)
        self.method, self.target = parts[0].decode(), parts[1].decode()
        room = FIELDS_MAX
        while True:
            line = reader.readline(room + 1)
            room -= len(line)
            if room < 0:
                raise Refuse(431)
            if not line.endswith(b"\r\n"):
                raise Refuse(400)
            line = line[:-2]
            if not line:
                break
            if len(self.fields) == COUNT_MAX:
                raise Refuse(431)
            name, colon, value = line.partition(b":")
            if not colon or not TOKEN.match(name):
                raise Refuse(400)
            value = value.strip(b" \t")
            if re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", value):
                raise Refuse(400)
            self.fields.append((name.decode().lower(), value.decode("latin-1")))
        self.check_host()

    def check_host(self):
        hosts = self.all("host")
        if len(hosts) > 1 or (not hosts and self.version != (1, 0)):
            raise Refuse(400)
        for host in hosts:
            if not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~%!$&'()*+,;=]+)(:\d*)?", host):
                raise Refuse(400)

    def framing(self):
        """None, an int or 'chunked'."""
        codings, lengths = self.members("transfer-encoding"), self.all("content-length")
        if self.all("transfer-encoding"):
            if self.version == (1, 0):
                raise Refuse(400)
            if codings != ["chunked"]:
                raise Refuse(501)
            if lengths:
                self.ambiguous = True  # answered by the chunks, then closed
            return "chunked"
        if not lengths:
            return None
        if len(lengths) > 1 or not re.fullmatch(r"[0-9]+", lengths[0]):
            raise Refuse(400)
        digits = lengths[0].lstrip("0") or "0"
        if len(digits) > 10 or int(digits) > BODY_MAX:
            raise Refuse(413)
        return int(digits)

    def read_body(self, reader, framing):
        if framing is None:
            return
        if framing != "chunked":
            self.body = reader.read(framing)
            if len(self.body) < framing:
                raise Refuse(400)
            return
        parts, total = [], 0
        while True:
            line = self.read_line(reader, 4096, 400)
            got = re.fullmatch(rb"([0-9A-Fa-f]+)[ \t]*(;.*)?", line)
            if not got:
                raise Refuse(400)
            digits = got[1].lstrip(b"0") or b"0"
            if len(digits) > 8:
                raise Refuse(413)
            size = int(digits, 16)
            total += size
            if total > BODY_MAX:
                raise Refuse(413)
            if not size:
                break
            data = reader.read(size)
            if len(data) < size or reader.read(2) != b"\r\n":
                raise Refuse(400)
            parts.append(data)
        room = FIELDS_MAX
        while line := self.read_line(reader, room + 1, 431):
            room -= len(line) + 2
            if b":" not in line:
                raise Refuse(400)
        self.body = b"".join(parts)


class Response:
    """A status, fields, and a body or a stream of so many bytes."""

    def __init__(self, status, body=b"", stream=None, length=None, **fields):
        self.status, self.body, self.stream = status, body, stream
        self.length = len(body) if length is None else length
        self.fields = {k.replace("_", "-"): v for k, v in fields.items()}

    @classmethod
    def page(cls, status, text, **fields):
        body = f"<!doctype html><title>{status}</title><p>{text}</p>\n".encode()
        return cls(status, body, Content_Type="text/html; charset=utf-8", **fields)

    def head(self):
        lines = [f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Whatever')}"]
        fields = {"Server": "Typewriter/1.0 (threads)", "Date": formatdate(usegmt=True), **self.fields}
        if self.status not in (204, 304):
            fields["Content-Length"] = str(self.length)
        for name, values in fields.items():
            lines += [f"{name}: {value}" for value in (values if isinstance(values, list) else [values])]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def chunks(self):
        if self.stream is None:
            yield self.body
            return
        with self.stream as stream:
            left = self.length
            while left:
                data = stream.read(min(left, 65536))
                if not data:
                    raise Gone
                left -= len(data)
                yield data
