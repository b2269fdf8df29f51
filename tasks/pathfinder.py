"""Pathfinder-style images, own renderer: do two discs lie on the same dashed curve?

Linsley et al. 2018 (arXiv:1805.08315, section 3); read pixel by pixel as in Long Range Arena (Tay
et al. 2021, arXiv:2011.04006, section 2.2.5), whose parameters are the defaults. The images are
drawn by `tasks.contours`: no accuracy here may stand beside one on the published images.
"""

from __future__ import annotations

from functools import lru_cache
from math import isqrt
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from harness.foundation.config import parse_component, to_data
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks.base import IGNORE, TASKS, Batch, Count, Task, facts_at, register
from tasks.contours import FINE, TAKEN, Curves, Paddles, grow_one, grow_pair, paddles, reach
from tasks.images import as_text

WHITE = 255
PADDING = 1  # pixels at every side of an image that curves keep clear of
TRIALS = 5  # to grow one distractor
CHUNK = 2048  # pairs of curves grown at once
MAX_PAIRS = 64 * CHUNK, 4 * CHUNK  # tried at most: at all, and more for each example found
FIT_EXAMPLES, NEIGHBOURS = 1000, 50  # behind the shortcuts


class Published(NamedTuple):
    """What Long Range Arena sets for one size. paddles: in all distractors together."""

    paddle_length: int
    paddle_thickness: float
    margin: int
    continuity: float
    contrast: float
    seed_distance: int
    marker_radius: float
    paddles: int


PUBLISHED = {
    32: Published(2, 0.5, 1, 1.0, 1.5, 7, 1.5, 20),
    64: Published(5, 1.0, 1, 1.8, 0.8, 12, 2.5, 22),
}


class Scene(NamedTuple):
    """Geometry of n images, on grids of side S.

    targets: the two long curves, (n, 2, contour_length). distractors: (n, num_distractors,
    distractor_length), -1 where there is none. first, second: (n,) the long curve whose origin,
    and the one whose end, is marked.
    """

    targets: Curves
    distractors: Curves
    first: np.ndarray
    second: np.ndarray

    @property
    def label(self) -> np.ndarray:
        return (self.first == self.second).astype(np.int64)


@register("pathfinder")
class Pathfinder(Task):
    """Pathfinder-style, own renderer: whether two marked ends belong to one dashed curve.

    Rule: two curves of contour_length paddles begin at origins seed_distance apart, the first
    uniform among the pixels at least 2 * seed_distance from every side, both in random
    directions, and grow in turn. The next paddle ends on one of the pixels on a circle (radius
    paddle_length + margin) around the gap after the last one, drawn with weight
    max(0, cos(min(continuity * |turn|, pi / 2)))^2 among those where it fits: its body stays
    more than 2 * margin pixels from those of all others but the one before it, and 1 pixel
    inside the image. Where none fits, the image is begun anew. Then num_distractors shorter
    curves begin anywhere, five trials each, left out if they do not fit. The image is the
    maximum of all paddles; one is contrast * (share of the pixel that it covers). White discs
    mark the origin of one long curve, either with probability 1/2, and the end of the same
    (label 1) or of the other one (label 0), with probability 1/2 each.

    Tokens: brightness 0 .. 255; row-scan order, size * size of them.
    Chance: 1/2. By this rule the places of the markers alone tell something, as smooth curves of
    one length go only so far: 54 % at size 32 (60 % with contour_length 6), 62 % at size 64 (77 %
    with contour_length 6); the published generator's own markers at size 64 tell no less.
    Brightness gives nothing: see `shortcuts`.
    Facts: `markers_distance` in pixels, rounded; `contour_length`; `distractors` in the image.
    No oracle: nobody can trace every curve exactly from the pixels. No `edit`: there is no
    context to change.

    Deviations from the published generator, of whose images these are no copy:
    Pixels are shaded by the area covered (8 x 8 samples; 1/8 or less is left dark, so that no
    two curves share a pixel), not by filtering a drawing of twice the size, and brightness is not
    stretched to the range of each image.
    A paddle is drawn among all that fit as a whole; there, among all with a free head, three
    times at most. Heads and pivots are rounded to the nearest pixel, not upwards.
    A paddle keeps clear of the newest paddle of the other long curve too, which the published
    code forgets, so that its curves may touch; likewise distractors and the last of the first.
    Distractors are as bright as the long curves. At size 32 the published ones are brighter by a
    third, which tells them apart. They end where none fits, not already where less than 1 % of
    the pixels are free.
    """

    size: Literal[32, 64] = 32
    """Pixels a side. It sets the default of all fields that are not given, as in Long Range
    Arena."""
    contour_length: Annotated[int, Field(ge=2)] = 14
    """Paddles of the two long curves; published: 6, 9 and 14 ("hard")."""
    distractor_length: Count | None = None
    """Paddles of a distractor; by default a third of contour_length."""
    num_distractors: Annotated[int, Field(ge=0)] | None = None
    """Distractors; by default as many as make 20 (size 32) or 22 (64) paddles."""
    paddle_length: Count | None = None
    """Pixels; by default 2 (size 32) or 5 (64)."""
    paddle_thickness: Annotated[float, Field(gt=0, le=64)] | None = None
    """Pixels; by default 0.5 (size 32) or 1 (64)."""
    margin: Count | None = None
    """Pixels between a paddle and each end of the gap; by default 1."""
    continuity: Annotated[float, Field(gt=0, le=100)] | None = None
    """How straight curves are; by default 1 (size 32) or 1.8 (64)."""
    contrast: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Brightness of a paddle where it covers a pixel, in units of white; cut off at 1. By default
    1.5 (size 32) or 0.8 (64)."""
    seed_distance: Count | None = None
    """Pixels between the origins; by default 7 (size 32) or 12 (64)."""
    marker_radius: Annotated[float, Field(ge=1, le=64)] | None = None
    """Pixels; by default 1.5 (size 32) or 2.5 (64)."""

    summary: ClassVar[str] = "tell whether two marked ends belong to one dashed curve"
    source: ClassVar[str] = (
        "pathfinder-style, own renderer; after arXiv:1805.08315 and arXiv:2011.04006, section 2.2.5"
    )
    group: ClassVar[str] = "long range"
    scoring: ClassVar[str] = (
        "Whether one dashed curve connects the two white discs; the other curves are there to "
        "mislead."
    )
    next_token: ClassVar[bool] = False
    pooled: ClassVar[bool] = True
    length_parameter: ClassVar[str | None] = "size"

    @model_validator(mode="after")
    def _possible(self):
        seed_distance = self._set("seed_distance")
        if self.size <= 4 * seed_distance:
            raise ValueError(
                f"size must be > 4 x seed_distance: {self.size} <= 4 x {seed_distance}"
            )
        length, pixels = self._set("paddle_length"), self.size**2
        for what, num in (
            ("2 x contour_length", 2 * self.contour_length),
            (
                "num_distractors x distractor_length",
                self.most_distractors * self.paddles_of_distractor,
            ),
        ):
            if num * length > pixels:
                raise ValueError(
                    f"{what} x paddle_length must be <= size^2: {num:,} x {length} > {pixels:,}"
                )
        if self.size <= 2 * self._reach:
            raise ValueError(
                "paddle_length, paddle_thickness and margin are too large for the image: "
                f"2 x {self._reach} pixels >= size {self.size}"
            )
        return self

    @property
    def num_tokens(self) -> int:
        return WHITE + 1

    @property
    def num_outputs(self) -> int:
        return 2

    @property
    def input_length(self) -> int:
        return self.size**2

    @property
    def chance(self) -> float:
        return 0.5

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        scene = self._scene(rng, n)
        inputs = self._render(scene)
        targets = np.full_like(inputs, IGNORE)
        targets[:, -1] = scene.label
        origin, end = self._marked(scene)
        values = {
            "markers_distance": np.rint(np.hypot(*(origin - end).T)),
            "contour_length": self.contour_length,
            "distractors": (scene.distractors.pivots[..., 0] >= 0).sum(axis=1),
        }
        return Batch(inputs, targets, facts_at(-1, values, inputs.shape))

    def oracle(self, batch: Batch) -> None:
        """Nobody knows an exact rule that reads the pixels alone."""
        return None

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """The label that is more frequent among the 50 most similar of a fixed sample of 1,000
        images with the same parameters: similar in how far apart the markers are; in that and in
        how far their middle is from the image's, along its sides; in total brightness. And the
        one that is more frequent among all."""
        from scipy.spatial import KDTree  # slow to import, and wanted here alone

        fits, labels = _fitted(self)
        shape, majority = batch.inputs.shape, int(labels.mean() > 0.5)
        out = {}
        for name, features in self._features(batch.inputs).items():
            near = KDTree(fits[name]).query(features, NEIGHBOURS)[1]
            share = labels[near].mean(axis=1)
            guesses = np.where(share == 0.5, majority, share > 0.5)
            out[name] = np.broadcast_to(guesses[:, None], shape)
        return out | {"majority": np.full(shape, majority)}

    def at_length(self, length: int) -> Task:
        """The same task at another size; length is the number of pixels. What is not given is
        that of the other size."""
        if length not in [size**2 for size in PUBLISHED]:
            lengths = " and ".join(f"{size**2:,} ({size} x {size})" for size in PUBLISHED)
            raise HarnessError(f"pathfinder has lengths {lengths} only, got {length:,}")
        return parse_component(TASKS, to_data(self) | {"size": isqrt(length)})

    def drawing(self, batch: Batch, index: int) -> list[str]:
        return as_text(batch.inputs[index].reshape(self.size, self.size), WHITE)

    @property
    def output_names(self) -> list[str]:
        return ["different curves", "one curve"]

    @property
    def paddles_of_distractor(self) -> int:
        """distractor_length, or what stands for it."""
        return self.distractor_length or max(1, self.contour_length // 3)

    @property
    def most_distractors(self) -> int:
        """num_distractors, or what stands for it."""
        if self.num_distractors is not None:
            return self.num_distractors
        return PUBLISHED[self.size].paddles // self.paddles_of_distractor

    def _set(self, name: str) -> int | float:
        """The value of a field, or its published one at this size."""
        value = getattr(self, name)
        return getattr(PUBLISHED[self.size], name) if value is None else value

    @property
    def _bar(self) -> tuple[int, float, int]:
        return self._set("paddle_length"), self._set("paddle_thickness"), self._set("margin")

    @property
    def _reach(self) -> int:
        return reach(*self._bar)

    @property
    def _side(self) -> int:
        """S, side of the grids: the image and a border all round."""
        return self.size + 2 * self._reach

    @property
    def _table(self) -> Paddles:
        return paddles(*self._bar, self._set("continuity"), self._side)

    def _scene(self, rng: np.random.Generator, n: int) -> Scene:
        """Draws the geometry of n images."""
        table, found, masks, done, tried = self._table, [], [], 0, 0
        empty = self._empty()
        while done < n:
            if tried >= MAX_PAIRS[0] + MAX_PAIRS[1] * done:
                raise HarnessError(
                    f"pathfinder: only {done} of {tried:,} pairs of curves with "
                    f"{self.contour_length} paddles found room in {self.size} x {self.size} pixels",
                    fix="make contour_length, paddle_length, paddle_thickness, margin or "
                    "continuity smaller",
                )
            mask = np.repeat(empty[None], CHUNK, axis=0)
            curves, grids = grow_pair(table, mask, self._tails(rng), self.contour_length, rng)
            found.append(curves)
            masks.append((mask[grids] != 0).astype(np.uint8))  # all of it TAKEN
            done += len(grids)
            tried += CHUNK
        targets = Curves(*(np.concatenate(parts)[:n] for parts in zip(*found, strict=True)))
        mask = np.concatenate(masks)[:n]
        shape = (n, self.most_distractors, self.paddles_of_distractor)
        distractors = Curves(np.full(shape, -1), np.full(shape, -1))
        for i in range(self.most_distractors):
            one = grow_one(table, mask, self.paddles_of_distractor, TRIALS, rng)
            distractors.pivots[:, i], distractors.directions[:, i] = one
        label, first = rng.integers(2, size=(2, n))
        return Scene(targets, distractors, first, np.where(label == 1, first, 1 - first))

    def _empty(self) -> np.ndarray:
        """(S * S,) the mask of a grid without curves."""
        mask = np.full((self._side, self._side), TAKEN, dtype=np.uint8)
        inside = slice(self._reach + PADDING, self._side - self._reach - PADDING)
        mask[inside, inside] = 0
        return mask.ravel()

    def _tails(self, rng: np.random.Generator) -> np.ndarray:
        """(CHUNK, 2) pixels of a grid at which two curves begin."""
        distance = self._set("seed_distance")
        first = rng.integers(2 * distance, self.size - 2 * distance, size=(CHUNK, 2))
        angle = rng.uniform(0, 2 * np.pi, size=CHUNK)
        step = distance * np.stack([np.sin(angle), np.cos(angle)], axis=1)
        both = np.stack([first, first + np.rint(step).astype(int)], axis=1)
        return (both + self._reach) @ np.array([self._side, 1])

    def _marked(self, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
        """The pixels of the two markers in the image, (n, 2) each as (y, x)."""
        table, rows = self._table, np.arange(len(scene.first))
        begin = scene.targets[rows, scene.first, 0]
        end = scene.targets[rows, scene.second, -1]
        cells = begin.pivots + table.tail[begin.directions], end.pivots + table.head[end.directions]
        return tuple(np.stack(np.divmod(cell, self._side), 1) - self._reach for cell in cells)

    def _render(self, scene: Scene) -> np.ndarray:
        """(n, size * size) int64 brightness."""
        table, n, side = self._table, len(scene.first), self._side
        shade = WHITE * np.minimum(self._set("contrast") * table.cover, 1)
        shade = np.rint(shade).astype(np.uint8)
        canvas = np.zeros(n * side * side, dtype=np.uint8)
        start = np.arange(n) * side * side
        for curves in (scene.targets, scene.distractors):
            columns = (array.reshape(n, -1).T for array in (curves.pivots, curves.directions))
            for pivots, directions in zip(*columns, strict=True):
                there = pivots >= 0
                cells = (start + pivots)[there, None] + table.pixels[directions[there]]
                canvas[cells] = np.maximum(canvas.take(cells), shade[directions[there]])
        offsets, cover = disc(self._set("marker_radius"))
        bright = np.rint(WHITE * cover).astype(np.uint8)
        for marker in self._marked(scene):
            at = marker[:, None] + offsets
            inside = ((at >= 0) & (at < self.size)).all(axis=2)
            cells = start[:, None] + (at + self._reach) @ np.array([side, 1])
            cells, bright_here = cells[inside], np.broadcast_to(bright, inside.shape)[inside]
            canvas[cells] = np.maximum(canvas[cells], bright_here)
        seen = slice(self._reach, side - self._reach)
        images = canvas.reshape(n, side, side)[:, seen, seen]
        return images.reshape(n, -1).astype(np.int64)

    def _features(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """What the shortcuts look at, (n, F) each."""
        offsets, cover = disc(self._set("marker_radius"))
        white = (inputs == WHITE).reshape(-1, self.size, self.size)
        reach = int(np.abs(offsets).max())
        white = np.pad(white, ((0, 0), (reach, reach), (reach, reach)), constant_values=True)
        centre = np.ones((len(inputs), self.size, self.size), dtype=bool)
        for y, x in offsets[cover == 1] + reach:
            centre &= white[:, y : y + self.size, x : x + self.size]
        centre = centre.reshape(inputs.shape)
        ends = centre.argmax(axis=1), self.input_length - 1 - centre[:, ::-1].argmax(axis=1)
        (y, x), (other_y, other_x) = (np.divmod(end, self.size) for end in ends)
        distance = np.hypot(y - other_y, x - other_x)[:, None]
        middle = np.abs(np.stack([y + other_y, x + other_x], axis=1) - self.size + 1) / 2
        return {
            "distance of the markers": distance,
            # An image turned or mirrored is as likely, so which side is which does not matter.
            "places of the markers": np.append(np.sort(middle, axis=1), distance, axis=1),
            "total brightness": inputs.sum(axis=1)[:, None].astype(np.float64),
        }


@lru_cache(maxsize=8)
def disc(radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (c, 2) of the pixels that a disc on a pixel covers, and how much of each, (c,)."""
    around = int(np.ceil(radius))
    line = (np.arange((2 * around + 1) * FINE) + 0.5) / FINE - around - 0.5
    inside = np.hypot(line[:, None], line) <= radius
    share = inside.reshape(2 * around + 1, FINE, 2 * around + 1, FINE).mean(axis=(1, 3))
    cells = np.argwhere(share > 0)
    return cells - around, share[tuple(cells.T)]


@lru_cache(maxsize=32)
def _fitted(task: Pathfinder) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The features, (m, F) each, and the labels, (m,), of the sample behind the shortcuts."""
    batch = task.sample(generator("pathfinder", "shortcuts"), FIT_EXAMPLES)
    return task._features(batch.inputs), batch.targets[:, -1]
