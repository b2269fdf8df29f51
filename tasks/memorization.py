"""MAD's memorization: a fixed map from keys to values that only the weights can hold.

Poli et al. 2024 (arXiv:2403.17844, section 3.1), as its code, MAD-Lab, runs it. Deviations: see
`Memorization`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from harness.foundation.seeding import generator
from tasks.base import IGNORE, Batch, Task, few_inputs, register
from tasks.history import arrays, earlier_equal


@register("memorization")
class Memorization(Task):
    """Recall of the value that a key has in all examples.

    Rule: length / 2 keys, uniform with replacement, each followed by the insert token, at which
    the key's value is predicted. The map gives every key a value of its own; it is drawn from
    `map_seed` and the number of tokens, and is the same for training and all evaluation. The
    values never stand in an input: what is tested is what the weights hold, and not recall.

    Tokens: of the vocab_size - 1 ordinary tokens the first half (rounded down), from 0, are keys,
    the rest are values, one of which may be left over; vocab_size - 1 is the insert token "?".
    Chance: 1 / keys, since as many values are in use.
    Facts: `position` of the key among the keys of the input, from 0; `occurrences` of it earlier
    in the input.
    Edits: none, since the context holds no evidence; the map is a fact of the weights.

    Deviation: the map is drawn by this project's generator, so that its pairs are others than
    those of the published code. That trains on 256 fixed examples.
    """

    vocab_size: Annotated[int, Field(ge=5)] = 256
    """Tokens, the insert token included."""
    length: Annotated[int, Field(ge=2)] = 32
    """Tokens of the input."""
    map_seed: Annotated[int, Field(ge=0)] = 12345
    """Seed of the map."""

    summary: ClassVar[str] = "recall values that only the weights can know"
    source: ClassVar[str] = "MAD, arXiv:2403.17844, section 3.1; rule of MAD-Lab's code"
    group: ClassVar[str] = "MAD"
    scoring: ClassVar[str] = (
        'At each "?" the value of the key before it, by a map that is the same in all examples and '
        "is not in the input."
    )
    next_token: ClassVar[bool] = False

    @model_validator(mode="after")
    def _possible(self):
        if self.length % 2:
            raise ValueError(f'length must be even, since a "?" follows each key: {self.length}')
        return self

    @property
    def num_keys(self) -> int:
        return (self.vocab_size - 1) // 2

    @property
    def num_values(self) -> int:
        return self.vocab_size - 1 - self.num_keys

    @property
    def num_tokens(self) -> int:
        return self.vocab_size

    @property
    def input_length(self) -> int:
        return self.length

    @property
    def max_scored(self) -> int:
        return self.length // 2

    @property
    def chance(self) -> float:
        return 1 / self.num_keys

    @property
    def too_small_to_hold_out(self) -> str:
        return few_inputs(self.num_keys ** min(self.length // 2, 64))

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        keys = rng.integers(self.num_keys, size=(n, self.length // 2))
        inputs, targets, *facts = arrays(4, n, self.length)
        inputs[:, ::2], inputs[:, 1::2] = keys, self.vocab_size - 1
        targets[:] = IGNORE
        targets[:, 1::2] = self._values()[keys]
        for fact, value in zip(
            facts, (np.arange(self.length // 2), earlier_equal(keys).count), strict=True
        ):
            fact[:] = -1
            fact[:, 1::2] = value
        return Batch(inputs, targets, dict(zip(("position", "occurrences"), facts, strict=True)))

    def oracle(self, batch: Batch) -> np.ndarray:
        """Knows the map."""
        predictions = np.full_like(batch.inputs, IGNORE)
        predictions[:, 1::2] = self._values()[batch.inputs[:, ::2]]
        return predictions

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """The value of key 0, whatever the key; and, knowing the map but not which key is asked,
        the value of the first key of the input."""
        values, shape = self._values(), batch.inputs.shape
        return {
            "one value": np.broadcast_to(values[0], shape),
            "value of the first key": np.broadcast_to(values[batch.inputs[:, :1]], shape),
        }

    @property
    def token_names(self) -> list[str]:
        keys = [f"k{i}" for i in range(self.num_keys)]
        return [*keys, *(f"v{i}" for i in range(self.num_values)), "?"]

    def _values(self) -> np.ndarray:
        """(keys,) the value of each key, all different."""
        rng = generator("memorization", "map", self.vocab_size, self.map_seed)
        return self.num_keys + rng.permutation(self.num_values)[: self.num_keys]
