"""What changed between two ledgers: settings, fields of the arms, versions, results, verdicts.

Arms belong together that have equal levels, else equal labels, else equal specifications. A field
that changed alike in all of them is a change of the base.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ablations.labels import level_label
from harness.foundation.config import to_data
from reports.claims.text import effect_text
from reports.claims.verdict import Verdict, judge
from reports.grid import Grid, Section
from reports.records import Arm, Records, Run, read
from reports.statistics import (
    Estimate,
    difference_interval,
    mean_interval,
    median_steps,
    rate_difference_interval,
)
from reports.table import NOTHING, estimate_text, loss_name, plain, quantity_text, value_text

if TYPE_CHECKING:
    from rich.console import Console

ABSENT = "absent"  # a field that the other's components do not have
NOTE = (
    "Differences are B less A with Welch's 95 % interval (solve rates: Newcombe's), each for one "
    "comparison and not corrected for their number. Steps are medians, >N where fewer than half "
    "solved; they differ by a ratio of geometric means, given where every run solved."
)
OVERLAP = "Some runs of these arms are in both ledgers, so that A and B are not independent."
_SETTINGS = ("name", "question", "scale", "metric", "baseline", "seeds", "nuisances", "overrides")
_NO_SETTING = ("seed", "purpose")

Changes = dict[str, tuple[Any, Any]]  # dotted key -> what A has, what B has


class Result(NamedTuple):
    """One number of an arm. a, b: None where no run has it, inf where fewer than half solved;
    texts: as people write them. difference: B less A, or B by A where is_ratio."""

    metric: str
    a: float | None
    b: float | None
    texts: tuple[str, str, str]
    difference: Estimate | None
    is_ratio: bool = False


class ArmDiff(NamedTuple):
    """An arm that both have. fields: what changed in it alone. num_shared: runs of one id;
    has_same_runs: all are, with equal numbers. is_reversioned: equal fields have another hash, so
    the version of a component or the default of a field has changed."""

    a: str
    b: str
    fields: Changes
    results: list[Result]
    num_shared: int
    has_same_runs: bool
    is_reversioned: bool


class ClaimDiff(NamedTuple):
    """A claim of which something changed; a, b: its verdicts, None where it is not stated.
    is_restated: it has one id and says something else."""

    id: str
    a: Verdict | None
    b: Verdict | None
    is_restated: bool


class Diff(NamedTuple):
    """base: fields that changed alike in all arms of both. differing_runs: ids of runs that both
    have with other numbers; num_shared: of how many. claims: those that changed."""

    a: Path
    b: Path
    settings: Changes
    base: Changes
    arms: list[ArmDiff]
    only_a: list[str]
    only_b: list[str]
    provenance: Changes
    num_shared: int
    differing_runs: list[str]
    claims: list[ClaimDiff]


def compare(a: str | Path, b: str | Path) -> Diff:
    """What changed from folder a to folder b. Raises HarnessError as `records.read` does."""
    then, now = read(a), read(b)
    pairs = _pairs(then.arms, now.arms)
    fields = [_changes(_fields(x, then), _fields(y, now)) for x, y in pairs]
    base = _in_all(fields)
    matched_a, matched_b = ({arm.condition_id for arm in side} for side in _unzipped(pairs))
    runs_a, runs_b = ({run.run_id: run for run in each.runs if run.ended} for each in (then, now))
    shared = [key for key in runs_a if key in runs_b]
    return Diff(
        then.folder,
        now.folder,
        _changes(_settings(then), _settings(now)),
        base,
        [
            _arm_diff(x, y, {k: v for k, v in own.items() if k not in base}, then, now)
            for (x, y), own in zip(pairs, fields, strict=True)
        ],
        [plain(arm.label) for arm in then.arms if arm.condition_id not in matched_a],
        [plain(arm.label) for arm in now.arms if arm.condition_id not in matched_b],
        _changes(_provenance(then), _provenance(now)),
        len(shared),
        [key for key in shared if _numbers(runs_a[key]) != _numbers(runs_b[key])],
        _claims(then, now),
    )


def as_data(found: Diff) -> dict[str, Any]:
    """The same as plain data; JSON has no infinity, so steps beyond the budget are null."""
    return {
        "a": str(found.a),
        "b": str(found.b),
        "settings": _pairs_data(found.settings),
        "base": _pairs_data(found.base),
        "arms": [
            {
                "a": arm.a,
                "b": arm.b,
                "fields": _pairs_data(arm.fields),
                "runs_in_both": arm.num_shared,
                "same_runs": arm.has_same_runs,
                "reversioned": arm.is_reversioned,
                "results": {each.metric: _result_data(each) for each in arm.results},
            }
            for arm in found.arms
        ],
        "only_a": found.only_a,
        "only_b": found.only_b,
        "provenance": _pairs_data(found.provenance),
        "runs_in_both": found.num_shared,
        "runs_with_other_numbers": found.differing_runs,
        "claims": [
            {
                "id": claim.id,
                "a": claim.a and claim.a.word,
                "b": claim.b and claim.b.word,
                "effect_a": claim.a and claim.a.effect and _finite(claim.a.effect),
                "effect_b": claim.b and claim.b.effect and _finite(claim.b.effect),
                "restated": claim.is_restated,
            }
            for claim in found.claims
        ],
    }


def show(found: Diff, console: Console) -> None:
    """Prints what changed; readable in a narrow terminal."""
    from rich.padding import Padding
    from rich.text import Text

    from reports.terminal import show_section

    for side, folder in (("A", found.a), ("B", found.b)):
        console.print(Text(f"{side} ", style="bold").append(str(folder), "default"))
    blocks = list(_blocks(found))
    for title, lines in blocks:
        console.print()
        console.print(Text(title, style="bold"))
        for line in lines:
            console.print(Padding(Text(line), (0, 0, 0, 2), expand=False))
    sections = [each for each in (_results(found), _verdicts(found)) if each is not None]
    for section in sections:
        console.print()
        console.print(Text(section.title, style="bold"), end="")
        show_section(section, console)
    if not blocks and not sections:
        console.print()
        console.print("Nothing differs.")


# -- what is compared -----------------------------------------------------------------------------


def _pairs(a: Sequence[Arm], b: Sequence[Arm]) -> list[tuple[Arm, Arm]]:
    """Arms that belong together, in the order of a."""
    found: dict[str, Arm] = {}
    for key in (_by_levels, _by_label, _by_spec):
        taken = {arm.condition_id for arm in found.values()}
        free = {key(arm): arm for arm in reversed(b) if arm.condition_id not in taken}
        for arm in a:
            if arm.condition_id not in found and key(arm) in free:
                found[arm.condition_id] = free.pop(key(arm))
    return [(arm, found[arm.condition_id]) for arm in a if arm.condition_id in found]


def _by_levels(arm: Arm) -> object:
    return frozenset(arm.levels.items())


def _by_label(arm: Arm) -> object:
    return arm.label


def _by_spec(arm: Arm) -> object:
    return arm.condition_id


def _unzipped(pairs: Sequence[tuple[Arm, Arm]]) -> tuple[list[Arm], list[Arm]]:
    return [x for x, _ in pairs], [y for _, y in pairs]


def _settings(records: Records) -> dict[str, Any]:
    meta = records.meta
    found = dict(_flat({key: meta[key] for key in _SETTINGS if key != "nuisances"}))
    found["tuned over"] = "; ".join(_setting(each) for each in meta["nuisances"] if each)
    found["protocol"] = (meta.get("protocol") or {}).get("name")
    return found


def _setting(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {level_label(value)}" for key, value in values.items())


def _fields(arm: Arm, records: Records) -> dict[str, Any]:
    """Dotted fields of the specification; then what was chosen for the arm, and its seeds."""
    tuned = _tuned(records)
    spec = _flat({key: value for key, value in arm.spec.items() if key not in _NO_SETTING})
    found = {key: value for key, value in spec if key not in tuned}
    choice = records.choices.get(arm.condition_id)
    if choice is not None:
        found |= {f"{key} (chosen)": value for key, value in choice.nuisance.items()}
    elif len(records.meta["nuisances"]) == 1:
        found |= records.meta["nuisances"][0]
    found["seeds"] = _ranges(run.seed for run in records.confirmation(arm))
    return found


def _tuned(records: Records) -> set[str]:
    return {key for setting in records.meta["nuisances"] for key in setting}


def _flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted key and value; entries of lists of mappings by their number."""
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            yield from _flat(dict(enumerate(value)), f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> Changes:
    """What differs. Where one component stands in place of another, its name says so, and fields
    that only one of them has are left out; so is an empty list whose entries the other names."""
    found = {
        key: (a.get(key, ABSENT), b.get(key, ABSENT))
        for key in dict.fromkeys([*a, *b])
        if a.get(key, ABSENT) != b.get(key, ABSENT)
    }
    replaced = tuple(
        key.removesuffix("name")
        for key, change in found.items()
        if key.endswith(".name") and ABSENT not in change
    )
    return {
        key: change
        for key, change in found.items()
        if ABSENT not in change
        or not (key.startswith(replaced) or _is_spelt_out(key, change, found))
    }


def _is_spelt_out(key: str, change: tuple[Any, Any], found: Iterable[str]) -> bool:
    return [] in change and any(other.startswith(f"{key}.") for other in found)


def _in_all(fields: Sequence[Changes]) -> Changes:
    """Changes that are the same everywhere."""
    first = fields[0] if fields else {}
    return {k: v for k, v in first.items() if all(each.get(k) == v for each in fields)}


def _ranges(seeds: Iterable[int]) -> str:
    """`0-4, 7`."""
    parts: list[list[int]] = []
    for seed in sorted(set(seeds)):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], seed]
        else:
            parts.append([seed])
    return ", ".join("-".join(map(str, part)) for part in parts) or "none yet"


def _provenance(records: Records) -> dict[str, Any]:
    """What was recorded of the circumstances, every value that occurs."""
    seen: dict[str, dict[str, None]] = {}
    for run in records.runs:
        for key, value in _flat(run.provenance):
            if not key.startswith("cohort"):  # who was trained with whom
                seen.setdefault(key.replace("_", " "), {})[level_label(value)] = None
    return {key: ", ".join(sorted(values)) for key, values in seen.items() if any(values)}


# -- results --------------------------------------------------------------------------------------


def _arm_diff(a: Arm, b: Arm, fields: Changes, then: Records, now: Records) -> ArmDiff:
    runs_a, runs_b = ([r for r in each.confirmation(arm) if r.ended]
                      for arm, each in ((a, then), (b, now)))  # fmt: skip
    by_id = {run.run_id: _numbers(run) for run in runs_a}
    num_shared = sum(run.run_id in by_id for run in runs_b)
    is_same = by_id == {run.run_id: _numbers(run) for run in runs_b}
    results = [_accuracy(runs_a, runs_b)]
    if a.is_real and b.is_real:
        results.append(_loss(loss_name(a), runs_a, runs_b))
    results += [_solve_rate(runs_a, runs_b), _steps(runs_a, runs_b)]
    is_equal = (a.spec, _tuned(then)) == (b.spec, _tuned(now))
    is_reversioned = is_equal and a.condition_id != b.condition_id
    return ArmDiff(
        plain(a.label), plain(b.label), fields, results, num_shared, is_same, is_reversioned
    )


def _numbers(run: Run) -> tuple:
    return run.status, run.steps, run.steps_to_solve, run.tests


def _accuracy(a: Sequence[Run], b: Sequence[Run]) -> Result:
    x, y = ([run.accuracy for run in runs if run.accuracy is not None] for runs in (a, b))
    difference = difference_interval(y, x).clipped(-1, 1) if x and y else None
    means = [mean_interval(values).value if values else None for values in (x, y)]
    texts = [NOTHING if mean is None else f"{mean:.3f}" for mean in means]
    return Result("accuracy", *means, (*texts, estimate_text(difference, sign="+")), difference)


def _loss(name: str, a: Sequence[Run], b: Sequence[Run]) -> Result:
    x, y = ([run.loss for run in runs if run.loss is not None] for runs in (a, b))
    difference = difference_interval(y, x) if x and y else None
    means = [mean_interval(values).value if values else None for values in (x, y)]
    texts = [NOTHING if mean is None else f"{mean:.3g}" for mean in means]
    return Result(name, *means, (*texts, quantity_text(difference)), difference)


def _solve_rate(a: Sequence[Run], b: Sequence[Run]) -> Result:
    (hits_a, num_a), (hits_b, num_b) = (
        (sum(run.steps_to_solve is not None for run in runs), len(runs)) for runs in (a, b)
    )
    difference = rate_difference_interval(hits_b, num_b, hits_a, num_a) if num_a and num_b else None
    rates = [hits / num if num else None for hits, num in ((hits_a, num_a), (hits_b, num_b))]
    texts = [
        f"{hits}/{num}" if num else NOTHING for hits, num in ((hits_a, num_a), (hits_b, num_b))
    ]
    return Result("solve rate", *rates, (*texts, estimate_text(difference, sign="+")), difference)


def _steps(a: Sequence[Run], b: Sequence[Run]) -> Result:
    steps_a, steps_b = ([run.steps_to_solve for run in runs] for runs in (a, b))
    medians, texts = [], []
    for runs, steps in ((a, steps_a), (b, steps_b)):
        middle = median_steps(steps) if steps else None
        medians.append(None if not steps else math.inf if middle is None else middle)
        budget = max((run.arm.facts.get("steps") or 0 for run in runs), default=0)
        texts.append(NOTHING if not steps else f">{budget}" if middle is None else f"{middle:.0f}")
    ratio = None
    if steps_a and steps_b and None not in (*steps_a, *steps_b):
        logs = difference_interval([math.log(s) for s in steps_b], [math.log(s) for s in steps_a])
        ratio = Estimate(*(None if each is None else math.exp(each) for each in logs))
    text = NOTHING if ratio is None else f"x{quantity_text(ratio)}"
    return Result("steps to solve", *medians, (*texts, text), ratio, True)


def _claims(then: Records, now: Records) -> list[ClaimDiff]:
    a, b = ({_claim_key(v): v for v in judge(each)} for each in (then, now))
    found = []
    for key in dict.fromkeys([*a, *b]):
        x, y = a.get(key), b.get(key)
        is_restated = None not in (x, y) and to_data(x.claim) != to_data(y.claim)
        if is_restated or x is None or y is None or x.word != y.word:
            found.append(ClaimDiff(key, x, y, is_restated))
    return found


def _claim_key(verdict: Verdict) -> str:
    return " | ".join(map(plain, filter(None, (verdict.claim.id, verdict.universe))))


# -- forms ----------------------------------------------------------------------------------------


def _blocks(found: Diff) -> Iterator[tuple[str, list[str]]]:
    """Titles and lines of what is no number."""
    blocks = [
        ("Settings", _lines(found.settings)),
        ("In all arms" if len(found.arms) > 1 else "In the arm of both", _lines(found.base)),
        *((_title(arm), _lines(arm.fields)) for arm in found.arms if arm.fields or arm.a != arm.b),
        (
            "Equal fields, another hash: the version of a component or a default changed",
            [arm.a for arm in found.arms if arm.is_reversioned],
        ),
        ("Arms in A alone", found.only_a),
        ("Arms in B alone", found.only_b),
        ("Circumstances", _lines(found.provenance)),
        ("Claims in A alone", [claim.id for claim in found.claims if claim.b is None]),
        ("Claims in B alone", [claim.id for claim in found.claims if claim.a is None]),
        ("Claims stated otherwise", [claim.id for claim in found.claims if claim.is_restated]),
    ]
    if not found.arms:
        blocks.append(("No arm is in both", ["so there are no results to compare"]))
    if found.differing_runs:
        ids = ", ".join(run_id[:8] for run_id in found.differing_runs[:8])
        more = f" and {len(found.differing_runs) - 8} more" * (len(found.differing_runs) > 8)
        text = f"{len(found.differing_runs)} of {found.num_shared} runs that both have: {ids}{more}"
        blocks.append(("The same runs with other numbers", [text]))
    for title, lines in blocks:
        if lines or title.startswith("arm "):
            yield title, lines


def _title(arm: ArmDiff) -> str:
    return f"arm '{arm.a}'" + (f", in B '{arm.b}'" if arm.a != arm.b else "")


def _lines(changes: Changes) -> list[str]:
    return [f"{plain(key)}: {_text(a)} -> {_text(b)}" for key, (a, b) in changes.items()]


def _text(value: Any) -> str:
    if isinstance(value, float):
        return value_text(value)
    return plain(level_label(value)) or "none"


def _results(found: Diff) -> Section | None:
    arms = [arm for arm in found.arms if not arm.has_same_runs]
    rows = [(arm.a, each.metric, *each.texts) for arm in arms for each in arm.results]
    if not rows:
        return None
    num_same = len(found.arms) - len(arms)
    notes = [NOTE]
    if any(arm.num_shared for arm in arms):
        notes.append(OVERLAP)
    if num_same:
        notes.append(f"Arms with the same runs in both, left out: {num_same}.")
    grid = Grid(("arm", "", "A", "B", "difference"), rows, 2)
    return Section("Results", " ".join(notes), [grid])


def _verdicts(found: Diff) -> Section | None:
    rows = [
        (claim.id, side, verdict.word, effect_text(verdict))
        for claim in found.claims
        if claim.a and claim.b and claim.a.word != claim.b.word
        for side, verdict in (("A", claim.a), ("B", claim.b))
    ]
    grid = Grid(("claim", "", "verdict", "effect"), rows, 2)
    note = "Claims whose verdict changed, with the interval after correction."
    return Section("Verdicts", note, [grid]) if rows else None


def _pairs_data(changes: Changes) -> dict[str, dict[str, Any]]:
    return {key: {"a": a, "b": b} for key, (a, b) in changes.items()}


def _result_data(result: Result) -> dict[str, Any]:
    a, b = (None if v is None or math.isinf(v) else v for v in (result.a, result.b))
    difference = result.difference and _finite(result.difference)
    return {"a": a, "b": b, "difference": difference, "is_ratio": result.is_ratio}


def _finite(estimate: Estimate) -> dict[str, float | None]:
    found = estimate._asdict().items()
    return {k: v if v is not None and math.isfinite(v) else None for k, v in found}
