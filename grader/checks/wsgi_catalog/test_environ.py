"""From the server's strings to text, and from text to addresses."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote_to_bytes

from hypothesis import strategies as st

from grader.checks.wsgi_catalog.pages import as_in_forms
from grader.engine import check, expect, fuzz
from grader.engine.alphabets import any_text, words
from grader.target.function import Module

# Everything that RFC 3986 allows in a path (section 3.3) and in a query (section 3.4), and the percent sign.
ADDRESS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=:@/?%")

# What decoding twice, or another separator than &, would change.
TEMPTING = st.sampled_from(("%41", "%C3%A9", "a;b", "a;b=c", "1+1", "e\u0301"))


def native(text: str) -> str:
    """How a server hands text over: UTF-8, one character per byte."""
    return text.encode("utf-8").decode("latin-1")


@check("environ/text", points=1, source="PEP 3333, Unicode Issues")
@fuzz(share=0.6, text=any_text())
def test_text_comes_back_whatever_its_script(module: Module, text: str) -> None:
    """wsgi_text() turns one character per byte into the text that was meant, in UTF-8.

    Servers hand over each byte as one character (latin-1); what the bytes mean is for you to decode.
    """
    expect(module.call("wsgi_text", native(text))).returns(text)


@check("environ/text-broken", points=1, source="kit rule")
@fuzz(share=0.4, data=st.binary(max_size=12))
def test_bytes_that_are_no_text_are_marked(module: Module, data: bytes) -> None:
    """Bytes that are not UTF-8 become U+FFFD, and never an exception.

    Anybody can send any bytes; an address that cannot be read should be a 404, not a crash.
    """
    expect(module.call("wsgi_text", data.decode("latin-1"))).returns(data.decode("utf-8", "replace"))


@check("environ/link", points=1, source="RFC 3986 section 2.1")
@fuzz(
    share=0.6,
    mounted=any_text(max_size=6).map(str.encode) | st.binary(min_size=1, max_size=3),
    path=any_text(max_size=10),
)
def test_an_address_is_ascii_and_means_the_same(module: Module, mounted: bytes, path: str) -> None:
    """link() percent-encodes SCRIPT_NAME and path: ASCII, and decoded again the same bytes.

    An address holds ASCII only; each byte of anything else is written as %XX.
    """
    script_name, path = b"/" + mounted if mounted else b"", f"/{path}"
    wanted = script_name + path.encode("utf-8")

    def good(address: object) -> bool:
        return isinstance(address, str) and set(address) <= ADDRESS - {"?"} and unquote_to_bytes(address) == wanted

    expect(module.call("link", script_name.decode("latin-1"), path)).returns_that(
        good, f"an address of ASCII that means {wanted!r}"
    )


@check("environ/link-query", points=1, source="kit rule", needs=("environ/link",))
@fuzz(share=0.4, query=st.dictionaries(words(), any_text(max_size=8), max_size=3))
def test_an_address_carries_its_query(module: Module, query: dict[str, str]) -> None:
    """link() appends the query, encoded as forms are; without one there is no question mark.

    In a query, & = + and # have a meaning of their own: in a value they have to be encoded.
    """

    def good(address: object) -> bool:
        if not isinstance(address, str):
            return False
        path, mark, encoded = address.partition("?")
        decoded = dict(parse_qsl(encoded, keep_blank_values=True))
        return path == "/shop/books" and set(address) <= ADDRESS and decoded == query and bool(mark) == bool(query)

    expect(module.call("link", "/shop", "/books", query)).returns_that(good, f"/shop/books with the query {query!r}")


@check("environ/query", points=2, source="kit rule")
@fuzz(
    share=0.8,
    pairs=st.lists(st.tuples(words(max_size=2) | any_text(1, 3), any_text(max_size=8) | TEMPTING), max_size=4),
    raw=st.booleans(),
)
def test_names_and_values_come_back(module: Module, pairs: list[tuple[str, str]], raw: bool) -> None:
    """read_query() decodes names and values, keeps blank ones, and of a name that comes twice the first counts.

    README, "All books": + is a space, %C3%A9 is é, and of a name that comes twice the first value counts.
    """
    query = "&".join(f"{as_in_forms(name, raw)}={as_in_forms(value, raw)}" for name, value in pairs)
    wanted = dict(reversed(pairs))
    expect(module.call("read_query", native(query))).returns_that(
        lambda got: isinstance(got, dict) and got == wanted, f"a dict equal to {wanted!r}"
    )


@check("environ/query-broken", points=1, source="kit rule", needs=("environ/query",))
@fuzz(share=0.4, text=st.text("%=&+aF0;\xff\xc3", max_size=16))
def test_any_query_is_a_dict(module: Module, text: str) -> None:
    """Whatever stands in QUERY_STRING, read_query() returns a dict of texts.

    README, "All books": bytes that are not UTF-8 become U+FFFD; a query only asks, so nothing in it is worth an error.
    """
    expect(module.call("read_query", "title=%ff%C3%A9&flag")).returns({"title": "\ufffd\u00e9", "flag": ""})
    expect(module.call("read_query", text)).returns_that(
        lambda got: isinstance(got, dict) and all(isinstance(item, str) for pair in got.items() for item in pair),
        "a dict of texts",
    )
