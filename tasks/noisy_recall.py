"""MAD's noisy in-context recall: in-context recall with pairs of noise among the pairs.

Poli et al. 2024 (arXiv:2403.17844, section 3.1), in the multi-query form that its code, MAD-Lab,
runs. Deviations: see `NoisyRecall`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator

from tasks.base import Batch, Edit, change, register
from tasks.in_context_recall import InContextRecall


@register("noisy_recall")
class NoisyRecall(InContextRecall):
    """Recall of the value of each key that has come before, past tokens that mean nothing.

    Rule: `in_context_recall`, but each pair before the probe is, with probability
    `noise_fraction`, two noise tokens instead, uniform with replacement. One of these places,
    uniformly drawn, holds a key and its value in any case.

    Tokens: the first vocab_size - noise_vocab_size are keys and values, halved as in
    `in_context_recall`; the rest are noise.
    Chance: 1 / values.
    Facts: those of `in_context_recall`, and `noise`, the noise tokens between the scored position
    and the evidence.
    Edits: the evidence is the value of every key; the distractor is the noise.

    Deviation: the published code draws the place that is no noise among all pairs, the probe too,
    and fails where it is the probe's and all others are noise.
    """

    vocab_size: Annotated[int, Field(ge=6)] = 32
    """Tokens, noise included."""
    length: Annotated[int, Field(ge=4)] = 128
    """Tokens of the whole sequence, the last of which is not in the input."""
    noise_vocab_size: Annotated[int, Field(ge=2)] = 16
    """Tokens that are noise."""
    noise_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Probability that a pair is noise."""

    summary: ClassVar[str] = "recall the value of every key that comes again, among noise"
    scoring: ClassVar[str] = (
        "The value behind every key that has stood before: it is the one that stood behind it "
        "then. Noise tokens stand for nothing."
    )

    @model_validator(mode="after")
    def _enough_tokens(self):
        if self.num_content_tokens < 4:
            raise ValueError(
                "vocab_size must be >= noise_vocab_size + 4: "
                f"{self.vocab_size} < {self.noise_vocab_size + 4}"
            )
        return self

    @property
    def num_content_tokens(self) -> int:
        return self.vocab_size - self.noise_vocab_size

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        shape = (n, self.num_pairs + 1)
        is_noise = rng.random(shape) < self.noise_fraction
        is_noise[np.arange(n), rng.integers(self.num_pairs, size=n)] = False
        noise = rng.integers(self.num_content_tokens, self.vocab_size, size=(2, *shape))
        firsts = np.where(is_noise, noise[0], rng.integers(self.num_keys, size=shape))
        firsts[:, -1] = self._probe(rng, firsts[:, :-1])
        return self._written(rng, firsts, noise[1])

    def edit(self, batch: Batch, rng: np.random.Generator) -> Edit:
        """evidence: every key gets another value, wherever it stands. distractor: every noise
        token becomes another one; unchanged where there is none."""
        inputs, first = batch.inputs, self.num_content_tokens
        changed = change(inputs, first, self.noise_vocab_size, rng)
        other = np.where(inputs >= first, changed, inputs)
        return Edit(self._rebound(batch, rng), Batch(other, batch.targets, batch.info))

    @property
    def token_names(self) -> list[str]:
        return [*super().token_names, *(f"n{i}" for i in range(self.noise_vocab_size))]

    @property
    def _fact_names(self) -> tuple[str, ...]:
        return (*super()._fact_names, "noise")

    def _facts(self, first: np.ndarray, last: np.ndarray, count: np.ndarray) -> list[np.ndarray]:
        noise = np.cumsum(first >= self.num_content_tokens, axis=1)
        between = noise - np.take_along_axis(noise, last.clip(0), axis=1)
        return [*super()._facts(first, last, count), 2 * between]

    def _ways_of_a_gap(self) -> int:
        return self.noise_vocab_size**2 if self.noise_fraction else 0
