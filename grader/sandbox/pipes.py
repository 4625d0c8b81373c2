"""Reader threads for a child's pipes. Threads, because `select` knows no pipes on Windows.

Both always keep reading, so a child never blocks on a full pipe, and both keep a bounded amount.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable

CHUNK = 1 << 16


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
            return bytes(self._head) + b"\n[... %d bytes truncated ...]\n" % (self.total - kept) + bytes(self._tail)


class Lines:
    """Reads lines from a descriptor into a queue. A line longer than `limit` bytes ends the stream."""

    def __init__(self, descriptor: int, limit: int) -> None:
        self._descriptor, self._limit = descriptor, limit
        self._queue: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        rest = b""
        while chunk := _read_some(self._descriptor):
            *lines, rest = (rest + chunk).split(b"\n") if b"\n" in chunk else (rest + chunk,)
            for line in lines:
                self._queue.put(line)
            if len(rest) > self._limit:
                break
        self._queue.put(None)
        os.close(self._descriptor)

    def next(self, deadline: float) -> bytes | None:
        """The next line, or None at the end of the stream. Raises TimeoutError at the deadline (time.monotonic)."""
        try:
            return self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise TimeoutError from None


def _read_some(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, CHUNK)
    except OSError:  # the other end is gone in a way that is no end of file (Windows: ERROR_BROKEN_PIPE)
        return b""
