"""Dashed curves that grow on pixel grids, many grids at once; what `pathfinder` draws.

A curve is a chain of short bars ("paddles") with gaps between them. A paddle is drawn from a
pivot, a pixel in the gap before it: its head, the far end, is one of the pixels at distance
length + margin from the pivot, so that there are finitely many paddles, numbered by direction,
and all geometry is looked up in tables (`Paddles`). The pixels that are no longer free are bits
in one mask a grid.

Letters: m grids, K directions, J of them that may follow one, P paddles of a curve, C pixels that
a paddle covers, B of its body, Z of its zone, S side of a grid.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

TAKEN, LAST = 1, 2  # bits of a mask; LAST << i: the last paddle of the i-th of two curves
FINE = 8  # samples a pixel and axis, to measure how much of it a paddle covers
FAINT = 1 / 8  # a pixel of which no more is covered stays dark: there curves could touch


class Paddles(NamedTuple):
    """All paddles of one form on grids of side S; offsets are from the pivot and flattened, S y +
    x. Rows of different lengths are filled up by repeating their last element."""

    direction: np.ndarray  # (K, 2) unit vectors (y, x), ordered by angle
    head: np.ndarray  # (K,) offset of the far end
    tail: np.ndarray  # (K,) offset of the near end
    next: np.ndarray  # (K,) offset of the pivot after this one
    pixels: np.ndarray  # (K, C) offsets of the pixels that it covers
    cover: np.ndarray  # (K, C) how much of each it covers, in (0, 1]
    body: np.ndarray  # (K, B) offsets of the pixels that it covers half as much as any, or more
    zone: np.ndarray  # (K, Z) offsets of the pixels within 2 * margin of the body
    turns: np.ndarray  # (K, J) directions that may follow each
    weight: np.ndarray  # (K, J) and how likely they are, up to a factor; 0 where filled up
    probe: np.ndarray  # (K, B, J) offsets of the bodies of those, from the pivot before theirs


class Curves(NamedTuple):
    """Some curves: the pivots (flattened) and the directions of their paddles, both (..., P)."""

    pivots: np.ndarray
    directions: np.ndarray

    def __getitem__(self, index) -> Curves:  # of the curves, not of the tuple
        return Curves(*(array[index] for array in (self.pivots, self.directions)))


@lru_cache(maxsize=16)
def paddles(length: int, thickness: float, margin: int, continuity: float, side: int) -> Paddles:
    """The paddles of that length, thickness and margin (pixels), and how their curves turn."""
    radius = length + margin
    heads = _grid(radius + 1)
    heads = heads[np.abs(np.hypot(*heads.T) - radius) <= 0.5]
    heads = heads[np.argsort(np.arctan2(*heads.T))]
    angle, far = np.arctan2(*heads.T), np.hypot(*heads.T)
    direction = heads / far[:, None]

    pixels, cover, bodies, zones = [], [], [], []
    for unit, distance in zip(direction, far, strict=True):
        offsets, covered = _covered(unit, distance - length, distance, thickness)
        pixels.append(offsets)
        cover.append(covered)
        bodies.append(offsets[covered >= covered.max() / 2])
        zones.append(_near(bodies[-1], 2 * margin))

    delta = np.abs(angle[:, None] - angle)
    delta = np.minimum(delta, 2 * np.pi - delta)
    weight = np.maximum(np.cos(np.minimum(delta * continuity, np.pi / 2)), 0) ** 2
    turns = [np.flatnonzero(row > 1e-12) for row in weight]  # a rounded right angle is none

    flat = np.array([side, 1])
    body = _filled([offsets @ flat for offsets in bodies])
    after = np.rint(direction * (length + 2 * margin)).astype(int) @ flat
    likely = [row[turn] for row, turn in zip(weight, turns, strict=True)]
    return Paddles(
        direction=direction,
        head=heads @ flat,
        tail=np.rint(direction * (far - length)[:, None]).astype(int) @ flat,
        next=after,
        pixels=_filled([offsets @ flat for offsets in pixels]),
        cover=_filled(cover),
        body=body,
        zone=_filled([offsets @ flat for offsets in zones]),
        turns=_filled(turns),
        weight=_filled(likely, 0.0),
        probe=after[:, None, None] + body[_filled(turns)].transpose(0, 2, 1),
    )


def reach(length: int, thickness: float, margin: int) -> int:
    """How far beyond a picture its curves look: the border that a grid needs on each side."""
    # A pivot lies margin + 1 beyond the picture at most, a paddle's end length + margin from it.
    return length + 2 * margin + int(np.ceil(thickness)) + 2


def grow_pair(
    table: Paddles, mask: np.ndarray, tails: np.ndarray, num_paddles: int, rng: np.random.Generator
) -> tuple[Curves, np.ndarray]:
    """Two curves a grid that begin at tails (m, 2), flattened, and grow in alternation.

    Returns the curves (k, 2, P) of the k grids on which neither got stuck, and the numbers (k,)
    of those grids; there both are marked in mask (m, S * S).
    """
    shape = (len(mask), 2, num_paddles)
    curves = Curves(np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64))
    curves.directions[..., 0] = _headings(table, shape[:2], rng)
    curves.pivots[..., 0] = tails - table.tail[curves.directions[..., 0]]
    grids = np.arange(len(mask))
    for step in range(num_paddles):
        if not len(grids):
            break
        for i in range(2):
            others = TAKEN | LAST << (1 - i)
            if step == 0:
                here, chosen = curves[:, i, 0]
                alive = _fit(table, mask, grids, here, chosen, others)
            else:
                last = curves[:, i, step - 1]
                here, chosen = _extend(table, mask, grids, last, others, rng)
                alive = chosen >= 0
                curves.pivots[:, i, step], curves.directions[:, i, step] = here, chosen
            grids, curves = grids[alive], curves[alive]
            if step:
                _mark(table, mask, grids, curves[:, i, step - 1], TAKEN, LAST << i)
            _mark(table, mask, grids, curves[:, i, step], LAST << i)
    return curves, grids


def grow_one(
    table: Paddles, mask: np.ndarray, num_paddles: int, trials: int, rng: np.random.Generator
) -> Curves:
    """One more curve a grid, (m, P), that begins anywhere; it is marked in mask (m, S * S).

    One that gets stuck is begun anew, `trials` times in all; -1 where all of them did.
    """
    shape = (len(mask), num_paddles)
    out = Curves(np.full(shape, -1), np.full(shape, -1))
    waiting = np.arange(len(mask))
    for _ in range(trials):
        if not len(waiting):
            break
        trial = mask[waiting]  # a copy, so that what gets stuck leaves no trace
        curves, grids = _try_one(table, trial, num_paddles, rng)
        done = waiting[grids]
        mask[done] = trial[grids]
        out.pivots[done], out.directions[done] = curves
        waiting = np.delete(waiting, grids)
    return out


def _try_one(
    table: Paddles, mask: np.ndarray, num_paddles: int, rng: np.random.Generator
) -> tuple[Curves, np.ndarray]:
    shape = (len(mask), num_paddles)
    curves = Curves(np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64))
    curves.directions[:, 0] = _headings(table, shape[:1], rng)
    curves.pivots[:, 0] = _seats(table, mask, curves.directions[:, 0], rng)
    grids = np.flatnonzero(curves.pivots[:, 0] >= 0)
    curves = curves[grids]
    for step in range(1, num_paddles):
        here, chosen = _extend(table, mask, grids, curves[:, step - 1], TAKEN, rng)
        curves.pivots[:, step], curves.directions[:, step] = here, chosen
        grids, curves = grids[chosen >= 0], curves[chosen >= 0]
        _mark(table, mask, grids, curves[:, step - 1], TAKEN)
    _mark(table, mask, grids, curves[:, -1], TAKEN)
    return curves, grids


def _extend(
    table: Paddles,
    mask: np.ndarray,
    grids: np.ndarray,
    last: Curves,
    blocked: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Pivots and directions, (k,), of the paddles after the last ones on these grids (k,): drawn
    by weight among those whose body has no blocked pixel; direction -1 where there is none."""
    start = grids * mask.shape[1] + last.pivots
    cells = start[:, None, None] + table.probe[last.directions]
    met = np.bitwise_or.reduce(mask.ravel().take(cells), axis=1) & blocked
    weight = (table.weight[last.directions] * (met == 0)).cumsum(axis=1)
    total = weight[:, -1:]
    drawn = (weight > rng.random((len(grids), 1)) * total).argmax(axis=1)
    chosen = table.turns[last.directions, drawn]
    return last.pivots + table.next[last.directions], np.where(total[:, 0] > 0, chosen, -1)


def _fit(
    table: Paddles,
    mask: np.ndarray,
    grids: np.ndarray,
    pivots: np.ndarray,
    directions: np.ndarray,
    blocked: int,
) -> np.ndarray:
    """(k,) whether the body of a paddle has no blocked pixel on its grid."""
    cells = (grids * mask.shape[1] + pivots)[:, None] + table.body[directions]
    return ~(mask.ravel().take(cells) & blocked).any(axis=1)


def _mark(
    table: Paddles, mask: np.ndarray, grids: np.ndarray, last: Curves, bits: int, drop: int = 0
) -> None:
    """Sets bits, and clears others, in the zone of one paddle, (k,), on each of these grids."""
    cells = (grids * mask.shape[1] + last.pivots)[:, None] + table.zone[last.directions]
    flat = mask.reshape(-1)
    flat[cells] = flat.take(cells) & np.uint8(255 - drop) | np.uint8(bits)


def _headings(table: Paddles, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """The direction nearest to a uniform angle, for each cell of the shape."""
    angle = rng.uniform(-np.pi, np.pi, size=shape)
    vectors = np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    return (vectors @ table.direction.T).argmax(axis=-1)


def _seats(
    table: Paddles, mask: np.ndarray, directions: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(m,) a pivot uniform among those at which the body of the paddle of that direction, (m,),
    has no marked pixel; -1 where there is none."""
    m, cells = mask.shape
    clear, seats = mask == 0, np.zeros((m, cells), dtype=bool)
    edge = int(np.abs(table.body).max())
    for direction in np.unique(directions):
        of_it = np.flatnonzero(directions == direction)
        some = clear[of_it]
        fit = np.ones((len(of_it), cells - 2 * edge), dtype=bool)
        for offset in np.unique(table.body[direction]):
            fit &= some[:, edge + offset : cells - edge + offset]
        seats[of_it, edge : cells - edge] = fit
    number = seats.sum(axis=1)
    before = np.cumsum(number) - number
    found = np.append(np.flatnonzero(seats) % cells, 0)
    chosen = before + (rng.random(m) * number).astype(np.int64)
    return np.where(number > 0, found[chosen], -1)


def _covered(
    unit: np.ndarray, near: float, far: float, thickness: float
) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (c, 2) of the pixels that a bar along the unit vector covers, and how much, (c,)."""
    around = int(np.ceil(far + thickness)) + 1
    width = 2 * around + 1
    points = (np.arange(width * FINE) + 0.5) / FINE - around - 0.5
    y, x = points[:, None], points
    along, across = y * unit[0] + x * unit[1], x * unit[0] - y * unit[1]
    inside = (near <= along) & (along <= far) & (np.abs(across) <= thickness / 2)
    share = inside.reshape(width, FINE, width, FINE).mean(axis=(1, 3))
    cells = np.argwhere((share > FAINT) | (share >= share.max() / 2))
    return cells - around, share[tuple(cells.T)]


def _grid(distance: int) -> np.ndarray:
    """All offsets (y, x), (c, 2), of a square around the origin."""
    line = np.arange(-distance, distance + 1)
    return np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)


def _near(offsets: np.ndarray, distance: int) -> np.ndarray:
    """All offsets within a distance of some of these, both (c, 2)."""
    disc = _grid(distance)
    disc = disc[(disc**2).sum(axis=1) <= distance**2]
    return np.unique((offsets[:, None] + disc).reshape(-1, 2), axis=0)


def _filled(rows: list[np.ndarray], filler: float | None = None) -> np.ndarray:
    """Rows of different lengths as one array; short ones are filled up at the end."""
    width = max(map(len, rows))
    return np.stack(
        [
            np.append(
                row, np.full(width - len(row), row[-1] if filler is None else filler, row.dtype)
            )
            for row in rows
        ]
    )
