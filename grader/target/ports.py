"""A TCP port of this machine for a server to listen on. Whoever is faster may take it first."""

from __future__ import annotations

import socket
from typing import Final

LOOPBACK: Final = "127.0.0.1"
# In lower case: Linux and macOS say it in words, Windows with a number (in use, or reserved).
_TAKEN: Final = ("address already in use", "address in use", "10048", "10013")


def free_port() -> int:
    """A port that is free now. Another program may take it before it is used."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def says_taken(errors: str) -> bool:
    """Whether a server's last words are that somebody else has its port."""
    return any(words in errors.lower() for words in _TAKEN)
