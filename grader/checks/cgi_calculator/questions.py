"""What the calculator is asked, built from parts, so that the right answer is known without a second calculator.

pieces()       text and one of its many encodings        numerals()   a number and its value
calculations() an operation, operands and the result      query(...)   fields -> a query string
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from grader.engine.alphabets import ALPHANUMERIC, ASCII, BEYOND_ASCII, any_text

UNRESERVED = ALPHANUMERIC + "-._~"
# Space at the end of a value is the business of a rule of its own, and what counts as space is not graded.
ODD_SPACES = "\u2028\u3000\u00a0"

SIGNIFICANT = 30


def escape_byte(byte: int) -> str:
    """0xE9 -> "%E9"."""
    return f"%{byte:02X}"


def encode(text: str) -> str:
    """One way to put a text into a query string: what is not a plain letter or digit becomes an escape."""
    return "".join(chr(byte) if chr(byte) in UNRESERVED else escape_byte(byte) for byte in text.encode("utf-8"))


def query(operation: str, *operands: str, user: str = "") -> str:
    """The query string of a calculation: query("add", "1", "2") -> "operand=1&operand=2&operation=add"."""
    pairs = [("user", user)] if user else []
    pairs += [("operand", operand) for operand in operands] + [("operation", operation)]
    return "&".join(f"{name}={encode(value)}" for name, value in pairs)


def form(operation: str, *operands: str, user: str = "") -> bytes:
    """The same as the body of a POST."""
    return query(operation, *operands, user=user).encode("ascii")


# --- texts and their encodings -------------------------------------------------------------------

PLAIN, UPPER, LOWER, MIXED = STYLES = "0123"  # the first is the simplest: a failure shrinks to it
SPECIAL = " +%&=;"


def _render(character: str, style: str) -> bytes:
    if character == " " and style in (PLAIN, LOWER):
        return b"+"
    if character in UNRESERVED and style == PLAIN:
        return character.encode("ascii")
    escapes = [escape_byte(byte) for byte in character.encode("utf-8")]
    if style == LOWER:
        escapes = [escape.lower() for escape in escapes]
    elif style == MIXED:
        escapes = [escape[:2] + escape[2:].lower() for escape in escapes]
    return "".join(escapes).encode("ascii")


@dataclass(frozen=True, slots=True)
class Piece:
    """A text and the bytes that stand for it in a query string."""

    text: str
    raw: bytes


def pieces(min_size: int = 0, max_size: int = 10) -> SearchStrategy[Piece]:
    """Texts of many scripts, each character encoded in a way of its own."""

    def build(text: str, styles: str) -> Piece:
        return Piece(text, b"".join(map(_render, text, styles)))

    # Two texts are drawn sooner than a list of characters, each with its style.
    # The last two: escapes that appear once a text is decoded, and characters that some would take for others.
    alphabets = (ASCII + BEYOND_ASCII, SPECIAL + "2aF", SPECIAL + "aZ\u00e9\u0301\u20ac\ufb01")
    texts = st.one_of(*(st.text(alphabet, min_size=min_size, max_size=max_size) for alphabet in alphabets))
    return st.builds(build, texts, st.text(STYLES, min_size=max_size, max_size=max_size))


def typed_texts(max_size: int = 12) -> SearchStrategy[str]:
    """What a person may type into a box: any script, no odd spaces, no space at the ends."""
    return any_text(max_size=max_size).map(lambda text: "".join(c for c in text if c not in ODD_SPACES).strip(" "))


# --- numbers ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Numeral:
    """A number as typed, and its value."""

    text: str
    value: Fraction


_SHAPES = ("integer", "decimal", "no integer part", "no decimals", "exponent")
_DIGITS = "0123456789"


def numerals(
    max_digits: int = 30, max_exponent: int = 100, signs: tuple[str, ...] = ("", "-", "+")
) -> SearchStrategy[Numeral]:
    """Numbers in every spelling that the rules allow."""

    def build(shape: str, sign: str, whole: str, decimals: str, mark: str, exponent: int) -> Numeral:
        if shape in ("integer", "no decimals"):
            decimals = ""
        if shape == "no integer part":
            whole = ""
        point = "" if shape == "integer" else "."
        scale = exponent if shape == "exponent" else 0
        value = Fraction(int(whole + decimals)) * Fraction(10) ** (scale - len(decimals))
        mark = mark.rstrip("+") if exponent < 0 else mark
        tail = f"{mark}{exponent}" if shape == "exponent" else ""
        return Numeral(f"{sign}{whole}{point}{decimals}{tail}", -value if sign == "-" else value)

    digits = st.text(_DIGITS, min_size=1, max_size=max_digits)
    return st.builds(
        build,
        st.sampled_from(_SHAPES),
        st.sampled_from(signs),
        digits,
        digits,
        st.sampled_from(("e", "E", "e+")),
        st.integers(-max_exponent, max_exponent),
    )


def decimal_text(value: Fraction) -> str:
    """A result as the rules write it, from whole-number arithmetic alone."""
    numerator, denominator, places = abs(value.numerator), value.denominator, 0
    rest, twos, fives = denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest == 1:
        places = max(twos, fives)
    else:
        # The place of the first digit: 10**(first-1) <= value < 10**first.
        first = len(str(numerator)) - len(str(denominator))
        first += 1 if Fraction(numerator, denominator) >= Fraction(10) ** first else 0
        places = SIGNIFICANT - first
    # Nothing that is rounded here lies half-way: its digits never end.
    digits = str(round(abs(value) * Fraction(10) ** places))
    if places <= 0:
        text = digits + "0" * -places
    else:
        digits = digits.rjust(places + 1, "0")
        text = f"{digits[:-places]}.{digits[-places:]}".rstrip("0").rstrip(".")
    return "-" + text if value < 0 else text


# --- calculations ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Calculation:
    """A question and its answer."""

    operation: str
    operands: tuple[Numeral, ...]
    result: Fraction


def solve(operation: str, values: list[Fraction]) -> Fraction:
    """The first value, then the operation with each of the others."""
    result = values[0]
    for value in values[1:]:
        match operation:
            case "add":
                result = result + value
            case "sub":
                result = result - value
            case "mul":
                result = result * value
            case _:
                result = result / value
    return result


def calculations(max_operands: int = 10, max_digits: int = 15, max_exponent: int = 20) -> SearchStrategy[Calculation]:
    """Two or more operands; no division by zero."""
    operand = numerals(max_digits, max_exponent)

    def build(operation: str, operands: list[Numeral]) -> Calculation:
        if operation == "div":
            one = Numeral("1", Fraction(1))
            operands = [operands[0], *(item if item.value else one for item in operands[1:])]
        return Calculation(operation, tuple(operands), solve(operation, [item.value for item in operands]))

    return st.builds(
        build,
        st.sampled_from(("add", "sub", "mul", "div")),
        st.lists(operand, min_size=2, max_size=max_operands),
    )
