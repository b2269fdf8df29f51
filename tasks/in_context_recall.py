"""MAD's in-context recall: key-value pairs in a row, every key that comes again is a query.

Poli et al. 2024 (arXiv:2403.17844, section 3.1), in the multi-query form that its code, MAD-Lab,
runs. Unlike associative recall it has no separate query: the context is the sequence of queries.
Deviations: see `InContextRecall`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from tasks.base import IGNORE, Batch, Edit, Task, change, circular_distance, few_inputs, register
from tasks.distinct import one_of
from tasks.history import arrays, chunks, earlier_equal, frequent_so_far, last_so_far


@register("in_context_recall")
class InContextRecall(Task):
    """Recall of the value of each key that has come before.

    Rule: a sequence is length / 2 pairs of a key and its value. Each key but the last is uniform
    over all keys, with replacement; each example binds each key to a uniform value, with
    replacement. The last key, the probe, is uniform over the distinct keys before it. The last
    value is left off: input length - 1 tokens. Scored is the value of every key that has come
    before, which is predicted at the key; 56 of 64 on average at the defaults.

    Tokens: 0 .. keys - 1 are the keys, the rest, up to vocab_size - 1, the values; of an odd
    number of tokens one more is a value.
    Chance: 1 / values.
    Facts: `distance`, from the scored position (the key) back to the value after the key's last
    earlier occurrence; `circular_distance`, the shorter way round an input closed to a ring;
    `occurrences` of the key before; `pairs`, how many different keys have come; `position` in the
    input.
    Edits: the evidence is the value of every key; the distractor is which token stands for which
    key, since where all keys are asked nothing of the context alone is irrelevant.

    With the loss `masked` every scored value is hidden, so that the first occurrence of the key
    is the only one with its value beside it.

    Deviations: none in the law. MAD trains on all next tokens, which is the loss `all` here.
    """

    vocab_size: Annotated[int, Field(ge=4)] = 16
    """Tokens."""
    length: Annotated[int, Field(ge=4)] = 128
    """Tokens of the whole sequence, the last of which is not in the input."""

    summary: ClassVar[str] = "recall the value of every key that comes again"
    source: ClassVar[str] = "MAD, arXiv:2403.17844, section 3.1; multi-query form of MAD-Lab's code"
    group: ClassVar[str] = "MAD"
    scoring: ClassVar[str] = (
        "The value behind every key that has stood before: it is the one that stood behind it then."
    )

    @model_validator(mode="after")
    def _possible(self):
        if self.length % 2:
            raise ValueError(f"length must be even, since it is made of pairs: {self.length}")
        return self

    @property
    def num_content_tokens(self) -> int:
        """Keys and values."""
        return self.vocab_size

    @property
    def num_keys(self) -> int:
        return self.num_content_tokens // 2

    @property
    def num_values(self) -> int:
        return self.num_content_tokens - self.num_keys

    @property
    def num_pairs(self) -> int:
        """Pairs, or their places, before the probe."""
        return self.length // 2 - 1

    @property
    def num_tokens(self) -> int:
        return self.vocab_size

    @property
    def input_length(self) -> int:
        return self.length - 1

    @property
    def max_scored(self) -> int:
        return self.num_pairs

    @property
    def answers_in_inputs(self) -> bool:
        return self.num_pairs > 1

    @property
    def chance(self) -> float:
        return 1 / self.num_values

    @property
    def too_small_to_hold_out(self) -> str:
        return few_inputs(self._num_inputs())

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        keys = rng.integers(self.num_keys, size=(n, self.num_pairs + 1))
        keys[:, -1] = self._probe(rng, keys[:, :-1])
        return self._written(rng, keys)

    def oracle(self, batch: Batch) -> np.ndarray:
        places = batch.inputs[:, ::2]
        last = earlier_equal(places).last
        value = np.take_along_axis(batch.inputs, 2 * last.clip(0) + 1, axis=1)
        predictions = np.full_like(batch.inputs, IGNORE)
        predictions[:, ::2] = np.where((last >= 0) & (places < self.num_keys), value, IGNORE)
        return predictions

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """The most frequent value so far (of tied ones the smallest token), and the last one."""
        inputs = batch.inputs
        values = (inputs >= self.num_keys) & (inputs < self.num_content_tokens)
        return {
            "most frequent value so far": frequent_so_far(inputs, values, self.num_tokens),
            "last value": last_so_far(inputs, values),
        }

    def edit(self, batch: Batch, rng: np.random.Generator) -> Edit:
        """evidence: every key gets another value, wherever it stands. distractor: every key
        becomes another token, the same wherever it stands, and no two keys the same."""
        other = renamed(batch.inputs, 0, self.num_keys, rng)
        return Edit(self._rebound(batch, rng), Batch(other, batch.targets, batch.info))

    @property
    def token_names(self) -> list[str]:
        keys = [f"k{i}" for i in range(self.num_keys)]
        return [*keys, *(f"v{i}" for i in range(self.num_values))]

    def _probe(self, rng: np.random.Generator, firsts: np.ndarray) -> np.ndarray:
        """(n,) of each row of first tokens (n, pairs) a uniform one of the distinct keys there."""
        present = np.zeros((len(firsts), self.num_tokens), dtype=bool)
        present[np.arange(len(firsts))[:, None], firsts] = True
        present = present[:, : self.num_keys]
        return one_of(rng, present)

    def _written(
        self, rng: np.random.Generator, firsts: np.ndarray, seconds: np.ndarray | None = None
    ) -> Batch:
        """The examples whose pairs have these first tokens (n, pairs + 1). What follows them is
        drawn for the keys; for other tokens it stands in `seconds`, of the same shape."""
        n, names = len(firsts), self._fact_names
        bound = rng.integers(self.num_keys, self.num_content_tokens, size=(n, self.num_keys))
        inputs, targets, *facts = arrays(2 + len(names), n, self.input_length)
        for rows in chunks(n, self.num_pairs + 1):
            first = firsts[rows]
            last, count = earlier_equal(first)
            seen = count > 0
            if seconds is None:
                second = np.take_along_axis(bound[rows], first, axis=1)
            else:
                is_key = first < self.num_keys
                value = np.take_along_axis(bound[rows], np.where(is_key, first, 0), axis=1)
                second, seen = np.where(is_key, value, seconds[rows]), seen & is_key
            inputs[rows, ::2], inputs[rows, 1::2] = first, second[:, :-1]
            targets[rows] = IGNORE
            np.copyto(targets[rows, ::2], second, where=seen)
            for fact, value in zip(facts, self._facts(first, last, count), strict=True):
                fact[rows] = -1
                np.copyto(fact[rows, ::2], value, where=seen)
        return Batch(inputs, targets, dict(zip(names, facts, strict=True)))

    @property
    def _fact_names(self) -> tuple[str, ...]:
        return ("distance", "circular_distance", "occurrences", "pairs", "position")

    def _facts(self, first: np.ndarray, last: np.ndarray, count: np.ndarray) -> list[np.ndarray]:
        """Facts of each first token (rows, pairs + 1), which stood last and so often before."""
        place = np.arange(self.num_pairs + 1)
        distance = 2 * (place - last) - 1
        circular = circular_distance(distance, self.input_length)
        pairs = np.cumsum((count == 0) & (first < self.num_keys), axis=1)
        return [distance, circular, count, pairs, 2 * place]

    def _rebound(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """The batch with another value for each key of each example."""
        inputs, targets = batch.inputs.copy(), batch.targets.copy()
        keys, values = inputs[:, ::2], inputs[:, 1::2]  # views
        is_key = keys < self.num_keys
        bound = np.full((len(inputs), self.num_tokens), self.num_keys)
        np.put_along_axis(bound, keys[:, :-1], np.where(is_key[:, :-1], values, 0), axis=1)
        other = change(bound, self.num_keys, self.num_values, rng)
        new = np.take_along_axis(other, keys, axis=1)
        np.copyto(values, new[:, :-1], where=is_key[:, :-1])
        np.copyto(targets[:, ::2], new, where=targets[:, ::2] != IGNORE)
        return Batch(inputs, targets, batch.info)

    def _ways_of_a_gap(self) -> int:
        """Ways to fill the place of a pair with something else."""
        return 0

    def _num_inputs(self) -> int:
        """Number of different inputs; counting stops at 20 pairs, where there are many unless
        each further one adds none."""
        ways = {0: 1}  # sequences so far, by their number of distinct keys
        for _ in range(min(self.num_pairs, 20)):
            longer: dict[int, int] = {}
            for distinct, count in ways.items():
                same = count * (distinct + self._ways_of_a_gap())
                fresh = count * (self.num_keys - distinct) * self.num_values
                longer[distinct] = longer.get(distinct, 0) + same
                longer[distinct + 1] = longer.get(distinct + 1, 0) + fresh
            ways = longer
        return sum(count * distinct for distinct, count in ways.items())


def renamed(tokens: np.ndarray, first: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """tokens (n, L) with each of first .. first + count - 1 as another one of them, one to one by
    a map of its own in each row; other tokens stay."""
    order = np.argsort(rng.random((len(tokens), count)), axis=1)
    other = np.empty_like(order)  # the next one round a random ring of all
    np.put_along_axis(other, order, np.roll(order, 1, axis=1), axis=1)
    concerned = (tokens >= first) & (tokens < first + count)
    rank = np.where(concerned, tokens - first, 0)
    return np.where(concerned, first + np.take_along_axis(other, rank, axis=1), tokens)
