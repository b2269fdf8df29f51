"""The benchmarks of scaling: what they count and print, not how long anything takes."""

import json

import pytest

from ablations.executors.local import Local
from ablations.ledger import Ledger
from ablations.plan import Cohort, makespan_s
from harness.bench import growth, in_turn, runner, scaling, schedule, workers
from harness.training.events import Measured
from tests.command import orchid
from tests.harness.runs import tiny


@pytest.fixture
def small(monkeypatch):
    """Everything as small as it goes."""
    monkeypatch.setattr(workers, "NUM_COHORTS", 2)
    monkeypatch.setattr(workers, "MEMBERS", 1)
    monkeypatch.setattr(workers, "REPETITIONS", 2)
    monkeypatch.setattr(workers, "STEPS", {"attention": 1})
    monkeypatch.setattr(growth, "RUNS", {"replayed": (1, 2), "trained": (1, 2)})
    monkeypatch.setattr(
        growth, "SIZES", {"members": (1, 2), "length": (8, 16, 32), "width": (8, 16)}
    )
    monkeypatch.setattr(growth, "REPETITIONS", dict.fromkeys(growth.REPETITIONS, 2))
    monkeypatch.setattr(schedule, "NUM_SEEDS", 2)
    monkeypatch.setattr(schedule, "WORKERS", 8)


@pytest.mark.slow
def test_every_part_is_measured_and_shown(small):
    result = json.loads(orchid("bench", "scaling", "--json").stdout)
    text = scaling.render(result)
    for said in ("2 cohorts of 1 runs", "against length", "2,000 runs on 8 GPUs"):
        assert said in text, said
    found = {(each.what, each.than): each for each in scaling.ratios(result)}
    assert found["two workers, attention", "one"].wanted == workers.WANTED
    assert all(each.low <= each.ratio <= each.high for each in found.values())
    assert all(each.ratio > 0 for each in found.values())
    assert found["plan of 2,000 runs", "60 s"].ratio > 1
    assert [curve["sizes"] for curve in result["growth"]["curves"]] == [
        [1, 2], [1, 2], [1, 2], [1, 2], [8, 16, 32], [8, 16, 32], [8, 16], [8, 16],
    ]  # fmt: skip


@pytest.mark.parametrize("power", [0.0, 1.0, 1.7])
def test_the_exponent_of_a_power_law(power):
    sizes = [2, 8, 32, 100]
    assert growth.exponent(sizes, [3e-3 * n**power for n in sizes]) == pytest.approx(power)


def test_a_curve_is_fitted_in_every_repetition():
    curve = growth._curve("width", "orchid", {1: [1.0, 2.0], 2: [2.0, 2.0], 4: [8.0, 2.0]})
    assert curve["exponents"] == pytest.approx([1.5, 0.0])
    assert curve["local"] == pytest.approx([0.415, 1.322], abs=1e-3)  # 1.5, 2, 5
    shown = growth.render({"curves": [curve]})
    assert "overall 0.75 (0.00 to 1.50)" in shown and "against width" in shown


def test_sizes_take_turns():
    calls, ticks = [], iter(range(100))
    steps = {size: lambda size=size: calls.append(size) for size in (1, 2)}
    assert in_turn(steps, repetitions=2, clock=lambda: next(ticks)) == {1: [1, 1], 2: [1, 1]}
    assert calls == [1, 2] * 3


def test_growth_against_runs_is_that_of_whole_ablations(monkeypatch):
    recorded = []
    append = Ledger.append
    monkeypatch.setattr(
        Ledger, "append", lambda self, event: (recorded.append(event.run_id), append(self, event))
    )
    monkeypatch.setattr(growth, "RUNS", {"replayed": (1, 3)})
    monkeypatch.setattr(growth, "REPETITIONS", {"replayed": 1})
    times = growth._against_runs("replayed", runner.Replay())
    assert [len(each) for each in times.values()] == [1, 1]
    assert len(set(recorded)) == 3  # seed 0 alone and the same with two more


def test_a_step_moves_the_weights_of_every_member():
    with growth.ExitStack() as stack:
        step = growth._step(stack, "attention", members=2, length=8, width=8, batch=4)
        stacked = step.__closure__[step.__code__.co_freevars.index("stacked")].cell_contents
        before = stacked.values.clone()
        step()
    assert (stacked.values != before).any(dim=1).tolist() == [True, True]


def test_workers_that_do_not_say_what_they_spent():
    spent = workers.Spent(2.0, 0.1, None, None)._asdict()
    faster = workers.Spent(1.0, 0.1, None, None)._asdict()
    row = {"mixer": "orchid", "one": [spent] * 2, "two": [faster] * 2}
    (ratio,) = workers.ratios({"rows": [row]})
    assert (ratio.ratio, ratio.wanted) == (2.0, workers.WANTED)
    assert "not known" in workers.render({"rows": [row], "start_s": {1: 1.0, 2: 1.0}})


def test_what_two_workers_lose_is_told_apart():
    one = workers.Spent(wall_s=10.0, driver_s=0.1, cpu_s=9.0, waited_s=1.0)._asdict()
    two = workers.Spent(wall_s=8.0, driver_s=0.1, cpu_s=10.0, waited_s=4.0)._asdict()
    row = {"mixer": "orchid", "one": [one] * 2, "two": [two] * 2}
    walls, undisturbed, cpu = (each.ratio for each in workers.ratios({"rows": [row]}))
    assert (walls, undisturbed, cpu) == (1.25, 1.5, 0.9)
    assert workers.summary([two], 2)["idle"] == pytest.approx(1 - 14 / 16)


def test_a_grid_has_equal_cohorts_and_no_run_twice():
    grid = [workers._cohort("orchid", 3, index) for index in range(4)]
    assert len({cohort.specs[0].cohort_key for cohort in grid}) == 1
    assert len({run_id for cohort in grid for run_id in cohort.run_ids}) == 12


def test_a_grid_whose_runs_fail_is_no_measurement(monkeypatch):
    from harness.training.events import Failed

    engine = Local(workers=1, device="cpu", plugins=())
    monkeypatch.setattr(engine, "execute", lambda cohorts, emit: emit(Failed("a", "no luck", "")))
    with pytest.raises(RuntimeError, match="no luck"):
        workers._train(engine, [])


def test_the_simulated_schedule_is_the_planners_own():
    lengths = (5.0, 4.0, 3.0, 3.0, 2.0, 1.0)
    planned = [Cohort((tiny(seed=seed),), length) for seed, length in enumerate(lengths)]
    ends = schedule._ends(planned, 2)
    assert ends == [5.0, 4.0, 7.0, 8.0, 9.0, 9.0]
    assert max(ends) == makespan_s(lengths, 2)


def test_half_of_a_schedule_ends_and_the_rest_is_planned_again(tmp_path, small):
    first = schedule._first(tmp_path, 2, 8)
    assert first["runs"] == 50 * 20 * 2 and min(first["ledger"].values()) > 0
    plan = first["schedule"]
    assert plan["makespan_s"] >= plan["bound_s"] and 0 < plan["utilisation"] <= 1
    assert plan["cohorts"] >= plan["fewest"] and plan["busiest_per_s"] > 0
    again = schedule._again(tmp_path, 2, 8)
    assert again["counts"] == {"new": 1000, "cached": 1000, "failed": 0}
    assert set(again["steps"]) == {"load", "read the ledger", "plan", "write"}


def test_the_values_that_a_run_records_are_counted():
    spec = tiny()
    values = [len(e.values) for e in schedule._events_of(spec) if isinstance(e, Measured)]
    assert sum(values) == schedule._num_values(spec) == 8
