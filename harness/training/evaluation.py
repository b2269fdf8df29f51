"""Scores of a stack on examples that every member shares."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.model import Model
from harness.training.data import Examples
from harness.training.events import Slice
from tasks.base import IGNORE, Batch

MAX_VALUES = 64  # of a fact, before its values are gathered into powers of two


class Scores(NamedTuple):
    """Mean loss (nats) and accuracy of each member (S,), and what it predicted (S, n, Q)."""

    loss: np.ndarray
    accuracy: np.ndarray
    predictions: np.ndarray


@torch.no_grad()
def evaluate(model: Model, members: int, data: Examples, batch_size: int) -> Scores:
    """data: unstacked examples (n, L). Done in batches of the training size, whatever S is, so
    that neither memory nor a member's numbers depend on its companions."""
    losses, hits, guesses, count = 0.0, 0.0, [], 0
    for start in range(0, len(data.tokens), batch_size):
        part = Examples(
            *(
                None if t is None else t[start : start + batch_size].expand(members, -1, -1)
                for t in data
            )
        )
        logits = model(part.tokens, part.scored)
        losses = losses + loss_per_target(logits, part.targets).double().flatten(1).sum(1)
        predicted = logits.argmax(-1)
        hits = hits + (predicted == part.targets).flatten(1).sum(1)
        guesses.append(predicted)
        count += int((part.targets[0] != IGNORE).sum())
    return Scores(
        (losses / count).cpu().numpy(),
        (hits / count).cpu().numpy(),
        torch.cat(guesses, dim=1).cpu().numpy(),
    )


def loss_per_target(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy (S, B, Q) in nats; zero where a target is IGNORE."""
    flat = F.cross_entropy(
        logits.flatten(0, -2), targets.flatten(), ignore_index=IGNORE, reduction="none"
    )
    return flat.view(targets.shape)


def breakdown(predictions: np.ndarray, data: Examples, batch: Batch) -> tuple[Slice, ...]:
    """Accuracy by each fact of the task, for one member.

    predictions: (n, Q) at data.scored, whose order is that of batch's scored positions.
    """
    targets = data.targets.cpu().numpy()
    scored = targets != IGNORE
    hits = (predictions == targets)[scored]
    out = []
    for fact, values in sorted(batch.info.items()):
        facts = values[batch.scored]
        known = facts >= 0
        out += _slices(fact, facts[known], hits[known])
    return tuple(out)


def _slices(fact: str, values: np.ndarray, hits: np.ndarray) -> list[Slice]:
    if len(np.unique(values)) > MAX_VALUES:
        values = 2 ** np.log2(np.maximum(values, 1)).astype(np.int64)
    keys, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    correct = np.bincount(place, weights=hits, minlength=len(keys))
    return [
        Slice(fact, int(key), float(c / n), int(n))
        for key, c, n in zip(keys, correct, counts, strict=True)
    ]
