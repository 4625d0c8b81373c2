"""The calculator calculates."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import strategies as st

from grader.checks.cgi_calculator.claims import expect_error, expect_kept, expect_result
from grader.checks.cgi_calculator.questions import Calculation, calculations, decimal_text, query
from grader.engine import check, expect, fuzz
from grader.target.cgi import CgiReply, CgiRequest, CgiTarget
from grader.target.function import Module

NINES = "9" * 100
BIG_POWER = f"{2**318}e100"
# Divided by 7 and by LONG it lies so close below the middle between two numbers of 30 digits that 100 digits do not
# show on which side: it is HALF, a 4, and more than ninety times a 9.
NEAR = "511822800707883770051949534737683" + "3" * 60 + "329064"
LONG = "7" * 95 + "129"
HALF = "0.940082695177745700095417512783"


def answers(cgi: CgiTarget, questions: dict[str, str]) -> list[CgiReply]:
    """Send each query string and expect its result."""
    replies = cgi.run_all([CgiRequest(query=question) for question in questions])
    for reply, result in zip(replies, questions.values(), strict=True):
        expect_result(reply, result)
    return replies


def refused(cgi: CgiTarget, *questions: str) -> list[CgiReply]:
    """Send each query string and expect status 400."""
    replies = cgi.run_all([CgiRequest(query=question) for question in questions])
    for reply in replies:
        expect(reply).status(400)
    return replies


@check("arithmetic/calculate", points=2, source="kit rule")
@fuzz(question=calculations())
def test_calculations_are_exact(module: Module, question: Calculation) -> None:
    """calculate() works from left to right, exactly.

    README, "Arithmetic": the first operand, then the operation with each of the others; nothing is rounded on the way.
    """
    called = module.call("calculate", question.operation, [operand.value for operand in question.operands])
    expect(called).returns(question.result)


@check("arithmetic/refuse", points=1, source="kit rule")
def test_what_cannot_be_calculated_is_refused(module: Module) -> None:
    """An unknown operation, a wrong count of operands and division by zero raise HttpError 400.

    README, "Arithmetic": what cannot be calculated is a mistake of the request, and its sender is told so.
    """
    one, two = Fraction(1), Fraction(2)
    expect(module.call("calculate", "add", [one, two])).returns(Fraction(3))
    for operation in ("", "ADD", "power", "add ", "*", "pow", "truediv", "__init__"):
        expect(module.call("calculate", operation, [one, two])).raises("HttpError", status=400)
    for operands in ([], [one], [two] * 11):
        expect(module.call("calculate", "mul", operands)).raises("HttpError", status=400)
    for operands in ([one, Fraction(0)], [Fraction(0), two, Fraction(0)]):
        expect(module.call("calculate", "div", operands)).raises("HttpError", status=400)


@check("arithmetic/add", points=2, source="kit rule")
def test_addition(cgi: CgiTarget) -> None:
    """add: the sum is in the element with id="result".

    README, "The page": the result stands alone in its element, so that programs can find it, too.
    """
    answers(cgi, {query("add", "1", "2", "3", "4", user="jdoe"): "10"})


@check("arithmetic/sub", points=1, source="kit rule")
def test_subtraction(cgi: CgiTarget) -> None:
    """sub: the others are taken from the first operand.

    README, "Arithmetic": from left to right, so 7, 2, 10 is (7 - 2) - 10.
    """
    answers(cgi, {query("sub", "7", "2", "10"): "-5"})


@check("arithmetic/mul", points=1, source="kit rule")
def test_multiplication(cgi: CgiTarget) -> None:
    """mul: all operands are multiplied.

    README, "Arithmetic": from left to right, every operand counts.
    """
    answers(cgi, {query("mul", "2", "-3", "7"): "-42"})


@check("arithmetic/div", points=1, source="kit rule")
def test_division(cgi: CgiTarget) -> None:
    """div: the first operand is divided by the others.

    README, "Arithmetic": from left to right, so 10, 4, 0.25 is (10 / 4) / 0.25.
    """
    answers(cgi, {query("div", "10", "4", "0.25"): "10", query("div", "0", "5"): "0"})


@check("arithmetic/decimals", points=1, source="kit rule")
def test_decimals_are_exact(cgi: CgiTarget) -> None:
    """0.1 + 0.2 is 0.3.

    README, "Arithmetic": results are exact. A float has no exact tenth, so its 0.1 + 0.2 is 0.30000000000000004.
    """
    answers(cgi, {query("add", "0.1", "0.2"): "0.3"})


@check("arithmetic/big", points=1, source="kit rule")
def test_big_numbers_are_exact(cgi: CgiTarget) -> None:
    """Numbers of a hundred digits lose none of them.

    README, "Arithmetic": results are exact and written in full, whatever their length.
    """
    square = "9" * 99 + "8" + "0" * 99 + "1"
    answers(
        cgi,
        {
            query("mul", NINES, NINES): square,
            query("add", "9" * 95 + "e100", f"0.{'0' * 92}1e-100"): f"{'9' * 95}{'0' * 100}.{'0' * 192}1",
        },
    )


@check("arithmetic/ends", points=1, source="kit rule")
def test_quotients_that_end_are_exact(cgi: CgiTarget) -> None:
    """A quotient that ends is exact, however long it is.

    README, "Arithmetic": the digits end when the reduced divisor has no prime factors but 2 and 5.
    """
    questions = {
        query("div", "1", "2", *["2"] * 8): "0.001953125",
        query("div", "1e40", "4"): "25" + "0" * 38,
        query("div", "-1e-100", *[BIG_POWER] * 9): "-0." + str(5 ** (9 * 318)).rjust(9 * 318 + 1000, "0"),
    }
    answers(cgi, questions)


@check("arithmetic/endless", points=1, source="kit rule")
def test_endless_quotients_are_rounded(cgi: CgiTarget) -> None:
    """A quotient that never ends is rounded to 30 significant digits.

    README, "Arithmetic": rounded once, at the end, to the nearest; significant digits begin at the first that is not 0.
    """
    questions = {
        query("div", "-1", "3"): "-0." + "3" * 30,
        query("div", "2e40", "-3"): "-" + "6" * 29 + "7" + "0" * 10,
        query("div", "2" + "9" * 40, "3e40"): "1",
        query("div", NEAR, "7", LONG): HALF,
    }
    answers(cgi, questions)


@check("arithmetic/plain", points=2, source="kit rule")
def test_results_are_plain(cgi: CgiTarget) -> None:
    """Results have no exponent, no needless zeros or point, and no minus sign at zero.

    README, "Arithmetic": results are written as people write numbers; Python writes some Decimals as 1E+9 or 3.00.
    """
    questions = {
        query("add", "2.50", "0.50"): "3",
        query("mul", "-1", "0"): "0",
        query("sub", "1e-9", "2e-9"): "-0.000000001",
        query("mul", "1e6", "1e3"): "1000000000",
    }
    answers(cgi, questions)


@check("arithmetic/spellings", points=1, source="kit rule")
def test_numbers_may_be_spelled_in_many_ways(cgi: CgiTarget) -> None:
    """.5 and 5. and +1 and 1.5E-3 are numbers; so is what lies just at the limits.

    README, "Numbers": sign, digits with at most one point, exponent to 100, 100 characters without spaces around them.
    """
    questions = {
        query("add", ".5", "5.", "+1", "-.5"): "6",
        query("mul", "1.5E-3", "1.e+3"): "1.5",
        query("add", "  " + "0" * 99 + "1 ", "1.5e-0100"): "1." + "0" * 99 + "15",
    }
    answers(cgi, questions)


@check("arithmetic/skipped", points=1, source="kit rule")
def test_blank_operands_are_skipped(cgi: CgiTarget) -> None:
    """Blank operands are skipped, spaces around numbers dropped, and fields may come in any order.

    README, "The query string": a browser sends every input of the form, also those that nobody filled in.
    """
    answers(cgi, {"operand=&operation=sub&operand=+8+&operand=++&user=&operand=2&operand=": "6"})


@check("arithmetic/keeps", points=2, source="kit rule")
def test_the_form_keeps_what_was_typed(cgi: CgiTarget) -> None:
    """Beside the result the form keeps the name, the operands in order, and the operation.

    README, "The page": who wants to change one number need not type the others again.
    """
    expect_kept(cgi.get(query("mul", "+3e0", "1.50", "02", user="Ann")), "Ann", ["+3e0", "1.50", "02"], "mul")


@check("arithmetic/operation", points=1, source="kit rule", needs=("query/accepted",))
def test_an_unknown_operation_is_refused(cgi: CgiTarget) -> None:
    """An operation that is unknown, missing or there twice gets status 400.

    README, "Arithmetic": add, sub, mul, div are spelled so; nothing is assumed for a missing one; twice is twice.
    """
    twice = query("add", "2", "3") + "&operation=add"
    # Whatever the program is written in, its objects have an __init__.
    refused(cgi, query("ADD", "2", "3"), "operand=2&operand=3", twice, query("__init__", "2", "3"))


@check("arithmetic/count", points=2, source="kit rule")
def test_two_to_ten_operands(cgi: CgiTarget) -> None:
    """Two to ten operands are fine; fewer or more get status 400.

    README, "Arithmetic": two to ten, blank ones not counted.
    """
    answers(cgi, {query("add", "", *["1"] * 10, " "): "10"})
    refused(cgi, query("add", *["1"] * 11), query("add"), "operand=5&operand=&operation=mul")


@check("arithmetic/zero", points=1, source="kit rule", needs=("query/accepted",))
def test_division_by_zero_is_refused(cgi: CgiTarget) -> None:
    """Division by zero gets status 400.

    README, "Arithmetic": a zero may be written 0, 0.0 or -0e5, and stand at any place but the first.
    """
    refused(cgi, query("div", "0", "0.0"), query("div", "8", "2", "-0e5"))


@check("arithmetic/message", points=2, source="kit rule", needs=("query/accepted",))
def test_a_mistake_is_explained(cgi: CgiTarget) -> None:
    """Each mistake has a message of its own in the element with id="error" and role="alert", and no result.

    README, "The page": people read what to change, and a screen reader speaks what has role="alert".
    """
    mistakes = (query("div", "1", "0"), query("power", "1", "2"), query("add", "1"), query("add", "1", "--1"))
    messages: dict[str, str] = {}
    for reply in refused(cgi, *mistakes):
        message = expect_error(reply)
        same = messages.setdefault(message, reply.sent)
        expect(reply).that(same == reply.sent, expected=f"another message than that for {same}", got=repr(message))


@check("arithmetic/mended", points=1, source="kit rule")
def test_a_mistake_can_be_mended(cgi: CgiTarget) -> None:
    """Beside an error, too, the form keeps what was typed.

    README, "The page": who made a mistake mends it, and need not type everything again.
    """
    eleven = [str(number) for number in range(1, 12)]
    (zero, word, unknown, many) = refused(
        cgi,
        query("div", "1", "0", user="Ann"),
        query("mul", "1", "1e", user="Ann"),
        query("*", "1", "2", user="Ann"),
        query("mul", *eleven, user="Ann"),
    )
    expect_kept(zero, "Ann", ["1", "0"], "div")
    expect_kept(word, "Ann", ["1", "1e"], "mul")
    expect_kept(unknown, "Ann", ["1", "2"], None)
    expect_kept(many, "Ann", eleven, "mul")


@check("arithmetic/fuzz", points=2, source="kit rule", needs=("arithmetic/add",))
@fuzz(share=0.04, questions=st.lists(calculations(max_operands=4), min_size=2, max_size=2))
def test_any_calculation_is_exact(cgi: CgiTarget, questions: list[Calculation]) -> None:
    """Whatever the operation and the operands, the result is exact.

    README, "Arithmetic": exact and in full; only a quotient that never ends is rounded, once, at the end.
    """
    answers(cgi, {ask(question): decimal_text(question.result) for question in questions})


def ask(question: Calculation) -> str:
    """The query string of a question."""
    return query(question.operation, *(operand.text for operand in question.operands))
