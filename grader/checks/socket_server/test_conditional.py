"""Conditional requests: as functions, then over the wire."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime

from hypothesis import strategies as st

from grader.checks.socket_server.test_response import DAYS, MONTHS, date_text
from grader.checks.socket_server.wire import Fields, last
from grader.engine import check, expect, fuzz
from grader.sandbox.worker import Returned
from grader.target.function import Module
from grader.target.socket import SocketTarget
from grader.target.webroot import OLD

DAY = 86400  # seconds
EARLIER = date_text(OLD - 1)
LONG_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
NO_DATES = (
    "", "yesterday", "0", "784111777", "1994-11-06T08:49:37Z", "06 Nov 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC", "sun, 06 nov 1994 08:49:37 gmt",
    "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT",
    "Sun, 06 Nov 1994 25:49:37 GMT", "Sun, 06 Nov 1994 08:49 GMT", "Sun, 06 Nov 1994 08:49:37 GMT ",
    "Sun, 00 Nov 1994 08:49:37 GMT", "Sun,  06 Nov 1994 08:49:37 GMT", "Sun Nov 6 08:49:37 1994",
    "Sun, 06 Nov 94 08:49:37 GMT",
)  # fmt: skip

TAG, OTHER, COMMA = '"abc"', '"x"', '"a,b"'
NOW = 1_700_000_000
tags = st.sampled_from([TAG, OTHER, COMMA, 'W/"abc"', 'W/"x"', '"ABC"', '""'])
tag_lists = st.lists(tags, min_size=1, max_size=3).map(lambda some: [", ".join(some)]) | st.just(["*"])
dates = st.sampled_from([NOW - 1, NOW, NOW + 1]).map(lambda seconds: [date_text(seconds)]) | st.just(["never"])
absent: st.SearchStrategy[list[str]] = st.just([])


# One field, the file's tag, and the outcome: what a program that looks for text instead of tags gets wrong.
TAG_RULES = (
    ("if-match", 'W/"abc"', '"abc"', 412),
    ("if-match", '"x", W/"abc"', '"abc"', 412),
    ("if-match", '"xabc"', '"abc"', 412),
    ("if-match", '"x","abc"', '"abc"', 200),
    ("if-match", '"a,b"', '"a,b"', 200),
    ("if-match", "*", '"abc"', 200),
    ("if-none-match", 'W/"abc"', '"abc"', 304),
    ("if-none-match", '"x" , W/"abc"', '"abc"', 304),
    ("if-none-match", '"a,b"', '"a,b"', 304),
    ("if-none-match", '"a", "b"', '"a,b"', 200),
    ("if-none-match", "abc", '"abc"', 200),
    ("if-none-match", '"ABC"', '"abc"', 200),
)


def outcome(match: list[str], unmodified: list[str], none_match: list[str], since: list[str], tag: str) -> int:
    """RFC 9110 section 13.2.2, as a model to compare with."""

    def listed(values: list[str]) -> set[str]:
        return set(re.findall(r'(?:W/)?"[^"]*"', ",".join(values)))

    def moment(values: list[str]) -> int | None:
        known = {date_text(seconds): seconds for seconds in (NOW - 1, NOW, NOW + 1)}
        return known.get(values[0]) if values else None

    if match and "*" not in match and tag not in listed(match):
        return 412
    limit = moment(unmodified)
    if not match and limit is not None and limit < NOW:
        return 412
    if none_match:
        return 304 if "*" in none_match or tag in {name.removeprefix("W/") for name in listed(none_match)} else 200
    limit = moment(since)
    return 304 if limit is not None and limit >= NOW else 200


@check("conditional/dates", points=1, source="RFC 9110 section 5.6.7")
@fuzz(share=0.3, seconds=st.integers(0, 4_000_000_000))
def test_dates_in_three_forms(module: Module, seconds: int) -> None:
    """parse_http_date() reads the three forms of a date, and returns None for anything else.

    A recipient has to read all three forms of a date that were ever in use; what is none of them counts as absent.
    """
    when = datetime.fromtimestamp(seconds, UTC)
    day, month, time = when.weekday(), MONTHS[when.month - 1], f"{when:%H:%M:%S}"
    expect(module.call("parse_http_date", date_text(seconds))).returns(seconds)
    asctime = f"{DAYS[day]} {month} {when.day:2} {time} {when.year}"
    expect(module.call("parse_http_date", asctime)).returns(seconds)
    this_year = datetime.now(UTC).year
    if this_year - 49 < when.year < this_year + 50:
        old = f"{LONG_DAYS[day]}, {when.day:02}-{month}-{when.year % 100:02} {time} GMT"
        expect(module.call("parse_http_date", old)).returns(seconds)
    expect(module.call("parse_http_date", NO_DATES[seconds % len(NO_DATES)])).returns(None)


@check("conditional/tag", points=1, source="RFC 9110 section 8.8.3")
@fuzz(share=0.2, size=st.integers(0, 10**12), mtime=st.integers(0, 2 * 10**18), more=st.integers(1, 1000))
def test_tags_tell_states_apart(module: Module, size: int, mtime: int, more: int) -> None:
    """make_etag() makes a strong tag; another size or time of change makes another one.

    A tag names one state of a file. If two states share one, a client keeps the old one for ever.
    """

    def tag(size: int, mtime: int) -> str:
        called = module.call("make_etag", size, mtime)
        expect(called).returns_that(
            lambda value: isinstance(value, str) and re.fullmatch('"[!#-~]*"', value) is not None,
            "a strong entity tag: visible ASCII characters between two quotes, no W/",
        )
        assert isinstance(called, Returned)
        return str(called.value)

    first = tag(size, mtime)
    for other in (tag(size + more, mtime), tag(size, mtime + more), tag(mtime, size)):
        if size != mtime:
            expect.that(other != first, expected="different tags for different states", got=f"{first} twice")
    expect.that(tag(size, mtime) == first, expected="the same tag for the same state", got="another one")


@check("conditional/rules", points=1, source="RFC 9110 section 13.2.2")
@fuzz(
    share=0.6,
    match=absent | tag_lists,
    unmodified=absent | dates,
    none_match=absent | tag_lists,
    since=absent | dates,
    tag=st.sampled_from([TAG, OTHER, COMMA]),
)
def test_the_four_conditions_in_their_order(
    module: Module, match: list[str], unmodified: list[str], none_match: list[str], since: list[str], tag: str
) -> None:
    """check_conditions() follows the four fields in the order of RFC 9110: 200, 304 or 412.

    Tags win over dates, If-Match over If-None-Match. If-Match compares strongly (no W/), If-None-Match weakly.
    """
    given = {
        "if-match": match,
        "if-unmodified-since": unmodified,
        "if-none-match": none_match,
        "if-modified-since": since,
    }
    fields: Fields = [(name, value) for name, values in given.items() for value in values]
    for name, value, own, status in TAG_RULES:
        expect(module.call("check_conditions", [(name, value)], own, NOW)).returns(status)
    expected = outcome(match, unmodified, none_match, since, tag)
    expect(module.call("check_conditions", fields, tag, NOW)).returns(expected)


@check("conditional/not-modified", points=1, source="RFC 9110 section 15.4.5", needs=("serve/file",))
def test_what_the_client_has_is_not_sent_again(server: SocketTarget) -> None:
    """Files carry Last-Modified and ETag; sent back, they get 304 without content, with the same ETag.

    304 saves the sending. Its ETag says which state is meant; a length, if any, has to be that of the file.
    """
    first = server.exchange(last("/notes.txt"))
    expect(first).status(200).header("Last-Modified", date_text(OLD))
    expect(first).header_that("ETag", _is_tag, 'an entity tag: text between two quotes, like "5-11" or W/"5-11"')
    tag = first.headers.get("ETag") or ""
    questions = (
        f"If-None-Match: {tag}", f'If-None-Match: "other", {tag}', "If-None-Match: *",
        f"If-None-Match: W/{tag.removeprefix('W/')}", f'If-None-Match: "other"\r\nIf-None-Match: {tag}',
        f"If-None-Match: {tag}\r\nRange: bytes=0-4",  # first the conditions, then the part (section 13.2.2)
        f"If-Modified-Since: {date_text(OLD)}", f"If-Modified-Since: {date_text(OLD + 5)}",
        f"If-Modified-Since: {date_text(OLD + 5 * DAY)}",  # a Friday, which as text comes before a Sunday
        "If-Modified-Since: Sunday, 09-Sep-01 01:46:40 GMT", "If-Modified-Since: Sun Sep  9 01:46:40 2001",
    )  # fmt: skip
    for question in questions:
        for method in ("GET", "HEAD"):
            with server.connect() as client:
                reply = client.send(last("/notes.txt", question, method=method)).reply(method)
                expect(reply).status(304).header("ETag", tag)
                length = reply.headers.get("Content-Length")
                right = length in (None, str(len(first.body)))
                got = f"Content-Length: {length}"
                expect(reply).that(right, expected="no Content-Length, or that of the file", got=got)
                rest = client.end()
                expect(reply).that(not rest, expected="no content after a 304", got=repr(rest[:200]))
    index = server.exchange(last("/"))  # is a file too
    for tag in index.headers.get_all("ETag"):
        expect(server.exchange(last("/", f"If-None-Match: {tag}"))).status(304)


def _is_tag(value: str) -> bool:
    return re.fullmatch('(W/)?"[!#-~\x80-\xff]*"', value) is not None


@check("conditional/modified", points=1, source="RFC 9110 section 13.1", needs=("serve/file",))
def test_what_the_client_does_not_have_is_sent(server: SocketTarget) -> None:
    """A changed file, another tag, an older date get the file; If-Match with another or a weak tag gets 412.

    Whoever has another state than the current one needs the file; If-Match protects against changing the wrong one.
    """
    for question in (
        'If-None-Match: "other"',
        f"If-Modified-Since: {date_text(OLD - 1)}",
        f"If-Modified-Since: {date_text(OLD - 3 * DAY)}",  # a Thursday, which as text comes after a Sunday
        "If-Modified-Since: some day",
        "If-Unmodified-Since: some day",
        "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT",  # a year over 50 years ahead is of the last century
        "If-Modified-Since: Sun, 09 Sep 2001 01:46:40 EST",
        "If-Modified-Since: Wed, 31 Feb 2010 01:46:40 GMT",
        f"If-Unmodified-Since: {date_text(OLD)}",
        f"If-Unmodified-Since: {date_text(OLD + 5)}",
        f'If-None-Match: "other"\r\nIf-Modified-Since: {date_text(OLD)}',
    ):
        reply = server.exchange(last("/notes.txt", question))
        expect(reply).status(200).body((server.webroot.root / "notes.txt").read_bytes())
    tag = server.exchange(last("/notes.txt")).headers.get("ETag") or '""'
    for other in ('"other"', "W/" + tag.removeprefix("W/"), '"other"\r\nIf-None-Match: "third"'):
        expect(server.exchange(last("/notes.txt", f"If-Match: {other}"))).status(412)
    if not tag.startswith("W/"):  # a weak tag never counts for If-Match
        for known in (f'If-Match: "other"\r\nIf-Match: {tag}', f"If-Match: {tag}\r\nIf-Unmodified-Since: {EARLIER}"):
            expect(server.exchange(last("/notes.txt", known))).status(200)
    expect(server.exchange(last("/notes.txt", f"If-Unmodified-Since: {date_text(OLD - 1)}"))).status(412)
    expect(server.exchange(last("/nothing", "If-None-Match: *"))).status(404)
    _expect_changes_to_be_seen(server)


def _expect_changes_to_be_seen(server: SocketTarget) -> None:
    """A file that has changed since, though not in its size, is sent."""
    path = server.webroot.root / "changing.txt"
    try:
        path.write_bytes(b"before\n")
        os.utime(path, ns=(OLD * 10**9, OLD * 10**9 + 700_000_000))
        before = server.exchange(last("/changing.txt"))
        expect(before).status(200).body(b"before\n").header("ETag").header("Last-Modified", date_text(OLD))
        question = f"If-Modified-Since: {date_text(OLD)}"  # what it has just said itself
        expect(server.exchange(last("/changing.txt", question))).status(304)
        path.write_bytes(b"soon..\n")
        os.utime(path, ns=(OLD * 10**9, OLD * 10**9 + 900_000_000))
        question = f"If-None-Match: {before.headers.get('ETag')}"
        expect(server.exchange(last("/changing.txt", question))).status(200).body(b"soon..\n")
        path.write_bytes(b"after!\n")
        os.utime(path, (OLD + 100, OLD + 100))
        for question in (f"If-None-Match: {before.headers.get('ETag')}", f"If-Modified-Since: {date_text(OLD)}"):
            expect(server.exchange(last("/changing.txt", question))).status(200).body(b"after!\n")
    finally:
        path.unlink(missing_ok=True)
