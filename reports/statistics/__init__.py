"""Statistics for few seeds: intervals, exact tests, corrections, power; of arrays, not of records.

What holds at three to ten seeds was measured: Welch's interval and the exact permutation test do;
the percentile bootstrap of a mean and the log-rank test do not, so they are not offered for one
contrast. `tests/reports/statistics/test_simulations.py` measures it again.
"""

from reports.statistics.aggregate import (
    iqm,
    performance_profile,
    probability_of_improvement,
    stratified_bootstrap,
)
from reports.statistics.intervals import (
    LEVEL,
    Contrast,
    Estimate,
    contrast,
    difference_interval,
    mean_interval,
    one_sample_contrast,
    paired_contrast,
    tost,
)
from reports.statistics.multiplicity import alpha_at_each_look, holm
from reports.statistics.permutation import (
    independent_p,
    paired_p,
    smallest_independent_p,
    smallest_paired_p,
    smallest_stratified_p,
    stratified_p,
)
from reports.statistics.power import detectable_effect, needed_seeds, power_of
from reports.statistics.rates import (
    boschloo_p,
    rate_difference_interval,
    rate_interval,
    smallest_boschloo_p,
)
from reports.statistics.survival import SolveCurve, median_steps, solve_curve

__all__ = [
    "LEVEL",
    "Contrast",
    "Estimate",
    "SolveCurve",
    "alpha_at_each_look",
    "boschloo_p",
    "contrast",
    "detectable_effect",
    "difference_interval",
    "holm",
    "independent_p",
    "iqm",
    "mean_interval",
    "median_steps",
    "needed_seeds",
    "one_sample_contrast",
    "paired_contrast",
    "paired_p",
    "performance_profile",
    "power_of",
    "probability_of_improvement",
    "rate_difference_interval",
    "rate_interval",
    "smallest_boschloo_p",
    "smallest_independent_p",
    "smallest_paired_p",
    "smallest_stratified_p",
    "solve_curve",
    "stratified_bootstrap",
    "stratified_p",
    "tost",
]
