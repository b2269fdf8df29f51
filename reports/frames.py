"""Tidy pandas frames of a ledger, for questions that the report does not ask.

Text is `string`, counts are `int64` or, where they may be missing, `Int64`, other numbers are
`float64`, moments `datetime64[us, UTC]`; a frame without rows has the same columns and types. Every
factor (level labels, text) and every nuisance (numbers, or text where they are none) is a column
under its name in the YAML file; one that is called like a column of ours is `factor.NAME`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ablations.labels import level_label
from harness.training.clock import PARTS
from harness.training.metrics import EXACT_MATCH, SHORT
from reports import lengths, levels
from reports import table as answer_table
from reports.claims.verdict import Verdict, judge
from reports.records import Records, Run
from reports.table import Row

if TYPE_CHECKING:
    import pandas as pd


class Frames(NamedTuple):
    """runs: one row a planned run, selection runs included (`purpose` tells); accuracy and every
    other test metric under its short name where it has one, else as recorded; seconds by part in
    setup_s, data_s, steps_s, evaluation_s and test_s (`harness.training.clock`). measurements: one
    row a number; slices: one row a value of a fact of the test targets; lengths: one row a run and
    a length at which it was tested, the trained one included. arms: one row an arm, the columns of
    the CSV file, steps_to_solve inf where fewer than half solved. claims: one row a claim.
    """

    runs: pd.DataFrame
    measurements: pd.DataFrame
    slices: pd.DataFrame
    lengths: pd.DataFrame
    arms: pd.DataFrame
    claims: pd.DataFrame


_TEXT, _WHOLE, _COUNT, _NUMBER = "string", "int64", "Int64", "float64"
_MOMENT = "datetime64[us, UTC]"
_KEY = {"run_id": _TEXT, "arm": _TEXT, "purpose": _TEXT, "seed": _WHOLE}
_RUN = {
    "purpose": _TEXT, "seed": _WHOLE, "status": _TEXT, "accuracy": _NUMBER, "loss": _NUMBER,
    "steps": _COUNT, "steps_to_solve": _COUNT, "wall_s": _NUMBER, "message": _TEXT,
}  # fmt: skip
_SECONDS = {f"{part}_s": _NUMBER for part in PARTS}
_SHORT = dict.fromkeys(SHORT, _NUMBER)
_FACTS = {
    "regime": _TEXT, "params": _COUNT, "params_without_embedding": _COUNT,
    "flops_per_token": _NUMBER, "training_flops": _NUMBER, "state_size": _NUMBER,
    "chance": _NUMBER, "oracle": _NUMBER,
}  # fmt: skip
_PROVENANCE = {"device": _TEXT, "threads": _COUNT, "torch": _TEXT, "commit": _TEXT}
_ARM = dict.fromkeys(Row._fields, _NUMBER) | {
    "arm": _TEXT, "solved": _WHOLE, "n": _WHOLE, "diverged": _WHOLE, "failed": _WHOLE,
    "missing": _WHOLE, "budget": _COUNT, "params": _COUNT, "params_without_embedding": _COUNT,
    "regime": _TEXT, "loss_mode": _TEXT, "best_shortcut": _TEXT, "chosen": _TEXT,
}  # fmt: skip
_CLAIM = {
    "claim": _TEXT, "universe": _TEXT, "verdict": _TEXT, "grade": _TEXT, "reason": _TEXT,
    "statement": _TEXT, "kind": _TEXT, "metric": _TEXT, "effect": _NUMBER, "effect_low": _NUMBER,
    "effect_high": _NUMBER, "is_ratio": "bool", "bound": _TEXT, "level": _NUMBER, "p": _NUMBER,
    "corrected_p": _NUMBER, "alpha": _NUMBER, "claims_corrected_for": _WHOLE, "settled_by": _TEXT,
    "is_exploratory": "bool",
}  # fmt: skip
_OURS = {"run_id", *_RUN, *_SECONDS, *_SHORT, *_FACTS, *_PROVENANCE, "ended_at", *_ARM}


def build(records: Records) -> Frames:
    """The frames, in the order of the plan."""
    factors = {column(key): _TEXT for key in levels.factors(records)}
    runs, nuisances, tests = records.runs, _nuisances(records), _other_tests(records)
    head = {"run_id": _TEXT, "arm": _TEXT, **factors, **nuisances}
    about = {**_RUN, **_SECONDS, "ended_at": _MOMENT, **_SHORT, **tests, **_FACTS}
    about |= _PROVENANCE
    parts = {"fact": _TEXT, "value": _WHOLE, "accuracy": _NUMBER, "num": _WHOLE, "loss": _NUMBER}
    numbers = {"split": _TEXT, "metric": _TEXT, "step": _WHOLE, "value": _NUMBER}
    tested = {"length": _WHOLE, "is_trained": "bool", "accuracy": _NUMBER, "loss": _NUMBER}
    table = answer_table.build(records)
    arms = [
        {**row._asdict(), **_levels(arm.levels), "arm": arm.label}
        for arm, row in zip(records.arms, table.rows, strict=True)
    ]
    return Frames(
        runs=_frame([_run_row(run, nuisances) for run in runs], head | about),
        measurements=_frame([(*_key(run), *m) for run in runs for m in run.measurements],
                            _KEY | numbers),
        slices=_frame([(*_key(run), *part) for run in runs for part in run.slices], _KEY | parts),
        lengths=_frame([row for run in runs for row in _length_rows(run)],
                       _KEY | tested | {"exact_match": _NUMBER}),
        arms=_frame(arms, {"arm": _TEXT, **factors, **_ARM}),
        claims=_frame(list(map(_claim_row, judge(records))), _CLAIM),
    )  # fmt: skip


def column(key: str) -> str:
    """The column of a factor or nuisance, which may be called like one of ours; then it yields."""
    return f"factor.{key}" if key in _OURS else key


def _frame(rows: Sequence[Any], types: Mapping[str, str]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=list(types)).astype(dict(types))


def _nuisances(records: Records) -> dict[str, str]:
    """Column -> type: numbers where every value is one."""
    values: dict[str, list[Any]] = {}
    for setting in [*records.meta["nuisances"], *(run.nuisance for run in records.runs)]:
        for key, value in setting.items():
            values.setdefault(column(key), []).append(value)
    return {key: _NUMBER if all(map(_is_number, found)) else _TEXT for key, found in values.items()}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _other_tests(records: Records) -> dict[str, str]:
    """Test metrics without a short name, such as those under interventions."""
    known = {"accuracy", "loss", *SHORT.values()}
    found = dict.fromkeys(metric for run in records.runs for metric in run.tests)
    return {metric: _NUMBER for metric in found if metric not in known}


def _levels(labels: Mapping[str, str]) -> dict[str, str]:
    return {column(key): label for key, label in labels.items()}


def _run_row(run: Run, nuisances: Mapping[str, str]) -> dict[str, Any]:
    import pandas as pd

    tuned = {column(key): value for key, value in run.nuisance.items()}
    tuned = {k: v if nuisances[k] == _NUMBER else level_label(v) for k, v in tuned.items()}
    short = {name: run.tests.get(metric) for name, metric in SHORT.items()}
    ended = pd.NaT if run.ended_at is None else pd.Timestamp(run.ended_at, unit="s", tz="UTC")
    return {
        **run.tests,
        **short,
        **{key: run.arm.facts.get(key) for key in _FACTS},
        **{key: run.provenance.get(key) for key in _PROVENANCE},
        **{key: getattr(run, key) for key in _RUN},
        **{f"{part}_s": run.seconds.get(part) for part in PARTS},
        **tuned,
        **_levels(run.arm.levels),
        "run_id": run.run_id,
        "arm": run.arm.label,
        "ended_at": ended,
    }


def _length_rows(run: Run) -> Iterator[tuple]:
    for _, length, is_trained, ending in lengths.places(run.arm, run.tests):
        values = (run.tests.get(what + ending) for what in ("accuracy", "loss", EXACT_MATCH))
        yield (*_key(run), length, is_trained, *values)


def _claim_row(verdict: Verdict) -> dict[str, Any]:
    claim, effect = verdict.claim, verdict.effect or (None, None, None)
    return {
        "claim": claim.id,
        "universe": verdict.universe,
        "verdict": verdict.word,
        "grade": verdict.grade,
        "reason": verdict.reason,
        "statement": claim.statement,
        "kind": claim.kind,
        "metric": claim.metric,
        **dict(zip(("effect", "effect_low", "effect_high"), effect, strict=True)),
        "is_ratio": verdict.is_ratio,
        "bound": verdict.bound,
        "level": verdict.level,
        "p": verdict.p,
        "corrected_p": verdict.corrected_p,
        "alpha": verdict.alpha,
        "claims_corrected_for": verdict.family,
        "settled_by": verdict.settle,
        "is_exploratory": verdict.is_exploratory,
    }


def _key(run: Run) -> tuple:
    return run.run_id, run.arm.label, run.purpose, run.seed
