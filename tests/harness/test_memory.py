"""What a cohort is predicted to take is what it takes."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest
import torch

import tasks
from harness.foundation.config import parse
from harness.foundation.seeding import generator
from harness.spec import RunSpec
from harness.training import memory
from harness.training.data import examples
from tasks.dataset import Dataset
from tests.harness.runs import numbers, tiny, train
from tests.mixers.cases import CASES as MIXERS
from tests.tasks.cases import CASES as TASKS

TOLERANCE = 0.25  # promised; on a CPU it is 1 to 2 %
RECALL = {"name": "associative_recall", "vocab_size": 20}

# In a process of its own: the most that torch's allocator has handed out, as the profiler sees it.
MEASURE = """
import json, sys
import torch
from harness.bench.mixers import _peak_bytes
from harness.foundation.config import parse
from harness.spec import RunSpec
from harness.training.cohort import train_cohort
torch.set_num_threads(1)
members, data = json.loads(sys.argv[1])
spec = parse(RunSpec, data)
specs = [spec.model_copy(update={"seed": seed}) for seed in range(members)]
print(_peak_bytes(lambda: train_cohort(specs, lambda event: None)))
"""


def data_of(task: dict, mixer: str | dict, *, width: int = 64, batch: int, **train) -> dict:
    few = {
        "steps": 2,
        "eval_every": 2,
        "warmup_steps": 0,
        "batch_size": batch,
        "validation_examples": 2 * batch,
        "test_examples": 2 * batch,
    }
    model = {"mixer": mixer, "width": width}
    return {"task": task, "model": model, "train": few | train}


MEASURED = {
    "attention": (4, data_of({**RECALL, "length": 256}, "attention", batch=8)),
    "orchid, one function": (2, data_of({**RECALL, "length": 512}, "orchid", batch=4)),
    "orchid, stacked": (8, data_of({**RECALL, "length": 32}, "orchid", width=32, batch=16)),
    "many classes": (
        4,
        data_of(
            {"name": "mqar", "vocab_size": 8192, "length": 64, "num_pairs": 4},
            "attention",
            batch=16,
        ),
    ),
    "long and few": (
        1,
        data_of({**RECALL, "length": 2000}, "attention", batch=2),
    ),
    "a scan": (2, data_of({**RECALL, "length": 64}, "selective_scan", width=32, batch=8)),
    "bfloat16": (
        2,
        data_of({**RECALL, "length": 128}, "attention", batch=8, precision="bfloat16"),
    ),
    "another length after training": (
        1,
        data_of({**RECALL, "length": 16}, "attention", batch=2, test_lengths=[1024]),
    ),
}


QUICK_CASES = ("orchid, stacked", "many classes")
SLOW_CASES = [
    pytest.param(case, marks=pytest.mark.slow) for case in MEASURED if case not in QUICK_CASES
]


@pytest.mark.parametrize("case", [*QUICK_CASES, *SLOW_CASES])
def test_prediction_is_what_the_profiler_measures(case):
    members, data = MEASURED[case]
    command = [sys.executable, "-c", MEASURE, json.dumps([members, data])]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    predicted = max(memory.phases(parse(RunSpec, data), members).values())
    assert predicted == pytest.approx(int(done.stdout), rel=TOLERANCE)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("case", ["attention", "orchid, stacked", "many classes"])
def test_prediction_is_what_a_gpu_allocates(case):
    from harness.training.cohort import train_cohort

    members, data = MEASURED[case]
    spec = parse(RunSpec, data)
    specs = [spec.model_copy(update={"seed": seed}) for seed in range(members)]
    train_cohort(specs, lambda event: None, device="cuda")  # libraries take their workspaces
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    train_cohort(specs, lambda event: None, device="cuda")
    measured = torch.cuda.max_memory_allocated() - before
    assert memory.peak_bytes(spec, members, "cuda") == pytest.approx(measured, rel=TOLERANCE)


def of_mixer(name: str) -> RunSpec:
    mixer = MIXERS[name]
    task = {"name": "associative_recall", "vocab_size": 20, "length": 32}
    model = {"mixer": "attention", "layers": 1}
    data = {"task": task, "model": model, "train": {"batch_size": 8}}
    spec = parse(RunSpec, data)
    return spec.model_copy(update={"model": spec.model.model_copy(update={"mixer": mixer})})


# Every mixer at its defaults, and options whose memory is another.
FOLLOWED = [*(name for name in MIXERS if "-" not in name), "attention-window", "orchid-causal"]


@pytest.mark.parametrize("name", FOLLOWED)
def test_members_take_the_same_and_no_evaluation_takes_more_than_training(name):
    spec = of_mixer(name)
    one, three = memory.follow(spec), memory.follow(spec, 3)
    assert max(three.values()) == pytest.approx(3 * max(one.values()), rel=0.02)
    assert max(one["evaluation"], one["after training"]) <= one["training"]
    assert memory.peak_bytes(spec, 5) <= memory.at_most_bytes(spec, 5)


MEASURING = {
    "interventions": {
        "interventions": [{"name": "swapped"}, {"name": "mean"}, {"name": "truncated", "taps": 3}],
    },
    "kernels": {"effective_kernel_length": True},
    "lengths": {"test_lengths": [64, 256]},
    "counterfactual": {"counterfactual": True},
}


@pytest.mark.parametrize("what", MEASURING)
def test_measuring_after_training_takes_no_more_than_training(what):
    spec = parse(RunSpec, data_of({**RECALL, "length": 32}, "orchid", batch=8, **MEASURING[what]))
    found = memory.phases(spec)
    assert max(found["evaluation"], found["after training"]) <= found["training"]


KINDS = ("markov_chains", "in_context_languages", "mqar", "dyck", "continuous_mqar", "compression")


@pytest.mark.parametrize("task", KINDS)
def test_evaluation_never_doubles_what_training_takes(task):
    """In one thin layer, where training needs the least; answers and the truth are kept too."""
    model = {"mixer": "attention", "width": 16, "layers": 1, "channel_mixer": {"kind": "none"}}
    data = {"task": {"name": task}, "model": model, "train": {"test_examples": 512}}
    alone, found = (of(parse(RunSpec, data)) for of in (memory.follow, memory.phases))
    assert max(alone["evaluation"], alone["after training"]) <= alone["training"]
    assert max(found["evaluation"], found["after training"]) < 2 * found["training"]


@pytest.mark.parametrize("name", TASKS)
def test_shapes_are_those_of_examples(name):
    task = tasks.get(name, **TASKS[name].variants[0])
    if isinstance(task, Dataset):
        pytest.skip("its examples are read from files")
    batch = task.sample(generator("shapes"), 3)
    for form in task.forms:
        train_spec = {"loss": form, "batch_size": 3}
        base = {"task": {**RECALL, "length": 8}, "model": {"mixer": "attention"}}
        spec = parse(RunSpec, base | {"train": train_spec}).model_copy(update={"task": task})
        made, expected = memory.shapes(spec, (3,), form), examples(spec, batch)
        for one, other in zip(made, expected, strict=True):
            assert (one is None) == (other is None)
            assert one is None or (one.shape, one.dtype) == (other.shape, other.dtype)


def test_following_leaves_nothing_behind():
    """Constants that layers remember hold numbers."""
    mixer = {"name": "attention", "positions": "rotary", "window": 4}
    spec = tiny(model__mixer=mixer, task__length=22)
    memory.follow(spec)
    assert numbers(train([spec]), spec.run_id)


def test_a_model_that_cannot_be_followed_counts_with_the_bound(monkeypatch, caplog):
    spec = tiny(task__length=14)

    def fail(*args, **options):
        raise RuntimeError("decides by numbers")

    monkeypatch.setattr(memory, "follow", fail)
    with caplog.at_level(logging.WARNING):
        assert memory.peak_bytes(spec, 2) >= memory.at_most_bytes(spec, 2)
    assert "bounded, not predicted: decides by numbers" in caplog.text
    memory._known.pop((spec.cohort_key, "cpu"))


def test_examples_that_wait_are_counted_on_a_cpu_alone():
    spec = tiny(task__length=12)
    tensors = max(memory.phases(spec, 2).values())
    batch = spec.task.sample(generator("any"), 2048)
    assert memory.peak_bytes(spec, 2) - tensors == 2 * sum(a.nbytes for a in batch.arrays)
    assert memory.peak_bytes(spec, 2, "cuda") < tensors
