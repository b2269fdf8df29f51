"""Multi-query associative recall: key-value pairs, then every key again at a place of its own.

Arora et al. 2023 (arXiv:2312.04927, section 3 and appendix), by the rule of its code, Zoology.
Many keys are asked, each after another distance, so that recall cannot hide in the weights or in
one trick at the end of the sequence. Deviations: see `Mqar`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from tasks.base import (
    FEW_INPUTS,
    IGNORE,
    Batch,
    Count,
    Edit,
    Task,
    change,
    circular_distance,
    few_inputs,
    register,
)
from tasks.distinct import distinct, race, reordered, rotated
from tasks.history import arrays

FILLER = 0
TABLE = 2**20  # marks of used tokens at once, so that they stay in the caches


class MultiQuery(Task):
    """What MQAR and its kin share: a context of cells, and then queries in slots.

    The context comes first, in cells of `slot_tokens` tokens: a key and its value. The rest of
    the input is cut into slots of as many tokens, from the left. Query j stands at the beginning
    of a slot of its own: slots are drawn one after the other without replacement, slot i = 1, 2,
    ... with probability proportional to i^(power - 1) among those left. A query is not followed
    by its answer, so models that see the whole sequence may be asked as well. Filler stands
    everywhere else.
    """

    vocab_size: Annotated[int, Field(ge=4, le=2**24)] = 8192
    """Tokens, the filler 0 included."""
    length: Count = 64
    """Tokens of an input."""
    power: Annotated[float, Field(gt=0, le=8)] = 0.01
    """a, where slot i is drawn in proportion to i^(a - 1): 1 is uniform; near 0 most queries come
    early."""
    filler: Literal["zero", "random", "ambiguous"] = "zero"
    """What fills the positions outside context and queries. zero: token 0; random: a uniform one
    of the other tokens that are neither a key nor a value of this example; ambiguous (Zoology's
    random_non_queries): a uniform one of all tokens, which may be such a key or value."""

    group: ClassVar[str] = "recall"
    next_token: ClassVar[bool] = False
    slot_tokens: ClassVar[int] = 2

    @property
    def context_tokens(self) -> int:
        """Tokens of the context."""
        raise NotImplementedError

    @property
    def num_tokens(self) -> int:
        return self.vocab_size

    @property
    def input_length(self) -> int:
        return self.length

    @property
    def num_slots(self) -> int:
        """Places for a query."""
        return (self.length - self.context_tokens) // self.slot_tokens

    def _slots(self, rng: np.random.Generator, n: int, num: int) -> np.ndarray:
        """(n, num) position of the first token of each query."""
        rates = np.arange(1, self.num_slots + 1) ** (self.power - 1.0)
        return self.context_tokens + self.slot_tokens * race(rng, rates, n, num)

    def _filler(self, rng: np.random.Generator, used: np.ndarray) -> np.ndarray | int:
        """(n, L) filler, or the one token that it is; used: (n, m) the tokens of each example."""
        if self.filler == "zero":
            return FILLER
        if self.filler == "ambiguous":
            return rng.integers(self.vocab_size, size=(len(used), self.length))
        return others(rng, used, self.vocab_size, self.length)

    def _moved(self, batch: Batch, order: np.ndarray) -> dict[str, np.ndarray]:
        """The facts after the cells of the context were put into this order."""
        new = np.argsort(order, axis=1)  # where each cell stands now
        scored, before = batch.scored, batch.info["pair"]
        pair = np.where(scored, np.take_along_axis(new, np.maximum(before, 0), axis=1), -1)
        shift = self.slot_tokens * (before - pair)
        distance = np.where(scored, batch.info["distance"] + shift, -1)
        circular = np.where(scored, circular_distance(distance, self.length), -1)
        return {"distance": distance, "circular_distance": circular, "pair": pair}

    def _num_arrangements(self, queries: int, query_tokens: int, used: int) -> int:
        """Ways to put the queries of a context into slots and to fill up the rest, where `used`
        different tokens are no filler; at least, if filler can be taken for a query."""
        gaps = min(self.length - self.context_tokens - queries * query_tokens, 64)
        if self.filler == "ambiguous":
            return self.vocab_size**gaps
        slots = ways(self.num_slots, queries)
        return slots if self.filler == "zero" else slots * (self.vocab_size - 1 - used) ** gaps


def others(rng: np.random.Generator, used: np.ndarray, vocab: int, length: int) -> np.ndarray:
    """(n, length) uniform tokens of 1 .. vocab - 1 that are not in the row of used (n, m)."""
    (n, m), out = used.shape, np.empty((len(used), length), dtype=np.int64)
    if 2 * m > vocab - 1 or vocab > TABLE:  # few are free, or too many to mark
        rank = rng.integers(vocab - 1 - m, size=(n, length))
        # The token of rank r is 1 + r plus the number of used ones below it.
        below = np.sort(used, axis=1) - 1 - np.arange(m)
        first = (vocab * np.arange(n))[:, None]
        passed = np.searchsorted((below + first).ravel(), rank + first, side="right")
        return 1 + rank + passed - m * np.arange(n)[:, None]
    size = max(1, TABLE // vocab)
    is_used = np.zeros(min(n, size) * vocab, dtype=bool)
    for start in range(0, n, size):
        rows = used[start : start + size]
        first = (vocab * np.arange(len(rows)))[:, None]
        taken = (rows + first).ravel()
        is_used[taken] = True
        cells = rng.integers(1, vocab, size=(len(rows), length)) + first
        flat = cells.ravel()  # a view
        again = np.flatnonzero(is_used[flat])
        while len(again):
            flat[again] = rng.integers(1, vocab, size=len(again)) + vocab * (again // length)
            again = again[is_used[flat[again]]]
        out[start : start + size] = cells - first
        is_used[taken] = False
    return out


def look_up(keys: np.ndarray, values: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """(n, L) the value of the LAST of the keys (n, m) that equals each of asked (n, L); where
    there is none, some value of the row."""
    n, m = keys.shape
    size = max(int(keys.max()), int(asked.max())) + 1
    offset = size * np.arange(n)[:, None]
    order = np.argsort(keys, axis=1, kind="stable")
    ordered = np.take_along_axis(keys, order, axis=1) + offset
    place = np.searchsorted(ordered.ravel(), asked + offset, side="right") - 1
    place = np.clip(place - m * np.arange(n)[:, None], 0, m - 1)
    return np.take_along_axis(np.take_along_axis(values, order, axis=1), place, axis=1)


def in_order(values: np.ndarray, scored: np.ndarray) -> np.ndarray:
    """(n, L) for the i-th scored position of a row the i-th of the values (n, m); or (n, L, K) of
    (n, m, K)."""
    turn = np.maximum(np.cumsum(scored, axis=1) - 1, 0)
    return values[np.arange(len(values))[:, None], turn]


def ways(total: int, num: int) -> int:
    """Ordered choices of num among total; counting stops beyond FEW_INPUTS."""
    count = 1
    for left in range(total, max(total - num, 0), -1):
        count *= left
        if count > FEW_INPUTS:
            break
    return count


@register("mqar")
class Mqar(MultiQuery):
    """Recall of the value of each of several keys.

    Rule: num_pairs different keys and as many different values, every choice equally likely; the
    context k1 v1 k2 v2 ... binds them; then each key stands once more, as a query, in the slot
    that was drawn for it (see `MultiQuery`), and what follows it there is filler. Scored is the
    value of each query, at the query.

    Tokens: 0 is the filler, 1 .. V/2 - 1 keys, V/2 .. V - 1 values.
    Chance: 1 / values; a guess among the values of the context: 1 / num_pairs. Slots are drawn
    key by key, as in the published code, so that with a power below 1 the keys tend to be asked
    in the order of the context: see `shortcuts`.
    Facts: `distance`, from the query back to the value in the context; `circular_distance`, the
    shorter way round an input closed to a ring; `pair`, the place of the key in the context.
    Edits: the evidence is the value of every key, which moves to another key (that of a lone pair
    becomes another token); the distractor is the order of the pairs, since every key is asked.

    Deviations: filler is unambiguous unless asked for; Zoology's setting num_passes, which breaks
    in its code, is left out; V may be smaller than L.
    """

    num_pairs: Count = 4
    """Keys, each with a value and asked once."""

    summary: ClassVar[str] = "recall the value of every key, each asked at a place of its own"
    source: ClassVar[str] = "Zoology, arXiv:2312.04927, section 3; rule of its code"
    scoring: ClassVar[str] = (
        "At every key that comes again its value, which stood behind it in the pairs at the "
        "beginning; the value does not stand behind the query."
    )

    @model_validator(mode="after")
    def _possible(self):
        keys, values, pairs = self.num_keys, self.num_values, self.num_pairs
        if self.context_tokens + 2 * pairs > self.length:
            raise ValueError(self._too_long())
        if pairs > min(keys, values):
            raise ValueError(
                f"num_pairs must be <= min(keys, values): {pairs} > {min(keys, values)}"
            )
        if self.filler == "random" and self.num_used >= self.vocab_size - 1:
            raise ValueError(
                "filler random needs a token that is neither key nor value: vocab_size - 1 > "
                f"{self.num_used}, got {self.vocab_size - 1}"
            )
        return self

    def _too_long(self) -> str:
        return f"mqar needs 4 x num_pairs <= length: 4 x {self.num_pairs} > {self.length}"

    @property
    def num_keys(self) -> int:
        """Tokens that can be a key."""
        return self.vocab_size // 2 - 1

    @property
    def num_values(self) -> int:
        """Tokens that can be a value."""
        return self.vocab_size - self.vocab_size // 2

    @property
    def token_names(self) -> list[str]:
        keys = [f"k{i}" for i in range(self.num_keys)]
        return [".", *keys, *(f"v{i}" for i in range(self.num_values))]

    @property
    def num_used(self) -> int:
        """Different tokens of an example that are no filler."""
        return 2 * self.num_pairs

    @property
    def context_tokens(self) -> int:
        return 2 * self.num_pairs

    @property
    def max_scored(self) -> int:
        return self.num_pairs

    @property
    def chance(self) -> float:
        return 1 / self.num_values

    @property
    def too_small_to_hold_out(self) -> str:
        return few_inputs(self._num_inputs())

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        half, pairs = self.vocab_size // 2, self.num_pairs
        keys = distinct(rng, 1, half, n, pairs)
        values = distinct(rng, half, self.vocab_size, n, pairs)
        return self._batch(rng, keys, values, np.arange(pairs), values)

    def _num_inputs(self) -> int:
        """Number of different inputs; counting may stop beyond FEW_INPUTS."""
        contexts = ways(self.num_keys, self.num_pairs) * ways(self.num_values, self.num_pairs)
        return contexts * self._num_arrangements(self.num_pairs, 1, self.num_used)

    def _batch(
        self,
        rng: np.random.Generator,
        keys: np.ndarray,
        values: np.ndarray,
        order: np.ndarray,
        answers: np.ndarray,
    ) -> Batch:
        """keys, answers: (n, D) by query. order: (m,) or (n, m) the queries' numbers in the
        context; values: (n, m) what the context binds them to, one after the other."""
        n, end = len(keys), self.context_tokens
        queries = self._slots(rng, n, self.num_pairs)
        bound = np.broadcast_to(order, values.shape)
        place = np.zeros_like(keys)  # of each query's last pair in the context
        np.put_along_axis(place, bound, np.arange(values.shape[1])[None, :], axis=1)
        back = queries - (2 * place + 1)
        facts = {
            "distance": back,
            "circular_distance": circular_distance(back, self.length),
            "pair": place,
        }
        everything = arrays(2 + len(facts), n, self.length)
        inputs, targets, *rest = everything
        inputs[:] = self._filler(rng, np.concatenate([keys, values], axis=1))
        inputs[:, 0:end:2] = np.take_along_axis(keys, bound, axis=1)
        inputs[:, 1:end:2] = values
        cells = self.length * np.arange(n)[:, None] + queries  # of the queries, flattened
        inputs.reshape(-1)[cells] = keys
        for out, unscored, found in (
            (targets, IGNORE, answers),
            *((fact, -1, found) for fact, found in zip(rest, facts.values(), strict=True)),
        ):
            out.fill(unscored)
            out.reshape(-1)[cells] = found
        return Batch(inputs, targets, dict(zip(facts, rest, strict=True)))

    def oracle(self, batch: Batch) -> np.ndarray:
        context = batch.inputs[:, : self.context_tokens]
        return look_up(context[:, ::2], context[:, 1::2], batch.inputs)

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """The first and the last value of the context, for every query; and for the i-th query
        the value of the i-th key, whichever is asked."""
        context, shape = batch.inputs[:, : self.context_tokens], batch.inputs.shape
        keys, values = context[:, ::2], context[:, 1::2]
        answers = look_up(keys, values, keys[:, : self.num_pairs])
        return {
            "first value": np.broadcast_to(values[:, :1], shape),
            "last value": np.broadcast_to(values[:, -1:], shape),
            "values in order": in_order(answers, batch.scored),
        }

    def edit(self, batch: Batch, rng: np.random.Generator) -> Edit:
        end, n = self.context_tokens, len(batch.inputs)
        context = batch.inputs[:, :end]
        evidence, distractor = batch.inputs.copy(), batch.inputs.copy()
        evidence[:, 1:end:2] = self._rebound(context[:, 1::2], rng)
        if self.num_pairs == 1 and self.filler == "random":  # that value is no filler now
            new = evidence[:, 1:2] == evidence[:, end:]
            evidence[:, end:] = np.where(new, context[:, 1:2], evidence[:, end:])
        said = look_up(context[:, ::2], evidence[:, 1:end:2], batch.inputs)
        order = self._reordered(n, rng)
        distractor[:, 0:end:2] = np.take_along_axis(context[:, ::2], order, axis=1)
        distractor[:, 1:end:2] = np.take_along_axis(context[:, 1::2], order, axis=1)
        return Edit(
            Batch(evidence, np.where(batch.scored, said, IGNORE), batch.info),
            Batch(distractor, batch.targets, self._moved(batch, order)),
        )

    def _rebound(self, values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The values (n, m) of the context, each with another key."""
        n, pairs = values.shape
        if pairs == 1:
            return change(values, self.vocab_size // 2, self.num_values, rng)
        return np.take_along_axis(values, rotated(rng, n, pairs), axis=1)

    def _reordered(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n, m) pairs of the context in an order that leaves all answers."""
        return reordered(rng, n, self.num_pairs)
