"""What a number of seeds can find: power of the t test of two arms of equal spread."""

from __future__ import annotations

import math

from reports.statistics.permutation import smallest_independent_p

MOST_SEEDS = 1_000


def power_of(effect: float, num_a: int, num_b: int, sd: float, alpha: float = 0.05) -> float:
    """Chance that a true difference of means is found, two-sided at alpha."""
    if sd == 0:
        return float(effect != 0)
    from scipy.special import nctdtr, stdtrit

    freedom = num_a + num_b - 2
    shift = abs(effect) / (sd * math.sqrt(1 / num_a + 1 / num_b))
    critical = float(stdtrit(freedom, 1 - alpha / 2))
    below, far_below = (float(nctdtr(freedom, shift, x)) for x in (critical, -critical))
    # Far out in the tail nctdtr has no number, where the chance is 0 to every digit.
    return 1 - (0.0 if math.isnan(below) else below) + (0.0 if math.isnan(far_below) else far_below)


def detectable_effect(
    num_a: int, num_b: int, sd: float, *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """The smallest true difference of means that is found with this power; 0 without spread."""
    if sd == 0:
        return 0.0
    from scipy.optimize import brentq

    most = sd
    while power_of(most, num_a, num_b, sd, alpha) < power:
        most *= 2
    return float(brentq(lambda x: power_of(x, num_a, num_b, sd, alpha) - power, 0, most))


def needed_seeds(
    effect: float, sd: float, *, alpha: float = 0.05, power: float = 0.8
) -> int | None:
    """Fewest seeds an arm that find the difference with this power, and with which the exact test
    can reach alpha at all; None beyond 1,000."""

    def enough(num: int) -> bool:
        can = smallest_independent_p(num, num) <= alpha
        return can and power_of(effect, num, num, sd, alpha) >= power

    if effect == 0 or not enough(MOST_SEEDS):
        return None
    low, high = 1, MOST_SEEDS  # low is too few, high is enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
