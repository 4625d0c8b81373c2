r"""Text of a submission -> text that a terminal shows and never obeys.

    "\x1b[2Jok\r" -> r"\x1b[2Jok\r"

Every string that reaches a report passes through here: nothing in it can move the cursor, change a colour, turn the
reading direction, or hide.
"""

from __future__ import annotations

import unicodedata

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# They have no width of their own and change the width of what stands before them.
_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
MAX_COMBINING = 2


def neutral(text: str, encoding: str = "utf-8") -> str:
    r"""The text with everything escaped that is not a visible character, or that `encoding` does not have.

    Controls, bidi overrides, zero-width characters, line separators, surrogates and unassigned code points become
    \xNN, \uNNNN or \UNNNNNNNN; of marks that stack on one letter the third and later ones, too.
    """
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    stacked = 0
    for char in text:
        stacked = stacked + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        shown.append(char if _is_visible(char, stacked) and _has(encoding, char) else escape(char))
    return "".join(shown)


def _is_visible(char: str, stacked: int) -> bool:
    if char.isascii():
        return char.isprintable()
    return char.isprintable() and stacked <= MAX_COMBINING and not any(ord(char) in codes for codes in _SELECTORS)


def _has(encoding: str, char: str) -> bool:
    if char.isascii():
        return True
    try:
        char.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def escape(char: str) -> str:
    r"""'\x1b' -> r'\x1b', 'é' -> r'\xe9', a surrogate -> r'\udc80'."""
    code = ord(char)
    if code < 0x100:
        return _NAMED.get(char, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def head_and_tail(text: str, lines: int, characters: int) -> list[str]:
    """The lines of `text`, its middle replaced by one line that says so, where there are too many of them.

    At most `lines` lines and about `characters` characters are kept, half of them from each end.
    """
    half = characters // 2
    if len(text) > characters:
        head, tail = text[:half].splitlines(), text[-half:].splitlines()
    else:
        head, tail = text.splitlines(), []
    if not tail and len(head) <= lines:
        return head
    if not tail:
        head, tail = head[: lines // 2], head[-(lines - lines // 2) :]
    head, tail = head[: lines // 2], tail[-(lines - lines // 2) :]
    left_out = len(text) - sum(map(len, head)) - sum(map(len, tail))
    return [*head, f"... {left_out} characters left out ...", *tail]
