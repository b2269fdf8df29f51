"""Associative recall: a list of key-value pairs, then a key; the answer is the value it had.

The rule of H3 (Fu et al. 2023, arXiv:2212.14052, section 3.1), as run by safari for H3 and Hyena
(arXiv:2302.10866, section 4.1): 'a 3 c 1 b 2 a 3 => c' is answered by 1. The map from keys to
values is fresh in every example. Deviations: see `AssociativeRecall`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from harness.foundation.seeding import generator
from tasks.base import (
    FEW_INPUTS,
    IGNORE,
    Batch,
    Count,
    Edit,
    Task,
    change,
    count_tokens,
    few_inputs,
    last_occurrence,
    pick,
    register,
)

NOOP = 0  # "."; the prefix "=>" is the last token


@register("associative_recall")
class AssociativeRecall(Task):
    """Recall of a value by its key.

    Of the `vocab_size - 2` ordinary tokens the first half (rounded down) are keys, the rest
    values. The body holds `length // 2` pairs; each key is uniform over all keys, with
    replacement; each example binds each key to a uniform value, with replacement. Then come
    "=>" and a key that is uniform over the distinct keys present. Input: length + 2 tokens.

    Tokens: 0 is ".", then keys, then values; vocab_size - 1 is "=>".
    Chance: 1 / values. Guessing the most frequent value does far better: see `shortcuts`.
    Facts: `distance`, from the scored position (the query's key) back to the value after the
    key's last earlier occurrence, in body or query; `circular_distance`, the shorter way round
    an input closed to a ring; `occurrences` of the key in the body.

    At a fixed vocabulary a longer body does not ask for a longer memory: the queried key stands
    about 2 * keys tokens back whatever the length. `distinct_keys` and `filler` change that.

    Deviations: an odd length is filled up with one "." in front (safari shortens the input);
    only one key a pair; a key that is absent is never asked.
    """

    vocab_size: Annotated[int, Field(ge=6)] = 20
    """Tokens, "." and "=>" included."""
    length: Annotated[int, Field(ge=2)] = 40
    """Tokens in the body."""
    distinct_keys: bool = False
    """Each key at most once, so that the distance to the evidence grows with the length."""
    num_queries: Count = 1
    """Queries "=> k", each answered in the input before the next. They go through the distinct
    keys present in random order, and round again where there are fewer keys than queries."""
    filler: Annotated[int, Field(ge=0)] = 0
    """"." tokens before each pair; a body holds length // (2 + filler) pairs."""
    in_weights_bias: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability, for each key of each example, that its value is that of one map that is the
    same in all examples and seeds, so that weights can compete with the context."""

    summary: ClassVar[str] = "recall the value that a key had earlier in the sequence"
    source: ClassVar[str] = "H3, arXiv:2212.14052, section 3.1; rule of safari's code"
    group: ClassVar[str] = "recall"
    scoring: ClassVar[str] = (
        'The value of the key after each "=>": the one that stood behind that key in the body.'
    )

    @model_validator(mode="after")
    def _possible(self):
        if self.num_pairs < 1:
            raise ValueError(f"length must hold a pair: {self.length} < 2 + filler {self.filler}")
        if self.distinct_keys and self.num_pairs > self.num_keys:
            raise ValueError(
                f"distinct_keys needs pairs <= keys: {self.num_pairs} > {self.num_keys}"
            )
        if self.num_queries > min(self.num_keys, self.num_pairs):
            raise ValueError(
                f"num_queries must be <= min(keys, pairs): {self.num_queries} > "
                f"min({self.num_keys}, {self.num_pairs})"
            )
        return self

    @property
    def num_keys(self) -> int:
        return (self.vocab_size - 2) // 2

    @property
    def num_values(self) -> int:
        return self.vocab_size - 2 - self.num_keys

    @property
    def num_pairs(self) -> int:
        """Pairs in a body."""
        return self.length // (2 + self.filler)

    @property
    def num_tokens(self) -> int:
        return self.vocab_size

    @property
    def input_length(self) -> int:
        return self.length + 3 * self.num_queries - 1

    @property
    def max_scored(self) -> int:
        return self.num_queries

    @property
    def answers_in_inputs(self) -> bool:
        return self.num_queries > 1

    @property
    def chance(self) -> float:
        return 1 / self.num_values

    @property
    def too_small_to_hold_out(self) -> str:
        return few_inputs(self._num_inputs())

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        keys, values = self.num_keys, self.num_values
        if self.distinct_keys:
            body = np.argsort(rng.random((n, keys)), axis=1)[:, : self.num_pairs]
        else:
            body = rng.integers(keys, size=(n, self.num_pairs))
        bound = rng.integers(values, size=(n, keys))
        if self.in_weights_bias:
            fixed = rng.random((n, keys)) < self.in_weights_bias
            bound = np.where(fixed, self._global_map(), bound)

        present = np.zeros((n, keys), dtype=bool)
        np.put_along_axis(present, body, True, axis=1)
        # A random order of the keys with the present ones first.
        order = np.argsort(np.where(present, rng.random((n, keys)), 2.0), axis=1)
        turn = np.arange(self.num_queries) % present.sum(axis=1, keepdims=True)
        asked = np.take_along_axis(order, turn, axis=1)
        answers = np.take_along_axis(bound, asked, axis=1)

        inputs = np.full((n, self.input_length), NOOP, dtype=np.int64)
        inputs[:, self._value_positions - 1] = 1 + body
        inputs[:, self._value_positions] = 1 + keys + np.take_along_axis(bound, body, axis=1)
        inputs[:, self._query_positions - 1] = self.vocab_size - 1
        inputs[:, self._query_positions] = 1 + asked
        inputs[:, self._query_positions[:-1] + 1] = 1 + keys + answers[:, :-1]
        targets = np.full_like(inputs, IGNORE)
        targets[:, self._query_positions] = 1 + keys + answers
        return Batch(inputs, targets, self._facts(inputs))

    def oracle(self, batch: Batch) -> np.ndarray:
        predictions = np.full_like(batch.inputs, IGNORE)
        for position in self._query_positions:
            evidence = last_occurrence(batch.inputs, position) + 1
            predictions[:, position] = pick(batch.inputs, evidence)
        return predictions

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """The body's most frequent value (of tied ones the smallest token) and its last value;
        with in_weights_bias also the value of the global map."""
        values = batch.inputs[:, self._value_positions]
        shape = batch.inputs.shape
        frequent = count_tokens(values, self.num_tokens).argmax(axis=1)
        out = {
            "most frequent value": np.broadcast_to(frequent[:, None], shape),
            "last value": np.broadcast_to(values[:, -1:], shape),
        }
        if self.in_weights_bias:
            answer_of = np.zeros(self.num_tokens, dtype=np.int64)
            answer_of[1 : 1 + self.num_keys] = 1 + self.num_keys + self._global_map()
            out["global map"] = answer_of[batch.inputs]
        return out

    def edit(self, batch: Batch, rng: np.random.Generator) -> Edit:
        """evidence: every queried key gets another value wherever it is bound. distractor: one
        present key that is not queried does; unchanged where all are queried."""
        inputs, n = batch.inputs, len(batch.inputs)
        body = inputs[:, self._value_positions - 1]
        bound = np.zeros((n, self.num_tokens), dtype=np.int64)
        np.put_along_axis(bound, body, inputs[:, self._value_positions], axis=1)
        other = change(bound, 1 + self.num_keys, self.num_values, rng)

        asked = np.zeros(bound.shape, dtype=bool)
        np.put_along_axis(asked, inputs[:, self._query_positions], True, axis=1)
        free = (bound > 0) & ~asked
        chosen = np.where(free, rng.random(bound.shape), -1.0).argmax(axis=1)
        distract = free & (np.arange(self.num_tokens) == chosen[:, None])
        return Edit(
            self._rebound(batch, np.where(asked, other, bound)),
            self._rebound(batch, np.where(distract, other, bound)),
        )

    @property
    def token_names(self) -> list[str]:
        keys = [f"k{i}" for i in range(self.num_keys)]
        values = [f"v{i}" for i in range(self.num_values)]
        return [".", *keys, *values, "=>"]

    @property
    def _value_positions(self) -> np.ndarray:
        """(num_pairs,) positions of the body's values; the key stands one before."""
        cell = 2 + self.filler
        return self.length - 1 - cell * np.arange(self.num_pairs)[::-1]

    @property
    def _query_positions(self) -> np.ndarray:
        """(num_queries,) positions of the queries' keys, where the answer is predicted."""
        return self.length + 1 + 3 * np.arange(self.num_queries)

    def _global_map(self) -> np.ndarray:
        """(keys,) value of each key in the map that all examples share."""
        rng = generator("associative_recall", "global map", self.num_keys, self.num_values)
        return rng.integers(self.num_values, size=self.num_keys)

    def _facts(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        names = ("distance", "circular_distance", "occurrences")
        facts = {name: np.full_like(inputs, -1) for name in names}
        body = inputs[:, self._value_positions - 1]
        for position in self._query_positions:
            distance = position - (last_occurrence(inputs, position) + 1)
            facts["distance"][:, position] = distance
            facts["circular_distance"][:, position] = np.minimum(
                distance, self.input_length - distance
            )
            facts["occurrences"][:, position] = (body == inputs[:, [position]]).sum(axis=1)
        return facts

    def _rebound(self, batch: Batch, bound: np.ndarray) -> Batch:
        """The batch with every key's value read from bound (n, num_tokens)."""
        inputs, targets = batch.inputs.copy(), batch.targets.copy()
        queries = self._query_positions
        for key in (self._value_positions - 1, queries[:-1]):
            inputs[:, key + 1] = np.take_along_axis(bound, inputs[:, key], axis=1)
        targets[:, queries] = np.take_along_axis(bound, inputs[:, queries], axis=1)
        return Batch(inputs, targets, batch.info)

    def _num_inputs(self) -> int:
        """Number of different inputs; counting stops beyond FEW_INPUTS."""
        ways = {0: 1}  # bodies so far, by their number of distinct keys
        for _ in range(self.num_pairs):
            longer: dict[int, int] = {}
            for distinct, count in ways.items():
                if not self.distinct_keys:
                    longer[distinct] = longer.get(distinct, 0) + count * distinct
                fresh = count * (self.num_keys - distinct) * self.num_values
                longer[distinct + 1] = longer.get(distinct + 1, 0) + fresh
            ways = longer
            if sum(ways.values()) > FEW_INPUTS:
                break
        return sum(count * distinct for distinct, count in ways.items())
