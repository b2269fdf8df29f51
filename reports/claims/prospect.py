"""What planned runs can say of claims, before any of them is trained."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from ablations.claim import Resolved
from reports import statistics
from reports.claims.comparison import smallest_p
from reports.claims.obstacles import BUDGET, TUNED
from reports.claims.verdict import fewest_seeds

if TYPE_CHECKING:
    from ablations.ablation import Ablation, Arm

# Spread of a run that is usual on recall tasks: of log steps to solve, and of shares.
USUAL_LOG_SD, USUAL_SD = 0.3, 0.05
POWER = 0.8


class Prospect(NamedTuple):
    """A claim before its runs. obstacle: why the planned runs cannot settle it; empty where they
    may. detectable: the effect that is found in 80 % of the cases where runs spread as usual (a
    ratio or a difference); None where the test is no test of two arms."""

    id: str
    obstacle: str
    detectable: float | None
    is_ratio: bool

    def render(self) -> str:
        """In words."""
        if self.obstacle:
            return f"{self.id}: cannot be settled: {self.obstacle}"
        if self.detectable is None:
            return f"{self.id}: can be settled"
        effect = f"x{self.detectable:.2f}" if self.is_ratio else f"{self.detectable:.3f}"
        sd = f"{USUAL_LOG_SD} (of logarithms)" if self.is_ratio else f"{USUAL_SD}"
        return (
            f"{self.id}: finds an effect of {effect} in {POWER:.0%} of the cases, if runs spread "
            f"by {sd}"
        )


def prospects(ablation: Ablation, *, num_looks: int = 1) -> list[Prospect]:
    """One for each claim."""
    families = Counter(claim.universe for claim in ablation.claims)
    return [
        _prospect(claim, ablation, families[claim.universe], num_looks) for claim in ablation.claims
    ]


def _prospect(resolved: Resolved, ablation: Ablation, family: int, num_looks: int) -> Prospect:
    claim, num = resolved.claim, ablation.seeds.confirmation
    alpha = statistics.alpha_at_each_look(claim.alpha, num_looks) / family
    nothing = Prospect(claim.id, "", None, claim.is_ratio)
    arms = [arm for arm in ablation.arms if arm.condition_id in resolved.condition_ids]
    obstacle = _obstacle(resolved, arms, ablation)
    if num < 2:
        obstacle = obstacle or "a single seed says nothing of the spread"
    is_two = claim.constant is None and not claim.kind.startswith("group")
    if is_two and claim.kind != "equivalent":
        sizes = [(num, num)] * (1 if claim.kind == "best_of" else len(resolved.strata))
        least = smallest_p(claim, sizes)
        if least > alpha:
            obstacle = obstacle or (
                f"the smallest p that {num} seeds can give, {least:.2g}, is above {alpha:.2g}; "
                f"{fewest_seeds(alpha, claim, len(sizes))} seeds an arm can"
            )
        num *= len(sizes)
    if obstacle or not is_two:
        return nothing._replace(obstacle=obstacle)
    sd = USUAL_LOG_SD if claim.is_ratio else USUAL_SD
    effect = statistics.detectable_effect(num, num, sd, alpha=alpha, power=POWER)
    return nothing._replace(detectable=math.exp(effect) if claim.is_ratio else effect)


def _obstacle(resolved: Resolved, arms: list[Arm], ablation: Ablation) -> str:
    """What a verdict would call untestable and a plan shows already."""
    claim = resolved.claim
    regimes = {arm.spec.regime for arm in arms}
    if len(regimes) > 1 and not claim.across_regimes:
        return "regimes differ; across_regimes: true, or arms of one regime"
    if len({arm.spec.train.loss for arm in arms}) > 1:
        return "loss modes differ"
    for key in BUDGET:
        if len({getattr(arm.spec.train, key) for arm in arms}) > 1:
            return f"budgets are unequal: train.{key}"
    rates = {setting[TUNED] for setting in ablation.nuisances if TUNED in setting}
    if len(rates) == 2:
        return f"of two values of {TUNED} the winner is always at an end of the grid; give three"
    return ""
