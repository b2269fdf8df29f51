"""Weights come back as the model that was trained, and what is no such file is said."""

from __future__ import annotations

import pytest
import torch

from harness import weights
from harness.foundation.errors import HarnessError
from harness.training.cohort import train_cohort
from harness.training.data import evaluation_batch, examples
from harness.training.evaluation import loss_per_target
from harness.training.events import Measured
from tests.harness.runs import tiny

MODELS = {
    "orchid": {"model__mixer": "orchid"},
    "batch norm": {
        "model__mixer": {"name": "orchid", "conditioning": {"name": "power", "norm": "batchnorm"}}
    },
    "attention": {"model__mixer": "attention", "model__positions": "learned"},
    "listops": {"task": {"name": "listops", "max_depth": 3, "max_args": 3, "min_length": 4,
                         "max_length": 16}},
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_saved_member_is_the_trained_model(name, tmp_path):
    """It has the test loss that was measured in the cohort, to float32's rounding."""
    specs = [tiny(**MODELS[name], train__steps=10, train__lr=1e-2, seed=k) for k in range(3)]
    events, taken = [], {}
    train_cohort(
        specs, events.append, take_weights=lambda spec, values: taken.update({spec.seed: values})
    )
    tested = [e for e in events if isinstance(e, Measured) and e.split == "test"]
    for spec, measured in zip(specs, tested, strict=True):
        path = weights.save(tmp_path / "deep" / "w.pt", spec, taken[spec.seed], {"commit": "abc"})
        again, model = weights.load(path)
        assert again == spec
        assert not model.training
        batch = examples(spec, evaluation_batch(spec.task, "test", spec.train.test_examples))
        with torch.no_grad():
            logits = model(batch.inputs, batch.scored).unsqueeze(0)
        loss = loss_per_target(logits, batch.targets.unsqueeze(0)).mean()
        assert float(loss) == pytest.approx(measured.values["loss"], rel=1e-5)
    assert not list(tmp_path.rglob("*.part"))
    plain = torch.load(path, weights_only=True)
    assert plain["run_id"] == spec.run_id
    assert list(plain["weights"]) == list(model.state_dict())


def test_a_run_that_diverges_leaves_no_weights():
    changes = {"train__clip_norm": None, "train__warmup_steps": 0, "train__weight_decay": 0.0}
    wild, calm = tiny(**changes, train__lr=1e30), tiny(**changes)
    taken = []
    train_cohort(
        [wild, calm], lambda event: None, take_weights=lambda spec, _: taken.append(spec.run_id)
    )
    assert taken == [calm.run_id]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "no such file"), (b"", "no file of weights"), (b"PK", "no file of weights")],
)
def test_what_is_no_file_of_weights(content, said, tmp_path):
    if content is not None:
        (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(HarnessError, match=said):
        weights.load(tmp_path / "w.pt")


def test_other_torch_files_and_other_models_are_refused(tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "w.pt")
    with pytest.raises(HarnessError, match="format 1"):
        weights.load(tmp_path / "w.pt")
    weights.save(tmp_path / "w.pt", tiny(), {"embedding.weight": torch.ones(1)}, {"commit": "abc"})
    with pytest.raises(HarnessError, match="do not fit") as refused:
        weights.load(tmp_path / "w.pt")
    assert "abc" in str(refused.value)
    (tmp_path / "file").write_text("")
    with pytest.raises(HarnessError, match="cannot be written"):
        weights.save(tmp_path / "file" / "w.pt", tiny(), {}, {})
