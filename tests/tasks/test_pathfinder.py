"""Pathfinder: geometry of the curves by plain distances, images by a plain painter, baselines."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import chisquare

import tasks
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks import accuracy
from tasks.contours import TAKEN, Curves, _extend, paddles
from tasks.pathfinder import PUBLISHED, disc

PARAMETERS = [
    {},
    {"contour_length": 6},
    {"contour_length": 3, "margin": 2, "num_distractors": 2, "distractor_length": 1},
    {"size": 64, "contour_length": 6},
    {"size": 64, "contour_length": 4, "paddle_thickness": 2.0, "continuity": 1.0},
]


def pathfinder(**changes):
    return tasks.get("pathfinder", **changes)


def bar(task, pivot, direction):
    """A paddle, in plain numbers: the ends of its axis, (y, x) each in pixels of the image."""
    table, length = task._table, task._set("paddle_length")
    head = np.array(divmod(int(pivot + table.head[direction]), task._side)) - task._reach
    return head - length * table.direction[direction], head.astype(float)


def share(task, near, far):
    """(size, size) how much of each pixel a bar covers, by 16 x 16 samples a pixel."""
    points = (np.arange(16 * task.size) + 0.5) / 16 - 0.5
    y, x = points[:, None] - near[0], points - near[1]
    length = np.hypot(*(far - near))
    unit = (far - near) / length
    along, across = y * unit[0] + x * unit[1], x * unit[0] - y * unit[1]
    inside = (along >= 0) & (along <= length)
    inside &= np.abs(across) <= task._set("paddle_thickness") / 2
    return inside.reshape(task.size, 16, task.size, 16).mean(axis=(1, 3))


def body(task, pivot, direction):
    """(c, 2) pixels of a paddle's body in the image."""
    cells = np.unique(pivot + task._table.body[direction])
    return np.stack(np.divmod(cells, task._side), axis=1) - task._reach


def chains(task, scene, row):
    """The curves of one image, distractors last: lists of (pivot, direction)."""
    found = []
    for curves in (scene.targets, scene.distractors):
        for pivots, directions in zip(curves.pivots[row], curves.directions[row], strict=True):
            if pivots[0] >= 0:
                found.append(list(zip(pivots.tolist(), directions.tolist(), strict=True)))
    return found


def gap(one, other):
    """Smallest distance between two sets of pixels."""
    return np.sqrt(((one[:, None] - other) ** 2).sum(axis=2).min())


@pytest.mark.parametrize("changes", PARAMETERS)
def test_paddles_keep_their_distance(changes):
    task = pathfinder(**changes)
    margin = task._set("margin")
    scene = task._scene(generator("distance"), 12)
    for row in range(12):
        curves = [[body(task, *one) for one in chain] for chain in chains(task, scene, row)]
        flat = [(i, j, cells) for i, curve in enumerate(curves) for j, cells in enumerate(curve)]
        for i, j, cells in flat:
            assert cells.min() >= 1 and cells.max() <= task.size - 2
            for other, place, more in flat:
                if (other, place) > (i, j) and not (other == i and place == j + 1):
                    assert gap(cells, more) > 2 * margin


@pytest.mark.parametrize("changes", PARAMETERS)
def test_curves_are_chains_of_paddles_of_the_stated_form(changes):
    task = pathfinder(**changes)
    length, margin = task._set("paddle_length"), task._set("margin")
    scene = task._scene(generator("chains"), 30)
    numbers = []
    for row in range(30):
        found = chains(task, scene, row)
        assert [len(chain) for chain in found[:2]] == [task.contour_length] * 2
        assert {len(chain) for chain in found[2:]} <= {task.paddles_of_distractor}
        numbers.append(len(found) - 2)
        for chain in found:
            bars = [bar(task, *one) for one in chain]
            for near, far in bars:
                assert np.hypot(*(far - near)) == pytest.approx(length)
            for (near, far), (after, end) in pairwise(bars):
                # The end of one to the pivot, and from there to the next, with rounding.
                assert np.hypot(*(after - far)) < 2 * margin + 2.5
                turn = np.arccos(np.clip((far - near) @ (end - after) / length**2, -1, 1))
                assert turn * task._set("continuity") < np.pi / 2
    assert max(numbers) <= task.most_distractors and max(numbers) > 0


@pytest.mark.parametrize("changes", PARAMETERS)
def test_a_path_connects_the_markers_where_the_label_says_so(changes):
    """A walk along the paddles of one chain, whose gaps the test above bounds, leads from the
    one marker to the other just where the label is 1."""
    task = pathfinder(**changes)
    scene = task._scene(generator("path"), 60)
    origin, end = task._marked(scene)
    labels = []
    for row in range(60):
        ends = []
        for chain in chains(task, scene, row)[:2]:
            ends.append((bar(task, *chain[0])[0], bar(task, *chain[-1])[1]))
        begins = [np.hypot(*(origin[row] - near)) < 0.71 for near, _ in ends]
        stops = [np.hypot(*(end[row] - far)) == 0 for _, far in ends]
        assert sum(begins) == sum(stops) == 1
        labels.append(int(begins == stops))
    assert labels == scene.label.tolist() and set(labels) == {0, 1}


@pytest.mark.parametrize("changes", PARAMETERS)
def test_origins_are_a_seed_distance_apart_and_central(changes):
    task = pathfinder(**changes)
    distance = task._set("seed_distance")
    table, scene = task._table, task._scene(generator("seeds"), 200)
    cells = scene.targets.pivots[..., 0] + table.tail[scene.targets.directions[..., 0]]
    tails = np.stack(np.divmod(cells, task._side), axis=-1) - task._reach
    apart = np.hypot(*(tails[:, 0] - tails[:, 1]).T)
    assert np.abs(apart - distance).max() < 0.71
    assert tails[:, 0].min() >= 2 * distance
    assert tails[:, 0].max() < task.size - 2 * distance


@pytest.mark.parametrize("changes", PARAMETERS)
def test_images_against_a_plain_painter(changes):
    task = pathfinder(**changes)
    n = 4 if task.size == 32 else 1
    scene = task._scene(generator("paint"), n)
    images = task._render(scene).reshape(n, task.size, task.size)
    radius = task._set("marker_radius")
    for row in range(n):
        plain = np.zeros((task.size, task.size))
        doubtful = np.zeros(plain.shape, dtype=bool)
        for chain in chains(task, scene, row):
            for one in chain:
                cover = share(task, *bar(task, *one))
                doubtful |= (cover > 0) & (cover < 0.19)  # may be left dark
                shade = task._set("contrast") * cover
                plain = np.maximum(plain, np.minimum(shade, 1))
        points = (np.arange(16 * task.size) + 0.5) / 16 - 0.5
        for marker in task._marked(scene):
            y, x = marker[row]
            inside = np.hypot(points[:, None] - y, points - x) <= radius
            cover = inside.reshape(task.size, 16, task.size, 16).mean(axis=(1, 3))
            plain = np.maximum(plain, cover)
        # Both count samples; along an edge the coarser grid is off by 1/8 of a side at most.
        image = images[row] / 255
        off = np.abs(image - plain) >= 0.125
        assert not off[~doubtful].any() and (image[off] < plain[off]).all()
        assert (image[plain == 0] == 0).all()
        sure = ~doubtful
        assert abs(image[sure].mean() - plain[sure].mean()) < 0.05 * plain[sure].mean()


@pytest.mark.parametrize("changes", PARAMETERS)
def test_no_two_curves_share_a_pixel(changes):
    task = pathfinder(**changes)
    scene = task._scene(generator("share"), 40)
    for row in range(40):
        owner = np.full(task._side**2, -1)
        for number, chain in enumerate(chains(task, scene, row)):
            for pivot, direction in chain:
                cells = pivot + task._table.pixels[direction]
                assert set(owner[cells].tolist()) <= {-1, number}
                owner[cells] = number


def test_labels_and_marked_curves_are_fair():
    task = pathfinder(contour_length=4, num_distractors=0)
    batch, scene = task.sample(generator("fair"), 4000), task._scene(generator("fair"), 4000)
    assert abs((batch.targets[:, -1] == 1).mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)
    pairs = np.bincount(2 * scene.first + scene.second, minlength=4)
    assert chisquare(pairs).pvalue > 1e-4


@pytest.mark.parametrize("blocked", [False, True])
def test_turns_follow_the_published_weight(blocked):
    """The next paddle, alone on its grid or with some neighbours, turns by the stated law."""
    side, n = 64, 4000
    table = paddles(5, 1.0, 1, 1.8, side)
    angle, middle = np.arctan2(*table.direction.T), side * side // 2 + side // 2
    for before in range(0, len(angle), 7):
        mask = np.zeros((1, side * side), dtype=np.uint8)
        here = middle + table.next[before]
        if blocked:  # what lies straight ahead
            mask[0, here + table.head[before]] = TAKEN
        last = Curves(np.full(n, middle), np.full(n, before))
        rng, grids = generator("turns", before), np.zeros(n, dtype=np.int64)
        pivots, second = _extend(table, mask, grids, last, TAKEN, rng)
        assert (pivots == here).all()
        delta = np.abs(np.angle(np.exp(1j * (angle - angle[before]))))
        weight = np.maximum(np.cos(np.minimum(1.8 * delta, np.pi / 2)), 0) ** 2
        free = [not mask[0, here + table.body[k]].any() for k in range(len(angle))]
        assert all(free) != blocked
        weight *= free
        seen = np.bincount(second, minlength=len(angle))
        possible = weight > 1e-12
        assert seen[~possible].sum() == 0
        expected = weight[possible] / weight.sum() * seen.sum()
        large = expected >= 5
        bins = np.where(large, np.cumsum(large), 0)  # the rare ones together, in bin 0
        merged = [np.bincount(bins, values) for values in (seen[possible], expected)]
        merged = [values[merged[1] > 0] for values in merged]
        assert chisquare(*merged).pvalue > 1e-5


def test_pixels_on_the_circle_by_hand():
    table = paddles(2, 0.5, 1, 1.0, 100)
    offsets = {(y, x) for y in range(-4, 5) for x in range(-4, 5) if 6.25 <= y * y + x * x <= 12.25}
    assert {tuple(np.array([y, x])) for y, x in offsets} == {
        tuple(np.rint(unit * far).astype(int))
        for unit, far in zip(table.direction, distances(table, 100), strict=True)
    }


def distances(table, side):
    y = np.rint(table.head / side).astype(int)
    return np.hypot(y, table.head - side * y)


def test_disc():
    offsets, cover = disc(1.5)
    full = {tuple(offset) for offset in offsets[cover > 0.95].tolist()}
    assert full == {(0, 0), (0, 1), (1, 0), (0, -1), (-1, 0)} and cover.max() == 1
    assert cover.sum() == pytest.approx(np.pi * 1.5**2, rel=0.02)


def test_facts_and_scored_position():
    task = pathfinder(contour_length=6)
    batch, scene = task.sample(generator("facts"), 50), task._scene(generator("facts"), 50)
    assert (batch.scored == (np.arange(1024) == 1023)).all()
    assert (batch.targets[:, -1] == scene.label).all()
    origin, end = task._marked(scene)
    facts = {name: values[:, -1].tolist() for name, values in batch.info.items()}
    assert facts == {
        "markers_distance": [round(float(d)) for d in np.hypot(*(origin - end).T)],
        "contour_length": [6] * 50,
        "distractors": [len(chains(task, scene, row)) - 2 for row in range(50)],
    }


def test_markers_are_the_only_white_pixels_and_are_read_from_them():
    task = pathfinder(contour_length=6)
    batch, scene = task.sample(generator("white"), 200), task._scene(generator("white"), 200)
    offsets, cover = disc(1.5)
    expected = np.zeros((200, 32, 32), dtype=bool)
    for marker in task._marked(scene):
        for y, x in offsets[cover == 1]:
            expected[np.arange(200), marker[:, 0] + y, marker[:, 1] + x] = True
    assert ((batch.inputs == 255).reshape(200, 32, 32) == expected).all()
    read = task._features(batch.inputs)["places of the markers"]
    origin, end = task._marked(scene)
    off = np.sort(np.abs((origin + end) / 2 - 15.5), axis=1)
    apart = np.hypot(*(origin - end).T)
    assert np.mean((read == np.column_stack([off, apart])).all(axis=1)) > 0.98


def test_a_turned_or_mirrored_image_gets_the_same_guesses():
    task = pathfinder(contour_length=6)
    batch = task.sample(generator("turned"), 50)
    guesses = task.shortcuts(batch)
    images = batch.inputs.reshape(-1, 32, 32)
    for turned in (images.transpose(0, 2, 1), images[:, ::-1], images[:, :, ::-1]):
        again = task.shortcuts(batch._replace(inputs=turned.reshape(50, -1)))
        assert all((again[name] == guess).all() for name, guess in guesses.items())


def test_every_size_has_the_published_parameters():
    # Size: paddle length and thickness, margin, continuity, seed distance, radius; distractors.
    for size, expected in {
        32: ((2, 0.5, 1, 1.0, 7, 1.5), {14: (4, 5), 9: (3, 6), 6: (2, 10)}),
        64: ((5, 1.0, 1, 1.8, 12, 2.5), {14: (4, 5), 9: (3, 7), 6: (2, 11)}),
    }.items():
        names = "paddle_length paddle_thickness margin continuity seed_distance marker_radius"
        values, distractors = expected
        task = pathfinder(size=size)
        assert tuple(task._set(name) for name in names.split()) == values
        for length, pair in distractors.items():
            task = pathfinder(size=size, contour_length=length)
            assert (task.paddles_of_distractor, task.most_distractors) == pair
    assert set(PUBLISHED) == {32, 64}


def test_few_examples_are_not_those_of_another_draw():
    """Every draw is a function of the generator alone, and two of them differ."""
    task = pathfinder()
    one, same, other = (task.sample(generator(seed), 3) for seed in (1, 1, 2))
    assert (one.inputs == same.inputs).all() and (one.inputs != other.inputs).any(axis=1).all()


@pytest.mark.parametrize(
    "changes, distance, places",
    [
        ({}, 0.525, 0.54),
        ({"contour_length": 6}, 0.6, 0.6),
        ({"size": 64, "contour_length": 6}, 0.775, 0.775),
        ({"size": 64, "contour_length": 9}, 0.535, 0.62),
    ],
)
def test_shortcuts_at_their_measured_values(changes, distance, places):
    task = pathfinder(**changes)
    batch = task.sample(generator("shortcuts"), 2000)
    got = {name: accuracy(guess, batch) for name, guess in task.shortcuts(batch).items()}
    assert abs(got["distance of the markers"] - distance) < 4 * 0.5 / np.sqrt(2000)
    assert abs(got["places of the markers"] - places) < 4 * 0.5 / np.sqrt(2000)
    for name in ("total brightness", "majority"):
        assert abs(got[name] - 0.5) < 4 * 0.5 / np.sqrt(2000)
    assert task.oracle(batch) is None and task.edit(batch, generator(0)) is None


def test_lengths():
    task = pathfinder(contour_length=9)
    assert task.at_length(4096) == pathfinder(size=64, contour_length=9)
    assert task.at_length(1024) == task
    with pytest.raises(HarnessError, match=r"has lengths 1,024 .* and 4,096 .* only, got 2,048"):
        task.at_length(2048)


def test_curves_that_find_no_room_are_reported_not_waited_for():
    task = pathfinder(contour_length=200, num_distractors=0)
    with pytest.raises(HarnessError, match=r"only 0 of .* with 200 paddles found room in 32 x 32"):
        task.sample(generator(0), 1)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"seed_distance": 8}, "size must be > 4 x seed_distance: 32 <= 4 x 8"),
        (
            {"contour_length": 300},
            "2 x contour_length x paddle_length must be <= size^2: 600 x 2 > 1,024",
        ),
        (
            {"num_distractors": 500},
            "num_distractors x distractor_length x paddle_length must be <= size^2: "
            "2,000 x 2 > 1,024",
        ),
        ({"paddle_length": 11}, "too large for the image: 2 x 16 pixels >= size 32"),
        ({"contour_length": 1}, "contour_length: should be greater than or equal to 2, got 1"),
        ({"size": 48}, "size: "),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        pathfinder(**changes)
    assert message in str(error.value)
