"""N-gram lookup: a string and a few of its letters; the answer is what follows them there.

The prefix and suffix forms of Jelassi et al. 2024 (arXiv:2402.01032), as their code writes them:
the n-gram comes before the string ($g|s|a.), so that a model knows what to look for while it
reads, or after it ($s|g a.), so that it must have stored the string. Deviations: see
`NgramLookup`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from tasks.base import (
    IGNORE,
    Batch,
    Count,
    Edit,
    Task,
    circular_distance,
    count_tokens,
    facts_at,
    few_inputs,
    register,
)
from tasks.distinct import one_of
from tasks.letters import letters

START, BAR = range(2)  # "$", "|"
FIRST = 2  # of the letters
MAX_NGRAMS = 2**62  # different ones


@register("ngram_lookup")
class NgramLookup(Task):
    """What follows an n-gram in a string.

    Rule: s is `length` uniform letters with replacement. Of the n-grams that occur exactly once
    in s and have answer_length letters behind them, g is one, uniformly; a string without any
    is drawn again. The answer a is the answer_length letters after g. Input: "$", s, "|", g, a
    (`suffix`), or "$", g, "|", s, "|", a (`prefix`), without the last letter of a; every letter
    of a is scored.

    Tokens: "$" 0, "|" 1, then the letters.
    Chance: 1 / alphabet_size.
    Facts: `distance`, from the scored position back to the same letter of the answer in s;
    `circular_distance`, the shorter way round an input closed to a ring; `position` in the
    answer, from 0; `occurrences` in s of the last letter of g: with n-grams of several letters,
    where it is more than 1, that letter alone does not tell where g stands.

    Deviations: in the published code g may occur several times in s, with different answers;
    here it does not. One text in each input, all of one length, so that there is no "." and no
    padding.
    """

    kind: Literal["prefix", "suffix"] = "suffix"
    """Whether the n-gram comes before the string or after it."""
    alphabet_size: Annotated[int, Field(ge=3)] = 26
    """Letters."""
    length: Count = 20
    """Letters in the string."""
    ngram: Count = 2
    """Letters that are looked up."""
    answer_length: Count = 1
    """Letters in the answer."""

    summary: ClassVar[str] = "find a few letters in a string and say what follows"
    source: ClassVar[str] = "Jelassi et al. 2024, arXiv:2402.01032; rule of their code"
    group: ClassVar[str] = "induction and copying"
    scoring: ClassVar[str] = (
        "What follows the n-gram in the string. The n-gram stands after the bar or, as a prefix, "
        "before the first of two bars; in the string it occurs once."
    )

    @model_validator(mode="after")
    def _possible(self):
        if self.length < self.ngram + self.answer_length:
            raise ValueError(
                "length must be >= ngram + answer_length: "
                f"{self.length} < {self.ngram} + {self.answer_length}"
            )
        if self.alphabet_size < self.ngram + 2:
            # An edited letter is one that does not stand in the n-gram, and not the old one.
            raise ValueError(
                f"alphabet_size must be >= ngram + 2: {self.alphabet_size} < {self.ngram} + 2"
            )
        if self.ngram > 62 or self.alphabet_size**self.ngram > MAX_NGRAMS:
            raise ValueError(
                f"alphabet_size^ngram must be <= 2^62: {self.alphabet_size}^{self.ngram}"
            )
        # With more, hardly a string has an n-gram that occurs once.
        if self.length > 4 * self.alphabet_size**self.ngram:
            raise ValueError(
                "length must be <= 4 x alphabet_size^ngram: "
                f"{self.length} > 4 x {self.alphabet_size}^{self.ngram}"
            )
        return self

    @property
    def num_tokens(self) -> int:
        return FIRST + self.alphabet_size

    @property
    def input_length(self) -> int:
        bars = 2 if self.kind == "suffix" else 3
        return bars + self.length + self.ngram + self.answer_length - 1

    @property
    def max_scored(self) -> int:
        return self.answer_length

    @property
    def answers_in_inputs(self) -> bool:
        return self.answer_length > 1

    @property
    def chance(self) -> float:
        return 1 / self.alphabet_size

    @property
    def num_places(self) -> int:
        """Where in the string an n-gram can stand that has a whole answer behind it."""
        return self.length - self.ngram - self.answer_length + 1

    @property
    def too_small_to_hold_out(self) -> str:
        # A bound from above; where it is near the limit, strings repeat anyway.
        count = self.num_places * self.alphabet_size ** min(self.length, 64)
        return few_inputs(count)

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        strings = rng.integers(FIRST, self.num_tokens, size=(n, self.length))
        once = self._occur_once(strings)
        while len(rows := np.flatnonzero(~once.any(axis=1))):
            strings[rows] = rng.integers(FIRST, self.num_tokens, size=(len(rows), self.length))
            once[rows] = self._occur_once(strings[rows])
        place = one_of(rng, once)
        return self._written(strings, place)

    def oracle(self, batch: Batch) -> np.ndarray:
        strings, ngram = self._read(batch.inputs)
        return self._answers(batch, strings, self._found(strings, ngram))

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """The string's most frequent letter (of tied ones the first in the alphabet), its last
        letter and, for n-grams of several letters, what followed all but the first of them when
        they last stood in the string."""
        strings, ngram = self._read(batch.inputs)
        shape = batch.inputs.shape
        frequent = count_tokens(strings, self.num_tokens).argmax(axis=1)
        out = {
            "most frequent letter": np.broadcast_to(frequent[:, None], shape),
            "last letter": np.broadcast_to(strings[:, -1:], shape),
        }
        if self.ngram > 1:
            shorter = self._found(strings[:, 1:], ngram[:, 1:])
            out["by all but the first letter"] = self._answers(batch, strings, shorter)
        return out

    def edit(self, batch: Batch, rng: np.random.Generator) -> Edit:
        """evidence: every letter of the answer becomes another in the string. distractor: one
        letter of the string that is in neither n-gram nor answer does; unchanged where there is
        none. No new letter is one of the n-gram, which so still occurs once."""
        strings, ngram = self._read(batch.inputs)
        place, rows = self._found(strings, ngram), np.arange(len(strings))
        evidence, distractor = strings.copy(), strings.copy()
        for i in range(self.answer_length):
            column = place + self.ngram + i
            evidence[rows, column] = self._other(strings[rows, column], ngram, rng)
        after = np.arange(self.length) - place[:, None]
        free = (after < 0) | (after >= self.ngram + self.answer_length)
        if free.any():
            column = one_of(rng, free)
            distractor[rows, column] = self._other(strings[rows, column], ngram, rng)
        return Edit(self._written(evidence, place), self._written(distractor, place))

    @property
    def token_names(self) -> list[str]:
        return ["$", "|", *letters(self.alphabet_size)]

    @property
    def _first_scored(self) -> int:
        return self.input_length - self.answer_length

    def _occur_once(self, strings: np.ndarray) -> np.ndarray:
        """(n, num_places) whether the n-gram that starts there occurs once in its string."""
        number = np.zeros((len(strings), self.length - self.ngram + 1), dtype=np.int64)
        for i in range(self.ngram):
            number *= self.alphabet_size
            number += strings[:, i : i + number.shape[1]] - FIRST
        order = np.argsort(number, axis=1)
        in_order = np.take_along_axis(number, order, axis=1)
        differs = np.ones((len(strings), number.shape[1] + 1), dtype=bool)
        differs[:, 1:-1] = in_order[:, 1:] != in_order[:, :-1]
        once = np.empty(number.shape, dtype=bool)
        np.put_along_axis(once, order, differs[:, 1:] & differs[:, :-1], axis=1)
        return once[:, : self.num_places]

    def _found(self, strings: np.ndarray, ngram: np.ndarray) -> np.ndarray:
        """(n,) where the letters of ngram (n, m) last stand in strings with an answer behind."""
        same = np.ones((len(strings), self.num_places), dtype=bool)
        for i in range(ngram.shape[1]):
            same &= strings[:, i : i + self.num_places] == ngram[:, [i]]
        return self.num_places - 1 - same[:, ::-1].argmax(axis=1)

    def _other(self, tokens: np.ndarray, ngram: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(n,) for each of tokens (n,) another letter, and none of its n-gram."""
        free = np.ones((len(tokens), self.num_tokens), dtype=bool)
        free[:, :FIRST] = False
        np.put_along_axis(free, ngram, False, axis=1)
        np.put_along_axis(free, tokens[:, None], False, axis=1)
        return one_of(rng, free)

    def _answers(self, batch: Batch, strings: np.ndarray, place: np.ndarray) -> np.ndarray:
        """The letters behind the n-gram at that place, as predictions."""
        predictions = np.full_like(batch.inputs, IGNORE)
        columns = place[:, None] + self.ngram + np.arange(self.answer_length)
        predictions[:, self._first_scored :] = np.take_along_axis(strings, columns, axis=1)
        return predictions

    def _read(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The strings (n, length) and the n-grams (n, ngram)."""
        string, ngram = self._columns
        return inputs[:, string : string + self.length], inputs[:, ngram : ngram + self.ngram]

    @property
    def _columns(self) -> tuple[int, int]:
        """Where the string and the n-gram start."""
        return (1, self.length + 2) if self.kind == "suffix" else (self.ngram + 2, 1)

    def _written(self, strings: np.ndarray, place: np.ndarray) -> Batch:
        """The examples that ask for the n-gram at this place (n,) of each string."""
        inputs = np.full((len(strings), self.input_length), BAR, dtype=np.int64)
        inputs[:, 0] = START
        string, ngram = self._columns
        inputs[:, string : string + self.length] = strings
        columns = place[:, None] + np.arange(self.ngram + self.answer_length)
        letters = np.take_along_axis(strings, columns, axis=1)
        inputs[:, ngram : ngram + self.ngram] = letters[:, : self.ngram]
        answer = letters[:, self.ngram :]
        scored = slice(self._first_scored, None)
        inputs[:, self._first_scored + 1 :] = answer[:, :-1]
        targets = np.full_like(inputs, IGNORE)
        targets[:, scored] = answer

        # Letters of the answer and of its copy are equally far apart.
        distance = self._first_scored - (string + place + self.ngram)
        last = letters[:, [self.ngram - 1]]
        values = {
            "distance": distance[:, None],
            "circular_distance": circular_distance(distance, self.input_length)[:, None],
            "position": np.arange(self.answer_length),
            "occurrences": (strings == last).sum(axis=1)[:, None],
        }
        return Batch(inputs, targets, facts_at(scored, values, inputs.shape))
