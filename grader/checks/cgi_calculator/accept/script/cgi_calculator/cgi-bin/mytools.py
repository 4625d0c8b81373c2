"""Tools for the calculator page: everything that is about text, numbers and bytes, and nothing about HTML."""

import decimal
import fractions
import os
import re
import urllib.parse

LONGEST = 100  # characters of a name or a number
HIGHEST_EXPONENT = 100
SIGNIFICANT = 30  # digits of a quotient that never ends

NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]([+-]?[0-9]+))?")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class Refusal(Exception):
    """A request that gets no result: raised with the status line and the sentence for the visitor."""


def unpack(raw):
    """Turn the bytes of a form into a list of (name, value), decoded, values without spaces around them.

    `parse_qsl` does most of it, but is too kind to strangers: it lets a lone percent sign and control characters pass.
    """
    if BROKEN_ESCAPE.search(raw):
        raise Refusal("400 Broken Escape", "What was sent has a percent sign that is not followed by two hex digits.")
    # Bytes above 127 ought to be escaped. Where they are not, do it now: then all that follows is ASCII.
    ascii_only = re.sub(rb"[\x80-\xff]", lambda found: b"%%%02X" % found[0][0], raw).decode("ascii")
    try:
        pairs = urllib.parse.parse_qsl(ascii_only, keep_blank_values=True, encoding="utf-8", errors="strict")
    except UnicodeDecodeError:
        raise Refusal("400 Not UTF-8", "What was sent is not text in UTF-8.") from None
    if any(CONTROL.search(name) or CONTROL.search(value) for name, value in pairs):
        raise Refusal("400 Control Character", "What was sent holds an invisible control character.")
    return [(name, value.strip(" ")) for name, value in pairs]


def exact(text):
    """Turn what somebody typed into a Fraction."""
    if len(text) > LONGEST:
        raise Refusal("400 Number Too Long", f"A number may have {LONGEST} characters at most.")
    found = NUMBER.fullmatch(text)
    if found is None:
        raise Refusal("400 No Number", f"I cannot read this as a number: {text}")
    if abs(int(found[1] or 0)) > HIGHEST_EXPONENT:
        raise Refusal(
            "400 Exponent Too Big",
            f"The exponent of a number must lie between -{HIGHEST_EXPONENT} and {HIGHEST_EXPONENT}.",
        )
    return fractions.Fraction(text)


def in_full(number):
    """Write a Fraction with all its digits, or, if they never end, rounded to the first 30 that count."""
    rest = number.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    # Only twos and fives in the denominator: the digits end. Ten operands of 100 characters make at most some
    # thousand of them, so with this precision the division is exact.
    context = decimal.Context(prec=20_000 if rest == 1 else SIGNIFICANT, rounding=decimal.ROUND_HALF_EVEN)
    quotient = context.divide(decimal.Decimal(number.numerator), decimal.Decimal(number.denominator))
    digits = format(quotient, "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def take(count):
    """Read exactly so many bytes from standard input; fewer only if it ends before that.

    This asks the system itself, because a Python file would read ahead into its buffer.
    """
    taken = b""
    while len(taken) < count:
        try:
            chunk = os.read(0, count - len(taken))
        except OSError:  # no standard input at all
            break
        if not chunk:
            break
        taken += chunk
    return taken
