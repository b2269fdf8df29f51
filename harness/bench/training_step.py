"""One whole training step of a cohort, to be timed."""

from __future__ import annotations

import torch

from harness.foundation.config import parse
from harness.spec import RunSpec
from harness.training.data import CohortData
from harness.training.gradient import Gradients
from harness.training.optimiser import AdamW, clip_
from harness.training.stack import Stack


def specification(mixer: str, *, width: int, length: int, batch: int) -> RunSpec:
    """Associative recall with two layers of the mixer."""
    return parse(
        RunSpec,
        {
            "task": {"name": "associative_recall", "vocab_size": 20, "length": length},
            "model": {"mixer": mixer, "width": width},
            "train": {"batch_size": batch, "validation_examples": 8, "test_examples": 8},
        },
    )


class TrainingStep:
    """Forward and backward pass, clipping, optimiser, on examples that are there; on a CPU."""

    def __init__(self, spec: RunSpec, members: int):
        specs = [spec.model_copy(update={"seed": seed}) for seed in range(members)]
        source = CohortData(specs)
        self.examples = source.step(0)
        source.close()
        self.stack = Stack(spec, [each.seed_key for each in specs], torch.device("cpu"))
        self.passes = Gradients(self.stack)
        self.optimiser = AdamW(
            self.stack,
            lr=[each.train.lr for each in specs],
            weight_decay=[each.train.weight_decay for each in specs],
            betas=spec.train.betas,
        )

    def __call__(self) -> None:
        _, grads = self.passes(self.examples)
        clip_(grads, 1.0)
        self.optimiser.step(self.stack, grads, 1.0)
