"""MAD's fuzzy in-context recall: keys and values are not tokens but several tokens in a row.

Poli et al. 2024 (arXiv:2403.17844, section 3.1), in the multi-query form that its code, MAD-Lab,
runs. Deviations and this project's own definitions: see `FuzzyRecall`.
"""

from __future__ import annotations

from math import perm
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from tasks.base import (
    FEW_INPUTS,
    IGNORE,
    Batch,
    Count,
    Edit,
    Role,
    Task,
    circular_distance,
    register,
)
from tasks.history import arrays, earlier_equal, frequent_so_far
from tasks.in_context_recall import renamed

MAX_CODE = 2**40  # numbers by which keys are compared


class Pairs(NamedTuple):
    """Pairs of a key and a value in rows, (n, m) or (n, m, tokens); what is beyond the sizes of
    `keys` and `values` is meaningless. code: equal for equal keys alone."""

    keys: np.ndarray
    key_sizes: np.ndarray
    values: np.ndarray
    value_sizes: np.ndarray
    code: np.ndarray

    def at(self, columns: np.ndarray) -> Pairs:
        """Those in these columns (n, k) of each row."""
        row = np.arange(len(columns))[:, None]
        return Pairs(*(array[row, columns] for array in self))


@register("fuzzy_recall")
class FuzzyRecall(Task):
    """Recall of a value of several tokens by a key of several tokens.

    Rule: a key is an ordered tuple of 1 to max_key_size key tokens without repetition, a value
    likewise of value tokens. A pair has a key of a uniform size, uniform among those, and its
    value, which each example draws for each of its keys in the same way. For evaluation every
    key has the largest size (and so has it in `sample`); training has all sizes.

    A sequence is pairs drawn as long as the longest one would leave room, the probe's pair
    among them, and then the probe: a key that has come before, and its value. In numbers, with
    p the tokens of the probe's pair and m those of the longest: pairs come while fewer than
    S = length - p - m tokens stand. The probe's pair is put before the first pair that starts at
    or behind a place uniform over 0 .. S - m, so that no sequence lacks it. Pads in front fill
    the sequence up to length + 1, and the last token is left off: input `length` tokens. Scored is
    every token of the value of a key that has come before, each predicted one position earlier.

    Tokens: the first half (rounded down) of vocab_size - 1 are key tokens, then value tokens;
    vocab_size - 1 is the pad "_". So the kind of a token says where keys and values end.
    Chance: 1 / value tokens.
    Facts: `distance`, from the scored position back to the last earlier copy of its answer in the
    value of the same key; `circular_distance`, the shorter way round an input closed to a ring;
    `occurrences` of the key before; `pairs`, how many different keys have come; `position` in the
    input; `key_size` and `value_size`, tokens; `value_position` of the answer in the value, from 0.
    Edits: the evidence is which value token stands for which, so that every value is another;
    the distractor is which key token stands for which.

    Deviation: the loss `all` leaves the pads out; MAD learns those few too.
    This project's own: where the probe's pair stands. In the published code its place can lie
    behind the last pair; then the probe is asked for although its pair is missing. Nor does that
    code put the pair in if the same key has been drawn before by chance; here it is put in all
    the same, and its value is then scored.
    """

    vocab_size: Annotated[int, Field(ge=5)] = 16
    """Tokens, the pad included."""
    length: Count = 128
    """Tokens of the input, pads included."""
    max_key_size: Count = 3
    """Tokens of the longest key."""
    max_value_size: Count = 3
    """Tokens of the longest value."""

    summary: ClassVar[str] = "recall the value of every key, both of several tokens"
    source: ClassVar[str] = (
        "MAD, arXiv:2403.17844, section 3.1; multi-query form of MAD-Lab's code; place of the "
        "probe's pair: own"
    )
    group: ClassVar[str] = "MAD"
    scoring: ClassVar[str] = (
        "The tokens behind every key (a run of k tokens) that has stood before as a whole: they "
        "are those (a run of v tokens) that stood behind it then."
    )

    @model_validator(mode="after")
    def _possible(self):
        for kind, size, tokens in (
            ("key", self.max_key_size, self.num_key_tokens),
            ("value", self.max_value_size, self.num_value_tokens),
        ):
            if size > tokens:
                raise ValueError(f"max_{kind}_size must be <= {kind} tokens: {size} > {tokens}")
        if (self.num_key_tokens + 1) ** self.max_key_size > MAX_CODE:
            raise ValueError(
                "(key tokens + 1)^max_key_size must be <= 2^40: "
                f"{self.num_key_tokens + 1}^{self.max_key_size}"
            )
        if self.length < 3 * self.longest_pair:
            raise ValueError(
                "length must be >= 3 x (max_key_size + max_value_size): "
                f"{self.length} < 3 x {self.longest_pair}"
            )
        return self

    @property
    def num_key_tokens(self) -> int:
        return (self.vocab_size - 1) // 2

    @property
    def num_value_tokens(self) -> int:
        return self.vocab_size - 1 - self.num_key_tokens

    @property
    def longest_pair(self) -> int:
        """Tokens of the longest pair."""
        return self.max_key_size + self.max_value_size

    @property
    def num_tokens(self) -> int:
        return self.vocab_size

    @property
    def pad_token(self) -> int:
        return self.vocab_size - 1

    @property
    def input_length(self) -> int:
        return self.length

    @property
    def max_scored(self) -> int:
        # Pairs of a key of one token and the longest value, after a first pair of two tokens.
        pairs, rest = divmod(self.length - 3, 1 + self.max_value_size)
        return pairs * self.max_value_size + max(rest - 1, 0)

    @property
    def answers_in_inputs(self) -> bool:
        return True

    @property
    def chance(self) -> float:
        return 1 / self.num_value_tokens

    @property
    def too_small_to_hold_out(self) -> str:
        # A bound from below: the inputs of longest pairs that all have one and the same value.
        keys = perm(self.num_key_tokens, self.max_key_size)
        values = perm(self.num_value_tokens, self.max_value_size)
        pairs = -(-(self.length - 2 * self.longest_pair) // self.longest_pair)
        count = values * keys ** min(pairs, 64)
        if count >= FEW_INPUTS:
            return ""
        return f"there may be as few as {count:,} different inputs (fewer than {FEW_INPUTS:,})"

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        return self._draw(rng, n, smallest_key=self.max_key_size)

    def sample_for(self, role: Role, rng: np.random.Generator, n: int) -> Batch:
        return self._draw(rng, n, smallest_key=1 if role == "train" else self.max_key_size)

    def oracle(self, batch: Batch) -> np.ndarray:
        inputs, position = batch.inputs, np.arange(self.length)
        is_key = inputs < self.num_key_tokens
        begins = is_key.copy()
        begins[:, 1:] &= ~is_key[:, :-1]
        pair = np.cumsum(begins, axis=1) - 1  # of each position; -1 for the pads
        rows, columns = np.nonzero(begins)
        shape = (len(inputs), pair.max() + 1)
        start, code = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        start[rows, pair[rows, columns]] = columns
        key = np.zeros((len(rows), self.max_key_size), dtype=np.int64)
        within = np.ones(len(rows), dtype=bool)
        for i in range(self.max_key_size):
            column = np.minimum(columns + i, self.length - 1)
            within &= is_key[rows, column] & (columns + i < self.length)
            key[:, i] = np.where(within, inputs[rows, column] + 1, 0)
        code[rows, pair[rows, columns]] = self._code(key)
        # A position reads what followed the same place of the last earlier pair of its key.
        last = earlier_equal(code).last
        back = np.where(last >= 0, start - np.take_along_axis(start, last.clip(0), axis=1), 0)
        back = np.take_along_axis(back, pair.clip(0), axis=1)
        found = np.take_along_axis(inputs, np.minimum(position + 1 - back, position), axis=1)
        is_value = (found >= self.num_key_tokens) & (found < self.vocab_size - 1)
        return np.where((back > 0) & (pair >= 0) & is_value, found, IGNORE)

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """The most frequent value token so far (of tied ones the smallest); and what followed
        the current token when it came last, whatever stood before it, unless keys have one token
        and that is the solution."""
        inputs = batch.inputs
        is_value = (inputs >= self.num_key_tokens) & (inputs < self.vocab_size - 1)
        frequent = frequent_so_far(inputs, is_value, self.num_tokens)
        out = {"most frequent value token so far": frequent}
        if self.max_key_size > 1:
            last = earlier_equal(inputs).last
            followed = np.take_along_axis(inputs, last.clip(0) + 1, axis=1)
            out["what followed the last token"] = np.where(last >= 0, followed, 0)
        return out

    def edit(self, batch: Batch, rng: np.random.Generator) -> Edit:
        """evidence: every value token becomes another one, the same wherever it stands, and no
        two the same. distractor: every key token does."""
        inputs, targets, scored = batch.inputs, batch.targets, batch.scored
        both = np.concatenate([inputs, np.where(scored, targets, self.vocab_size - 1)], axis=1)
        both = renamed(both, self.num_key_tokens, self.num_value_tokens, rng)
        new = np.where(scored, both[:, self.length :], IGNORE)
        other = renamed(inputs, 0, self.num_key_tokens, rng)
        return Edit(
            Batch(both[:, : self.length].copy(), new, batch.info),
            Batch(other, targets, batch.info),
        )

    @property
    def token_names(self) -> list[str]:
        keys = [f"k{i}" for i in range(self.num_key_tokens)]
        return [*keys, *(f"v{i}" for i in range(self.num_value_tokens)), "_"]

    def _draw(self, rng: np.random.Generator, n: int, *, smallest_key: int) -> Batch:
        """n examples with keys of at least so many tokens."""
        shortest = smallest_key + 1
        most = -(-(self.length - shortest - self.longest_pair) // shortest)
        drawn = self._pairs(rng, (n, 1 + most), smallest_key)  # the probe's first
        sizes = drawn.key_sizes + drawn.value_sizes
        room = self.length - sizes[:, 0] - self.longest_pair
        starts = np.cumsum(sizes[:, 1:], axis=1) - sizes[:, 1:]
        place = rng.integers(room - self.longest_pair + 1)
        probe = (starts >= place[:, None]).argmax(axis=1)[:, None]

        column = np.arange(1 + most)
        order = np.where(column < probe, column + 1, np.where(column == probe, 0, column))
        sizes = np.take_along_axis(sizes, order, axis=1)
        num_pairs = (np.cumsum(sizes, axis=1) - sizes < room[:, None]).sum(axis=1)
        order[np.arange(n), num_pairs] = 0  # the probe comes again, last
        return self._written(drawn.at(order), num_pairs + 1)

    def _pairs(self, rng: np.random.Generator, shape: tuple[int, int], smallest_key: int) -> Pairs:
        """Pairs of this shape (n, m); equal keys of a row have the value of their first one."""
        key_sizes = rng.integers(smallest_key, self.max_key_size + 1, size=shape)
        value_sizes = rng.integers(1, self.max_value_size + 1, size=shape)
        keys = _tuples(rng, shape, self.max_key_size, self.num_key_tokens)
        values = _tuples(rng, shape, self.max_value_size, self.num_value_tokens)
        within = np.arange(self.max_key_size) < key_sizes[..., None]
        pairs = Pairs(
            keys,
            key_sizes,
            self.num_key_tokens + values,
            value_sizes,
            self._code(np.where(within, keys + 1, 0)),
        )
        last = earlier_equal(pairs.code).last
        first = np.where(last < 0, np.arange(shape[1]), last)
        for _ in range(shape[1].bit_length()):  # each step goes twice as far back
            first = np.take_along_axis(first, first, axis=1)
        bound = pairs.at(first)
        return pairs._replace(values=bound.values, value_sizes=bound.value_sizes)

    def _code(self, keys: np.ndarray) -> np.ndarray:
        """A number for each key (..., max_key_size) of tokens from 1, filled up with 0."""
        return keys @ (self.num_key_tokens + 1) ** np.arange(self.max_key_size)

    def _written(self, pairs: Pairs, num_pairs: np.ndarray) -> Batch:
        """The examples of the first num_pairs (n,) pairs of each row."""
        n, m = pairs.code.shape
        exists = np.arange(m) < num_pairs[:, None]
        sizes = np.where(exists, pairs.key_sizes + pairs.value_sizes, 0)
        ends = np.cumsum(sizes, axis=1)
        starts = self.length + 1 - ends[:, -1:] + ends - sizes
        sequences = np.full((n, self.length + 1), self.vocab_size - 1)
        for tokens, size, begin in (
            (pairs.keys, pairs.key_sizes, starts),
            (pairs.values, pairs.value_sizes, starts + pairs.key_sizes),
        ):
            for i in range(tokens.shape[-1]):
                rows, columns = np.nonzero(exists & (i < size))
                sequences[rows, begin[rows, columns] + i] = tokens[rows, columns, i]

        last, count = earlier_equal(pairs.code)
        distance = starts - np.take_along_axis(starts, last.clip(0), axis=1) - 1
        values = {
            "distance": distance,
            "circular_distance": circular_distance(distance, self.length),
            "occurrences": count,
            "pairs": np.cumsum(count == 0, axis=1),
            "key_size": pairs.key_sizes,
            "value_size": pairs.value_sizes,
        }
        names = (*values, "position", "value_position")
        inputs, targets, *facts = arrays(2 + len(names), n, self.length)
        inputs[:], targets[:] = sequences[:, :-1], IGNORE
        for fact in facts:
            fact[:] = -1
        info = dict(zip(names, facts, strict=True))
        for i in range(self.max_value_size):
            rows, columns = np.nonzero(exists & (count > 0) & (i < pairs.value_sizes))
            place = rows, (starts + pairs.key_sizes)[rows, columns] + i - 1
            targets[place] = pairs.values[rows, columns, i]
            for name, value in values.items():
                info[name][place] = value[rows, columns]
            info["position"][place], info["value_position"][place] = place[1], i
        return Batch(inputs, targets, info)


def _tuples(rng: np.random.Generator, shape: tuple[int, int], size: int, count: int) -> np.ndarray:
    """(n, m, size) uniform tuples of different numbers below count; so is each beginning."""
    out = np.empty((*shape, size), dtype=np.int64)
    for i in range(size):
        number = rng.integers(count - i, size=shape)  # a rank among those that are left
        for earlier in np.moveaxis(np.sort(out[..., :i], axis=-1), -1, 0):
            number += number >= earlier
        out[..., i] = number
    return out
