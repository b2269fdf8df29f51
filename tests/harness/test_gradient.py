"""Recorded steps, on a CPU in a stand-in for CUDA graphs; on a GPU in the graphs themselves."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from harness.bench.step import WAITS
from harness.training.data import CohortData, Examples
from harness.training.gradient import WARM_UP, Gradients
from harness.training.stack import Stack
from tests.harness.recorded import Recorded
from tests.harness.runs import numbers, tiny, train
from tests.mixers.cases import CASES

CPU = torch.device("cpu")


def stack_and_batches(spec, members=2, steps=WARM_UP + 3):
    specs = [spec.model_copy(update={"seed": seed}) for seed in range(members)]
    data = CohortData(specs)
    batches = [data.step(step) for step in range(steps)]
    data.close()
    return Stack(spec, [each.seed_key for each in specs], CPU), batches


def recorder():
    """What makes recordings, and the list that they end up in."""
    made: list[Recorded] = []

    def record(work):
        made.append(Recorded(work))
        return made[-1]

    return record, made


OTHER_RUNS = {
    "real targets": {
        "task": {"name": "in_context_regression", "dims": 3, "num_points": 4},
        "model__mixer": "attention",
    },
    "masked": {"train__loss": "masked"},
    "every token": {"train__loss": "all", "model__mixer": "attention"},
    "bottleneck": {"task": {"name": "compression", "vocab_size": 8, "length": 8}},
    "pooled, with padding": {
        "task": {"name": "listops", "min_length": 5, "max_length": 40, "max_args": 4}
    },
    "bfloat16": {"train__precision": "bfloat16"},
    "attention in bfloat16": {"train__precision": "bfloat16", "model__mixer": "attention"},
    "learned positions": {"model__positions": "learned", "model__tied": True},
}
RUNS = {**{name: {"model__mixer": mixer} for name, mixer in CASES.items()}, **OTHER_RUNS}


@pytest.mark.parametrize("changes", RUNS.values(), ids=RUNS.keys())
def test_a_replayed_step_computes_what_a_run_one_does(changes):
    spec = tiny(**changes, model__short_conv=3, train__steps=10)
    (stack, batches), (other, _) = stack_and_batches(spec), stack_and_batches(spec)
    record, made = recorder()
    recorded, plain = Gradients(stack, record), Gradients(other)
    for step, batch in enumerate(batches):
        for ours, theirs in zip(recorded(batch), plain(batch), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
        assert recorded.replayed == (step >= WARM_UP) and not plain.replayed
        with torch.no_grad():  # as the optimiser does, in place
            for each in (stack, other):
                each.values.mul_(1.01)
    (recording,) = made
    assert not [name for name in recording.operations if any(word in name for word in WAITS)]


@pytest.mark.parametrize("mixer", CASES.values(), ids=CASES.keys())
def test_a_step_takes_as_many_operations_whatever_the_number_of_members(mixer):
    """No mixer, attention among them, is run member by member."""
    counts = []
    for members in (2, 5):
        spec = tiny(model__mixer=mixer, train__steps=10)
        stack, batches = stack_and_batches(spec, members, WARM_UP + 1)
        record, made = recorder()
        passes = Gradients(stack, record)
        for batch in batches:
            passes(batch)
        counts.append(Counter(made[0].operations))
    assert counts[0] == counts[1]


def test_a_smaller_stack_is_recorded_anew():
    spec = tiny(train__steps=10)
    stack, batches = stack_and_batches(spec, 3, 2 * WARM_UP + 4)
    passes = Gradients(stack, Recorded)
    for batch in batches[: WARM_UP + 2]:
        passes(batch)
    rows = [2, 0]
    stack.keep(torch.tensor(rows))
    passes.forget()
    assert not passes.replayed
    for batch in batches[WARM_UP + 2 :]:
        left = Examples(*(part[rows] for part in batch))
        losses, grads = passes(left)
    alone, expected = Gradients(stack)(left)
    assert passes.replayed and losses.shape == (2,)
    torch.testing.assert_close(losses, alone)
    torch.testing.assert_close(grads, expected)


def test_what_cannot_be_recorded_is_run():
    def refuse(work):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    stack, batches = stack_and_batches(tiny(train__steps=10))
    passes, plain = Gradients(stack, refuse), Gradients(stack)
    for batch in batches:
        assert torch.equal(passes(batch)[1], plain(batch)[1])
    assert passes.refused == "operation not permitted when stream is capturing"
    assert not passes.replayed


def test_random_masks_are_drawn_by_the_host_at_every_step():
    spec = tiny(model__residual_dropout=0.5, train__steps=10)
    stack, batches = stack_and_batches(spec)
    passes = Gradients(stack, Recorded)
    for batch in batches:
        passes(batch)
    assert not passes.replayed


def test_a_recorded_training_measures_what_a_run_one_does(monkeypatch):
    """The whole of it: members that diverge and leave, evaluations between the steps."""
    mixer = {"name": "orchid", "conditioning": {"name": "magnitude", "norm": "batchnorm"}}
    few = {"model__mixer": mixer, "train__steps": 24, "train__eval_every": 6}
    wild = tiny(**few, train__lr=1e30, train__clip_norm=None, train__warmup_steps=0, seed=9)
    calm = {**few, "train__clip_norm": None, "train__warmup_steps": 0}
    specs = [tiny(**calm, seed=1), wild, tiny(**calm, seed=2)]
    assert len({spec.cohort_key for spec in specs}) == 1
    plain, made = train(specs), []
    init = Gradients.__init__

    def recording(self, stack):
        made.append(self)
        init(self, stack, Recorded)

    monkeypatch.setattr(Gradients, "__init__", recording)
    replayed = train(specs)
    assert made[0].replayed and made[0].stack.values.shape[0] == 2
    for spec in specs:
        for ours, theirs in zip(
            numbers(replayed, spec.run_id), numbers(plain, spec.run_id), strict=True
        ):
            assert ours[:2] == theirs[:2]
            assert dict(ours[2]) == pytest.approx(dict(theirs[2]), rel=1e-4, abs=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("mixer", CASES.values(), ids=CASES.keys())
def test_a_cuda_graph_computes_what_single_launches_do(mixer):
    spec = tiny(model__mixer=mixer, train__steps=10)
    stacks = [Stack(spec, ["confirmation 0", "confirmation 1"], torch.device("cuda")) for _ in "ab"]
    _, batches = stack_and_batches(spec)
    graph, plain = Gradients(stacks[0]), Gradients(stacks[1])
    plain._record = None
    for batch in batches:
        for ours, theirs in zip(graph(batch), plain(batch), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)
    assert graph.replayed, graph.refused
