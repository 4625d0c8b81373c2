"""Step words: a function."""

from hypothesis import strategies as st

from grader.engine import check, expect, fuzz
from grader.target.function import Module


@check("words/abc", points=10, source="kit rule")
def test_abc(module: Module) -> None:
    """backwards("abc") is "cba"."""
    expect(module.call("backwards", "abc")).returns("cba")


@check("words/fuzz", points=20, source="kit rule", needs=["words/abc"])
@fuzz(text=st.text("ab <&"))
def test_every_text(module: Module, text: str) -> None:
    """backwards() turns every text around."""
    expect(module.call("backwards", text)).returns(text[::-1])
