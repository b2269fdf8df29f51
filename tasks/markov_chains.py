"""Markov chains in context: continue a sequence by the transitions that it has shown so far.

The task ICL-MC of Edelman et al. 2024 (arXiv:2402.11004, section 2) and its n-grams: every
example is drawn from a chain of its own, so what follows what must be counted in the context.
Deviations: see `MarkovChains`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from tasks.base import IGNORE, Batch, Count, Form, Task, circular_distance, few_inputs, register
from tasks.ngrams import contexts, followers

MAX_TABLE = 10_000  # numbers of one example's transition table
CHUNK = 2**22  # of them that are drawn at once


@register("markov_chains")
class MarkovChains(Task):
    """Prediction of the next state of an unknown Markov chain.

    Rule: each example draws a table of num_states^order rows, one for each sequence of `order`
    states, each row from a Dirichlet distribution with all parameters equal to `concentration`.
    The first `order` states are uniform and independent; each later one is drawn from the row
    of the `order` states before it. length + 1 states are drawn: the input is all but the last,
    and every position's target is the next one.

    `distribution` is the posterior predictive given the input so far, (count + a) / (total +
    num_states a) with a = concentration, where count is how often each state has followed the
    current `order` states; it is exact, since rows are independent and the first states say
    nothing of them. While fewer than `order` states have come it is uniform. No predictor that
    reads the context alone has a lower expected loss. `oracle` is its likeliest state (of tied
    ones the smallest).

    Tokens: the states 0 .. num_states - 1.
    Chance: 1 / num_states.
    Facts: `occurrences`, how often the current `order` states have been followed before;
    `distance`, from the scored position back to the state that followed them last, -1 where
    none has; `circular_distance`, the shorter way round an input closed to a ring; `position`.
    Edits: none, since a target is drawn and no context determines it.

    Deviations: where every state is scored the loss mode `masked` is left out, since it would hide
    the whole context. This project's own: the order-k law as one row for every sequence of k
    states, `scored: last`, and the facts.
    """

    num_states: Annotated[int, Field(ge=2)] = 5
    """States, which are the tokens."""
    length: Annotated[int, Field(ge=2)] = 128
    """States in the input."""
    order: Count = 1
    """States that the next one depends on."""
    concentration: Annotated[float, Field(ge=1e-6, le=1e6, allow_inf_nan=False)] = 1.0
    """Parameter of the Dirichlet distribution; the smaller, the closer to deterministic."""
    scored: Literal["all", "last"] = "all"
    """all: every next state is a target; last: the one after the input alone, which stands nowhere
    in the input."""

    summary: ClassVar[str] = "predict the next state of a Markov chain seen only in context"
    source: ClassVar[str] = "Edelman et al. 2024, arXiv:2402.11004, section 2"
    group: ClassVar[str] = "in-context statistics"
    scoring: ClassVar[str] = (
        "Every next state (`scored: last`: the one after the input). It is drawn at random: the "
        "best prediction counts what has followed the current state (the current `order` states) "
        "so far in this sequence."
    )
    stochastic: ClassVar[bool] = True

    @model_validator(mode="after")
    def _possible(self):
        # The order alone first: a power of a large one takes forever.
        if self.order >= self.length:
            raise ValueError(f"order must be < length: {self.order} >= {self.length}")
        if self.order > 20 or self.num_states ** (self.order + 1) > MAX_TABLE:
            raise ValueError(
                f"num_states^(order + 1) must be <= {MAX_TABLE:,}: "
                f"{self.num_states}^{self.order + 1}"
            )
        return self

    @property
    def num_tokens(self) -> int:
        return self.num_states

    @property
    def input_length(self) -> int:
        return self.length

    @property
    def max_scored(self) -> int:
        return self.length - self._first

    @property
    def answers_in_inputs(self) -> bool:
        return self.scored == "all"

    @property
    def chance(self) -> float:
        return 1 / self.num_states

    @property
    def forms(self) -> tuple[Form, ...]:
        return ("answers", "all") if self.scored == "all" else ("answers", "all", "masked")

    @property
    def too_small_to_hold_out(self) -> str:
        return few_inputs(self.num_states ** min(self.length, 20))

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        sequences = np.empty((n, self.length + 1), dtype=np.int64)
        sequences[:, : self.order] = rng.integers(self.num_states, size=(n, self.order))
        rows = max(1, CHUNK // self.num_states ** (self.order + 1))
        for start in range(0, n, rows):
            self._walk(rng, sequences[start : start + rows])
        inputs, targets = sequences[:, :-1].copy(), sequences[:, 1:].copy()
        facts = self._facts(inputs)
        targets[:, : self._first] = IGNORE
        for fact in facts.values():
            fact[:, : self._first] = -1
        return Batch(inputs, targets, facts)

    def distribution(self, batch: Batch) -> np.ndarray:
        return self._smoothed(batch, self.order, self.concentration)

    def simple_distributions(self, batch: Batch) -> dict[str, np.ndarray]:
        """(count + 1) / (total + num_states), as published, by fewer states than the chain
        depends on; those of order 0 are the frequencies of the states so far."""
        return {
            f"counts of order {order}": self._smoothed(batch, order, 1.0)
            for order in range(self.order)
        }

    def oracle(self, batch: Batch) -> np.ndarray:
        return followers(batch.inputs, self.order, self.num_states).argmax(axis=-1)

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """The most frequent state so far, the current one, and what has most often followed
        fewer states than the chain depends on (of tied ones the smallest)."""
        inputs = batch.inputs
        out = {
            "most frequent so far": followers(inputs, 0, self.num_states).argmax(axis=-1),
            "last token": inputs,
        }
        for order in range(1, self.order):
            best = followers(inputs, order, self.num_states).argmax(axis=-1)
            out[f"counts of order {order}"] = best
        return out

    @property
    def _first(self) -> int:
        """The first scored position."""
        return 0 if self.scored == "all" else self.length - 1

    def _smoothed(self, batch: Batch, order: int, count: float) -> np.ndarray:
        """(n, L, num_states) what has followed the last `order` states, and `count` of each."""
        counts = followers(batch.inputs, order, self.num_states) + count
        return counts / counts.sum(axis=-1, keepdims=True)

    def _walk(self, rng: np.random.Generator, sequences: np.ndarray) -> None:
        """Writes what follows the first `order` states of each of sequences (n, length + 1)."""
        n, states = len(sequences), self.num_states
        shape, a = (n, states**self.order, states), self.concentration
        # Gamma(a) as Gamma(a + 1) U^(1 / a), in logarithms: a small a would give all zeros.
        logs = np.log(rng.standard_gamma(a + 1, shape)) + np.log1p(-rng.random(shape)) / a
        table = np.exp(logs - logs.max(axis=-1, keepdims=True)).cumsum(axis=-1)
        table /= table[..., -1:]
        uniform, row = rng.random((n, self.length + 1)), np.arange(n)
        context = contexts(sequences[:, : self.order], self.order, states)[:, -1]
        for position in range(self.order, self.length + 1):
            ahead = table[row, context] <= uniform[:, [position]]  # the last one never is
            sequences[:, position] = ahead.sum(axis=-1)
            context = (context * states + sequences[:, position]) % states**self.order

    def _facts(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        n, row = len(inputs), np.arange(len(inputs))
        number = contexts(inputs, self.order, self.num_states)
        last = np.full((n, self.num_states**self.order), -1)  # position after the last occurrence
        times = np.zeros_like(last)
        names = ("occurrences", "distance", "circular_distance")
        facts = {name: np.full_like(inputs, -1) for name in names}
        for position in range(self.order - 1, self.length):
            if position >= self.order:
                last[row, number[:, position - 1]] = position
                times[row, number[:, position - 1]] += 1
            evidence = last[row, number[:, position]]
            distance = np.where(evidence < 0, -1, position - evidence)
            facts["occurrences"][:, position] = times[row, number[:, position]]
            facts["distance"][:, position] = distance
            facts["circular_distance"][:, position] = circular_distance(distance, self.length)
        facts["position"] = np.repeat(np.arange(self.length)[None], n, axis=0)
        return facts
