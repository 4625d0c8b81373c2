"""The calculator's model code: the promises between its parts, its limits, and its manners as a process."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import pytest

MAIN = Path(__file__).parents[3] / "solutions" / "cgi_calculator" / "cgi-bin" / "cgi_calc.py"
README = Path(__file__).parents[3] / "exercises" / "cgi_calculator" / "README.md"
FORM = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": "application/x-www-form-urlencoded"}


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
