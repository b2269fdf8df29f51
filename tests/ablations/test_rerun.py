"""A run of a ledger trained again: the same numbers, the same ledger, and clear refusals."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from ablations import executors, runner
from ablations.ledger import FILE
from ablations.rerun import find, rerun
from harness import weights
from harness.foundation.errors import HarnessError
from tests import command
from tests.ablations.examples import load

ORCHID = """
name: small
question: Must the kernel see the input?
base:
  task: {name: associative_recall, vocab_size: 10, length: 8}
  model: {width: 8, layers: 1, mixer: orchid}
  train:
    steps: 4
    warmup_steps: 0
    batch_size: 4
    eval_every: 2
    validation_examples: 8
    test_examples: 8
    interventions: [swapped]
factors:
  model.mixer.conditioning: [magnitude, static]
seeds: {confirmation: 2}
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    """A folder with runs/small-smoke in it."""
    root = tmp_path_factory.mktemp("rerun")
    engine = executors.make("local", workers=1, device="cpu")
    runner.run(load(ORCHID), out=root / "runs" / "small-smoke", engine=engine)
    return root


@pytest.fixture
def orchid(done, monkeypatch):
    monkeypatch.chdir(done)
    return command.orchid


def ids(folder: Path) -> list[str]:
    db = sqlite3.connect(folder / FILE)
    found = [row[0] for row in db.execute("SELECT run_id FROM runs ORDER BY run_id")]
    db.close()
    return found


def copied(done: Path, tmp_path: Path, *statements: str) -> Path:
    """A copy of the ledger, changed."""
    (tmp_path / FILE).write_bytes((done / "runs/small-smoke" / FILE).read_bytes())
    db = sqlite3.connect(tmp_path / FILE)
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()
    return tmp_path


def test_the_numbers_are_the_same_bit_for_bit(orchid, done):
    """Trained there in a cohort of two, here alone."""
    folder = done / "runs" / "small-smoke"
    before = (folder / FILE).read_bytes()
    for run_id in ids(folder):
        outcome = rerun(find(run_id, [folder]))
        assert outcome.is_equal
        assert outcome.circumstances == {}
        assert outcome.num > 10
    said = orchid("rerun", ids(folder)[0], "--in", "runs/small-smoke").stdout
    assert "bit for bit" in said
    assert "seed" in said
    assert (folder / FILE).read_bytes() == before


def test_weights_are_saved_and_are_those_of_the_run(orchid, done):
    folder = done / "runs" / "small-smoke"
    run_id = ids(folder)[0]
    found = json.loads(orchid("rerun", run_id[:9], "--json", "--save-weights").stdout)
    assert found["equal"] is True
    assert found["weights"] == f"runs/small-smoke/weights/{run_id}.pt"
    spec, model = weights.load(found["weights"])
    assert spec.run_id == run_id
    assert sum(value.numel() for value in model.parameters()) > 100
    orchid("rerun", run_id, "--save-weights", "elsewhere/own.pt")
    assert weights.load("elsewhere/own.pt")[0] == spec


def test_other_numbers_are_told_with_what_else_differs(done, tmp_path, orchid):
    folder = copied(
        done,
        tmp_path,
        "UPDATE measurements SET value = value * 1.001 WHERE metric = 'loss' AND split = 'test'",
        "UPDATE runs SET provenance = json_set(provenance, '$.torch', '2.0.0')",
    )
    outcome = rerun(find(ids(folder)[0], [folder]))
    assert [name for name, _, _ in outcome.differing] == ["test loss after 4 steps"]
    said = orchid("rerun", ids(folder)[0], "--in", str(folder), code=1).stdout
    assert "1 of " in said
    assert "at most 0.001 of their size" in said
    assert "torch: 2.0.0 then" in said
    lost = copied(done, tmp_path, "DELETE FROM measurements WHERE metric = 'accuracy'")
    assert "none then" in rerun(find(ids(folder)[0], [lost])).render()


def test_what_cannot_be_found(done, tmp_path):
    folder = done / "runs" / "small-smoke"
    known = ids(folder)
    wrong = known[0][:-1] + ("0" if known[0][-1] != "0" else "1")
    with pytest.raises(HarnessError, match="did you mean") as error:
        find(wrong, [folder])
    assert known[0] in str(error.value)
    with pytest.raises(HarnessError, match="no run 'zzz' among 4") as error:
        find("zzz", [folder])
    assert "report.html" in str(error.value)
    with pytest.raises(HarnessError, match="there are no runs here"):
        find("ab", [])
    with pytest.raises(HarnessError, match="no ledger here"):
        find("ab", [tmp_path])
    twins = copied(
        done,
        tmp_path,
        *(
            f"UPDATE {table} SET run_id = 'abc{number}' WHERE run_id = '{run_id}'"
            for table in ("runs", "plan", "measurements")
            for number, run_id in enumerate(known)
        ),
    )
    with pytest.raises(HarnessError, match="4 runs begin with 'abc'") as error:
        find("abc", [twins])
    listed = [line.strip() for line in str(error.value).splitlines() if line.strip()[:3] == "abc"]
    assert len(listed) == 4
    assert all(", confirmation seed" in line for line in listed)
    with pytest.raises(HarnessError, match="the code has changed since abc0"):
        rerun(find("abc0", [twins]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DELETE FROM runs", "has not been trained yet"),
        ("UPDATE runs SET status = 'failed', message = 'no such luck'", "no such luck"),
        ("UPDATE runs SET spec = NULL", "no specification"),
    ],
)
def test_what_has_no_numbers(done, tmp_path, change, said):
    known = ids(done / "runs" / "small-smoke")
    folder = copied(done, tmp_path, change)
    with pytest.raises(HarnessError, match=said):
        rerun(find(known[0], [folder]))


def test_the_command_says_errors(orchid):
    assert "no run 'zzz'" in orchid("rerun", "zzz", code=2).stderr
    assert "nothing has been run" in orchid("rerun", "a", "--in", "quickstart", code=2).stderr


def test_a_run_that_is_recorded_twice_is_taken_where_it_was_trained(done, tmp_path):
    known = ids(done / "runs" / "small-smoke")
    planned = copied(done, tmp_path, "DELETE FROM runs")
    found = find(known[0], [planned, done / "runs" / "small-smoke"])
    assert found.folder == done / "runs" / "small-smoke"
