"""The benchmarks: what they count and print, not how long anything takes."""

import json
import platform
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import tasks
from harness import bench
from harness.bench import (
    Timing,
    against,
    cohort,
    data,
    interleaved,
    jobs,
    mixers,
    process,
    report,
    runner,
    step,
    throughput,
)
from harness.bench import orchid as layer
from harness.bench.published_orchid import PublishedOrchid
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from harness.mixers import get as mixer_of
from reports import records
from tests.command import orchid


def test_candidates_take_turns():
    calls = []
    steps = {name: lambda name=name: calls.append(name) for name in "ab"}
    timings = interleaved(steps, repetitions=3, warm_up=1)
    assert calls == list("ab" * 4)
    assert all(isinstance(found, Timing) for found in timings.values())
    assert all(found.low_ms <= found.median_ms <= found.high_ms for found in timings.values())
    assert all(len(found.each_ms) == 3 for found in timings.values())


def test_the_spread_is_the_middle_half_and_of_a_few_all():
    assert bench.spread([1, 2, 3, 4, 5, 6, 7]) == (2, 6)
    assert bench.spread([3, 1, 2]) == (1, 3)
    found = bench.ratio_of("a", "b", [2, 6, 4, 40, 2], [1, 2, 1, 10, 1], wanted=3)
    assert found == ("a", "b", 3, 2, 4, 3)  # each against its neighbour: 2, 3, 4, 4, 2


def test_the_first_line_names_the_machine(monkeypatch):
    about = bench.machine()
    line = bench.describe(about)
    assert about["cpu"] in line and about["torch"] in line and about["numpy"] in line
    assert f"Python {platform.python_version()}" in line
    told = about | {"cpu": "Z80", "cores": 1, "threads": 2, "gpu": None}
    assert bench.describe(told).startswith("Z80, 1 core, no GPU; 2 threads; Python")
    assert "thread" not in bench.describe(told | {"threads": None})
    assert "H200; " in bench.describe(told | {"gpu": "H200"})

    def unreadable(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", unreadable)
    assert bench.machine()["cpu"] in (platform.processor(), platform.machine())


def test_ratios_are_a_table_with_round_numbers():
    ratios = [
        bench.Ratio("fast", "slow", 1750.4, 0.0123456, 2000, 1.6),
        bench.Ratio("a", "b", 1, 1, 1),
    ]
    _, head, first, second = bench.render_ratios(ratios).splitlines()
    assert first.split() == ["fast", "slow", "1,750", "0.0123", "to", "2,000", "1.6"]
    assert second.split() == ["a", "b", "1", "1", "to", "1"]
    assert head.split() == ["against", "ratio", "spread", "wanted"]


def test_peak_memory_is_what_is_held_at_once():
    import torch

    def step():
        first = torch.ones(2**18)  # 1 MiB
        second = first + 1
        del first
        return second * 2  # two of them at a time

    assert mixers._peak_bytes(step) == pytest.approx(2 * 2**20, rel=1e-3)  # and a scalar or two


def test_a_report_against_the_number_of_runs(monkeypatch):
    monkeypatch.setattr(report, "REPETITIONS", 1)
    result = json.loads(orchid("bench", "report", "--runs", "1000", "--json").stdout)
    (row,) = result["rows"]
    assert row["runs"] == 1000 and row["page_bytes"] > 1e5
    assert row["peak_bytes"] > 1e7 and row["cpu_s"] > 0
    assert row["ms_per_run"] == pytest.approx(row["cpu_s"])  # of 1,000 runs
    assert "1,000" in report.render(result)
    assert result["ratios"] == []  # neither a second size nor the one with a target


def test_a_report_is_held_against_its_first_size_and_the_target():
    rows = [
        {"runs": 1000, "each_s": [3.0, 3.0], "each_cpu_s": [2.0, 3.0]},
        {"runs": 10000, "each_s": [10.0, 16.0], "each_cpu_s": [10.0, 30.0]},
    ]
    a_run, whole = report.ratios({"rows": rows})
    assert (a_run.ratio, a_run.low, a_run.high, a_run.wanted) == (1.5, 1, 2, None)
    assert (whole.low, whole.high, whole.wanted) == (1.25, 2, 1)


def test_the_ledger_of_the_report_is_whole(tmp_path):
    found = records.read(report.write_ledger(tmp_path, 1000))
    assert len(found.runs) == 1000 and len(found.arms) == report.ARMS and found.num_left == 0
    assert {len(run.measurements) for run in found.runs} == {50}
    assert len(found.choices) == report.ARMS and len(found.claims) == 3


def test_a_command_that_fails_is_told(tmp_path):
    with pytest.raises(HarnessError, match="there is no ledger here"):
        words = ["report", "x", "--out", str(tmp_path), str(tmp_path / "peak")]
        process.cost_of([sys.executable, "-c", report._REPORT, *words])
    with pytest.raises(HarnessError, match="multiple of 1,000"):
        report.write_ledger(tmp_path, 1500)


def test_mixers_against_length(tmp_path):
    words = ["bench", "mixers", "short_conv", "mlp_mixer", "--length", "16", "--length", "8"]
    shown = orchid(*words, "--out", str(tmp_path)).stdout
    result = json.loads((tmp_path / "mixers.json").read_text())
    rows = result["rows"]
    assert {(row["mixer"], row["length"]) for row in rows} == {
        (mixer, length) for mixer in ("attention", "short_conv", "mlp_mixer") for length in (8, 16)
    }
    for row in rows:
        assert row["us_per_token"] > 0 and row["peak_bytes_per_token"] > 0
        if row["mixer"] == "attention":
            assert row["ratio"] == row["memory_ratio"] == pytest.approx(1)
    for file in ("mixers.svg", "mixers-length.svg"):
        text = (tmp_path / file).read_text()
        assert text.startswith("<svg") and "short_conv" in text
    assert len(list(tmp_path.iterdir())) == 3
    assert shown.startswith(bench.describe(result))
    assert shown.endswith(f"written to {tmp_path}: mixers.json, mixers.svg, mixers-length.svg\n")
    assert sum("mlp_mixer" in line for line in mixers.render(result).splitlines()) == 1
    assert {(ratio["what"], ratio["than"]) for ratio in result["ratios"]} == {
        (f"{mixer}, L {length}", "attention")
        for mixer in ("short_conv", "mlp_mixer")
        for length in (8, 16)
    }


def test_json_alone_is_printed_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["bench", "mixers", "short_conv", "--length", "8"]
    (ratio,) = json.loads(orchid(*words, "--json").stdout)["ratios"]
    assert ratio["low"] <= ratio["ratio"] <= ratio["high"]
    assert not list(tmp_path.iterdir())
    orchid(*words)
    assert {path.name for path in (tmp_path / "bench").iterdir()} == {
        "mixers.json", "mixers.svg", "mixers-length.svg",
    }  # fmt: skip


def test_beyond_attention_s_longest_there_is_no_ratio(monkeypatch):
    monkeypatch.setattr(mixers, "LONGEST_ATTENTION", 8)
    monkeypatch.setattr(mixers, "TOKENS", 32)
    result = mixers.measure([8, 16], ["short_conv"])
    found = {(row["mixer"], row["length"]): row for row in result["rows"]}
    assert "ratio" in found["short_conv", 8] and "ratio" not in found["short_conv", 16]
    assert "refused" in found["attention", 16]
    assert "refused" in mixers.render(result)
    assert [ratio.what for ratio in mixers.ratios(result)] == ["short_conv, L 8"]


def test_an_unknown_mixer_is_said():
    result = orchid("bench", "mixers", "attenton", code=2)
    assert "did you mean 'attention'" in result.stderr


@pytest.mark.parametrize("length", [16, 33])
@pytest.mark.parametrize("normalization", ["forward", "ortho", "backward"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("network", layer.NETWORKS)
def test_the_layer_as_published_computes_what_ours_does(network, residual, normalization, length):
    mixer = mixer_of(
        "orchid", conditioning=network, residual_conv=residual, normalization=normalization
    )
    ours = mixer.build(8, length).double()
    draw = generator("published", length)
    with torch.no_grad():
        for value in ours.parameters():  # norms, biases and frequencies away from 0 and 1
            value += 0.1 * torch.from_numpy(draw.standard_normal(value.shape))
    x = torch.from_numpy(draw.standard_normal((3, length, 8))).requires_grad_()
    found = []
    for y in (ours(x, None)[0], PublishedOrchid(ours)(x)):
        (grad,) = torch.autograd.grad(y.square().sum(), x)
        found.append((y, grad))
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-11)


def test_orchid_with_and_without_its_fast_path(monkeypatch):
    monkeypatch.setattr(layer, "SHAPES", ((2, 8, 4),))
    monkeypatch.setattr(layer, "REPETITIONS", 2)
    served, serves = [], layer.fused.serves
    monkeypatch.setattr(
        layer.fused, "serves", lambda *given: served.append(serves(*given)) or served[-1]
    )
    result = layer.measure()
    assert [row["candidate"] for row in result["rows"]] == 4 * [
        "published", "modules", "fast path", "projections",
    ]  # fmt: skip
    assert served == 16 * [False, True]  # in turn: four cases, two repetitions behind two
    text = layer.render(result)
    assert text.count("1.00 x") >= 4 and "geometric mean" in text
    assert [ratio.what for ratio in layer.ratios(result)] == [
        f"{name}{residual}, batch 2, length 8, width 4"
        for name in layer.NETWORKS
        for residual in ("", ", residual")
    ]


def test_ratios_of_times_are_above_one_where_ours_is_faster():
    rows = [
        {
            "shape": [2, 8, 4],
            "network": "power",
            "residual": False,
            "candidate": name,
            "each_ms": [each],
        }
        for name, each in (("published", 6.0), ("modules", 5.0), ("fast path", 2.0))
    ]
    assert layer.ratios({"rows": rows})[0].ratio == 3
    rows = [
        {"mixer": name, "length": 8, "us_per_token": each, "each_ms": [each]}
        for name, each in (("attention", 6.0), ("short_conv", 2.0))
    ]
    assert mixers.ratios({"rows": rows})[0].ratio == 3
    trainings = {
        "mixer": "attention", "shape": [8, 8, 4], "device": "cpu", "wanted": 1.6,
        "cohorts_each_per_s": [30.0], "alone_each_per_s": [10.0],
    }  # fmt: skip
    timings = [{"name": "one at a time", "each_ms": [6.0]}, {"name": "stacked", "each_ms": [2.0]}]
    found = cohort.ratios({"sections": {"a": timings}, "trainings": {"rows": [trainings]}})
    assert [ratio.ratio for ratio in found] == [3, 3]


def test_the_runner_is_inside_its_targets_above_one():
    driver = {"engine": "replay", "runs": 4, "each_ms": [5.0, 2.0]}
    trained = {"engine": "ray", "runs": 4, "each_ms": [120.0]}
    ledger = {"each_per_s": [10_000.0], "plain_each_per_s": [40_000.0]}
    start = {runner.TINY_RUN: {"each_s": [4.0]}}
    found = runner.ratios(
        {"driver": [driver], "executors": [trained], "ledger": ledger, "start": start}
    )
    assert [ratio.ratio for ratio in found] == [3.5, 0.5, 2, 0.25, 1.25]
    assert [ratio.wanted for ratio in found] == [1, 1, 1, None, 1]


def test_generators_and_their_share_of_a_step(monkeypatch):
    short = "associative_recall, L 42, width 32, batch 64"
    monkeypatch.setattr(data, "PLAIN_S", 0.01)
    monkeypatch.setattr(data, "REPETITIONS", 2)
    monkeypatch.setattr(data, "EXAMPLES", 16)
    monkeypatch.setattr(data, "NUM_STEPS", 2)
    monkeypatch.setattr(data, "SHARE_REPETITIONS", 1)
    monkeypatch.setattr(data, "STEPS", {short: data.STEPS[short]})
    result = json.loads(orchid("bench", "data", "--json").stdout)
    assert len(result["rows"]) == 6 and [row["run"] for row in result["steps"]] == [short]
    assert all(row["per_s"] > row["plain_per_s"] > 0 for row in result["rows"])
    assert result["steps"][0]["draw_ms"] > 0
    assert [each["what"] for each in result["ratios"]] == [
        each["generator"] for each in result["rows"]
    ]
    assert all(each["ratio"] > 1 for each in result["ratios"])
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
    monkeypatch.setattr(throughput, "SHAPES", ((8, 8, 4), (256, 256, 16)))  # the second: alone
    monkeypatch.setattr(throughput, "MIXERS", ("attention",))
    monkeypatch.setattr(throughput, "REPETITIONS", 2)
    monkeypatch.setattr(throughput, "PER_COHORT", 1)
    result = throughput.measure(2)
    (row,) = result["rows"]
    assert (row["cohort_size"], row["steps"]) == (2, throughput.LEAST_STEPS)
    (ratio,) = throughput.ratios(result)
    assert 0 < ratio.low <= ratio.ratio <= ratio.high and ratio.wanted == throughput.WANTED
    assert row["alone_per_s"] > 0 and row["cohorts_per_s"] > 0
    assert "attention, 8, 8, 4" in throughput.render(result)


@pytest.mark.slow
def test_trainings_on_a_gpu_as_far_as_a_cpu_has_it(monkeypatch):
    """What a GPU's rows are made of, and how they read."""
    for name, value in {"SHAPE": (8, 8, 4), "MEMBERS": 3, "ALONE": 1, "STEPS": 4}.items():
        monkeypatch.setattr(throughput, f"GPU_{name}", value)
    rows = throughput._rows(throughput._on_gpu(), "cpu", 1)
    assert [(row["mixer"], row["workers"], row["cohort_size"], row["steps"]) for row in rows] == [
        ("attention", 1, 3, 4),
        ("orchid", 1, 3, 4),
    ]
    result = {"rows": [{**row, "device": "cuda"} for row in rows]}
    assert throughput.render(result).count("on the GPU") == 2
    assert {ratio.wanted for ratio in throughput.ratios(result)} == {throughput.GPU_WANTED}


# -- another harness -------------------------------------------------------------------------------


def test_commands_take_turns_each_in_a_fresh_empty_folder(tmp_path):
    log = shlex.quote(str(tmp_path / "log"))

    def command(name):
        return f"echo {name} $(ls -A {{out}} | wc -l) >> {log}; touch {{out}}/a"

    result = against.measure("data", command("b"), command("a"), repetitions=3)
    rounds = (tmp_path / "log").read_text().split("\n")[:-1]
    assert rounds == ["a 0", "b 0", "b 0", "a 0"] * 2  # the first round is a warm-up
    assert {len(each) for each in result["each_s"].values()} == {3}
    assert result["job"] == "as given" and command("b") in against.render(result)


def test_cpu_time_includes_child_processes():
    busy = "import time\nwhile time.process_time() < 0.4: pass"
    inner = shlex.join([sys.executable, "-S", "-c", busy])
    assert process.cost_of(f"sh -c {shlex.quote(inner + '; true')}; true").cpu_s > 0.4
    assert process.cost_of(["true"]).cpu_s < 0.4


def test_their_time_over_ours():
    each = {"ours": [2.0, 4.0], "theirs": [6.0, 8.0]}
    wall, cpu = against.ratios({"each_s": each, "each_cpu_s": {**each, "ours": [1.0, 1.0]}})
    assert (wall.ratio, wall.low, wall.high) == (2.5, 2, 3)
    assert cpu.ratio == 7


def test_against_times_the_two_commands_alone(tmp_path):
    words = ["bench", "mixers", "--against", "true", "--ours", "true", "--repetitions", "1"]
    shown = orchid(*words, "--out", str(tmp_path)).stdout
    assert {path.name for path in tmp_path.iterdir()} == {
        "mixers-against.json", "mixers-against.svg",
    }  # fmt: skip
    assert "short_conv" not in shown and "theirs" in shown


def test_a_foreign_command_that_fails_is_told():
    words = ["bench", "data", "--against", "echo no such data; exit 3", "--ours", "true"]
    said = orchid(*words, code=2).stderr
    assert "exit code 3: no such data" in said
    assert "--against COMMAND" in orchid("bench", "data", "--ours", "true", code=2).stderr


def test_a_step_and_its_parts(monkeypatch):
    monkeypatch.setattr(step, "REPETITIONS", 1)
    monkeypatch.setattr(step, "PARTS_STEPS", 1)
    monkeypatch.setattr(step, "MEMBERS", 2)
    result = json.loads(orchid("bench", "step", "--json").stdout)
    assert len(result["pairs"]) == len(result["ratios"]) == 5
    assert all(each["low"] <= each["ratio"] <= each["high"] for each in result["ratios"])
    for each in result["steps"]:
        assert set(each["parts"]) == {"examples", "forward and backward", "clipping", "optimiser"}
        assert each["operations"] > 100 and each["waits"] == 0
    assert "0 of which make the host wait" in step.render(result)


def test_operations_that_make_the_host_wait_are_seen():
    import torch

    with step._Operations() as seen:
        torch.ones(3).sum().item()
        torch.ones(3).nonzero()
    assert sum(any(word in name for word in step.WAITS) for name in seen.names) == 2


def test_every_section_has_a_reference_job_in_words():
    from harness.bench.verbs import bench as group

    assert set(jobs.JOBS) == set(group.commands)
    assert all(each.words for each in jobs.JOBS.values())
    command, words = against.reference("cohort")
    assert command.endswith("-m harness.bench.jobs cohort {out}") and "32 runs" in words
    with pytest.raises(HarnessError, match="no reference job"):
        against.reference("nothing")


def test_a_reference_job_runs_as_a_process(tmp_path):
    command, _ = against.reference("data")
    assert process.cost_of(command.replace("{out}", shlex.quote(str(tmp_path)))).cpu_s > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["data", "mixers", "step", "cohort", "runner", "report"])
def test_the_reference_jobs_do_their_work(name, tmp_path, monkeypatch):
    for size, less in (
        ("NUM_EXAMPLES", 2000),
        ("NUM_PASSES", 1),
        ("NUM_STEPS", 2),
        ("NUM_TINY", 4),
    ):
        monkeypatch.setattr(jobs, size, less)
    jobs.JOBS[name].do(tmp_path)
    assert (tmp_path / "ledger.sqlite").is_file() == (name in ("cohort", "runner", "report"))
    assert (tmp_path / "report.html").is_file() == (name in ("runner", "report"))
    if name == "cohort":
        assert {run.steps for run in records.read(tmp_path).runs} == {2}
