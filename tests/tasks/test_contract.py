"""What holds of every task, the loss forms, and what `show` measures."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import tasks
from harness.foundation.config import parse_component, to_data
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks import IGNORE, TASKS, Batch, Stream, accuracy
from tasks.base import GROUPS, with_loss
from tasks.check import check_task
from tasks.show import Token, draw, show
from tests.tasks.cases import CASES

VARIANTS = [(name, parameters) for name, case in CASES.items() for parameters in case.variants]
# Where every part of the input bears on an answer, the distractor is the batch as it was.
ALL_MATTERS = {
    "copying": lambda task: True,
    "delayed_copy": lambda task: not task.variable,
    "group_word_problem": lambda task: task.scored == "all",
    "in_context_regression": lambda task: task.scored == "all" and task.scored_from < 2,
    "noisy_recall": lambda task: task.noise_fraction == 0,
    "parity": lambda task: task.scored == "all",
    "selective_copying": lambda task: task.num_blanks == 0,
}


def digest(batch: Batch) -> str:
    h = hashlib.sha256()
    for array in (batch.inputs, batch.targets, *(batch.info[key] for key in sorted(batch.info))):
        h.update(array.astype("<i8" if array.dtype == np.int64 else "<f4").tobytes())
    return h.hexdigest()[:16]


@pytest.mark.parametrize("name", CASES)
def test_golden_examples(name):
    """A change here means that the same parameters give other examples: bump the task's
    `version`, so that no finished run is taken for a new one."""
    golden = CASES[name].golden
    batch = tasks.get(name, **CASES[name].variants[0]).sample(generator("golden"), 64)
    if isinstance(golden, str):
        assert digest(batch) == golden
    else:  # the first numbers: other machines round otherwise
        numbers = np.concatenate([batch.inputs[0].ravel()[:6], batch.targets[-1].ravel()[-2:]])
        assert numbers.tolist() == pytest.approx(golden, abs=1e-6, nan_ok=True)


def test_every_shipped_task_has_a_case():
    shipped = {name for name in TASKS if TASKS.get(name).__module__.startswith("tasks.")}
    assert shipped == set(CASES)


def test_every_shipped_task_says_what_is_scored_and_where_it_is_from():
    for name in CASES:
        kind = TASKS.get(name)
        assert kind.group in GROUPS and kind.source and kind.__doc__
        assert kind.scoring.endswith(".") and not kind.summary.endswith(".")


@pytest.mark.parametrize("name, parameters", VARIANTS)
def test_contract(name, parameters):
    task = tasks.get(name, **parameters)
    batch = task.sample(generator("contract"), 300)
    shape = (300, task.input_length)
    if task.num_features:
        assert batch.inputs.shape == (*shape, task.num_features)
        assert batch.inputs.dtype == np.float32 and np.isfinite(batch.inputs).all()
    else:
        assert batch.inputs.shape == shape and batch.inputs.dtype == np.int64
        assert batch.inputs.min() >= 0 and batch.inputs.max() < task.num_tokens
    scored = batch.scored
    if task.real_targets:
        assert batch.targets.shape == (*shape, task.num_outputs)
        assert batch.targets.dtype == np.float32 and np.isfinite(batch.targets[scored]).all()
    else:
        assert batch.targets.shape == shape and batch.targets.dtype == np.int64
        assert batch.targets[scored].min() >= 0
        assert batch.targets[scored].max() < task.num_outputs
        assert len(task.output_names) == task.num_outputs
    for fact in batch.info.values():
        assert fact.shape == shape and fact.dtype == np.int64 and (fact[~scored] == -1).all()
    assert all(array.flags.writeable for array in (batch.inputs, batch.targets))
    assert scored.sum(axis=1).max() <= task.max_scored and scored.any(axis=1).all()
    assert 0 <= task.chance < 1 and (task.chance > 0 or task.real_targets)
    assert len(task.token_names) == len(set(task.token_names)) == task.num_tokens
    oracle = task.oracle(batch)
    best = 1.0 if oracle is None else accuracy(oracle, batch, task.tolerance)
    assert best == 1 or not task.determined
    for predictions in task.shortcuts(batch).values():
        assert predictions.shape == batch.targets.shape
        assert accuracy(predictions, batch, task.tolerance) < best
        if not task.real_targets:
            assert 0 <= predictions[scored].min() and predictions[scored].max() < task.num_outputs
    if task.pooled:
        assert not task.next_token and (np.flatnonzero(scored.any(axis=0)) == shape[1] - 1).all()
    if task.next_token:
        # A scored position that is not the last one has its answer next in the input.
        ahead = scored[:, :-1]
        assert (batch.targets[:, :-1] == batch.inputs[:, 1:])[ahead].all()
        assert task.answers_in_inputs == ahead.any()
    again = task.sample(generator("contract"), 300)
    assert digest(batch) == digest(again)
    assert parse_component(TASKS, to_data(task)) == task
    check_task(task)


@pytest.mark.parametrize("name, parameters", VARIANTS)
def test_memory_is_a_few_times_that_of_the_batch(name, parameters):
    task, constant = tasks.get(name, **parameters), 2**23
    task.sample(generator("memory"), 2)  # tables that are kept
    tracemalloc.start()
    try:
        batch = task.sample(generator("memory"), 1024 if task.input_length < 200 else 64)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    size = sum(array.nbytes for array in (batch.inputs, batch.targets, *batch.info.values()))
    assert peak < 4 * size + constant


@pytest.mark.parametrize("name, parameters", VARIANTS)
def test_edits_are_pure_change_inputs_and_leave_the_batch_alone(name, parameters):
    task = tasks.get(name, **parameters)
    batch = Stream(task, 0, "test").take(0, 50)  # read-only: an edit in place would raise
    edit = task.edit(batch, generator("edit"))
    if edit is not None:
        again = task.edit(batch, generator("edit"))
        assert all((a.inputs == b.inputs).all() for a, b in zip(edit, again, strict=True))
        evidence, distractor = (
            (edited.inputs != batch.inputs).reshape(50, -1).any(axis=1) for edited in edit
        )
        assert evidence.all()
        if ALL_MATTERS.get(name, lambda task: False)(task):
            assert not distractor.any()
        else:
            assert distractor.mean() > 0.3  # a distractor is not found in every example


def test_loss_forms_by_hand():
    task, x = tasks.get("induction_heads", vocab_size=9), IGNORE
    batch = Batch(
        np.array([[1, 8, 2, 8], [8, 3, 4, 8]]), np.array([[x, x, x, 2], [x, x, x, 3]]), {}
    )
    inputs, targets = with_loss(task, batch, "answers")
    assert inputs is batch.inputs and targets is batch.targets
    inputs, targets = with_loss(task, batch, "all")
    assert inputs.tolist() == [[1, 8, 2, 8], [8, 3, 4, 8]]
    assert targets.tolist() == [[8, 2, 8, 2], [3, 4, 8, 3]]
    inputs, targets = with_loss(task, batch, "masked")
    assert inputs.tolist() == [[1, 8, 2, 8, 9], [8, 3, 4, 8, 9]]
    assert targets.tolist() == [[x, x, x, x, 2], [x, x, x, x, 3]]


def test_loss_forms_with_several_answers():
    task, x = tasks.get("associative_recall", vocab_size=6, length=4, num_queries=2), IGNORE
    # k0 v0 k1 v1 => k1 v1 => k0: tokens 1 2 keys, 3 4 values, 5 the prefix.
    batch = Batch(
        np.array([[1, 3, 2, 4, 5, 2, 4, 5, 1]]), np.array([[x, x, x, x, x, 4, x, x, 3]]), {}
    )
    assert (task.oracle(batch) == batch.targets).all()
    _, targets = with_loss(task, batch, "all")
    assert targets.tolist() == [[3, 2, 4, 5, 2, 4, 5, 1, 3]]
    inputs, targets = with_loss(task, batch, "masked")
    assert inputs.tolist() == [[1, 3, 2, 4, 5, 2, 6, 5, 1, 6]]
    assert targets.tolist() == [[x, x, x, x, x, x, 4, x, x, 3]]


def test_what_fills_up_an_input_is_never_learned():
    task, x = tasks.get("copying", alphabet_size=3, min_length=1, max_length=2), IGNORE
    # $ a | a . and pads: tokens 0 "*", 1 "$", 2 "|", 3 ".", letters from 4.
    batch = Batch(np.array([[1, 4, 2, 4, 0]]), np.array([[x, x, 4, x, x]]), {})
    assert with_loss(task, batch, "all")[1].tolist() == [[4, 2, 4, x, x]]
    inputs, targets = with_loss(task, batch, "masked")
    assert inputs.tolist() == [[1, 4, 2, task.num_tokens, 0, 0]]
    assert targets.tolist() == [[x, x, x, 4, x, x]]


@pytest.mark.parametrize("form", ["all", "masked"])
def test_loss_forms_of_next_tokens_are_refused_elsewhere(form):
    task = tasks.get("listops", max_depth=4, min_length=10, max_length=40)
    batch = task.sample(generator(0), 2)
    with pytest.raises(HarnessError, match="listops is not one"):
        with_loss(task, batch, form)


def test_unknown_task():
    with pytest.raises(HarnessError, match="did you mean 'listops'"):
        tasks.get("listop")


def test_no_torch():
    code = "import sys, tasks, tasks.show; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, check=True)


def test_draw():
    task = tasks.get("listops", max_depth=2, max_args=3, min_length=3, max_length=10)
    token = {name: number for number, name in enumerate(task.token_names)}
    names = ["[MAX", "4", "4", "]", "_", "_", "_", "_", "_"]
    targets = np.full((1, 9), IGNORE)
    targets[0, -1] = 4
    batch = Batch(np.array([[token[name] for name in names]]), targets, {})
    assert draw(task, batch, 0) == [
        Token("[MAX"),
        Token("4", count=2),
        Token("]"),
        Token("_", count=4),
        Token("_", "4"),
    ]


@pytest.mark.parametrize("name, parameters", VARIANTS)
def test_show_measures_what_a_batch_says(name, parameters):
    task = tasks.get(name, **parameters)
    n = 1100 if task.input_length < 200 else 20
    shown, batch = show(task, num_examples=n), Stream(task, 0, "test").first(n)
    assert shown.chance == task.chance and shown.num_examples == len(batch.inputs)
    oracle = task.oracle(batch)
    assert (shown.oracle is None) == (oracle is None)
    if oracle is not None:
        assert shown.oracle == pytest.approx(accuracy(oracle, batch, task.tolerance))
    expected = {k: accuracy(p, batch, task.tolerance) for k, p in task.shortcuts(batch).items()}
    assert shown.shortcuts == pytest.approx(expected)
    facts = {}
    for key, fact in batch.info.items():
        known = fact[batch.scored & (fact >= 0)]
        if len(known):
            facts[key] = known.mean()
    assert shown.facts == pytest.approx(facts)
    if shown.example:
        assert sum(token.count for token in shown.example) == task.input_length
        scored = batch.scored[0]
        if not task.real_targets:
            answers = [task.output_names[answer] for answer in batch.targets[0][scored]]
            assert [token.target for token in shown.example if token.target] == answers
    else:
        assert shown.drawing
