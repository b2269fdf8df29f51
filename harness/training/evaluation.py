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
from harness.training.metrics import (
    DIVERGENCE,
    FOLLOWS,
    KEEPS,
    KERNEL_LENGTH,
    LEGAL,
    LOSS_ABOVE_OPTIMUM,
    STAYS,
    VARIATION,
)
from tasks.base import IGNORE, Batch

MAX_VALUES = 64  # of a fact, before its values are gathered into powers of two


class Details(NamedTuple):
    """What each member said of each target: answers (S, n, Q), or (S, n, Q, K) numbers; right
    (S, n, Q) bool; losses (S, n, Q)."""

    answers: np.ndarray
    right: np.ndarray
    losses: np.ndarray


class Scores(NamedTuple):
    """Mean loss (nats, or squared error) and accuracy of each member (S,)."""

    loss: np.ndarray
    accuracy: np.ndarray
    details: Details | None


Around = Callable[[slice], AbstractContextManager]


@torch.no_grad()
def evaluate(
    model: Model,
    members: int,
    data: Examples,
    batch_size: int,
    *,
    tolerance: float = 0.0,
    details: bool = False,
    around: Around = lambda rows: nullcontext(),
) -> Scores:
    """data: unstacked examples (n, L). Done in batches of batch_size examples, whatever S is, so
    that neither memory nor a member's numbers depend on its companions.

    tolerance: the distance from a real target that counts as right. details: keep what was said
    of each target. around: a context for the pass over these rows.
    """
    losses, hits, found, count = 0.0, 0.0, None, 0
    for rows in _batches(data, batch_size):
        part = _shared(data, rows, members)
        with around(rows):
            logits = model(part.inputs, part.scored)
        each = loss_per_target(logits, part.targets)
        answers = logits if data.targets.is_floating_point() else logits.argmax(-1)
        right = _right(answers, part, tolerance)
        losses = losses + each.double().flatten(1).sum(1)
        hits = hits + right.flatten(1).sum(1)
        count += int(part.is_scored[0].sum())
        if details:
            said = Details(answers, right, each)
            found = found or _room_for(said, len(data.inputs))
            for array, value in zip(found, said, strict=True):
                array[:, rows] = value.cpu().numpy()
    return Scores((losses / count).cpu().numpy(), (hits / count).cpu().numpy(), found)


def _room_for(said: Details, num: int) -> Details:
    """Arrays for what is said of all num examples, (S, num, ...): joined parts take twice that."""
    return Details(*(t.new_empty(len(t), num, *t.shape[2:], device="cpu").numpy() for t in said))


def _right(answers: Tensor, data: Examples, tolerance: float) -> Tensor:
    if data.targets.is_floating_point():
        return (answers - data.targets).norm(dim=-1) <= tolerance  # never where NaN
    return answers == data.targets


@torch.no_grad()
def compare_with_optimum(
    model: Model,
    members: int,
    data: Examples,
    truth: Callable[[slice], np.ndarray],
    batch_size: int,
) -> dict[str, np.ndarray]:
    """How far predictions are from the best ones, where targets are drawn: metric -> (S,).

    truth: rows of data -> (b, Q, V) probabilities p of the best predictor; the model says q. Means
    over targets of `loss above optimum` log p(y) - log q(y) and `KL from optimum` sum p log(p / q),
    in nats; `total variation` sum |p - q| / 2; `legal`: the likeliest class under q has p > 0.
    """
    sums: dict[str, Tensor] = {}
    count = 0
    for rows in _batches(data, batch_size):
        part = _shared(data, rows, members)
        log_q = F.log_softmax(model(part.inputs, part.scored).double(), dim=-1)
        p = torch.from_numpy(truth(rows)).to(log_q.device).expand(log_q.shape)
        scored, said = part.is_scored, log_q.argmax(-1, keepdim=True)
        log_p = p.clamp(min=torch.finfo(torch.float64).tiny).log()
        drawn = part.targets.clamp(min=0).unsqueeze(-1)
        values = {
            LOSS_ABOVE_OPTIMUM: (log_p - log_q).gather(-1, drawn).squeeze(-1),
            DIVERGENCE: (p * (log_p - log_q)).sum(-1),
            VARIATION: (p - log_q.exp()).abs().sum(-1) / 2,
            LEGAL: (p.gather(-1, said).squeeze(-1) > 0).double(),
        }
        count += int(scored[0].sum())
        for name, value in values.items():
            total = torch.where(scored, value, 0.0).flatten(1).sum(1)
            sums[name] = sums.get(name, 0.0) + total
    return {name: (total / count).cpu().numpy() for name, total in sums.items()}


def exact_match(details: Details, data: Examples) -> np.ndarray:
    """(S,): share of the examples whose every scored target was said rightly."""
    unscored = ~data.is_scored.cpu().numpy()
    return (details.right | unscored).all(axis=2).mean(axis=1)


def counterfactual(
    before: Details, evidence: Details, distractor: Details, batch: Batch, tolerance: float
) -> dict[str, np.ndarray]:
    """What an edit of the context does to answers: share of the scored targets -> (S,).

    before: of the batch as it is; evidence, distractor: of its edits, scored at the same places.
    `evidence edited, follows`: the answer is what the edited context says; `evidence edited,
    stays`: it is still what the unedited one says; `distractor edited, keeps`: the answer is the
    one that the member gave before, right or wrong.
    """
    scored, target = batch.is_scored, batch.targets
    real = target.is_floating_point()

    def near(one, other) -> np.ndarray:
        if real:
            return np.linalg.norm(one - other, axis=-1) <= tolerance
        return one == other

    places = scored.cpu().numpy()
    values = {
        FOLLOWS: evidence.right,
        STAYS: near(evidence.answers, target.cpu().numpy()),
        KEEPS: near(distractor.answers, before.answers),
    }
    return {name: value[:, places].mean(axis=1) for name, value in values.items()}


@torch.no_grad()
def evaluate_under(
    intervention: Intervention,
    model: Model,
    members: int,
    data: Examples,
    batch_size: int,
    tolerance: float = 0.0,
) -> Scores:
    """`evaluate` with every kernel of the input changed; see `Intervention`."""

    def passed(examples: Examples, rows: slice) -> list[Use]:
        part = _shared(examples, rows, members)
        return uses(model, lambda: model(part.inputs, part.scored))

    mean = None
    if intervention.of == "mean":
        batches = _batches(data, batch_size)
        mean = mean_kernels((len(data.inputs[rows]), passed(data, rows)) for rows in batches)
    before = Examples(*(None if t is None else t.roll(1, dims=0) for t in data))

    def around(rows: slice) -> AbstractContextManager:
        neighbours = intervention.of == "neighbour"
        kernels = [use.h for use in passed(before, rows)] if neighbours else mean
        return intervene(model, intervention, kernels)

    return evaluate(model, members, data, batch_size, tolerance=tolerance, around=around)


def effective_kernel_lengths(
    model: Model, members: int, data: Examples, batch_size: int
) -> dict[str, np.ndarray]:
    """`effective length of h, layer 1` -> (S,): means over channels and, for h, examples."""
    sums: dict[str, np.ndarray] = {}
    for rows in _batches(data, batch_size):
        tokens = _shared(data, rows, members).inputs
        for kernel in kernels(model, tokens):
            if kernel.h0 is not None:
                lengths = effective_length(kernel.h0, causal=kernel.h0_is_causal)
                _add(sums, f"{KERNEL_LENGTH}h0, {kernel.place}", lengths, tokens.shape[1])
            if kernel.h is not None and kernel.has_taps:
                lengths = effective_length(kernel.h, causal=kernel.h_is_causal)
                _add(sums, f"{KERNEL_LENGTH}h, {kernel.place}", lengths, tokens.shape[1])
    return {name: total / len(data.inputs) for name, total in sums.items()}


def _add(sums: dict[str, np.ndarray], name: str, lengths: np.ndarray, num: int) -> None:
    """Adds num times the mean of lengths (S, ...), whose sum is exact: they are whole numbers."""
    rows = lengths.reshape(len(lengths), -1)
    sums[name] = sums.get(name, 0.0) + num * (rows.sum(1) / rows.shape[1])


def _batches(data: Examples, size: int) -> list[slice]:
    return [slice(start, start + size) for start in range(0, len(data.inputs), size)]


def _shared(data: Examples, rows: slice, members: int) -> Examples:
    """The examples of these rows for all members (S, B, ...)."""
    parts = (None if t is None else t[rows] for t in data)
    return Examples(*(None if t is None else t.expand(members, *t.shape) for t in parts))


def loss_per_target(logits: Tensor, targets: Tensor) -> Tensor:
    """(S, B, Q): cross-entropy in nats, or the squared error's mean over outputs; zero where
    nothing is scored."""
    if targets.is_floating_point():
        missing = targets.isnan().any(-1)
        error = torch.where(missing.unsqueeze(-1), 0.0, logits - targets)
        return error.square().mean(-1)
    flat = F.cross_entropy(
        logits.flatten(0, -2), targets.flatten(), ignore_index=IGNORE, reduction="none"
    )
    return flat.view(targets.shape)


def breakdown(
    right: np.ndarray, losses: np.ndarray, data: Examples, batch: Batch
) -> tuple[Slice, ...]:
    """Accuracy and loss by each fact of the task, for one member. Facts whose names begin with
    `_` are left out: only the task itself reads them.

    right, losses: (n, Q) at data.scored, whose order is that of batch's scored positions.
    """
    scored = data.is_scored.cpu().numpy()
    hits, errors = right[scored], losses[scored].astype(np.float64)
    out = []
    for fact, values in sorted(batch.info.items()):
        if not fact.startswith("_"):
            facts = values[batch.scored]
            known = facts >= 0
            out += _slices(fact, facts[known], hits[known], errors[known])
    return tuple(out)


def _slices(fact: str, values: np.ndarray, hits: np.ndarray, errors: np.ndarray) -> list[Slice]:
    if len(np.unique(values)) > MAX_VALUES:
        values = 2 ** np.log2(np.maximum(values, 1)).astype(np.int64)
    keys, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    correct = np.bincount(place, weights=hits, minlength=len(keys))
    lost = np.bincount(place, weights=errors, minlength=len(keys))
    return [
        Slice(fact, int(key), float(c / n), int(n), float(e / n))
        for key, c, n, e in zip(keys, correct, counts, lost, strict=True)
    ]
