"""Scores of a stack on examples that every member shares."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from harness.kernels import effective_length, kernels
from harness.mixers.orchid.intervention import (
    Intervention,
    Use,
    intervene,
    mean_kernels,
    uses,
)
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


Around = Callable[[slice], AbstractContextManager]


@torch.no_grad()
def evaluate(
    model: Model,
    members: int,
    data: Examples,
    batch_size: int,
    *,
    around: Around = lambda rows: nullcontext(),
) -> Scores:
    """data: unstacked examples (n, L). Done in batches of the training size, whatever S is, so
    that neither memory nor a member's numbers depend on its companions.

    around: a context for the pass over these rows.
    """
    losses, hits, guesses, count = 0.0, 0.0, [], 0
    for rows in _batches(data, batch_size):
        part = _shared(data, rows, members)
        with around(rows):
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


@torch.no_grad()
def evaluate_under(
    intervention: Intervention, model: Model, members: int, data: Examples, batch_size: int
) -> Scores:
    """`evaluate` with every kernel of the input changed; see `Intervention`."""

    def passed(examples: Examples, rows: slice) -> list[Use]:
        part = _shared(examples, rows, members)
        return uses(model, lambda: model(part.tokens, part.scored))

    mean = None
    if intervention.of == "mean":
        batches = _batches(data, batch_size)
        mean = mean_kernels((len(data.tokens[rows]), passed(data, rows)) for rows in batches)
    before = Examples(*(None if t is None else t.roll(1, dims=0) for t in data))

    def around(rows: slice) -> AbstractContextManager:
        neighbours = intervention.of == "neighbour"
        kernels = [use.h for use in passed(before, rows)] if neighbours else mean
        return intervene(model, intervention, kernels)

    return evaluate(model, members, data, batch_size, around=around)


def effective_kernel_lengths(
    model: Model, members: int, data: Examples, batch_size: int
) -> dict[str, np.ndarray]:
    """`effective length of h, layer 1` -> (S,): means over channels and, for h, examples."""
    sums: dict[str, np.ndarray] = {}
    for rows in _batches(data, batch_size):
        tokens = _shared(data, rows, members).tokens
        for kernel in kernels(model, tokens):
            if kernel.h0 is not None:
                lengths = effective_length(kernel.h0, causal=kernel.h0_is_causal)
                _add(sums, f"effective length of h0, {kernel.place}", lengths, tokens.shape[1])
            if kernel.h is not None and kernel.has_taps:
                lengths = effective_length(kernel.h, causal=kernel.h_is_causal)
                _add(sums, f"effective length of h, {kernel.place}", lengths, tokens.shape[1])
    return {name: total / len(data.tokens) for name, total in sums.items()}


def _add(sums: dict[str, np.ndarray], name: str, lengths: np.ndarray, num: int) -> None:
    """Adds num times the mean of lengths (S, ...), whose sum is exact: they are whole numbers."""
    rows = lengths.reshape(len(lengths), -1)
    sums[name] = sums.get(name, 0.0) + num * (rows.sum(1) / rows.shape[1])


def _batches(data: Examples, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, len(data.tokens), size)]


def _shared(data: Examples, rows: slice, members: int) -> Examples:
    """The examples of these rows for all members (S, B, ...)."""
    return Examples(*(None if t is None else t[rows].expand(members, -1, -1) for t in data))


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
