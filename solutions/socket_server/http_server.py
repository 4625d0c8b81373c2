"""An HTTP/1.1 origin server on raw sockets: files, folders and CGI scripts, for many clients at once.

    python http_server.py [--host H] [--port N] [--root DIR] [--timeout SECONDS]

How a request travels:

    serve()              accepts a client and reads from it: bytes -> Request
                             take_head, parse_request_line, parse_fields, check_host, body_framing, take_chunk
      answer()           decides what it gets: Request -> Response
                             parse_target, clean_path, find_file, serve_file, serve_folder, run_script
    serve()              sends that: Response -> bytes
                             response_head

A fault in a request is an HttpError with the status to answer. A fault while *reading* ends the connection,
since nobody knows where the next request begins; a fault while *answering* (404 and the like) does not.
"""

import argparse
import contextlib
import functools
import html
import math
import os
import re
import selectors
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from io import FileIO
from pathlib import Path
from typing import IO, TypeVar
from urllib.parse import quote

Fields = list[tuple[str, str]]  # header fields in order, names in lower case: [("host", "example.org")]

SERVER_NAME = "three-servers/1.0"
MAX_REQUEST_LINE = 8192  # bytes, its CRLF included; RFC 9112 section 3 asks for at least 8000
MAX_HEADER_SECTION = 16384  # bytes, from the first field to the empty line
MAX_FIELDS = 100
MAX_CHUNK_LINE = 1024  # bytes: a chunk's size and its extensions
MAX_BODY = 1048576  # bytes: 1 MiB
MAX_SCRIPT_HEADER = 65536  # bytes
MAX_SCRIPT_OUTPUT = 16777216  # bytes: 16 MiB
MAX_CLIENTS = 500  # connections open at once; the next ones wait in the backlog
MAX_SCRIPTS = 16  # running at once; the next ones wait
BACKLOG = 128
PIECE = 262144  # bytes: what one recv() or send() handles; a file up to this size leaves in one send with its head

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
FILE_METHODS = ("GET", "HEAD", "OPTIONS")
SCRIPT_METHODS = ("GET", "HEAD", "POST", "OPTIONS")

# Names that RFC 9110 has changed stand here, since older versions of Python know the old ones.
REASONS = {int(status): status.phrase for status in HTTPStatus} | {
    413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content",
}  # fmt: skip

MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8", ".htm": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
    ".txt": "text/plain; charset=utf-8", ".md": "text/markdown; charset=utf-8",
    ".csv": "text/csv; charset=utf-8", ".json": "application/json", ".xml": "application/xml",
    ".pdf": "application/pdf", ".zip": "application/zip", ".svg": "image/svg+xml", ".png": "image/png",
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".mp3": "audio/mpeg", ".mp4": "video/mp4", ".woff2": "font/woff2", ".wasm": "application/wasm",
}  # fmt: skip

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class HttpError(Exception):
    """This request cannot be served: status says why, fields go into the answer's header."""

    def __init__(self, status: int, message: str = "", fields: Fields | None = None) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.fields = fields or []


@dataclass
class Request:
    """One request as it came: the target is not decoded yet, the body has lost its framing."""

    method: str
    target: str
    version: tuple[int, int]
    fields: Fields
    body: bytes = b""
    client: str = "127.0.0.1"  # its address


@dataclass
class Response:
    """One answer: its content is body, or length bytes of an open file beginning at start."""

    status: int
    fields: Fields = field(default_factory=list)
    body: bytes = b""
    file: FileIO | None = None
    start: int = 0
    length: int = 0
    sized: bool = True  # False: nobody knows how long the content would have been (HEAD on a script)


@dataclass(frozen=True)
class Site:
    """What this server serves, and where. root is absolute and free of symbolic links, host is written as in a URL
    (an IPv6 address in brackets)."""

    root: str
    host: str = "127.0.0.1"
    port: int = 8080
    timeout: float = 10.0


def field_values(fields: Fields, name: str) -> list[str]:
    """All values of a field, in order; its name is given in lower case: fields, "host" -> ["example.org"]."""
    return [value for key, value in fields if key == name]


def list_tokens(fields: Fields, name: str) -> list[str]:
    """The members of a comma-separated field, in lower case: "connection" -> ["keep-alive", "upgrade"]."""
    members = [member.strip(" \t").lower() for value in field_values(fields, name) for member in value.split(",")]
    return [member for member in members if member]


# ---- step request-line ---------------------------------------------------------------------------

_REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([!-~]+) HTTP/([0-9])\.([0-9])")


def parse_request_line(line: bytes) -> tuple[str, str, tuple[int, int]]:
    """Take a request line apart: b"GET /a?b=1 HTTP/1.1" -> ("GET", "/a?b=1", (1, 1)).

    Given    the line without its CRLF.
    Returns  method, target and version. The target is still encoded; the method keeps its case.
    Raises   HttpError(400) unless the line is  method SP target SP "HTTP/" digit "." digit  with exactly
             those two spaces, a method made of token characters (RFC 9110 section 5.6.2) and a target made of
             visible ASCII characters (0x21 to 0x7E).
             HttpError(505) when the line is well formed, but the first digit is not 1.
             1.2 to 1.9 are fine: they are served like 1.1.
    RFC 9112 section 3
    """
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise HttpError(400, "The request line is not: method, space, target, space, HTTP version.")
    method, target, major, minor = match.groups()
    if major != b"1":
        raise HttpError(505, "This server speaks HTTP/1.1.")
    return method.decode("ascii"), target.decode("ascii"), (1, int(minor))


# ---- step headers --------------------------------------------------------------------------------

# *+ keeps the blanks that it took: a value may hold blanks as well, and in a faulty line with thousands of them every
# way to share them out would be tried.
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*+([\t -~\x80-\xff]*)")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?")


def parse_fields(section: bytes) -> Fields:
    r"""Take header fields apart: b"Host: a\r\nX-One:  1 \r\n" -> [("host", "a"), ("x-one", "1")].

    Given    the field lines, each with its CRLF, without the empty line that ends them (b"" for no fields).
    Returns  (name, value) in the order they came, repeated ones too. Names in lower case; values are decoded
             as latin-1 and have lost the spaces and tabs around them.
    Raises   HttpError(400) for a line without a colon, an empty name or one that is not a token (so also a
             space before the colon), a line that starts with a space or tab (a folded line), and for any
             control character other than tab in a value: CR or LF alone, NUL, DEL.
             HttpError(431) for more than MAX_FIELDS fields.
    RFC 9112 section 5, RFC 9110 section 5.5
    """
    if not section:
        return []
    lines = section.split(b"\r\n")
    if lines.pop():
        raise HttpError(400, "A header line does not end in CRLF.")
    if len(lines) > MAX_FIELDS:
        raise HttpError(431, f"More than {MAX_FIELDS} header fields.")
    fields = []
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise HttpError(400, "A header line is not: name, colon, value.")
        name, value = match.groups()
        fields.append((name.decode("ascii").lower(), value.rstrip(b" \t").decode("latin-1")))
    return fields


def check_host(version: tuple[int, int], fields: Fields) -> None:
    """Let a request pass only with a proper Host: (1, 1), [("host", "example.org:8080")] -> None.

    Raises  HttpError(400) when Host is missing (allowed in version (1, 0) only), repeated (even with equal
            values), or not a host with an optional port: "a b", "a/b", "user@a", "a:b" and "a:80:80" are not.
            An empty value is allowed, so is an empty port ("a:"), an address in brackets ("[::1]:8080"; "[a/b]"
            holds none), and every name that the RFC allows: letters, digits, "-._~!$&'()*+,;=" and
            percent-escapes, as in "a-b.c_d".
    RFC 9112 section 3.2, RFC 3986 section 3.2.2
    """
    hosts = field_values(fields, "host")
    if not hosts and version == (1, 0):
        return
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        raise HttpError(400, "A request names exactly one valid Host.")


# ---- step body -----------------------------------------------------------------------------------

_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]+)[ \t]*(?:;[\t -~\x80-\xff]*)?")


def take_head(buffer: bytes) -> tuple[bytes, bytes, bytes] | None:
    r"""Cut one request's head off a stream: b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest" ->
    (b"GET / HTTP/1.1", b"Host: a\r\n", b"rest").

    Given    all bytes that have come and are not used yet. The pieces in which they came play no part.
    Returns  request line without CRLF, field lines each with CRLF, and what follows the empty line.
             None when the head is not complete: the caller reads more and asks again.
             Empty lines (CRLF) before the request line are skipped (RFC 9112 section 2.2).
    Raises   HttpError(414) when the request line with its CRLF, and any empty lines before it, is longer than
             MAX_REQUEST_LINE bytes.
             HttpError(431) when field lines and empty line together are longer than MAX_HEADER_SECTION bytes.
             HttpError(400) when an LF comes without a CR before it.
             All three as soon as it is certain: nobody waits for the rest of a head that can't be served.
    """
    begin = 0
    while buffer.startswith(b"\r\n", begin):
        begin += 2
    end_of_line = buffer.find(b"\r\n", begin)
    end_of_head = buffer.find(b"\r\n\r\n", begin)
    head = buffer if end_of_head < 0 else buffer[: end_of_head + 4]
    if head.count(b"\n") != head.count(b"\r\n"):
        raise HttpError(400, "A line ends in LF; the lines of HTTP end in CRLF.")
    line_size = len(head) if end_of_line < 0 else end_of_line + 2
    if line_size > MAX_REQUEST_LINE:
        raise HttpError(414, f"The request line is longer than {MAX_REQUEST_LINE} bytes.")
    if len(head) - line_size > MAX_HEADER_SECTION:
        raise HttpError(431, f"The header is larger than {MAX_HEADER_SECTION} bytes.")
    if end_of_head < 0:
        return None
    return head[begin : line_size - 2], head[line_size:-2], buffer[len(head) :]


def body_framing(version: tuple[int, int], fields: Fields) -> int | str:
    """Tell how the body's end is marked: a number of bytes, or "chunked". No body is 0.

    [("content-length", "5")] -> 5        [("transfer-encoding", "Chunked")] -> "chunked"        [] -> 0

    Raises  HttpError(400) for a Content-Length that is not 1 or more ASCII digits (a sign, a space, a comma,
            hex); for Content-Length twice, even if equal; for Content-Length beside Transfer-Encoding; for
            Transfer-Encoding in version (1, 0), or empty; when chunked is there but not last, or twice.
            HttpError(501) for any other transfer coding.
            HttpError(413) for a length above MAX_BODY, however many digits it has.
    RFC 9112 section 6. If two readers disagree on where a request ends, one can be smuggled in between.
    """
    lengths = field_values(fields, "content-length")
    codings = list_tokens(fields, "transfer-encoding")
    if field_values(fields, "transfer-encoding"):
        if lengths or version == (1, 0):
            raise HttpError(400, "Transfer-Encoding with Content-Length, or in HTTP/1.0.")
        if codings == ["chunked"]:
            return "chunked"
        if not codings or "chunked" in codings[:-1]:
            raise HttpError(400, "The chunked coding is not the last one.")
        raise HttpError(501, "This server knows the chunked transfer coding only.")
    if not lengths:
        return 0
    if len(lengths) > 1 or not re.fullmatch("[0-9]+", lengths[0]):
        raise HttpError(400, "Content-Length is not one decimal number.")
    digits = lengths[0].lstrip("0")
    # The number of digits first: int() of a million digits would keep the processor busy.
    if len(digits) > len(str(MAX_BODY)) or int(digits or "0") > MAX_BODY:
        raise HttpError(413, f"The body is larger than {MAX_BODY} bytes.")
    return int(digits or "0")


def take_chunk(buffer: bytes) -> tuple[bytes, bytes] | None:
    r"""Cut one chunk off a chunked body: b"5;note=x\r\nhello\r\n0\r\n\r\n" -> (b"hello", b"0\r\n\r\n").

    Returns  the chunk's data, and what follows its CRLF. Extensions (after ";") are skipped.
             The last chunk has size 0: (b"", what follows its size line), see take_trailers().
             None when the chunk is not complete.
    Raises   HttpError(400) unless the size is 1 or more hex digits, followed by spaces or tabs at most before
             ";" or CRLF; when an extension holds a control character other than tab; when the data is not
             followed by CRLF (as soon as that is certain: b"5\r\nhelloX" is enough); when an LF stands alone in
             the size line; when the size line with its CRLF is longer than MAX_CHUNK_LINE bytes.
             HttpError(413) when the size is above MAX_BODY.
    RFC 9112 section 7.1
    """
    end = buffer.find(b"\r\n", 0, MAX_CHUNK_LINE)
    if end < 0:
        if len(buffer) >= MAX_CHUNK_LINE or b"\n" in buffer:
            raise HttpError(400, "A chunk's size line is too long, or ends in LF.")
        return None
    match = _CHUNK_LINE.fullmatch(buffer, 0, end)
    if match is None:
        raise HttpError(400, "A chunk does not begin with its size in hex.")
    size = int(match[1], 16)
    if size > MAX_BODY:
        raise HttpError(413, f"The body is larger than {MAX_BODY} bytes.")
    begin = end + 2
    if size == 0:
        return b"", buffer[begin:]
    after = buffer[begin + size : begin + size + 2]
    if not b"\r\n".startswith(after):
        raise HttpError(400, "A chunk is longer than its size.")
    return (buffer[begin : begin + size], buffer[begin + size + 2 :]) if after == b"\r\n" else None


def take_trailers(buffer: bytes) -> bytes | None:
    r"""Skip the trailer fields after the last chunk: b"X: 1\r\n\r\nrest" -> b"rest"; b"\r\nrest" -> b"rest".

    Returns  what follows the empty line, or None when that has not come yet.
    Raises   as parse_fields() does for fields that are none (400), and HttpError(431) when the trailers with
             their empty line are longer than MAX_HEADER_SECTION bytes.
    RFC 9112 section 7.1.2 lets a server ignore trailers; it still has to know where they end.
    """
    if buffer.startswith(b"\r\n"):
        return buffer[2:]
    section, end, rest = buffer.partition(b"\r\n\r\n")
    if len(section) + 4 > MAX_HEADER_SECTION:
        raise HttpError(431, f"The trailers are larger than {MAX_HEADER_SECTION} bytes.")
    if not end:
        return None
    parse_fields(section + b"\r\n")
    return rest


# ---- step response -------------------------------------------------------------------------------


def http_date(seconds: int) -> str:
    """Write a point in time as HTTP does: 784111777 -> "Sun, 06 Nov 1994 08:49:37 GMT".

    Given  whole seconds since 1970 (UTC). The names are English in every locale.
    RFC 9110 section 5.6.7
    """
    t = time.gmtime(seconds)
    return (
        f"{DAYS[t.tm_wday]}, {t.tm_mday:02} {MONTHS[t.tm_mon - 1]} {t.tm_year} "
        f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} GMT"
    )


_cached_date = functools.lru_cache(http_date)  # the same few again and again: now, and when each file was changed


def response_head(status: int, fields: Fields) -> bytes:
    r"""Write a status line, header fields and the empty line:
    204, [("X-A", "1")] -> b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n".

    Returns  exactly the given fields, in order, as latin-1; the reason phrase is REASONS[status], or empty.
    Raises   ValueError when a name is not a token, or a value holds a control character other than tab or
             cannot be written as latin-1: whatever a value contains, it cannot begin a new header line or end
             the head.
    RFC 9112 section 4
    """
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, '')}\r\n"]
    for name, value in fields:
        line = f"{name}: {value}"
        if not _FIELD.fullmatch(line.encode("latin-1")):
            raise ValueError(f"not a header field: {line!r}")
        lines.append(line + "\r\n")
    lines.append("\r\n")
    return "".join(lines).encode("latin-1")


def error_page(status: int, message: str) -> bytes:
    """Make a small page that says what went wrong: 404, "No <b> here." -> b"<!DOCTYPE html>...".

    HTML in UTF-8 that shows the status and the message; the message is text, so it is escaped.
    """
    title = f"{status} {REASONS.get(status, '')}"
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
        f"<body><h1>{title}</h1><p>{html.escape(message)}</p></body></html>\n"
    ).encode()


def error_response(error: HttpError) -> Response:
    """The answer that tells of an error."""
    fields = [("Content-Type", "text/html; charset=utf-8"), *error.fields]
    return Response(error.status, fields, error_page(error.status, error.message))


# ---- step paths ----------------------------------------------------------------------------------

_ABSOLUTE_FORM = re.compile(r"http://([^/?#]*)([/?].*)?", re.IGNORECASE)


def parse_target(method: str, target: str) -> tuple[str, str]:
    """Find path and query in a request target: "GET", "/a%20b?x=1" -> ("/a%20b", "x=1"). Nothing is decoded.

    origin-form     "/a?x=1?y"               -> ("/a", "x=1?y")          the query starts at the first "?"
    absolute-form   "http://host:80/a?x=1"   -> ("/a", "x=1")            "HTTP://host" -> ("/", "")
    asterisk-form   "*" with OPTIONS only    -> ("*", "")
    Raises  HttpError(400) for anything else: "a/b", "*" with GET, "ftp://host/", "host:80", "http:///a", a
            host that check_host() would refuse, a target with "#" in it (a fragment is never sent).
    RFC 9112 section 3.2
    """
    if target == "*" and method == "OPTIONS":
        return "*", ""
    if "#" in target:
        raise HttpError(400, "A fragment (#) does not belong in a request.")
    absolute = _ABSOLUTE_FORM.fullmatch(target)
    if absolute and absolute[1] and _HOST.fullmatch(absolute[1]):
        target = absolute[2] or "/"
        if target.startswith("?"):
            target = "/" + target
    if not target.startswith("/"):
        raise HttpError(400, "The target is neither a path nor an http address.")
    path, _, query = target.partition("?")
    return path, query


def clean_path(raw: str) -> str:
    """Decode a path once and remove its dot segments: "/a/./b/../c%20d" -> "/a/c d".

    Percent-escapes become bytes, and these are UTF-8; "+" stays a plus. Then "." is dropped and ".." drops
    the segment before it (at the top there is nothing to drop), also where they were written as %2e. Runs of
    "/" count as one. A "/" at the end stays; "." or ".." at the end leaves one.
    "/a/b/.." -> "/a/"    "//x//y" -> "/x/y"    "/../z" -> "/z"    "/%2e%2e/" -> "/"    "/%2541" -> "/%41"
    Raises  HttpError(400) for "%" without two hex digits after it; for bytes that are not UTF-8; for NUL; for
            a slash written as an escape, and for a backslash in any form: no file here has one in its name.
    RFC 3986 section 5.2.4
    """
    if "%" in raw or "\\" in raw:
        if re.search(r"%(?![0-9A-Fa-f]{2})|%00|%2[Ff]|%5[Cc]|\\", raw):
            raise HttpError(400, "The path holds a bad escape, or a slash in disguise.")
        octets = re.sub(rb"%(..)", lambda escape: bytes.fromhex(escape[1].decode()), raw.encode("ascii"))
        try:
            raw = octets.decode("utf-8")
        except UnicodeDecodeError:
            raise HttpError(400, "The path is not UTF-8.") from None
    clean: list[str] = []
    segments = raw.split("/")
    for segment in segments:
        if segment == "..":
            del clean[-1:]
        elif segment not in ("", "."):
            clean.append(segment)
    is_folder = segments[-1] in ("", ".", "..")
    return "/" + "/".join(clean) + ("/" if clean and is_folder else "")


def find_file(root: str, path: str) -> str:
    """Map a clean path to an existing file or folder under root: "/www", "/a/b.txt" -> "/www/a/b.txt".

    Given    root, absolute and free of symbolic links; path as clean_path() returns it.
    Returns  the real location: links are followed. That of a folder ends in os.sep.
    Raises   HttpError(404) when nothing is there, when any segment starts with a dot (hidden), when the path
             ends in "/" and is no folder, when a name is too long for the system, and for a special file
             (device, pipe).
             HttpError(403) when a link leads out of root or to something hidden. "/www2" is not in "/www".
    """
    if "/." in path or (os.name == "nt" and ":" in path):  # "a.txt:x" is another stream of a.txt on Windows
        raise HttpError(404)
    try:
        real = os.path.realpath(root + _native(path), strict=True)
        kind = os.stat(real).st_mode
    except (OSError, ValueError):
        raise HttpError(404) from None
    top = root.rstrip(os.sep) + os.sep  # with its separator: "/www2/x" starts with "/www", not with "/www/"
    if not (real + os.sep).startswith(top) or os.sep + "." in real[len(top) - 1 :]:
        raise HttpError(403)
    if stat.S_ISDIR(kind):
        return real.rstrip(os.sep) + os.sep
    if path.endswith("/") or not stat.S_ISREG(kind):
        raise HttpError(404)
    return real


def _native(path: str) -> str:
    """A decoded path as the system's functions take it: its bytes are UTF-8, whatever the locale says."""
    return os.fsdecode(path.encode("utf-8"))


def media_type(name: str) -> str:
    """Name the media type of a file by the end of its name: "a.HTML" -> "text/html; charset=utf-8".

    Looks up the last suffix in MEDIA_TYPES, in any case; "application/octet-stream" when it is not there.
    """
    return MEDIA_TYPES.get(os.path.splitext(name)[1].lower(), "application/octet-stream")


# ---- step serve ----------------------------------------------------------------------------------


def serve_file(request: Request, file_path: str) -> Response:
    """Answer GET or HEAD with a file: status 200, its media_type() and its bytes, as they are on the disk.

    Step conditional adds Last-Modified and ETag, 304 and 412. Step ranges adds Accept-Ranges, 206 and 416.
    Raises  HttpError(404) when the file has just gone, HttpError(403) when the system forbids reading it.
    """
    try:
        opened = FileIO(file_path)
    except PermissionError:
        raise HttpError(403) from None
    except OSError:
        raise HttpError(404) from None
    with opened as file:
        info = os.fstat(file.fileno())
        # A file may claim to be from tomorrow, an answer may not (RFC 9110 section 8.8.2.1).
        modified = min(info.st_mtime_ns // 10**9, int(time.time()))
        tag = make_etag(info.st_size, info.st_mtime_ns)
        fields = [("ETag", tag), ("Last-Modified", _cached_date(modified)), ("Accept-Ranges", "bytes")]
        status = check_conditions(request.fields, tag, modified)
        if status == 304:
            return Response(status, fields)
        if status != 200:
            raise HttpError(status)
        fields.append(("Content-Type", media_type(file_path)))
        start, length = 0, info.st_size
        ranges = field_values(request.fields, "range")
        if ranges and request.method == "GET" and if_range_holds(request.fields, tag, modified):
            wanted = parse_range(",".join(ranges), info.st_size)
            if wanted is not None:
                start, length = wanted
                status = 206
                fields.append(("Content-Range", f"bytes {start}-{start + length - 1}/{info.st_size}"))
        if length > PIECE:  # a handle of its own, which is closed when the file has been sent
            return Response(status, fields, file=FileIO(os.dup(file.fileno())), start=start, length=length)
        if start:
            file.seek(start)
        return Response(status, fields, file.read(length))


def answer(site: Site, request: Request) -> Response:
    """Decide what a request gets. Whatever goes wrong in here is an answer too: HttpError becomes its page.

    OPTIONS *                             204 with Allow
    a method that METHODS does not list   501
    one that is not allowed here          405 with Allow: FILE_METHODS, for a script (step cgi) SCRIPT_METHODS
    OPTIONS on what exists                204 with Allow
    a file                                serve_file()
    a folder                              serve_folder() (step folders; until then 404)
    a script                              run_script() (step cgi); the text of a program is never sent
    an exception that nobody foresaw      500, and its traceback goes to stderr, not to the client
    """
    try:
        return _route(site, request)
    except HttpError as error:
        return error_response(error)
    except Exception:  # noqa: BLE001 - one faulty request must not end a server
        traceback.print_exc()
        return error_response(HttpError(500, "This is not your fault."))


def _route(site: Site, request: Request) -> Response:
    """What answer() does; here faults are still exceptions."""
    if request.method not in METHODS:
        raise HttpError(501, "This server does not know that method.")
    if request.method == "CONNECT":
        raise HttpError(405, "This server is no tunnel.", [("Allow", ", ".join(FILE_METHODS))])
    raw_path, query = parse_target(request.method, request.target)
    if raw_path == "*":
        return Response(204, [("Allow", ", ".join(SCRIPT_METHODS))])
    path = clean_path(raw_path)
    script = split_script(path)
    if script and os.path.isdir(site.root + _native(script[0])):
        script = None  # a folder may be called so as well
    allowed = SCRIPT_METHODS if script else FILE_METHODS
    if request.method not in allowed:
        raise HttpError(405, f"Allowed here: {', '.join(allowed)}.", [("Allow", ", ".join(allowed))])
    real = find_file(site.root, script[0] if script else path)
    if request.method == "OPTIONS":
        return Response(204, [("Allow", ", ".join(allowed))])
    if real.endswith(os.sep) and not script:
        return serve_folder(request, site.root, path, query)
    if bool(script) != real.lower().endswith(".py"):
        raise HttpError(403, "The text of a program is not served.")
    if script:
        return run_script(site, request, real, script, query)
    return serve_file(request, real)


def listen(host: str, port: int) -> socket.socket:
    """Open the socket on which clients arrive; port 0 takes a free one.

    The backlog is BACKLOG: with a short queue the system drops the clients of a busy moment, and each tries
    again after a whole second. A port that another server uses must fail with OSError: SO_REUSEADDR is for
    restarting over connections that still linger; on Windows it would let two servers share a port, so there
    it stays off.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name != "nt":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def serve(site: Site, listener: socket.socket) -> None:
    """Accept clients and answer their requests with answer(), until SIGINT or SIGTERM; then return.

    main() has made both signals raise KeyboardInterrupt; you may install handlers of your own instead.

    Step serve        One client after the other will do: read a request, send the answer, close. An answer carries
                      Date, and Content-Length unless its status is 204 or 304; HEAD gets the header of the
                      answer to GET, and no content.
    Step connections  Requests follow one another on a connection as keeps_alive() says, also when many come at once.
    Step clients      Many clients at the same time, timeouts, log lines on stderr (write_log), a clean stop.

    The exercise's README has the rules. Here only the wire is judged: threads, processes, selectors, as you like.
    """
    loop = _Loop(site, listener)  # see the end of this file
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: loop.stop())
    loop.run()


# ---- step folders --------------------------------------------------------------------------------

# What the query of a URI may not hold (RFC 3986 section 3.4), and that of a request here may.
_NO_QUERY = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~!$&'()*+,;=:@/?%]")


def folder_location(path: str, query: str) -> str:
    """Write the address of a folder that was asked for without its slash: "/a b", "x=1" -> "/a%20b/?x=1".

    The clean path is percent-encoded again (UTF-8): all but ASCII letters, digits and "-._~/". The result
    begins with exactly one slash: "//evil.example/" would lead to another site.
    """
    location = "/" + quote(path.strip("/"), safe="/") + "/"
    return f"{location}?{query}" if query else location


def listing_page(path: str, names: list[str]) -> str:
    """Write a folder's listing as an HTML page: a heading with the path, and a link for each name, in order.

    Given    the clean path of the folder ("/docs/"), and its names; those of folders end in "/".
    Returns  HTML in which each name is the text of a link <a href="...">. Text and links are escaped, and control
             characters, which HTML forbids, are shown as U+FFFD; a link
             is relative ("./" + the name, percent-encoded as UTF-8), and leads exactly there for every legal
             name, also for one with "?", "#", "%", a quote or a colon in it. In every folder but "/" the
             first link is "../".
    """
    title = f"Contents of {_text(path)}"
    up = ['<li><a href="../">../</a></li>'] if path != "/" else []
    links = [f'<li><a href="./{quote(name, safe="/")}">{_text(name)}</a></li>' for name in names]
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title></head><body><h1>{title}</h1><ul>",
            *up,
            *links,
            "</ul></body></html>\n",
        ]
    )


def _text(name: str) -> str:
    """A name as HTML."""
    return html.escape(re.sub(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]", "\ufffd", name))


def serve_folder(request: Request, root: str, path: str, query: str) -> Response:
    """Answer GET or HEAD for a folder, given its clean path.

    without its slash at the end   301 to folder_location()
    with an index.html in it       that file, as serve_file() does
    else                           listing_page(): its files and folders, sorted, without hidden ones (a dot
                                   in front) and without all else that find_file() would refuse
    """
    if not path.endswith("/"):
        location = folder_location(path, _NO_QUERY.sub(lambda found: quote(found[0]), query))
        raise HttpError(301, "This is a folder: its address ends in a slash.", [("Location", location)])
    try:
        index = find_file(root, path + "index.html")
    except HttpError:
        index = ""
    if index and not index.endswith(os.sep):
        return serve_file(request, index)
    try:
        names = sorted(os.listdir(root + _native(path)))
    except OSError:
        raise HttpError(403) from None
    page = listing_page(path, list(_visible(root, path, names)))
    return Response(200, [("Content-Type", "text/html; charset=utf-8")], page.encode("utf-8"))


def _visible(root: str, path: str, names: list[str]) -> Iterator[str]:
    """Those of the names that a client may ask for, folders with a slash."""
    for name in names:
        with contextlib.suppress(HttpError, UnicodeDecodeError):  # clean_path() refuses a name that is not UTF-8
            name = os.fsencode(name).decode("utf-8")
            real = find_file(root, path + name)
            if "\\" not in name:  # nor can that be asked for
                yield name + "/" if real.endswith(os.sep) else name


# ---- step connections ----------------------------------------------------------------------------


def keeps_alive(version: tuple[int, int], fields: Fields) -> bool:
    """Tell whether the connection stays open after this request's answer.

    "close" among the members of Connection: no. HTTP/1.1 without it: yes. HTTP/1.0: only with "keep-alive".
    Members are compared in any case: [("connection", "Foo, Close")] -> False.        RFC 9112 section 9.3
    """
    tokens = list_tokens(fields, "connection")
    return "close" not in tokens and (version != (1, 0) or "keep-alive" in tokens)


# ---- step clients --------------------------------------------------------------------------------


@functools.lru_cache
def _log_time(seconds: int) -> str:
    """A point in time in UTC: 784111777 -> "06/Nov/1994:08:49:37 +0000"."""
    t = time.gmtime(seconds)
    return f"{t.tm_mday:02}/{MONTHS[t.tm_mon - 1]}/{t.tm_year}:" + time.strftime("%H:%M:%S +0000", t)


def log_line(client: str, seconds: int, request_line: str, status: int, size: int) -> str:
    r"""Write one line of the Common Log Format, without a line end:
    '127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] "GET / HTTP/1.1" 200 512'.

    Given    seconds since 1970 (written as UTC), the request line as latin-1, and the bytes of content that
             were sent.
    Returns  an empty request line (none could be read) as "-", and a size of 0 too: '"-" 408 -'.
             Whatever the request line holds, the log keeps one line with one pair of quotes: a quote or
             backslash gets a backslash before it, anything outside 0x20 to 0x7E becomes \x and two hex
             digits in lower case.
    """
    safe = re.sub(r'["\\]', r"\\\g<0>", request_line or "-")
    safe = re.sub(r"[^ -~]", lambda odd: f"\\x{ord(odd[0]):02x}", safe)
    return f'{client} - - [{_log_time(seconds)}] "{safe}" {status} {size or "-"}'


def write_log(line: str) -> None:
    """Write a line to stderr in one piece, so that lines of different threads never mix."""
    with contextlib.suppress(OSError):
        os.write(2, line.encode("ascii", "replace") + b"\n")


# ---- step conditional ----------------------------------------------------------------------------

_CLOCK = r"(?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2})"
_DATES = (
    re.compile(rf"(?:{'|'.join(DAYS)}), (?P<d>[0-9]{{2}}) (?P<m>[A-Z][a-z]{{2}}) (?P<y>[0-9]{{4}}) {_CLOCK} GMT"),
    re.compile(rf"[A-Z][a-z]{{5,8}}, (?P<d>[0-9]{{2}})-(?P<m>[A-Z][a-z]{{2}})-(?P<y>[0-9]{{2}}) {_CLOCK} GMT"),
    re.compile(rf"(?:{'|'.join(DAYS)}) (?P<m>[A-Z][a-z]{{2}}) (?P<d>[ 0-9][0-9]) {_CLOCK} (?P<y>[0-9]{{4}})"),
)
_TAG = re.compile(r'(?:W/)?"[!#-~\x80-\xff]*"')
_TAGS = re.compile(rf"(?:[ \t,]*+{_TAG.pattern}[ \t]*+(?:,|\Z))*+[ \t,]*")  # members may be empty


def parse_http_date(text: str) -> int | None:
    """Read a date in any of HTTP's three forms; None when it is none of them or no such day exists.

    "Sun, 06 Nov 1994 08:49:37 GMT" -> 784111777     the form that everybody writes today
    "Sunday, 06-Nov-94 08:49:37 GMT" -> 784111777    a year over 50 years ahead means the last century
    "Sun Nov  6 08:49:37 1994" -> 784111777          asctime() of C
    The day of the week need not fit the date. A leap second, 23:59:60, counts as the second before it.
    RFC 9110 section 5.6.7
    """
    for form in _DATES:
        match = form.fullmatch(text)
        if match is None or match["m"] not in MONTHS:
            continue
        year = int(match["y"])
        if len(match["y"]) == 2:
            this_year = time.gmtime().tm_year
            year += this_year - this_year % 100
            year -= 100 if year > this_year + 50 else 0
        hour, minute, second = map(int, match["time"].split(":"))
        second = 59 if second == 60 else second
        try:
            moment = datetime(year, MONTHS.index(match["m"]) + 1, int(match["d"]), hour, minute, second, tzinfo=UTC)
        except ValueError:
            return None
        return int(moment.timestamp())
    return None


def make_etag(size: int, mtime_ns: int) -> str:
    """Name one state of a file: equal size and time of change give equal tags, any other pair another one.

    Returns  a strong entity tag with its quotes, for example 5, 17 -> '"5-11"'.      RFC 9110 section 8.8.3
    """
    return f'"{size:x}-{mtime_ns:x}"'


def check_conditions(fields: Fields, tag: str, modified: int) -> int:
    """Compare a file's tag and time of change with what the client knows: 200 (send it), 304 or 412.

    1. If-Match, when it is there: unless it is "*" or lists the tag -> 412. A weak tag never counts here.
    2. Without If-Match, If-Unmodified-Since: modified later than that -> 412.
    3. If-None-Match, when it is there: "*", or the tag in its list -> 304. W/"x" counts as "x" here.
    4. Without If-None-Match, If-Modified-Since: not modified later than that -> 304.
    A date that parse_http_date() cannot read counts as absent, so does one that comes twice. A list of tags
    may be spread over several fields, and a tag may hold a comma; what is no such list (w/"x" is no tag)
    lists nothing. modified is in whole seconds.
    RFC 9110 section 13.2.2
    """
    if not any(name.startswith("if-") for name, _ in fields):
        return 200
    if_match, if_none_match = field_values(fields, "if-match"), field_values(fields, "if-none-match")
    if if_match:
        if if_match != ["*"] and tag not in _tags(if_match):
            return 412
    elif (limit := _date_of(fields, "if-unmodified-since")) is not None and modified > limit:
        return 412
    if if_none_match:
        known = [name.removeprefix("W/") for name in _tags(if_none_match)]
        return 304 if if_none_match == ["*"] or tag in known else 200
    since = _date_of(fields, "if-modified-since")
    return 304 if since is not None and modified <= since else 200


def _tags(values: list[str]) -> list[str]:
    """The tags that the values of a field list together; none when these are no list of tags."""
    joined = ",".join(values)
    return _TAG.findall(joined) if _TAGS.fullmatch(joined) else []


def _date_of(fields: Fields, name: str) -> int | None:
    """The date in a header field that comes once."""
    values = field_values(fields, name)
    return parse_http_date(values[0]) if len(values) == 1 else None


# ---- step ranges ---------------------------------------------------------------------------------

_RANGE = re.compile(r"bytes=[ \t]*([0-9]*)-([0-9]*)[ \t]*", re.IGNORECASE)


def parse_range(value: str, size: int) -> tuple[int, int] | None:
    """Find the part of size bytes that a Range field asks for: "bytes=0-4", 12 -> (0, 5). (Start and length.)

    "bytes=7-" -> (7, 5)   "bytes=-2" -> (10, 2)   "bytes=7-99" -> (7, 5)   "bytes=-99" -> (0, 12)
    Returns  None where the whole file is the answer: no value, another unit, not a range ("bytes=5-2",
             "bytes=a-b"), several ranges, or "bytes=-5" of an empty file.
    Raises   HttpError(416) with the field ("Content-Range", "bytes */12") when the part does not exist: it
             starts at or behind the end, or is "bytes=-0". Numbers may have thousands of digits.
    RFC 9110 section 14.1.2
    """
    match = _RANGE.fullmatch(value)
    if match is None or match.groups() == ("", ""):
        return None
    # 18 digits are more than any file: int() of thousands is slow, and from 4300 on an error in Python.
    first, last = (int(digits.lstrip("0")[:18] or "0") for digits in match.groups())
    if match[1] and match[2] and first > last:
        return None
    if not match[1]:
        if size == 0 and last > 0:
            return None
        first, last = (max(0, size - last) if last else size), size
    elif not match[2]:
        last = size
    if first >= size:
        raise HttpError(416, "The file has no such part.", [("Content-Range", f"bytes */{size}")])
    return first, min(last, size - 1) - first + 1


def if_range_holds(fields: Fields, tag: str, modified: int) -> bool:
    """Tell whether a Range still means the file that the client knows. Without If-Range: yes.

    If-Range holds one tag, which must be equal to tag (a weak one never is), or a date, which must be exactly
    modified. Anything else: no, and the client gets the whole file. A date less than a second old says too
    little, for the file may change once more in the same second.                   RFC 9110 section 13.1.5
    """
    values = field_values(fields, "if-range")
    if not values:
        return True
    if len(values) == 1 and parse_http_date(values[0]) == modified:
        return modified < int(time.time())
    return values == [tag]


# ---- step cgi ------------------------------------------------------------------------------------

_script_slots = threading.Semaphore(MAX_SCRIPTS)


def split_script(path: str) -> tuple[str, str] | None:
    """Find the script in a clean path: "/cgi-bin/calc.py/a/b" -> ("/cgi-bin/calc.py", "/a/b").

    A script's name ends in ".py" (in any case), and it lies in the root folder itself or in /cgi-bin:
    "/make_time.py" -> ("/make_time.py", "")      "/docs/example.py" -> None      "/cgi-bin/old/x.py" -> None
    What follows it is the script's extra path.                                      RFC 3875 section 4.1.5
    """
    place, name, *_ = [*path.split("/", 3)[1:], ""]
    script = f"/{place}/{name}" if place == "cgi-bin" else f"/{place}"
    return (script, path[len(script) :]) if script.lower().endswith(".py") else None


def header_variables(fields: Fields) -> dict[str, str]:
    """Turn header fields into CGI variables: [("user-agent", "x")] -> {"HTTP_USER_AGENT": "x"}.

    Values of a repeated field are joined with ", ". Content-Type becomes CONTENT_TYPE.
    Left out: Content-Length and Transfer-Encoding (the body has lost its framing), Connection, Authorization
    (a secret), Proxy (programs take HTTP_PROXY for a setting of their own), and every name with "_" in it
    ("X_A" would pass for "X-A").
    RFC 3875 section 4.1.18
    """
    left_out = {"content-length", "transfer-encoding", "connection", "authorization", "proxy"}
    variables: dict[str, str] = {}
    for name, value in fields:
        if name not in left_out and "_" not in name:
            key = "CONTENT_TYPE" if name == "content-type" else "HTTP_" + name.upper().replace("-", "_")
            variables[key] = f"{variables[key]}, {value}" if key in variables else value
    return variables


def parse_script_output(output: bytes) -> tuple[int, Fields, bytes]:
    r"""Take a script's output apart: b"Status: 404 Gone\nContent-Type: text/plain\n\nNo." ->
    (404, [("content-type", "text/plain")], b"No.").

    The header's lines end in LF or CRLF; an empty line ends it. The status is that of Status; without it 302
    when there is a Location, else 200. Returned without Status and without fields that are the server's
    business: Connection, Content-Length, Date, Keep-Alive, Proxy-Connection, Server, TE, Trailer,
    Transfer-Encoding, Upgrade. Names in lower case.
    Raises  HttpError(502) when there is no empty line in the first MAX_SCRIPT_HEADER bytes, when a line is no
            header field, when Status does not begin with a number from 200 to 599 (a space or tab may follow,
            and words), and when none of Content-Type, Location and Status is there.
            RFC 3875 section 6
    """
    match = re.match(rb"(.*?\r?\n)\r?\n", output[:MAX_SCRIPT_HEADER], re.DOTALL)
    if match is None:
        raise HttpError(502, "The script's output has no header.")
    try:
        fields = parse_fields(match[1].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    except HttpError:
        raise HttpError(502, "The script's header is broken.") from None
    status = [re.split("[ \t]", value)[0] for value in field_values(fields, "status")]
    located = bool(field_values(fields, "location"))
    if status and not re.fullmatch("[2-5][0-9][0-9]", status[0]):
        raise HttpError(502, "The script's status is no status.")
    if not (status or located or field_values(fields, "content-type")):
        raise HttpError(502, "The script's header has no Content-Type.")
    ours = {"content-length", "date", "server", "status"}
    hop_by_hop = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
    kept = [(name, value) for name, value in fields if name not in ours | hop_by_hop]
    return int(status[0]) if status else 302 if located else 200, kept, output[match.end() :]


def run_script(site: Site, request: Request, file_path: str, script: tuple[str, str], query: str) -> Response:
    """Run a CGI script and answer with its output.

    Given    the script's file, (script, extra path) as from split_script(), and the query, still encoded.
    It runs as [sys.executable, file_path], in its own folder, with the request's body on stdin, and with
    nothing in its environment but PATH, SYSTEMROOT (on Windows), header_variables() and
      GATEWAY_INTERFACE (CGI/1.1), SERVER_SOFTWARE, SERVER_NAME (the Host without its port, or site.host),
      SERVER_PORT, SERVER_PROTOCOL (the request's version: "HTTP/1.1"), REQUEST_METHOD, SCRIPT_NAME,
      QUERY_STRING (also when empty), REMOTE_ADDR, PATH_INFO and PATH_TRANSLATED (if there is an extra path;
      the latter is where it would lie under the root), CONTENT_LENGTH (if the request has a body, be it an
      empty one).
    The host of an absolute target ("http://host/x.py") stands for Host, in HTTP_HOST too.
    The answer is what the script has written when it ends; with status 205 there is no content.
    Raises   HttpError(502) when the output is no CGI response or longer than MAX_SCRIPT_OUTPUT,
             HttpError(504) when the script is not done after site.timeout seconds: it is killed, with its
             group of processes. HttpError(503) when MAX_SCRIPTS run already and none of them ends for so long.
    RFC 3875 section 4.1
    """
    deadline = time.monotonic() + site.timeout
    if not _script_slots.acquire(timeout=site.timeout):
        raise HttpError(503, f"This server runs {MAX_SCRIPTS} scripts at once, and all of them are busy.")
    try:
        output = _output_of(file_path, _environment(site, request, script, query), request.body, deadline)
    finally:
        _script_slots.release()
    status, fields, content = parse_script_output(output)
    return Response(status, fields, b"" if status == 205 else content, sized=request.method != "HEAD")


def _environment(site: Site, request: Request, script: tuple[str, str], query: str) -> dict[str, str]:
    """What a script finds in its environment: see run_script()."""
    fields = header_variables(request.fields)
    absolute = _ABSOLUTE_FORM.fullmatch(request.target)
    if absolute:  # RFC 9112 section 3.2.2: what the Host field says is ignored then
        fields["HTTP_HOST"] = absolute[1]
    variables = {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": SERVER_NAME,
        "SERVER_NAME": re.sub(r":[0-9]*$", "", fields.get("HTTP_HOST", "")) or site.host,
        "SERVER_PORT": str(site.port),
        "SERVER_PROTOCOL": f"HTTP/{request.version[0]}.{request.version[1]}",
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": script[0],
        "QUERY_STRING": query,
        "REMOTE_ADDR": request.client,
    }
    if script[1]:
        variables["PATH_INFO"] = script[1]
        variables["PATH_TRANSLATED"] = site.root.rstrip(os.sep) + script[1].replace("/", os.sep)
    if any(name in ("content-length", "transfer-encoding") for name, _ in request.fields):
        variables["CONTENT_LENGTH"] = str(len(request.body))
    inherited = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    if os.name != "nt":  # there an environment is text; here it is bytes: of fields as they came, of the rest UTF-8
        fields = {name: os.fsdecode(value.encode("latin-1")) for name, value in fields.items()}
        variables = {name: os.fsdecode(value.encode("utf-8", "surrogateescape")) for name, value in variables.items()}
    return {**inherited, **fields, **variables}


def _output_of(file_path: str, environment: dict[str, str], body: bytes, deadline: float) -> bytes:
    """Run a script and return what it has written when it ends. Raises HttpError 504, 502, 503 as run_script()."""
    # Files instead of pipes: a script that writes before it reads and we would wait for each other, and a process
    # that it leaves behind would hold the pipe open long after its end.
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output:
        given.write(body)
        given.seek(0)
        child = _scripts.start(file_path, environment, given, output)
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(0.05):
                if time.monotonic() >= deadline or os.fstat(output.fileno()).st_size > MAX_SCRIPT_OUTPUT:
                    _kill(child)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        child.wait()
        ended.set()
        watcher.join()  # it looks at a file that is closed soon
        _scripts.forget(child)
        if time.monotonic() >= deadline:
            raise HttpError(504, "The script was not done in time.")
        output.seek(0)
        written = output.read(MAX_SCRIPT_OUTPUT + 1)
    if len(written) > MAX_SCRIPT_OUTPUT:
        raise HttpError(502, "The script's output is too long.")
    return written


class _Scripts:
    """The scripts that run. After end() none is started any more, so that none outlives the server."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running: set[subprocess.Popen[bytes]] = set()
        self.ended = False

    def start(
        self, file_path: str, environment: dict[str, str], body: IO[bytes], output: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """Start a script."""
        with self.lock:
            if self.ended:
                raise HttpError(503, "This server is about to stop.")
            child = subprocess.Popen(
                [sys.executable, file_path],
                stdin=body,
                stdout=output,
                cwd=os.path.dirname(file_path),
                env=environment,
                start_new_session=True,
            )
            self.running.add(child)
        return child

    def forget(self, child: subprocess.Popen[bytes]) -> None:
        """A script has ended; so does now what it has started and left behind in its group."""
        with self.lock:
            _kill(child)
            self.running.discard(child)

    def end(self) -> None:
        """Kill all that run."""
        with self.lock:
            self.ended = True
            for child in self.running:
                _kill(child)


_scripts = _Scripts()


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Kill a script and its group of processes: what it has started, unless that has made itself independent."""
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            child.kill()
        else:
            os.killpg(child.pid, signal.SIGKILL)


# ---- the event loop ------------------------------------------------------------------------------
#
# One thread serves all clients. Each connection is a generator, _converse(), that runs until it would have to wait.
# Then it yields its interest, and the loop resumes another one:
#
#     _converse()                yield (socket, EVENT_READ or EVENT_WRITE)     _Loop
#         _read_request()        ---------------------------------------->         select(): whose socket is ready?
#         answer()               <----------------------------------------         the clock: whose time is over?
#         _send_response()       resume(), with a TimeoutError if it is late       accept(): a new client?
#
# A script takes long: its answer() runs on a thread, and the interest is a socket that the thread closes in the end.
# A signal may interrupt anything, so its handler sends a byte to a socket of the loop, which select() sees in time.
_T = TypeVar("_T")
_Interest = tuple[socket.socket, int]  # a socket, and what to wait for on it: EVENT_READ or EVENT_WRITE
_Steps = Generator[_Interest, None, _T]  # yields interests, returns a T; past the deadline it gets a TimeoutError


class _Stream:
    """A client's connection. buffer: what it has sent and nobody used yet. line: the request line, for the log."""

    def __init__(self, sock: socket.socket, client: str, timeout: float) -> None:
        self.sock = sock
        self.client = client
        self.timeout = timeout
        self.buffer = b""
        self.line = ""
        self.idle = True  # no request has begun
        self.deadline = 0.0
        self.restart_clock()

    def asks_for_head(self) -> bool:
        """Whether the request is HEAD, whose answer has no content; also one that is refused before it is complete."""
        return (self.line.encode("latin-1") or self.buffer.lstrip(b"\r\n")).startswith(b"HEAD ")

    def restart_clock(self) -> None:
        """From now on the client has timeout seconds again."""
        self.deadline = time.monotonic() + self.timeout

    def receive(self) -> _Steps[None]:
        """Wait for more bytes and append them to buffer. EOFError when the client has closed its side."""
        yield self.sock, selectors.EVENT_READ
        with contextlib.suppress(BlockingIOError):
            data = self.sock.recv(PIECE)
            if not data:
                raise EOFError
            self.buffer += data

    def send(self, data: bytes) -> _Steps[None]:
        """Send all of it; the clock starts again whenever the client has taken some."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self.sock.send(rest) :]
            except BlockingIOError:
                self.restart_clock()
                yield self.sock, selectors.EVENT_WRITE


def _converse(site: Site, stream: _Stream) -> _Steps[None]:
    """One connection: read a request, answer it, write its log line; then the next one."""
    keep = True
    while keep:
        request = None
        try:
            request = yield from _read_request(stream)
            if request is None:
                return
            response = yield from _answer_without_waiting(site, request, stream)
            keep = keeps_alive(request.version, request.fields)
        except HttpError as error:
            response, keep = error_response(error), False
        sent = yield from _send_response(stream, request, response, keep)
        write_log(log_line(stream.client, int(time.time()), stream.line, response.status, sent))
        if stream.buffer:
            yield stream.sock, selectors.EVENT_WRITE  # who sends many requests at once lets others have a turn
    yield from _close_gently(stream)


def _read_request(stream: _Stream) -> _Steps[Request | None]:
    """Read one request; what came after it stays in the buffer. None when the client closes, or stays silent."""
    stream.line = ""
    stream.idle = True
    stream.restart_clock()
    try:
        while stream.buffer in (b"", b"\r", b"\r\n"):
            yield from stream.receive()
    except (EOFError, TimeoutError):
        return None
    stream.idle = False
    stream.restart_clock()
    try:
        while (head := take_head(stream.buffer)) is None:
            yield from stream.receive()
        line, section, stream.buffer = head
        stream.line = line.decode("latin-1")
        method, target, version = parse_request_line(line)
        fields = parse_fields(section)
        check_host(version, fields)
        framing = body_framing(version, fields)
        expectations = list_tokens(fields, "expect") if version != (1, 0) else []
        if expectations not in ([], ["100-continue"]):
            raise HttpError(417, "The one expectation that this server can meet is 100-continue.")
        if framing != 0 and expectations and not stream.buffer:
            yield from stream.send(response_head(100, []))
        stream.restart_clock()
        body = yield from _read_body(stream, framing)
    except EOFError:
        raise HttpError(400, "The request ended in the middle.") from None
    except TimeoutError:
        raise HttpError(408, f"The request was not complete after {stream.timeout:g} seconds.") from None
    return Request(method, target, version, fields, body, stream.client)


_CHUNK_PART = 16384  # bytes


def _read_body(stream: _Stream, framing: int | str) -> _Steps[bytes]:
    """Read a body of so many bytes, or one in chunks."""
    if framing == 0:
        return b""
    body = bytearray()  # grows in place; adding up bytes would copy all of them every time
    if isinstance(framing, int):
        while len(body) + len(stream.buffer) < framing:
            body += stream.buffer
            stream.buffer = b""
            yield from stream.receive()
        missing = framing - len(body)
        body += stream.buffer[:missing]
        stream.buffer = stream.buffer[missing:]
        return bytes(body)
    # Chunks are cut off a small part of the buffer: each cut copies what follows, and a chunk can be a single byte.
    data, part = None, b""
    while data != b"":
        while (chunk := take_chunk(part)) is None:
            if stream.buffer:
                yield stream.sock, selectors.EVENT_WRITE  # a body of many chunks lets others have a turn
            else:
                yield from stream.receive()
            part += stream.buffer[:_CHUNK_PART]
            stream.buffer = stream.buffer[_CHUNK_PART:]
        data, part = chunk
        body += data
        if len(body) > MAX_BODY:
            raise HttpError(413, f"The body is larger than {MAX_BODY} bytes.")
    stream.buffer = part + stream.buffer
    while (rest := take_trailers(stream.buffer)) is None:
        yield from stream.receive()
    stream.buffer = rest
    return bytes(body)


def _answer_without_waiting(site: Site, request: Request, stream: _Stream) -> _Steps[Response]:
    """Call answer(); where that may take long, because a script has to run, on a thread whose end we wait
    for."""
    if not _asks_for_script(request):
        return answer(site, request)
    responses: list[Response] = []

    def work() -> None:
        with theirs:
            responses.append(answer(site, request))

    stream.deadline = math.inf  # run_script() has a clock of its own
    ours, theirs = socket.socketpair()
    with ours:
        threading.Thread(target=work, daemon=True).start()
        yield ours, selectors.EVENT_READ  # it sees an end when the thread closes theirs
    return responses[0]


def _asks_for_script(request: Request) -> bool:
    """Whether answer() may run a script."""
    with contextlib.suppress(HttpError):
        return split_script(clean_path(parse_target(request.method, request.target)[0])) is not None
    return False


def _send_response(stream: _Stream, request: Request | None, response: Response, keep: bool) -> _Steps[int]:
    """Send an answer and return how many bytes of content it had. Without a request it answers one nobody
    could read."""
    length = response.length if response.file else len(response.body)
    fields = [("Date", _cached_date(int(time.time()))), ("Server", SERVER_NAME), *response.fields]
    if response.status not in (204, 304) and response.sized:
        fields.append(("Content-Length", str(length)))
    if not keep:
        fields.append(("Connection", "close"))
    elif request and request.version == (1, 0):
        fields.append(("Connection", "keep-alive"))
    head = response_head(response.status, fields)
    with response.file or contextlib.nullcontext():
        if response.status in (204, 304) or stream.asks_for_head():
            yield from stream.send(head)
            return 0
        # One send for both: a second small one can wait 40 ms for the client's acknowledgement of the first.
        yield from stream.send(head + response.body)
        if response.file:
            yield from _send_file(stream, response.file, response.start, length)
    return length


def _send_file(stream: _Stream, file: FileIO, start: int, length: int) -> _Steps[None]:
    """Send a part of a file piece by piece, so that no file is too large for our memory."""
    file.seek(start)
    while length:
        yield stream.sock, selectors.EVENT_WRITE  # also lets others have a turn
        stream.restart_clock()
        if hasattr(os, "sendfile"):  # not on Windows
            try:
                sent = os.sendfile(stream.sock.fileno(), file.fileno(), start, min(PIECE, length))
            except BlockingIOError:
                continue
        else:
            piece = file.read(min(PIECE, length))
            yield from stream.send(piece)
            sent = len(piece)
        if sent == 0:
            raise OSError("the file has become shorter than its Content-Length")
        start += sent
        length -= sent


def _close_gently(stream: _Stream) -> _Steps[None]:
    """End the sending, then read and drop what still comes, for a second or the timeout at most.

    A socket that is closed with unread bytes in it resets the connection, and a reset can overtake the answer.
    RFC 9112 section 9.6
    """
    stream.sock.shutdown(socket.SHUT_WR)
    stream.deadline = time.monotonic() + min(1.0, stream.timeout)
    while True:
        stream.buffer = b""
        yield from stream.receive()


@dataclass(eq=False)
class _Task:
    """A conversation, and what it waits for."""

    stream: _Stream
    steps: _Steps[None]
    interest: _Interest | None = None


class _Loop:
    """Resumes each conversation when its socket is ready, or its time is over.

    A thread for each client does as well and reads as easily; measured here, it served a third as many requests per
    second, for each system call passes the interpreter's lock to another thread.
    """

    def __init__(self, site: Site, listener: socket.socket) -> None:
        self.site = site
        self.listener = listener
        self.listening = False
        self.stopping = False
        self.tasks: set[_Task] = set()
        self.selector = selectors.DefaultSelector()
        self.woken, self.waker = socket.socketpair()  # a signal comes at any moment; a byte waits for its turn
        self.selector.register(self.woken, selectors.EVENT_READ)

    def stop(self) -> None:
        """Make run() come to its end. Fit for a signal handler: it does nothing but send a byte."""
        with contextlib.suppress(OSError):  # the second of two signals may come too late
            self.waker.send(b"!")

    def run(self) -> None:
        """Serve until stop(); then let answers on their way finish, for a second at most."""
        self.listener.setblocking(False)
        tick = min(1.0, self.site.timeout / 10)  # seconds between two looks at the clock
        next_look = end = 0.0
        self.listen(True)
        while not self.stopping or (self.tasks and time.monotonic() < end):
            for key, _ in self.selector.select(tick):
                if isinstance(key.data, _Task):
                    self.resume(key.data)
                elif key.fileobj is self.listener:
                    self.accept()
                else:
                    self.woken.recv(PIECE)
                    self.listen(False)
                    self.stopping = True
                    self.listener.close()
                    end = time.monotonic() + 1.0
                    for task in [task for task in self.tasks if task.stream.idle]:
                        self.close(task)
            now = time.monotonic()
            if now >= next_look:
                next_look = now + tick
                for task in [task for task in self.tasks if task.stream.deadline < now]:
                    self.resume(task, TimeoutError())
                self.listen(len(self.tasks) < MAX_CLIENTS)
        _scripts.end()
        for task in list(self.tasks):
            self.close(task)
        for thing in (self.woken, self.waker, self.selector):
            thing.close()

    def listen(self, wanted: bool) -> None:
        """Let new clients come, or let them wait in the backlog."""
        if wanted and not self.listening and not self.stopping:
            self.selector.register(self.listener, selectors.EVENT_READ)
            self.listening = True
        elif not wanted and self.listening:
            self.selector.unregister(self.listener)
            self.listening = False

    def accept(self) -> None:
        """Begin a conversation with each client that has arrived."""
        while len(self.tasks) < MAX_CLIENTS:
            try:
                sock, address = self.listener.accept()
            except BlockingIOError:
                return
            except OSError as error:  # out of file descriptors, say: try again at the next look at the clock
                write_log(f"accept: {error}")
                break
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = _Stream(sock, address[0], self.site.timeout)
            task = _Task(stream, _converse(self.site, stream))
            self.tasks.add(task)
            self.resume(task)
        self.listen(False)

    def resume(self, task: _Task, error: TimeoutError | None = None) -> None:
        """Let a conversation go on until it waits again; close it when it has come to its end."""
        # A socket other than the client's may be closed by the time that the conversation waits again.
        if task.interest and task.interest[0] is not task.stream.sock:
            self.selector.unregister(task.interest[0])
            task.interest = None
        try:
            interest = task.steps.throw(error) if error else next(task.steps)
        except (StopIteration, OSError, EOFError):  # the end, or the client has gone, or takes nothing any more
            self.close(task)
        except Exception:  # noqa: BLE001 - our mistake; the other conversations go on
            traceback.print_exc()
            self.close(task)
        else:
            self.wait_for(task, interest)
            if self.stopping and task.stream.idle:
                self.close(task)

    def wait_for(self, task: _Task, interest: _Interest) -> None:
        """Register a conversation's interest; mostly it is the one that it had before."""
        if interest == task.interest:
            return
        if task.interest is None:
            self.selector.register(*interest, task)
        elif task.interest[0] is interest[0]:
            self.selector.modify(*interest, task)
        else:
            self.selector.unregister(task.interest[0])
            self.selector.register(*interest, task)
        task.interest = interest

    def close(self, task: _Task) -> None:
        """End a conversation; another time does nothing."""
        if task.interest:
            self.selector.unregister(task.interest[0])
            task.interest = None
        task.steps.close()
        task.stream.sock.close()
        self.tasks.discard(task)
        self.listen(True)


# ---- the program ---------------------------------------------------------------------------------


def default_root() -> Path:
    """The folder "webroot" beside this file or above it; without one, the current folder."""
    candidates = [folder / "webroot" for folder in Path(__file__).resolve().parents]
    return next((folder for folder in candidates if folder.is_dir()), Path.cwd())


def main() -> None:
    """Read the command line, listen, say where, and serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description="An HTTP/1.1 server for the files of a folder.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one (default %(default)s)")
    parser.add_argument("--root", type=Path, default=default_root(), help="folder to serve (%(default)s)")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds to wait for a client or script")
    args = parser.parse_args()
    if not args.root.is_dir():
        parser.error(f"--root {args.root} is not a folder")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        with listen(args.host, args.port) as listener:
            port = listener.getsockname()[1]
            address = f"[{args.host}]" if ":" in args.host else args.host
            site = Site(os.path.realpath(args.root), address, port, args.timeout)
            print(f"Serving {site.root} at http://{address}:{port}/", flush=True)
            serve(site, listener)


if __name__ == "__main__":
    main()
