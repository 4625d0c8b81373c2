"""Header fields of an answer: names in any case, repeats kept, order kept. RFC 9110 section 5."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class Headers:
    """(name, value) pairs; lookups ignore the case of names."""

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        self._fields = tuple(fields)

    def get_all(self, name: str) -> list[str]:
        """Every value of a field, in order; [] when it is absent."""
        return [value for key, value in self._fields if key.lower() == name.lower()]

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of a field, or `default`."""
        return next(iter(self.get_all(name)), default)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_all(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({list(self._fields)!r})"
