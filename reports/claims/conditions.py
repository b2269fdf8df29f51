"""Under which conditions a verdict holds: scale, regime, budgets, tuning, sizes, seeds, cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ablations.claim import Claim
from reports.claims.evidence import Compared, Sample, setting
from reports.records import Arm, Records, Stated
from reports.remarks import SAME_COST
from reports.table import plain, value_text

MOST_FIELDS = 6
FEW = 10  # seeds up to which a t test of two-peaked runs was seen to err


class Side(NamedTuple):
    """One side of a claim: what it did, beside the effect. seeds: values that are compared; runs:
    those that ended, more than the seeds where several make a value."""

    label: str
    seeds: int
    runs: int
    solved: int
    steps_given_solved: float | None
    diverged: int


class Conditions(NamedTuple):
    """What a reader needs beside a verdict.

    budgets, tuning: in words. has_equal_tuning: every arm chose among all settings. params: least
    and most outside embedding and readout. differing: fields in which the arms differ. cost_s:
    seconds of training, confirmation runs alone. notes: what limits the verdict further.
    """

    scale: str
    regime: str
    loss: str
    budgets: tuple[str, ...]
    tuning: str
    selection_seeds: int
    has_equal_tuning: bool
    params: tuple[int, int] | None
    sides: tuple[Side, ...]
    differing: tuple[str, ...]
    cost_s: float
    notes: tuple[str, ...]

    @property
    def has_equal_budgets(self) -> bool:
        return len(self.budgets) <= 1

    @property
    def has_equal_params(self) -> bool:
        return self.params is None or self.params[1] <= SAME_COST * self.params[0]


def conditions_of(stated: Stated, compared: Sequence[Compared], records: Records) -> Conditions:
    """The conditions of one claim."""
    samples = [sample for each in compared for sample in each.samples]
    arms = list({arm.condition_id: arm for sample in samples for arm in sample.arms}.values())
    sizes = [arm.facts.get("params_without_embedding") for arm in arms]
    sizes = [size for size in sizes if size is not None]
    runs = {run.run_id: run for sample in samples for run in sample.runs}
    sides = tuple(
        Side(
            sample.label,
            len(sample.values),
            sum(run.ended for run in sample.runs),
            sample.num_solved,
            sample.steps_given_solved,
            sum(run.status == "diverged" for run in sample.runs),
        )
        for sample in samples
    )
    params = (min(sizes), max(sizes)) if sizes else None
    differing = tuple(_differing(arms))
    found = Conditions(
        scale=records.meta["scale"],
        regime=_joined(arm.facts.get("regime") for arm in arms),
        loss=_joined(arm.facts.get("loss") for arm in arms),
        budgets=tuple(dict.fromkeys(map(_budget, arms))),
        tuning=_tuning(records),
        selection_seeds=records.meta["seeds"]["selection"],
        has_equal_tuning=all(is_fully_tuned(arm, records) for arm in arms),
        params=params,
        sides=sides,
        differing=differing,
        cost_s=sum(run.wall_s or 0.0 for run in runs.values()),
        notes=(),
    )
    notes = (*_notes(stated, found, arms, records), *_of_the_test(stated.resolved.claim, samples))
    return found._replace(notes=notes)


def _notes(stated: Stated, found: Conditions, arms: Sequence[Arm], records: Records):
    claim = stated.resolved.claim
    if stated.runs_before:
        yield (
            f"exploratory: stated when {stated.runs_before} runs of its arms had answered already"
        )
    looks = [records.looks.get(arm.condition_id, set()) for arm in arms]
    taken = max(map(len, looks), default=0)
    if taken > stated.declared_looks:
        yield (
            f"looked at with {taken} numbers of seeds, which was not fixed in advance "
            f"({stated.declared_looks} was): alpha is divided by the looks, yet they were chosen "
            "after seeing the runs"
        )
    elif stated.num_looks > 1:
        yield f"one of {stated.num_looks} looks fixed in advance: alpha is divided by them"
    if claim.across_regimes and "," in found.regime:
        yield (
            f"across regimes ({found.regime}): a bidirectional mixer sees the query while it reads "
            "the context, a causal one must store what may be asked"
        )
    schedules = sorted({setting(arm, "train", "schedule") for arm in arms} - {None})
    if claim.metric == "steps_to_solve" and set(schedules) - {"constant"}:
        yield f"the schedule is {_joined(schedules)}, which moves steps to solve with the budget"
    if not found.has_equal_params:
        yield f"sizes differ: {found.params[0]:,} to {found.params[1]:,} parameters"
    diverged = sum(side.diverged for side in found.sides)
    if diverged:
        yield f"{diverged} diverged runs count as unsolved, their accuracy as that of a guess"
    tasks = {repr(sorted(_flat(arm.spec.get("task", {})).items())) for arm in arms}
    if len(tasks) > 1 and claim.constant is None and not claim.strata and not claim.exponent_in:
        yield "the arms have different tasks"
    if (claim.source or records.meta["source"]).get("paper") and found.scale != "paper":
        yield f"at scale {found.scale}, so it neither confirms nor refutes the published result"
    devices = Counter(
        run.provenance.get("device")
        for run in records.confirmation()
        if run.provenance and run.arm in arms
    )
    if len(devices) > 1:
        yield f"runs were made on different devices: {_joined(devices)}"


def _of_the_test(claim: Claim, samples: Sequence[Sample]) -> Iterator[str]:
    """Where the t test may err more often than its level says: few runs on two peaks."""
    if claim.constant is None and not claim.kind.startswith("group"):
        return
    for sample in samples:
        if 0 < sample.num_solved < len(sample.runs) and len(sample.values) < FEW:
            yield (
                f"some runs of '{sample.label}' solved the task and some did not: of so few runs "
                "on two peaks a t test can err more often than alpha says"
            )


def _budget(arm: Arm) -> str:
    steps, batch = setting(arm, "train", "steps"), setting(arm, "train", "batch_size")
    data = setting(arm, "train", "train_examples")
    text = f"{steps:,} steps of {batch}" if steps and batch else f"{steps} steps"
    return text + (f" from {data:,} fixed examples" if data else "")


def _tuning(records: Records) -> str:
    settings = records.meta["nuisances"]
    if len(settings) < 2:
        return "none: one setting for all arms"
    seeds = records.meta["seeds"]["selection"]
    return f"the best of {len(settings)} settings on {seeds} selection seeds, each arm its own"


def is_fully_tuned(arm: Arm, records: Records) -> bool:
    """Whether the arm's choice was among all settings; some may have had runs that failed."""
    choice = records.choices.get(arm.condition_id)
    return choice is None or len(choice.scores) == len(records.meta["nuisances"])


def _differing(arms: Sequence[Arm]) -> Iterable[str]:
    """Fields that have not one value in all arms."""
    flat = [_flat(arm.spec) for arm in arms]
    keys = dict.fromkeys(key for each in flat for key in each)
    differing = [k for k in keys if len({repr(each.get(k)) for each in flat}) > 1]
    yield from map(plain, differing[:MOST_FIELDS])
    if len(differing) > MOST_FIELDS:
        yield f"{len(differing) - MOST_FIELDS} more"


def _flat(spec: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in spec.items():
        if isinstance(value, Mapping):
            out |= _flat(value, f"{prefix}{key}.")
        else:
            out[prefix + key] = value
    return out


def _joined(values: Iterable[Any]) -> str:
    known = dict.fromkeys(value_text(value) for value in values if value is not None)
    return ", ".join(known)
