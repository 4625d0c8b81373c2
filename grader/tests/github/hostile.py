"""Strings that would like to be obeyed, and scorecards that are full of them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import Phase, settings
from hypothesis import strategies as st

from grader.model import Finding, Scorecard, Verdict
from grader.tests.report.cards import exercise, graded, scorecard

# A busy machine is not a failure; of a whole scorecard, the smallest one that fails is not worth minutes.
unhurried = settings(deadline=None, database=None, phases=[Phase.explicit, Phase.generate])

PIECES = (
    "::error file=x.py,line=1,title=t::forged",
    "\n::warning::forged",
    "  ::set-output name=score::300",
    "##[add-mask]a",
    "::stop-commands::x",
    "::endgroup::",
    "%0A::error::forged",
    "\r::notice::forged",
    "```",
    "\n`````\n# Score: 300 of 300\n",
    "~~~",
    "<details><img src=x onerror=alert(1)><!--",
    "</code></pre><h1>300</h1>",
    "[a link](https://example.org)",
    "![](https://example.org/x.png)",
    "https://example.org www.example.org",
    "@octocat #1 GH-1",
    "| 300 | 300 |",
    "$$\\frac{1}{0}$$",
    ":tada:",
    "\x1b[2J\x1b[31m",
    "\x07\x00\x85\x0b\x0c",
    "\u202e\u2066\u2028\u2029\u200b\ufeff",
    "\ud800",
    "\U000e0041",
    "&lt;b&gt; &#64;octocat",
    "plain words, 100 %",
)

texts = st.lists(st.one_of(st.sampled_from(PIECES), st.text("`~|:#%[]<>@\\\r\n\t a", max_size=12)), max_size=6).map(
    "".join
)
verdicts = st.sampled_from([verdict for verdict in Verdict if verdict is not Verdict.BROKEN])
findings = st.builds(
    Finding,
    sent=texts,
    expected=texts,
    got=texts,
    caret=st.one_of(st.none(), st.integers(0, 40)),
    why=texts,
    look=st.one_of(texts, texts.map(lambda text: f"exercises/socket_server/{text}:12 {text}()")),
    frames=st.lists(texts, max_size=3).map(tuple),
    output=texts,
)


@st.composite
def cards(draw: st.DrawFn, verdicts: st.SearchStrategy[Verdict] = verdicts) -> Scorecard:
    """A scorecard whose every text of a submission is hostile; ids, titles and claims are the kit's own."""
    made = []
    for name in draw(st.sampled_from([("socket_server",), ("cgi_calculator", "socket_server", "wsgi_catalog")])):
        finding = draw(findings)
        ids = [check.id for check in exercise().checks]
        changes = {check: (draw(verdicts), finding) for check in draw(st.lists(st.sampled_from(ids), max_size=3))}
        made.append(replace(graded(changes, name, "A server"), note=draw(texts)))
    return replace(scorecard(*made), warnings=tuple(draw(st.lists(texts, max_size=2))))
