"""The command line as a user meets it: every verb, every exit code, every block of the README."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import main
from tests import command
from tests.ablations.examples import SMALL, TROUBLE_PLUGIN, changed

README = (Path(__file__).parents[2] / "README.md").read_text()


@pytest.fixture
def orchid(tmp_path, monkeypatch):
    """The command, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return command.orchid


def test_list_names_everything(orchid):
    found = json.loads(orchid("list", "--json").stdout)
    assert {"associative_recall", "induction_heads", "listops"} <= set(found["tasks"])
    assert {"orchid", "attention", "long_conv"} <= set(found["mixers"])
    assert "quickstart" in found["ablations"]
    assert "quickstart" in orchid("list", "ablations").stdout


@pytest.mark.parametrize("task", ["associative_recall", "induction_heads"])
def test_show_draws_an_example_and_the_numbers_to_beat(orchid, task):
    text = orchid("show", task).stdout
    assert "[->" in text
    assert "oracle                       1.000" in text
    assert "shortcut: " in text
    data = json.loads(orchid("show", task, "--set", "length=12", "--json").stdout)
    assert data["task"]["length"] == 12
    assert data["oracle"] == 1.0


def test_from_yaml_to_answer(orchid, tmp_path):
    (tmp_path / "small.yaml").write_text(SMALL)
    assert "2 arms, no mistakes" in orchid("validate", "small.yaml").stdout
    plan = json.loads(orchid("plan", "small.yaml", "--json").stdout)
    assert plan["runs"] == {"new": 4, "cached": 0, "failed": 0, "to_be_chosen": 0}
    assert not (tmp_path / "runs").exists(), "a plan writes nothing"
    done = orchid("run", "small.yaml", "--workers", "1", "--device", "cpu")
    assert done.stdout.splitlines()[-1] == "runs/small-smoke/report.html"
    assert "4 runs in 2 cohorts" in done.stderr
    for name in ("small.yaml", "runs/small-smoke"):
        status = json.loads(orchid("status", name, "--json").stdout)
        assert (status["planned"], status["finished"], status["left"]) == (4, 4, 0)
    orchid("report", "runs/small-smoke", "--csv", "out.csv")
    with open("out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["arm"] for row in rows] == ["attention", "long_conv"]
    assert all(0 <= float(row["accuracy"]) <= 1 and row["n"] == "2" for row in rows)
    assert {"solve_rate", "steps_to_solve"} <= set(rows[0])
    assert "new task" not in (tmp_path / "runs/small-smoke/report.html").read_text()
    assert len(list((tmp_path / "runs/small-smoke/tensorboard").iterdir())) == 4
    plan = json.loads(orchid("plan", "runs/small-smoke", "--json").stdout)
    assert plan["runs"]["cached"] == 4


@pytest.mark.parametrize(
    ("kind", "name", "replaced", "taken"),
    [
        (
            "task",
            "first_token",
            "{name: associative_recall, vocab_size: 10, length: 8}",
            "listops",
        ),
        ("mixer", "running_mean", "{name: long_conv}", "attention"),
    ],
)
def test_what_new_writes_passes_its_own_test_and_trains(
    orchid, tmp_path, kind, name, replaced, taken
):
    file = f"{name}.py"
    assert orchid("new", kind, name).stdout.split() == [file, f"test_{file}"]
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"test_{file}"],
        capture_output=True,
        text=True,
    )
    assert tested.returncode == 0, tested.stdout
    (tmp_path / "own.yaml").write_text(changed((replaced, name)))
    orchid("validate", "own.yaml", code=2)
    orchid("run", "own.yaml", "--plugin", file, "--workers", "1", "--device", "cpu")
    assert json.loads(orchid("status", "own.yaml", "--json").stdout)["finished"] == 4
    orchid("new", kind, name, code=2)
    for other in ("../x", "class", "numpy", taken):
        orchid("new", kind, other, code=2)


def test_a_mixer_that_looks_ahead_and_says_causal_is_refused_before_training(orchid, tmp_path):
    orchid("new", "mixer", "running_mean")
    text = (tmp_path / "running_mean.py").read_text()
    (tmp_path / "running_mean.py").write_text(text.replace(".cumsum(-2)", ".flip(-2).cumsum(-2)"))
    (tmp_path / "own.yaml").write_text(changed(("{name: long_conv}", "running_mean")))
    for verb in ("validate", "run"):
        result = orchid(verb, "own.yaml", "--plugin", "running_mean.py", code=2)
        assert "says that it is causal, but output" in result.stderr
    assert not Path("runs").exists()


def test_a_failed_run_gives_exit_code_1(orchid, tmp_path):
    (tmp_path / "trouble.py").write_text(TROUBLE_PLUGIN)
    (tmp_path / "bad.yaml").write_text(
        changed(("{name: associative_recall,", "{name: trouble, kind: raise,"))
    )
    words = ["bad.yaml", "--plugin", "trouble.py", "--workers", "1", "--device", "cpu"]
    result = orchid("run", *words, code=1)
    assert "4 runs failed" in result.stderr
    assert "no such luck" in result.stdout
    assert "no such luck" in (tmp_path / "runs/small-smoke/report.html").read_text()
    assert json.loads(orchid("status", "bad.yaml", "--json").stdout)["failed"] == 4


def test_a_task_that_raises_is_said_before_any_training(orchid, tmp_path):
    (tmp_path / "broken_task.py").write_text(
        "from tasks.associative_recall import AssociativeRecall\n"
        "from tasks.base import register\n"
        "@register('broken_task')\n"
        "class Broken(AssociativeRecall):\n"
        "    def sample(self, rng, n):\n"
        "        raise ValueError('no such luck')\n"
    )
    (tmp_path / "bad.yaml").write_text(changed(("associative_recall", "broken_task")))
    for verb in ("validate", "run"):
        result = orchid(verb, "bad.yaml", "--plugin", "broken_task.py", code=2)
        assert "ValueError: no such luck" in result.stderr
    assert not Path("runs").exists()


def test_a_mixer_of_plain_torch_layers_is_refused_before_training(orchid, tmp_path):
    (tmp_path / "plain.py").write_text(
        "import torch\n"
        "from harness.mixers.base import Mixer, register\n"
        "@register('plain')\n"
        "class Plain(Mixer):\n"
        "    summary = source = 'own'\n"
        "    regime = property(lambda self: 'causal')\n"
        "    def module(self, width, length): return torch.nn.Linear(width, width)\n"
        "    def flops_per_token(self, width, length): return 1.0\n"
        "    def state_size(self, width, length): return 1\n"
    )
    (tmp_path / "bad.yaml").write_text(changed(("{name: long_conv}", "plain")))
    for verb in ("validate", "run"):
        result = orchid(verb, "bad.yaml", "--plugin", "plain.py", code=2)
        assert "harness.layers.parameter" in result.stderr


def test_a_folder_of_that_name_is_not_the_output(orchid, tmp_path):
    (tmp_path / "quickstart").mkdir()
    plan = json.loads(orchid("plan", "quickstart", "--json").stdout)
    assert plan["folder"] == "runs/quickstart-smoke"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "quickstrat"], "did you mean 'quickstart'"),
        (["run", "../quickstart"], "no ablation"),
        (["run", "quickstart", "--scale", "huge"], "no scale 'huge'"),
        (["run", "quickstart", "--set", "train.stepz=1"], "did you mean 'steps'"),
        (["run", "quickstart", "--executor", "slurm"], "auto, local, ray"),
        (["run", "quickstart", "--device", "tpu"], "auto, cpu, cuda"),
        (["run", "quickstart", "--plugin", "nothing.py"], "not a Python file"),
        (["plan", "no.yaml"], "cannot be read"),
        (["show", "listop"], "did you mean 'listops'"),
        (["show", "listops", "--set", "depth=3"], "unknown key 'depth'"),
        (["status", "quickstart"], "nothing has been run"),
        (["report", "quickstart"], "nothing has been run"),
    ],
)
def test_bad_input_is_said_and_gives_exit_code_2(orchid, words, said):
    result = orchid(*words, code=2)
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert not Path("runs").exists()


def test_a_second_driver_and_a_folder_that_cannot_be_written(orchid, tmp_path):
    from ablations.ledger import Ledger

    (tmp_path / "small.yaml").write_text(SMALL)
    with Ledger(tmp_path / "out"):
        result = orchid("run", "small.yaml", "--out", "out", "--device", "cpu", code=2)
    assert "another driver" in result.stderr
    (tmp_path / "file").write_text("")
    result = orchid("run", "small.yaml", "--out", "file", "--device", "cpu", code=2)
    assert "cannot be written" in result.stderr


def test_doctor_finds_this_installation_well(orchid):
    assert "PROBLEM" not in orchid("doctor").stdout


def test_the_ablation_of_the_readme_is_valid(orchid, tmp_path):
    (block,) = re.findall(r"```yaml\n# which\.yaml\n(.*?)```", README, re.DOTALL)
    (tmp_path / "which.yaml").write_text(block)
    assert "4 arms" in orchid("validate", "which.yaml").stdout


def test_the_task_of_the_readme_keeps_the_contract(orchid, tmp_path):
    (block,) = re.findall(r"```python\n(@register.*?)```", README, re.DOTALL)
    head = "import numpy as np\nfrom tasks.base import IGNORE, Batch, Count, Task, register\n"
    (tmp_path / "readme_task.py").write_text(head + block.replace("first_token", "readme_task"))
    assert (
        "oracle                       1.000"
        in orchid("show", "readme_task", "--plugin", "readme_task.py").stdout
    )


def test_every_verb_and_option_of_the_readme_exists():
    for line in re.findall(r"^    orchid (.*)$", README, re.MULTILINE):
        verb, *rest = line.split("#")[0].split()
        command = main.commands[verb]
        if verb == "bench":
            command = command.commands[rest.pop(0)]
        options = {flag for option in command.params for flag in option.opts}
        for word in rest:
            if word.startswith("--"):
                assert word in options, f"orchid {line}"
