"""Readers of a child's pipes. All keep a bounded amount, and none waits beyond its deadline.

Drain and Lines read in a thread and never stop reading, so a child never blocks on a full pipe. Replies reads when it
is asked to, which costs half as much: for a child that speaks when it is spoken to.
"""

from __future__ import annotations

import os
import queue
import select
import sys
import threading
import time
from collections.abc import Callable

CHUNK = 1 << 16
_LEFT_OUT = b"\n[... %d bytes truncated ...]\n"


class Drain:
    """Reads a descriptor to its end; keeps the first `head` bytes and the last `tail` bytes, and counts all.

    `watch` is given every piece as it comes, from the reading thread.
    """

    def __init__(self, descriptor: int, head: int, tail: int = 0, watch: Callable[[bytes], None] | None = None) -> None:
        self.total = 0
        self._watch = watch
        self._descriptor, self._head_size, self._tail_size = descriptor, head, tail
        self._head, self._tail = bytearray(), bytearray()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while chunk := _read_some(self._descriptor):
            with self._lock:
                self.total += len(chunk)
                room = self._head_size - len(self._head)
                self._head += chunk[:room]
                if self._tail_size:
                    self._tail += chunk[max(room, 0) :]
                    del self._tail[: -self._tail_size]
            if self._watch is not None:
                self._watch(chunk)
        os.close(self._descriptor)

    def ended(self, deadline: float) -> bool:
        """Wait until the end of the stream; False when the deadline (time.monotonic) came first."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return not self._thread.is_alive()

    @property
    def truncated(self) -> bool:
        return self.total > len(self._head) + len(self._tail)

    @property
    def data(self) -> bytes:
        """What was kept, with a mark where something was left out."""
        with self._lock:
            kept = len(self._head) + len(self._tail)
            if self.total <= kept or not self._tail_size:
                return bytes(self._head + self._tail)
            return bytes(self._head) + _LEFT_OUT % (self.total - kept) + bytes(self._tail)

    def since(self, place: int) -> bytes:
        """What came after the first `place` bytes, with a mark where something was left out."""
        with self._lock:
            tail_begins = self.total - len(self._tail)
            missing = tail_begins - max(place, len(self._head))
            head = bytes(self._head[place:]) + (_LEFT_OUT % missing if missing > 0 else b"")
            return head + bytes(self._tail[max(0, place - tail_begins) :])


class Lines:
    """Reads lines from a descriptor into a queue. A line longer than `limit` bytes ends the stream.

    At most `limit` bytes wait in the queue; while it is full, further lines are lost.
    """

    def __init__(self, descriptor: int, limit: int) -> None:
        self._descriptor, self._limit = descriptor, limit
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._put = self._taken = 0  # bytes; each has one writer, so neither needs a lock
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        rest = b""
        while chunk := _read_some(self._descriptor):
            *lines, rest = (rest + chunk).split(b"\n") if b"\n" in chunk else (rest + chunk,)
            for line in lines:
                if self._put - self._taken <= self._limit:
                    self._put += len(line) + 1
                    self._queue.put(line)
            if len(rest) > self._limit:
                break
        self._queue.put(None)
        os.close(self._descriptor)

    def next(self, deadline: float) -> bytes | None:
        """The next line, or None at the end of the stream. Raises TimeoutError at the deadline (time.monotonic)."""
        try:
            line = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise TimeoutError from None
        self._taken += 0 if line is None else len(line) + 1
        return line

    def close(self) -> None:
        """Nothing to do: the reading thread ends with the stream."""


class Replies:
    """The same lines, read by whoever asks for one. Not on Windows, where pipes cannot be waited for."""

    def __init__(self, descriptor: int, limit: int) -> None:
        self._descriptor, self._limit = descriptor, limit
        self._read = bytearray()
        self._open = True

    def next(self, deadline: float) -> bytes | None:
        """The next line, or None at the end of the stream. Raises TimeoutError at the deadline (time.monotonic)."""
        searched = 0
        while (end := self._read.find(b"\n", searched)) < 0:
            searched = len(self._read)
            chunk = self._receive(deadline) if searched <= self._limit else b""
            if not chunk:
                self.close()
                return None
            self._read += chunk
        line = bytes(self._read[:end])
        del self._read[: end + 1]
        return line

    def _receive(self, deadline: float) -> bytes:
        if not self._open or sys.platform == "win32":
            return b""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
        return _read_some(self._descriptor)

    def close(self) -> None:
        """Give the descriptor back. Safe to call twice."""
        if self._open:
            self._open = False
            os.close(self._descriptor)


def writable(descriptor: int, deadline: float) -> bool:
    """Wait until something can be written; False at the deadline (time.monotonic). Not for Windows."""
    if sys.platform == "win32":
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))


def replies(descriptor: int, limit: int) -> Lines | Replies:
    """The cheapest reader of lines that this system has, for a child that speaks when it is spoken to."""
    return Lines(descriptor, limit) if sys.platform == "win32" else Replies(descriptor, limit)


def _read_some(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, CHUNK)
    except OSError:  # the other end is gone in a way that is no end of file (Windows: ERROR_BROKEN_PIPE)
        return b""
