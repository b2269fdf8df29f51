"""What a training step is made of, and what each of its choices gains. One thread.

Every row is a pair: the step as it is trained, or a part of it, against the obvious way.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from harness.bench import Ratio, describe, in_turn, machine, ratio_of
from harness.foundation.config import parse
from harness.spec import RunSpec
from harness.training.allocator import keep_freed_memory
from harness.training.data import CohortData, Examples, evaluation_batch, examples
from harness.training.evaluation import evaluate
from harness.training.gradient import Gradients
from harness.training.optimiser import AdamW, clip_
from harness.training.stack import Stack
from tasks.base import IGNORE

MEMBERS, REPETITIONS, PARTS_STEPS = 8, 9, 12
CPU = torch.device("cpu")
Work = Callable[[], object]
# Operations that make the host wait for the device: they read a number back, have a shape that only
# the device knows, or bring a constant of the host's.
WAITS = (
    "_local_scalar_dense", "nonzero", "is_nonzero", "equal.default", "masked_select", "unique",
    "lift",
)  # fmt: skip


def measure() -> dict[str, Any]:
    """Pairs: seconds of every repetition of both ways; steps: where the time of a step goes."""
    torch.set_num_threads(1)
    keep_freed_memory()
    pairs = []
    for name, than, wanted, make in _PAIRS:
        ours, theirs = make()
        found = in_turn({"ours": ours, "theirs": theirs}, repetitions=REPETITIONS)
        pairs.append({"what": name, "than": than, "wanted": wanted, **found})
    return {**machine(), "members": MEMBERS, "pairs": pairs, "steps": [_parts(m) for m in MIXERS]}


def ratios(result: dict[str, Any]) -> list[Ratio]:
    """What each choice gains."""
    return [
        ratio_of(
            row["what"], row["than"], [1 / t for t in row["ours"]], [1 / t for t in row["theirs"]],
            row["wanted"],
        )
        for row in result["pairs"]
    ]  # fmt: skip


def render(result: dict[str, Any]) -> str:
    """The result as text."""
    lines = [
        describe(result),
        "",
        f"  {'milliseconds, medians':<40} {'':>8} {'against':<36} {'':>8}",
    ]
    for row in result["pairs"]:
        ours, theirs = (1e3 * statistics.median(row[side]) for side in ("ours", "theirs"))
        lines.append(f"  {row['what']:<40} {ours:8.2f} {row['than']:<36} {theirs:8.2f}")
    lines += ["", f"where a step of {result['members']} members goes"]
    for step in result["steps"]:
        total = sum(step["parts"].values())
        shares = ", ".join(f"{name} {each / total:.0%}" for name, each in step["parts"].items())
        lines += [
            f"  {step['run']}: {1e3 * total:.1f} ms: {shares}",
            f"    {step['operations']:,} operations, {step['waits']} of which make the host wait",
        ]
    return "\n".join(lines)


# -- the pairs -------------------------------------------------------------------------------------


def _spec(mixer: str, **train) -> RunSpec:
    few = {"warmup_steps": 0, "validation_examples": 256, "test_examples": 16, "batch_size": 16}
    return parse(
        RunSpec,
        {
            "task": {"name": "associative_recall", "vocab_size": 20, "length": 32},
            "model": {"mixer": mixer, "width": 32},
            "train": {**few, **train},
        },
    )


def _seeds(spec: RunSpec, members: int) -> list[RunSpec]:
    return [spec.model_copy(update={"seed": seed}) for seed in range(members)]


def _stack_and_batch(spec: RunSpec, members: int) -> tuple[Stack, Examples]:
    specs = _seeds(spec, members)
    data = CohortData(specs)
    batch = data.step(0)
    data.close()
    return Stack(spec, [each.seed_key for each in specs], CPU), batch


def _logits() -> tuple[Work, Work]:
    """MQAR with 8,192 tokens, 4 of 64 positions scored: logits there, or everywhere."""
    spec = parse(
        RunSpec,
        {
            "task": {"name": "mqar"},
            "model": {"mixer": "attention", "width": 64},
            "train": {"batch_size": 32},
        },
    )
    stack, batch = _stack_and_batch(spec, 1)
    targets = torch.full_like(batch.inputs, IGNORE)
    targets.scatter_(-1, batch.scored, batch.targets)
    everywhere = Examples(batch.inputs, None, targets)
    passes = Gradients(stack)
    return lambda: passes(batch), lambda: passes(everywhere)


def _optimiser() -> tuple[Work, Work]:
    """One update of every member: of the whole matrix, or by torch's own AdamW (fused)."""
    spec = _spec("orchid")
    stack, batch = _stack_and_batch(spec, MEMBERS)
    _, grads = Gradients(stack)(batch)
    grads = grads.clone()
    ours = AdamW(stack, lr=[1e-4] * MEMBERS, weight_decay=[0.1] * MEMBERS, betas=(0.9, 0.999))
    theirs = []
    for seed in range(MEMBERS):
        alone = Stack(spec, [f"confirmation {seed}"], CPU)
        parameters = list(alone.model.parameters())
        for value in parameters:
            value.grad = torch.full_like(value, 1e-3)
        theirs.append(torch.optim.AdamW(parameters, lr=1e-4, weight_decay=0.1, fused=True))

    def step_theirs() -> None:
        for each in theirs:
            each.step()

    return lambda: ours.step(stack, grads, 1.0), step_theirs


def _evaluation() -> tuple[Work, Work]:
    """All members on the same examples at once, or one after the other."""
    spec = _spec("orchid")
    stack, _ = _stack_and_batch(spec, MEMBERS)
    data = examples(spec, evaluation_batch(spec.task, "validation", 256))
    alone = [Stack(spec, [each.seed_key], CPU) for each in _seeds(spec, MEMBERS)]
    size = spec.train.batch_size
    return (
        lambda: evaluate(stack.model, MEMBERS, data, size),
        lambda: [evaluate(each.model, 1, data, size) for each in alone],
    )


def _members() -> tuple[Work, Work]:
    """The two passes of all members at once, or one after the other."""
    spec = _spec("orchid")
    stack, batch = _stack_and_batch(spec, MEMBERS)
    together = Gradients(stack)
    alone = [Gradients(Stack(spec, [each.seed_key], CPU)) for each in _seeds(spec, MEMBERS)]
    parts = [Examples(*(part[i : i + 1] for part in batch)) for i in range(MEMBERS)]
    return (
        lambda: together(batch),
        lambda: [passes(part) for passes, part in zip(alone, parts, strict=True)],
    )


def _precision() -> tuple[Work, Work]:
    """The two passes in bfloat16, or in float32."""
    ways = []
    for precision in ("bfloat16", "float32"):
        stack, batch = _stack_and_batch(_spec("attention", precision=precision), MEMBERS)
        ways.append(partial(Gradients(stack), batch))
    return ways[0], ways[1]


_PAIRS = (
    ("logits where scored (V 8192, 4 of 64)", "logits everywhere", 3.7, _logits),
    ("AdamW on one matrix", "torch.optim.AdamW, fused, a member", 1.0, _optimiser),
    ("evaluation of all members", "evaluation a member", 1.0, _evaluation),
    ("passes of all members (Orchid)", "passes a member", 1.0, _members),
    ("bfloat16 (attention)", "float32", None, _precision),
)

# -- the parts of a step ---------------------------------------------------------------------------

MIXERS = ("attention", "orchid")


def _parts(mixer: str) -> dict[str, Any]:
    """Seconds a step of its examples, passes, clipping and update, medians over steps."""
    specs = _seeds(_spec(mixer, steps=PARTS_STEPS + 2), MEMBERS)
    data = CohortData(specs)
    stack = Stack(specs[0], [spec.seed_key for spec in specs], CPU)
    passes = Gradients(stack)
    optimiser = AdamW(stack, lr=[1e-3] * MEMBERS, weight_decay=[0.1] * MEMBERS, betas=(0.9, 0.999))
    times: dict[str, list[float]] = {}
    clock = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal clock
        now = time.perf_counter()
        times.setdefault(name, []).append(now - clock)
        clock = now

    with _Operations() as seen:
        batch = data.step(0)
        _, grads = passes(batch)
        clip_(grads, 1.0)
        optimiser.step(stack, grads, 1.0)
    for step in range(1, PARTS_STEPS + 2):
        clock = time.perf_counter()
        batch = data.step(step)
        lap("examples")
        _, grads = passes(batch)
        lap("forward and backward")
        clip_(grads, 1.0)
        lap("clipping")
        optimiser.step(stack, grads, 1.0)
        lap("optimiser")
    data.close()
    waits = sum(any(word in name for word in WAITS) for name in seen.names)
    return {
        "run": f"{mixer}, width 32, length 32, batch 16",
        "parts": {name: statistics.median(each) for name, each in times.items()},
        "operations": len(seen.names),
        "waits": waits,
    }


class _Operations(TorchDispatchMode):
    """Keeps the names of all operations."""

    def __init__(self):
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(str(function))
        return function(*args, **(kwargs or {}))
