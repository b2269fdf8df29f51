"""What a number of seeds can find: power of the t test of two arms of equal spread."""

from __future__ import annotations

import math

from reports.statistics.permutation import smallest_independent_p

MOST_SEEDS = 1_000


def power_of(effect: float, num_a: int, num_b: int, sd: float, alpha: float = 0.05) -> float:
    """Chance that a true difference of means is found, two-sided at alpha.

    0 where there is no test, which takes a run of each and three in all.
    """
    if not _can_test(num_a, num_b):
        return 0.0
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
    """The smallest true difference of means that is found with this power.

    0 without spread; inf where there is no test.
    """
    if not _can_test(num_a, num_b):
        return math.inf
    if sd == 0:
        return 0.0
    from scipy.optimize import brentq

    most = sd
    while power_of(most, num_a, num_b, sd, alpha) < power:
        most *= 2
    return float(brentq(lambda x: power_of(x, num_a, num_b, sd, alpha) - power, 0, most))


def needed_seeds(
    effect: float, sd: float, *, alpha: float = 0.05, power: float = 0.8, most: int = MOST_SEEDS
) -> int | None:
    """Fewest seeds an arm that find the difference with this power, and with which the exact test
    can reach alpha at all; None beyond `most`.

    One after another: beyond ten seeds labellings are drawn, and the least p is larger again.
    """
    for num in range(2, most + 1):
        can = smallest_independent_p(num, num) <= alpha
        if can and power_of(effect, num, num, sd, alpha) >= power:
            return num
    return None


def _can_test(num_a: int, num_b: int) -> bool:
    return min(num_a, num_b) >= 1 and num_a + num_b >= 3
