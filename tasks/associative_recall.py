"""Associative recall: a list of key-value pairs, then a key; the answer is the value it had.

The rule of H3 (Fu et al. 2023, arXiv:2212.14052, section 3.1), as run by safari for H3 and Hyena
(arXiv:2302.10866, section 4.1): 'a 3 c 1 b 2 a 3 => c' is answered by 1. The map from keys to
values is fresh in every example. Deviations: see `AssociativeRecall`.
"""

from __future__ import annotations

from functools import cached_property
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
    circular_distance,
    count_tokens,
    few_inputs,
    last_occurrence,
    pick,
    register,
)
from tasks.distinct import distinct, one_of
from tasks.history import arrays

NOOP = 0  # "."; the prefix "=>" is the last token but for noise
MAX_KEYS = 2**20  # of several tokens


@register("associative_recall")
class AssociativeRecall(Task):
    """Recall of a value by its key.

    Of the `vocab_size - 2` ordinary tokens the first half (rounded down) are key tokens, the
    rest values. A key is a key token, or a sequence of `key_length` of them. The body holds
    `length // 2` pairs (fewer with longer keys or a filler); each key is uniform over all keys,
    with replacement; each example binds each key to a uniform value, with replacement. Then come
    "=>" and a key that is uniform over the distinct keys present. Input: length + 2
    tokens, with one query and keys of one token.

    Tokens: 0 is ".", then key tokens, then values; vocab_size - 1 is "=>"; then noise tokens.
    Chance: 1 / values. Guessing the most frequent value does far better: see `shortcuts`.
    Facts: `distance`, from the scored position (the last token of the query's key) back to the
    value after the key's last earlier occurrence, in body or query; `circular_distance`, the
    shorter way round an input closed to a ring; `occurrences` of the key in the body; `pairs`,
    how many different keys the body binds; with in_weights_bias `agrees_with_weights`, 1 where
    the answer is that of the global map, 0 where the context overrides it.

    At a fixed vocabulary a longer body does not ask for a longer memory: the queried key stands
    about 2 * keys tokens back whatever the length. `distinct_keys` and `filler` change that.

    Deviations: a body longer than its pairs is filled up in front (safari shortens the input); a
    key that is absent is never asked.
    """

    vocab_size: Annotated[int, Field(ge=6)] = 20
    """Tokens, "." and "=>" included."""
    length: Annotated[int, Field(ge=2)] = 40
    """Tokens in the body."""
    distinct_keys: bool = False
    """Each key at most once, so that the distance to the evidence grows with the length."""
    num_queries: Count = 1
    """Queries "=> k", each answered in the input before the next. They ask for the keys of the
    body in random order, and start over when all of them have been asked."""
    filler: Annotated[int, Field(ge=0)] = 0
    """"." tokens before each pair; a body holds length // (key_length + 1 + filler) pairs."""
    noise_tokens: Annotated[int, Field(ge=0)] = 0
    """Noise tokens, in addition to vocab_size; they are neither keys nor values. If there are any,
    a random one stands in place of each "." of the filler."""
    key_length: Annotated[int, Field(ge=1, le=16)] = 1
    """Tokens of a key. Every sequence of so many key tokens is a key; a value belongs to the whole
    sequence, not to its parts."""
    in_weights_bias: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability that a key of an example has its value from a fixed map, which is the same in
    all examples and seeds, so that the weights can compete with the context."""

    summary: ClassVar[str] = "recall the value that a key had earlier in the sequence"
    source: ClassVar[str] = "H3, arXiv:2212.14052, section 3.1; rule of safari's code"
    group: ClassVar[str] = "recall"
    scoring: ClassVar[str] = (
        'The value of the key after each "=>": the one that stood behind that key in the body.'
    )

    @model_validator(mode="after")
    def _possible(self):
        if self.key_length > 1 and self.num_keys > MAX_KEYS:
            raise ValueError(
                f"key tokens ^ key_length must be <= {MAX_KEYS:,}: "
                f"{self.num_key_tokens}^{self.key_length}"
            )
        if self.num_pairs < 1:
            raise ValueError(
                f"length must hold a pair: {self.length} < key_length {self.key_length} + 1 + "
                f"filler {self.filler}"
            )
        if self.noise_tokens and not self.filler:
            raise ValueError(
                f"noise_tokens stand in the filler, which must be >= 1: {self.filler} < 1"
            )
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
    def num_key_tokens(self) -> int:
        return (self.vocab_size - 2) // 2

    @property
    def num_keys(self) -> int:
        return self.num_key_tokens**self.key_length

    @property
    def num_values(self) -> int:
        return self.vocab_size - 2 - self.num_key_tokens

    @property
    def num_pairs(self) -> int:
        """Pairs in a body."""
        return self.length // self._pair_tokens

    @property
    def num_tokens(self) -> int:
        return self.vocab_size + self.noise_tokens

    @property
    def input_length(self) -> int:
        return self.length + (2 + self.key_length) * self.num_queries - 1

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
        body = self._body(rng, n)
        slots, size = self._slots(body)
        bound = rng.integers(self.num_values, size=(n, size))
        if self.in_weights_bias:
            fixed = rng.random((n, size)) < self.in_weights_bias
            of_slot = np.arange(size) if self.key_length == 1 else body
            bound = np.where(fixed, self._global_map[of_slot], bound)

        row = size * np.arange(n)[:, None]  # where the row of each example begins
        present = np.zeros((n, size), dtype=bool)
        present.reshape(-1)[slots + row] = True
        # A random order of the slots with the present ones first.
        order = np.where(present, rng.random((n, size)), 2.0)
        if self.num_queries == 1:
            asked = order.argmin(axis=1)[:, None]
        else:
            turn = np.arange(self.num_queries) % present.sum(axis=1, keepdims=True)
            asked = np.take_along_axis(np.argsort(order, axis=1), turn, axis=1)
        queries = asked if self.key_length == 1 else np.take_along_axis(body, asked, axis=1)

        keys = np.concatenate([body, queries], axis=1)
        answers = bound.reshape(-1)[np.concatenate([slots, asked], axis=1) + row]
        values = 1 + self.num_key_tokens + answers
        return self._written(rng, keys, values, present.sum(axis=1))

    def oracle(self, batch: Batch) -> np.ndarray:
        return self._last_value_of(self._keys(batch.inputs), batch.inputs)

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """The body's most frequent value (of tied ones the smallest token) and its last value;
        of longer keys the value that stood last behind the last token of the key; with
        in_weights_bias also the value of the global map."""
        keys = self._keys(batch.inputs)
        values = batch.inputs[:, self._value_positions[: self.num_pairs]]
        shape = batch.inputs.shape
        frequent = count_tokens(values, self.vocab_size).argmax(axis=1)
        out = {
            "most frequent value": np.broadcast_to(frequent[:, None], shape),
            "last value": np.broadcast_to(values[:, -1:], shape),
        }
        if self.key_length > 1:
            ends = keys % self.num_key_tokens
            out["value behind the key's last token"] = self._last_value_of(ends, batch.inputs)
        if self.in_weights_bias:
            out["global map"] = np.full(shape, IGNORE)
            out["global map"][:, self._query_positions] = self._known(keys)
        return out

    def edit(self, batch: Batch, rng: np.random.Generator) -> Edit:
        """evidence: every queried key gets another value wherever it is bound. distractor: one
        present key that is not queried does, unless all are, and noise becomes other noise."""
        keys, n = self._keys(batch.inputs), len(batch.inputs)
        slots, size = self._slots(keys)
        body, queries = slots[:, : self.num_pairs], slots[:, self.num_pairs :]
        bound = np.zeros((n, size), dtype=np.int64)
        values = batch.inputs[:, self._value_positions[: self.num_pairs]]
        np.put_along_axis(bound, body, values, axis=1)
        other = change(bound, 1 + self.num_key_tokens, self.num_values, rng)

        asked = np.zeros((n, size), dtype=bool)
        np.put_along_axis(asked, queries, True, axis=1)
        free = (bound > 0) & ~asked
        chosen = one_of(rng, free)
        distract = free & (np.arange(size) == chosen[:, None])
        evidence, distractor = (
            self._rebound(batch, keys, np.take_along_axis(np.where(new, other, bound), slots, 1))
            for new in (asked, distract)
        )
        if self.noise_tokens > 1:
            noise = batch.inputs >= self.vocab_size
            other = change(batch.inputs[noise], self.vocab_size, self.noise_tokens, rng)
            distractor.inputs[noise] = other
        return Edit(evidence, distractor)

    @property
    def token_names(self) -> list[str]:
        keys = [f"k{i}" for i in range(self.num_key_tokens)]
        values = [f"v{i}" for i in range(self.num_values)]
        return [".", *keys, *values, "=>", *(f"n{i}" for i in range(self.noise_tokens))]

    @property
    def _pair_tokens(self) -> int:
        """Tokens of a pair and of the filler before it."""
        return self.filler + self.key_length + 1

    @property
    def _query_tokens(self) -> int:
        """Tokens of a query and its answer."""
        return 1 + self.key_length + 1

    @property
    def _value_positions(self) -> np.ndarray:
        """(num_pairs + num_queries,) where the value of each pair, then of each query stands; the
        last one is beyond the input. The last token of the key stands one before."""
        body = self.length - 1 - self._pair_tokens * np.arange(self.num_pairs)[::-1]
        return np.concatenate([body, 1 + self._query_positions])

    @property
    def _query_positions(self) -> np.ndarray:
        """(num_queries,) positions of the last tokens of the queries' keys, where the answer is
        predicted."""
        return self.length + self.key_length + self._query_tokens * np.arange(self.num_queries)

    @cached_property
    def _global_map(self) -> np.ndarray:
        """(keys,) value of each key in the map that all examples share."""
        rng = generator("associative_recall", "global map", self.num_keys, self.num_values)
        return rng.integers(self.num_values, size=self.num_keys)

    def _body(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """(n, num_pairs) the key of each pair."""
        if not self.distinct_keys:
            return rng.integers(self.num_keys, size=(n, self.num_pairs))
        if self.key_length == 1:
            return np.argsort(rng.random((n, self.num_keys)), axis=1)[:, : self.num_pairs]
        return distinct(rng, 0, self.num_keys, n, self.num_pairs)

    def _slots(self, keys: np.ndarray) -> tuple[np.ndarray, int]:
        """A small number for each of keys (n, m), the same where keys of a row are; and what all
        are below. Of single tokens the key, else the column in which the key stands first."""
        if self.key_length == 1:
            return keys, self.num_keys
        n, width = keys.shape
        apart = keys + self.num_keys * np.arange(n)[:, None]
        _, first, group = np.unique(apart, return_index=True, return_inverse=True)
        return (first % width)[group], width

    def _keys(self, inputs: np.ndarray) -> np.ndarray:
        """(n, num_pairs + num_queries) the key of each pair, then of each query."""
        ends = self._value_positions - 1
        digits = [inputs[:, ends - back] - 1 for back in range(self.key_length)[::-1]]
        return np.ravel_multi_index(digits, (self.num_key_tokens,) * self.key_length)

    def _last_value_of(self, keys: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Predictions: for each query the value that stood behind the same key last, where `keys`
        says which are the same."""
        predictions = np.full_like(inputs, IGNORE)
        for i, position in enumerate(self._query_positions):
            evidence = self._value_positions[last_occurrence(keys, self.num_pairs + i)]
            predictions[:, position] = pick(inputs, evidence)
        return predictions

    def _written(
        self, rng: np.random.Generator, keys: np.ndarray, values: np.ndarray, present: np.ndarray
    ) -> Batch:
        """The examples of these keys and value tokens, both (n, num_pairs + num_queries), with so
        many different keys in the body (n,)."""
        n, pairs, queries = len(keys), self.num_pairs, self._query_positions
        facts = self._facts(keys, values) | {"pairs": present[:, None]}
        inputs, targets, *info = arrays(2 + len(facts), n, self.input_length)
        if self.noise_tokens:
            noise = rng.integers(self.vocab_size, self.num_tokens, size=(n, self.length))
            inputs[:, : self.length] = noise
        else:
            inputs[:, : self.length] = NOOP
        inputs[:, queries - self.key_length] = self.vocab_size - 1
        inputs[:, queries[:-1] + 1] = values[:, pairs:-1]
        first = self._value_positions[0]
        body = [values, *self._key_tokens(keys)[::-1]]  # from right to left
        for back, tokens in enumerate(body):
            inputs[:, first - back : self.length : self._pair_tokens] = tokens[:, :pairs]
            if back:
                inputs[:, queries + 1 - back] = tokens[:, pairs:]
        targets.fill(IGNORE)
        targets[:, queries] = values[:, pairs:]
        for out, fact in zip(info, facts.values(), strict=True):
            out.fill(-1)
            out[:, queries] = fact
        return Batch(inputs, targets, dict(zip(facts, info, strict=True)))

    def _facts(self, keys: np.ndarray, values: np.ndarray) -> dict[str, np.ndarray]:
        """Facts of each query, (n, num_queries), from what `_written` gets."""
        pairs, places = self.num_pairs, self._value_positions
        distance, occurrences = np.empty((2, len(keys), self.num_queries), dtype=np.int64)
        for i, position in enumerate(self._query_positions):
            distance[:, i] = position - places[last_occurrence(keys, pairs + i)]
            same = keys[:, :pairs] == keys[:, [pairs + i]]
            occurrences[:, i] = np.count_nonzero(same, axis=1)
        facts = {
            "distance": distance,
            "circular_distance": circular_distance(distance, self.input_length),
            "occurrences": occurrences,
        }
        if self.in_weights_bias:
            facts["agrees_with_weights"] = self._known(keys) == values[:, pairs:]
        return facts

    def _known(self, keys: np.ndarray) -> np.ndarray:
        """(n, num_queries) value token of each query's key in the global map."""
        return 1 + self.num_key_tokens + self._global_map[keys[:, self.num_pairs :]]

    def _key_tokens(self, keys: np.ndarray) -> list[np.ndarray]:
        """The tokens of keys, from the first to the last, each shaped as keys."""
        if self.key_length == 1:
            return [1 + keys]
        digits = np.unravel_index(keys, (self.num_key_tokens,) * self.key_length)
        return [1 + digit for digit in digits]

    def _rebound(self, batch: Batch, keys: np.ndarray, values: np.ndarray) -> Batch:
        """The batch with these values, (n, num_pairs + num_queries), behind its keys."""
        inputs, targets, info = batch.inputs.copy(), batch.targets.copy(), dict(batch.info)
        queries = self._query_positions
        inputs[:, self._value_positions[:-1]] = values[:, :-1]
        targets[:, queries] = values[:, self.num_pairs :]
        if self.in_weights_bias:
            info["agrees_with_weights"] = agrees = batch.info["agrees_with_weights"].copy()
            agrees[:, queries] = self._known(keys) == values[:, self.num_pairs :]
        return Batch(inputs, targets, info)

    def _num_inputs(self) -> int:
        """Number of different inputs; counting stops beyond FEW_INPUTS."""
        ways = {0: 1}  # bodies so far, by their number of distinct keys
        for _ in range(self.num_pairs):
            longer: dict[int, int] = {}
            for seen, count in ways.items():
                if not self.distinct_keys:
                    longer[seen] = longer.get(seen, 0) + count * seen
                fresh = count * (self.num_keys - seen) * self.num_values
                longer[seen + 1] = longer.get(seen + 1, 0) + fresh
            ways = longer
            if sum(ways.values()) > FEW_INPUTS:
                break
        count = sum(count * seen for seen, count in ways.items())
        gaps = self.length - self.num_pairs * (self.key_length + 1)
        return count * max(1, self.noise_tokens) ** min(gaps, 64)
