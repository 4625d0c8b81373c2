"""The calculator's model code: the promises between its parts, its limits, and its manners as a process."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

MAIN = Path(__file__).parents[3] / "solutions" / "cgi_calculator" / "cgi-bin" / "cgi_calc.py"
README = Path(__file__).parents[3] / "exercises" / "cgi_calculator" / "README.md"
FORM = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": "application/x-www-form-urlencoded"}
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("cgi_calc_solution", MAIN)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


calc = load()


def run(environ: dict[str, str], body: bytes = b"", cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-I", str(MAIN)],
        env=environ,
        input=body,
        capture_output=True,
        cwd=cwd,
        timeout=30,
    )


def test_an_empty_environment_gets_the_form(tmp_path: Path) -> None:
    done = run({}, cwd=tmp_path)
    assert done.stdout.startswith(b"Status: 200 ")
    assert b'id="error"' not in done.stdout
    assert (done.stderr, done.returncode) == (b"", 0)


def test_a_failure_of_ours_shows_no_traceback_to_the_visitor(tmp_path: Path) -> None:
    broken = tmp_path / "cgi_calc.py"
    source = MAIN.read_text(encoding="utf-8")
    broken.write_text(source.replace("    return pairs\n", "    return pears\n"), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-I", str(broken)],
        env={"QUERY_STRING": "operand=1"},
        capture_output=True,
        timeout=30,
    )
    assert done.stdout.startswith(b"Status: 500 ")
    assert b"Traceback" not in done.stdout
    assert b"NameError" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a variable holds text there, not bytes")
def test_a_method_that_is_not_utf_8_is_refused_like_any_other() -> None:
    environ: Any = {b"REQUEST_METHOD": b"P\xffT"}  # the stubs for Windows know no bytes here
    done = subprocess.run([sys.executable, "-I", str(MAIN)], env=environ, capture_output=True, timeout=30)
    assert done.stdout.startswith(b"Status: 405 ")
    assert "does not answer P\ufffdT." in done.stdout.decode()
    assert (done.stderr, done.returncode) == (b"", 0)


def test_a_closed_standard_input_is_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert calc.read_body(0) == b""
    with pytest.raises(calc.HttpError) as raised:
        calc.read_body(5)
    assert raised.value.status == 400


def test_a_body_that_cannot_be_read_is_a_bad_request(tmp_path: Path) -> None:
    with (tmp_path / "for-writing-only").open("wb") as stdin:
        done = subprocess.run(
            [sys.executable, "-I", str(MAIN)],
            env={**FORM, "CONTENT_LENGTH": "5"},
            stdin=stdin,
            capture_output=True,
            timeout=30,
        )
    assert done.stdout.startswith(b"Status: 400 ")
    assert (done.stderr, done.returncode) == (b"", 0)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell that can close standard output")
@pytest.mark.parametrize("output", [">&-", pytest.param(">/dev/full", marks=FULL)])
def test_where_nobody_takes_the_reply_it_ends_without_a_word(output: str) -> None:
    command = f'"$0" -I "$1" {output}'
    done = subprocess.run(["/bin/sh", "-c", command, sys.executable, str(MAIN)], capture_output=True, timeout=30)
    assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 1)


@pytest.mark.parametrize("where", ["address", "body"])
def test_a_broken_escape_is_said_to_be_in_the_form(where: str) -> None:
    form = b"operand=%zz"
    environ = {**FORM, "CONTENT_LENGTH": str(len(form))} if where == "body" else {"QUERY_STRING": form.decode()}
    assert b"The form has a %" in run(environ, form).stdout


@pytest.mark.parametrize("character", "\x00\x08\x0b\x1f\x7f\x85\x9f\ufdd0\ufdef\ufffe\uffff\U0010ffff")
def test_what_html_must_not_hold_is_replaced(character: str) -> None:
    assert calc.escape(f"a{character}b") == "a\ufffdb"


def test_what_html_may_hold_stays() -> None:
    text = "\t\n\f\r ~\xa0\u200b\u202e\ud7ff\ue000\ufdcf\ufdf0\ufffd\U0001f600\U0010fffd"
    assert calc.escape(text) == text


def test_a_length_of_thousands_of_digits_is_too_large() -> None:
    assert run({**FORM, "CONTENT_LENGTH": "9" * 5000}).stdout.startswith(b"Status: 413 ")
    assert run({**FORM, "CONTENT_LENGTH": "0" * 5000}).stdout.startswith(b"Status: 200 ")


def test_the_longest_quotient_is_still_exact() -> None:
    """EXACT_DIGITS covers more than the limits allow: divisors that are powers of two, scaled up and down."""
    power = 2**332
    assert len(str(power)) == calc.MAX_OPERAND
    divisor = calc.parse_number(str(power))
    tiny = calc.parse_number("0." + "0" * 97 + "1")
    for other in (divisor, divisor * Fraction(10) ** 100, tiny * Fraction(1, 10**100)):
        value = calc.calculate("div", [calc.parse_number("9" * 100), *[other] * 9])
        assert Fraction(calc.format_number(value)) == value


def test_a_product_at_every_limit_is_exact() -> None:
    operand = calc.parse_number("9" * 96 + "e100")
    product = calc.calculate("mul", [operand] * 10)
    assert calc.format_number(product) == str((10**96 - 1) ** 10) + "0" * 1000


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(0), "0"),
        (Fraction(-5, 2), "-2.5"),
        (Fraction(2, 3), "0.666666666666666666666666666667"),
        (Fraction(2000, 3), "666.666666666666666666666666667"),
        (Fraction(11, 7), "1.57142857142857142857142857143"),
        (Fraction(10**50, 3), "3" * 30 + "0" * 20),
        (Fraction(1, 3 * 10**50), "0." + "0" * 50 + "3" * 30),
        (Fraction(10**40, 4), "25" + "0" * 38),
        (Fraction(1, 512), "0.001953125"),
        # Nines that round up into one digit more: 1 - 10**-31 / 3.
        (1 - Fraction(1, 3 * 10**31), "1"),
    ],
)
def test_results_are_written_as_the_readme_says(value: Fraction, text: str) -> None:
    assert calc.format_number(value) == text


@pytest.mark.parametrize(
    "example",
    [
        "0.001953125",
        "0.333333333333333333333333333333",
        "666.666666666666666666666666667",
        "1.57142857142857142857142857143",
    ],
)
def test_the_examples_of_the_readme_are_right(example: str) -> None:
    assert example in README.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("escape('<b> & \"c\"')", "&lt;b&gt; &amp; &quot;c&quot;"),
        ('percent_decode(b"J%C3%B6rg+%2b+1")', "J\u00f6rg + 1"),
        ('split_pairs(b"a=1&a=2=3&b&&c=")', [("a", "1"), ("a", "2=3"), ("b", ""), ("c", "")]),
        ('parse_number("-0.10")', Fraction(-1, 10)),
        ('parse_number("2.5e3")', Fraction(2500)),
        ('calculate("sub", [Fraction(10), Fraction(2), Fraction(3)])', Fraction(5)),
        ('body_length("33")', 33),
        ('is_form("Application/X-WWW-Form-URLencoded; charset=UTF-8")', True),
    ],
)
def test_the_examples_of_the_docstrings_are_right(expression: str, value: object) -> None:
    assert expression.replace("\u00f6", "ö") in MAIN.read_text(encoding="utf-8")
    assert eval(expression, vars(calc)) == value  # noqa: S307  (the expressions are those above)


def test_the_start_stays_cheap() -> None:
    """Every request pays for every import; these are the dear ones that would be easy to reach for."""
    code = f"import sys; exec(open({str(MAIN)!r}).read(), {{'__name__': 'calc'}}); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, timeout=30)
    modules = set(loaded.stdout.decode().split())
    assert not modules & {"html", "urllib.parse", "dataclasses", "inspect", "http", "traceback", "typing"}
