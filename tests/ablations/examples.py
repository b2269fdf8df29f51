"""A small ablation in text, and how to load it."""

from __future__ import annotations

from ablations.ablation import Ablation
from ablations.reading import from_document
from harness.foundation import yaml

SMALL = """
name: small
question: Which mixer?
base:
  task: {name: associative_recall, vocab_size: 10, length: 8}
  model: {width: 8, layers: 1, mixer: attention}
  train:
    steps: 4
    warmup_steps: 0
    batch_size: 4
    eval_every: 2
    validation_examples: 8
    test_examples: 8
factors:
  model.mixer: {attention: attention, long_conv: {name: long_conv}}
seeds: {confirmation: 2}
"""

# A task that raises, or kills its process, when training draws from it.
TROUBLE_PLUGIN = """
import os, signal
from tasks.associative_recall import AssociativeRecall
from tasks.base import register

@register("trouble")
class Trouble(AssociativeRecall):
    kind: str = "none"

    def sample_for(self, role, rng, n):
        if role == "train":
            if self.kind == "raise":
                raise RuntimeError("no such luck")
            if self.kind == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
        return super().sample_for(role, rng, n)
"""


def load(text: str = SMALL, scale: str = "smoke", overrides: tuple[str, ...] = ()) -> Ablation:
    """The ablation of a text."""
    return from_document(yaml.load(text, "f.yaml"), text, scale, overrides)


def changed(*pairs: tuple[str, str]) -> str:
    """The small ablation with texts replaced; each must occur."""
    text = SMALL
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text
