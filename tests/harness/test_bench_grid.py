"""The grid's benchmark: that its parts are the whole, not how long they take."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablations.ledger import Ledger
from harness.bench import grid
from harness.bench.grid import Span
from harness.foundation.errors import HarnessError
from harness.training.clock import PARTS


def span(start: float, end: float, evaluation: float = 0.0) -> Span:
    seconds = dict.fromkeys(PARTS, 0.0) | {"evaluation": evaluation}
    return Span(start, end, seconds | {"steps": end - start - evaluation})


def test_cohorts_go_to_the_worker_that_waits_longest():
    long, short, third, fourth = span(2, 50), span(3, 10), span(11, 30), span(31, 40)
    found = grid.in_workers([fourth, long, third, short], 2)
    assert found == [[long], [short, third, fourth]]


def test_parts_are_means_over_workers_and_add_up_to_the_whole():
    workers = [[span(2, 50, evaluation=8)], [span(3, 10), span(11, 30), span(31, 40)]]
    parts = grid.parts_of(workers, closed=52, whole=60)
    assert parts == {
        "start-up": 2.5, "setup": 0, "data": 0, "steps": (40 + 35) / 2, "evaluation": 4, "test": 0,
        "handing on": 1, "idle": 5, "ledger": 2, "report": 8,
    }  # fmt: skip
    assert sum(parts.values()) == 60


def test_a_small_grid_from_the_command_to_its_report():
    result = grid.measure(2, ("short_conv", "long_conv"))
    parts = result["parts"]
    assert sum(parts.values()) == pytest.approx(result["wall_s"])
    for name in ("start-up", "setup", "data", "steps", "evaluation", "test", "ledger", "report"):
        assert parts[name] > 0, name
    (ratio,) = grid.ratios(result)
    assert ratio.ratio == parts["steps"] / result["wall_s"] and ratio.wanted == 0.9
    text = grid.render(result)
    assert "8 runs of 2 steps (2 conditions x 4 seeds) on 2 workers" in text
    assert all(f"  {name} " in text for name in parts)


def test_time_that_no_cohort_explains_is_an_error(monkeypatch):
    seconds = dict.fromkeys(PARTS, 0.0)
    gap = [Span(0, 1, seconds), Span(0, 1, seconds), Span(1e6, 1e6, seconds)]
    monkeypatch.setattr(grid, "_run", lambda words: write_ledger(words[2]))
    monkeypatch.setattr(grid, "_cohorts", lambda folder, begun: gap)
    with pytest.raises(HarnessError, match="in no part of a cohort"):
        grid.measure(2)


def write_ledger(folder: str) -> None:
    with Ledger(Path(folder)):
        pass


def test_a_command_that_fails_is_told():
    with pytest.raises(HarnessError, match=r"(?s)ended with 2: error: .*no_such_mixer"):
        grid.measure(2, ("no_such_mixer",))
