"""The command line as a user meets it: every verb, every exit code, every block of the README."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tasks
from harness.cli import main
from tasks.base import GROUPS
from tests import command
from tests.ablations.examples import SMALL, TROUBLE_PLUGIN, changed

README = (Path(__file__).parents[2] / "README.md").read_text()


def numbers(text: str, name: str) -> list[float]:
    """What stands behind that name in the lines of `orchid show`."""
    found = re.findall(rf"^  {name} +(\d\S*)$", text, re.MULTILINE)
    return [float(number) for number in found]


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


def test_list_has_the_tasks_by_group(orchid, tmp_path):
    (tmp_path / "own.py").write_text(
        "from tasks.associative_recall import AssociativeRecall\n"
        "from tasks.base import Task, register\n"
        "@register('no_group')\n"
        "class NoGroup(AssociativeRecall):\n"
        "    group = Task.group\n"
        "@register('own_group')\n"
        "class OwnGroup(AssociativeRecall):\n"
        "    group = 'of my own'\n"
    )
    text = orchid("list", "tasks", "--plugin", "own.py").stdout
    titles = re.findall(r"^\S.*$", text, re.MULTILINE)
    assert titles[0] == "tasks: recall" and titles[-2:] == ["tasks: of my own", "tasks: others"]
    of, title = {}, ""
    for line in text.splitlines():
        title = line if line.startswith("tasks: ") else title
        if line.startswith("  "):
            name, summary = line.split(maxsplit=1)
            of[name] = (title.removeprefix("tasks: "), summary)
    found = json.loads(orchid("list", "tasks", "--plugin", "own.py", "--json").stdout)
    assert of == {name: (e["group"], e["summary"]) for name, e in found["tasks"].items()}
    assert of["no_group"] == ("others", "recall the value that a key had earlier in the sequence")
    assert of["listops"][0] == "long range"
    order = [of[name][0] for name in of]
    assert [g for i, g in enumerate(order) if g not in order[:i]] == [
        group for group in (*GROUPS, "of my own", "others") if group in order
    ]


@pytest.mark.parametrize("task", ["associative_recall", "induction_heads"])
def test_show_draws_an_example_and_the_numbers_to_beat(orchid, task):
    text = orchid("show", task).stdout
    (answer,) = re.findall(r"\[->(\w+)\]$", text, re.MULTILINE)
    assert re.search(rf"^its answer:\n  {answer} \(distance \d+, ", text, re.MULTILINE)
    assert "\nloss modes: answers, all, masked; for bidirectional mixers: answers, masked\n" in text
    assert "\nscored: " in text and "\n  vocab_size " in text
    assert numbers(text, "oracle") == [1.0]
    assert 0 < numbers(text, "chance")[0] < numbers(text, "shortcut: most frequent .*")[0] < 1
    assert numbers(text, "distance")[0] > numbers(text, "circular_distance")[0] > 1
    data = json.loads(orchid("show", task, "--set", "length=12", "--json").stdout)
    assert data["task"]["length"] == 12
    assert data["oracle"] == 1.0


def test_show_says_which_losses_a_bidirectional_mixer_can_learn_from(orchid):
    def line(*words: str) -> str:
        return re.search(r"^loss modes: (.*)$", orchid("show", *words).stdout, re.MULTILINE)[1]

    several = ["associative_recall", "--set", "num_queries=2"]
    assert line(*several) == "answers, all, masked; for bidirectional mixers: masked"
    assert line("markov_chains") == "answers, all; for bidirectional mixers: none"
    small = [f"--set={key}" for key in ("max_depth=4", "min_length=10", "max_length=40")]
    assert line("listops", *small) == "answers; for bidirectional mixers: answers"


def test_show_of_many_answers_and_of_long_inputs(orchid):
    text = orchid("show", "markov_chains", "--set", "length=9").stdout
    example = re.search(r"at each \* the next token is scored.*\n(.*)", text)[1]
    assert re.fullmatch(r"  (\d\* ){8}\d \[->\d\]", example)
    assert re.search(r"^its answers:\n(  \d \(.*\)\n){6}  \.\.\. and 3 more$", text, re.MULTILINE)
    assert 0.2 < numbers(text, "best predictor")[0] < numbers(text, "best predictor")[1]
    text = orchid("show", "listops").stdout
    example = text.split("one example:\n")[1].split("\n\n")[0].splitlines()
    assert len(example) == 12 and example[8] == "  ..." and example[0].startswith("  [M")
    assert re.search(r" _ x\d+$", example[-1]) and "[->" not in text
    assert max(map(len, text.splitlines())) <= 98


def test_show_of_real_numbers(orchid):
    text = orchid("show", "adding_problem", "--set", "length=50").stdout
    assert len(re.findall(r"^ +\d+  0\.\d\d  marked$", text, re.MULTILINE)) == 2
    assert re.search(r"^  [01]\.\d\d \(distance \d+, ", text, re.MULTILINE)
    assert numbers(text, "oracle") == [1.0, 0.0]  # accuracy, squared error
    second = numbers(text, "shortcut: second number")
    assert second == pytest.approx([0.08, 1 / 12], abs=0.02)


def test_show_of_a_task_without_an_exact_solver(orchid):
    text = orchid("show", "digits").stdout
    assert re.search(r"^  oracle +none is known$", text, re.MULTILINE)
    example = text.split("one example:\n")[1].split("\n\n")[0]
    assert len(example.splitlines()) == 8 and "@" in example
    assert json.loads(orchid("show", "digits", "--json").stdout)["oracle"] is None


def test_show_fits_a_narrow_terminal(orchid, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for task in ("fuzzy_recall", "markov_chains", "multi_hop_induction"):
        assert max(map(len, orchid("show", task).stdout.splitlines())) <= 80


def test_show_checks_the_task_of_a_plug_in(orchid, tmp_path):
    (tmp_path / "own.py").write_text(
        "from tasks.associative_recall import AssociativeRecall\n"
        "from tasks.base import register\n"
        "@register('wrong')\n"
        "class Wrong(AssociativeRecall):\n"
        "    def oracle(self, batch):\n"
        "        return batch.inputs\n"
    )
    said = orchid("show", "wrong", "--plugin", "own.py", code=2).stderr
    assert "task wrong: the oracle should be exact, got " in said


@pytest.mark.parametrize(
    "task, holds", [("lra_text", "train.csv and test.csv"), ("speech_commands", "<word>/*.wav")]
)
def test_show_of_a_task_on_files_asks_for_them(orchid, task, holds):
    said = orchid("show", task, code=2).stderr
    assert f"{task} reads files of your own" in said and f"show {task} --set folder=PATH" in said
    assert holds in said
    assert "nowhere" in orchid("show", task, "--set", "folder=nowhere", code=2).stderr


def test_show_of_a_task_on_files(orchid, tmp_path):
    for half in ("train", "test"):
        rows = "".join(f"{index % 2},so {index}\n" for index in range(10))
        (tmp_path / f"{half}.csv").write_text(f"label,text\n{rows}")
    text = orchid("show", "lra_text", "--set", f"folder={tmp_path}", "--set", "length=8").stdout
    assert f"\n  folder    {tmp_path}\n                 Where the files lie." in text
    assert re.search(
        r"^one example:\n  so \d\n\nits answer:\n  (posi|nega)tive", text, re.MULTILINE
    )
    assert "accuracy over 10 examples" in text and numbers(text, "shortcut: majority") == [0.5]


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
    assert len(list((tmp_path / "runs/small-smoke/tensorboard").glob("*-seed*"))) == 4
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


FAULTS = {  # what sample returns in place of its batch, and what is said of it
    "shape": ("batch._replace(targets=batch.targets[:, -1])",
              "targets should be (64, 10) int64, got (64,) int64"),
    "type": ("batch._replace(inputs=batch.inputs.astype('int32'))",
             "inputs should be (64, 10) int64, got (64, 10) int32"),
    "no batch": ("(batch.inputs, batch.targets, batch.info)",
                 "sample should be a Batch, got tuple"),
    "nothing scored": ("batch._replace(targets=0 * batch.targets + IGNORE)",
                       "an example should have 1 to max_scored = 1 scored positions, got 0 to 0"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_task_that_draws_something_else_is_said_before_any_training(orchid, tmp_path, fault):
    returned, message = FAULTS[fault]
    (tmp_path / "faulty_task.py").write_text(
        "from tasks.associative_recall import AssociativeRecall\n"
        "from tasks.base import IGNORE, register\n"
        "@register('faulty_task')\n"
        "class Faulty(AssociativeRecall):\n"
        "    def sample(self, rng, n):\n"
        "        batch = super().sample(rng, n)\n"
        f"        return {returned}\n"
    )
    (tmp_path / "bad.yaml").write_text(changed(("associative_recall", "faulty_task")))
    for verb in ("validate", "run"):
        said = orchid(verb, "bad.yaml", "--plugin", "faulty_task.py", code=2).stderr
        assert said.startswith(f"error: task faulty_task: {message}\n    fix: ")
        assert "Traceback" not in said
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


def test_the_keys_that_the_readme_shows_for_tasks_are_valid(orchid, tmp_path):
    (block,) = re.findall(r"```yaml\n(protocol:.*?)```", README, re.DOTALL)
    (tmp_path / "keys.yaml").write_text(f"name: keys\nquestion: Which keys?\n{block}")
    assert "no mistakes" in orchid("validate", "keys.yaml").stdout


def test_the_readme_names_every_task_in_its_group():
    rows = re.findall(r"^\| (.*?) \| (.*`.*)\|$", README, re.MULTILINE)
    named = {group: set(re.findall(r"`(\w+)`", names)) for group, names in rows}
    for name in tasks.names():
        group = tasks.TASKS.get(name).group
        assert group not in GROUPS or name in named[group]


def test_the_task_of_the_readme_keeps_the_contract(orchid, tmp_path):
    (block,) = re.findall(r"```python\n(@register.*?)```", README, re.DOTALL)
    head = "import numpy as np\nfrom tasks.base import IGNORE, Batch, Count, Task, register\n"
    (tmp_path / "readme_task.py").write_text(head + block.replace("first_token", "readme_task"))
    text = orchid("show", "readme_task", "--plugin", "readme_task.py").stdout
    assert numbers(text, "oracle") == [1.0]
    assert "\nscored:" not in text  # a plug-in need not explain itself


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
