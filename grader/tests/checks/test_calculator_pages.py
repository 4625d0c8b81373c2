"""The calculator's page reader sees what a browser sees, in whatever HTML the student writes."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.checks.cgi_calculator.claims import is_html_in_utf_8
from grader.checks.cgi_calculator.intruders import SCRIPTS, intruders
from grader.checks.cgi_calculator.pages import encoded, parse_page, sent_to
from grader.checks.cgi_calculator.questions import (
    Calculation,
    Numeral,
    Piece,
    calculations,
    decimal_text,
    numerals,
    pieces,
    query,
)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        pytest.param("<output id=result>18</output>", "18", id="plain"),
        pytest.param("<OUTPUT ID='result'>\n 1<b>8</b> </OUTPUT>", "18", id="nested, spaced, capitals"),
        pytest.param("<p id=result>18<form><input name=user></form>", "18", id="a paragraph without its end tag"),
        pytest.param("<p id=result>18<p>19", "18", id="a paragraph ends a paragraph"),
        pytest.param("<b id=result>1&#56;</b>", "18", id="a character reference"),
        pytest.param("<br id=other><b id=result>18</b>", "18", id="an element without an end"),
        pytest.param("<div><i>x</div><b id=result>18</b></i>", "18", id="a stray end tag"),
        pytest.param("<!-- <b id=result>19</b> --><b id=result>18</b>", "18", id="a comment is no element"),
        pytest.param("<b id=result></b>", "", id="empty"),
        pytest.param("<b id=results>18</b>", "", id="another id"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_the_text_of_an_element_is_found(html: str, text: str) -> None:
    assert parse_page(html).text("result") == text


FIELDS = '<input name=user value="Ann &amp; &quot;Co&quot;"><input name=operand value=1><input name=operand>'
RADIOS = "<input type=radio name=operation value=add><input type=RADIO name=operation value=div checked>"
SELECT = "<select name=operation><option>add<option value=div selected>divide</select>"


@pytest.mark.parametrize("choice", [RADIOS, SELECT, RADIOS.replace("checked", 'checked="checked"')])
def test_the_form_is_read_as_a_browser_shows_it(choice: str) -> None:
    page = parse_page(f"<form>{FIELDS}{choice}<input type=submit name=go value=Go><input type=checkbox name=c></form>")
    assert page.kept() == ('Ann & "Co"', ["1"], "div")
    assert page.operation is not None
    assert page.operation.choices == ["add", "div"]
    assert page.fill("x", ["5"], "add") == [
        ("user", "x"),
        ("operand", "5"),
        ("operand", ""),
        ("operation", "add"),
        ("go", "Go"),
    ]


@pytest.mark.parametrize(
    ("button", "sent"),
    [
        pytest.param("<button>Go</button>", [], id="without a name"),
        pytest.param("<button name=operation value=Go>Go</button>", [("operation", "Go")], id="with a name"),
        pytest.param("<button name=a value=1><button name=b value=2>", [("a", "1")], id="the first of two"),
        pytest.param("<input type=submit name=a><input type=submit name=b>", [("a", "")], id="an input"),
        pytest.param("<input type=image name=a>", [("a.x", "0"), ("a.y", "0")], id="an image"),
        pytest.param("<input type=image>", [("x", "0"), ("y", "0")], id="an image without a name"),
        pytest.param("<button name=a disabled><button type=button name=b>", [], id="buttons that send nothing"),
    ],
)
def test_the_button_that_is_pressed_is_sent(button: str, sent: list[tuple[str, str]]) -> None:
    assert parse_page(f"<form><input name=operand>{button}").fill("", ["1"], "add") == [("operand", "1"), *sent]


@pytest.mark.parametrize(
    ("page", "address"),
    [
        ("<form>", "http://localhost/cgi-bin/calc.py"),
        ("<form action=''>", "http://localhost/cgi-bin/calc.py"),
        ("<form action='?a=1'>", "http://localhost/cgi-bin/calc.py?a=1"),
        ("<form action=calc.py>", "http://localhost/cgi-bin/calc.py"),
        ("<form action=/calculate>", "http://localhost/calculate"),
        ("<base href=/other/><form action=calc.py>", "http://localhost/other/calc.py"),
        ("<form action='http://['>", ""),
    ],
)
def test_a_form_is_sent_to_its_action(page: str, address: str) -> None:
    assert sent_to(parse_page(page), "http://localhost/cgi-bin/calc.py") == address


@pytest.mark.parametrize(
    ("charset", "sent"),
    [
        ("utf-8", "a=Zo%C3%AB"),
        ("UTF-16", "a=Zo%C3%AB"),
        ("unheard-of", "a=Zo%C3%AB"),
        ("iso-8859-1 utf-8", "a=Zo%EB"),
        ("us-ascii", "a=Zo%26%23235%3B"),
    ],
)
def test_a_form_is_encoded_in_its_charset(charset: str, sent: str) -> None:
    assert encoded(parse_page(f"<form accept-charset='{charset}'>"), [("a", "Zo\u00eb")]) == sent


@pytest.mark.parametrize("space", ["\u00a0", "\u3000", "\u2028", "\u0085"])
def test_only_the_space_of_ascii_ends_a_value_without_quotes(space: str) -> None:
    page = parse_page(
        f"<form><input name=user value=a{space}b><input name=operand value=1>\n<b id=result>1{space}2</b>"
    )
    assert page.kept() == (f"a{space}b", ["1"], None)
    assert page.text("result") == f"1{space}2"
    assert page.all("input")[0].source == f"<input name=user value=a{space}b>"


def test_what_is_hidden_is_sent_and_what_is_not_chosen_is_not() -> None:
    page = parse_page(
        "<form><input type=hidden name=token value=t><input type=checkbox name=a><input type=radio name=r value=1>"
    )
    assert page.fill("", [], "") == [("token", "t")]


def test_a_select_shows_its_first_option() -> None:
    page = parse_page("<form><select name=operation><option value=sub>-</option><option value=add>+</option></select>")
    assert page.kept() == ("", [], "sub")


@pytest.mark.parametrize(
    ("placeholder", "chosen"),
    [
        pytest.param("<option value='' disabled>choose", "add", id="disabled"),
        pytest.param("<option value='' disabled selected>choose", None, id="disabled and selected"),
        pytest.param("<option value=''>choose", "", id="empty"),
    ],
)
def test_a_placeholder_is_no_operation(placeholder: str, chosen: str | None) -> None:
    page = parse_page(f"<form><select name=operation>{placeholder}<option>add<option>sub</select></form>")
    assert page.kept() == ("", [], chosen)
    assert page.operation is not None
    assert [choice for choice in page.operation.choices if choice] == ["add", "sub"]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param("<template><input name=operand value=0><p id=result>1</p></template>", id="in a template"),
        pytest.param("<input name=operand value=0 disabled>", id="disabled"),
        pytest.param("<fieldset disabled><p><input name=operand value=0></p></fieldset>", id="in a disabled fieldset"),
        pytest.param("<input name=operand value=0 form=other>", id="of another form"),
        pytest.param("</form><form><input name=operand value=0></form>", id="in another form"),
        pytest.param("</form><input name=operand value=0>", id="in no form"),
        pytest.param("<button name=operand value=0>Go</button>", id="a button"),
    ],
)
def test_what_is_not_sent_does_not_count(other: str) -> None:
    page = parse_page(f"<form><input name=q></form><form><input name=operand value=5>{other}")
    assert page.kept() == ("", ["5"], None)
    assert page.text("result") == ""


def test_a_field_belongs_to_the_form_that_it_names() -> None:
    fields = "<input form=f name=operand value=1><input type=radio form=f name=operation value=add checked>"
    page = parse_page(f"{fields}<form id=f></form><input type=radio form=f name=operation value=sub>")
    assert page.kept() == ("", ["1"], "add")
    assert page.operation is not None
    assert page.operation.choices == ["add", "sub"]


@pytest.mark.parametrize(
    ("legend", "operands"),
    [("<legend>{}</legend>", ["1"]), ("<p>{}</p>", [])],
)
def test_the_legend_of_a_disabled_fieldset_is_not_disabled(legend: str, operands: list[str]) -> None:
    page = parse_page(f"<form><fieldset disabled>{legend.format('<input name=operand value=1>')}</fieldset></form>")
    assert page.kept() == ("", operands, None)


@pytest.mark.parametrize(
    ("button", "sends"),
    [
        ("<button>Go</button>", True),
        ("<button type=submit>Go</button>", True),
        ("<input type=submit>", True),
        ("<input type=image src=go.png>", True),
        ("<button type=button>Go</button>", False),
        ("<button type=reset>Go</button>", False),
        ("<button disabled>Go</button>", False),
        ("</form><button>Go</button>", False),
        ("", False),
    ],
)
def test_a_form_is_sent_by_its_button(button: str, sends: bool) -> None:
    assert parse_page(f"<form><input name=operand>{button}</form>").can_be_sent is sends


QUOTES, LINK = SCRIPTS


@pytest.mark.parametrize(
    "html",
    [
        pytest.param('<p title=""><kit-mark>"></p>', id="a tag"),
        pytest.param("<input value=a kit-mark=b>", id="an attribute"),
        pytest.param("<template><kit-mark></template>", id="a tag in a template"),
        pytest.param("<script>kit()</script>", id="a script"),
        pytest.param(f"<script>let user = '{QUOTES}'</script>", id="out of single quotes"),
        pytest.param(f'<script type=module>let user = "{QUOTES}"</script>', id="out of double quotes"),
        pytest.param("<b onclick=\"say('&#39;&quot;);kit();//')\">", id="out of a handler's quotes"),
        pytest.param(f'<a href=" {LINK}">', id="a link that is a script"),
        pytest.param("<button formaction='JavaScript:kit()'>", id="a button that is a script"),
    ],
)
def test_what_is_more_than_text_is_found(html: str) -> None:
    assert intruders(parse_page(html)) != []


@pytest.mark.parametrize(
    "html",
    [
        pytest.param("<p title='&quot;&gt;&lt;kit-mark&gt;'>&lt;kit-mark&gt;</p>", id="escaped"),
        pytest.param("<!-- kit() <kit-mark> -->", id="a comment"),
        pytest.param(f"<script>let a = {json.dumps(QUOTES)}, b; // kit()</script>", id="quoted"),
        pytest.param(rf"<script>let a = '\{QUOTES}'</script>", id="quoted in single quotes"),
        pytest.param("<script>let a = '\\u003ckit-mark>kit()'; /* kit() */</script>", id="quoted markup"),
        pytest.param(f"<script type='application/json'>{{}} {QUOTES}</script>", id="data"),
        pytest.param('<b onclick="alert(&quot;kit()&quot;)">', id="quoted in a handler"),
        pytest.param("<a href='?user=javascript%3Akit%28%29'><a href='/javascript:kit()'>", id="part of a link"),
        pytest.param("<input name=user value='javascript:kit()'>", id="a value"),
    ],
)
def test_text_is_left_alone(html: str) -> None:
    assert intruders(parse_page(html)) == []


@given(html=st.text("<>/!-[]&;#='\" abp1", max_size=40) | st.just("<b id=result>1</b><![x[ "))
@settings(max_examples=500)
def test_no_text_is_too_strange(html: str) -> None:
    assert parse_page(html).kept()[1] == []


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        ("text/html; charset=utf-8", True),
        ('Text/HTML;Charset="UTF-8"', True),
        ("text/html; a=b; charset=utf-8", True),
        ("text/html", False),
        ("text/plain; charset=utf-8", False),
        ("text/html; charset=latin-1", False),
    ],
)
def test_a_content_type_is_understood(value: str, holds: bool) -> None:
    assert is_html_in_utf_8(value) is holds


@given(piece=pieces())
@settings(max_examples=200)
def test_an_encoded_text_holds_no_separator(piece: Piece) -> None:
    assert piece.raw.isascii()
    assert not {b"&", b"=", b" "} & {bytes([byte]) for byte in piece.raw}


@given(number=numerals())
@settings(max_examples=200)
def test_a_numeral_has_the_value_that_python_gives_it(number: Numeral) -> None:
    assert Fraction(number.text) == number.value


@given(question=calculations())
@settings(max_examples=100)
def test_a_result_is_written_to_within_its_rounding(question: Calculation) -> None:
    text = decimal_text(question.result)
    assert "e" not in text
    assert abs(Fraction(text) - question.result) <= abs(question.result) / 10**29


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(0), "0"),
        (Fraction(-5, 2), "-2.5"),
        (Fraction(2000, 3), "666.666666666666666666666666667"),
        (Fraction(10**50, 3), "3" * 30 + "0" * 20),
        (Fraction(1, 3 * 10**50), "0." + "0" * 50 + "3" * 30),
    ],
)
def test_a_result_is_written_by_the_rules(value: Fraction, text: str) -> None:
    assert decimal_text(value) == text


def test_a_query_is_written_as_a_browser_would() -> None:
    assert query("add", "1", "+2", user="Z\u00eb") == "user=Z%C3%AB&operand=1&operand=%2B2&operation=add"
