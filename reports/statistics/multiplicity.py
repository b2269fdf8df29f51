"""What several claims, and several looks at one, cost."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p: Sequence[float]) -> list[float]:
    """Holm's corrected p, in the order given: holm([.01, .04, .03, .005]) is [.03, .06, .06, .02].

    Holm 1979: the smallest is multiplied by the number of all, the next by one less, and none is
    below the one before.
    """
    order = sorted(range(len(p)), key=lambda index: p[index])
    corrected, above = [0.0] * len(p), 0.0
    for rank, index in enumerate(order):
        above = max(above, min(1.0, (len(p) - rank) * p[index]))
        corrected[index] = above
    return corrected


def alpha_at_each_look(alpha: float, num_looks: int) -> float:
    """The level at each look that keeps the chance of any false finding at alpha (Bonferroni).

    Looking at 3, 5, 8 and 10 seeds at .05 each finds something in 11.9 % of the cases where there
    is nothing; at .05 / 4 each, in 3.1 %.
    """
    return alpha / num_looks
