"""The benchmarks: what they count and print, not how long anything takes."""

import json
import sys

import numpy as np
import pytest

import tasks
from harness.bench import Timing, data, interleaved, mixers, report, runner, throughput
from harness.bench import orchid as layer
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from reports import records
from tests.command import orchid


def test_candidates_take_turns():
    calls = []
    steps = {name: lambda name=name: calls.append(name) for name in "ab"}
    timings = interleaved(steps, repetitions=3, warm_up=1)
    assert calls == list("ab" * 4)
    assert all(isinstance(found, Timing) for found in timings.values())
    assert all(found.low_ms <= found.median_ms <= found.high_ms for found in timings.values())


def test_peak_memory_is_what_is_held_at_once():
    import torch

    def step():
        first = torch.ones(2**18)  # 1 MiB
        second = first + 1
        del first
        return second * 2  # two of them at a time

    assert mixers._peak_bytes(step) == pytest.approx(2 * 2**20, rel=1e-3)  # and a scalar or two


def test_a_report_against_the_number_of_runs():
    result = json.loads(orchid("bench", "report", "--runs", "1000", "--json").stdout)
    (row,) = result["rows"]
    assert row["runs"] == 1000 and row["ratio"] == 1 and row["page_bytes"] > 1e5
    assert row["peak_bytes"] > 1e7 and 0 < row["cpu_s"] and row["ms_per_run"] == row["cpu_s"]
    assert "1,000" in report.render(result)


def test_the_ledger_of_the_report_is_whole(tmp_path):
    found = records.read(report.write_ledger(tmp_path, 1000))
    assert len(found.runs) == 1000 and len(found.arms) == report.ARMS and found.num_left == 0
    assert {len(run.measurements) for run in found.runs} == {50}
    assert len(found.choices) == report.ARMS and len(found.claims) == 3


def test_a_command_that_fails_is_told(tmp_path):
    with pytest.raises(HarnessError, match="there is no ledger here"):
        report.cost_of(
            [sys.executable, "-c", report._ORCHID, "report", "--out", str(tmp_path), "x"]
        )
    with pytest.raises(HarnessError, match="multiple of 1,000"):
        report.write_ledger(tmp_path, 1500)


def test_mixers_against_length(tmp_path):
    words = ["bench", "mixers", "short_conv", "mlp_mixer", "--length", "16", "--length", "8"]
    result = orchid(*words, "--json", "--svg", str(tmp_path / "a.svg"))
    rows = json.loads(result.stdout)["rows"]
    assert {(row["mixer"], row["length"]) for row in rows} == {
        (mixer, length) for mixer in ("attention", "short_conv", "mlp_mixer") for length in (8, 16)
    }
    for row in rows:
        assert row["us_per_token"] > 0 and row["peak_bytes_per_token"] > 0
        if row["mixer"] == "attention":
            assert row["ratio"] == row["memory_ratio"] == pytest.approx(1)
    text = (tmp_path / "a.svg").read_text()
    assert text.startswith("<svg") and "short_conv" in text
    shown = mixers.render(json.loads(result.stdout)).splitlines()
    assert sum("mlp_mixer" in line for line in shown) == 1


def test_beyond_attention_s_longest_there_is_no_ratio(monkeypatch):
    monkeypatch.setattr(mixers, "LONGEST_ATTENTION", 8)
    monkeypatch.setattr(mixers, "TOKENS", 32)
    result = mixers.measure([8, 16], ["short_conv"])
    found = {(row["mixer"], row["length"]): row for row in result["rows"]}
    assert "ratio" in found["short_conv", 8] and "ratio" not in found["short_conv", 16]
    assert "refused" in found["attention", 16]
    assert "refused" in mixers.render(result)


def test_an_unknown_mixer_is_said():
    result = orchid("bench", "mixers", "attenton", code=2)
    assert "did you mean 'attention'" in result.stderr


def test_orchid_with_and_without_its_fast_path(monkeypatch):
    monkeypatch.setattr(layer, "SHAPES", ((2, 8, 4),))
    monkeypatch.setattr(layer, "REPETITIONS", 2)
    served, serves = [], layer.fused.serves
    monkeypatch.setattr(
        layer.fused, "serves", lambda *given: served.append(serves(*given)) or served[-1]
    )
    result = layer.measure()
    assert [row["candidate"] for row in result["rows"]] == 2 * [
        "modules", "fast path", "projections",
    ]  # fmt: skip
    assert served == 8 * [False, True]  # in turn: two networks, two repetitions behind two
    assert layer.render(result).count("1.00 x") >= 2


def test_generators_and_their_share_of_a_step(monkeypatch):
    short = "associative_recall, L 42, width 32, batch 64"
    monkeypatch.setattr(data, "PLAIN_S", 0.01)
    monkeypatch.setattr(data, "REPETITIONS", 2)
    monkeypatch.setattr(data, "EXAMPLES", 16)
    monkeypatch.setattr(data, "NUM_STEPS", 2)
    monkeypatch.setattr(data, "STEPS", {short: data.STEPS[short]})
    result = json.loads(orchid("bench", "data", "--json").stdout)
    assert len(result["rows"]) == 6 and [row["run"] for row in result["steps"]] == [short]
    assert all(row["per_s"] > row["plain_per_s"] > 0 for row in result["rows"])
    assert result["steps"][0]["draw_ms"] > 0
    shown = data.render(result).splitlines()
    assert sum("mqar" in line for line in shown) == 2 and short in shown[-1]


@pytest.mark.parametrize("name", ["mqar", "associative_recall"])
def test_the_plain_rule_is_the_tasks(name):
    """Every plain example is solved by the task's oracle."""
    task, rng = tasks.get(name), generator("plain", name)
    plain = {"mqar": data.plain_mqar, "associative_recall": data.plain_associative_recall}[name]
    rows = np.array([plain(task, rng) for _ in range(50)])
    if name == "mqar":
        inputs = rows
        scored = (inputs > 0) & (np.arange(task.length) >= 2 * task.num_pairs)
        assert (scored.sum(axis=1) == task.num_pairs).all()
        assert (task.oracle(tasks.Batch(inputs, inputs, {}))[scored] >= 4096).all()
    else:
        inputs, answers = rows[:, :-1], rows[:, -1]
        oracle = task.oracle(tasks.Batch(inputs, inputs, {}))
        assert (oracle[:, -1] == answers).all()


@pytest.mark.slow
def test_the_runner_is_measured_by_what_it_does(monkeypatch):
    monkeypatch.setattr(runner, "NUM_RUNS", (4, 8))
    monkeypatch.setattr(runner, "NUM_TRAINED", 4)
    monkeypatch.setattr(runner, "NUM_MEASUREMENTS", 500)
    monkeypatch.setattr(runner, "REPETITIONS", 1)
    result = json.loads(orchid("bench", "runner", "--json").stdout)
    assert [row["runs"] for row in result["driver"]] == [4, 8]
    assert [row["engine"] for row in result["executors"]] == ["local"]
    assert all(row["ms"] > 0 and row["peak_mb"] > 50 for row in result["driver"])
    assert 0 < result["ledger"]["share"] and set(result["start"]) >= {"import torch"}
    text = runner.render(result)
    assert "4 trained, local executor" in text and "measurements a second" in text


def test_a_run_that_is_replayed_is_recorded_whole(tmp_path):
    from ablations.ledger import Ledger

    with Ledger(tmp_path) as ledger:
        for event in runner.events_of("a"):
            ledger.append(event)
        ledger.flush()
        found = ledger.results(["a"])
    assert found == {
        "a": {"status": "finished", "steps": runner.NUM_EVALUATIONS, "steps_to_solve": None}
    }


@pytest.mark.slow
def test_trainings_in_cohorts_and_alone(monkeypatch):
    monkeypatch.setattr(throughput, "SHAPES", ((8, 8, 4),))
    monkeypatch.setattr(throughput, "MIXERS", ("attention",))
    monkeypatch.setattr(throughput, "REPETITIONS", 2)
    monkeypatch.setattr(throughput, "PER_RUN", 1)
    result = throughput.measure(2)
    (row,) = result["rows"]
    assert (row["cohort_size"], row["steps"]) == (2, throughput.LEAST_STEPS)
    assert row["low"] <= row["ratio"] <= row["high"]
    assert row["alone_per_s"] > 0 and row["cohorts_per_s"] > 0
    assert "attention, 8, 8, 4" in throughput.render(result)
