"""The figure of ratios."""

from __future__ import annotations

from xml.etree import ElementTree

from harness.bench import Ratio
from reports.figures import ratios_on_white


def said(text: str) -> tuple[str, str]:
    """Alternative text, and all that is written."""
    root = ElementTree.fromstring(text)
    return root.get("aria-label"), " ".join(" ".join(root.itertext()).split())


def test_every_ratio_is_drawn_and_told():
    lines = [
        Ratio("stacked", "alone", 2.5, 2.0, 3.0, 1.6),
        Ratio("long <L>", "alone", 0.9, 0.8, 1.0),
    ]
    alternative, written = said(ratios_on_white(lines, "orchid bench cohort: two cores"))
    assert alternative == (
        "orchid bench cohort: two cores. stacked against alone: 2.5 (2 to 3), wanted 1.6; "
        "long <L> against alone: 0.9 (0.8 to 1)"
    )
    for words in ("stacked", "long <L>", "ratio to alone", "wanted", "two cores"):
        assert words in written
    assert "against" not in written  # the axis says it for all


def test_different_yardsticks_stand_in_the_names():
    lines = [Ratio("ledger", "SQLite", 0.4, 0.3, 0.5), Ratio("ledger", "5,000", 45, 44, 46)]
    _, written = said(ratios_on_white(lines, "runner"))
    assert "ledger, against SQLite" in written and "ledger, against 5,000" in written
    assert "wanted" not in written


def test_ratios_that_are_one_can_be_drawn():
    assert said(ratios_on_white([Ratio("a", "b", 1.0, 1.0, 1.0)], "t"))[0].endswith("1 (1 to 1)")


def test_equal_ratios_give_equal_bytes():
    lines = [Ratio("a", "b", 1.5, 1.4, 475.0)]
    assert ratios_on_white(lines, "t") == ratios_on_white(lines, "t")
