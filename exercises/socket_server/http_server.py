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
import os
import signal
import socket
from dataclasses import dataclass, field
from http import HTTPStatus
from io import FileIO
from pathlib import Path

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
    # TODO(request-line): write parse_request_line(), as the docstring says.
    raise NotImplementedError("step request-line: parse_request_line() is yours to write")


# ---- step headers --------------------------------------------------------------------------------


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
    # TODO(headers): write parse_fields(), as the docstring says.
    raise NotImplementedError("step headers: parse_fields() is yours to write")


def check_host(version: tuple[int, int], fields: Fields) -> None:
    """Let a request pass only with a proper Host: (1, 1), [("host", "example.org:8080")] -> None.

    Raises  HttpError(400) when Host is missing (allowed in version (1, 0) only), repeated (even with equal
            values), or not a host with an optional port: "a b", "a/b", "user@a", "a:b" and "a:80:80" are not.
            An empty value is allowed, so is an empty port ("a:"), an address in brackets ("[::1]:8080"; "[a/b]"
            holds none), and every name that the RFC allows: letters, digits, "-._~!$&'()*+,;=" and
            percent-escapes, as in "a-b.c_d".
    RFC 9112 section 3.2, RFC 3986 section 3.2.2
    """
    # TODO(headers): write check_host(), as the docstring says.
    raise NotImplementedError("step headers: check_host() is yours to write")


# ---- step body -----------------------------------------------------------------------------------


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
    # TODO(body): write take_head(), as the docstring says.
    raise NotImplementedError("step body: take_head() is yours to write")


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
    # TODO(body): write body_framing(), as the docstring says.
    raise NotImplementedError("step body: body_framing() is yours to write")


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
    # TODO(body): write take_chunk(), as the docstring says.
    raise NotImplementedError("step body: take_chunk() is yours to write")


def take_trailers(buffer: bytes) -> bytes | None:
    r"""Skip the trailer fields after the last chunk: b"X: 1\r\n\r\nrest" -> b"rest"; b"\r\nrest" -> b"rest".

    Returns  what follows the empty line, or None when that has not come yet.
    Raises   as parse_fields() does for fields that are none (400), and HttpError(431) when the trailers with
             their empty line are longer than MAX_HEADER_SECTION bytes.
    RFC 9112 section 7.1.2 lets a server ignore trailers; it still has to know where they end.
    """
    # TODO(body): write take_trailers(), as the docstring says.
    raise NotImplementedError("step body: take_trailers() is yours to write")


# ---- step response -------------------------------------------------------------------------------


def http_date(seconds: int) -> str:
    """Write a point in time as HTTP does: 784111777 -> "Sun, 06 Nov 1994 08:49:37 GMT".

    Given  whole seconds since 1970 (UTC). The names are English in every locale.
    RFC 9110 section 5.6.7
    """
    # TODO(response): write http_date(), as the docstring says.
    raise NotImplementedError("step response: http_date() is yours to write")


def response_head(status: int, fields: Fields) -> bytes:
    r"""Write a status line, header fields and the empty line:
    204, [("X-A", "1")] -> b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n".

    Returns  exactly the given fields, in order, as latin-1; the reason phrase is REASONS[status], or empty.
    Raises   ValueError when a name is not a token, or a value holds a control character other than tab or
             cannot be written as latin-1: whatever a value contains, it cannot begin a new header line or end
             the head.
    RFC 9112 section 4
    """
    # TODO(response): write response_head(), as the docstring says.
    raise NotImplementedError("step response: response_head() is yours to write")


def error_page(status: int, message: str) -> bytes:
    """Make a small page that says what went wrong: 404, "No <b> here." -> b"<!DOCTYPE html>...".

    HTML in UTF-8 that shows the status and the message; the message is text, so it is escaped.
    """
    # TODO(response): write error_page(), as the docstring says.
    raise NotImplementedError("step response: error_page() is yours to write")


def error_response(error: HttpError) -> Response:
    """The answer that tells of an error."""
    fields = [("Content-Type", "text/html; charset=utf-8"), *error.fields]
    return Response(error.status, fields, error_page(error.status, error.message))


# ---- step paths ----------------------------------------------------------------------------------


def parse_target(method: str, target: str) -> tuple[str, str]:
    """Find path and query in a request target: "GET", "/a%20b?x=1" -> ("/a%20b", "x=1"). Nothing is decoded.

    origin-form     "/a?x=1?y"               -> ("/a", "x=1?y")          the query starts at the first "?"
    absolute-form   "http://host:80/a?x=1"   -> ("/a", "x=1")            "HTTP://host" -> ("/", "")
    asterisk-form   "*" with OPTIONS only    -> ("*", "")
    Raises  HttpError(400) for anything else: "a/b", "*" with GET, "ftp://host/", "host:80", "http:///a", a
            host that check_host() would refuse, a target with "#" in it (a fragment is never sent).
    RFC 9112 section 3.2
    """
    # TODO(paths): write parse_target(), as the docstring says.
    raise NotImplementedError("step paths: parse_target() is yours to write")


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
    # TODO(paths): write clean_path(), as the docstring says.
    raise NotImplementedError("step paths: clean_path() is yours to write")


def find_file(root: str, path: str) -> str:
    """Map a clean path to an existing file or folder under root: "/www", "/a/b.txt" -> "/www/a/b.txt".

    Given    root, absolute and free of symbolic links; path as clean_path() returns it.
    Returns  the real location: links are followed. That of a folder ends in os.sep.
    Raises   HttpError(404) when nothing is there, when any segment starts with a dot (hidden), when the path
             ends in "/" and is no folder, when a name is too long for the system, and for a special file
             (device, pipe).
             HttpError(403) when a link leads out of root or to something hidden. "/www2" is not in "/www".
    """
    # TODO(paths): write find_file(), as the docstring says.
    raise NotImplementedError("step paths: find_file() is yours to write")


def media_type(name: str) -> str:
    """Name the media type of a file by the end of its name: "a.HTML" -> "text/html; charset=utf-8".

    Looks up the last suffix in MEDIA_TYPES, in any case; "application/octet-stream" when it is not there.
    """
    # TODO(paths): write media_type(), as the docstring says.
    raise NotImplementedError("step paths: media_type() is yours to write")


# ---- step serve ----------------------------------------------------------------------------------


def serve_file(request: Request, file_path: str) -> Response:
    """Answer GET or HEAD with a file: status 200, its media_type() and its bytes, as they are on the disk.

    Step conditional adds Last-Modified and ETag, 304 and 412. Step ranges adds Accept-Ranges, 206 and 416.
    Raises  HttpError(404) when the file has just gone, HttpError(403) when the system forbids reading it.
    """
    # TODO(serve): write serve_file(), as the docstring says.
    raise NotImplementedError("step serve: serve_file() is yours to write")


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
    # TODO(serve): write answer(), as the docstring says.
    raise NotImplementedError("step serve: answer() is yours to write")


def listen(host: str, port: int) -> socket.socket:
    """Open the socket on which clients arrive; port 0 takes a free one.

    The backlog is BACKLOG: with a short queue the system drops the clients of a busy moment, and each tries
    again after a whole second. A port that another server uses must fail with OSError: SO_REUSEADDR is for
    restarting over connections that still linger; on Windows it would let two servers share a port, so there
    it stays off.
    """
    # TODO(serve): write listen(), as the docstring says.
    raise NotImplementedError("step serve: listen() is yours to write")


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
    # TODO(serve): write serve(), as the docstring says.
    raise NotImplementedError("step serve: serve() is yours to write")


# ---- step folders --------------------------------------------------------------------------------


def folder_location(path: str, query: str) -> str:
    """Write the address of a folder that was asked for without its slash: "/a b", "x=1" -> "/a%20b/?x=1".

    The clean path is percent-encoded again (UTF-8): all but ASCII letters, digits and "-._~/". The result
    begins with exactly one slash: "//evil.example/" would lead to another site.
    """
    # TODO(folders): write folder_location(), as the docstring says.
    raise NotImplementedError("step folders: folder_location() is yours to write")


def listing_page(path: str, names: list[str]) -> str:
    """Write a folder's listing as an HTML page: a heading with the path, and a link for each name, in order.

    Given    the clean path of the folder ("/docs/"), and its names; those of folders end in "/".
    Returns  HTML in which each name is the text of a link <a href="...">. Text and links are escaped, and control
             characters, which HTML forbids, are shown as U+FFFD; a link
             is relative ("./" + the name, percent-encoded as UTF-8), and leads exactly there for every legal
             name, also for one with "?", "#", "%", a quote or a colon in it. In every folder but "/" the
             first link is "../".
    """
    # TODO(folders): write listing_page(), as the docstring says.
    raise NotImplementedError("step folders: listing_page() is yours to write")


def serve_folder(request: Request, root: str, path: str, query: str) -> Response:
    """Answer GET or HEAD for a folder, given its clean path.

    without its slash at the end   301 to folder_location()
    with an index.html in it       that file, as serve_file() does
    else                           listing_page(): its files and folders, sorted, without hidden ones (a dot
                                   in front) and without all else that find_file() would refuse
    """
    # TODO(folders): write serve_folder(), as the docstring says.
    raise NotImplementedError("step folders: serve_folder() is yours to write")


# ---- step connections ----------------------------------------------------------------------------


def keeps_alive(version: tuple[int, int], fields: Fields) -> bool:
    """Tell whether the connection stays open after this request's answer.

    "close" among the members of Connection: no. HTTP/1.1 without it: yes. HTTP/1.0: only with "keep-alive".
    Members are compared in any case: [("connection", "Foo, Close")] -> False.        RFC 9112 section 9.3
    """
    # TODO(connections): write keeps_alive(), as the docstring says.
    raise NotImplementedError("step connections: keeps_alive() is yours to write")


# ---- step clients --------------------------------------------------------------------------------


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
    # TODO(clients): write log_line(), as the docstring says.
    raise NotImplementedError("step clients: log_line() is yours to write")


def write_log(line: str) -> None:
    """Write a line to stderr in one piece, so that lines of different threads never mix."""
    with contextlib.suppress(OSError):
        os.write(2, line.encode("ascii", "replace") + b"\n")


# ---- step conditional ----------------------------------------------------------------------------


def parse_http_date(text: str) -> int | None:
    """Read a date in any of HTTP's three forms; None when it is none of them or no such day exists.

    "Sun, 06 Nov 1994 08:49:37 GMT" -> 784111777     the form that everybody writes today
    "Sunday, 06-Nov-94 08:49:37 GMT" -> 784111777    a year over 50 years ahead means the last century
    "Sun Nov  6 08:49:37 1994" -> 784111777          asctime() of C
    The day of the week need not fit the date. A leap second, 23:59:60, counts as the second before it.
    RFC 9110 section 5.6.7
    """
    # TODO(conditional): write parse_http_date(), as the docstring says.
    raise NotImplementedError("step conditional: parse_http_date() is yours to write")


def make_etag(size: int, mtime_ns: int) -> str:
    """Name one state of a file: equal size and time of change give equal tags, any other pair another one.

    Returns  a strong entity tag with its quotes, for example 5, 17 -> '"5-11"'.      RFC 9110 section 8.8.3
    """
    # TODO(conditional): write make_etag(), as the docstring says.
    raise NotImplementedError("step conditional: make_etag() is yours to write")


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
    # TODO(conditional): write check_conditions(), as the docstring says.
    raise NotImplementedError("step conditional: check_conditions() is yours to write")


# ---- step ranges ---------------------------------------------------------------------------------


def parse_range(value: str, size: int) -> tuple[int, int] | None:
    """Find the part of size bytes that a Range field asks for: "bytes=0-4", 12 -> (0, 5). (Start and length.)

    "bytes=7-" -> (7, 5)   "bytes=-2" -> (10, 2)   "bytes=7-99" -> (7, 5)   "bytes=-99" -> (0, 12)
    Returns  None where the whole file is the answer: no value, another unit, not a range ("bytes=5-2",
             "bytes=a-b"), several ranges, or "bytes=-5" of an empty file.
    Raises   HttpError(416) with the field ("Content-Range", "bytes */12") when the part does not exist: it
             starts at or behind the end, or is "bytes=-0". Numbers may have thousands of digits.
    RFC 9110 section 14.1.2
    """
    # TODO(ranges): write parse_range(), as the docstring says.
    raise NotImplementedError("step ranges: parse_range() is yours to write")


def if_range_holds(fields: Fields, tag: str, modified: int) -> bool:
    """Tell whether a Range still means the file that the client knows. Without If-Range: yes.

    If-Range holds one tag, which must be equal to tag (a weak one never is), or a date, which must be exactly
    modified. Anything else: no, and the client gets the whole file. A date less than a second old says too
    little, for the file may change once more in the same second.                   RFC 9110 section 13.1.5
    """
    # TODO(ranges): write if_range_holds(), as the docstring says.
    raise NotImplementedError("step ranges: if_range_holds() is yours to write")


# ---- step cgi ------------------------------------------------------------------------------------


def split_script(path: str) -> tuple[str, str] | None:
    """Find the script in a clean path: "/cgi-bin/calc.py/a/b" -> ("/cgi-bin/calc.py", "/a/b").

    A script's name ends in ".py" (in any case), and it lies in the root folder itself or in /cgi-bin:
    "/make_time.py" -> ("/make_time.py", "")      "/docs/example.py" -> None      "/cgi-bin/old/x.py" -> None
    What follows it is the script's extra path.                                      RFC 3875 section 4.1.5
    """
    # TODO(cgi): write split_script(), as the docstring says.
    raise NotImplementedError("step cgi: split_script() is yours to write")


def header_variables(fields: Fields) -> dict[str, str]:
    """Turn header fields into CGI variables: [("user-agent", "x")] -> {"HTTP_USER_AGENT": "x"}.

    Values of a repeated field are joined with ", ". Content-Type becomes CONTENT_TYPE.
    Left out: Content-Length and Transfer-Encoding (the body has lost its framing), Connection, Authorization
    (a secret), Proxy (programs take HTTP_PROXY for a setting of their own), and every name with "_" in it
    ("X_A" would pass for "X-A").
    RFC 3875 section 4.1.18
    """
    # TODO(cgi): write header_variables(), as the docstring says.
    raise NotImplementedError("step cgi: header_variables() is yours to write")


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
    # TODO(cgi): write parse_script_output(), as the docstring says.
    raise NotImplementedError("step cgi: parse_script_output() is yours to write")


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
    # TODO(cgi): write run_script(), as the docstring says.
    raise NotImplementedError("step cgi: run_script() is yours to write")


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
