"""Phonebook: names with their numbers, then one of the names; the answer is its number.

The lookup that Jelassi et al. 2024 (arXiv:2402.01032) ask of pretrained models, here in a form
for models trained from scratch. Deviations: see `Phonebook`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

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
    count_tokens,
    facts_at,
    few_inputs,
    register,
)
from tasks.distinct import distinct
from tasks.letters import letters

DIGITS = 10  # tokens 0 .. 9
COLON, SEMICOLON = 10, 11
FIRST_NAME = 12  # of the tokens that make up names
FIRST_DIGITS = range(6, 10)  # with which a number starts
MAX_NAMES = 2**31  # different ones


@register("phonebook")
class Phonebook(Task):
    """The number that stands behind a name.

    Rule: `num_entries` names of name_length tokens, no two of them equal and every choice
    equally likely; to each a number of number_length digits, the first uniform over 6 .. 9, the
    others over 0 .. 9. An entry is name, ":", number, ";". After the book come a uniformly drawn
    one of its names, ":" and its number without the last digit; every digit is scored.

    Tokens: the digits 0 .. 9, ":" 10, ";" 11, then those of names.
    Chance: 1/4 for the first digit, 1/10 for each other, averaged over the number.
    Facts: `distance`, from the scored position back to the same digit in the book;
    `circular_distance`, the shorter way round an input closed to a ring; `position` in the
    number, from 0; `occurrences` of the name's last token as the last of a name in the book.

    Deviations: tokens for names and for lines in place of text; no examples of how to answer,
    as these models are trained on the task.
    """

    num_entries: Annotated[int, Field(ge=2)] = 20
    """Entries in the book."""
    name_length: Count = 2
    """Tokens in a name."""
    number_length: Count = 4
    """Digits in a number."""
    name_tokens: Annotated[int, Field(ge=2)] = 26
    """Different tokens that names are made of."""

    summary: ClassVar[str] = "look up a number by its name"
    source: ClassVar[str] = (
        "after Jelassi et al. 2024, arXiv:2402.01032; the form for training is this project's own"
    )
    group: ClassVar[str] = "induction and copying"
    scoring: ClassVar[str] = (
        "Each digit of the last name's number: the book has the name once, its number behind it."
    )
    length_parameter: ClassVar[str | None] = "num_entries"

    @model_validator(mode="after")
    def _possible(self):
        names = f"{self.name_tokens}^{self.name_length}"
        if self.name_length > 31 or self._num_names > MAX_NAMES:
            raise ValueError(f"name_tokens^name_length must be <= 2^31: {names}")
        if self.num_entries > self._num_names:
            raise ValueError(
                f"num_entries must be <= name_tokens^name_length: {self.num_entries} > {names}"
            )
        return self

    @property
    def num_tokens(self) -> int:
        return FIRST_NAME + self.name_tokens

    @property
    def input_length(self) -> int:
        return self.num_entries * self._entry + self.name_length + self.number_length

    @property
    def max_scored(self) -> int:
        return self.number_length

    @property
    def answers_in_inputs(self) -> bool:
        return self.number_length > 1

    @property
    def chance(self) -> float:
        first, other = 1 / len(FIRST_DIGITS), 1 / DIGITS
        return (first + (self.number_length - 1) * other) / self.number_length

    @property
    def too_small_to_hold_out(self) -> str:
        # The input lacks the last digit of the answer, but the book holds it.
        numbers = len(FIRST_DIGITS) * DIGITS ** min(self.number_length - 1, 64)
        count = self.num_entries
        for i in range(self.num_entries):
            count *= (self._num_names - i) * numbers
            if count > FEW_INPUTS:
                break
        return few_inputs(count)

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        shape = (n, self.num_entries)
        code = distinct(rng, 0, self._num_names, n, self.num_entries)
        weights = self.name_tokens ** np.arange(self.name_length)[::-1]
        names = FIRST_NAME + code[..., None] // weights % self.name_tokens
        numbers = rng.integers(DIGITS, size=(*shape, self.number_length))
        numbers[..., 0] = rng.integers(FIRST_DIGITS.start, FIRST_DIGITS.stop, size=shape)
        return self._written(names, numbers, rng.integers(self.num_entries, size=n))

    def oracle(self, batch: Batch) -> np.ndarray:
        names, numbers, asked = self._read(batch.inputs)
        return self._answers(numbers[np.arange(len(names)), self._place(names, asked)])

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """The last number of the book; at each place the most frequent digit there (of tied
        ones the smallest); where names have several tokens, the last number whose name ends as
        the one that is asked for."""
        names, numbers, asked = self._read(batch.inputs)
        frequent = [
            count_tokens(numbers[..., i], DIGITS).argmax(axis=1) for i in range(self.number_length)
        ]
        out = {
            "last number": self._answers(numbers[:, -1]),
            "most frequent digit at its place": self._answers(np.stack(frequent, axis=1)),
        }
        if self.name_length > 1:
            ends_so = (names[..., -1] == asked[:, [-1]])[:, ::-1]
            entry = self.num_entries - 1 - ends_so.argmax(axis=1)
            by_end = numbers[np.arange(len(names)), entry]
            out["number by the end of the name"] = self._answers(by_end)
        return out

    def edit(self, batch: Batch, rng: np.random.Generator) -> Edit:
        """evidence: every digit of the number asked for becomes another. distractor: every
        digit of one other number does. First digits stay those of a number."""
        names, numbers, asked = self._read(batch.inputs)
        rows, place = np.arange(len(names)), self._place(names, asked)
        elsewhere = (place + rng.integers(1, self.num_entries, size=len(names))) % self.num_entries
        edited = []
        for entry in (place, elsewhere):
            changed = numbers.copy()
            old = numbers[rows, entry]
            new = change(old, 0, DIGITS, rng)
            new[:, 0] = change(old[:, 0], FIRST_DIGITS.start, len(FIRST_DIGITS), rng)
            changed[rows, entry] = new
            edited.append(self._written(names, changed, place))
        return Edit(*edited)

    @property
    def token_names(self) -> list[str]:
        return [*map(str, range(DIGITS)), ":", ";", *letters(self.name_tokens)]

    @property
    def _num_names(self) -> int:
        return self.name_tokens**self.name_length

    @property
    def _entry(self) -> int:
        """Tokens in an entry of the book."""
        return self.name_length + self.number_length + 2

    def _place(self, names: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """(n,) the entry that is asked for."""
        return (names == asked[:, None]).all(axis=-1).argmax(axis=1)

    def _read(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """names (n, entries, name_length), numbers (n, entries, number_length), and the name
        that is asked for (n, name_length)."""
        end, width = self.num_entries * self._entry, self.name_length
        book = inputs[:, :end].reshape(len(inputs), self.num_entries, self._entry)
        numbers = book[..., width + 1 : -1]
        return book[..., :width], numbers, inputs[:, end : end + width]

    def _answers(self, numbers: np.ndarray) -> np.ndarray:
        """These numbers (n, number_length) as predictions."""
        out = np.full((len(numbers), self.input_length), IGNORE, dtype=np.int64)
        out[:, -self.number_length :] = numbers
        return out

    def _written(self, names: np.ndarray, numbers: np.ndarray, place: np.ndarray) -> Batch:
        """The examples with this book that ask for the entry at this place (n,)."""
        rows = np.arange(len(names))
        signs = np.empty((*names.shape[:2], 1), dtype=np.int64)
        book = np.concatenate(
            [names, np.full_like(signs, COLON), numbers, np.full_like(signs, SEMICOLON)], axis=-1
        )
        asked, answer = names[rows, place], numbers[rows, place]
        parts = [book.reshape(len(names), -1), asked, np.full((len(names), 1), COLON)]
        inputs = np.concatenate([*parts, answer[:, :-1]], axis=1)

        # Digits of the answer and of its copy are equally far apart.
        first = self.input_length - self.number_length
        distance = first - (place * self._entry + self.name_length + 1)
        values = {
            "distance": distance[:, None],
            "circular_distance": circular_distance(distance, self.input_length)[:, None],
            "position": np.arange(self.number_length),
            "occurrences": (names[..., -1] == asked[:, [-1]]).sum(axis=1)[:, None],
        }
        facts = facts_at(slice(first, None), values, inputs.shape)
        return Batch(inputs, self._answers(answer), facts)
