"""What the choice of statistics rests on, measured: coverage, type-I errors, power.

Each simulation runs quickly by default and in full size with `pytest -m full`. A rate of `trials`
trials has a standard error of sqrt(rate (1 - rate) / trials); the tolerance is four of them (a
chance of 6e-5 for a true figure; and the seeds are fixed), and half a unit of the last digit that
is stated.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from harness.foundation.seeding import generator
from reports.statistics import (
    alpha_at_each_look,
    contrast,
    difference_interval,
    holm,
    independent_p,
    mean_interval,
    paired_p,
    power_of,
    stratified_bootstrap,
    stratified_p,
    tost,
)

ALPHA = 0.05
LAWS = {  # name -> (draw of a shape, mean)
    "normal": (lambda rng, shape: rng.normal(0, 1, shape), 0.0),
    "lognormal": (lambda rng, shape: rng.lognormal(0, 1, shape), math.exp(0.5)),
    # Most seeds solve the task and a few are stuck: the usual shape of accuracy on recall.
    "bimodal": (
        lambda rng, shape: np.where(rng.random(shape) < 0.8, 1, 0.5) + rng.normal(0, 0.02, shape),
        0.9,
    ),
    "tight": (lambda rng, shape: rng.normal(0, 0.02, shape), 0.0),
}


def sized(quick: int, full: int):
    """A quick size, and a full one that a run must ask for (it is slow too, for -m 'not slow')."""
    marks = [pytest.mark.slow, pytest.mark.full]
    return pytest.mark.parametrize("trials", [quick, pytest.param(full, marks=marks)])


def allowed(rate: float, trials: int, digits: int = 3) -> float:
    return 4 * math.sqrt(rate * (1 - rate) / trials) + 0.5 * 10**-digits


def centred(law: str, rng: np.random.Generator, *shape: int) -> np.ndarray:
    draw, mean = LAWS[law]
    return draw(rng, shape) - mean


def covers(interval) -> bool:
    return interval.low <= 0 <= interval.high


# Intervals of nominal .95 for a difference of means of two arms of one law, by 400,000 trials of
# scipy's Welch test and 60,000 of the bootstrap.
COVERAGE = {  # law -> seeds -> (Welch, percentile bootstrap)
    "normal": {3: (0.965, 0.804), 5: (0.956, 0.878), 10: (0.951, 0.915)},
    "lognormal": {3: (0.980, 0.808), 5: (0.981, 0.865), 10: (0.972, 0.900)},
    "bimodal": {3: (0.983, 0.798), 5: (0.990, 0.855), 10: (0.967, 0.894)},
}
CELLS = [(law, num, *found) for law, row in COVERAGE.items() for num, found in row.items()]


@sized(2_000, 40_000)
@pytest.mark.parametrize(("law", "num", "expected"), [cell[:3] for cell in CELLS])
def test_welch_covers(law, num, expected, trials):
    rng = generator("welch", law, num)
    a, b = centred(law, rng, 2, trials, num)
    found = sum(map(covers, map(difference_interval, a, b))) / trials
    assert 0.94 < expected < 0.995, "what is asked of it"
    assert found == pytest.approx(expected, abs=allowed(expected, trials))


@sized(2_000, 40_000)
@pytest.mark.parametrize(("law", "num", "expected"), [(*c[:2], c[3]) for c in CELLS])
def test_the_percentile_bootstrap_covers_too_little(law, num, expected, trials):
    """Why no contrast here is bootstrapped. 1,000 resamples of each arm."""
    rng = generator("bootstrap", law, num)
    hits = 0
    for _ in range(trials // 200):
        low, high = _bootstrap(*centred(law, rng, 2, 200, num), rng)
        hits += np.count_nonzero((low <= 0) & (0 <= high))
    assert expected < 0.93, "what it is refused for"
    assert hits / trials == pytest.approx(expected, abs=allowed(expected, trials))


def _bootstrap(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Percentile intervals of mean(a) - mean(b), of many trials at once: (2, trials)."""
    trials, num = a.shape
    drawn_a, drawn_b = rng.integers(0, num, (2, trials, 1_000, num))
    means_a = np.take_along_axis(a[:, None], drawn_a, 2).mean(2)
    means_b = np.take_along_axis(b[:, None], drawn_b, 2).mean(2)
    return np.quantile(means_a - means_b, [0.025, 0.975], axis=1)


@sized(2_000, 40_000)
@pytest.mark.parametrize(
    ("law", "num", "welch", "student"),
    [
        ("normal", 5, 0.950, 0.950),
        ("lognormal", 5, 0.821, 0.821),
        ("bimodal", 3, 0.495, 0.492),
        ("bimodal", 5, 0.667, 0.667),
        ("bimodal", 10, 0.886, 0.886),
        ("bimodal", 16, 0.905, 0.899),
    ],
)
def test_what_no_interval_of_few_seeds_can_see(law, num, welch, student, trials):
    """A skewed arm alone (Student), or against one that hardly varies (Welch), covers too little:
    five seeds that all solve (a chance of 1 in 3) know nothing of the seeds that are stuck.
    """
    rng = generator("skewed", law, num)
    a, b = centred(law, rng, trials, num), centred("tight", rng, trials, num)
    found = sum(map(covers, map(difference_interval, a, b))) / trials
    assert found == pytest.approx(welch, abs=allowed(welch, trials))
    found = sum(map(covers, map(mean_interval, a))) / trials
    assert found == pytest.approx(student, abs=allowed(student, trials))


def attained(ways: int, *, mirrored: bool = True) -> float:
    """The level that an exact test has of all values up to ALPHA: p comes in steps of 1 / ways."""
    step = 2 if mirrored else 1
    return math.floor(ALPHA * ways / step + 1e-9) * step / ways


@sized(2_000, 40_000)
@pytest.mark.parametrize("law", ["normal", "lognormal", "bimodal"])
@pytest.mark.parametrize(
    ("num_a", "num_b", "level"),
    [
        (3, 3, 0.0),
        (4, 4, attained(70)),
        (5, 5, attained(252)),
        (4, 6, attained(210, mirrored=False)),
        (7, 7, attained(3432)),
    ],
)
def test_the_independent_test_has_its_exact_level(law, num_a, num_b, level, trials):
    rng = generator("independent", law, num_a, num_b)
    a, b = centred(law, rng, trials, num_a), centred(law, rng, trials, num_b)
    found = sum(independent_p(x, y, rng) <= ALPHA for x, y in zip(a, b, strict=True)) / trials
    assert level <= ALPHA
    assert found == pytest.approx(level, abs=allowed(level, trials, digits=9))


@sized(2_000, 40_000)
@pytest.mark.parametrize("law", ["normal", "lognormal", "bimodal"])
@pytest.mark.parametrize(
    ("num", "level"), [(5, 0.0), (6, attained(2**6)), (8, attained(2**8)), (12, attained(2**12))]
)
def test_the_paired_test_has_its_exact_level(law, num, level, trials):
    """Pairs share what their seed brings, here as much again as what is their own."""
    rng = generator("paired", law, num)
    a, b = centred(law, rng, 2, trials, num) + rng.normal(0, 1, (trials, num))
    found = sum(paired_p(difference, rng) <= ALPHA for difference in a - b) / trials
    assert found == pytest.approx(level, abs=allowed(level, trials, digits=9))


@pytest.mark.parametrize("law", ["normal", "lognormal", "bimodal"])
@pytest.mark.parametrize(
    ("sizes", "level"),
    [([(3, 3), (3, 3)], attained(400)), ([(3, 3), (4, 5)], attained(2520, mirrored=False))],
)
@sized(2_000, 40_000)
def test_the_stratified_test_has_its_exact_level(law, sizes, level, trials):
    """Strata of unequal difficulty and spread."""
    found = _stratified_error(law, sizes, trials)
    assert found == pytest.approx(level, abs=allowed(level, trials, digits=9))


@sized(400, 8_000)
def test_the_stratified_test_has_its_level_where_labellings_are_drawn(trials):
    """(hits + 1) / (draws + 1) keeps it exactly: 500 of 10,000 ranks are at most .05."""
    found = _stratified_error("bimodal", [(5, 5)] * 3, trials)
    assert found == pytest.approx(ALPHA, abs=allowed(ALPHA, trials, digits=9))


def _stratified_error(law, sizes, trials):
    rng, hits = generator("stratified", law, str(sizes)), 0
    for _ in range(trials):
        strata = [
            (10 * i + (1 + i) * centred(law, rng, a), 10 * i + (1 + i) * centred(law, rng, b))
            for i, (a, b) in enumerate(sizes)
        ]
        hits += stratified_p(strata, rng) <= ALPHA
    return hits / trials


def _censored_steps(rng, trials, num, share):
    """Steps to solve of two equal arms, sd_log .45, cut where this share of runs has not solved."""
    steps = rng.lognormal(math.log(400), 0.45, (2, trials, num))
    budget = stats.lognorm.isf(share, 0.45, scale=400)
    return np.minimum(steps, budget), budget


@sized(2_000, 40_000)
@pytest.mark.parametrize("share", [0.2, 0.5])
@pytest.mark.parametrize("num", [4, 5, 6, 8])
def test_the_permutation_test_of_log_steps_keeps_its_level_where_runs_are_censored(
    num, share, trials
):
    """unsolved = budget. Ties at the budget make it err less often, never more."""
    rng = generator("censored", num, str(share))
    a, b = np.log(_censored_steps(rng, trials, num, share)[0])
    found = sum(independent_p(x, y, rng) <= ALPHA for x, y in zip(a, b, strict=True)) / trials
    level = attained(math.comb(2 * num, num))
    assert 0.005 < found < level + allowed(level, trials, digits=9)


@sized(600, 10_000)
@pytest.mark.parametrize(("num", "expected"), [(3, 0.096), (5, 0.067)])
def test_the_logrank_test_does_not(num, expected, trials):
    """Why steps are not compared by it. Where no run has solved its p is nan, which counts as 1."""
    rng, hits = generator("logrank", num), 0
    (a, b), budget = _censored_steps(rng, trials, num, 0.2)
    for x, y in zip(a, b, strict=True):
        if min(x.min(), y.min()) == budget:
            continue
        samples = [stats.CensoredData(s[s < budget], right=s[s >= budget]) for s in (x, y)]
        hits += stats.logrank(*samples).pvalue <= ALPHA
    assert hits / trials == pytest.approx(expected, abs=allowed(expected, trials))


@sized(800, 10_000)
@pytest.mark.parametrize("num_true", [0, 3])
def test_holm_keeps_the_familywise_error(num_true, trials):
    """Six claims of six seeds against one control, some of them true; without Holm .1 or more."""
    rng, plain, corrected = generator("holm", num_true), 0, 0
    null = range(num_true, 6)
    for _ in range(trials):
        control, arms = rng.normal(0, 1, 6), rng.normal(0, 1, (6, 6))
        arms[:num_true] += 4
        p = [independent_p(arm, control, rng) for arm in arms]
        plain += any(p[index] <= ALPHA for index in null)
        corrected += any(holm(p)[index] <= ALPHA for index in null)
    assert 0.01 < corrected / trials < ALPHA + allowed(ALPHA, trials, digits=9)
    assert plain / trials > 0.1 - allowed(0.1, trials, digits=9)


@sized(2_000, 40_000)
def test_peeking_errs_and_an_alpha_for_each_look_does_not(trials):
    """Welch's test at 3, 5, 8 and 10 seeds, stopping at the first p <= alpha: about .12."""
    rng, looks = generator("peeking"), (3, 5, 8, 10)
    a, b = rng.normal(0, 1, (2, trials, 10))
    least = np.array(
        [min(contrast([x[:n]], [y[:n]]).p() for n in looks) for x, y in zip(a, b, strict=True)]
    )
    peeking, divided = np.mean(least <= ALPHA), np.mean(least <= alpha_at_each_look(ALPHA, 4))
    assert peeking == pytest.approx(0.114, abs=allowed(0.114, trials))
    assert divided == pytest.approx(0.030, abs=allowed(0.030, trials))


@sized(2_000, 40_000)
@pytest.mark.parametrize("num", [5, 10])
def test_equivalence_errs_at_most_alpha_at_its_margin(num, trials):
    """The true difference is the margin, of three standard deviations."""
    rng = generator("tost", num)
    a, b = rng.normal(3, 1, (trials, num)), rng.normal(0, 1, (trials, num))
    found = sum(tost(contrast([x], [y]), 3) <= ALPHA for x, y in zip(a, b, strict=True)) / trials
    assert 0.03 < found < ALPHA + allowed(ALPHA, trials, digits=9)


@sized(2_000, 40_000)
@pytest.mark.parametrize(
    ("ratio", "num", "sd_log", "expected"),
    [
        (2, 5, 0.45, 0.543),
        (2, 8, 0.45, 0.811),
        (2, 10, 0.45, 0.900),
        (1.5, 10, 0.45, 0.474),
        (1.5, 5, 0.2, 0.779),
        (1.5, 5, 0.3, 0.440),
        (1.5, 16, 0.3, 0.959),
    ],
)
def test_welch_has_about_the_power_that_is_computed(ratio, num, sd_log, expected, trials):
    rng = generator("power", str(ratio), num, str(sd_log))
    a = rng.normal(math.log(ratio), sd_log, (trials, num))
    b = rng.normal(0, sd_log, (trials, num))
    found = sum(contrast([x], [y]).p() <= ALPHA for x, y in zip(a, b, strict=True)) / trials
    assert found == pytest.approx(expected, abs=allowed(expected, trials))
    computed = power_of(math.log(ratio), num, num, sd_log)
    assert expected - 0.005 < computed < expected + 0.03, "the t test, of equal spreads, has more"


@sized(200, 4_000)
@pytest.mark.parametrize(
    ("num_tasks", "num_runs", "expected"), [(10, 2, 0.80), (5, 4, 0.88), (4, 10, 0.92)]
)
def test_a_stratified_bootstrap_covers_by_runs_a_task(num_tasks, num_runs, expected, trials):
    """Within a task of n runs the spread is taken too small by sqrt((n - 1) / n), however many
    tasks there are: a nominal 1.96 standard errors are 1.39 at two runs, 1.70 at four; and it
    is known less well than the normal law takes it to be.
    """
    rng, hits = generator("cells", num_tasks, num_runs), 0
    for _ in range(trials):
        scores = {str(task): rng.normal(0, 1, num_runs) for task in range(num_tasks)}
        hits += covers(stratified_bootstrap(scores, np.mean, rng, num=500))
    assert hits / trials == pytest.approx(expected, abs=allowed(expected, trials, digits=2))
