"""What a training reports. Every event names its run; the driver's subscribers read no other."""

from __future__ import annotations

from typing import NamedTuple


class Started(NamedTuple):
    """A training of this run begins; what an earlier attempt measured is void."""

    run_id: str


class Measured(NamedTuple):
    """One evaluation. values: metric -> value (loss in nats a target, accuracy in [0, 1], ...)."""

    run_id: str
    step: int
    split: str
    values: dict[str, float]


class Slice(NamedTuple):
    """Accuracy and mean loss on the test targets whose fact has this value (`num` of them)."""

    fact: str
    value: int
    accuracy: float
    num: int
    loss: float


class Finished(NamedTuple):
    """The run ended as planned. steps_to_solve is None where it was not solved in its steps.

    wall_s: seconds of training and its evaluations. seconds: by part (`clock.PARTS`), set-up and
    test too. Both are the cohort's time divided among its members.
    """

    run_id: str
    steps: int
    wall_s: float
    steps_to_solve: int | None
    breakdown: tuple[Slice, ...]
    provenance: dict
    seconds: dict[str, float]


class Diverged(NamedTuple):
    """A loss or gradient stopped being finite after `step` steps; a result, not a failure."""

    run_id: str
    step: int
    wall_s: float
    message: str
    provenance: dict
    seconds: dict[str, float]


class Failed(NamedTuple):
    """The run raised, or its worker died."""

    run_id: str
    message: str
    traceback: str


Event = Started | Measured | Finished | Diverged | Failed
