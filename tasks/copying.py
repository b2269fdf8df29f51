"""String copying: a string, and then the same string again.

The copying task of Jelassi et al. 2024 (arXiv:2402.01032), as their code writes it:
$abc|abc. Short strings are trained on and longer ones tested (`train.test_lengths`).
Deviations: see `Copying`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from harness.foundation.config import parse_component, to_data
from tasks.base import (
    IGNORE,
    TASKS,
    Batch,
    Count,
    Edit,
    Task,
    change,
    count_tokens,
    few_inputs,
    register,
)
from tasks.letters import letters

PAD, START, COPY, END = range(4)  # "*", "$", "|", "."
FIRST = 4  # of the letters


@register("copying")
class Copying(Task):
    """Reproduction of a string of any length in a range.

    Rule: the number of letters n is uniform over min_length .. max_length, the letters s_1 ..
    s_n are uniform with replacement, and the text is "$", s, "|", s, ".". From "|" on the next
    letter of s is the target. Every input has 2 * max_length + 1 tokens. `pad: right`: the text
    and then "*" up to that length, beyond which the last letter and the "." of the longest texts
    fall. `pad: left`: "*" and then the text without its last letter and ".", so that the last
    letter is always predicted from the last position. Neither "*" nor "." is scored.

    Tokens: "*" 0, "$" 1, "|" 2, "." 3, then the letters.
    Chance: 1 / alphabet_size.
    Facts: `distance`, from the scored position back to the letter to copy, which is n (and no
    longer the other way round, were the input closed to a ring); `position` of the letter in s,
    from 0; `occurrences` in s of the letter before it (0 for the first): where it
    is more than 1, that letter alone does not tell what follows.

    `at_length(n)`: strings of n letters exactly.
    Deviations: one text in each input (in theirs several fill a context of 220 tokens); "." is
    not scored, so that every answer rests on s.
    """

    alphabet_size: Annotated[int, Field(ge=2)] = 26
    """Letters."""
    min_length: Count = 5
    """Fewest letters in a string."""
    max_length: Count = 20
    """Most letters in a string."""
    pad: Literal["right", "left"] = "right"
    """On which side shorter texts are filled up."""

    summary: ClassVar[str] = "copy a string"
    source: ClassVar[str] = "Jelassi et al. 2024, arXiv:2402.01032; rule of their code"
    group: ClassVar[str] = "induction and copying"
    scoring: ClassVar[str] = 'After "|", each letter of the string between "$" and "|" in turn.'
    length_parameter: ClassVar[str | None] = "max_length"
    pad_token: ClassVar[int | None] = PAD

    @model_validator(mode="after")
    def _possible(self):
        if self.min_length > self.max_length:
            raise ValueError(
                f"min_length must be <= max_length: {self.min_length} > {self.max_length}"
            )
        return self

    @property
    def num_tokens(self) -> int:
        return FIRST + self.alphabet_size

    @property
    def input_length(self) -> int:
        return 2 * self.max_length + 1

    @property
    def max_scored(self) -> int:
        return self.max_length

    @property
    def answers_in_inputs(self) -> bool:
        return self.max_length > 1

    @property
    def chance(self) -> float:
        return 1 / self.alphabet_size

    @property
    def too_small_to_hold_out(self) -> str:
        longest = min(self.max_length, 64)
        shortest = min(self.min_length, longest)
        count = sum(self.alphabet_size**n for n in range(shortest, longest + 1))
        return few_inputs(count)

    def at_length(self, length: int) -> Task:
        lengths = {"min_length": length, "max_length": length}
        return parse_component(TASKS, to_data(self) | lengths)

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        lengths = rng.integers(self.min_length, self.max_length + 1, size=n)
        strings = rng.integers(self.alphabet_size, size=(n, self.max_length))
        return self._written(FIRST + strings, lengths)

    def oracle(self, batch: Batch) -> np.ndarray:
        _, lengths, start = self._read(batch.inputs)
        column = np.arange(self.input_length) - start[:, None]
        asked = (column > lengths[:, None]) & (column <= 2 * lengths[:, None])
        # n back in the same text; what is not asked reads anything.
        back = np.maximum(np.arange(self.input_length) - lengths[:, None], 0)
        return np.where(asked, np.take_along_axis(batch.inputs, back, axis=1), IGNORE)

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """The string's most frequent letter (of tied ones the first in the alphabet), its last
        letter, and what followed the current letter when it last stood in the string before
        another one (after "|": the first letter)."""
        inputs = batch.inputs
        strings, lengths, _ = self._read(inputs)
        rows = np.arange(len(inputs))
        counts = count_tokens(strings, self.num_tokens)
        counts[:, :FIRST] = 0
        following = np.zeros((len(inputs), self.num_tokens), dtype=np.int64)
        following[:, COPY] = strings[:, 0]
        for i in range(self.max_length - 1):
            some = rows[i + 1 < lengths]
            following[some, strings[some, i]] = strings[some, i + 1]
        guesses = {
            "most frequent letter": counts.argmax(axis=1),
            "last letter": strings[rows, lengths - 1],
        }
        return {
            **{k: np.broadcast_to(guess[:, None], inputs.shape) for k, guess in guesses.items()},
            "what followed this letter": np.take_along_axis(following, inputs, axis=1),
        }

    def edit(self, batch: Batch, rng: np.random.Generator) -> Edit:
        """evidence: every letter of the string becomes another. distractor: unchanged, since
        every letter is asked for."""
        strings, lengths, _ = self._read(batch.inputs)
        other = change(strings, FIRST, self.alphabet_size, rng)
        return Edit(self._written(other, lengths), self._written(strings, lengths))

    @property
    def token_names(self) -> list[str]:
        return ["*", "$", "|", ".", *letters(self.alphabet_size)]

    def _read(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The strings (n, max_length), filled up with PAD; their lengths; where "$" stands."""
        start = (inputs == START).argmax(axis=1)
        lengths = (inputs == COPY).argmax(axis=1) - start - 1
        place = np.arange(self.max_length)
        columns = np.minimum(start[:, None] + 1 + place, self.input_length - 1)
        strings = np.take_along_axis(inputs, columns, axis=1)
        return np.where(place < lengths[:, None], strings, PAD), lengths, start

    def _written(self, strings: np.ndarray, lengths: np.ndarray) -> Batch:
        """The examples with the first letters of strings (n, max_length), as many as lengths
        (n,) says."""
        n = lengths[:, None]
        start = 2 * (self.max_length - n) if self.pad == "left" else 0 * n
        column = np.arange(self.input_length) - start  # from "$" on
        place = np.where(column > n, column - n - 2, column - 1)  # in the string
        inputs = np.take_along_axis(strings, place.clip(0, self.max_length - 1), axis=1)
        signs = ((column == 0, START), (column == n + 1, COPY), (column == 2 * n + 2, END))
        for where, sign in (*signs, ((column < 0) | (column > 2 * n + 2), PAD)):
            inputs[where] = sign

        position = column - n - 1  # of the letter that comes next
        scored = (position >= 0) & (position < n)
        answers = np.take_along_axis(strings, position.clip(0, self.max_length - 1), axis=1)
        seen = np.zeros((len(strings), self.num_tokens), dtype=np.int64)
        rows = np.arange(len(strings))
        for i in range(self.max_length):
            seen[rows, strings[:, i]] += i < lengths
        values = {
            "distance": n,
            "position": position,
            "occurrences": np.take_along_axis(seen, inputs, axis=1),
        }
        facts = {name: np.where(scored, value, -1) for name, value in values.items()}
        return Batch(inputs, np.where(scored, answers, IGNORE), facts)
