"""Fits the planner's cost model (`ablations.estimate`) to this machine.

Whole training steps of several shapes, mixers and numbers of members are timed, in turn. The
constants are those that bring predicted over measured nearest to one (least squares, none
negative); most_activations is the largest stack that takes no longer a member than half of it.
Then steps of every mixer beside attention's: its `call_time` and `pass_time` are fitted likewise.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import nnls

from ablations.estimate import CPU, CostModel, activations, layer_times
from harness import mixers
from harness.bench import Ratio, describe, in_turn, machine, spread
from harness.bench.training_step import TrainingStep, specification
from harness.cost import training_flops
from harness.spec import RunSpec
from harness.training.allocator import keep_freed_memory

MIXERS = ("attention", "hyena", "orchid")
SHAPES = (
    {"width": 16, "length": 24, "batch": 64},
    {"width": 32, "length": 32, "batch": 16},
    {"width": 32, "length": 64, "batch": 32},
    {"width": 64, "length": 64, "batch": 16},
    {"width": 64, "length": 128, "batch": 16},
    {"width": 128, "length": 128, "batch": 8},
)
MEMBERS = (1, 2, 4, 8, 16)
MOST_TIMED = 2**20  # activations of all members; larger stacks are not timed
# (shape, members) at which every mixer is timed: from calls that outweigh the numbers to the
# reverse.
TYPICAL = (
    (SHAPES[1], 1),
    (SHAPES[1], 8),
    ({"width": 32, "length": 32, "batch": 64}, 4),
    (SHAPES[3], 4),
)
REPETITIONS = 3
WORSE = 1.05  # a member's time in a larger stack over that in half of it: the larger is too large


class Timed(NamedTuple):
    """Seconds of a training step of so many members."""

    spec: RunSpec
    members: int
    seconds: float


def measure() -> dict[str, Any]:
    """Every step that was timed, the constants that follow, and those that are shipped."""
    torch.set_num_threads(1)
    keep_freed_memory()
    steps = [step for shape in SHAPES for step in _time(shape)]
    proposed = fit(_timed(steps))
    return {
        **machine(),
        "steps": steps,
        "mixers": [row for at in TYPICAL for row in _time_mixers(mixers.names(), *at)],
        "proposed": proposed._asdict(),
        "shipped": CPU._asdict(),
    }


def render(result: dict[str, Any]) -> str:
    """The result as text."""
    models = {name: CostModel(**result[name]) for name in ("shipped", "proposed")}
    lines = [
        describe(result),
        "",
        f"  {'milliseconds a step and member':<52} {'measured':>9} {'shipped':>9} {'proposed':>9}",
    ]
    for step, each in zip(result["steps"], _timed(result["steps"]), strict=True):
        shape = ", ".join(f"{key} {value}" for key, value in step["shape"].items())
        name = f"{step['mixer']}, {shape}, {each.members} members"
        found = [
            each.seconds,
            *(model.step_s(each.spec, each.members) for model in models.values()),
        ]
        cells = " ".join(f"{1e3 * seconds / each.members:9.2f}" for seconds in found)
        lines.append(f"  {name:<52} {cells}")
    lines += ["", "call_time and pass_time of each mixer: shipped, and as measured here"]
    for name, found in layer_times_of(result["mixers"]).items():
        shipped = mixers.get(name)
        pairs = (shipped.call_time, shipped.pass_time), found
        lines.append(f"  {name:<24}" + "".join(f"{a:8.2g} {b:6.2g}" for a, b in pairs))
    lines += ["", "for ablations/estimate.py, where the shipped ones stand:"]
    lines += [f"  {name:<9} {_written(model)}" for name, model in models.items()]
    return "\n".join(lines)


def ratios(result: dict[str, Any]) -> list[Ratio]:
    """Predicted over measured seconds, medians over steps."""
    out = []
    for name in ("shipped", "proposed"):
        model = CostModel(**result[name])
        for mixer in dict.fromkeys(step["mixer"] for step in result["steps"]):
            timed = _timed([step for step in result["steps"] if step["mixer"] == mixer])
            found = [model.step_s(each.spec, each.members) / each.seconds for each in timed]
            middle = statistics.median(found)
            out.append(Ratio(f"{name} constants, {mixer}", "measured", middle, *spread(found), 1.0))
    return out


def fit(timed: Sequence[Timed]) -> CostModel:
    """The constants of the model; most_members stays as shipped."""
    terms = [_terms(each, *layer_times(each.spec)) for each in timed]
    relative = np.array(terms) / np.array([[each.seconds] for each in timed])
    scale = relative.max(axis=0)
    found, _ = nnls(relative / scale, np.ones(len(timed)))
    overhead_s, activation_s, flop_s = found / scale
    return CostModel(
        float(f"{overhead_s:.2g}"),
        float(f"{activation_s:.2g}"),
        float(f"{1 / flop_s:.2g}") if flop_s else math.inf,
        _most_activations(timed),
        CPU.most_members,
    )


def _terms(each: Timed, calls: float, passes: float) -> tuple[float, float, float]:
    """What overhead_s, activation_s and 1 / flops_per_s are multiplied with."""
    flops = training_flops(each.spec) / each.spec.train.steps
    return calls, passes * each.members * activations(each.spec), each.members * flops


def layer_times_of(steps: Sequence[dict[str, Any]]) -> dict[str, tuple[float, float]]:
    """call_time and pass_time of each mixer, given the shipped constants: where attention's step
    takes twice as long as the model says, so does the machine."""
    timed = {
        (step["mixer"], str(step["shape"]), step["members"]): each
        for step, each in zip(steps, _timed(steps), strict=True)
    }
    terms: dict[str, list[tuple[float, float, float]]] = {}  # of a step of one second
    for (mixer, *at), each in timed.items():
        base = timed["attention", *at]
        seconds = each.seconds / base.seconds * CPU.step_s(base.spec, base.members)
        calls, passes, flops = _terms(each, *[len(each.spec.model.layer_list)] * 2)
        found = calls * CPU.overhead_s, passes * CPU.activation_s, flops / CPU.flops_per_s
        terms.setdefault(mixer, []).append(tuple(term / seconds for term in found))
    out = {}
    for mixer, rows in terms.items():
        table = np.array(rows)
        (calls, passes), _ = nnls(table[:, :2], np.maximum(0, 1 - table[:, 2]))
        out[mixer] = (float(calls), float(passes))
    return out


def _most_activations(timed: Sequence[Timed]) -> int:
    """A power of two: the largest size that was timed below which no size, in the median over
    mixers and shapes, took longer a member than half of it."""
    seconds = {(each.spec, each.members): each.seconds / each.members for each in timed}
    losses: dict[int, list[float]] = {}  # by size, an exponent of two
    for (spec, members), each_s in seconds.items():
        if (spec, members // 2) in seconds:
            size = int(math.log2(members * activations(spec)))
            losses.setdefault(size, []).append(each_s / seconds[spec, members // 2])
    sizes = sorted(losses)
    too_large = (size for size in sizes if statistics.median(losses[size]) > WORSE)
    return 2 ** (next(too_large, sizes[-1] + 1) - 1)


def _time(shape: dict[str, int]) -> list[dict[str, Any]]:
    """CPU seconds, which with one thread are those of an idle machine."""
    steps = {}
    for mixer in MIXERS:
        spec = specification(mixer, **shape)
        for members in MEMBERS:
            if members * activations(spec) <= MOST_TIMED:
                steps[mixer, members] = TrainingStep(spec, members)
    times = in_turn(steps, repetitions=REPETITIONS, clock=time.process_time)
    return [
        {"mixer": mixer, "shape": shape, "members": members, "each_s": each}
        for (mixer, members), each in times.items()
    ]


def _time_mixers(names: Sequence[str], shape: dict[str, int], members: int) -> list[dict[str, Any]]:
    """A step with each mixer, and with attention."""
    steps = {
        name: TrainingStep(specification(name, **shape), members)
        for name in dict.fromkeys(["attention", *names])
    }
    times = in_turn(steps, repetitions=REPETITIONS, clock=time.process_time)
    return [
        {"mixer": name, "shape": shape, "members": members, "each_s": each}
        for name, each in times.items()
    ]


def _timed(steps: Sequence[dict[str, Any]]) -> list[Timed]:
    return [
        Timed(
            specification(step["mixer"], **step["shape"]),
            step["members"],
            statistics.median(step["each_s"]),
        )
        for step in steps
    ]


def _written(model: CostModel) -> str:
    return (
        f"CostModel(overhead_s={model.overhead_s:.2g}, activation_s={model.activation_s:.2g}, "
        f"flops_per_s={model.flops_per_s:.2g}, most_activations=2**"
        f"{int(math.log2(model.most_activations))}, most_members={model.most_members})"
    )
