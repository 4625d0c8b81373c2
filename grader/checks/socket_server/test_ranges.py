"""Parts of files: as functions, then over the wire."""

from __future__ import annotations

import re

from hypothesis import strategies as st

from grader.checks.socket_server.test_response import date_text
from grader.checks.socket_server.wire import last
from grader.engine import check, expect, fuzz
from grader.target.function import Module
from grader.target.socket import SocketTarget
from grader.target.webroot import OLD

NO_RANGES = (
    "", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-2", "bytes=1.5-3", "bytes=+1-3", "bytes=--5",
    "bytes 0-4", "lines=0-4",
    "bytes=0-1,3-4", "bytes=0-1-2", "bytes=0x0-4", "bytes=\xb2-5", "0-4", "bytes=1 - 2", "bytes=0-4;x",
)  # fmt: skip


@check("ranges/parse", points=1, source="RFC 9110 section 14.1.2")
@fuzz(
    share=0.5,
    size=st.integers(0, 50),
    first=st.none() | st.integers(0, 60),
    end=st.none() | st.integers(0, 60) | st.just(10**40),
    zeros=st.sampled_from(["", "0", "0" * 5000]),
)
def test_parts_are_found(module: Module, size: int, first: int | None, end: int | None, zeros: str) -> None:
    """parse_range() returns start and length of the part, None for no range, and raises 416 for a missing part.

    Three forms: first-last, first-, -count. A range that begins behind the end cannot be satisfied: 416.
    """
    number = "" if first is None else f"{zeros}{first}"
    value = f"bytes={number}-{'' if end is None else end}"
    called = module.call("parse_range", value, size)
    wanted: tuple[int, int] | None
    if first is None:
        wanted = None if end is None or (size == 0 and end > 0) else (max(0, size - end), min(end, size))
        missing = end == 0
    else:
        backwards = end is not None and end < first
        wanted = None if backwards else (first, min(size - 1 if end is None else end, size - 1) - first + 1)
        missing = not backwards and first >= size
    if missing:
        expect(called).raises("HttpError", status=416, fields=[("Content-Range", f"bytes */{size}")])
    else:
        expect(called).returns(wanted)


@check("ranges/no-range", points=1, source="RFC 9110 section 14.2")
def test_what_is_no_range_is_ignored(module: Module) -> None:
    """parse_range() returns None for what is not one range of bytes; if_range_holds() compares tag or date exactly.

    What is no range of bytes is ignored, and a part is only of use together with the rest of the same state.
    """
    expect(module.call("parse_range", "bytes=0-4", 12)).returns((0, 5))
    for value in NO_RANGES:
        expect(module.call("parse_range", value, 12)).returns(None)
    now = 1_700_000_000
    cases = {
        '"a"': True,
        'W/"a"': False,
        '"b"': False,
        date_text(now): True,
        date_text(now + 1): False,
        "soon": False,
        "*": False,
    }
    for given, expected in cases.items():
        expect(module.call("if_range_holds", [("if-range", given)], '"a"', now)).returns(expected)
    expect(module.call("if_range_holds", [("if-match", '"b"')], '"a"', now)).returns(True)


@check("ranges/part", points=1, source="kit rule", needs=("serve/file",))
def test_a_part_is_sent(server: SocketTarget) -> None:
    """GET with a range gets 206, Content-Range and exactly that part; several ranges may get the whole, HEAD does.

    README, "Ranges": with its parts a client goes on with a broken download. Ranges are for GET alone: HEAD ignores
    them.
    """
    for name in ("notes.txt", "large.bin"):
        whole = (server.webroot.root / name).read_bytes()
        size = len(whole)
        tag = server.exchange(last("/" + name, method="HEAD"), method="HEAD").headers.get_all("ETag")
        parts = {"0-0": (0, 1), "5-9": (5, 10), "10-": (10, size), "-7": (size - 7, size), f"3-{size + 9}": (3, size)}
        for value, (start, end) in parts.items():
            reply = server.exchange(last("/" + name, f"Range: bytes={value}"))
            expect(reply).status(206).header("Content-Range", f"bytes {start}-{end - 1}/{size}")
            known = reply.headers.get_all("ETag") == tag
            expect(reply).that(known, expected="the ETag of the whole file, with each of its parts")
            same = reply.body == whole[start:end]
            expect(reply).that(
                same, expected=f"the bytes {start} to {end - 1} of {name}", got=f"{len(reply.body)} others"
            )
    expect(server.exchange(last("/notes.txt", "Range: bytes=5-2"))).status(200, 400, 416)
    expect(server.exchange(last("/notes.txt", "Range: lines=1-2"))).status(200)
    expect(server.exchange(last("/notes.txt", "Range: bytes=0-0", method="HEAD"), method="HEAD")).status(200)
    whole = (server.webroot.root / "notes.txt").read_bytes()
    for value in ("-500", "0-" + "9" * 5000):
        reply = server.exchange(last("/notes.txt", f"Range: bytes={value}"))
        if value == "-500" or reply.status in (200, 206):
            expect(reply).status(200, 206).body(whole)
        expect(reply).status(200, 206, 400, 416)
        if reply.status == 206:
            expect(reply).header("Content-Range", f"bytes 0-{len(whole) - 1}/{len(whole)}")
    reply = server.exchange(last("/notes.txt", "Range: bytes=0-0,5-6"))
    expect(reply).status(200, 206)
    kind = (reply.headers.get("Content-Type") or "").lower()
    if reply.status == 206 and not kind.startswith("multipart/byteranges"):
        # RFC 9110 section 15.3.7.2: parts that are close together may be sent as one.
        given = re.match("bytes 0-([0-9]+)/", reply.headers.get("Content-Range") or "")
        both = given is not None and int(given[1]) >= 6 and reply.body == whole[: int(given[1]) + 1]
        expect(reply).that(both, expected="the whole file, or both parts")


@check("ranges/missing", points=1, source="RFC 9110 section 15.5.17", needs=("serve/file",))
def test_a_part_that_is_not_there(server: SocketTarget) -> None:
    """A range behind the end gets 416 with the file's size in Content-Range; a stale If-Range gets the whole file.

    416 tells the size, so that the client can ask again. If-Range: a part of another state would spoil the file.
    """
    whole = (server.webroot.root / "notes.txt").read_bytes()
    for value in (f"{len(whole)}-", "999999-", "-0", "-000", f"{10**30}-", "9" * 5000 + "-"):
        reply = server.exchange(last("/notes.txt", f"Range: bytes={value}"))
        expect(reply).status(416).header("Content-Range", f"bytes */{len(whole)}")
    tag = server.exchange(last("/notes.txt")).headers.get("ETag") or '""'
    stale = ('"other"', date_text(OLD - 1), date_text(OLD + 1), "W/" + tag.removeprefix("W/"))
    for value in stale:
        reply = server.exchange(last("/notes.txt", "Range: bytes=0-4", f"If-Range: {value}"))
        expect(reply).status(200).body(whole)
    reply = server.exchange(last("/notes.txt", "Range: bytes=0-4", f"If-Range: {date_text(OLD)}"))
    expect(reply).status(206).body(whole[:5])
