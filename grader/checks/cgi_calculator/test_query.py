"""From the query string to the fields."""

from __future__ import annotations

from hypothesis import strategies as st

from grader.checks.cgi_calculator.claims import expect_arrival, expect_kept
from grader.checks.cgi_calculator.questions import Piece, pieces, query, typed_texts
from grader.engine import because, check, expect, fuzz
from grader.sandbox.worker import Raised
from grader.target.cgi import CgiRequest, CgiTarget
from grader.target.function import Module

MALFORMED = ("%", "100%", "%4", "%zz", "%4g", "%2z", "a%%41", "%+5", "% 5", "%-1", "%u0041", "%0x")
EMPTY_PIECES = (
    'README, "The query string": split at every &, skip empty pieces; the first = ends a name, if there is one'
)
NOT_UTF_8 = ("%FF", "%C3", "a%C3%28", "%C0%AF", "%ED%A0%80", "%F5%80%80%80")
CONTROL = ("Ann%0A", "Ann%0D%0A", "\n", *(f"a%{code:02X}b" for code in (*range(32), 127)))


def queries(values: tuple[str, ...]) -> list[CgiRequest]:
    """Each value as the user's name, escapes and all."""
    return [CgiRequest(query=f"user={value.replace(' ', '+')}") for value in values]


@check("query/decode", points=2, source="RFC 3986 section 2.1")
@fuzz(piece=pieces())
def test_every_encoding_of_a_text_reads_the_same(module: Module, piece: Piece) -> None:
    """A + is a space, %XX in either case is a byte, and the bytes are UTF-8.

    One letter may take several escapes (%C3%B6): collect all bytes of a text first, then decode them as UTF-8.
    """
    expect(module.call("percent_decode", piece.raw)).returns(piece.text)


@check("query/refuse", points=1, source="kit rule")
def test_what_cannot_be_decoded_is_refused(module: Module) -> None:
    """A malformed escape, bytes that are not UTF-8 and control characters raise HttpError 400.

    README, "The query string": what has no meaning is refused, not guessed at.
    """
    with because('README, "The query string": what is above U+007F is text, U+FEFF and U+0080 to U+009F among it'):
        expect(module.call("percent_decode", b"%EF%BB%BF%41%C2%85~")).returns("\ufeffA\u0085~")
    for raw in (*MALFORMED, *NOT_UTF_8, *CONTROL):
        expect(module.call("percent_decode", raw.encode("ascii"))).raises("HttpError", status=400)


@check("query/pairs", points=2, source="kit rule")
@fuzz(
    pairs=st.lists(st.tuples(pieces(1, 4), pieces(0, 6)), max_size=4),
    empties=st.text("012", min_size=5, max_size=5),
)
def test_pairs_come_back_in_order(module: Module, pairs: list[tuple[Piece, Piece]], empties: str) -> None:
    """Names and values come back in order; the first = ends a name; empty pieces are skipped.

    README, "The query string": split first and decode then, because an escaped %26 or %3D is data.
    """
    first, *others = map(int, empties)
    raw = b"&" * first
    for (name, value), extra in zip(pairs, others, strict=False):
        raw += name.raw + (b"=" + value.raw if value.raw or extra else b"") + b"&" * (1 + extra)
    wanted = [(name.text, value.text) for name, value in pairs]
    with because(EMPTY_PIECES if b"%" not in raw else ""):
        expect(module.call("split_pairs", raw)).returns_sequence(wanted)
    expect(module.call("split_pairs", b"a=2=3&b&c=&=d;e=5")).returns_sequence(
        [("a", "2=3"), ("b", ""), ("c", ""), ("", "d;e=5")]
    )


@check("query/any-bytes", points=1, source="kit rule")
@fuzz(raw=st.binary(max_size=20) | st.text("%=&+aF0;", max_size=20).map(str.encode))
def test_any_bytes_are_pairs_or_refused(module: Module, raw: bytes) -> None:
    """Whatever the bytes, they are pairs of texts or raise HttpError 400.

    Anybody can send any bytes; a program that meets them with an exception of another kind answers with a crash.
    """
    expect(module.call("split_pairs", b"a=1")).returns_sequence([("a", "1")])
    called = module.call("split_pairs", raw)
    if not isinstance(called, Raised) or "HttpError" not in called.mro:
        expect(called).returns_that(_are_pairs, "a list of (name, value) tuples, both str, or HttpError, status 400")
    else:
        expect(called).raises("HttpError", status=400)


def _are_pairs(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, (tuple, list)) and len(pair) == 2 and all(isinstance(item, str) for item in pair)
        for pair in value
    )


@check("query/fields", points=1, source="kit rule")
@fuzz(
    user=typed_texts() | st.just("u" * 100),
    operands=st.lists(typed_texts(6) | st.just(""), max_size=6),
    operation=st.sampled_from(["add", "div", "ADD", "", "x y"]),
    others=st.sampled_from(
        [
            [],
            [("User", "no"), ("", "no")],
            [("operands", "5"), ("operand[]", "5"), (" user", "no"), ("?user", "no"), ("x", "")],
            [("user", ""), ("user", " "), ("operation", " ")],
        ]
    ),
    margin=st.sampled_from(["", " ", "   "]),
    order=st.permutations(range(4)),
)
def test_the_fields_are_found(
    module: Module, user: str, operands: list[str], operation: str, others: list[tuple[str, str]],
    margin: str, order: list[int],
) -> None:  # fmt: skip
    """user, operands and operation are found in any order; blanks count as not sent; others are ignored; no two users.

    README, "The query string": blank fields and those of others do not count; user or operation twice: HttpError 400.
    """
    groups = [
        [("user", margin + user + margin)],
        [("operand", margin + operand) for operand in operands],
        [("operation", operation + margin)],
        others,
    ]
    pairs = [pair for place in order for pair in groups[place]]
    expect(module.call("read_fields", pairs)).returns_sequence(
        [user, [operand for operand in operands if operand], operation]
    )
    with because('README, "The query string": every field may be missing; then it is "", and no operand is []'):
        expect(module.call("read_fields", [("x", "1")])).returns_sequence(["", [], ""])
    for name in ("user", "operation"):
        expect(module.call("read_fields", [(name, "add"), ("operand", "1"), (name, "add")])).raises(
            "HttpError", status=400
        )


@check("query/accepted", points=1, source="kit rule")
def test_what_is_right_is_not_refused(cgi: CgiTarget) -> None:
    """A request without a mistake gets status 200: a name alone, or else 1 + 2.

    A 400 says something only where a right request gets none: the checks of refusals ask for this one first.
    """
    reply = cgi.get("user=Ann")
    expect(reply if reply.status == 200 else cgi.get(query("add", "1", "2"))).status(200)


@check("query/user", points=2, source="RFC 3986 section 2.1")
def test_a_name_is_decoded(cgi: CgiTarget) -> None:
    """What was sent as user is in the form, decoded: + is a space, %XX a byte, the bytes are UTF-8.

    Names and values are encoded alike: us%65r is user. What escapes stand for is text, above U+007F all of it.
    """
    # A no-break space, a joined emoji, and an accent of its own; U+0085 is in a field that no page shows.
    reply = cgi.get("us%65r=J%C3%B6rg+%2b%C2%A0Zoe%cc%88+%F0%9F%91%A9%E2%80%8D%F0%9F%92%bb&x=%C2%85")
    expect(reply).status(200)
    expect_kept(reply, "J\u00f6rg +\u00a0Zoe\u0308 \U0001f469\u200d\U0001f4bb", [], None)


@check("query/separators", points=1, source="kit rule")
def test_escaped_separators_are_data(cgi: CgiTarget) -> None:
    """%26, %3D and %25 are data; so are a second = and a ;.

    README, "The query string": split, then decode, and decode once: %2541 stands for the three characters %41.
    """
    plain, percent = cgi.run_all(queries(("a%26b%3Dc=d;e", "a%2541%252B")))
    expect_kept(plain, "a&b=c=d;e", [], None)
    expect_kept(percent, "a%41%2B", [], None)


@check("query/others", points=1, source="kit rule")
def test_other_fields_are_ignored(cgi: CgiTarget) -> None:
    """Fields of other names, empty pieces and names without = are ignored.

    README, "The query string": links may carry fields that are not yours, and names count exactly as they are spelled.
    """
    # U+FEFF and U+0085 are characters of a name like others; &amp; is markup, and there is none in a query string.
    strange = "%EF%BB%BFuser=no&user%C2%85=no&amp;operand=5&operand[]=5"
    reply = cgi.get(f"?user=no&&User=no&USER=no&+user=no&x=1&flag&operands=5&=7&{strange}&user=yes&&")
    expect(reply).status(200)
    expect_kept(reply, "yes", [], None)


@check("query/blanks", points=1, source="kit rule")
def test_spaces_around_a_value_are_dropped(cgi: CgiTarget) -> None:
    """Spaces around a value are dropped, those within it stay, and a blank field counts as not sent.

    README, "The query string": a browser sends every field of the form, also those that nobody filled in.
    """
    reply = cgi.get("user=%20+Ann++Lee++&operand=&operand=++&operation=")
    expect_arrival(reply)
    expect_kept(reply, "Ann  Lee", [], None)


@check("query/malformed", points=1, source="kit rule", needs=("query/accepted",))
def test_a_malformed_escape_is_refused(cgi: CgiTarget) -> None:
    """A % without two hex digits after it gets status 400, in a name or a value.

    README, "The query string": nobody can say what such a % was meant to be, also in a name without =.
    """
    for reply in cgi.run_all([*queries(("100%", "%4", "%+5", "%2z", "a%%41")), CgiRequest(query="%u0041")]):
        expect(reply).status(400)


@check("query/not-utf-8", points=1, source="kit rule", needs=("query/accepted",))
def test_what_is_no_text_is_refused(cgi: CgiTarget) -> None:
    """Bytes that are not UTF-8 get status 400.

    README, "The query string": all bytes together are UTF-8, which has no surrogates (%ED%A0%80) and no long forms.
    """
    for reply in cgi.run_all(queries(("%C3", "%ED%A0%80", "%C0%AF"))):
        expect(reply).status(400)


@check("query/control", points=1, source="kit rule", needs=("query/accepted",))
def test_control_characters_are_refused(cgi: CgiTarget) -> None:
    """A control character gets status 400: in a name or a value, also of a field that is not yours.

    README, "The query string": U+0000 to U+001F and U+007F are no text; a line break could even forge a header.
    """
    others = [CgiRequest(query=query) for query in ("x=a%00b", "x%7F", "%09user=Ann", "x=%1B%5BA")]
    for reply in cgi.run_all([*queries(("Ann%0A", "a%0Db", "%1F")), *others]):
        expect(reply).status(400)


@check("query/limits", points=1, source="kit rule", needs=("query/accepted",))
def test_a_name_has_limits(cgi: CgiTarget) -> None:
    """user has at most 100 characters and comes at most once; else the status is 400.

    README, "The query string": an emoji is one character, spaces around a name are none of it; twice is twice.
    """
    longest = "%F0%9F%93%9A" * 100
    fine, *refused = cgi.run_all(
        [
            CgiRequest(query=f"user=%20%20{longest}%20"),
            CgiRequest(query=f"user={longest}x"),
            CgiRequest(query="user=a&user=a"),
        ]
    )
    expect(fine).status(200)
    for reply in refused:
        expect(reply).status(400)
