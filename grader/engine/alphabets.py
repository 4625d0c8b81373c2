"""Characters that find mistakes, from many scripts and planes.

Strategies draw from these strings instead of all of Unicode: each character is here because it breaks something.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

ASCII = "".join(map(chr, range(32, 127)))
ALPHANUMERIC = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
# Two, three and four bytes in UTF-8; case pairs that change length; combining marks, right-to-left, full-width digits
# and letters, digits of other scripts, spaces that are no space, characters outside the basic plane.
BEYOND_ASCII = (
    "\u00e9\u00df\u00f1\u0130\u0131\u0141\u03a3\u03c2\u0416\u05d0\u0645\u0665\u0915\u0e01\u1e9e\u20ac\u2028\u3000\u3042\u4e2d\uac00"
    "\ufb01\uff11\uff21\ufffd\u0301\u200d\u202e\u00a0\U0001d7d9\U0001f4da\U0001f469\U00020000"
)
MARKUP = "<>&\"'`=/\\"


def words(alphabet: str = ALPHANUMERIC, min_size: int = 1, max_size: int = 12) -> SearchStrategy[str]:
    """Text of letters and digits."""
    return st.text(alphabet, min_size=min_size, max_size=max_size)


def any_text(min_size: int = 0, max_size: int = 20) -> SearchStrategy[str]:
    """Text of printable ASCII and the characters of BEYOND_ASCII; no control characters."""
    return st.text(ASCII + BEYOND_ASCII, min_size=min_size, max_size=max_size)
