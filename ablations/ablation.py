"""An ablation: the arms of a comparison, and the runs that it asks for.

`ablations.reading` makes one from YAML.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from ablations import dotted
from ablations.claim import Resolved
from ablations.match import Match
from harness.foundation.config import At, Config, parse, to_data
from harness.foundation.seeding import short_hash
from harness.spec import Purpose, RunSpec

if TYPE_CHECKING:
    from ablations.runner import Summary

Metric = Literal["accuracy", "loss", "steps_to_solve"]


class Seeds(Config):
    """selection: seeds that choose the nuisances. confirmation: fresh seeds for the answer.
    then: larger numbers of those, to which `--until-settled` goes on while claims are open."""

    selection: int = Field(default=4, ge=0)
    confirmation: int = Field(default=5, ge=1)
    then: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _looks_grow(self) -> Self:
        looks = (self.confirmation, *self.then)
        if any(b <= a for a, b in itertools.pairwise(looks)):
            raise At(f"each look needs more seeds than the one before, got {looks}", "then")
        return self


class Threshold(Config):
    """What `ablations.threshold` searches. over: a field. values: of it, in the order in which the
    task gets easier. solve_rate: share of the runs that must solve it. arms: labels of those to
    search; all where empty."""

    over: str
    values: Annotated[tuple[int | float | str, ...], Field(min_length=2)]
    solve_rate: Annotated[float, Field(gt=0, le=1)] = 0.9
    arms: tuple[str, ...] = ()


class Arm(NamedTuple):
    """One condition of the comparison.

    spec: its runs, up to seed, purpose and nuisances. condition_id: hash of what is left.
    """

    label: str
    levels: dict[str, str]
    spec: RunSpec
    condition_id: str


class Run(NamedTuple):
    """One training in the plan. nuisance: the setting's dotted keys and values."""

    arm: Arm
    spec: RunSpec
    nuisance: dict[str, Any]


@dataclass(frozen=True)
class Ablation:
    """A checked ablation at one scale; `ablations.load` makes one.

    text, file: the YAML it came from. overrides: `--set` as given. match: how the arms were made
    equal in size; its `to` names an arm. protocol: what is said of the published settings under
    base. score: means over groups of arms, as reports read it.
    claims: what is stated about the arms.
    multiverse: choice -> its levels, under each of which claims are judged; see the module
    `ablations.multiverse`.
    """

    name: str
    question: str
    source: dict[str, Any]
    scale: str
    metric: Metric
    baseline: str | None
    seeds: Seeds
    factors: dict[str, list[str]]
    arms: list[Arm]
    nuisances: list[dict[str, Any]]
    text: str
    file: str
    overrides: tuple[str, ...] = ()
    match: Match | None = None
    protocol: dict[str, Any] | None = None
    score: dict[str, Any] | None = None
    claims: tuple[Resolved, ...] = ()
    multiverse: dict[str, Any] | None = None
    thresholds: dict[str, Threshold] = field(default_factory=dict)

    @cached_property
    def grid_id(self) -> str:
        """Hash of what a selection of nuisances rests on besides the arm."""
        settings = sorted(self.nuisances, key=repr)
        return short_hash([settings, self.seeds.selection, self.metric])

    @property
    def needs_selection(self) -> bool:
        return len(self.nuisances) > 1

    def selection_runs(self) -> Iterator[Run]:
        """Every nuisance setting of every arm on the selection seeds."""
        if self.needs_selection:
            for arm in self.arms:
                for nuisance in self.nuisances:
                    yield from self._runs(arm, nuisance, "selection", self.seeds.selection)

    def confirmation_runs(
        self, chosen: Mapping[str, dict[str, Any]], num_seeds: Mapping[str, int] | None = None
    ) -> Iterator[Run]:
        """The runs of the arms whose nuisances are chosen (by condition_id) or need no choice.

        num_seeds: of arms (by condition_id) that have more than the ablation asks for.
        """
        for arm in self.arms:
            nuisance = chosen.get(arm.condition_id) if self.needs_selection else self.nuisances[0]
            if nuisance is not None:
                num = (num_seeds or {}).get(arm.condition_id, self.seeds.confirmation)
                yield from self._runs(arm, nuisance, "confirmation", num)

    def still_asked(self, num_seeds: Mapping[str, int]) -> dict[str, int]:
        """Of the numbers to which arms once went on, those that the ablation still names."""
        return {key: num for key, num in num_seeds.items() if num in self.seeds.then}

    def run(self, *, out: str | Path | None = None, executor: str = "auto") -> Summary:
        """Runs what is missing; see `ablations.runner.run`, which takes more options."""
        from ablations import executors, runner  # they stand on this module

        return runner.run(self, out=out, engine=executors.make(executor))

    def _runs(self, arm: Arm, nuisance: dict, purpose: Purpose, num: int) -> Iterator[Run]:
        spec = with_nuisance(arm.spec, nuisance)
        for seed in range(num):
            yield Run(arm, spec.model_copy(update={"seed": seed, "purpose": purpose}), nuisance)


def with_nuisance(spec: RunSpec, nuisance: Mapping[str, Any]) -> RunSpec:
    """The specification with the nuisance's dotted keys set."""
    data = to_data(spec)
    for key, value in nuisance.items():
        dotted.put(data, dotted.path(key), value)
    return parse(RunSpec, data)
