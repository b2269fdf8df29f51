"""Training on tasks beside tokens to tokens: real inputs, real targets, drawn targets, documents,
a bottleneck; and what is measured after training."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import pytest
import torch

from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from harness.model import Model
from harness.training.cohort import _Member
from harness.training.data import (
    CohortData,
    evaluation_batch,
    examples,
    pick,
    scored_positions,
)
from harness.training.evaluation import (
    Details,
    compare_with_optimum,
    counterfactual,
    evaluate,
    exact_match,
    loss_per_target,
)
from harness.training.events import Finished, Measured
from harness.training.stack import Stack
from tasks.base import IGNORE, Batch, Count, Edit, Task, register
from tasks.check import check_task
from tasks.dataset import Dataset
from tests.harness.runs import numbers, tiny, train


class Toy(Task):
    """Base of the tasks here: a few positions of something."""

    length: Count = 6
    summary: ClassVar[str] = "a toy"
    source: ClassVar[str] = "own"
    next_token: ClassVar[bool] = False

    @property
    def input_length(self) -> int:
        return self.length

    @property
    def chance(self) -> float:
        return 0.5

    def shortcuts(self, batch):
        return {}


class MarkedSum(Toy):
    """Two features; the target is the sum of the first where the second is 1: one number for the
    sequence."""

    pooled: ClassVar[bool] = True
    real_targets: ClassVar[bool] = True
    num_features: ClassVar[int] = 2
    num_outputs: ClassVar[int] = 1
    tolerance: ClassVar[float] = 0.2

    def sample(self, rng, n):
        inputs = rng.random((n, self.length, 2)).astype(np.float32)
        inputs[..., 1] = inputs[..., 1] < 0.3
        targets = np.full((n, self.length, 1), np.nan, dtype=np.float32)
        targets[:, -1, 0] = inputs.prod(axis=2).sum(axis=1)
        marks = np.full((n, self.length), -1)
        marks[:, -1] = inputs[..., 1].sum(axis=1)
        return Batch(inputs, targets, {"marks": marks, "_secret": marks})

    def oracle(self, batch):
        return np.repeat(batch.inputs.prod(axis=2).sum(axis=1)[:, None, None], self.length, axis=1)


class EachSquare(Toy):
    """One feature; two numbers at every other position."""

    real_targets: ClassVar[bool] = True
    num_features: ClassVar[int] = 1
    num_outputs: ClassVar[int] = 2
    tolerance: ClassVar[float] = 0.2

    @property
    def max_scored(self) -> int:
        return (self.length + 1) // 2

    def sample(self, rng, n):
        inputs = rng.standard_normal((n, self.length, 1)).astype(np.float32)
        targets = np.concatenate([inputs**2, -inputs], axis=2)
        targets[:, 1::2] = np.nan
        return Batch(inputs, targets, {})

    def oracle(self, batch):
        return np.concatenate([batch.inputs**2, -batch.inputs], axis=2)


class Coin(Toy):
    """Each token says how likely the target is 1: token / 4."""

    stochastic: ClassVar[bool] = True
    num_tokens: ClassVar[int] = 4
    num_outputs: ClassVar[int] = 2

    @property
    def max_scored(self) -> int:
        return self.length

    def sample(self, rng, n):
        inputs = rng.integers(4, size=(n, self.length))
        targets = (rng.random(inputs.shape) < inputs / 4).astype(np.int64)
        return Batch(inputs, targets, {})

    def distribution(self, batch):
        return np.stack([1 - batch.inputs / 4, batch.inputs / 4], axis=2)

    def oracle(self, batch):
        return self.distribution(batch).argmax(axis=2)


class SameFirst(Toy):
    """Two documents; do they begin alike?"""

    pooled: ClassVar[bool] = True
    num_documents: ClassVar[int] = 2
    num_tokens: ClassVar[int] = 3
    num_outputs: ClassVar[int] = 2

    def sample(self, rng, n):
        inputs = rng.integers(3, size=(n, self.length))
        targets = np.full_like(inputs, IGNORE)
        targets[:, -1] = inputs[:, 0] == inputs[:, self.length // 2]
        return Batch(inputs, targets, {})

    def oracle(self, batch):
        same = batch.inputs[:, 0] == batch.inputs[:, self.length // 2]
        return np.repeat(same[:, None].astype(np.int64), self.length, axis=1)


class Remember(Toy):
    """Every token, from the last position alone."""

    bottleneck: ClassVar[bool] = True
    num_tokens: ClassVar[int] = 3

    @property
    def max_scored(self) -> int:
        return self.length

    def sample(self, rng, n):
        inputs = rng.integers(3, size=(n, self.length))
        return Batch(inputs, inputs.copy(), {})

    def oracle(self, batch):
        return batch.inputs


class Rows(Dataset):
    """Ten training rows, seven others."""

    summary: ClassVar[str] = "a toy"
    source: ClassVar[str] = "own"
    pooled: ClassVar[bool] = True
    num_tokens: ClassVar[int] = 32
    num_outputs: ClassVar[int] = 2
    input_length: ClassVar[int] = 3
    chance: ClassVar[float] = 0.5
    digest: ClassVar[str] = "rows 1"

    def num_rows(self, role):
        return 10 if role == "train" else 7

    def read(self, role, rows):
        inputs = np.repeat(rows[:, None], 3, axis=1) + (0 if role == "train" else 20)
        targets = np.full_like(inputs, IGNORE)
        targets[:, -1] = rows % 2
        return Batch(inputs, targets, {})

    def shortcuts(self, batch):
        return {}


class Recall(Toy):
    """What the first token says; the second says nothing."""

    num_tokens: ClassVar[int] = 8

    def sample(self, rng, n):
        inputs = rng.integers(8, size=(n, self.length))
        targets = np.full_like(inputs, IGNORE)
        targets[:, -1] = inputs[:, 0]
        return Batch(inputs, targets, {})

    def oracle(self, batch):
        return np.repeat(batch.inputs[:, :1], self.length, axis=1)

    def edit(self, batch, rng):
        evidence, targets = batch.inputs.copy(), batch.targets.copy()
        evidence[:, 0] = (evidence[:, 0] + rng.integers(1, 8, size=len(evidence))) % 8
        targets[:, -1] = evidence[:, 0]
        distractor = batch.inputs.copy()
        distractor[:, 1] = (distractor[:, 1] + 1) % 8
        return Edit(Batch(evidence, targets, {}), Batch(distractor, batch.targets, {}))


TOYS = {
    "marked_sum": MarkedSum,
    "each_square": EachSquare,
    "coin": Coin,
    "same_first": SameFirst,
    "remember": Remember,
    "rows": Rows,
    "recall_toy": Recall,
}


@pytest.fixture(autouse=True)
def toys():
    for name, kind in TOYS.items():
        register(name)(kind)


def run_of(name: str, **changes):
    return tiny(task={"name": name}, model__mixer="attention", **changes)


def last(events, run_id, split="test") -> dict[str, float]:
    return [
        e for e in events if isinstance(e, Measured) and (e.run_id, e.split) == (run_id, split)
    ][-1].values


@pytest.mark.parametrize("name", [name for name in TOYS if name != "rows"])
def test_the_toys_keep_the_contract(name):
    check_task(TOYS[name]())


@pytest.mark.parametrize("name", TOYS)
def test_numbers_do_not_depend_on_companions(name):
    changes = {"train__counterfactual": True} if name == "recall_toy" else {}
    specs = [run_of(name, seed=i // 2, train__lr=(i + 1) * 1e-3, **changes) for i in range(4)]
    together, backwards = train(specs), train(specs[::-1])
    for spec in specs[:2]:
        expected = numbers(together, spec.run_id)
        assert numbers(train([spec]), spec.run_id) == expected
        assert numbers(backwards, spec.run_id) == expected


@pytest.mark.parametrize("name", TOYS)
def test_a_member_that_leaves_first_is_tested_as_if_alone(name, monkeypatch):
    """Every measurement after training is of it, also beside members that train on."""
    first = run_of(name, seed=1, train__stop_when_solved=True)
    second = run_of(name, seed=0, train__stop_when_solved=True)
    judge = _Member.judge

    def solves_at_once(member, step, accuracy):
        if member.spec.seed == first.seed:
            member.steps_to_solve = step
        else:
            judge(member, step, 0.0)

    monkeypatch.setattr(_Member, "judge", solves_at_once)
    together = train([second, first])
    ended = {e.run_id: e.steps for e in together if isinstance(e, Finished)}
    assert ended[first.run_id] < ended[second.run_id]
    for spec in (first, second):
        assert numbers(together, spec.run_id) == numbers(train([spec]), spec.run_id)


# Steps and rate that suffice, and what the test accuracy must exceed.
LEARNS = {
    "marked_sum": (300, 1e-2, 0.9),
    "each_square": (300, 1e-2, 0.9),
    "same_first": (300, 1e-2, 0.95),
    "remember": (500, 1e-2, 0.8),
    "recall_toy": (200, 1e-2, 0.95),
}


@pytest.mark.parametrize("name", LEARNS)
def test_it_learns(name):
    steps, lr, least = LEARNS[name]
    spec = run_of(
        name,
        model__width=16,
        model__positions="learned",
        train__steps=steps,
        train__lr=lr,
        train__batch_size=32,
        train__eval_every=steps,
        train__test_examples=200,
    )
    assert last(train([spec]), spec.run_id)["accuracy"] > least


def test_drawn_targets_are_held_against_the_best_predictor():
    spec = run_of("coin", train__steps=300, train__lr=1e-2, train__batch_size=32,
                  train__eval_every=300, train__test_examples=400)  # fmt: skip
    untrained = run_of("coin", train__steps=1, train__warmup_steps=1, train__lr=1e-9)
    values, before = (last(train([s]), s.run_id) for s in (spec, untrained))
    for name in ("loss above optimum", "KL from optimum", "total variation"):
        assert abs(values[name]) < 0.05 < before[name]
    assert values["legal"] == 1 and 0.6 < values["accuracy"] < 0.9


def test_the_distance_from_the_best_predictor_by_hand():
    spec = run_of("coin")
    model = Stack(spec, ["a", "b"], torch.device("cpu")).model
    batch = evaluation_batch(spec.task, "test", 5)
    targets = batch.targets.copy()
    targets[1, 2:] = targets[3, :4] = IGNORE  # fewer targets than others have
    batch = batch._replace(targets=targets)
    data = examples(spec, batch)
    scored = data.is_scored.numpy()
    assert not scored.all()
    truth = pick(
        spec.task.distribution(batch), scored_positions(batch.targets, spec.task.max_scored)
    )
    with torch.no_grad():
        logits = model(data.inputs.expand(2, -1, -1), data.scored.expand(2, -1, -1)).double()
    q, p = logits.softmax(-1).numpy(), np.broadcast_to(truth, logits.shape)
    y = np.broadcast_to(data.targets.clamp(min=0).numpy(), p.shape[:-1])[..., None]
    found = compare_with_optimum(model, 2, data, lambda rows: truth[rows], 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log(p / q), 0)
    each = {
        "loss above optimum": np.log(np.take_along_axis(p / q, y, -1))[..., 0],
        "KL from optimum": terms.sum(-1),
        "total variation": abs(p - q).sum(-1) / 2,
        "legal": np.take_along_axis(p, q.argmax(-1)[..., None], -1)[..., 0] > 0,
    }
    for name, values in each.items():
        np.testing.assert_allclose(found[name], values[:, scored].mean(1), atol=1e-6)


def test_squared_error_by_hand():
    spec = run_of("each_square", train__test_examples=20)
    model = Stack(spec, ["a"], torch.device("cpu")).model
    batch = evaluation_batch(spec.task, "test", 20)
    data = examples(spec, batch)
    assert data.targets.shape == (20, 3, 2) and data.is_scored.all()
    with torch.no_grad():
        said = model(data.inputs[None], None)[0].numpy()
    error = ((said - batch.targets) ** 2)[batch.scored]
    scores = evaluate(model, 1, data, 7, tolerance=0.2, details=True)
    assert scores.loss[0] == pytest.approx(error.mean(), rel=1e-5)
    assert scores.accuracy[0] == pytest.approx((np.sqrt(error.sum(-1)) <= 0.2).mean())
    np.testing.assert_allclose(scores.details.losses[0].ravel(), error.mean(-1), rtol=1e-4)
    assert scores.details.answers.shape == (1, 20, 3, 2)


def test_an_example_matches_where_every_answer_is_right():
    spec = run_of("each_square", train__test_examples=4)
    batch = evaluation_batch(spec.task, "test", 4)
    targets = batch.targets.copy()
    targets[0, 2:] = np.nan  # one answer only
    batch = batch._replace(targets=targets)
    data = examples(spec, batch)
    right = np.ones((2, 4, 3), dtype=bool)
    right[0, 0, 1:] = right[0, 1, 2] = False
    found = exact_match(Details(right, right, np.zeros(right.shape)), data)
    assert found.tolist() == [0.75, 1.0]
    spec = run_of("each_square", train__test_lengths=[4, 5])
    values = last(train([spec]), spec.run_id)
    for at in ("", ", length 4", ", length 5"):
        assert 0 <= values[f"exact match{at}"] <= values[f"accuracy{at}"]
    assert "exact match" not in last(train([run_of("recall_toy")]), run_of("recall_toy").run_id)


def test_unscored_real_targets_cost_nothing_and_move_nothing():
    logits = torch.ones(1, 2, 3, 2, requires_grad=True)
    targets = torch.zeros(1, 2, 3, 2)
    targets[..., 1, :] = math.nan
    loss = loss_per_target(logits, targets)
    assert loss.tolist() == [[[1.0, 0.0, 1.0]] * 2]
    loss.sum().backward()
    assert logits.grad[..., 1, :].abs().max() == 0 and torch.isfinite(logits.grad).all()


def test_each_document_is_read_by_itself():
    spec = run_of("same_first", model__positions="learned")
    model = Model(spec)
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.3, generator=torch.Generator().manual_seed(0))
    seen = []
    model.blocks[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    inputs = torch.tensor([[0, 1, 2, 0, 1, 2], [2, 1, 0, 0, 1, 2]])
    out = model(inputs, None)
    assert spec.sequence_length == 3 and seen[0].shape[:2] == (4, 3) and out.shape == (2, 1, 2)
    torch.testing.assert_close(seen[0][0], seen[0][1])  # equal documents, equal places
    assert not torch.equal(seen[0][2], seen[0][3])


def test_a_bottleneck_sees_the_last_position_alone():
    spec = run_of("remember")
    model = Model(spec)
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.3, generator=torch.Generator().manual_seed(0))
    taken = {}
    model.unpack.register_forward_pre_hook(lambda _, args: taken.update(x=args[0]))
    inputs = torch.tensor([[0, 1, 2, 0, 1, 2]])
    whole = model(inputs, None)
    assert whole.shape == (1, 6, 3)
    x = taken["x"].clone()
    x[:, :-1] = 7.0
    torch.testing.assert_close(model.unpack(x, None), model.unpack(taken["x"], None))
    some = model(inputs, torch.tensor([[4, 0]]))
    torch.testing.assert_close(some, whole[:, [4, 0]])


def test_rows_that_are_given_end_and_begin_anew():
    spec = run_of("rows", train__test_examples=50, train__validation_examples=50)
    batch = evaluation_batch(spec.task, "test", 50)
    assert sorted(batch.inputs[:, 0]) == list(range(20, 27))
    data = CohortData([spec])
    rows = np.concatenate([data.step(i).inputs[0, :, 0].numpy() for i in range(5)])
    data.close()
    assert sorted(rows[:10]) == sorted(rows[10:20]) == list(range(10))
    assert rows[:10].tolist() != rows[10:20].tolist()
    (finished,) = (e for e in train([spec]) if isinstance(e, Finished))
    assert finished.provenance["data"] == "rows 1"


def test_facts_of_a_tasks_own_are_not_reported():
    (finished,) = (e for e in train([run_of("marked_sum")]) if isinstance(e, Finished))
    assert {part.fact for part in finished.breakdown} == {"marks"}
    total = sum(part.num * part.loss for part in finished.breakdown)
    tested = last(train([run_of("marked_sum")]), run_of("marked_sum").run_id)
    assert total / 12 == pytest.approx(tested["loss"], rel=1e-5)


# -- after training -------------------------------------------------------------------------------


def test_other_lengths_are_tested_with_the_weights_of_the_trained_one():
    spec = run_of("recall_toy", model__width=16, train__steps=200, train__lr=1e-2,
                  train__batch_size=32, train__eval_every=200, train__test_examples=300,
                  train__test_lengths=[4, 6, 12])  # fmt: skip
    values = last(train([spec]), spec.run_id)
    assert {f"{what}, length {n}" for what in ("accuracy", "loss") for n in (4, 6, 12)} <= set(
        values
    )
    assert values["accuracy, length 6"] == values["accuracy"]
    assert "exact match, length 6" not in values  # an example has one answer
    assert values["loss, length 6"] == pytest.approx(values["loss"], rel=1e-6)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"model__positions": "learned"}, "cannot be tested at 12: learned positions end at 6"),
        ({"model__mixer": "mlp_mixer"}, "built for 6 positions and reads no 12"),
        (
            {"model__mixer": {"name": "orchid", "conditioning": {"name": "magnitude",
                                                                "input": "table"}}},
            "table has 6 rows",
        ),
        ({"task": {"name": "rows"}}, "rows has one length only"),
        ({"task": {"name": "remember"}}, "the decoder was built for 6 positions"),
        ({"task": {"name": "marked_sum", "length": 6}, "train__test_lengths": [0]}, "test_lengths"),
        ({"train__test_lengths": [12, 9, 12]}, "the length 12 stands twice"),
    ],
)  # fmt: skip
def test_lengths_that_cannot_be_tested(changes, message):
    given = {"task": {"name": "recall_toy"}, "model__mixer": "attention",
             "train__test_lengths": [12], **changes}  # fmt: skip
    with pytest.raises(HarnessError) as error:
        tiny(**given)
    assert message in str(error.value) and "train.test_lengths" in str(error.value)


def test_a_trained_model_follows_the_evidence():
    spec = run_of("recall_toy", model__width=16, train__steps=200, train__lr=1e-2,
                  train__batch_size=32, train__eval_every=200, train__test_examples=300,
                  train__counterfactual=True)  # fmt: skip
    values = last(train([spec]), spec.run_id)
    assert values["evidence edited, follows"] > 0.95 > 0.05 > values["evidence edited, stays"]
    assert values["distractor edited, keeps"] > 0.95


def test_an_untrained_model_follows_nothing():
    spec = run_of("recall_toy", train__steps=1, train__warmup_steps=1, train__lr=1e-9,
                  train__test_examples=300, train__counterfactual=True)  # fmt: skip
    values = last(train([spec]), spec.run_id)
    assert values["evidence edited, follows"] < 0.4
    assert values["distractor edited, keeps"] < 1


def test_shares_of_answers_by_hand():
    task = Recall(length=3)
    batch = task.sample(generator(0), 4)
    data = examples(tiny(task={"name": "recall_toy", "length": 3}, model__mixer="attention"), batch)
    target = batch.targets[:, -1]
    new = (target + 1) % 8

    def details(*answers) -> Details:
        said = np.stack(answers)[..., None]
        return Details(said, said == new[:, None], np.zeros(said.shape))

    half = np.where(np.arange(4) < 2, new, (target + 2) % 8)
    found = counterfactual(
        details(target, target), details(new, half), details(target, new), data, 0.0
    )
    assert {name: value.tolist() for name, value in found.items()} == {
        "evidence edited, follows": [1.0, 0.5],
        "evidence edited, stays": [0.0, 0.0],
        "distractor edited, keeps": [1.0, 0.0],
    }


def test_counterfactuals_need_an_edit():
    with pytest.raises(HarnessError, match="coin has no evidence that could be edited"):
        run_of("coin", train__counterfactual=True)


@pytest.mark.parametrize("loss", ["all", "masked"])
def test_real_inputs_have_answers_alone(loss):
    with pytest.raises(
        HarnessError, match=f"marked_sum has no loss '{loss}', for .*; it has 'answers'"
    ):
        run_of("marked_sum", train__loss=loss)


def test_the_thread_that_draws_ends_with_the_training():
    import threading

    train([run_of("coin")])
    assert not [t for t in threading.enumerate() if t.name.startswith("examples")]
