"""What several claims, and several looks at one, cost."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p: Sequence[float], num: int | None = None) -> list[float]:
    """Holm's corrected p, in the order given: holm([.01, .04, .03, .005]) is [.03, .06, .06, .02].

    Holm 1979: the smallest is multiplied by the number of all, the next by one less, and none is
    below the one before. num: size of the family where it is larger than the list; the members
    that are not there count as p = 1, the safe side. ValueError where it is smaller.
    """
    num = len(p) if num is None else num
    if num < len(p):
        raise ValueError(f"{len(p)} p values in a family of {num}")
    order = sorted(range(len(p)), key=lambda index: p[index])
    corrected, above = [0.0] * len(p), 0.0
    for rank, index in enumerate(order):
        above = max(above, min(1.0, (num - rank) * p[index]))
        corrected[index] = above
    return corrected


def alpha_at_each_look(alpha: float, num_looks: int) -> float:
    """The level at each look that keeps the chance of any false finding at alpha (Bonferroni).

    Looking at 3, 5, 8 and 10 seeds at .05 each finds something in 12 % of the cases where there
    is nothing; at .05 / 4 each, in 3 %. It holds however the looks depend on each other. Raises
    ValueError below one look.
    """
    if num_looks < 1:
        raise ValueError(f"looks are counted from 1, got {num_looks}")
    return alpha / num_looks
