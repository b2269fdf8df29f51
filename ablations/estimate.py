"""What a cohort takes of a worker's time, by a model of the cost with constants that are shipped: a
plan does not depend on the machine that it is made on.

A training step of S members takes, in seconds,

    sum over layers of (call_time x overhead + pass_time x S x activations x per_activation)
        + S x FLOPs / rate

activations: batch x length x width of a member. The overhead is what a stack shares (the calls into
torch, whatever S is), the rest what its members need (all that passes over an array; products).
call_time and pass_time are the mixer's, in proportion to attention's. `orchid bench cohort
--calibrate` fits the constants to the machine that it runs on and holds those that are shipped
against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from harness.cost import training_flops
from harness.spec import RunSpec


class CostModel(NamedTuple):
    """Constants of a device. overhead_s: a layer; activation_s: an activation of a layer.

    most_activations: of all members together; beyond, a stack only spills the caches (on a GPU:
    fills its memory). most_members: beyond, a stack gains nothing that could be measured.
    """

    overhead_s: float
    activation_s: float
    flops_per_s: float
    most_activations: int
    most_members: int

    def step_s(self, spec: RunSpec, members: int) -> float:
        """Seconds of a training step, its evaluations not counted."""
        flops = training_flops(spec) / spec.train.steps
        calls, passes = layer_times(spec)
        return (
            calls * self.overhead_s
            + passes * members * activations(spec) * self.activation_s
            + members * flops / self.flops_per_s
        )


# Of one core of a CPU with AVX-512 and its own 1.25 MB of second-level cache: see
# docs/performance.md. Those of a GPU are guesses until one has been measured.
CPU = CostModel(3.3e-3, 1e-7, 1.7e11, 2**19, 16)
CUDA = CostModel(1e-3, 5e-10, 1e13, 2**26, 256)

# A step in bfloat16 over one in float32 on a CPU without instructions for it: 1.2 to 2.5.
BFLOAT16_ON_CPU = 2

# A cohort is no larger than it has to be for its step to come this near to that of the largest, a
# member: smaller cohorts are more evenly shared out, and sooner heard of.
NEARLY = 1.02


def cost_model(device: str) -> CostModel:
    return CUDA if device.startswith("cuda") else CPU


def worthwhile_size(spec: RunSpec, device: str = "cpu") -> int:
    """How many runs of this shape to train together, if time alone counts."""
    model = cost_model(device)
    most = max(1, min(model.most_members, model.most_activations // activations(spec)))
    best_s = model.step_s(spec, most) / most
    sizes = range(1, most + 1)
    return next(n for n in sizes if model.step_s(spec, n) / n <= NEARLY * best_s)


def estimate_s(specs: Sequence[RunSpec], device: str = "cpu") -> float:
    """Seconds that a cohort takes on one worker, evaluations included; within a fifth or so on the
    machine that the constants are of."""
    spec, train = specs[0], specs[0].train
    evaluated = train.validation_examples * train.steps / train.eval_every
    share = 1 + evaluated / (3 * train.batch_size * train.steps)
    if train.precision == "bfloat16" and device == "cpu":
        share *= BFLOAT16_ON_CPU
    return share * train.steps * cost_model(device).step_s(spec, len(specs))


def layer_times(spec: RunSpec) -> tuple[float, float]:
    """Sums over layers of call times and of pass times, in those of attention."""
    layers = [layer.mixer for layer in spec.model.layer_list]
    return sum(each.call_time for each in layers), sum(each.pass_time for each in layers)


def activations(spec: RunSpec) -> int:
    """Numbers that a layer of one member passes on: batch x length x width."""
    width = max(spec.model.width, *(layer.width for layer in spec.model.layer_list))
    tokens = spec.train.batch_size * spec.sequence_length * spec.task.num_documents
    return tokens * width
