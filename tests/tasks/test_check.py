"""`check_task` names what a faulty task breaks, what was expected and how to mend it.

That it passes what is shipped is part of test_contract.
"""

from __future__ import annotations

import sys
from typing import ClassVar

import numpy as np
import pytest

import tasks
from harness.foundation.errors import HarnessError
from tasks import IGNORE, Batch, Edit
from tasks.base import Task
from tasks.check import check_task
from tasks.induction_heads import InductionHeads


class Toy(Task):
    """Base of the sound ones here, which tests break."""

    name: ClassVar[str] = "toy"
    summary: ClassVar[str] = "a toy"
    source: ClassVar[str] = "own"
    next_token: ClassVar[bool] = False
    chance: ClassVar[float] = 0.5
    input_length: ClassVar[int] = 4
    max_scored: ClassVar[int] = 4

    def shortcuts(self, batch):
        return {}


class Square(Toy):
    """Real numbers; the targets are their squares, at every other position."""

    num_features: ClassVar[int] = 1
    num_outputs: ClassVar[int] = 2
    real_targets: ClassVar[bool] = True
    tolerance: ClassVar[float] = 0.01

    def sample(self, rng, n):
        inputs = rng.standard_normal((n, 4, 1)).astype(np.float32)
        targets = np.concatenate([inputs**2, -inputs], axis=2)
        targets[:, 1::2] = np.nan
        return Batch(inputs, targets, {})

    def oracle(self, batch):
        return np.concatenate([batch.inputs**2, -batch.inputs], axis=2)


class Coin(Toy):
    """A token says how likely the target is 1."""

    num_tokens: ClassVar[int] = 4
    num_outputs: ClassVar[int] = 2
    stochastic: ClassVar[bool] = True

    def sample(self, rng, n):
        inputs = rng.integers(4, size=(n, 4))
        return Batch(inputs, (rng.random((n, 4)) < inputs / 4).astype(np.int64), {})

    def distribution(self, batch):
        return np.stack([1 - batch.inputs / 4, batch.inputs / 4], axis=2)

    def oracle(self, batch):
        return self.distribution(batch).argmax(axis=2)


class First(Toy):
    """The first token, asked for at the end."""

    num_tokens: ClassVar[int] = 8
    num_outputs: ClassVar[int] = 8

    def sample(self, rng, n):
        inputs = rng.integers(8, size=(n, 4))
        targets = np.full_like(inputs, IGNORE)
        targets[:, -1] = inputs[:, 0]
        return Batch(inputs, targets, {})

    def oracle(self, batch):
        return np.repeat(batch.inputs[:, :1], 4, axis=1)


def sliced(self, rng, n):
    """As `First.sample`, but of one row both slices are views."""
    sequences = rng.integers(8, size=(n, 5))
    sequences[:, -1] = sequences[:, 0]
    inputs, targets = (np.ascontiguousarray(part) for part in (sequences[:, :-1], sequences[:, 1:]))
    targets[:, :-1] = IGNORE
    return Batch(inputs, targets, {})


def broken(kind: type[Task], **changes) -> Task:
    """A task of this kind with attributes in place of its own."""
    of_class = {
        name: ClassVar[object]
        for name, change in changes.items()
        if not callable(change) and not isinstance(change, property)
    }
    own = {"__module__": __name__, "__annotations__": of_class}
    return type("Broken", (kind,), own | changes)()


def sampled(kind: type[Task], change) -> Task:
    """A task whose batches are changed."""
    return broken(kind, sample=lambda self, rng, n: change(kind.sample(self, rng, n)))


def without_scores(batch: Batch) -> Batch:
    return batch._replace(targets=np.full_like(batch.targets, IGNORE))


def set_at(array: np.ndarray, place, value) -> np.ndarray:
    array = array.copy()
    array[place] = value
    return array


@pytest.mark.parametrize("kind", [Square, Coin, First, InductionHeads])
def test_sound_tasks_pass(kind):
    check_task(kind())


def test_nobody_need_know_an_oracle():
    check_task(broken(First, oracle=lambda self, batch: None))
    check_task(broken(InductionHeads, oracle=lambda self, batch: None))


def test_the_best_predictor_of_drawn_targets_need_not_be_right():
    task, batch = Coin(), Coin().sample(np.random.Generator(np.random.PCG64(0)), 200)
    assert 0.6 < tasks.accuracy(task.oracle(batch), batch) < 0.9
    check_task(task)


SAMPLES = {  # what is done to a sample, what is said of it, and the fix
    "no batch": (
        First, lambda b: (b.inputs, b.targets),
        "sample should be a Batch, got tuple", "return Batch(inputs, targets, info)",
    ),
    "a list": (
        First, lambda b: b._replace(inputs=b.inputs.tolist()),
        "inputs should be an array, got list", "np.array(...) of it",
    ),
    "targets too short": (
        First, lambda b: b._replace(targets=b.targets[:, -1]),
        "targets should be (64, 4) int64, got (64,) int64",
        "n examples of input_length positions; a target that is not scored is IGNORE",
    ),
    "tokens of 32 bits": (
        First, lambda b: b._replace(inputs=b.inputs.astype(np.int32)),
        "inputs should be (64, 4) int64, got (64, 4) int32", ".astype(np.int64)",
    ),
    "tokens as numbers": (
        First, lambda b: b._replace(inputs=b.inputs.astype(np.float32)),
        "inputs should be (64, 4) int64, got (64, 4) float32", ".astype(np.int64)",
    ),
    "numbers of 64 bits": (
        Square, lambda b: b._replace(inputs=b.inputs.astype(np.float64)),
        "inputs should be (64, 4, 1) float32, got (64, 4, 1) float64", ".astype(np.float32)",
    ),
    "numbers without their axis": (
        Square, lambda b: b._replace(inputs=b.inputs[..., 0]),
        "inputs should be (64, 4, 1) float32, got (64, 4) float32", "and at each 1 numbers",
    ),
    "real targets of another width": (
        Square, lambda b: b._replace(targets=b.targets[..., :1]),
        "targets should be (64, 4, 2) float32, got (64, 4, 1) float32", "and at each 2 numbers",
    ),
    "a fact of another shape": (
        First, lambda b: b._replace(info={"far": b.inputs[:, 0]}),
        "info['far'] should be (64, 4) int64, got (64,) int64", "input_length positions",
    ),
    "a fact of another type": (
        First, lambda b: b._replace(info={"far": b.inputs > 0}),
        "info['far'] should be (64, 4) int64, got (64, 4) bool", ".astype(np.int64)",
    ),
    "no facts at all": (
        First, lambda b: b._replace(info=None), "info should be arrays by name, got NoneType",
        "without facts it is empty: {}",
    ),
    "a fact without a name": (
        First, lambda b: b._replace(info={3: b.inputs}),
        "info should be arrays by name, got the name 3", '{"distance": distance}, say',
    ),
    "a view that cannot be written": (
        First, lambda b: b._replace(inputs=np.broadcast_to(b.inputs[:1], b.inputs.shape)),
        "inputs should be an array of its own, got one that cannot be written to", ".copy()",
    ),
    "nothing scored": (
        First, without_scores,
        "an example should have 1 to max_scored = 4 scored positions, got 0 to 0",
        "mend targets: every one that is not IGNORE",
    ),
    "one example without a score": (
        Square, lambda b: b._replace(targets=set_at(b.targets, 3, np.nan)),
        "1 to max_scored = 4 scored positions, got 0 to 2", "(real ones: NaN) is scored",
    ),
    "NaN in some places of a target": (
        Square, lambda b: b._replace(targets=set_at(b.targets, (0, 0, 1), np.nan)),
        "a target should be numbers, or NaN in every place, got some of both",
        "NaN into all num_outputs places",
    ),
    "an infinite target": (
        Square, lambda b: b._replace(targets=set_at(b.targets, (0, 0, 1), np.inf)),
        "targets should be finite, got inf", "overflow",
    ),
    "an input that is no number": (
        Square, lambda b: b._replace(inputs=set_at(b.inputs, (5, 1), np.nan)),
        "inputs should be finite, got nan", "divisions by zero",
    ),
    "tokens that are too large": (
        First, lambda b: b._replace(inputs=b.inputs + 1),
        "inputs should be in 0 .. 7, got 1 .. 8", "mend num_tokens, which is 8",
    ),
    "a class that is too large": (
        Coin, lambda b: b._replace(targets=b.targets + 1),
        "targets should be in 0 .. 1, got 1 .. 2", "mend num_outputs, which is 2",
    ),
    "a negative class": (
        First, lambda b: b._replace(targets=np.where(b.scored, -1, IGNORE)),
        "targets should be in 0 .. 7, got -1 .. -1", "count from 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SAMPLES)
def test_faulty_samples_are_named(case):
    kind, change, message, fix = SAMPLES[case]
    expect(sampled(kind, change), message, fix)


PROMISES = {  # attributes that break a promise, what is said of them, and the fix
    "scored more often than said": (
        Coin, {"max_scored": 3}, "1 to max_scored = 3 scored positions, got 4 to 4",
        "give max_scored as a property",
    ),
    "documents that are not pooled": (
        First, {"num_documents": 2},
        "a task of several documents should be pooled, got num_documents = 2 and pooled false",
        "pooled: ClassVar[bool] = True",
    ),
    "documents of unequal length": (
        First, {"num_documents": 3, "pooled": True},
        "documents of one input should be of equal length, got 3 in 4 positions", "pad each",
    ),
    "pooled and scored everywhere": (
        Coin, {"pooled": True},
        "a pooled task should be scored at the last position alone, got position 0 of 4",
        "write the target at [:, -1]",
    ),
    "next tokens that are others": (
        Coin, {"next_token": True},
        "next_token is true, but a target is not the token that follows it: at position ",
        "next_token: ClassVar[bool] = False",
    ),
    "next tokens that are numbers": (
        Square, {"next_token": True}, "next_token is true, but inputs or targets are no tokens",
        "next_token: ClassVar[bool] = False",
    ),
    "chance of nothing": (
        First, {"chance": 0.0}, "chance should be between 0 and 1, got 0.0", "uniform guess",
    ),
    "certain chance": (
        Square, {"chance": 1.0}, "chance should be between 0 and 1, got 1.0", "uniform guess",
    ),
    "no names": (
        InductionHeads, {"token_names": []}, "token_names should have 20 names, got 0",
        "a name for each",
    ),
    "too many names of classes": (
        Coin, {"output_names": list("abc")}, "output_names should have 2 names, got 3",
        "a name for each",
    ),
    "a wrong oracle": (
        First, {"oracle": lambda self, b: b.inputs}, "the oracle should be exact, got ",
        "where targets are drawn: stochastic = True",
    ),
    "a short oracle": (
        First, {"oracle": lambda self, b: b.inputs[:, 0]},
        "oracle should predict (64, 4), got (64,)", "the shape of the targets",
    ),
    "an oracle that reads the targets": (
        First, {"oracle": lambda self, b: b.targets},
        "the oracle should read the inputs alone, and reads the targets", "from batch.inputs",
    ),
    "an oracle that reads real targets": (
        Square, {"oracle": lambda self, b: b.targets},
        "the oracle should read the inputs alone, and reads the targets", "from batch.inputs",
    ),
    "shortcuts without names": (
        First, {"shortcuts": lambda self, b: [b.inputs]},
        "shortcuts should be predictions by name, got list", "without any it is empty: {}",
    ),
    "a shortcut that is a list": (
        First, {"shortcuts": lambda self, b: {"last": [1]}},
        "last should predict (64, 4), got list", "the shape of the targets",
    ),
    "no distribution": (
        Coin, {"distribution": lambda self, b: None, "oracle": lambda self, b: b.inputs},
        "distribution should be probabilities (64, 4, 2), got nothing",
        "what the best predictor (or a simpler one) that reads the inputs says",
    ),
    "a distribution of another shape": (
        Coin, {"distribution": lambda self, b: b.inputs / 4, "oracle": lambda self, b: b.inputs},
        "distribution should be probabilities (64, 4, 2), got (64, 4)", "best predictor",
    ),
    "probabilities that do not sum to 1": (
        Coin, {"distribution": lambda self, b: Coin.distribution(self, b) / 2},
        "distribution should be probabilities that sum to 1 at scored positions, got sums 0.5 .. "
        "0.5", "divide by the sum over the last axis",
    ),
    "negative probabilities": (
        Coin, {"distribution": lambda self, b: np.stack([b.inputs - 1, 2 - b.inputs], axis=2)},
        "got sums 1 .. 1, the least entry -1", "divide by the sum",
    ),
    "probabilities that are no numbers": (
        Coin, {"distribution": lambda self, b: Coin.distribution(self, b) * np.nan},
        "got sums nan .. nan", "divide by the sum",
    ),
    "a target that is impossible": (
        Coin, {"distribution": lambda self, b: np.stack([b.inputs >= 0, b.inputs < 0], 2) * 1.0},
        "distribution says that a target is impossible, at ", "everything that sample can draw",
    ),
    "a simpler predictor that thinks a target impossible": (
        Coin, {"simple_distributions": lambda self, b: {"heads": np.eye(2)[b.inputs * 0]}},
        "heads says that a target is impossible, at ", "everything that sample can draw",
    ),
    "drawn numbers": (
        Square, {"stochastic": True}, "drawn targets should be classes, got real_targets",
        "one of stochastic and real_targets",
    ),
    "names that are no texts": (
        First, {"token_names": property(lambda self: list(range(8)))},
        "token_names should be texts, got [0, 1, 2]", "str(...) of each",
    ),
    "a shortcut whose name is no text": (
        First, {"shortcuts": lambda self, b: {1: b.inputs}},
        "shortcuts should be predictions by name, got the name 1", "it is empty: {}",
    ),
    "a chance that is a text": (
        First, {"chance": property(lambda self: "half")},
        "chance should be between 0 and 1, got 'half'", "a uniform guess",
    ),
    "a sample that ends the program": (
        First, {"sample": lambda self, rng, n: sys.exit("enough")},
        "it raises SystemExit: enough", "to see the traceback",
    ),
    "one example whose targets are a view of its inputs": (
        First, {"sample": sliced},
        "one example: inputs and targets share memory", "copy slices: .copy()",
    ),
    "a size beyond all models": (
        First, {"input_length": property(lambda self: 10**9)},
        "input_length should be <= 2,097,152, got 1,000,000,000", "that it comes from smaller",
    ),
    "no summary": (
        First, {"summary": None}, "it has no summary", 'summary: ClassVar[str] = "one line"',
    ),
    "an edit that is none": (
        First, {"edit": lambda self, b, rng: (b, b)}, "edit should be an Edit, got tuple",
        "return Edit(evidence, distractor)",
    ),
    "an edit of another shape": (
        First, {"edit": lambda self, b, rng: Edit(b, b._replace(inputs=b.inputs[:, :2]))},
        "edit: distractor inputs should be (64, 4) int64, got (64, 2) int64", "input_length",
    ),
    "an edit that scores elsewhere": (
        First, {"edit": lambda self, b, rng: Edit(b._replace(targets=b.inputs.copy()), b)},
        "edit: evidence is scored at other positions than the batch", "move nothing",
    ),
    "evidence without consequence": (
        First, {"edit": lambda self, b, rng: Edit(b, b)},
        "edit: the evidence changed, and a target did not (100.0% of them)",
        "change what every answer rests on",
    ),
    "a distractor with consequence": (
        First, {"edit": lambda self, b, rng: Edit(*[_next_first(b)] * 2)},
        "edit: only a distractor changed, and yet a target did", "where all matters, nothing",
    ),
    "an edit with unknown tokens": (
        First, {"edit": lambda self, b, rng: Edit(_next_first(b), _at(b, 2, 8))},
        "edit: distractor inputs should be in 0 .. 7, got 0 .. 8", "mend num_tokens",
    ),
    "an edit with a generator of its own": (
        First,
        {"edit": lambda self, b, rng: Edit(
            _next_first(b), _at(b, 2, np.random.default_rng().integers(8, size=len(b.inputs)))
        )},
        "edit: equal generators give different edits", "the generator that edit gets",
    ),
    "an edit that breaks the rule": (
        First, {"edit": lambda self, b, rng: Edit(_next_first(b)._replace(inputs=b.inputs), b)},
        "edit: the oracle disagrees with the targets of evidence, in 100.0% of them",
        "obey the task's rule",
    ),
    "a generator of one's own": (
        First,
        {"sample": lambda self, rng, n: First.sample(self, np.random.default_rng(), n)},
        "equal generators give different examples", "the generator that sample gets",
    ),
    "a generator that is not used": (
        First,
        {"sample": lambda self, rng, n: First.sample(self, np.random.default_rng(0), n)},
        "different generators give equal examples", "the generator that sample gets",
    ),
    "always 64 examples": (
        First, {"sample": lambda self, rng, n: First.sample(self, rng, 64)},
        "one example: inputs should be (1, 4) int64, got (64, 4) int64", "n examples",
    ),
    "a size that is no number": (
        First, {"num_tokens": 8.0}, "num_tokens should be a whole number from 0 on, got 8.0",
        "see tasks.base.Task",
    ),
    "a size that raises": (
        First, {"max_scored": property(lambda self: 1 // 0)},
        "max_scored raises ZeroDivisionError: integer division or modulo by zero (line ",
        "mend this property",
    ),
    "what raises": (
        First, {"oracle": lambda self, b: 1 // 0},
        "it raises ZeroDivisionError: integer division or modulo by zero (line ",
        "see the traceback",
    ),
    "an oracle that writes into the batch": (
        First, {"oracle": lambda self, b: b.inputs.sort()},
        "it raises ValueError: ", "write into copies of a batch alone",
    ),
}  # fmt: skip


def _at(batch: Batch, position: int, tokens) -> Batch:
    """Other inputs at one position."""
    return batch._replace(inputs=set_at(batch.inputs, (slice(None), position), tokens))


def _next_first(batch: Batch) -> Batch:
    """Another first token, and the answer to it."""
    inputs = set_at(batch.inputs, (slice(None), 0), (batch.inputs[:, 0] + 1) % 8)
    return batch._replace(
        inputs=inputs, targets=set_at(batch.targets, (slice(None), -1), inputs[:, 0])
    )


@pytest.mark.parametrize("case", PROMISES)
def test_broken_promises_are_named(case):
    kind, changes, message, fix = PROMISES[case]
    expect(broken(kind, **changes), message, fix)


def test_answers_that_stand_in_the_input_are_named():
    class Silent(InductionHeads):
        answers_in_inputs: ClassVar[bool] = False
        induction_length: int = 2

    expect(
        Silent(), "an input contains answers, but answers_in_inputs is false",
        "bidirectional mixers would read them there",
    )  # fmt: skip


def test_all_broken_promises_are_named_at_once():
    task = broken(First, chance=1.0, token_names=[], output_names=["a"])
    with pytest.raises(HarnessError) as error:
        check_task(task)
    assert len(error.value.problems) == 3
    assert all(problem.where == "task toy" for problem in error.value.problems)


def expect(task: Task, message: str, fix: str) -> None:
    """Of the problems, one says this; each has a fix."""
    with pytest.raises(HarnessError) as error:
        check_task(task)
    problems = error.value.problems
    assert str(error.value).startswith(f"task {task.name}: ")
    assert all(problem.fix for problem in problems)
    assert any(message in each.message and fix in each.fix for each in problems), error.value
