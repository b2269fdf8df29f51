"""Cohorts stay under what a worker has, and a run that does not fit is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablations import executors
from ablations.executors.memory import WORKER_BYTES, host_bytes, worker_bytes
from ablations.plan import SHARE_OF_MEMORY, cohort_size, cohorts
from ablations.show import plan_data, render_plan
from ablations.todo import make_plan
from harness.training import memory
from tests.ablations.examples import load
from tests.harness.runs import tiny

GIB = 2**30
SPEC = tiny(model__mixer="attention", task__length=32)


def seeds(num: int):
    return [SPEC.model_copy(update={"seed": seed}) for seed in range(num)]


@pytest.mark.parametrize("fitting", [1, 3, 7])
def test_a_cohort_is_as_large_as_fits(fitting):
    room = int(memory.peak_bytes(SPEC, fitting) / SHARE_OF_MEMORY) + 10
    assert cohort_size(SPEC, memory=room) == fitting
    planned = cohorts(seeds(8), memory=room)
    assert max(len(cohort.specs) for cohort in planned) <= fitting
    assert sum(len(cohort.specs) for cohort in planned) == 8
    assert all(cohort.fits for cohort in planned)


def test_a_run_that_does_not_fit_is_trained_alone():
    planned = cohorts(seeds(3), memory=1000)
    assert [(len(cohort.specs), cohort.fits) for cohort in planned] == [(1, False)] * 3


def test_plenty_of_memory_changes_no_plan_and_traces_nothing(monkeypatch):
    monkeypatch.setattr(memory, "follow", pytest.fail)
    spec = tiny(model__mixer="attention", task__length=34)
    runs = [spec.model_copy(update={"seed": seed}) for seed in range(20)]
    assert cohorts(runs, memory=64 * GIB) == cohorts(runs)


def test_a_plan_says_what_its_largest_cohort_takes():
    ablation = load()
    data = plan_data(ablation, make_plan(ablation, {}, {}, worker_memory=lambda: GIB), Path("out"))
    largest = data["memory"]["largest_cohort"]
    assert 0 < largest["predicted_bytes"] < largest["available_bytes"] == GIB
    assert data["memory"]["too_large"] == []
    assert f"of 1.00 GiB predicted at the peak ({largest['arm']}" in render_plan(data)


def test_a_plan_names_the_arms_that_do_not_fit():
    ablation = load()
    data = plan_data(ablation, make_plan(ablation, {}, {}, worker_memory=lambda: 1000), Path("out"))
    arms = {each["arm"] for each in data["memory"]["too_large"]}
    assert arms == {arm.label for arm in ablation.arms}
    assert render_plan(data).count("warning: a run of ") == len(arms)


def test_workers_share_what_the_machine_has():
    engine = executors.make("local", workers=2, device="cpu")
    available = engine.worker_memory()
    assert available == engine.worker_memory()  # read once
    assert available == pytest.approx(host_bytes() / 2 - WORKER_BYTES, rel=0.2)
    assert worker_bytes("cpu", 10**6) == 0


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def machine(root: Path, cgroup: str) -> Path:
    """A /proc with 8 GiB available."""
    write(root / "proc" / "self", cgroup=cgroup)
    write(root / "proc", meminfo=f"MemTotal: 1 kB\nMemAvailable: {8 * 2**20} kB\n")
    return root / "proc"


def test_without_a_limit_it_is_what_the_system_has(tmp_path):
    assert host_bytes(machine(tmp_path, "0::/\n"), tmp_path / "cgroup") == 8 * GIB


def test_a_limit_of_cgroup_v2_counts_with_all_above_it(tmp_path):
    proc, root = machine(tmp_path, "0::/pod/box\n"), tmp_path / "cgroup"
    used = {"memory__current": str(3 * GIB), "memory__stat": f"anon 5\ninactive_file {GIB}\n"}
    write(root / "pod", memory__max=str(4 * GIB), **used)
    write(root / "pod" / "box", memory__max="max\n", **used)
    assert host_bytes(proc, root) == 2 * GIB


def test_a_limit_of_cgroup_v1_counts(tmp_path):
    proc, root = machine(tmp_path, "5:cpu:/x\n4:memory:/box\n"), tmp_path / "cgroup"
    write(
        root / "memory" / "box",
        memory__limit_in_bytes=str(2 * GIB),
        memory__usage_in_bytes=str(GIB),
        memory__stat="total_inactive_file 0\n",
    )
    assert host_bytes(proc, root) == GIB


def test_a_process_over_its_limit_has_nothing_left(tmp_path):
    proc, root = machine(tmp_path, "0::/\n"), tmp_path / "cgroup"
    write(root, memory__max="10", memory__current="20", memory__stat="inactive_file 0\n")
    assert host_bytes(proc, root) == 0
