"""A cohort: one training step of its members one at a time, stacked by hand, and by vmap; and whole
trainings (`harness.bench.throughput`)."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from harness.bench import Ratio, describe, interleaved, machine, ratio_of, throughput
from harness.foundation.config import parse
from harness.foundation.seeding import generator
from harness.layers import initialise
from harness.model import Model
from harness.spec import RunSpec
from harness.training.data import CohortData, Examples
from harness.training.evaluation import loss_per_target
from harness.training.stack import Stack

REPETITIONS = 9


def measure(members: int) -> dict[str, Any]:
    """Forward and backward of a cohort, one member at a time, stacked by hand, and by vmap; then
    trainings of up to so many members a worker."""
    torch.set_num_threads(1)
    sections = {}
    for width, length, batch in ((16, 24, 64), (32, 32, 16), (64, 128, 8)):
        for mixer in ("attention", "orchid"):
            name = f"{mixer}, width {width}, length {length}, batch {batch}"
            sections[name] = _compare(_spec(mixer, width, length, batch), members)
    trainings = throughput.measure(members)
    return {"members": members, **machine(), "sections": sections, "trainings": trainings}


def render(result: dict[str, Any]) -> str:
    """The result as text."""
    lines = [describe(result), f"{result['members']} members; ms a step and member"]
    for name, timings in result["sections"].items():
        lines += ["", name]
        slowest = timings[0]["median_ms"]
        for timing in timings:
            lines.append(
                f"  {timing['name']:<16} {timing['median_ms']:8.2f} "
                f"({timing['low_ms']:.2f} to {timing['high_ms']:.2f})  "
                f"{slowest / timing['median_ms']:5.2f} x"
            )
    return "\n".join([*lines, "", throughput.render(result["trainings"])])


def ratios(result: dict[str, Any]) -> list[Ratio]:
    """Stacked over one at a time; in cohorts over one after another."""
    out = []
    for name, timings in result["sections"].items():
        each = {timing["name"]: timing["each_ms"] for timing in timings}
        out.append(
            ratio_of(f"stacked, {name}", "one at a time", each["one at a time"], each["stacked"])
        )
    return out + throughput.ratios(result["trainings"])


def _spec(mixer: str, width: int, length: int, batch: int) -> RunSpec:
    return parse(
        RunSpec,
        {
            "task": {"name": "associative_recall", "length": length},
            "model": {"mixer": mixer, "width": width},
            "train": {"batch_size": batch},
        },
    )


def _compare(spec: RunSpec, members: int) -> list[dict[str, Any]]:
    keys = [f"confirmation {seed}" for seed in range(members)]
    specs = [spec.model_copy(update={"seed": seed}) for seed in range(members)]
    batch = CohortData(specs).step(0)
    candidates: dict[str, Callable[[], object]] = {
        "one at a time": _one_at_a_time(spec, keys, batch),
        "stacked": _stacked(spec, keys, batch),
    }
    vmapped = _vmapped(spec, keys, batch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a kernel without a rule is looped over: slow, not wrong
        with contextlib.suppress(RuntimeError):
            vmapped()  # raises where an own backward has no rule at all
            candidates["vmap"] = vmapped
        timings = interleaved(candidates, repetitions=REPETITIONS)
    return [
        {
            "name": name,
            "median_ms": timing.median_ms / members,
            "low_ms": timing.low_ms / members,
            "high_ms": timing.high_ms / members,
            "each_ms": [each / members for each in timing.each_ms],
        }
        for name, timing in timings.items()
    ]


def _one_at_a_time(spec: RunSpec, keys: list[str], batch: Examples) -> Callable[[], object]:
    stacks = [Stack(spec, [key], torch.device("cpu")) for key in keys]
    parts = [Examples(*(t[i : i + 1] for t in batch)) for i in range(len(keys))]
    return lambda: [
        stack.gradient(_loss(stack.model(part.inputs, part.scored), part.targets))
        for stack, part in zip(stacks, parts, strict=True)
    ]


def _stacked(spec: RunSpec, keys: list[str], batch: Examples) -> Callable[[], object]:
    stack = Stack(spec, keys, torch.device("cpu"))
    return lambda: stack.gradient(_loss(stack.model(batch.inputs, batch.scored), batch.targets))


def _vmapped(spec: RunSpec, keys: list[str], batch: Examples) -> Callable[[], object]:
    model: nn.Module = Model(spec)
    initialise(model, lambda name: generator("init", keys[0], name))
    stacked = {
        name: value.detach().expand(len(keys), *value.shape).clone().requires_grad_()
        for name, value in model.named_parameters()
    }

    def forward(values, tokens, scored):
        return torch.func.functional_call(model, values, (tokens, scored))

    def step():
        logits = torch.func.vmap(forward)(stacked, batch.inputs, batch.scored)
        return torch.autograd.grad(_loss(logits, batch.targets), list(stacked.values()))

    return step


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    return loss_per_target(logits, targets).sum() / targets.shape[-2]
