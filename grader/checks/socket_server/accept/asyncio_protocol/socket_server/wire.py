"""HTTP/1.1 as bytes: requests are taken out of a buffer, answers are put into words. Nothing here touches a socket.

`Parser.events()` is a generator. It yields MORE when the buffer is used up and the request is not, a Request when its
head is complete, pieces of the body, and END. Who drives it adds bytes to `buffer` and calls next() again.
"""

import calendar
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

MORE = "more"
END = "end"

LINE_LIMIT = 8192
HEAD_LIMIT = 16384
COUNT_LIMIT = 100
BODY_LIMIT = 1 << 20

TCHAR = rb"!#$%&'*+\-.^_`|~0-9A-Za-z"
NAME = re.compile(rb"[" + TCHAR + rb"]+")
VALUE = re.compile(rb"[\t -~\x80-\xff]*")
FIRST_LINE = re.compile(rb"([" + TCHAR + rb"]+) ([\x21-\x7e]+) HTTP/(\d)\.(\d)")
CHUNK = re.compile(rb"([0-9a-fA-F]+)[ \t]*(;[\t -~\x80-\xff]*)?")
HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.~!$&'()*+,;=%-]+)(:\d*)?", re.ASCII)

WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


class BadRequest(Exception):
    def __init__(self, status: int, reason: str):
        super().__init__(status, reason)
        self.status, self.reason = status, reason


@dataclass
class Request:
    first_line: str = "-"
    method: str = "-"
    target: str = "*"
    minor: int = 1
    fields: dict[str, list[str]] = field(default_factory=dict)
    has_body: bool = False
    ambiguous: bool = False  # both a length and chunks: this is the last request of its connection

    def get(self, name: str) -> str | None:
        """All values of a field as one, or None."""
        return ", ".join(self.fields[name]) if name in self.fields else None

    def says(self, name: str, member: str) -> bool:
        """Whether a list in a field has this member."""
        return member in [part.strip(" \t").lower() for part in (self.get(name) or "").split(",")]

    @property
    def wants_close(self) -> bool:
        return self.minor == 0 or self.ambiguous or self.says("connection", "close")


class Parser:
    def __init__(self):
        self.buffer = bytearray()
        self.request = Request()

    def line(self, limit: int, status: int) -> Iterator:
        """The next line without its end; `status` if it is longer than `limit`."""
        while (end := self.buffer.find(b"\r\n", 0, limit)) < 0:
            if len(self.buffer) >= limit:
                raise BadRequest(status, "A line or a head is too long.")
            yield MORE
        line = bytes(self.buffer[:end])
        del self.buffer[: end + 2]
        return line

    def field_lines(self) -> Iterator:
        fields: dict[str, list[str]] = {}
        room, count = HEAD_LIMIT, 0
        while line := (yield from self.line(room, 431)):
            room -= len(line) + 2
            count += 1
            name, colon, value = line.partition(b":")
            value = value.strip(b" \t")
            if count > COUNT_LIMIT:
                raise BadRequest(431, "There are too many fields.")
            if not colon or not NAME.fullmatch(name) or not VALUE.fullmatch(value):
                raise BadRequest(400, "There is a line that is no field.")
            fields.setdefault(name.decode().lower(), []).append(value.decode("latin-1"))
        return fields

    def head(self) -> Iterator:
        request = self.request
        while not (line := (yield from self.line(LINE_LIMIT, 414))):
            pass
        request.first_line = line.decode("latin-1")
        found = FIRST_LINE.fullmatch(line)
        if not found or found[3] != b"1":
            raise BadRequest(400, "This is no request line of HTTP/1.0 or HTTP/1.1.")
        request.method, request.target, request.minor = found[1].decode(), found[2].decode(), int(found[4])
        request.fields = yield from self.field_lines()
        hosts = request.fields.get("host", [])
        if len(hosts) > 1 or (request.minor and not hosts) or not all(map(HOST.fullmatch, hosts)):
            raise BadRequest(400, "There must be one valid Host.")

    def framing(self) -> int | None:
        """The length of the body, None for chunks."""
        request = self.request
        lengths, coding = request.fields.get("content-length"), request.get("transfer-encoding")
        if lengths and (len(lengths) > 1 or not re.fullmatch("[0-9]+", lengths[0])):
            raise BadRequest(400, "The length is not one number.")
        if coding is not None:
            if not request.minor:
                raise BadRequest(400, "There are no chunks in HTTP/1.0.")
            if coding.lower() != "chunked":
                raise BadRequest(501, "No coding but chunked is understood.")
            request.ambiguous = bool(lengths)
            request.has_body = True
            return None
        if not lengths:
            return 0
        request.has_body = True
        digits = lengths[0].lstrip("0")
        if len(digits) > 12 or int(digits or 0) > BODY_LIMIT:
            raise BadRequest(413, "The body is too long.")
        return int(digits or 0)

    def pieces(self, count: int) -> Iterator:
        while count:
            piece = bytes(self.buffer[:count])
            if piece:
                del self.buffer[: len(piece)]
                count -= len(piece)
                yield piece
            else:
                yield MORE

    def events(self) -> Iterator:
        """The events of one request after the other."""
        while True:
            self.request = Request()
            yield from self.head()
            length = self.framing()
            yield self.request
            if length is not None:
                yield from self.pieces(length)
            else:
                room = BODY_LIMIT
                while True:
                    found = CHUNK.fullmatch((yield from self.line(2048, 400)))
                    if not found:
                        raise BadRequest(400, "A chunk has no proper size.")
                    digits = found[1].lstrip(b"0")
                    if not digits:
                        break
                    if len(digits) > 8 or int(digits, 16) > room:
                        raise BadRequest(413, "The body is too long.")
                    room -= int(digits, 16)
                    yield from self.pieces(int(digits, 16))
                    while len(self.buffer) < 2:
                        if self.buffer and self.buffer != b"\r":
                            break
                        yield MORE
                    if self.buffer[:2] != b"\r\n":
                        raise BadRequest(400, "A chunk is longer than its size.")
                    del self.buffer[:2]
                yield from self.field_lines()
            yield END


def answer_head(status: int, reason: str, fields: list[tuple[str, str]]) -> bytes:
    """The head of an answer. Names in capitals and no space after the colon: HTTP minds neither."""
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name.upper()}:{value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def http_date(seconds: float) -> str:
    when = time.gmtime(seconds)
    weekday, month = WEEKDAYS[when.tm_wday][:3], MONTHS[when.tm_mon - 1]
    return f"{weekday}, {when.tm_mday:02} {month} {when.tm_year} {time.strftime('%H:%M:%S', when)} GMT"


def seconds_of(date: str | None) -> int | None:
    """A date of HTTP in seconds since 1970; None if it is none."""
    clock = r"(\d\d):(\d\d):(\d\d)"
    short = "|".join(day[:3] for day in WEEKDAYS)
    if found := re.fullmatch(rf"(?:{short}), (\d\d) (\w{{3}}) (\d{{4}}) {clock} GMT", date or "", re.ASCII):
        day, month, year, *rest = found.groups()
    elif found := re.fullmatch(rf"(?:{'|'.join(WEEKDAYS)}), (\d\d)-(\w{{3}})-(\d\d) {clock} GMT", date or "", re.ASCII):
        day, month, year, *rest = found.groups()
        now = time.gmtime().tm_year
        year = int(year) + now // 100 * 100
        year -= 100 if year > now + 50 else 0
    elif found := re.fullmatch(rf"(?:{short}) (\w{{3}}) ([ \d]\d) {clock} (\d{{4}})", date or "", re.ASCII):
        month, day, *rest, year = found.groups()
    else:
        return None
    hour, minute, second = map(int, rest)
    if month not in MONTHS or hour > 23 or minute > 59 or second > 60 or int(year) < 1:
        return None
    month = MONTHS.index(month) + 1
    if not 1 <= int(day) <= calendar.monthrange(int(year), month)[1]:
        return None
    return calendar.timegm((int(year), month, int(day), hour, minute, second))
