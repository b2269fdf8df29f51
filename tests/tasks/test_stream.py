"""The stream: the same examples from anywhere, and none of the evaluation sets' in training."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks import Batch, Stream, Task
from tasks.stream import held_out_hashes, input_hashes

SMALL = {
    "associative_recall": {"length": 8, "num_queries": 2},
    "induction_heads": {"length": 8, "induction_length": 2},
    "listops": {"max_depth": 4, "min_length": 10, "max_length": 40},
}
# 2 keys, 2 values, 15 pairs: 2^15 bodies, about 4 maps, 2 queries; too large to be excused.
CROWDED = {"vocab_size": 6, "length": 30}


class Toy(Task):
    """Six inputs; says nothing of being small."""

    name: ClassVar[str] = "toy"
    num_tokens: ClassVar[int] = 6
    input_length: ClassVar[int] = 1
    chance: ClassVar[float] = 1 / 6

    def sample(self, rng, n):
        inputs = rng.integers(6, size=(n, 1))
        return Batch(inputs, inputs.copy(), {})

    def oracle(self, batch):
        return batch.inputs

    def shortcuts(self, batch):
        return {}


class SmallToy(Toy):
    too_small_to_hold_out: ClassVar[str] = "six inputs"


def arrays(batch):
    return [batch.inputs, batch.targets, *(batch.info[key] for key in sorted(batch.info))]


def same(one, other):
    return all((a == b).all() for a, b in zip(arrays(one), arrays(other), strict=True))


def digest(batch):
    h = hashlib.sha256()
    for array in arrays(batch):
        h.update(np.ascontiguousarray(array).tobytes())
    return h.hexdigest()


@pytest.mark.parametrize("name", SMALL)
def test_same_examples_in_another_process(name):
    code = (
        "import tasks; from test_stream import digest\n"
        f"task = tasks.get({name!r}, **{SMALL[name]!r})\n"
        "print(digest(tasks.Stream(task, 3, 'train').take(1000, 100)))"
    )
    path = os.pathsep.join([os.path.dirname(__file__), *filter(None, sys.path)])
    out = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    here = Stream(tasks.get(name, **SMALL[name]), 3, "train").take(1000, 100)
    assert out.stdout.strip() == digest(here)


@pytest.mark.parametrize("name", SMALL)
@settings(max_examples=10, deadline=None)
@given(start=st.integers(0, 4000), sizes=st.lists(st.integers(1, 700), min_size=1, max_size=4))
def test_same_examples_at_other_batch_sizes_and_from_any_position(name, start, sizes):
    task = tasks.get(name, **SMALL[name])
    whole = Stream(task, 0, "train").take(start, sum(sizes))
    stream, position = Stream(task, 0, "train"), start
    for size in sizes:
        part = stream.take(position, size)
        offset = position - start
        assert same(part, whole[offset : offset + size])
        position += size


def test_no_example_comes_twice():
    inputs = Stream(tasks.get("associative_recall"), 0, "train").take(0, 20_000).inputs
    assert len(np.unique(input_hashes(inputs))) == 20_000


def test_seeds_roles_and_tasks_have_their_own_examples():
    recall = tasks.get("associative_recall")
    streams = [
        Stream(recall, 0, "train"),
        Stream(recall, 1, "train"),
        Stream(recall, "0", "train"),
        Stream(recall, 0, "test"),
        Stream(recall, 0, "validation"),
        Stream(recall, 0, "selection"),
        Stream(tasks.get("associative_recall", in_weights_bias=1e-9), 0, "train"),
    ]
    assert len({digest(stream.take(0, 50)) for stream in streams}) == len(streams)


def test_fields_at_their_default_do_not_change_the_examples():
    spelt_out = tasks.get("associative_recall", vocab_size=20, filler=0)
    plain = Stream(tasks.get("associative_recall"), 0, "train").take(0, 10)
    assert same(plain, Stream(spelt_out, 0, "train").take(0, 10))


def test_no_training_example_is_in_an_evaluation_set():
    task, sizes = tasks.get("associative_recall", **CROWDED), {"selection": 2000, "test": 3000}
    assert task.too_small_to_hold_out == ""
    held_out = held_out_hashes(task, sizes, 0)
    seen = {
        row.tobytes()
        for role, size in sizes.items()
        for row in np.asarray(Stream(task, 0, role).take(0, size).inputs)
    }
    assert len(held_out) == len(seen)  # no two inputs share a hash

    def collisions(exclude):
        rows = Stream(task, 0, "train", exclude=exclude).take(0, 10_000).inputs
        return sum(row.tobytes() in seen for row in rows)

    assert collisions(None) > 50
    assert collisions(held_out) == 0


def test_exclusion_redraws_only_what_collides_and_keeps_examples_whole():
    task = tasks.get("associative_recall", **CROWDED)
    held_out = held_out_hashes(task, {"test": 3000}, 0)
    plain = Stream(task, 0, "train").take(0, 2048)
    kept = Stream(task, 0, "train", exclude=held_out).take(0, 2048)
    collides = np.isin(input_hashes(plain.inputs), held_out)
    assert collides.any() and same(plain[~collides], kept[~collides])
    assert (task.oracle(kept) == kept.targets)[kept.scored].all()
    position = np.argmax(kept.scored[0])
    body = kept.inputs[:, 0:30:2]
    count = (body == kept.inputs[:, [position]]).sum(axis=1)
    assert (kept.info["occurrences"][:, position] == count).all()
    again = Stream(task, 0, "train", exclude=held_out)
    assert same(again.take(1500, 548), kept[1500:])


def test_too_small_tasks_are_excused_or_refused():
    held_out = held_out_hashes(SmallToy(), {"test": 100}, 0)
    assert len(held_out) == 6
    assert Stream(SmallToy(), 0, "train", exclude=held_out).take(0, 5).inputs.shape == (5, 1)
    with pytest.raises(HarnessError, match="toy has so few different inputs"):
        Stream(Toy(), 0, "train", exclude=held_out).take(0, 5)


@pytest.mark.parametrize("n", [10, 3000])  # inside a block, across blocks
def test_examples_cannot_be_written_to(n):
    batch = Stream(tasks.get("associative_recall"), 0, "train").take(0, n)
    for array in arrays(batch):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize("start, n", [(-1, 4), (0, 0)])
def test_impossible_positions(start, n):
    with pytest.raises(ValueError, match="start >= 0 and n >= 1"):
        Stream(Toy(), 0, "train").take(start, n)


def test_hashes_tell_inputs_apart():
    inputs = generator("hash").integers(16, size=(20_000, 6))
    assert len(np.unique(input_hashes(inputs))) == len(np.unique(inputs, axis=0))
    floats = inputs.astype(np.float32)
    assert len(np.unique(input_hashes(floats))) == len(np.unique(inputs, axis=0))
    assert (input_hashes(inputs[::-1]) == input_hashes(inputs)[::-1]).all()


def test_block_size_is_bounded_by_the_length():
    sizes = [
        Stream(tasks.get("associative_recall", length=length), 0, "train").block_size
        for length in (40, 4000, 10**6)
    ]
    assert sizes == [1024, 2**20 // 4002, 16]
