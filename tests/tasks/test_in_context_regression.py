"""In-context regression: the functions, closed forms of the published baselines, solvers against
plain twins, edits."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
import tasks.in_context_regression as module
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks import accuracy
from tasks.base import hits, squared_error

parameters = st.fixed_dictionaries(
    {
        "dims": st.integers(2, 5),
        "num_points": st.integers(4, 12),
        "function": st.sampled_from(["linear", "sparse", "two_layer"]),
        "sparsity": st.integers(1, 2),
        "hidden": st.integers(2, 8),
        "noise": st.sampled_from([0.0, 0.5]),
        "scored": st.sampled_from(["all", "last"]),
        "scored_from": st.integers(0, 3),
    }
)


def regression(**changes):
    return tasks.get("in_context_regression", **changes)


def possible(chosen):
    """The task, with what cannot be met made possible."""
    return regression(**chosen | ({"scored_from": 0} if chosen["scored"] == "last" else {}))


def read(task, batch, row):
    """One prompt, read position by position: points, and every value, the last from the target."""
    points, values = [], []
    for position, features in enumerate(batch.inputs[row].astype(np.float64)):
        if position % 2 == 0:
            assert features[task.dims] == 0
            points.append(features[: task.dims])
        else:
            assert (features[: task.dims] == 0).all()
            values.append(features[task.dims])
    values.append(float(batch.targets[row, -1, 0]))
    return np.array(points), np.array(values)


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_every_prompt_by_a_plain_reader(chosen, seed):
    task = possible(chosen)
    batch = task.sample(generator(seed), 8)
    first = task.num_points - 1 if task.scored == "last" else task.scored_from
    shortcuts = task.shortcuts(batch)
    for row in range(8):
        points, values = read(task, batch, row)
        assert len(points) == len(values) == task.num_points
        scored = np.flatnonzero(batch.scored[row]).tolist()
        assert scored == list(range(2 * first, 2 * task.num_points, 2))
        assert (batch.targets[row, scored, 0] == values[first:]).all()
        assert batch.info["examples"][row, scored].tolist() == list(range(first, task.num_points))
        for i in range(first, task.num_points):
            x, y, now = points[:i], values[:i], points[i]
            near = np.argsort(((x - now) ** 2).sum(axis=1))[:3]
            expected = {
                "zero": 0.0,
                "averaging": (y[:, None] * x).mean(axis=0) @ now if i else 0.0,
                "3 nearest neighbours": y[near].mean() if i else 0.0,
            }
            for name, value in expected.items():
                got = shortcuts[name][row, 2 * i, 0]
                assert got == pytest.approx(value, rel=1e-5, abs=1e-5)
    determined = task.function != "two_layer" and not task.noise and first >= task.dims
    linear = task.function == "linear"
    assert task.determined == determined
    assert (task.oracle(batch) is not None) == (determined or linear)
    is_oracle = determined or (linear and not task.noise)
    assert ("least squares" not in shortcuts) == is_oracle
    assert ("ridge" in shortcuts) == (task.noise > 0 and not linear)
    assert ("lasso" in shortcuts) == (task.function == "sparse" and not determined)
    assert task.answers_in_inputs == (first < task.num_points - 1)


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_edits(chosen, seed):
    task = possible(chosen)
    batch = task.sample(generator(seed), 8)
    evidence, distractor = task.edit(batch, generator(seed, "edit"))
    first = task.num_points - 1 if task.scored == "last" else task.scored_from
    assert (evidence.scored == batch.scored).all()
    assert not hits(evidence.targets, batch, task.tolerance).any()
    assert np.array_equal(distractor.targets, batch.targets, equal_nan=True)
    for row in range(8):
        points, values = read(task, batch, row)
        same, others = read(task, evidence, row)
        assert (same == points).all()
        assert (others != values)[first:].all()
        if task.function != "two_layer" and not task.noise:  # still a linear function
            weights = np.linalg.lstsq(points, others, rcond=None)[0]
            assert points @ weights == pytest.approx(others, abs=1e-5)
        moved, carried = read(task, distractor, row)
        pairs, after = np.column_stack([points, values]), np.column_stack([moved, carried])
        assert (after[first:] == pairs[first:]).all()
        assert sorted(after.tolist()) == sorted(pairs.tolist())
    if first >= 4:
        assert (distractor.inputs != batch.inputs).any()


@pytest.mark.parametrize("function", ["linear", "sparse", "two_layer"])
def test_edit_of_many_points_at_once(function):
    task = regression(dims=3, num_points=300, function=function, hidden=2)
    batch = task.sample(generator("many"), 5)
    evidence, _ = task.edit(batch, generator("many", "edit"))
    assert not hits(evidence.targets, batch, task.tolerance).any()
    assert np.isfinite(evidence.inputs).all()


def test_weights_follow_their_law():
    d, n = 6, 20_000
    at_unit_vectors = np.tile(np.eye(d, dtype=np.float32), (n, 1, 1))
    weights = regression(dims=d)._values(generator("linear"), at_unit_vectors)
    assert np.abs(weights.T @ weights / n - np.eye(d) / d).max() < 4 * np.sqrt(2 / n) / d
    sparse = regression(dims=d, function="sparse", sparsity=2)
    weights = sparse._values(generator("sparse"), at_unit_vectors)
    assert ((weights != 0).sum(axis=1) == 2).all()
    share = (weights != 0).mean(axis=0)
    assert (np.abs(share - 1 / 3) < 4 * np.sqrt(2 / 9 / n)).all()
    assert abs((weights[weights != 0] ** 2).mean() - 0.5) < 4 * 0.5 * np.sqrt(2 / (2 * n))


def test_two_layer_values_by_hand():
    task = regression(dims=3, function="two_layer", hidden=4)
    x = generator("points").standard_normal((2, 5, 3))
    values = task._values(generator("network"), x)
    rng = generator("network")
    inner, outer = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 4))
    for row in range(2):
        for i in range(5):
            total = 0.0
            for j in range(4):
                total += outer[row, j] * max(0.0, float(inner[row, :, j] @ x[row, i]))
            assert values[row, i] == pytest.approx(total * np.sqrt(2 / (4 * 3)))


@pytest.mark.parametrize("function", ["linear", "sparse", "two_layer"])
@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_values_have_variance_one_and_chance_is_that_of_zero(function, noise):
    task = regression(function=function, noise=noise, dims=8, num_points=2, hidden=20)
    batch = task.sample(generator("variance", function, noise), 20_000)
    y = batch.targets[:, -1, 0].astype(np.float64)
    error = np.std(y**2) / np.sqrt(len(y))
    assert abs((y**2).mean() - 1 - noise**2) < 4 * error and abs(y.mean()) < 4 * error
    zero = (np.abs(y) <= task.tolerance).mean()
    assert abs(zero - task.chance) < 4 * np.sqrt(zero * (1 - zero) / len(y))


def test_chance_in_closed_form():
    # d = 1: y is a product of two standard normals; d large: standard normal itself.
    pairs = generator("product").standard_normal((2, 10**6))
    assert regression(dims=1).chance == pytest.approx(
        (np.abs(pairs.prod(axis=0)) <= 0.1).mean(), abs=2e-3
    )
    assert regression(dims=10_000).chance == pytest.approx(0.0796557, abs=1e-5)
    wide = regression(function="two_layer", hidden=10**5).chance
    assert wide == pytest.approx(regression().chance, abs=1e-4)


def errors_by_examples(predictions, batch):
    """Mean squared error, and its standard error, after 0, 1, .. examples."""
    squares = (predictions - batch.targets)[:, ::2, 0].astype(np.float64) ** 2
    return squares.mean(axis=0), squares.std(axis=0) / np.sqrt(len(squares))


def test_baselines_have_their_closed_forms():
    """Squared errors over d: 1 for zero, (d + 1) / m for averaging, 1 - m / d for least squares."""
    d = 8
    task, m = regression(dims=d, num_points=14), np.arange(14)
    batch = task.sample(generator("closed"), 10_000)
    shortcuts = task.shortcuts(batch) | {"least squares": task.oracle(batch)}
    closed = {
        "zero": np.ones(14),
        "averaging": np.where(m == 0, 1, (d + 1) / np.maximum(m, 1)),
        "least squares": np.maximum(0, 1 - m / d),
    }
    for name, expected in closed.items():
        mean, error = errors_by_examples(shortcuts[name], batch)
        assert (np.abs(mean - expected) < 4 * error + 1e-6).all()
    nearest, error = errors_by_examples(shortcuts["3 nearest neighbours"], batch)
    assert nearest[-1] < 1 - 4 * error[-1]


def test_ridge_is_the_best_linear_predictor_under_noise():
    d, noise = 4, 0.5
    task, m = regression(dims=d, num_points=25, noise=noise), np.arange(25)
    batch = task.sample(generator("noise"), 8000)
    shortcuts = task.shortcuts(batch)
    squares, error = errors_by_examples(shortcuts["least squares"], batch)
    late = m > d + 4  # fourth moments exist
    expected = noise**2 * (1 + d / np.maximum(m - d - 1, 1))
    assert (np.abs(squares - expected) < 4 * error)[late].all()
    ridge, _ = errors_by_examples(task.oracle(batch), batch)
    assert (ridge > noise**2).all() and (ridge <= squares + 1e-9).all()
    others = [squared_error(p, batch) for p in shortcuts.values()]
    assert squared_error(task.oracle(batch), batch) < min(others)


@pytest.mark.parametrize("repeat", [False, True])
def test_least_squares_against_a_plain_twin(repeat):
    rng = generator("least squares", repeat)
    x, y = rng.standard_normal((20, 13, 5)), rng.standard_normal((20, 12))
    if repeat:  # points that add nothing, before and after the space is full
        x[:, 3], x[:, 8] = x[:, 0] - 2 * x[:, 1], x[:, 2]
    fast = module._least_squares(x, y)
    ridge = module._least_squares(x, y, penalty=0.3)
    for row in range(20):
        for i in range(13):
            known, values = x[row, :i], y[row, :i]
            weights = np.linalg.lstsq(known, values, rcond=1e-9)[0] if i else np.zeros(5)
            assert fast[row, i] == pytest.approx(x[row, i] @ weights, rel=1e-6, abs=1e-6)
            weights = np.linalg.solve(known.T @ known + 0.3 * np.eye(5), known.T @ values)
            assert ridge[row, i] == pytest.approx(x[row, i] @ weights, abs=1e-9)


def plain_lasso(x, y, penalty):
    """Weights that minimise squares / 2 + penalty |w|_1: the signs that are consistent."""
    for signs in product((-1, 0, 1), repeat=x.shape[1]):
        signs, used = np.array(signs), np.flatnonzero(signs)
        weights = np.zeros(x.shape[1])
        known = x[:, used]
        weights[used] = np.linalg.solve(known.T @ known, known.T @ y - penalty * signs[used])
        slope = x.T @ (y - x @ weights)
        if (weights * signs >= 0).all() and (np.abs(slope) <= penalty * (1 + 1e-9)).all():
            return weights
    raise AssertionError("no signs are consistent")


def test_lasso_against_a_plain_twin(monkeypatch):
    rng = generator("lasso")
    x, y = rng.standard_normal((10, 9, 3)), rng.standard_normal((10, 8))
    monkeypatch.setattr(module, "LASSO_PENALTY", 0.1)
    fast = module._lasso(x, y, 2)
    assert (fast[:, :2] == 0).all()
    for row in range(10):
        for i in range(3, 9):  # fewer examples leave several minima
            weights = plain_lasso(x[row, :i], y[row, :i], 0.1 * i)
            assert fast[row, i] == pytest.approx(x[row, i] @ weights, abs=0.01)


def test_lasso_finds_sparse_functions_before_least_squares_does():
    task = regression(function="sparse")
    batch = task.sample(generator("sparse"), 300)
    shortcuts = task.shortcuts(batch)
    lasso, _ = errors_by_examples(shortcuts["lasso"], batch)
    squares, _ = errors_by_examples(shortcuts["least squares"], batch)
    assert (lasso[10:18] < 0.6 * squares[10:18]).all() and lasso[19:].max() < 0.01
    assert squares[20:].max() < 1e-6


def test_solvers_work_in_parts(monkeypatch):
    task = regression(function="sparse", dims=4, num_points=8)
    batch = task.sample(generator("parts"), 50)
    whole = task.shortcuts(batch)
    monkeypatch.setattr(module, "CHUNK", 1000)
    for name, predictions in task.shortcuts(batch).items():
        assert np.allclose(predictions, whole[name], equal_nan=True, atol=1e-6)


@pytest.mark.parametrize("function", ["linear", "sparse"])
def test_oracle_is_exact_from_d_examples_on(function):
    task = regression(function=function, scored_from=20)
    batch = task.sample(generator("exact"), 1000)
    assert accuracy(task.oracle(batch), batch, task.tolerance) == 1
    others = regression(function=function, scored_from=19)
    missing = others.sample(generator("exact"), 200)
    least = others.oracle(missing)
    assert not others.determined and (least is None) == (function == "sparse")
    if least is None:
        least = others.shortcuts(missing)["least squares"]
    right = hits(least, missing, others.tolerance)[:, 38]  # after 19 examples: one too few
    assert right.mean() < 0.6


def test_rotated_points_are_predicted_alike():
    task = regression(dims=6, num_points=10)
    x, y = task._pairs(task.sample(generator("rotate"), 40).inputs)
    turn = np.linalg.qr(generator("turn").standard_normal((6, 6)))[0]
    for solver in (module._averaging, module._nearest, module._least_squares):
        assert solver(x @ turn, y) == pytest.approx(solver(x, y), abs=1e-8)


def test_later_pairs_change_no_prediction():
    task = regression(dims=3, num_points=9, function="sparse", noise=0.1)
    batch = task.sample(generator("later"), 30)
    inputs = batch.inputs.copy()
    inputs[:, 9:] = generator("other").standard_normal(inputs[:, 9:].shape)
    other = task.shortcuts(batch._replace(inputs=inputs))
    for name, before in task.shortcuts(batch).items():
        assert np.array_equal(before[:, :9], other[name][:, :9], equal_nan=True)
        assert name == "zero" or not np.array_equal(before, other[name], equal_nan=True)


def test_drawing():
    task = regression(dims=5, num_points=8)
    batch = task.sample(generator("drawing"), 2)
    lines = task.drawing(batch, 1)
    assert len(lines) == 8 and lines[6] == "..."
    assert lines[7].startswith("x8 = (") and lines[7].endswith("... 1 more)  y8 = ?")
    assert f"y2 = {batch.inputs[1, 3, 5]:.2f}" in lines[1]
    assert len(regression(dims=2, num_points=3).drawing(batch, 0)) == 3


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"function": "sparse", "sparsity": 21}, "sparsity must be <= dims: 21 > 20"),
        ({"scored_from": 41}, "scored_from must be < num_points: 41 >= 41"),
        (
            {"scored": "last", "scored_from": 3},
            "scored_from must be 0 where only the last is scored, got 3",
        ),
        ({"num_points": 1}, "num_points: should be greater than or equal to 2, got 1"),
        ({"noise": -1}, "noise: should be greater than or equal to 0, got -1"),
        ({"noise": 2e6}, "noise: should be less than or equal to 1000000"),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        regression(**changes)
    assert message in str(error.value)
