"""Tidy frames: complete columns of documented types, whatever the ledger holds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import reports
from harness.training.metrics import EXACT_MATCH

NUMBERS = {"accuracy", "loss", "wall_s", "train.lr", "exact_match", "chance", "state_size"}
COUNTS = {"steps", "steps_to_solve", "params", "threads"}
TEXTS = {
    "run_id",
    "arm",
    "model.mixer",
    "purpose",
    "status",
    "message",
    "regime",
    "device",
    "torch",
}


def test_runs_have_every_column_in_its_type(folder):
    runs = reports.load(folder).runs
    assert NUMBERS | COUNTS | TEXTS | {"seed", "ended_at"} <= set(runs.columns)
    types = {"float64": NUMBERS, "Int64": COUNTS, "string": TEXTS, "int64": {"seed"}}
    for name, columns in types.items():
        assert {str(runs[column].dtype) for column in columns} == {name}
    assert str(runs.ended_at.dtype) == "datetime64[us, UTC]"
    ended = runs[runs.status != "missing"].ended_at
    assert (ended == pd.Timestamp(1.7e9, unit="s", tz="UTC")).all()
    assert runs[runs.status == "missing"].ended_at.isna().all()


def test_a_ledger_without_runs_has_the_same_columns_and_types(folder, maker):
    maker.arm("own")
    for full, empty in zip(reports.load(folder), reports.load(maker.done()), strict=True):
        assert full.dtypes.to_dict() == empty.dtypes.to_dict()
        if "n" not in full:  # an arm is planned before its runs
            assert len(empty) == 0


def test_numbers_are_those_of_the_ledger(maker):
    arm = maker.arm("own")
    tests = {EXACT_MATCH: 0.25, "accuracy, h swapped": 0.125}
    maker.run(arm, 3, accuracy=0.5, tests=tests, solved=700, wall_s=2.5, threads=4)
    maker.run(arm, 4, status="diverged")
    one, other = reports.load(maker.done()).runs.to_dict("records")
    expected = {
        "seed": 3, "status": "finished", "accuracy": 0.5, "exact_match": 0.25, "threads": 4,
        "accuracy, h swapped": 0.125, "steps_to_solve": 700, "wall_s": 2.5, "train.lr": 3e-3,
    }  # fmt: skip
    assert {key: one[key] for key in expected} == expected
    assert np.isnan(other["accuracy, h swapped"]) and pd.isna(other["steps_to_solve"])
    assert "stopped being finite" in other["message"]


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ((1, 0.5), "float64", [1.0, 0.5]),
        (("cosine", None), "string", ["cosine", "none"]),
        ((True, False), "string", ["true", "false"]),
        (({"name": "a", "k": 1}, 2), "string", ["a(k=1)", "2"]),
    ],
)
def test_nuisances_are_numbers_or_text(make, tmp_path, values, dtype, expected):
    maker = make(nuisances=[{"train.x": value} for value in values])
    arm = maker.arm("own")
    for seed, value in enumerate(values):
        maker.run(arm, seed, nuisance={"train.x": value})
    runs = reports.load(maker.done()).runs
    assert str(runs["train.x"].dtype) == dtype and runs["train.x"].tolist() == expected
    (path,) = reports.write_parquet(tmp_path / "out", tmp_path / "runs.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(path), runs)


def test_arms_without_a_factor_have_no_level(maker):
    maker.run(maker.arm("a", levels={"model.mixer": "a", "task.length": "16"}), 0)
    maker.run(maker.arm("b", levels={"variant": "b"}), 0)
    frames = reports.load(maker.done())
    for frame in (frames.runs, frames.arms):
        assert frame["task.length"].tolist() == ["16", pd.NA]
        assert frame["variant"].tolist() == [pd.NA, "b"]


def test_arms_join_runs(folder):
    frames = reports.load(folder)
    means = frames.runs[frames.runs.purpose == "confirmation"].groupby("arm").accuracy.mean()
    assert means[frames.arms.arm].tolist() == pytest.approx(frames.arms.accuracy.tolist())
    assert (
        frames.arms.n.sum()
        == (frames.runs.accuracy.notna() & (frames.runs.purpose != "selection")).sum()
    )


def test_claims_are_rows(maker):
    for label, accuracy in (("own", 0.9), ("constant", 0.5)):
        arm = maker.arm(label)
        maker.choose(arm, 3e-3)
        for seed in range(6):
            maker.run(arm, seed, accuracy=accuracy + seed / 100)
    maker.claim(
        {"id": "more", "kind": "greater", "metric": "accuracy", "a": "own", "b": "constant"}
    )
    maker.claim({"id": "less", "kind": "less", "metric": "accuracy", "a": "own", "b": "constant"})
    folder = maker.done()
    claims = reports.load(folder).claims
    from reports import claims as judged

    verdicts = judged.of(folder)
    assert claims.claim.tolist() == ["more", "less"]
    assert claims.verdict.tolist() == [verdict.word for verdict in verdicts]
    assert claims.effect.tolist() == pytest.approx([0.4, -0.4])
    assert (claims.effect_low < claims.effect).all() and (claims.effect < claims.effect_high).all()
    assert claims.p.tolist() == [verdict.p for verdict in verdicts]
