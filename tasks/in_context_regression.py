"""In-context regression: what is the value of a function, known from examples, at a new point?

Garg et al. 2022 (arXiv:2208.01066): prompts x1, y1, x2, y2, ... of a function drawn afresh for
each; sections 3 (linear functions) and 5 (sparse ones, two-layer networks). Deviations: see
`InContextRegression`.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import count
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from tasks.base import Batch, Count, Edit, Task, register

Function = Literal["linear", "sparse", "two_layer"]

TOLERANCE = 0.1  # of an answer; the function's standard deviation is 1
NEIGHBOURS = 3
LASSO_PENALTY, LASSO_SWEEPS = 0.01, 50
COLLINEAR = 1e-8  # share of a vector's norm below which it lies in the span of earlier ones
CHUNK = 2**21  # numbers in the matrices that a solver holds at once
DRAWS = 50  # of another function, before its scale grows
GRID = 500  # points of the integrals behind `chance`


@register("in_context_regression")
class InContextRegression(Task):
    """The value of an unknown function at a point, from examples of it.

    Rule: k = num_points points x_i ~ N(0, I_d) and one function f an example, y_i = f(x_i) +
    noise * N(0, 1), with f scaled to variance 1:
        linear     f(x) = w.x, w ~ N(0, I_d / d)
        sparse     the same with s = sparsity nonzero coordinates at random, each N(0, 1 / s)
        two_layer  f(x) = sqrt(2 / (h d)) sum_j a_j relu(v_j.x), j = 1 .. h = hidden, a_j and the
                   entries of v_j from N(0, 1)
    Input: x_1, y_1, x_2, y_2, .., x_k, at 2 k - 1 positions with d + 1 features: x_i in the first
    d with 0 behind it, y_i in the last with 0 before it. The target, one number, at the
    position of x_i is y_i (noise included). Error: squared.

    Chance: the best constant, 0, has squared error 1 + noise^2 and is right (within 0.1, a tenth
    of f's standard deviation) as often as |y| <= 0.1: 8.3 % for d = 20 (by quadrature).
    Facts: `examples`, the number of earlier pairs, i - 1.
    Oracle: least squares. It is exact where every scored point has at least d earlier examples and
    the function is linear or sparse without noise. Elsewhere it is the best predictor of linear
    functions, though not always right: of minimal norm before d examples, and with noise ridge
    regression, both of which are posterior means. Of other functions none is known there.
    With noise, or a two-layer network, least squares has huge errors near d examples.

    Deviations: y has a feature of its own (published: the first coordinate of a vector of zeros,
    which only its place tells from an x; not every mixer knows places). Published y have
    variance d (sparse: s) and errors are reported divided by it: the squared error here is that
    ratio, and noise counts in units of f's standard deviation. Points and dimensions do not grow
    during training. No decision trees, and no network fitted to the examples as a baseline.
    """

    dims: Count = 20
    """d, the dimension of a point."""
    num_points: Annotated[int, Field(ge=2)] = 41
    """k, the points of a prompt, the last of which has no y."""
    function: Function = "linear"
    """What functions are drawn: linear, sparse or two_layer."""
    sparsity: Count = 3
    """s, the nonzero weights of a sparse function."""
    hidden: Annotated[int, Field(ge=2)] = 100
    """h, the hidden units of a two-layer network."""
    noise: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 0.0
    """Standard deviation of what is added to y; that of the function is 1."""
    scored: Literal["all", "last"] = "all"
    """all: every y from scored_from on is a target; last: that of the last point alone, which
    stands nowhere in the input."""
    scored_from: Annotated[int, Field(ge=0)] = 0
    """Score only points with at least this many earlier examples."""

    summary: ClassVar[str] = "infer a function from examples and evaluate it at a new point"
    source: ClassVar[str] = "Garg et al. 2022, arXiv:2208.01066, sections 3 and 5"
    group: ClassVar[str] = "in-context statistics"
    scoring: ClassVar[str] = (
        "The value of the function at a point, to be inferred from the pairs (x, y) before it; "
        "right within 0.1."
    )
    next_token: ClassVar[bool] = False
    real_targets: ClassVar[bool] = True
    length_parameter: ClassVar[str | None] = "num_points"

    @model_validator(mode="after")
    def _possible(self):
        if self.function == "sparse" and self.sparsity > self.dims:
            raise ValueError(f"sparsity must be <= dims: {self.sparsity} > {self.dims}")
        if self.scored_from >= self.num_points:
            raise ValueError(
                f"scored_from must be < num_points: {self.scored_from} >= {self.num_points}"
            )
        if self.scored == "last" and self.scored_from:
            raise ValueError(
                f"scored_from must be 0 where only the last is scored, got {self.scored_from}"
            )
        return self

    @property
    def num_features(self) -> int:
        return self.dims + 1

    @property
    def num_outputs(self) -> int:
        return 1

    @property
    def input_length(self) -> int:
        return 2 * self.num_points - 1

    @property
    def max_scored(self) -> int:
        return self.num_points - self._first

    @property
    def answers_in_inputs(self) -> bool:
        return self._first < self.num_points - 1

    @property
    def tolerance(self) -> float:
        return TOLERANCE

    @property
    def chance(self) -> float:
        width = self.sparsity if self.function == "sparse" else self.dims
        hidden = self.hidden if self.function == "two_layer" else None
        return _share_near_zero(width, hidden, self.noise)

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        x = rng.standard_normal((n, self.num_points, self.dims)).astype(np.float32)
        y = self._values(rng, x) + self._noise(rng, n)
        facts = np.full((n, self.input_length), -1)
        facts[:, 2 * self._first :: 2] = np.arange(self._first, self.num_points)
        return self._batch(x, y, {"examples": facts})

    @property
    def determined(self) -> bool:
        """Whether the pairs before each scored point leave one function only."""
        return self.function != "two_layer" and not self.noise and self._first >= self.dims

    def oracle(self, batch: Batch) -> np.ndarray | None:
        """Least squares: exact where the function is determined; otherwise, for linear functions,
        with penalty noise^2 d the posterior mean, so that nothing has a smaller expected error."""
        if not self.determined and self.function != "linear":
            return None
        x, y = self._pairs(batch.inputs)
        return self._answers(_least_squares(x, y, penalty=self.noise**2 * self.dims))

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """Published baselines, each from the earlier pairs alone: 0; the weights mean(y x); the
        mean y of the 3 nearest points (0 before any); least squares, of minimal norm before d
        pairs, unless it is the oracle; with noise also ridge regression (penalty noise^2 d),
        unless that is; for sparse functions without an oracle also the lasso (squares / (2 pairs)
        + 0.01 |w|_1)."""
        x, y = self._pairs(batch.inputs)
        out = {
            "zero": np.zeros(x.shape[:2]),
            "averaging": _averaging(x, y),
            "3 nearest neighbours": _nearest(x, y),
        }
        linear = self.function == "linear"
        if self.noise or not (self.determined or linear):
            out["least squares"] = _least_squares(x, y)
            if self.noise and not linear:
                out["ridge"] = _least_squares(x, y, penalty=self.noise**2 * self.dims)
            if self.function == "sparse":
                out["lasso"] = _lasso(x, y, self._first)
        return {name: self._answers(values) for name, values in out.items()}

    def edit(self, batch: Batch, rng: np.random.Generator) -> Edit:
        """evidence: all y are those of another function at the same points, drawn again until no
        scored target stays near; after 50 draws with ever larger values, and hidden units in
        opposite pairs, so that none of them is 0. distractor: the pairs that come before the
        first scored point are put in another order; unchanged where there are fewer than two."""
        inputs, targets, first = batch.inputs, batch.targets, self._first
        x, n = inputs[:, ::2, : self.dims], len(inputs)
        y, rows = np.empty((n, self.num_points)), np.arange(n)
        before = targets[:, 2 * first :: 2, 0].astype(np.float64)
        for attempt in count():
            late = attempt >= DRAWS
            values = self._values(rng, x[rows], opposite=late)
            scale = 1.05 ** (attempt - DRAWS) if late else 1.0
            y[rows] = scale * values + self._noise(rng, len(rows))
            near = np.abs(y[rows, first:] - before[rows]) <= 1.01 * TOLERANCE  # float32 rounds
            rows = rows[near.any(axis=1)]
            if not len(rows):
                break
        order = rng.random((n, first)).argsort(axis=1)
        distractor = inputs.copy()
        for offset in (0, 1):
            pairs = inputs[:, offset : 2 * first : 2]
            distractor[:, offset : 2 * first : 2] = np.take_along_axis(
                pairs, order[..., None], axis=1
            )
        return Edit(self._batch(x, y, batch.info), Batch(distractor, targets, batch.info))

    def drawing(self, batch: Batch, index: int) -> list[str]:
        """The first pairs and the last point."""
        x, y = self._pairs(batch.inputs[index : index + 1])
        last, shown = self.num_points - 1, min(6, self.num_points - 1)
        lines = []
        for i in (*range(shown), last):
            if i == last > shown:
                lines.append("...")
            numbers = " ".join(f"{number:5.2f}" for number in x[0, i, :4])
            more = f" ... {self.dims - 4} more" if self.dims > 4 else ""
            value = "?" if i == last else f"{y[0, i]:.2f}"
            lines.append(f"x{i + 1} = ({numbers}{more})  y{i + 1} = {value}")
        return lines

    @property
    def _first(self) -> int:
        """The first scored point, counted from 0."""
        return self.num_points - 1 if self.scored == "last" else self.scored_from

    def _values(
        self, rng: np.random.Generator, x: np.ndarray, *, opposite: bool = False
    ) -> np.ndarray:
        """(n, k) float64 values of one new function a row at points x (n, k, d). opposite: hidden
        units in pairs of opposite weights, one of which every point passes."""
        n, x = len(x), x.astype(np.float64)
        if self.function == "two_layer":
            inner = rng.standard_normal((n, self.dims, self.hidden))
            outer = rng.standard_normal((n, self.hidden, 1))
            if opposite:
                half = self.hidden // 2
                inner[..., half : 2 * half] = -inner[..., :half]
            scale = math.sqrt(2 / (self.hidden * self.dims))
            return scale * (np.maximum(x @ inner, 0) @ outer)[..., 0]
        weights = rng.standard_normal((n, self.dims))
        width = self.dims
        if self.function == "sparse":
            width = self.sparsity
            rank = rng.random((n, self.dims)).argsort(axis=1).argsort(axis=1)
            weights[rank >= width] = 0
        return (x @ weights[..., None])[..., 0] / math.sqrt(width)

    def _noise(self, rng: np.random.Generator, n: int) -> np.ndarray | float:
        return self.noise * rng.standard_normal((n, self.num_points)) if self.noise else 0.0

    def _batch(self, x: np.ndarray, y: np.ndarray, info: dict[str, np.ndarray]) -> Batch:
        """The prompts of points (n, k, d) and values (n, k)."""
        inputs = np.zeros((len(x), self.input_length, self.num_features), dtype=np.float32)
        inputs[:, ::2, : self.dims] = x
        inputs[:, 1::2, self.dims] = y[:, :-1]
        targets = self._answers(y)
        targets[:, : 2 * self._first] = np.nan
        return Batch(inputs, targets, info)

    def _pairs(self, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (n, k, d) and the values in the input, (n, k - 1), both float64."""
        x, y = inputs[:, ::2, : self.dims], inputs[:, 1::2, self.dims]
        return x.astype(np.float64), y.astype(np.float64)

    def _answers(self, values: np.ndarray) -> np.ndarray:
        """Values (n, k) at the positions of their points, shaped as targets."""
        out = np.full((len(values), self.input_length, 1), np.nan, dtype=np.float32)
        out[:, ::2, 0] = values
        return out


# Below, points x are (n, k, d) and values y (n, k - 1); each solver predicts (n, k), the value at
# each point from the pairs before it.


def _averaging(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    pairs = np.arange(1, y.shape[1] + 1)[:, None]
    weights = (x[:, :-1] * y[..., None]).cumsum(axis=1) / pairs
    out = np.zeros(x.shape[:2])
    out[:, 1:] = (weights * x[:, 1:]).sum(axis=-1)
    return out


def _nearest(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    norm = (x**2).sum(axis=-1)
    away = norm[:, :, None] + norm[:, None, :-1] - 2 * x @ x[:, :-1].swapaxes(1, 2)
    points, pairs = away.shape[1:]
    known = np.arange(pairs) < np.arange(points)[:, None]
    order = np.where(known, away, np.inf).argsort(axis=-1, kind="stable")[..., :NEIGHBOURS]
    values = np.take_along_axis(np.broadcast_to(y[:, None], away.shape), order, axis=-1)
    used = np.arange(order.shape[-1]) < np.arange(points)[:, None]
    return np.where(used, values, 0).sum(axis=-1) / np.maximum(used.sum(axis=-1), 1)


def _least_squares(x: np.ndarray, y: np.ndarray, penalty: float = 0.0) -> np.ndarray:
    """Minimises squares + penalty |w|^2; without a penalty the minimum of smallest norm.

    Pair by pair: P, the (pseudo-)inverse of X'X + penalty I, is updated by Greville's formula
    where a point leaves the span of the earlier ones, by that of Sherman and Morrison elsewhere;
    both are P - g (Px)' - (Px) g' + (1 + x'Px) g g' for their gain g.
    """
    n, points, dims = x.shape
    out, rows = np.empty((n, points)), max(1, CHUNK // dims**2)
    if n > rows:
        for start in range(0, n, rows):
            part = slice(start, start + rows)
            out[part] = _least_squares(x[part], y[part], penalty)
        return out
    weights = np.zeros((n, dims))
    unseen = np.tile(np.eye(dims), (n, 1, 1))  # projects out the span of the points so far
    inverse = unseen / penalty if penalty else np.zeros_like(unseen)
    for i in range(points):
        now = x[:, i]
        out[:, i] = (weights * now).sum(axis=1)
        if i == points - 1:
            break
        px = (inverse @ now[..., None])[..., 0]
        spread = 1 + (now * px).sum(axis=1, keepdims=True)
        gain = px / spread
        if not penalty:
            rest = (unseen @ now[..., None])[..., 0]
            size = (rest**2).sum(axis=1, keepdims=True)
            new = size > COLLINEAR**2 * (now**2).sum(axis=1, keepdims=True)
            leaving = rest / np.where(new, size, 1) * new
            unseen -= rest[:, :, None] * leaving[:, None]
            gain = np.where(new, leaving, gain)
        weights += gain * (y[:, [i]] - out[:, [i]])
        half = px - spread * gain / 2
        change = gain[:, :, None] * half[:, None]
        inverse -= change + change.swapaxes(1, 2)
    return out


def _lasso(x: np.ndarray, y: np.ndarray, first: int) -> np.ndarray:
    """By coordinate descent, at the points from `first` on; 0 before."""
    n, points, dims = x.shape
    out, rows = np.zeros((n, points)), max(1, CHUNK // (points * dims**2))
    if n > rows:
        for start in range(0, n, rows):
            part = slice(start, start + rows)
            out[part] = _lasso(x[part], y[part], first)
        return out
    start = max(first, 1)
    pairs = np.arange(start, points)
    outer = x[:, :-1, :, None] * x[:, :-1, None, :]
    # Coordinates first, so that one step reads memory in order.
    gram = np.ascontiguousarray(outer.cumsum(axis=1)[:, start - 1 :].transpose(2, 3, 0, 1))
    slope = (x[:, :-1] * y[..., None]).cumsum(axis=1)[:, start - 1 :].transpose(2, 0, 1).copy()
    weights = np.zeros_like(slope)  # slope is X'(y - Xw) from here on
    # Down to the penalty in steps, then at it: far quicker than at it from the start.
    for penalty in np.geomspace(1, LASSO_PENALTY**2, LASSO_SWEEPS).clip(LASSO_PENALTY):
        for i in range(dims):
            curve = gram[i, i]
            goal = slope[i] + curve * weights[i]
            goal = np.sign(goal) * np.maximum(np.abs(goal) - penalty * pairs, 0) / curve
            slope -= gram[i] * (goal - weights[i])
            weights[i] = goal
    out[:, start:] = (weights.transpose(1, 2, 0) * x[:, start:]).sum(axis=-1)
    return out


@lru_cache
def _share_near_zero(width: int, hidden: int | None, noise: float) -> float:
    """P(|y| <= TOLERANCE). y is normal once it is known how long x is and how much of it the
    hidden units pass: both are chi-squared, the second with a binomial number of degrees."""
    variance, weight = _chi_squared(np.array([width]), np.ones(1))
    variance = variance / width
    if hidden is not None:
        near = round(4 * math.sqrt(hidden)) + 1  # eight standard deviations of a binomial
        units = np.arange(max(0, hidden // 2 - near), min(hidden, hidden // 2 + near) + 1)
        log = [-math.lgamma(k + 1) - math.lgamma(hidden - k + 1) for k in units.tolist()]
        odds = np.exp(np.array(log) + math.lgamma(hidden + 1) - hidden * math.log(2))
        passed, share = _chi_squared(units, odds)
        variance = np.outer(variance, 2 * passed / hidden).ravel()
        weight = np.outer(weight, share).ravel()
    bound = TOLERANCE / np.sqrt(2 * np.maximum(variance + noise**2, 1e-300))
    return float(weight @ np.vectorize(math.erf)(bound))


def _chi_squared(degrees: np.ndarray, odds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values of a chi-squared variable whose degrees of freedom have these odds, and their
    probabilities."""
    low, high = max(0.0, math.sqrt(degrees[0]) - 7), math.sqrt(degrees[-1]) + 7
    root = low + (high - low) * (np.arange(GRID) + 0.5) / GRID
    some = degrees > 0
    log = np.outer(degrees[some] - 1, np.log(root)) - root**2 / 2
    weight = np.exp(log - log.max(axis=1, keepdims=True))
    weight = odds[some] @ (weight / weight.sum(axis=1, keepdims=True))
    return np.append(root**2, 0.0), np.append(weight, odds[~some].sum())
