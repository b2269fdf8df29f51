"""Published settings under an ablation's base."""

from __future__ import annotations

import math

import pytest

from ablations import protocol
from harness.foundation.errors import HarnessError
from harness.spec import RunSpec, TrainSpec
from harness.training.optimiser import schedule_factor
from tasks.base import TASKS
from tests.ablations.examples import load

TEXT = """
name: published
question: As published?
protocol: {protocol}
base:
  task: {task}
  model.mixer: {mixer}
"""


def ablation(name, task, mixer="attention", more=""):
    text = TEXT.replace("{protocol}", name).replace("{task}", task).replace("{mixer}", mixer)
    return load(text + more)


def only(*args, **kwargs) -> RunSpec:
    (arm,) = ablation(*args, **kwargs).arms
    return arm.spec


# protocol, task, mixer -> fields of the run, as published
PUBLISHED = [
    (
        "safari", "associative_recall", "attention",
        {"task.vocab_size": 20, "task.length": 40, "model.width": 32, "model.layers": 2,
         "model.tied": True, "model.init": "gpt2", "model.channel_mixer.ratio": 4.0,
         "model.embedding_dropout": 0.1, "train.lr": 5e-4, "train.weight_decay": 0.1,
         "train.betas": (0.9, 0.999), "train.batch_size": 32, "train.clip_norm": None,
         "train.loss": "all", "train.train_examples": 5000, "train.test_examples": 500,
         "train.steps": 62800, "train.warmup_steps": 6280, "train.schedule": "linear"},
    ),
    (
        "safari", "induction_heads", "attention",
        {"task.vocab_size": 20, "task.length": 30, "train.schedule": "cosine",
         "train.final_lr_fraction": 0.1, "train.steps": 62800},
    ),
    (
        "hyena", "associative_recall", "hyena",
        {"task.vocab_size": 30, "task.length": 2048, "model.width": 64, "model.layers": 2,
         "train.betas": (0.9, 0.98), "train.lr": 5e-4, "train.weight_decay": 0.1,
         "train.batch_size": 32, "train.train_examples": 2000, "train.steps": 12600,
         "train.warmup_steps": 630, "train.schedule": "cosine", "train.loss": "all",
         "model.embedding_dropout": 0.0},
    ),
    (
        "zoology", "mqar", "attention",
        {"task.vocab_size": 8192, "task.length": 64, "task.num_pairs": 4, "task.filler": "zero",
         "task.power": 0.01, "model.channel_mixer.kind": "none", "train.batch_size": 512,
         "train.train_examples": 100000, "train.test_examples": 3000, "train.loss": "answers",
         "train.lr": 1e-4, "train.final_lr_fraction": 0.0, "train.solve_threshold": 0.99,
         "train.stop_when_solved": True},
    ),
    (
        "mad", "in_context_recall", "attention",
        {"task.vocab_size": 16, "task.length": 128, "model.width": 128, "model.layers": 2,
         "model.channel_mixer.kind": "swiglu", "train.betas": (0.9, 0.98), "train.loss": "all",
         "train.batch_size": 128, "train.train_examples": 12800, "train.test_examples": 1280,
         "train.steps": 20000, "train.schedule": "cosine"},
    ),
    (
        "mad", "selective_copying", "attention",
        {"task.vocab_size": 16, "task.length": 256, "task.num_to_copy": 16,
         "train.loss": "answers", "train.steps": 20000},
    ),
    (
        "mad", "memorization", "attention",
        {"train.train_examples": 256, "train.steps": 400, "train.loss": "answers"},
    ),
    (
        "lra", "listops", "attention",
        {"task.max_depth": 10, "task.min_length": 500, "task.max_length": 2000,
         "model.width": 512, "model.layers": 4, "model.channel_mixer.ratio": 2.0,
         "train.batch_size": 32, "train.steps": 5000, "train.warmup_steps": 1000,
         "train.schedule": "rsqrt", "train.weight_decay": 0.1, "train.train_examples": 96000,
         "train.test_examples": 2000},
    ),
    (
        "orchid", "associative_recall", "orchid",
        {"task.vocab_size": 20, "task.length": 128, "model.mixer.short_filter": 5,
         "model.mixer.static_kernel.width": 128, "model.mixer.static_kernel.bands": 16,
         "train.lr": 5e-4, "train.weight_decay": 0.05, "train.loss": "answers"},
    ),
]  # fmt: skip


@pytest.mark.parametrize("name, task, mixer, fields", PUBLISHED)
def test_as_published(name, task, mixer, fields):
    spec = only(name, task, mixer)
    for key, expected in fields.items():
        value = spec
        for part in key.split("."):
            value = getattr(value, part)
        assert value == expected, key


def test_every_protocol_is_held_against_what_is_published():
    assert {row[0] for row in PUBLISHED} == set(protocol.protocols())


@pytest.mark.parametrize("name", protocol.protocols())
def test_every_task_of_a_protocol_is_a_task(name):
    document = protocol.load(name).document
    assert set(document.data) <= {
        "summary", "source", "base", "tasks", "nuisance", "not_matched"
    }  # fmt: skip
    for task in document.data.get("tasks", {}):
        mixer = "orchid" if name == "orchid" else "attention"
        files = ", folder: ." * ("folder" in TASKS.get(task).model_fields)
        assert only(name, f"{{name: {task}{files}}}", mixer).task.name == task
    about = protocol.load(name).about
    assert about["not_matched"] and all(line.endswith(".") for line in about["not_matched"])


def test_rsqrt_is_long_range_arenas_schedule():
    train = TrainSpec(lr=0.05 / math.sqrt(1000), warmup_steps=1000, steps=5000, schedule="rsqrt")
    for step in (0, 10, 999, 1000, 1500, 4999):
        official = 0.05 * min(1.0, (step + 1) / 1000) / math.sqrt(max(step + 1, 1000))
        assert train.lr * schedule_factor(train, step) == pytest.approx(official)


# -- what prevails --------------------------------------------------------------------------------


def test_the_ablation_prevails_field_by_field():
    more = "  train: {steps: 100, warmup_steps: 10}\n  model.width: 16\n"
    spec = only("safari", "{name: associative_recall, length: 12}", more=more)
    assert (spec.train.steps, spec.train.lr, spec.train.loss) == (100, 5e-4, "all")
    assert (spec.model.width, spec.model.tied) == (16, True)
    assert (spec.task.length, spec.task.vocab_size) == (12, 20)


def test_set_and_scales_prevail_as_well():
    text = TEXT.format(protocol="safari", task="associative_recall", mixer="attention")
    text += "scales: {smoke: {base.train.steps: 7000}, laptop: {protocol: hyena}}\n"
    (arm,) = load(text, overrides=("train.lr=0.25",)).arms
    assert (arm.spec.train.steps, arm.spec.train.lr) == (7000, 0.25)
    (arm,) = load(text, scale="laptop").arms
    assert arm.spec.train.train_examples == 2000


def test_an_arms_own_task_has_its_own_fields():
    more = """factors:
  problem:
    recall: {task: associative_recall}
    induction: {task: {name: induction_heads, length: 12}}
    other: {task: listops, train.loss: answers, model.tied: false}
"""
    arms = {arm.label: arm.spec for arm in ablation("safari", "mqar", more=more).arms}
    assert arms["recall"].train.schedule == "linear" and arms["recall"].task.length == 40
    assert arms["induction"].train.schedule == "cosine" and arms["induction"].task.length == 12
    assert arms["other"].train.schedule == "constant" and arms["other"].train.batch_size == 32


def test_single_fields_of_a_protocols_component():
    spec = only("orchid", "associative_recall", "orchid")
    text = TEXT.replace("  model.mixer: {mixer}\n", "  model.mixer.chain: conv-gate\n")
    text = text.format(protocol="orchid", task="associative_recall")
    (arm,) = load(text).arms
    assert arm.spec.model.mixer == spec.model.mixer.model_copy(update={"chain": "conv-gate"})
    deeper = only("orchid", "associative_recall", "{name: orchid, static_kernel: {name: implicit}}")
    assert deeper.model.mixer == spec.model.mixer
    text = text.replace("chain: conv-gate", "static_kernel.kernel_length: 8")
    (arm,) = load(text).arms
    kernel = arm.spec.model.mixer.static_kernel
    assert (kernel.width, kernel.kernel_length) == (128, 8)
    other = only("orchid", "associative_recall", "{name: attention, causal: false}")
    assert other.model.mixer.name == "attention"


def test_a_protocols_grid_serves_where_the_ablation_has_none():
    assert len(ablation("mad", "compression").nuisances) == 6
    assert ablation("mad", "compression", more="nuisance: {}\n").nuisances == [{}]
    own = ablation("mad", "compression", more="nuisance: {train.lr: [1e-3, 2e-3]}\n")
    assert own.nuisances == [{"train.lr": 1e-3}, {"train.lr": 2e-3}]
    assert ablation("safari", "associative_recall").nuisances == [{}]


def test_what_base_or_a_factor_sets_is_not_tuned():
    def rates(more: str = "", **kwargs) -> list:
        text = TEXT.format(protocol="mad", task="compression", mixer="attention")
        loaded = load(text + more, **kwargs)
        assert all(nuisance.keys() == loaded.nuisances[0].keys() for nuisance in loaded.nuisances)
        return [(arm.spec.train.lr, sorted(loaded.nuisances[0])) for arm in loaded.arms]

    decay = ["train.weight_decay"]
    assert rates("  train.lr: 0.5\n") == rates("  train: {lr: 0.5}\n") == [(0.5, decay)]
    assert rates(overrides=("train.lr=0.5",)) == [(0.5, decay)]
    assert rates("factors: {train.lr: [0.5, 0.25]}\n") == [(0.5, decay), (0.25, decay)]
    replaced = "  train: {lr: 0.5}\nscales: {smoke: {base.train: {steps: 600}}}\n"
    assert rates(replaced) == [(1e-4, ["train.lr", "train.weight_decay"])]


def test_without_a_protocol_nothing_changes():
    text = TEXT.replace("protocol: {protocol}\n", "")
    (arm,) = load(text.format(task="associative_recall", mixer="attention")).arms
    assert arm.spec.train == TrainSpec()


# -- what is said ---------------------------------------------------------------------------------


def test_what_a_report_says_of_it():
    about = ablation("zoology", "mqar").protocol
    assert about["name"] == "zoology" and "2312.04927" in about["source"]["paper"]
    assert any("on the test set" in line for line in about["not_matched"])


@pytest.mark.parametrize(
    "name, task, mixer, messages",
    [
        ("safary", "mqar", "attention", ["no protocol 'safary'", "did you mean 'safari'", ":4"]),
        (
            "safari", "associative_recall", "orchid",
            ["'orchid' is bidirectional", "safari.yaml:", "base.train.loss"],
        ),
        ("mad", "selective_copyin", "attention", ["did you mean 'selective_copying'"]),
        ("mad", "{length: 8}", "attention", ["expected the name of a task", "got {'length': 8}"]),
        ("mad", "null", "attention", ["expected the name of a task", "got None"]),
    ],
)  # fmt: skip
def test_mistakes_have_their_place(name, task, mixer, messages):
    with pytest.raises(HarnessError) as error:
        ablation(name, task, mixer)
    for message in messages:
        assert message in str(error.value)


def test_a_mistake_in_the_file_keeps_its_line():
    with pytest.raises(HarnessError) as error:
        ablation("safari", "associative_recall", more="  train: {steps: many}\n")
    assert "f.yaml:8" in str(error.value) and "safari.yaml" not in str(error.value)


@pytest.mark.parametrize(
    "more, messages",
    [
        ("  train.steps: 100\n", ["safari.yaml:", "base.train.warmup_steps: ", "6280 > 100"]),
        ("  train.schedule: constant\n", ["safari.yaml:", "set its default, 0.1"]),
        ("  train.lr.x: 3\n", ["should be a valid number, got {'x': 3} (mapping)"]),
        ("  train: fast\n", ["f.yaml:8: base.train: expected a mapping, got 'fast'"]),
        ("variants: {a: {train.lr: 1}}\nnuisance: {train.lr: [1, 2]}\n", ["or from nuisance"]),
    ],
)
def test_a_field_that_does_not_go_with_the_protocols(more, messages):
    with pytest.raises(HarnessError) as error:
        ablation("safari", "associative_recall", more=more)
    for message in messages:
        assert message in str(error.value)


def test_a_variant_cannot_set_what_the_protocol_tunes():
    with pytest.raises(HarnessError, match="a nuisance of your own; this one is the protocol's"):
        ablation("mad", "compression", more="variants: {a: {train.lr: 0.5}}\n")
