"""How long an answer is waited for: long at first, for a busy machine; less once a program has hung a few times."""

from __future__ import annotations

from typing import Final

HANGS: Final = 3
SHORT_SECONDS: Final = 1.0


class Patience:
    """Counts the checks of one exercise that ended in a timeout."""

    def __init__(self) -> None:
        self._hangs = 0

    def hung(self) -> None:
        """One more check has waited in vain."""
        self._hangs += 1

    def limit(self, seconds: float) -> float:
        """So long may be waited, where a patient client would wait `seconds`."""
        return min(seconds, SHORT_SECONDS) if self._hangs >= HANGS else seconds


# A judge process runs the checks of one exercise, one at a time.
PATIENCE = Patience()
