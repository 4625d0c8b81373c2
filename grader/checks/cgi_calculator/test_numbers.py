"""Numbers as typed, and results as written."""

from __future__ import annotations

import re
from fractions import Fraction

from hypothesis import strategies as st

from grader.checks.cgi_calculator.questions import Numeral, decimal_text, numerals, query
from grader.engine import check, expect, fuzz
from grader.target.cgi import CgiRequest, CgiTarget
from grader.target.function import Module

NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE]([+-]?[0-9]+))?")
WORDS = ("seven", "1,5", "--1", "+-1", ".", "e5", "1e", "1.2.3", "5-", "1 2", "-", "1e5.0", "1e+-5", "1e--5", "\u22125")
NOT_FINITE = ("nan", "NaN", "inf", "-Infinity", "sNaN")
PYTHON = ("1_000", "0x10", "1/2", "0b1", "1j", "2**3", "(1)", "1e1_0")
OTHER_DIGITS = ("\uff17", "1\u0665", "\u00b2", "\U0001d7d9", "1e\uff11")
TOO_LONG = ("1" * 101, "-" + "1" * 100)  # the sign is one of its characters
TOO_FAR = ("1e101", "1e-101", "0e999", "1e999999999999")


def refused(cgi: CgiTarget, texts: tuple[str, ...]) -> None:
    """Each of the texts, as the second of two operands, gets status 400."""
    for reply in cgi.run_all([CgiRequest(query=query("add", "1", text)) for text in texts]):
        expect(reply).status(400)


@check("numbers/read", points=2, source="kit rule")
@fuzz(number=numerals())
def test_numbers_are_read_exactly(module: Module, number: Numeral) -> None:
    """Every spelling of a number is read exactly, as a Fraction.

    README, "Numbers": no float on the way, which would keep about 17 digits and no tenth exactly.
    """
    expect(module.call("parse_number", number.text)).returns(number.value)


@check("numbers/refuse", points=1, source="kit rule")
def test_what_is_no_number_is_refused(module: Module) -> None:
    """What is no number, is too long or has too large an exponent raises HttpError 400.

    README, "Numbers": int(), float() and Fraction() know more spellings, and 1e999999999 fills the memory.
    """
    expect(module.call("parse_number", "-2.5")).returns(Fraction(-5, 2))
    for text in (*WORDS, *NOT_FINITE, *PYTHON, *OTHER_DIGITS, *TOO_LONG, *TOO_FAR):
        expect(module.call("parse_number", text)).raises("HttpError", status=400)


@check("numbers/any-text", points=1, source="kit rule")
@fuzz(
    text=st.text("0123456789" * 2 + "+-..eE_,x/naif \uff17\u0663\u00bd", max_size=8).map(lambda text: text.strip(" "))
)
def test_any_text_is_a_number_or_refused(module: Module, text: str) -> None:
    """Any text is a number by the rules, or raises HttpError 400.

    README, "Numbers": sign, digits with at most one point, exponent; everything else is refused.
    """
    called = module.call("parse_number", text)
    match = NUMBER.fullmatch(text)
    if match and abs(int(match[4] or "0")) <= 100:
        expect(called).returns(Fraction(text))
    else:
        expect(called).raises("HttpError", status=400)


@check("numbers/write", points=1, source="kit rule")
@fuzz(
    sign=st.sampled_from(["", "-"]),
    whole=st.integers(0, 10**40) | st.integers(0, 20),
    zeros=st.integers(0, 12),
    decimals=st.text("0123456789", max_size=40).map(lambda text: text.rstrip("0")),
)
def test_results_are_written_in_full(module: Module, sign: str, whole: int, zeros: int, decimals: str) -> None:
    """A result whose digits end is written in full, without an exponent or needless zeros.

    README, "Arithmetic": exact and in full; the digits end when the reduced divisor has no prime factors but 2 and 5.
    """
    text = f"{whole}.{'0' * zeros}{decimals}" if decimals else str(whole)
    value = Fraction(text)
    if value and sign:
        text, value = "-" + text, -value
    expect(module.call("format_number", value)).returns(text)


@check("numbers/round", points=1, source="kit rule")
@fuzz(
    share=0.6,
    prime=st.sampled_from([3, 7, 11, 13, 17, 19, 9973]),
    whole=st.integers(0, 10**12),
    rest=st.integers(1, 10**6),
    scale=st.integers(-40, 40),
    sign=st.sampled_from([1, -1]),
)
def test_endless_results_are_rounded(module: Module, prime: int, whole: int, rest: int, scale: int, sign: int) -> None:
    """A result whose digits never end is rounded to the nearest number with 30 significant digits.

    README, "Arithmetic": they count from the first that is not 0; no zeros at the end that say nothing (2.50 is 2.5).
    """
    value = sign * (whole + Fraction(1 + rest % (prime - 1), prime)) * Fraction(10) ** scale
    expect(module.call("format_number", value)).returns(decimal_text(value))


@check("numbers/words", points=1, source="kit rule", needs=("query/accepted",))
def test_words_are_no_numbers(cgi: CgiTarget) -> None:
    """An operand that is no number gets status 400.

    README, "Numbers": sign, digits with at most one point, exponent; everything else is refused.
    """
    refused(cgi, ("1,5", "1e+-5", ".", "1.2.3", "1 2"))


@check("numbers/not-finite", points=1, source="kit rule", needs=("query/accepted",))
def test_nan_and_infinity_are_no_numbers(cgi: CgiTarget) -> None:
    """nan and inf are no numbers: status 400.

    README, "Numbers": float() and Decimal() take them, but nobody can calculate with them.
    """
    refused(cgi, ("nan", "-Infinity"))


@check("numbers/python", points=1, source="kit rule", needs=("query/accepted",))
def test_python_spellings_are_no_numbers(cgi: CgiTarget) -> None:
    """Spellings that Python knows and people do not are no numbers: status 400.

    README, "Numbers": underscores, 0x and fractions are notations of programs, not of people who calculate.
    """
    refused(cgi, ("1_000", "1e1_0", "1/2"))


@check("numbers/other-digits", points=1, source="kit rule", needs=("query/accepted",))
def test_digits_are_ascii(cgi: CgiTarget) -> None:
    """Full-width digits and those of other scripts are no numbers: status 400. Nor is what begins with U+2212.

    README, "Numbers": digits are the ten ASCII digits only, also those of the exponent; the signs are + and -.
    """
    refused(cgi, ("\uff17", "\u22125", "1e\uff15"))


@check("numbers/limits", points=2, source="kit rule", needs=("query/accepted",))
def test_numbers_have_limits(cgi: CgiTarget) -> None:
    """An operand of more than 100 characters, or an exponent beyond 100, gets status 400.

    README, "Numbers": limits keep a stranger from filling the memory with one short request.
    """
    refused(cgi, (TOO_LONG[1], "1e101", "1e-101", "1e999999999999"))
