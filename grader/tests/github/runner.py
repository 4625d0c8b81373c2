"""What GitHub's runner makes of a log: a small model of its rules, to hold our output against.

Written from the documentation of workflow commands and the behaviour of actions/runner: a line is a command when it
begins with "::" after white space, or has "##[" anywhere; while commands are stopped only the token is obeyed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

KINDS = ("error", "warning", "notice")
KNOWN = (*KINDS, "debug", "group", "endgroup", "add-mask", "stop-commands", "remove-matcher", "add-matcher", "echo")
OLD = ("set-env", "set-output", "save-state", "add-path")
MAX_OF_A_KIND = 10
MAX_SUMMARY = 1 << 20

# What .NET's TrimStart removes and what ends a line for the runner.
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Command:
    """A command that the runner obeys; values are unescaped."""

    name: str
    properties: dict[str, str]
    data: str


@dataclass
class Log:
    """Reads lines as the runner does; `commands` are those it obeys, in order."""

    commands: list[Command] = field(default_factory=list)
    token: str | None = None

    def read(self, text: str) -> list[Command]:
        """Take more output; returns the commands in it."""
        before = len(self.commands)
        for line in _LINE_END.split(text):
            self._line(line)
        return self.commands[before:]

    def _line(self, line: str) -> None:
        known = {*KNOWN, *OLD, *([self.token] if self.token else [])}
        found = _new_style(line, known) or _old_style(line, known)
        if found is None:
            return
        if self.token is not None:
            if found.name.lower() == self.token.lower():
                self.token = None
            return
        if found.name == "stop-commands":
            self.token = found.data
            return
        self.commands.append(found)

    def annotations(self) -> list[Command]:
        """Errors, warnings and notices."""
        return [command for command in self.commands if command.name in KINDS]


def _new_style(line: str, known: set[str]) -> Command | None:
    line = line.lstrip()
    if not line.startswith("::") or "::" not in line[2:]:
        return None
    head, _, data = line[2:].partition("::")
    name, _, properties = head.partition(" ")
    if name.lower() not in known:
        return None
    pairs = [pair.partition("=") for pair in properties.strip().split(",") if pair]
    return Command(
        name.lower(), {key: _unescape(value, ("%3A", ":"), ("%2C", ",")) for key, _, value in pairs}, _unescape(data)
    )


def _old_style(line: str, known: set[str]) -> Command | None:
    found = re.search(r"##\[([^\]]*)\]", line)
    if found is None:
        return None
    name = found[1].partition(" ")[0].lower()
    return Command(name, {}, line[found.end() :]) if name in known else None


def _unescape(text: str, *more: tuple[str, str]) -> str:
    for escaped, char in (("%0D", "\r"), ("%0A", "\n"), *more, ("%25", "%")):
        text = text.replace(escaped, char)
    return text
