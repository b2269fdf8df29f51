"""From runs to cohorts, with what they will cost; from specifications alone, never from timings,
so that every executor plans alike and a resumed plan is the same plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ablations.ablation import Run
from harness.cost import training_flops
from harness.spec import RunSpec

# Stacking pays while a step is mostly overhead; beyond this many activations (members x batch x
# length x width) a larger stack only spills the caches. Measured on two CPUs, see
# docs/performance.md. A GPU takes more.
MOST_ACTIVATIONS = {"cpu": 2**19, "cuda": 2**26}
MOST_MEMBERS = {"cpu": 16, "cuda": 256}

# Seconds of a training step on one CPU core: a constant a layer, and a rate of FLOPs.
STEP_OVERHEAD_S = 4e-3
CPU_FLOPS_PER_S = 8e9
CUDA_FLOPS_PER_S = 2e12


class Cohort(NamedTuple):
    """Runs to be trained together, and an estimate of the seconds on one CPU worker or GPU."""

    specs: tuple[RunSpec, ...]
    estimate_s: float

    @property
    def run_ids(self) -> tuple[str, ...]:
        return tuple(spec.run_id for spec in self.specs)


def cohorts(runs: Iterable[Run | RunSpec], device: str = "cpu") -> list[Cohort]:
    """Groups runs that can be trained together; the longest cohorts first."""
    groups: dict[str, list[RunSpec]] = {}
    for run in runs:
        spec = run.spec if isinstance(run, Run) else run
        groups.setdefault(spec.cohort_key, []).append(spec)
    out = []
    for specs in groups.values():
        size = cohort_size(specs[0], device)
        num = -(-len(specs) // size)
        for part in range(num):  # of equal size, give or take one
            members = tuple(specs[part::num])
            out.append(Cohort(members, estimate_s(members, device)))
    return sorted(out, key=lambda cohort: -cohort.estimate_s)


def cohort_size(spec: RunSpec, device: str = "cpu") -> int:
    """How many runs of this shape to train together."""
    kind = device.split(":")[0]
    width = max(spec.model.width, *(layer.width for layer in spec.model.layer_list))
    activations = spec.train.batch_size * spec.sequence_length * width
    return max(1, min(MOST_MEMBERS[kind], MOST_ACTIVATIONS[kind] // activations))


def estimate_s(specs: Sequence[RunSpec], device: str = "cpu") -> float:
    """Seconds that a cohort takes on one worker, evaluations included; a rough guess."""
    spec, train = specs[0], specs[0].train
    rate = CUDA_FLOPS_PER_S if device.startswith("cuda") else CPU_FLOPS_PER_S
    evaluated = train.validation_examples * train.steps / train.eval_every
    share = 1 + evaluated / (3 * train.batch_size * train.steps)
    overhead = STEP_OVERHEAD_S * spec.model.layers * train.steps
    return share * (overhead + len(specs) * training_flops(spec) / rate)
