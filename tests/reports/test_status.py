"""How far an ablation has come."""

from __future__ import annotations

import json

import pytest

from harness.foundation.errors import HarnessError
from reports.records import read
from reports.savings import steps_saved
from reports.status import read_status, render_status
from tests.reports.conftest import STEPS


def test_counts_are_those_of_the_plan(folder):
    found = read_status(folder)
    counts = {key: found[key] for key in ("planned", "finished", "diverged", "failed", "left")}
    assert counts == {"planned": 63, "finished": 60, "diverged": 1, "failed": 1, "left": 2}
    assert "planned 63, finished 60, diverged 1, failed 1, left 2" in render_status(found)


def test_steps_saved_are_told_by_cause(maker):
    arm = maker.arm("own")
    maker.run(arm, 0, steps=STEPS // 4)
    maker.run(arm, 1)
    maker.run(arm, 2, status="failed", steps=None)
    maker.run(arm, 3, status=None)
    maker.db.commit()
    stopped = read_status(maker.folder)
    expected = {"planned": 2 * STEPS, "by_stopping": 3 * STEPS // 4, "by_diverging": 0}
    assert stopped["steps"] == expected
    text = "Early stopping saved 38 % of the planned steps (1,200 of 3,200)."
    assert text in render_status(stopped)
    maker.run(arm, 4, status="diverged", steps=600)
    both = render_status(read_status(maker.done()))
    assert "saved 25 % of the planned steps (1,200 of 4,800); runs that diverged left out" in both
    assert "left out 21 % of the planned steps (1,000 of 4,800)." in both


def test_nothing_is_said_of_steps_where_none_were_saved(maker):
    maker.run(maker.arm("own"), 0)
    found = read_status(maker.done())
    assert found["steps"]["planned"] == STEPS
    assert "planned steps" not in render_status(found)


def test_runs_that_diverged_are_no_early_stopping(maker):
    maker.run(maker.arm("own"), 0, status="diverged", steps=STEPS // 2)
    text = render_status(read_status(maker.done()))
    assert "Runs that diverged left out 50 % of the planned steps (800 of 1,600)." in text
    assert "Early" not in text


def test_steps_that_a_nuisance_sets_are_the_planned_ones(maker):
    run_id = maker.run(maker.arm("own"), 0, steps=100, nuisance={"train.steps": 400})
    spec = json.dumps({"train": {"steps": 400}})
    maker.db.execute("UPDATE runs SET spec = ? WHERE run_id = ?", (spec, run_id))
    folder = maker.done()
    assert read_status(folder)["steps"]["planned"] == 400
    (run,) = read(folder).runs
    assert run.planned_steps == 400
    assert "75 % of the planned steps (300 of 400)" in steps_saved(read(folder))


def test_nothing_planned_is_told(maker):
    maker.db.execute("DELETE FROM meta WHERE key <> 'version'")
    with pytest.raises(HarnessError, match="nothing has been planned here yet"):
        read_status(maker.done())
