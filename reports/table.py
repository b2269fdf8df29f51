"""The answer as one table, from which terminal, CSV and HTML are rendered: no number twice.

Accuracy is the mean over finished confirmation runs. A diverged run has no accuracy, yet it ended
without solving the task, so it stays in solve rate and steps; a failed or missing run is in
neither and is counted in its own column.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from reports.records import Arm, Records, Run
from reports.statistics import (
    Estimate,
    difference_interval,
    mean_interval,
    median_steps,
    rate_interval,
)

NOTHING = "-"


class Row(NamedTuple):
    """One arm; None is what cannot be said. The fields are columns of the CSV file.

    accuracy: of real targets, the share within the task's tolerance. squared_error: their mean
    squared error; it is their loss. best_shortcut_error: the least of a shortcut.
    optimum: accuracy of the best predictor, where even that is not always right.
    difference: mean accuracy less that of the baseline arm, with Welch's interval.
    solve_rate: solved of the runs that ended (finished or diverged), with Wilson's interval.
    steps_to_solve: median over the runs that ended, unsolved ones later than the budget;
    inf where fewer than half solved. budget: steps of a run.
    """

    arm: str
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    squared_error: float | None
    squared_error_low: float | None
    squared_error_high: float | None
    difference: float | None
    difference_low: float | None
    difference_high: float | None
    solve_rate: float | None
    solve_rate_low: float | None
    solve_rate_high: float | None
    solved: int
    steps_to_solve: float | None
    n: int
    diverged: int
    failed: int
    missing: int
    loss: float | None
    budget: int | None
    params: int | None
    params_without_embedding: int | None
    flops_per_token: float | None
    state_size: int | None
    regime: str | None
    loss_mode: str | None
    chance: float | None
    best_shortcut: str | None
    best_shortcut_accuracy: float | None
    best_shortcut_error: float | None
    optimum: float | None
    chosen: str | None

    @property
    def ended(self) -> int:
        """Runs with a result."""
        return self.n + self.diverged

    @property
    def floor(self) -> float | None:
        """What needs no learning: the best shortcut, or chance where that is better."""
        known = (self.chance, self.best_shortcut_accuracy)
        return max((value for value in known if value is not None), default=None)

    @property
    def floor_name(self) -> str:
        """The best shortcut's name, or chance."""
        is_chance = self.best_shortcut is None or self.floor != self.best_shortcut_accuracy
        return "chance" if is_chance else self.best_shortcut

    @property
    def accuracy_estimate(self) -> Estimate | None:
        return _estimate(self.accuracy, self.accuracy_low, self.accuracy_high)

    @property
    def squared_error_estimate(self) -> Estimate | None:
        return _estimate(self.squared_error, self.squared_error_low, self.squared_error_high)

    @property
    def difference_estimate(self) -> Estimate | None:
        return _estimate(self.difference, self.difference_low, self.difference_high)


class Column(NamedTuple):
    """A column as people see it. is_secondary: a narrow terminal does without it."""

    title: str
    cell: Callable[[Row], str]
    is_secondary: bool = False
    is_text: bool = False


class Table(NamedTuple):
    """The arms in their order, and the columns that have something to say."""

    rows: list[Row]
    baseline: str | None
    columns: list[Column]

    @property
    def baseline_row(self) -> Row | None:
        return next((row for row in self.rows if row.arm == self.baseline), None)


def build(records: Records) -> Table:
    """The table of an ablation; an arm without a finished run has a row of dashes."""
    reference = [
        run.accuracy
        for run in records.confirmation()
        if run.arm.label == records.meta["baseline"] and run.accuracy is not None
    ]
    rows = [_row(arm, records, reference) for arm in records.arms]
    return Table(rows, records.meta["baseline"], _columns(rows, records.meta["baseline"]))


def plain(text: object) -> str:
    """Text on one line without control characters, which could drive a terminal."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]+", " ", str(text)).strip()


def setting_text(setting: dict[str, Any]) -> str:
    """A nuisance setting in short: `lr 0.003`."""
    return ", ".join(f"{key.split('.')[-1]} {value_text(value)}" for key, value in setting.items())


def value_text(value: object) -> str:
    """A number in at most four figures, anything else as it is."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return NOTHING if value is None else plain(value)


def estimate_text(estimate: Estimate | None, *, sign: str = "") -> str:
    """`0.881 [0.83, 0.93]`, narrow intervals in three decimals; a value alone has none."""
    if estimate is None:
        return NOTHING
    value = f"{estimate.value:{sign}.3f}"
    if estimate.low is None:
        return value
    digits = 3 if estimate.high - estimate.low < 0.05 else 2
    return f"{value} [{estimate.low:{sign}.{digits}f}, {estimate.high:{sign}.{digits}f}]"


def quantity_text(estimate: Estimate | None) -> str:
    """`0.00123 [0.0011, 0.0014]`: a number of any size, in three figures."""
    if estimate is None:
        return NOTHING
    if estimate.low is None:
        return f"{estimate.value:.3g}"
    return f"{estimate.value:.3g} {_brackets(estimate)}"


def count_text(value: float | None) -> str:
    """A count in three figures: 512, 12.3k, 4.56M."""
    if value is None:
        return NOTHING
    value = float(f"{value:.3g}")
    for size, unit in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"


def seconds_text(value: float) -> str:
    """`41.7 s`, `12 min`, `1.5 h`."""
    if value < 100:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min" if value < 6000 else f"{value / 3600:.1f} h"


def loss_name(arm: Arm) -> str:
    """What an arm's loss is called."""
    return "squared error" if arm.is_real else "loss"


def steps_text(row: Row) -> str:
    """`400`, or `>1000` where fewer than half of the runs solved the task in their budget."""
    if row.steps_to_solve is None:
        return NOTHING
    return f">{row.budget}" if math.isinf(row.steps_to_solve) else f"{row.steps_to_solve:.0f}"


# -- rows -----------------------------------------------------------------------------------------


def _row(arm: Arm, records: Records, reference: list[float]) -> Row:
    runs = records.confirmation(arm)
    count = Counter(run.status for run in runs)
    ended = [run for run in runs if run.ended]
    accuracies = [run.accuracy for run in runs if run.accuracy is not None]
    losses = [run.loss for run in runs if run.loss is not None]
    error = mean_interval(losses).clipped(0, math.inf) if losses and arm.is_real else None
    solved = sum(run.steps_to_solve is not None for run in ended)
    budget = arm.facts.get("steps")
    shortcut = arm.best_shortcut
    return Row(
        plain(arm.label),
        *_three(mean_interval(accuracies).clipped(0, 1) if accuracies else None),
        *_three(error),
        *_three(_difference(arm, accuracies, reference, records.meta["baseline"])),
        *_three(rate_interval(solved, len(ended)) if ended else None),
        solved=solved,
        steps_to_solve=_steps(ended),
        n=count["finished"],
        diverged=count["diverged"],
        failed=count["failed"],
        missing=count["missing"] + _to_choose(arm, records, runs),
        loss=mean_interval(losses).value if losses else None,
        budget=budget,
        params=arm.facts.get("params"),
        params_without_embedding=arm.facts.get("params_without_embedding"),
        flops_per_token=arm.facts.get("flops_per_token"),
        state_size=arm.facts.get("state_size"),
        regime=arm.facts.get("regime"),
        loss_mode=arm.facts.get("loss"),
        chance=arm.chance,
        best_shortcut=shortcut and plain(shortcut[0]),
        best_shortcut_accuracy=shortcut and shortcut[1],
        best_shortcut_error=arm.best_shortcut_error,
        optimum=arm.optimum,
        chosen=_chosen(arm, records),
    )


def _difference(arm, accuracies, reference, baseline) -> Estimate | None:
    if arm.label == baseline or not accuracies or not reference:
        return None
    return difference_interval(accuracies, reference).clipped(-1, 1)


def _steps(ended: list[Run]) -> float | None:
    if not ended:
        return None
    middle = median_steps([run.steps_to_solve for run in ended])
    return math.inf if middle is None else middle


def _to_choose(arm: Arm, records: Records, runs: list[Run]) -> int:
    """Confirmation runs that wait for the arm's nuisances to be chosen."""
    waits = records.num_to_choose and not runs
    return records.meta["seeds"]["confirmation"] if waits else 0


def _chosen(arm: Arm, records: Records) -> str | None:
    choice = records.choices.get(arm.condition_id)
    if choice is not None:
        return setting_text(choice.nuisance)
    settings = records.meta["nuisances"]
    return setting_text(settings[0]) or None if len(settings) == 1 else None


def _three(estimate: Estimate | None) -> Iterable[float | None]:
    return (None, None, None) if estimate is None else estimate


def _estimate(value, low, high) -> Estimate | None:
    return None if value is None else Estimate(value, low, high)


# -- columns --------------------------------------------------------------------------------------


def _columns(rows: list[Row], baseline: str | None) -> list[Column]:
    def any_of(field: str) -> bool:
        return any(getattr(row, field) for row in rows)

    def known(field: str) -> bool:
        return any(getattr(row, field) is not None for row in rows)

    def differs(field: str) -> bool:
        return len({getattr(row, field) for row in rows}) > 1

    candidates = [
        (True, Column("arm", lambda row: row.arm, is_text=True)),
        (True, Column("accuracy", lambda row: estimate_text(row.accuracy_estimate))),
        (
            known("squared_error"),
            Column("MSE", lambda row: value_text(_figures(row.squared_error))),
        ),
        (
            baseline is not None,
            Column("vs baseline", lambda row: _difference_text(row, baseline)),
        ),
        (True, Column("solved", lambda row: f"{row.solved}/{row.ended}" if row.ended else NOTHING)),
        (True, Column("steps", steps_text)),
        (True, Column("n", lambda row: str(row.n))),
        (
            any_of("diverged") or any_of("failed") or any_of("missing"),
            Column("unfinished", _unfinished, True, True),
        ),
        (
            known("squared_error_low"),
            Column("MSE, 95 %", lambda row: _brackets(row.squared_error_estimate), True),
        ),
        (
            known("best_shortcut_error"),
            Column("shortcut MSE", lambda row: value_text(_figures(row.best_shortcut_error)), True),
        ),
        (
            any_of("best_shortcut"),
            Column(
                "best shortcut", lambda row: value_text(_rounded(row.best_shortcut_accuracy)), True
            ),
        ),
        (known("optimum"), Column("optimum", lambda row: value_text(_rounded(row.optimum)), True)),
        (any_of("chance"), Column("chance", lambda row: value_text(_rounded(row.chance)), True)),
        (True, Column("params", lambda row: count_text(row.params), True)),
        (True, Column("FLOPs/token", lambda row: count_text(row.flops_per_token), True)),
        (True, Column("state", lambda row: count_text(row.state_size), True)),
        (differs("regime"), Column("regime", lambda row: row.regime or NOTHING, True, True)),
        (differs("loss_mode"), Column("loss", lambda row: row.loss_mode or NOTHING, True, True)),
        (any_of("chosen"), Column("tuned", lambda row: row.chosen or NOTHING, True, True)),
    ]
    return [column for shown, column in candidates if shown]


def _difference_text(row: Row, baseline: str) -> str:
    if row.arm == plain(baseline):
        return "baseline"
    return estimate_text(row.difference_estimate, sign="+")


def _unfinished(row: Row) -> str:
    counts = [(row.diverged, "diverged"), (row.failed, "failed"), (row.missing, "missing")]
    return ", ".join(f"{count} {what}" for count, what in counts if count) or NOTHING


def _brackets(estimate: Estimate | None) -> str:
    if estimate is None or estimate.low is None:
        return NOTHING
    return f"[{estimate.low:.3g}, {estimate.high:.3g}]"


def _figures(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")


def _rounded(value: float | None) -> float | None:
    """To three decimals, or two figures where those are all 0."""
    return None if value is None else round(value, 3) or float(f"{value:.2g}")
