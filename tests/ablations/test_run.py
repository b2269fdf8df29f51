"""Whole runs: the same numbers from every executor, and nothing lost or done twice."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ablations import executors, runner
from ablations.arm_facts import arm_facts
from ablations.ledger import FILE, open_for_reading, read_meta
from harness.cost import training_flops
from harness.foundation.errors import HarnessError
from harness.foundation.plugins import load_plugins
from tests.ablations.examples import SMALL, TROUBLE_PLUGIN, changed, load
from tests.ablations.test_ablation import NUISANCE


def results(folder: Path) -> dict[str, list]:
    """run_id -> every number that was measured of it."""
    db = open_for_reading(folder)
    rows = db.execute(
        "SELECT run_id, split, metric, step, value FROM measurements ORDER BY 1, 2, 3, 4"
    ).fetchall()
    ids = dict(db.execute("SELECT run_id, status FROM runs"))
    db.close()
    return {run_id: [ids[run_id], *(row[1:] for row in rows if row[0] == run_id)] for run_id in ids}


def run(ablation, folder: Path, **options) -> runner.Summary:
    options = {"name": "local", "workers": 2, "device": "cpu", **options}
    return runner.run(ablation, out=folder, engine=executors.make(**options))


class Counter:
    """A watcher that counts the runs that start."""

    def __init__(self):
        self.started: list[str] = []

    def planned(self, plan, stage, workers): ...

    def take(self, event):
        if type(event).__name__ == "Started":
            self.started.append(event.run_id)

    def close(self): ...


def run_counted(ablation, folder: Path) -> list[str]:
    counter = Counter()
    engine = executors.make("local", workers=2, device="cpu")
    runner.run(ablation, out=folder, engine=engine, watchers=[counter])
    return counter.started


@pytest.mark.slow
def test_local_and_ray_give_the_same_runs_and_numbers(tmp_path):
    ablation = load(NUISANCE)
    run(ablation, tmp_path / "local")
    run(ablation, tmp_path / "ray", name="ray")
    local, ray = results(tmp_path / "local"), results(tmp_path / "ray")
    assert local == ray
    assert len(local) == 2 * 2 * 3 + 2 * 2
    assert {numbers[0] for numbers in local.values()} == {"finished"}
    assert read_meta(tmp_path / "ray")["to_choose"] == 0


def test_what_is_done_is_not_done_again(tmp_path):
    assert len(run_counted(load(), tmp_path)) == 4
    before = results(tmp_path)
    assert run_counted(load(), tmp_path) == []
    longer = changed(
        (
            "{attention: attention, long_conv: {name: long_conv}}",
            "{heads: {name: attention, heads: 2}, attention: attention, long_conv: long_conv}",
        )
    )
    new = run_counted(load(longer), tmp_path)
    after = results(tmp_path)
    assert set(new) == set(after) - set(before)
    assert len(new) == 2
    assert {key: after[key] for key in before} == before
    run_counted(load(), tmp_path)
    assert results(tmp_path) == after, "shrinking a grid forgets nothing"
    seeds = changed(("confirmation: 2", "confirmation: 3"))
    assert len(run_counted(load(seeds), tmp_path)) == 2


WITHOUT_WORKERS = """
import multiprocessing.process, sys
from harness.cli import main

def refuse(self):
    raise AssertionError(f"a worker starts: {self.name}")

class NoRay:
    def find_spec(self, name, path=None, target=None):
        if name == "ray":
            raise AssertionError("ray starts")

multiprocessing.process.BaseProcess.start = refuse
sys.meta_path.insert(0, NoRay())
main(standalone_mode=False)
"""


def test_nothing_left_starts_no_process_and_imports_no_ray(tmp_path):
    """With something left both would: the check can fail."""
    (tmp_path / "small.yaml").write_text(SMALL)
    run(load(), tmp_path / "done")
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    for executor, said in (("local", "a worker starts: orchid worker"), ("ray", "ray starts")):
        for out, is_left in (("done", False), ("new", True)):
            command = ["run", "small.yaml", "--executor", executor, "--out", out]
            done = subprocess.run(
                [sys.executable, "-c", WITHOUT_WORKERS, *command],
                cwd=tmp_path, env=env, capture_output=True, text=True,
            )  # fmt: skip
            assert (done.returncode != 0) == is_left, done.stderr
            assert (said in done.stderr) == is_left, done.stderr


DRIVER = (
    "from ablations import executors, runner\n"
    "from tests.ablations.examples import load\n"
    "import pathlib, sys\n"
    "if __name__ == '__main__':\n"
    "    runner.run(load(pathlib.Path(sys.argv[1]).read_text()), out=sys.argv[2],\n"
    "               engine=executors.make('local', workers=2, device='cpu'))\n"
)

# Twelve cohorts of one run each, so that a kill falls between runs.
LONG = changed(
    ("steps: 4", "steps: 240"),
    ("eval_every: 2", "eval_every: 40"),
    (
        "  model.mixer: {attention: attention, long_conv: {name: long_conv}}\n",
        "  model.width: [4, 8, 12, 16, 20, 24]\n  model.short_conv: [0, 3]\n",
    ),
    ("confirmation: 2", "confirmation: 1"),
)


@pytest.mark.slow
@pytest.mark.parametrize("ended", [1, 5])
def test_kill_9_and_the_same_command_again(tmp_path, ended):
    (tmp_path / "grid.yaml").write_text(LONG)
    (tmp_path / "driver.py").write_text(DRIVER)
    folder = tmp_path / "out"
    command = [sys.executable, tmp_path / "driver.py", tmp_path / "grid.yaml", folder]
    root = str(Path(__file__).parents[2])
    driver = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": root}, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(ended_runs(folder)) < ended:
        time.sleep(0.02)
    driver.kill()
    driver.wait()
    before = results(folder)
    assert ended <= len(before) < 12
    again = run_counted(load(LONG), folder)
    after = results(folder)
    assert len(after) == 12
    assert set(again) == set(after) - set(before), "finished runs are not done again"
    assert {key: after[key] for key in before} == before
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and children_of(driver.pid):
        time.sleep(0.1)
    assert not children_of(driver.pid), "workers end with their driver"


def ended_runs(folder: Path) -> list:
    try:
        db = sqlite3.connect(f"file:{folder / FILE}?mode=ro", uri=True)
        rows = db.execute("SELECT run_id FROM runs").fetchall()
        db.close()
        return rows
    except sqlite3.Error:
        return []


def children_of(session: int) -> list[int]:
    """Processes of the driver's session that are still there."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.fixture
def trouble(tmp_path):
    file = tmp_path / "trouble.py"
    file.write_text(TROUBLE_PLUGIN)
    load_plugins([str(file)])
    return file


TROUBLE = changed(
    ("associative_recall", "trouble"),
    (
        "  model.mixer: {attention: attention, long_conv: {name: long_conv}}\n",
        "  task.kind: [none, {kind}]\n",
    ),
)


@pytest.mark.parametrize(
    ("kind", "said"), [("raise", "RuntimeError: no such luck"), ("kill", "died twice (SIGKILL")]
)
def test_what_fails_is_recorded_and_stops_nothing_else(tmp_path, trouble, kind, said):
    ablation = load(TROUBLE.replace("{kind}", kind))
    summary = run(ablation, tmp_path / "out", plugins=[str(trouble)])
    assert summary.counts == {"finished": 2, "failed": 2}
    db = open_for_reading(tmp_path / "out")
    messages = db.execute("SELECT DISTINCT message FROM runs WHERE status = 'failed'").fetchall()
    (provenance,) = db.execute("SELECT provenance FROM runs WHERE status = 'finished'").fetchone()
    db.close()
    assert len(messages) == 1
    assert said in messages[0][0]
    assert list(json.loads(provenance)["plugins"]) == ["trouble v1"]
    again = run(ablation, tmp_path / "out", plugins=[str(trouble)])
    assert again.counts == {"finished": 2, "failed": 2}, "a failed run is tried again"


def test_a_changed_plugin_of_the_same_version_is_refused(tmp_path, trouble):
    ablation = load(TROUBLE.replace("[none, {kind}]", "[none, calm]"))
    run(ablation, tmp_path / "out", plugins=[str(trouble)])
    trouble.write_text(TROUBLE_PLUGIN + "\n# changed\n")
    with pytest.raises(HarnessError, match="version = 2"):
        run(ablation, tmp_path / "out", plugins=[str(trouble)])


def test_a_run_that_turns_nan_is_a_result(tmp_path):
    text = changed(
        ("train:\n", "train:\n    weight_decay: 0.0\n"),
        (
            "  model.mixer: {attention: attention, long_conv: {name: long_conv}}\n",
            "  rate:\n    calm: {train.lr: 1e-3}\n"
            "    wild: {train.lr: 1e30, train.clip_norm: null}\n",
        ),
    )
    summary = run(load(text), tmp_path)
    assert summary.counts == {"finished": 2, "diverged": 2}
    assert summary.num_failed == 0
    assert run_counted(load(text), tmp_path) == [], "a diverged run is not tried again"


def test_the_nuisance_is_chosen_once_and_confirmed_on_fresh_seeds(tmp_path):
    run(load(NUISANCE), tmp_path)
    db = open_for_reading(tmp_path)
    chosen = dict(db.execute("SELECT condition_id, nuisance FROM selections"))
    rows = db.execute("SELECT condition_id, nuisance FROM plan WHERE purpose = 'confirmation'")
    confirmed = set(rows.fetchall())
    db.close()
    assert len(chosen) == 2
    assert confirmed == set(chosen.items())


@pytest.mark.parametrize(
    "nuisance, is_known",
    [("{train.lr: [1e-3, 1e-2], train.weight_decay: [0.0, 0.1]}", True),
     ("{train.batch_size: [4, 8]}", False)],
)  # fmt: skip
def test_the_flops_of_training_are_known_unless_they_are_tuned(nuisance, is_known):
    ablation = load(NUISANCE.replace("{train.lr: [1e-3, 1e-2]}", nuisance))
    for arm in ablation.arms:
        facts = arm_facts(arm, ablation.match, ablation.nuisances)
        expected = training_flops(arm.spec) if is_known else None
        assert facts["training_flops"] == expected


def test_a_folder_belongs_to_one_ablation(tmp_path):
    run(load(), tmp_path)
    with pytest.raises(HarnessError, match=r"belongs to the ablation 'small'"):
        run(load(changed(("name: small", "name: other"))), tmp_path)


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_recorded_and_says_how_to_go_on(tmp_path):
    (tmp_path / "grid.yaml").write_text(LONG)
    command = [sys.executable, "-c", "from harness.cli import main; main()", "run", "grid.yaml",
               "--out", "out", "--executor", "local"]  # fmt: skip
    driver = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        # Where the tests themselves run in the background, Ctrl-C is ignored, and inherited so.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not ended_runs(tmp_path / "out"):
        time.sleep(0.02)
    os.killpg(driver.pid, signal.SIGINT)
    _, talk = driver.communicate(timeout=60)
    assert driver.returncode == 130, talk
    assert "the same command goes on from here" in talk
    assert "Traceback" not in talk
    assert 1 <= len(ended_runs(tmp_path / "out")) < 12
