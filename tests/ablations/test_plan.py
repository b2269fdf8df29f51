"""Cohorts: all runs once, as large as may be, and as many as keep the workers busy."""

import pytest

from ablations import plan
from ablations.plan import cohorts, makespan_s
from harness.spec import RunSpec
from tests.ablations.examples import load
from tests.harness.runs import tiny


@pytest.fixture(autouse=True)
def prices(monkeypatch):
    """A second a member, and half a second a cohort, whatever is shipped; at most 16 members."""
    monkeypatch.setattr(plan, "estimate_s", lambda specs, device="cpu": 0.5 + len(specs))
    monkeypatch.setattr(plan, "cohort_size", lambda *_, **__: 16)


def seeds(num: int, **changes) -> list[RunSpec]:
    """Runs of one shape."""
    return [tiny(seed=seed, **changes) for seed in range(num)]


def arms(num: int, num_seeds: int) -> list[RunSpec]:
    """Runs of several shapes."""
    return [spec for width in range(num) for spec in seeds(num_seeds, model__width=8 + width)]


@pytest.mark.parametrize(
    ("runs", "workers", "sizes"),
    [
        (seeds(16), 1, [16]),
        (seeds(16), 2, [8, 8]),
        (seeds(40), 1, [14, 13, 13]),
        (seeds(40), 2, [10, 10, 10, 10]),  # three would keep one worker waiting for the other
        (seeds(24), 3, [8, 8, 8]),
        (seeds(5), 1000, [1, 1, 1, 1, 1]),
        (seeds(1), 4, [1]),
        (arms(6, 4), 2, [4] * 6),  # enough of them already
        (arms(3, 4), 2, [4, 4, 2, 2]),
        ([], 2, []),
    ],
    ids=str,
)
def test_cohorts_are_as_large_as_keeps_the_workers_busy(runs, workers, sizes):
    found = cohorts(runs, "cpu", workers)
    assert [len(cohort.specs) for cohort in found] == sizes
    assert sorted(spec.run_id for cohort in found for spec in cohort.specs) == sorted(
        spec.run_id for spec in runs
    )
    assert all(len({spec.cohort_key for spec in cohort.specs}) == 1 for cohort in found)


@pytest.mark.parametrize("workers", [1, 2, 3, 7, 50])
def test_smaller_cohorts_end_sooner_or_are_not_made(workers):
    runs = [*arms(5, 13), *seeds(37, train__batch_size=8)]
    largest = [cohort.estimate_s for cohort in cohorts(runs)]
    found = [cohort.estimate_s for cohort in cohorts(runs, workers=workers)]
    if len(found) == len(largest):
        assert found == largest
    else:
        assert makespan_s(found, workers) < plan.CLEARLY_SOONER * makespan_s(largest, workers)
    assert len(found) >= min(workers, len(largest))


def test_a_gain_that_estimates_cannot_tell_cuts_nothing(monkeypatch):
    monkeypatch.setattr(plan, "estimate_s", lambda specs, device="cpu": 100 + len(specs) / 16)
    assert [len(cohort.specs) for cohort in cohorts(seeds(16), workers=2)] == [16]


def test_runs_are_grouped_by_their_key_not_by_the_objects_they_share():
    ablation = load()
    again = load()  # equal specifications, other objects
    runs = [*ablation.confirmation_runs({}), *again.confirmation_runs({})]
    assert [len(cohort.specs) for cohort in cohorts(runs)] == [4, 4]
    shared = tiny(seed=0)
    other = shared.model_copy(update={"purpose": "selection"})
    assert [len(cohort.specs) for cohort in cohorts([shared, other])] == [1, 1]


@pytest.mark.parametrize(
    ("seconds", "workers", "expected"),
    [([3, 3, 2, 2, 2], 2, 7), ([5, 1, 1, 1], 2, 5), ([4, 4], 1, 8), ([2], 9, 2), ([], 3, 0)],
)
def test_the_longest_first_makespan(seconds, workers, expected):
    assert makespan_s(seconds, workers) == expected


def test_a_few_uneven_shapes_leave_no_worker_idle(monkeypatch):
    """Six arms of four runs, as long as six mixers are: the last one is shared."""
    seconds = {8: 155, 12: 95, 16: 70, 20: 56, 24: 49, 28: 47}
    runs = [tiny(model__width=width, seed=seed) for width in seconds for seed in range(4)]

    def estimate(specs, device="cpu"):
        return seconds[specs[0].model.width] * (0.2 + 0.2 * len(specs))

    monkeypatch.setattr(plan, "estimate_s", estimate)
    monkeypatch.setattr(plan, "cohort_size", lambda *given, **options: 4)
    uncut = plan.makespan_s(seconds.values(), 2)
    found = plan.cohorts(runs, workers=2)
    assert sorted(run_id for cohort in found for run_id in cohort.run_ids) == sorted(
        run.run_id for run in runs
    )
    lengths = [cohort.estimate_s for cohort in found]
    assert plan.makespan_s(lengths, 2) < 0.96 * uncut
    assert plan.makespan_s(lengths, 2) < 1.03 * sum(lengths) / 2
