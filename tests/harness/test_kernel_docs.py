"""docs/kernels.md does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest

from harness import weights
from harness.foundation import yaml
from harness.training.cohort import train_cohort
from tests.harness.runs import tiny

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "kernels.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("form", ["circular", "bidirectional"])
def test_the_examples_run(form, tmp_path):
    spec = tiny(model__mixer={"name": "orchid", "form": form})
    train_cohort(
        [spec],
        lambda event: None,
        take_weights=lambda spec, values: weights.save(tmp_path / "own.pt", spec, values, {}),
    )
    code = "import matplotlib\nmatplotlib.use('Agg')\n" + "\n".join(blocks("python"))
    code += "\nassert logits.shape == (4, 1, spec.task.num_outputs)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "MPLCONFIGDIR": matplotlib.get_configdir(), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "kernels.png").stat().st_size > 10_000


def test_the_configuration_is_valid_and_every_intervention_is_described():
    from harness.mixers.orchid.intervention import INTERVENTIONS

    (block,) = blocks("yaml")
    train = yaml.load(block, "kernels.md").data["base"]["train"]
    spec = tiny(**{f"train__{key}": value for key, value in train.items()})
    assert len(spec.train.interventions) == 4
    for name in INTERVENTIONS:
        assert re.search(rf"^\| `(\{{name: )?{name}\b", TEXT, re.MULTILINE), name
