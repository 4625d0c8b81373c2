"""One TCP connection of the judge to a server under test: every wait has a deadline, every byte is recorded.

It reads while it writes, so a server may answer before it has read everything, and a reset after a complete
answer does no harm.
"""

from __future__ import annotations

import contextlib
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

from grader.model import Complaint, Finding, Verdict
from grader.target.http1 import HttpReply, Malformed, NeedMore, take_reply
from grader.target.listening import unread
from grader.target.patience import PATIENCE
from grader.target.transcript import TRANSCRIPT, offset_shown, show_bytes

PIECE = 1 << 16
MANY_PIECES = 6  # more are counted, not shown one by one
MAX_INTERIM = 100
TURN_SHOWN = 600  # bytes of what the server says at a time, for the transcript
# A server that sends without end is read for so many seconds past a deadline: what came in time may still wait here.
OVERTIME = 0.5
PAUSE = 0.001  # between the pieces of a request that is sent in cuts
SEGMENT = 1460  # bytes: what an Ethernet carries at once; the loopback's 64 KiB would fill a small buffer alone
AT_MOST = 0.25  # for a server that does not read


_REQUEST_LINE = re.compile(rb"(?:\A|(?<=\r\n\r\n))[A-Z]+ [^ \r\n]+ HTTP/1\.[01]\r\n")
_BODY = re.compile(rb"\r\n(?:content-length|transfer-encoding)[ \t]*:", re.IGNORECASE)


class Connection:
    """A client. Times are in seconds; `timeout` bounds each method."""

    def __init__(
        self,
        port: int,
        timeout: float,
        receive_buffer: int | None = None,
        how_it_ended: Callable[[], str] = str,
    ) -> None:
        """`receive_buffer` in bytes: a small one makes the server wait for its reader after a few kilobytes.

        `how_it_ended` waits a moment for the end of the server's process and says in words how it ended, "" if it runs.
        """
        self.timeout = timeout
        self._how_it_ended = how_it_ended
        self._port = port
        self._shown: list[str] = []
        self._asked: int | None = 0  # requests sent, where it is plain how many these are
        self._answers: list[int] = []  # the statuses of the final answers so far
        self._last: HttpReply | None = None  # the newest of them
        self._turn, self._turn_size = b"", 0  # what came since the last bytes were sent: its beginning, its size
        self._buffer = b""
        self._ended = False
        self._reset = False
        self._socket = socket.socket()
        self._socket.settimeout(timeout)
        if receive_buffer is not None:  # both count from the handshake on
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            if hasattr(socket, "TCP_MAXSEG"):
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        try:
            self._socket.connect(("127.0.0.1", port))
        except OSError as error:
            self._socket.close()
            got = (
                "the connection was refused" if isinstance(error, ConnectionRefusedError) else f"no connection: {error}"
            )
            raise Complaint(Finding(f"a connection to 127.0.0.1:{port}", "a connection", got)) from None
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes, cuts: Sequence[int] = (), pause: float = PAUSE) -> Connection:
        """Send bytes, in pieces that end at the offsets `cuts`. A server that stops reading is no error here."""
        places = [0, *sorted({cut for cut in cuts if 0 < cut < len(data)}), len(data)]
        pieces = [data[begin:end] for begin, end in pairwise(places)]
        shown = show_bytes(data)
        if len(pieces) > MANY_PIECES:
            shown += f" in {len(pieces)} pieces"
        elif len(pieces) > 1:
            shown = ", then ".join(map(show_bytes, pieces))
        self._shown.append(shown)
        self._turn, self._turn_size = b"", 0
        self._count_requests(data)
        TRANSCRIPT.sent(shown)
        for number, piece in enumerate(pieces):
            if number:
                self._let_it_read(pause)
            self._write(memoryview(piece))
        return self

    @property
    def sent(self) -> str:
        """All that was sent, as findings show it."""
        return ", then ".join(self._shown[-MANY_PIECES:])

    def _count_requests(self, data: bytes) -> None:
        """What a body says may look like a request, so with bodies the number is not known."""
        whole = data.endswith(b"\r\n\r\n") and not _BODY.search(data)
        found = len(_REQUEST_LINE.findall(data)) if whole else 0
        self._asked = self._asked + found if found and self._asked is not None else None

    def half_close(self) -> Connection:
        """Say that nothing more will be sent."""
        TRANSCRIPT.sent("(the client ends its side)")
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        return self

    def wait(self, seconds: float) -> Connection:
        """Do nothing for a while, like a client with something else to do: nothing is read meanwhile."""
        threading.Event().wait(seconds)
        return self

    def reply(self, method: str = "GET", timeout: float | None = None) -> HttpReply:
        """The next final answer; 1xx ones before it are in `interim`. Complaint when there is none, or no HTTP."""
        seconds = self._seconds(timeout)
        return self._final(method, time.monotonic() + seconds, seconds)

    def _seconds(self, timeout: float | None) -> float:
        return PATIENCE.limit(timeout or self.timeout)

    def _final(self, method: str, deadline: float, seconds: float) -> HttpReply:
        """The next final answer; `seconds` is how long has been waited in all when the deadline has come."""
        interim: tuple[int, ...] = ()
        while True:
            parsed = take_reply(self._buffer, method, self._ended)
            match parsed:
                case HttpReply(status=status) if 100 <= status < 200 and status != 101:
                    interim += (status,)
                    self._take(parsed)
                    if len(interim) > MAX_INTERIM:
                        raise Complaint(Finding(self.sent, "a final answer", f"{len(interim)} answers of status 1xx"))
                case HttpReply():
                    self._take(parsed)
                    self._answers.append(parsed.status)
                    self._last = parsed
                    return replace(parsed, interim=interim, sent=self.sent, witness=TRANSCRIPT.witness)
                case Malformed(expected, offset):
                    shown = show_bytes(self._buffer)
                    caret = offset_shown(self._buffer, offset)
                    raise Complaint(Finding(self.sent, expected, shown, caret=caret))
                case NeedMore(what):
                    if self._ended:
                        raise self._closed(what)
                    if not self._read_until(deadline):
                        got = self._so_far(f"sent nothing{' more' * self._has_answered} within {seconds:g} s")
                        raise Complaint(Finding(self.sent, what, got), Verdict.TIMEOUT)

    def _closed(self, expected: str) -> Complaint:
        """The end of the connection came before what was expected: perhaps because the whole server has ended."""
        got = self._so_far("closed the connection")
        if self._last is not None and not self._last.closes and not self._buffer:
            expected = f"another answer, for the last one (status {self._last.status}) did not say Connection: close"
        if ending := self._how_it_ended():
            return Complaint(Finding(self.sent, expected, f"{got}, and the program ended: {ending}"), Verdict.CRASHED)
        return Complaint(Finding(self.sent, expected, got))

    def reply_or_end(self, method: str = "GET", timeout: float | None = None) -> HttpReply | None:
        """The next answer, or None when the server closes without one."""
        seconds = self._seconds(timeout)
        deadline = time.monotonic() + seconds
        while not self._buffer and not self._ended:
            if not self._read_until(deadline):
                got = self._so_far(f"did neither within {seconds:g} s")
                raise Complaint(Finding(self.sent, "an answer or a close", got), Verdict.TIMEOUT)
        return self.reply(method, timeout) if self._buffer else None

    def interim(self, timeout: float | None = None) -> HttpReply:
        """The next answer as it is, a 1xx one too."""
        seconds = self._seconds(timeout)
        deadline = time.monotonic() + seconds
        while not isinstance(parsed := take_reply(self._buffer, "GET", self._ended), HttpReply):
            if isinstance(parsed, Malformed) or self._ended or not self._read_until(deadline):
                return self._final("GET", deadline, seconds)
        self._take(parsed)
        return replace(parsed, sent=self.sent, witness=TRANSCRIPT.witness)

    def rest(self, timeout: float | None = None) -> bytes:
        """Everything up to the server's close (or reset). Complaint when it does not close."""
        seconds = self._seconds(timeout)
        deadline = time.monotonic() + seconds
        while not self._ended:
            if not self._read_until(deadline):
                got = self._so_far(f"left the connection open for {seconds:g} s")
                raise Complaint(Finding(self.sent, "the connection is closed", got), Verdict.TIMEOUT)
        return self._buffer

    def end(self, timeout: float | None = None) -> bytes:
        """rest(), of a client that has its answers and closes its side: no server goes on listening to it after that.

        One that says Connection: close may do so for a while (RFC 9112 section 9.6).
        """
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        return self.rest(timeout)

    def is_open(self, seconds: float) -> bool:
        """Whether the server neither sends nor closes for so long."""
        return not self._buffer and not self._ended and not self._read_until(time.monotonic() + seconds)

    @property
    def ended(self) -> bool:
        """Whether the server's close has been seen already."""
        return self._ended

    @property
    def was_reset(self) -> bool:
        """Whether the server ended in a way that can destroy its answer on the way: it left bytes of ours unread."""
        return self._reset or self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0

    def abort(self) -> None:
        """Go away with a reset, as a client does that crashes."""
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close()

    def close(self) -> None:
        """End both ways; what the server still sends is answered with a reset."""
        self._socket.close()

    def _take(self, reply: HttpReply) -> None:
        self._buffer = self._buffer[len(reply.raw) :]

    @property
    def _has_answered(self) -> bool:
        return bool(self._answers or self._buffer)

    def _so_far(self, what: str) -> str:
        """What it did, and what it had answered until then: nothing, some requests, or the beginning of an answer."""
        how = "it reset the connection" if self._reset else f"it {what}"
        number = len(self._answers)
        of = f" of {self._asked}" if self._asked is not None and self._asked > 1 and self._asked >= number else ""
        answered = f"answered {number}{of} requests" if of or number > 1 else "answered one request"
        parts = [f"{answered} ({_listed(self._answers)})"] if number else []
        if self._buffer:
            parts.append(f"sent {show_bytes(self._buffer)}")
        return f"{how}, having {' and '.join(parts) or 'answered nothing'}"

    def _write(self, data: memoryview) -> None:
        deadline = time.monotonic() + self.timeout
        while data and not self._ended:
            try:
                data = data[self._socket.send(data) :]
                continue
            except BlockingIOError:
                pass
            except OSError:  # it has closed; what it answered before may still be here to read
                self._read_for(0.2)
                self._ended = self._reset = True
                return
            left = deadline - time.monotonic()
            readable, _, _ = select.select([self._socket], [self._socket], [], max(0.0, left))
            if readable:
                self._receive()
            if left <= 0:
                return  # it does not read; whether it may is for the caller to say

    def _read_for(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._ended and self._read_until(deadline):
            pass

    def _let_it_read(self, pause: float) -> None:
        """Wait until the server has read what was sent, where the system tells: so pieces really arrive apart."""
        deadline = time.monotonic() + AT_MOST
        self._read_for(pause)
        while not self._ended and time.monotonic() < deadline:
            if not unread(self._port, self._socket.getsockname()[1]):
                return
            self._read_for(pause)

    def _read_until(self, deadline: float) -> bool:
        """Wait for bytes or the end; False when the deadline came first."""
        if time.monotonic() > deadline + OVERTIME:
            return False
        if hasattr(socket, "TCP_QUICKACK"):
            # A server that sends head and body apart would otherwise wait 40 ms for our acknowledgement.
            with contextlib.suppress(OSError):
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        readable, _, _ = select.select([self._socket], [], [], max(0.0, deadline - time.monotonic()))
        if readable:
            self._receive()
        return bool(readable)

    def _receive(self) -> None:
        try:
            data = self._socket.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            self._ended = self._reset = True
            return
        if not data:
            self._ended = True
            return
        self._buffer += data
        self._turn += data[: max(0, PIECE - len(self._turn))]
        self._turn_size += len(data)
        TRANSCRIPT.got_more(partial(show_bytes, bytes(self._turn), TURN_SHOWN, self._turn_size), self)


def _listed(statuses: list[int]) -> str:
    shown = ", ".join(map(str, statuses[:MANY_PIECES]))
    return f"status {shown}" + (" ..." if len(statuses) > MANY_PIECES else "")
