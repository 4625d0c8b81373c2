"""From a target to a file, as functions."""

from __future__ import annotations

import os

from hypothesis import strategies as st

from grader.checks.socket_server.wire import VISIBLE, file_names, percent
from grader.engine import check, expect, fuzz
from grader.sandbox.worker import Returned
from grader.target.function import Module
from grader.target.webroot import Webroot

TARGETS = {
    ("GET", "/"): ("/", ""),
    ("GET", "/a%20b?x=1"): ("/a%20b", "x=1"),
    ("GET", "/a?x=1?y=/2"): ("/a", "x=1?y=/2"),
    ("GET", "/a?"): ("/a", ""),
    ("GET", "//a//b"): ("//a//b", ""),
    ("GET", "/http://b/"): ("/http://b/", ""),
    ("GET", "http://example.org/a/b?c=d"): ("/a/b", "c=d"),
    ("GET", "http://example.org:8080/"): ("/", ""),
    ("GET", "HTTP://EXAMPLE.ORG"): ("/", ""),
    ("HEAD", "http://[::1]:80?x"): ("/", "x"),
    ("OPTIONS", "*"): ("*", ""),
}
BAD_TARGETS = (
    ("GET", "*"), ("POST", "*"), ("GET", "a/b"), ("GET", "index.html"), ("GET", "localhost:80"), ("GET", "http:///a"),
    ("GET", "ftp://localhost/"), ("GET", "http:/a"), ("GET", "/a#b"), ("GET", "http://a b/"), ("GET",
    "http://user@a/"),
    ("GET", "?x=1"), ("OPTIONS", "**"), ("GET", "http://a:b/"), ("GET", "/a?b#c"),
)  # fmt: skip
CLEAN = {
    "/": "/",
    "/a/./b/../c%20d": "/a/c d",
    "/a/b/..": "/a/",
    "/a/b/.": "/a/b/",
    "/a/b/../..": "/",
    "//x//y": "/x/y",
    "//x//": "/x/",
    "/../z": "/z",
    "/..": "/",
    "/../../../..": "/",
    "/%2e%2e/": "/",
    "/a/%2E%2e/b": "/b",
    "/a/.%2e/%2e/b": "/b",
    "/%2541": "/%41",
    "/%252e%252e/x": "/%2e%2e/x",
    "/a+b": "/a+b",
    "/gr%C3%BC%c3%9fe": "/gr\xfc\xdfe",
    "/...": "/...",
    "/.hidden/..a": "/.hidden/..a",
}
BAD_PATHS = (
    "/%",
    "/%4",
    "/%zz",
    "/a%4",
    "/%+1",
    "/% 41",
    "/%00",
    "/a%00.txt",
    "/%2f",
    "/a%2Fb",
    "/%5c..",
    "/..\\x",
    "/%ff",
    "/%C3",
    "/%ed%a0%80",
)
TYPES = {
    "index.html": "text/html; charset=utf-8",
    "PAGE.HTM": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "notes.txt": "text/plain; charset=utf-8",
    "a.b/c.d.json": "application/json",
    "plug.svg": "image/svg+xml",
    "dawn.PNG": "image/png",
    "x.jpeg": "image/jpeg",
    "no_suffix": "application/octet-stream",
    "a.tar.unknown": "application/octet-stream",
    "html": "application/octet-stream",
    "dir.html/x": "application/octet-stream",
}

segments = file_names.filter(lambda name: name not in (".", ".."))


@check("paths/target", points=1, source="RFC 9112 section 3.2")
def test_path_and_query_of_a_target(module: Module) -> None:
    """parse_target() finds path and query in origin-form and absolute-form, and knows OPTIONS *.

    A target is a path, a whole address, or * with OPTIONS. The query begins at the first question mark.
    """
    for (method, target), expected in TARGETS.items():
        expect(module.call("parse_target", method, target)).returns_sequence(list(expected))
    for method, target in BAD_TARGETS:
        expect(module.call("parse_target", method, target)).raises("HttpError", status=400)


@check("paths/clean", points=1, source="RFC 3986 section 5.2.4")
def test_dot_segments_and_escapes(module: Module) -> None:
    """clean_path() decodes once, removes dot segments, joins runs of slashes and keeps a slash at the end.

    Segments . and .. are resolved before anything is looked up, and after the one decoding, for %2e is a dot.
    """
    for raw, expected in CLEAN.items():
        expect(module.call("clean_path", raw)).returns(expected)


@check("paths/escapes", points=1, source="RFC 3986 section 2.1")
@fuzz(
    share=0.6,
    names=st.lists(segments, min_size=1, max_size=3),
    plain=st.text(VISIBLE, max_size=10),
    ending=st.sampled_from(["", "/"]),
)
def test_escaped_names_come_back(module: Module, names: list[str], plain: str, ending: str) -> None:
    """Any names, percent-encoded, come back from clean_path().

    An escape stands for one byte of UTF-8. Decoded once, every name is what it was before it was encoded.
    """
    letters = "".join(set(plain) - set("%/\\?#"))
    raw = "/" + "/".join(percent(name, letters) for name in names) + ending
    expect(module.call("clean_path", raw)).returns("/" + "/".join(names) + ending)


@check("paths/bad-escapes", points=1, source="kit rule")
def test_bad_escapes_are_refused(module: Module) -> None:
    """A bad escape, NUL, bytes that are not UTF-8, an escaped slash and any backslash raise HttpError 400.

    README, "Files": bytes are UTF-8. A slash or NUL that comes in an escape means one thing before and another
    after decoding.
    """
    expect(module.call("clean_path", "/a%20b")).returns("/a b")
    for raw in BAD_PATHS:
        expect(module.call("clean_path", raw)).raises("HttpError", status=400)


@check("paths/never-up", points=1, source="RFC 3986 section 5.2.4")
@fuzz(
    share=0.8,
    raw=st.lists(
        st.sampled_from(["/", "/", ".", "..", "%2e", "%2E", "%2f", "%", "a", "%00", "\\", "%c0%ae", "%25"]), max_size=9
    ),
)
def test_a_clean_path_has_no_dots_left(module: Module, raw: list[str]) -> None:
    """Whatever the path, clean_path() returns one without . and .. segments or raises HttpError 400.

    Whatever comes out of clean_path() is appended to the root: one .. left in it leads to any file of the machine.
    """
    expect(module.call("clean_path", "/a/b")).returns("/a/b")
    called = module.call("clean_path", "/" + "".join(raw))
    if not isinstance(called, Returned):
        expect(called).raises("HttpError", status=400)
        return

    def holds(path: object) -> bool:
        return isinstance(path, str) and path.startswith("/") and not {".", ".."} & set(path.split("/"))

    expect(called).returns_that(holds, 'a path that begins with "/" and has no segment "." or ".."')


@check("paths/find", points=1, source="kit rule")
def test_files_and_folders_are_found(module: Module, webroot: Webroot) -> None:
    """find_file() returns the real location of what is there, a folder's with a separator at its end.

    The docstring of find_file(): the real location, links followed, that of a folder with the separator at its end.
    """
    root = str(webroot.root)
    for path in ("/notes.txt", "/docs/chapters/one.txt", "/names/once%20only.txt", "/no_suffix"):
        expect(module.call("find_file", root, path)).returns(root + path.replace("/", os.sep))
    for path in ("/", "/docs/", "/docs/chapters"):
        expected = (root + path.rstrip("/")).replace("/", os.sep) + os.sep
        expect(module.call("find_file", root, path)).returns(expected)
    if webroot.links:
        expect(module.call("find_file", root, "/inside.txt")).returns(root + os.sep + "notes.txt")


@check("paths/find-refuses", points=1, source="kit rule", needs=("paths/find",))
def test_what_is_not_there_or_not_for_clients_is_refused(module: Module, webroot: Webroot) -> None:
    """Nothing there, a file with a slash after it, a hidden name: HttpError 404. A link that leads out: 403.

    README, "Files": what is hidden is not there for clients, and nothing outside the root is ever sent.
    """
    root = str(webroot.root)
    if (webroot.root / "pipe").exists():
        expect(module.call("find_file", root, "/pipe")).raises("HttpError", status=404)
    missing = (
        "/nothing",
        "/notes.txt/",
        "/notes.txt/x",
        "/" + "a" * 300,
        "/.hidden.txt",
        "/.git/config",
        "/.git/",
        "/a/.b",
    )
    for path in missing:
        expect(module.call("find_file", root, path)).raises("HttpError", status=404)
    if webroot.links:
        for path in ("/outside.txt", "/outside/secret.txt", "/outside", "/revealed.txt"):
            expect(module.call("find_file", root, path)).raises("HttpError", status=403)


@check("paths/types", points=1, source="kit rule")
def test_media_types(module: Module) -> None:
    """media_type() looks the suffix up in MEDIA_TYPES, in any case.

    README, "Files": the type is that of the suffix in MEDIA_TYPES. A browser goes by it, not by the name.
    """
    for name, expected in TYPES.items():
        expect(module.call("media_type", name)).returns(expected)
