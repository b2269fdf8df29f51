"""Handwritten digits, pixel by pixel: small enough to come with a library, so no download.

The 1,797 digits of 8 x 8 pixels that scikit-learn bundles (the test set of Alpaydin and Kaynak
1998, UCI "optical recognition of handwritten digits"). Read as a sequence, in the manner of
sequential MNIST (Le, Jaitly and Hinton 2015, arXiv:1504.00941, section 4.2), which this is not.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import ClassVar, NamedTuple

import numpy as np

from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks.base import IGNORE, Batch, Count, Role, Task, register
from tasks.dataset import Dataset
from tasks.images import as_text

SIDE, NUM_PIXELS = 8, 64
BRIGHTEST = 16
SHARES = 0.7, 0.15  # of each class for training and validation; the rest is for the test


class Images(NamedTuple):
    """pixels: (m, 64) int64 in row-scan order, 0 .. 16. labels: (m,) int64, 0 .. 9."""

    pixels: np.ndarray
    labels: np.ndarray


@register("digits")
class Digits(Dataset):
    """The digit that an image shows, read pixel by pixel in row-scan order.

    Data: 1,797 images of 8 x 8 pixels, each a token 0 .. 16. 70 % of every digit's images are
    for training, 15 % for validation, the rest for the test (1,258, 270 and 269), drawn once and
    for all: the same in every seed.

    Not sequential MNIST: 60,000 training images of 784 pixels are another task, and no accuracy
    here may stand beside one there. It asks whether a mixer can read an image at all.

    Tokens: brightness 0 .. 16.
    Chance: 1/10. The nearest of the ten mean images is right nine times in ten, without any
    memory of order: see `shortcuts`; what counts is the distance above that.
    Facts: `brightness`, the mean token, rounded; the digit itself is the target.
    No oracle: nobody knows the rule. No `edit`: there is no context to change.
    """

    permuted: bool = False
    """Whether pixels come in an order that is random but the same for all images and seeds."""
    upsample: Count = 1
    """How many times each pixel is repeated in a row, to make the sequence longer."""

    summary: ClassVar[str] = "name a handwritten digit of 8 x 8 pixels, read pixel by pixel"
    source: ClassVar[str] = (
        "scikit-learn's bundled digits (Alpaydin and Kaynak 1998); this project's own splits"
    )
    group: ClassVar[str] = "long range"
    scoring: ClassVar[str] = "The digit that the whole image shows, as the data set labels it."
    pooled: ClassVar[bool] = True

    @property
    def num_tokens(self) -> int:
        return BRIGHTEST + 1

    @property
    def num_outputs(self) -> int:
        return 10

    @property
    def input_length(self) -> int:
        return NUM_PIXELS * self.upsample

    @property
    def chance(self) -> float:
        return 0.1

    @property
    def digest(self) -> str:
        return _digest()

    def num_rows(self, role: Role) -> int:
        return len(_split(role).labels)

    def read(self, role: Role, rows: np.ndarray) -> Batch:
        images = _split(role)
        pixels = images.pixels[rows]
        inputs = pixels[:, self._order()].repeat(self.upsample, axis=1)
        targets, brightness = np.full_like(inputs, IGNORE), np.full_like(inputs, -1)
        targets[:, -1] = images.labels[rows]
        brightness[:, -1] = np.rint(pixels.mean(axis=1))
        return Batch(inputs, targets, {"brightness": brightness})

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """The most frequent digit of the training split (of tied ones the smallest), and the one
        whose mean training image is nearest, which no order of the pixels changes."""
        train, shape = _split("train"), batch.inputs.shape
        means = np.stack([train.pixels[train.labels == digit].mean(axis=0) for digit in range(10)])
        distance = ((self._pixels(batch.inputs)[:, None] - means) ** 2).sum(axis=2)
        majority = np.bincount(train.labels).argmax()
        return {
            "nearest mean image": np.broadcast_to(distance.argmin(axis=1)[:, None], shape),
            "majority": np.full(shape, majority),
        }

    def at_length(self, length: int) -> Task:
        """Each pixel is repeated more or less often; length is the number of tokens."""
        if length < NUM_PIXELS or length % NUM_PIXELS:
            raise HarnessError(
                f"digits has lengths that are multiples of {NUM_PIXELS} only, got {length}",
                fix=f"use {NUM_PIXELS * max(1, round(length / NUM_PIXELS))}",
            )
        return self.model_copy(update={"upsample": length // NUM_PIXELS})

    def drawing(self, batch: Batch, index: int) -> list[str]:
        """The image, in its own order."""
        return as_text(self._pixels(batch.inputs[index]).reshape(SIDE, SIDE), BRIGHTEST)

    def _order(self) -> np.ndarray:
        """(64,) which pixel comes at each place."""
        order = np.arange(NUM_PIXELS)
        return generator("digits", "order").permutation(order) if self.permuted else order

    def _pixels(self, inputs: np.ndarray) -> np.ndarray:
        """Inputs (..., L) -> (..., 64) pixels in row-scan order."""
        return inputs[..., :: self.upsample][..., np.argsort(self._order())]


@lru_cache(maxsize=1)
def _load() -> Images:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise HarnessError(
            "digits needs scikit-learn, which bundles its images",
            fix="pip install 'orchid-harness[data]'",
        ) from error
    pixels, labels = load_digits(return_X_y=True)
    return Images(pixels.astype(np.int64), labels.astype(np.int64))


@lru_cache(maxsize=3)
def _split(role: Role) -> Images:
    """The images that a role reads, in an order without meaning."""
    images, parts = _load(), []
    split = {"train": 0, "selection": 1, "validation": 1, "test": 2}[role]
    for digit in range(10):
        rows = np.flatnonzero(images.labels == digit)
        rows = generator("digits", "split", digit).permutation(rows)
        cuts = np.rint(np.cumsum(SHARES) * len(rows)).astype(int)
        parts.append(np.split(rows, cuts)[split])
    chosen = np.concatenate(parts)
    return Images(images.pixels[chosen], images.labels[chosen])


@lru_cache(maxsize=1)
def _digest() -> str:
    images = _load()
    data = b"".join(array.astype("<i8").tobytes() for array in images)
    return hashlib.sha256(data).hexdigest()[:16]
