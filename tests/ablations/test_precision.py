"""train.precision as a factor, from YAML to the ledger; TF32 on a CPU is refused at the start."""

from __future__ import annotations

import json

import pytest

from ablations import executors, runner
from ablations.ledger import open_for_reading
from harness.foundation.errors import HarnessError
from tests.ablations.examples import SMALL, changed, load
from tests.command import orchid

BOTH = ("  model.mixer:", "  train.precision: [float32, bfloat16]\n  model.mixer:")
TF32 = ("  model.mixer:", "  train.precision: [float32, tf32]\n  model.mixer:")


def losses(folder) -> dict[tuple[str, str], set]:
    """(mixer, precision) -> losses of all its seeds."""
    db = open_for_reading(folder)
    rows = db.execute(
        "SELECT spec, value FROM measurements JOIN runs USING (run_id) "
        "WHERE split = 'test' AND metric = 'loss' AND status = 'finished'"
    ).fetchall()
    db.close()
    found: dict[tuple[str, str], set] = {}
    for text, value in rows:
        spec = json.loads(text)
        key = spec["model"]["mixer"]["name"], spec["train"].get("precision", "float32")
        found.setdefault(key, set()).add(value)
    return found


def test_precision_is_a_factor_like_any_other(tmp_path):
    (tmp_path / "both.yaml").write_text(SMALL.replace(*BOTH))
    out = tmp_path / "out"
    orchid("run", str(tmp_path / "both.yaml"), "--out", str(out), "--device", "cpu",
           "--executor", "local", "--workers", "1")  # fmt: skip
    found = losses(out)
    assert set(found) == {
        (mixer, name) for mixer in ("attention", "long_conv") for name in ("float32", "bfloat16")
    }
    for mixer in ("attention", "long_conv"):
        plain, lowered = found[mixer, "float32"], found[mixer, "bfloat16"]
        assert len(plain) == len(lowered) == 2 and not plain & lowered
        assert sorted(lowered) == pytest.approx(sorted(plain), abs=0.02)
    assert "bfloat16" in (out / "report.html").read_text()


def test_tf32_on_a_cpu_is_refused_before_anything_is_trained(tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL.replace(*TF32))
    words = ["run", str(tmp_path / "small.yaml"), "--out", str(tmp_path / "out")]
    said = orchid(*words, "--device", "cpu", code=2).stderr
    assert "precision=tf32, mixer=attention" in said and "precision=float32" not in said
    assert "--device cuda" in said and "float32 or bfloat16" in said
    assert not (tmp_path / "out").exists()


def test_also_where_it_is_a_nuisance_or_the_base(tmp_path):
    for change in (
        ("seeds: {confirmation: 2}",
         "nuisance: {train.precision: [float32, tf32]}\nseeds: {selection: 1, confirmation: 2}"),
        ("    steps: 4", "    precision: tf32\n    steps: 4"),
    ):  # fmt: skip
        engine = executors.make("local", workers=1, device="cpu")
        with pytest.raises(HarnessError, match=r"attention, .*long_conv"):
            runner.run(load(changed(change)), out=tmp_path / "out", engine=engine)
    assert not (tmp_path / "out").exists()
