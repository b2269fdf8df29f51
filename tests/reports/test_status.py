"""How far an ablation has come."""

from __future__ import annotations

import pytest

from harness.foundation.errors import HarnessError
from reports.status import read_status, render_status


def test_counts_are_those_of_the_plan(folder):
    found = read_status(folder)
    counts = {key: found[key] for key in ("planned", "finished", "diverged", "failed", "left")}
    assert counts == {"planned": 63, "finished": 60, "diverged": 1, "failed": 1, "left": 2}
    assert "planned 63, finished 60, diverged 1, failed 1, left 2" in render_status(found)


def test_nothing_planned_is_told(maker):
    maker.db.execute("DELETE FROM meta WHERE key <> 'version'")
    with pytest.raises(HarnessError, match="nothing has been planned here yet"):
        read_status(maker.done())
