"""Claims: what is stated about an ablation's arms, and would be shown wrong by which runs.

    claims:
      - id: own-is-faster
        kind: less                          # the metric of a is less than that of b
        metric: steps_to_solve
        a: {model.mixer.conditioning.input: own}
        b: {model.mixer.conditioning.input: constant}
        strata: [model.mixer.conditioning]  # compared at each of its levels, then pooled
        at_least: 1.2                       # the least effect that matters: a ratio here

An arm is chosen by its label, or by its levels. A claim may also hold one arm against a number,
against `best shortcut` or against `chance`. `reports.claims` judges them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from harness.foundation.config import At, Config, identity, parse, to_data
from harness.foundation.seeding import short_hash
from harness.training.metrics import OF_RUNS

Kind = Literal["less", "greater", "best_of", "equivalent", "group_less", "group_greater"]
Level = str | int | float | bool | None
Levels = dict[str, Level | tuple[Level, ...]]
Selector = str | Levels
Positive = Annotated[float, Field(gt=0)]

YARDSTICKS = ("best shortcut", "chance")
# Words about a claim; without them it is still the same claim.
_WORDS = ("id", "statement", "source", "published")
# What chooses its arms, which are identified themselves.
_SELECTORS = ("a", "b", "where", "strata")


class Claim(Config):
    """One statement.

    kind: `less`, `greater`: the metric of a against that of b. `best_of`: a is the best of itself
        and b (by default every other arm of the stratum). `equivalent`: a and b differ by less
        than `within`. `group_less`, `group_greater`: the mean over the arms of a against the mean
        over those of b.
    metric: `accuracy`, `loss`, `steps_to_solve`, `solve_rate`, `seconds`, or another test
        measurement of the arms by its name.
    a, b: an arm's label, or levels by factor (a list stands for any of them); b also a number,
        `best shortcut` or `chance`.
    where: levels that both a and b have.
    strata: factors; a and b are compared at each of their levels, and the differences averaged.
    exponent_in: a factor whose levels are numbers; what is compared is the exponent with which
        the metric grows in it (the slope between logarithms), one for each seed.
    at_least: the least effect that matters: a ratio for steps and seconds, else a difference.
    within: the largest difference (or ratio) that counts as none.
    paired: a and b are compared seed by seed, which share data and initial weights.
    across_regimes: a and b may differ in what their mixers see.
    alpha: two-sided level, before correction.
    published: what the source reports, in its own words or numbers by arm.
    """

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    kind: Kind
    metric: str = "accuracy"
    a: Selector
    b: Selector | float | None = None
    where: Levels = Field(default_factory=dict)
    strata: tuple[str, ...] = ()
    exponent_in: str | None = None
    at_least: Positive | None = None
    within: Positive | None = None
    paired: bool = False
    across_regimes: bool = False
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    statement: str = ""
    source: dict[str, str] = Field(default_factory=dict)
    published: str | float | dict[str, str | float] | None = None

    @field_validator("a", "b", "where", mode="before")
    @classmethod
    def _is_selector(cls, value: Any, info: ValidationInfo) -> Any:
        """One message for what pydantic would say of each kind of selector."""
        if isinstance(value, Mapping):
            value = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
            each = [level for v in value.values() for level in (v if type(v) is tuple else (v,))]
            if all(level is None or isinstance(level, str | int | float) for level in each):
                return value
        elif info.field_name == "b" and type(value) in (int, float, type(None)):
            return value if value is None else float(value)
        elif isinstance(value, str) and info.field_name != "where":
            return value
        takes = {"a": "a label, or ", "b": "a label, a number, or "}.get(info.field_name, "")
        raise ValueError(f"expected {takes}levels by factor, as {{factor: level}}, got {value!r}")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kind == "equivalent":
            if self.within is None:
                raise At("the kind equivalent needs `within`, what counts as no difference", "kind")
            if self.at_least is not None:
                raise At("the kind equivalent has no at_least; it has `within`", "at_least")
        elif self.within is not None:
            raise At(f"the kind {self.kind} has no `within`; it has at_least", "within")
        if self.b is None and self.kind != "best_of":
            raise At(f"the kind {self.kind} needs b, what a is held against", "kind")
        for key in ("at_least", "within"):
            value = getattr(self, key)
            if value is not None and self.is_ratio and value <= 1:
                raise At(
                    f"{key} is a ratio for the metric {self.metric}, so it must be above 1, "
                    f"got {value:g} (1.2: by a fifth, whichever way the claim points)",
                    key,
                )
        if self.kind.startswith("group") and self.strata:
            raise At("a claim about groups has no strata; `where` narrows it", "strata")
        if self.exponent_in is not None and self.kind not in ("less", "greater", "equivalent"):
            raise At(f"the kind {self.kind} compares no exponents", "exponent_in")
        if self.exponent_in in self.strata:
            raise At(f"{self.exponent_in} is what exponents are taken in", "strata")
        is_two = self.kind in ("less", "greater", "equivalent") and self.constant is None
        if self.paired and not (is_two and self.metric != "solve_rate"):
            raise At("only two arms are paired by seed, and not for solve rates", "paired")
        if self.constant is not None:
            self._check_constant()
        return self

    def _check_constant(self) -> None:
        """What a is held against must be on the scale of the metric."""
        if self.kind not in ("less", "greater", "equivalent"):
            raise At(f"the kind {self.kind} compares arms; b is no number", "b")
        if self.is_ratio and isinstance(self.b, float) and self.b <= 0:
            raise At(f"{self.metric} are compared as a ratio: b must be above 0", "b")
        if self.exponent_in is not None and self.constant in YARDSTICKS:
            raise At(f"{self.constant} is an accuracy, no exponent; b is a number or an arm", "b")

    @property
    def constant(self) -> float | str | None:
        """What a is held against where that is no arm: a number or a yardstick's name."""
        is_constant = isinstance(self.b, float) or self.b in YARDSTICKS
        return self.b if is_constant else None

    @property
    def is_ratio(self) -> bool:
        """Whether the effect is a ratio; else it is a difference."""
        ratios = [metric.name for metric in OF_RUNS if metric.is_ratio]
        return self.metric in ratios and self.exponent_in is None


class Stratum(NamedTuple):
    """Arms that are compared with one another, by condition_id. at: where exponents are compared,
    the level of the factor that each arm of a, and of b, has."""

    label: str
    a: tuple[str, ...]
    b: tuple[str, ...]
    at: tuple[float, ...] = ()


class Resolved(NamedTuple):
    """A claim and the arms that it is about. better: which way its metric is better, if any.
    universe: under which protocol of a multiverse; claims are corrected for those of one alone."""

    claim: Claim
    strata: tuple[Stratum, ...]
    better: Literal["high", "low"] | None
    universe: str = ""

    @property
    def condition_ids(self) -> set[str]:
        """Every arm that it needs."""
        return {each for stratum in self.strata for each in (*stratum.a, *stratum.b)}

    @property
    def hash(self) -> str:
        """Identifies what is claimed, of which arms; not the words about it, nor how the arms are
        called or in which order they stand."""
        left_out = (*_WORDS, *_SELECTORS)
        said = {k: v for k, v in identity(self.claim).items() if k not in left_out}
        strata = [
            [stratum.a, stratum.b, stratum.at]  # in the order of the levels
            if stratum.at
            else [sorted(stratum.a), sorted(stratum.b), []]
            for stratum in self.strata
        ]
        return short_hash([said, self.claim.constant, sorted(strata)])

    def for_ledger(self) -> dict[str, Any]:
        """Plain data, which `from_ledger` turns back."""
        strata = [stratum._asdict() for stratum in self.strata]
        return {
            "claim": to_data(self.claim),
            "strata": strata,
            "better": self.better,
            "universe": self.universe,
        }

    @classmethod
    def from_ledger(cls, data: Mapping[str, Any]) -> Resolved:
        strata = [
            Stratum(s["label"], *map(tuple, (s["a"], s["b"], s["at"]))) for s in data["strata"]
        ]
        return cls(parse(Claim, data["claim"]), tuple(strata), data["better"], data["universe"])
