"""From runs to cohorts, with what they will cost; from specifications alone, never from timings,
so that every executor plans alike and a resumed plan is the same plan.

Only the memory of the worker is the machine's: where it is short, cohorts are smaller there. On a
CPU no number depends on that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ablations.ablation import Run
from harness.cost import training_flops
from harness.spec import RunSpec
from harness.training.memory import at_most_bytes, peak_bytes

# Stacking pays while a step is mostly overhead; beyond this many activations (members x batch x
# length x width) a larger stack only spills the caches. Measured on two CPUs, see
# docs/performance.md. A GPU takes more.
MOST_ACTIVATIONS = {"cpu": 2**19, "cuda": 2**26}
MOST_MEMBERS = {"cpu": 16, "cuda": 256}

# What a prediction may take of a worker's memory: the rest is what allocators add.
SHARE_OF_MEMORY = 0.8

# Seconds of a training step on one CPU core: a constant a layer, and a rate of FLOPs.
STEP_OVERHEAD_S = 4e-3
CPU_FLOPS_PER_S = 8e9
CUDA_FLOPS_PER_S = 2e12


class Cohort(NamedTuple):
    """Runs to be trained together, an estimate of the seconds on one CPU worker or GPU, and
    whether they fit in its memory, as far as that is known."""

    specs: tuple[RunSpec, ...]
    estimate_s: float
    fits: bool = True

    @property
    def run_ids(self) -> tuple[str, ...]:
        return tuple(spec.run_id for spec in self.specs)


def cohorts(
    runs: Iterable[Run | RunSpec], device: str = "cpu", memory: int | None = None
) -> list[Cohort]:
    """Groups runs that can be trained together; the longest cohorts first.

    memory: bytes that a worker has, None where that is not known. A run that does not fit by
    itself is trained alone all the same.
    """
    groups: dict[str, list[RunSpec]] = {}
    for run in runs:
        spec = run.spec if isinstance(run, Run) else run
        groups.setdefault(spec.cohort_key, []).append(spec)
    out = []
    for specs in groups.values():
        size = cohort_size(specs[0], device, memory, most=len(specs))
        num = -(-len(specs) // max(1, size))
        for part in range(num):  # of equal size, give or take one
            members = tuple(specs[part::num])
            out.append(Cohort(members, estimate_s(members, device), fits=size > 0))
    return sorted(out, key=lambda cohort: -cohort.estimate_s)


def cohort_size(
    spec: RunSpec, device: str = "cpu", memory: int | None = None, *, most: int | None = None
) -> int:
    """How many runs of this shape, of `most` that there are, to train together; 0 where not even
    one fits in `memory` bytes."""
    kind = device.split(":")[0]
    width = max(spec.model.width, *(layer.width for layer in spec.model.layer_list))
    activations = spec.train.batch_size * spec.sequence_length * width
    size = max(1, min(MOST_MEMBERS[kind], MOST_ACTIVATIONS[kind] // activations))
    size = size if most is None else min(size, most)
    if memory is None:
        return size
    limit = SHARE_OF_MEMORY * memory
    if at_most_bytes(spec, size, device) <= limit:  # a bound, since a prediction takes a second
        return size
    shared = peak_bytes(spec, 0, device)
    return max(0, min(size, int((limit - shared) // (peak_bytes(spec, 1, device) - shared))))


def estimate_s(specs: Sequence[RunSpec], device: str = "cpu") -> float:
    """Seconds that a cohort takes on one worker, evaluations included; a rough guess."""
    spec, train = specs[0], specs[0].train
    rate = CUDA_FLOPS_PER_S if device.startswith("cuda") else CPU_FLOPS_PER_S
    evaluated = train.validation_examples * train.steps / train.eval_every
    share = 1 + evaluated / (3 * train.batch_size * train.steps)
    overhead = STEP_OVERHEAD_S * spec.model.layers * train.steps
    return share * (overhead + len(specs) * training_flops(spec) / rate)


def largest(planned: Sequence[Cohort], device: str = "cpu") -> Cohort | None:
    """The cohort that takes the most memory, by a bound: a prediction of each takes seconds."""
    of_shape: dict[str, Cohort] = {}
    for cohort in sorted(planned, key=lambda cohort: len(cohort.specs)):
        of_shape[cohort.specs[0].cohort_key] = cohort
    return max(
        of_shape.values(),
        key=lambda cohort: at_most_bytes(cohort.specs[0], len(cohort.specs), device),
        default=None,
    )
