"""What the driver's ledger writes, reports read: events in, answer out."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import reports
from ablations.ledger import Ledger, Selection
from harness.foundation.config import Config
from harness.training.events import Diverged, Failed, Finished, Measured, Slice, Started


class Spec(Config):
    """Stands for a RunSpec, which needs torch."""

    seed: int
    purpose: str = "confirmation"
    lr: float = 0.1

    @property
    def run_id(self) -> str:
        return f"{self.purpose}-{self.seed}"


class Seeds(Config):
    """Stands for the ablation's Seeds."""

    selection: int
    confirmation: int


def test_events_become_the_answer(tmp_path):
    arm = SimpleNamespace(label="a", levels={"mixer": "a"}, condition_id="c", spec=Spec(seed=0))
    runs = [SimpleNamespace(arm=arm, spec=Spec(seed=k), nuisance={"lr": 0.1}) for k in range(4)]
    ablation = SimpleNamespace(
        name="n", question="q?", source={}, scale="smoke", metric="accuracy", baseline=None,
        seeds=Seeds(selection=0, confirmation=4), factors={"mixer": ["a"]},
        nuisances=[{"lr": 0.1}, {"lr": 0.2}],
        grid_id="g", protocol=None, score=None, text="", file="n.yaml", overrides=(), arms=[arm],
        claims=(), multiverse=None,
    )  # fmt: skip
    with Ledger(tmp_path) as ledger:
        ledger.write_plan(ablation, {"c": {"steps": 100, "chance": 0.5, "shortcuts": {}}}, runs, 0)
        scores = [{"nuisance": {"lr": r}, "accuracy": r, "solve_rate": 1.0} for r in (0.1, 0.2)]
        ledger.write_selection("c", "g", Selection({"lr": 0.1}, scores, ""))
        for run, accuracy, solved in zip(runs, (0.8, 0.9), (50, None), strict=False):
            key = run.spec.run_id
            ledger.append(Started(key))
            ledger.append(Measured(key, 50, "validation", {"accuracy": 0.7, "loss": 1.0}))
            ledger.append(Measured(key, 100, "test", {"accuracy": accuracy, "loss": 0.5}))
            slices = (Slice("distance", 1, 0.5, 10, 0.7),)
            ledger.append(Finished(key, 100, 2.0, solved, slices, {"device": "cpu"}, {}))
        ledger.append(Diverged(runs[2].spec.run_id, 7, 1.0, "went up", {"device": "cpu"}, {}))
        ledger.append(Failed(runs[3].spec.run_id, "boom", "trace"))
    found = reports.load(tmp_path)
    assert found.runs.status.tolist() == ["finished", "finished", "diverged", "failed"]
    assert found.runs.accuracy.tolist()[:2] == [0.8, 0.9]
    assert found.slices.accuracy.tolist() == [0.5, 0.5]
    header, line = reports.to_csv(tmp_path).splitlines()
    row = dict(zip(header.split(","), line.split(","), strict=True))
    assert float(row["accuracy"]) == pytest.approx(0.85)
    assert (row["n"], row["diverged"], row["failed"], row["solved"]) == ("2", "1", "1", "1")
    assert row["chosen"] == "lr 0.1"
    page = reports.write_html(tmp_path).read_text()
    assert "went up" in page and "boom" in page and "Tuning curves" in page
