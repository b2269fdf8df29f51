"""In-context language learning: continue words of an unknown regular language from other words.

RegBench of Akyurek et al. 2024 (arXiv:2401.12973, section 3), by the rule of its published code:
every example holds words of a random automaton of its own. Deviations: see `InContextLanguages`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from tasks.base import FEW_INPUTS, IGNORE, Batch, Form, Task, circular_distance, register
from tasks.letters import letters
from tasks.ngrams import followers

_LETTER, _BAR, _PAD = range(3)  # what a token is


class Automata(NamedTuple):
    """n random automata with S states (the largest number) and E edges a state at most.

    num_edges: (n, S). letters, targets: (n, S, E), what each edge writes and where it leads;
    those from num_edges on, and states that an automaton has not, mean nothing.
    """

    num_edges: np.ndarray
    letters: np.ndarray
    targets: np.ndarray


@register("in_context_languages")
class InContextLanguages(Task):
    """Prediction of the next letter in words of an automaton that is known from its words alone.

    Rule: an automaton has n states, n uniform in min_states .. max_states; its alphabet is a
    random set of m of the num_letters letters, m uniform in min_letters .. num_letters; each state
    has 1 .. max_edges (uniform) edges with different letters of the alphabet to different other
    states. (Published code: `integers(1, 4)`, whose upper end is left out: 1 to 3.) State 0 is
    the start and all states accept. A word is a walk from state 0 that takes one of the state's
    edges at each step, all with equal probability; its length is uniform in
    1 .. max_word_length. min_words .. max_words (uniform) words are joined by "|", and what is
    longer than length + 1 tokens is cut, what is shorter filled up with ".". The input is all but
    the last token. Targets: the next tokens that are letters.

    Minimising the automaton, as published, is left out: it merges states from which the same
    continuations are possible, so in particular the same next letters, and drops states that
    cannot be reached. Neither changes the words or how probable they are. (Some 4 % of
    automata have states that it would merge; the facts count those apart.)

    `distribution` is the truth and not a predictor from the context: uniform over the letters
    that are legal in the automaton's state, which it reads from the fact `_legal` (bit i: letter
    i). No predictor from the context can beat it, and none can reach it where a state is left for
    the first time. `oracle` is its first letter, so its accuracy is the mean of 1 / choices.

    Tokens: the letters, then "|", then ".".
    Chance: 1 / num_letters.
    Facts, all of the true automaton: `words`, complete ones before; `letters`, those of the
    current word so far; `choices`, legal letters; `occurrences`, how often the state has been
    left by a letter before; `distance`, from the scored position back to the letter that did so
    last, -1 where none has; `circular_distance`, the shorter way round an input closed to a ring.
    Edits: none, since a target is drawn and the context allows for others.

    Deviations: examples have a fixed length; the default, 512, holds 92 % of them whole (the
    longest have 949 tokens). Every example has an automaton of its own, where published runs train
    on 5,000. Where every letter is scored the loss mode `masked` is left out: it would hide the
    whole context. `scored: last` is this project's own. The mode `all` learns bars too, which
    published runs do not: a bar may follow any letter and `distribution` gives it nothing, so that
    every distance from the optimum then includes its probability.
    """

    length: Annotated[int, Field(ge=4)] = 512
    """Tokens in the input."""
    num_letters: Annotated[int, Field(ge=2, le=26)] = 18
    """Letters that alphabets are chosen from."""
    min_letters: Annotated[int, Field(ge=1)] = 4
    """Letters of an alphabet, at least."""
    min_states: Annotated[int, Field(ge=2)] = 4
    """States of an automaton, at least."""
    max_states: Annotated[int, Field(ge=2, le=1000)] = 12
    """States of an automaton, at most."""
    max_edges: Annotated[int, Field(ge=1)] = 3
    """Edges that leave a state, at most."""
    max_word_length: Annotated[int, Field(ge=2)] = 49
    """Letters of a word, at most."""
    min_words: Annotated[int, Field(ge=2)] = 10
    """Words of an example before it is cut, at least."""
    max_words: Annotated[int, Field(ge=2)] = 19
    """Words of an example, at most."""
    scored: Literal["all", "last"] = "all"
    """all: every next letter is a target; last: the last one alone, which the loss mode `masked`
    hides from mixers that see the whole sequence."""

    summary: ClassVar[str] = "continue words of a random regular language seen only in context"
    source: ClassVar[str] = "RegBench, arXiv:2401.12973, section 3; rule of its code"
    group: ClassVar[str] = "in-context statistics"
    scoring: ClassVar[str] = (
        "Every next letter within a word (`scored: last`: the last one). It is drawn from those "
        "that the language's automaton allows there: the words before tell which."
    )
    stochastic: ClassVar[bool] = True

    @model_validator(mode="after")
    def _possible(self):
        for low, high in (
            ("min_letters", "num_letters"),
            ("min_states", "max_states"),
            ("min_words", "max_words"),
            ("max_edges", "min_letters"),
        ):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(
                    f"{low} must be <= {high}: {getattr(self, low)} > {getattr(self, high)}"
                )
        if self.max_edges >= self.min_states:
            raise ValueError(
                "edges lead to different other states, so max_edges must be < min_states: "
                f"{self.max_edges} >= {self.min_states}"
            )
        return self

    @property
    def num_tokens(self) -> int:
        return self.num_letters + 2

    @property
    def pad_token(self) -> int:
        return self.num_letters + 1

    @property
    def input_length(self) -> int:
        return self.length

    @property
    def max_scored(self) -> int:
        if self.scored == "last":
            return 1
        # Of the longest words; the very first letter is no target.
        separators = (self.length + 1) // (self.max_word_length + 1)
        return min(self.length - separators, self.max_words * self.max_word_length - 1)

    @property
    def answers_in_inputs(self) -> bool:
        return True

    @property
    def chance(self) -> float:
        return 1 / self.num_letters

    @property
    def forms(self) -> tuple[Form, ...]:
        return ("answers", "all") if self.scored == "all" else ("answers", "all", "masked")

    @property
    def too_small_to_hold_out(self) -> str:
        # A first word may write any letters until it meets a state again; and the first words
        # may have any lengths.
        free = min(self.length, self.max_word_length, self.max_states)
        whole = min(self.min_words, self.length // (self.max_word_length + 1))
        least = max(self.num_letters ** min(free, 40), self.max_word_length ** min(whole, 20))
        if least >= FEW_INPUTS:
            return ""
        return f"no more than {least:,} inputs are sure to differ (fewer than {FEW_INPUTS:,})"

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        automata = self._automata(rng, n)
        kind, words, letters = self._layout(rng, n)
        legal = self._legal_letters(automata)
        uniform, row = rng.random(kind.shape), np.arange(n)
        tokens = np.full(kind.shape, self.pad_token)
        tokens[kind == _BAR] = self._bar
        state = np.zeros(n, dtype=np.int64)
        left = np.zeros((n, self.max_states), dtype=np.int64)  # times a state was left
        last = np.full((n, self.max_states), -1)  # position of the letter that left it last
        names = ("occurrences", "distance", "circular_distance", "choices", "_legal")
        facts = {name: np.full((n, self.length), -1) for name in names}
        for position in range(self.length + 1):
            writes = kind[:, position] == _LETTER
            choices = automata.num_edges[row, state]
            if position:  # the fact belongs to the position before, where the letter is predicted
                now = position - 1
                distance = np.where(last[row, state] < 0, -1, now - last[row, state])
                values = {
                    "occurrences": left[row, state],
                    "distance": distance,
                    "circular_distance": circular_distance(distance, self.length),
                    "choices": choices,
                    "_legal": legal[row, state],
                }
                for name, value in values.items():
                    facts[name][:, now] = value
            edge = (uniform[:, position] * choices).astype(np.int64)
            tokens[writes, position] = automata.letters[row, state, edge][writes]
            left[row[writes], state[writes]] += 1
            last[row[writes], state[writes]] = position
            state = np.where(writes, automata.targets[row, state, edge], 0)
        scored = kind[:, 1:] == _LETTER
        if self.scored == "last":
            scored &= scored[:, ::-1].cumsum(axis=1)[:, ::-1] == 1
        facts |= {"words": words[:, 1:], "letters": letters[:, 1:]}
        facts = {name: np.where(scored, values, -1) for name, values in facts.items()}
        targets = np.where(scored, tokens[:, 1:], IGNORE)
        return Batch(tokens[:, :-1].copy(), targets, facts)

    def distribution(self, batch: Batch) -> np.ndarray:
        """The truth, from the fact `_legal`; 0 where nothing is scored."""
        legal = np.where(batch.scored, batch.info["_legal"], 0)
        allowed = np.zeros((*legal.shape, self.num_tokens))
        allowed[..., : self.num_letters] = legal[..., None] >> np.arange(self.num_letters) & 1
        return allowed / np.maximum(allowed.sum(axis=-1, keepdims=True), 1)

    def oracle(self, batch: Batch) -> np.ndarray:
        return self.distribution(batch).argmax(axis=-1)

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """n-grams of the context: what has most often followed the last 0, 1 or 2 tokens so far,
        letters alone; what has never occurred is predicted from a token fewer. Of tied letters
        the first."""
        shape = batch.inputs.shape
        best = np.zeros(shape, dtype=np.int64)
        out = {}
        for order, name in enumerate(("most frequent so far", "bigram", "trigram")):
            # Few rows at a time: the table of pairs is large.
            for start in range(0, shape[0], 64):
                rows = slice(start, start + 64)
                counts = followers(batch.inputs[rows], order, self.num_tokens)
                counts = counts[..., : self.num_letters]
                best[rows] = np.where(counts.any(axis=-1), counts.argmax(axis=-1), best[rows])
            out[name] = best.copy()
        return out

    @property
    def token_names(self) -> list[str]:
        return [*letters(self.num_letters), "|", "."]

    @property
    def _bar(self) -> int:
        return self.num_letters

    def _automata(self, rng: np.random.Generator, n: int) -> Automata:
        states, edges = self.max_states, self.max_edges
        num_states = rng.integers(self.min_states, states + 1, size=(n, 1, 1))
        num_letters = rng.integers(self.min_letters, self.num_letters + 1, size=(n, 1, 1))
        num_edges = rng.integers(1, edges + 1, size=(n, states))
        # The first few of a random order, from which what is not allowed is kept last.
        order = rng.random((n, states, states))
        order[:, np.arange(states), np.arange(states)] = 2.0
        order[np.broadcast_to(np.arange(states) >= num_states, order.shape)] = 2.0
        targets = order.argsort(axis=-1)[..., :edges]
        order = rng.random((n, states, self.num_letters))
        order[np.broadcast_to(np.arange(self.num_letters) >= num_letters, order.shape)] = 2.0
        rank = order.argsort(axis=-1)[..., :edges]
        alphabet = rng.random((n, 1, self.num_letters)).argsort(axis=-1)
        letters = np.take_along_axis(alphabet, rank.reshape(n, 1, -1), axis=-1)
        return Automata(num_edges, letters.reshape(n, states, edges), targets)

    def _legal_letters(self, automata: Automata) -> np.ndarray:
        """(n, S) the letters of each state's edges, as bits."""
        exists = np.arange(self.max_edges) < automata.num_edges[..., None]
        return np.where(exists, 1 << automata.letters, 0).sum(axis=-1)

    def _layout(self, rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
        """For length + 1 tokens: what each is, complete words before it, letters of its own word
        before it; all (n, length + 1)."""
        num_words = rng.integers(self.min_words, self.max_words + 1, size=(n, 1))
        lengths = rng.integers(1, self.max_word_length + 1, size=(n, self.max_words))
        bars = (lengths + 1).cumsum(axis=1) - 1  # where the bar behind each word would stand
        total = np.take_along_axis(bars, num_words - 1, axis=1)  # none stands behind the last
        shape = (n, self.length + 1)
        ends = np.zeros((n, self.length + 2), dtype=bool)  # a column for all that is cut
        np.put_along_axis(ends, np.minimum(bars, self.length + 1), True, axis=1)
        ends, position = ends[:, :-1], np.arange(self.length + 1)
        kind = np.where(ends, _BAR, _LETTER)
        kind[np.broadcast_to(position, shape) >= total] = _PAD
        words = ends.cumsum(axis=1)
        start = np.maximum.accumulate(np.where(ends, position + 1, 0), axis=1)
        return kind, words, position - start
