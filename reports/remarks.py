"""What a reader must know beside the numbers: the answer in a sentence, and what limits it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from reports import edits
from reports.records import Records, Run
from reports.statistics import difference_interval, smallest_independent_p
from reports.table import Row, Table, estimate_text, plain, steps_text, value_text

MARGIN = 0.05  # by which an arm must beat the best shortcut to have shown anything
WIDE = 0.10  # half-width of an accuracy interval that leaves much open
SAME_COST = 1.2  # largest ratio of parameter counts that passes without a remark
PROVENANCE = ("device", "threads", "torch", "numpy", "python")

METHOD = (
    "Accuracy is on the test set, averaged over finished runs. Brackets are 95 % intervals: "
    "Student's for a mean, Welch's for a difference, each for one comparison and not corrected "
    "for their number; the best arm was picked after looking, which flatters it. Steps are the "
    "median, over runs, of the step at which a run first counts as solved; a run that never does, "
    "or diverges, counts as later than its budget."
)


class Remark(NamedTuple):
    """is_warning: the numbers may mislead without it."""

    text: str
    is_warning: bool = True


def answer(records: Records, table: Table) -> str:
    """One sentence that says what was measured, and no more."""
    rows = [row for row in table.rows if row.accuracy is not None]
    if not rows:
        return "No run that answers the question has finished yet, so there is no answer."
    metric = records.meta["metric"]
    best = {"accuracy": _most_accurate, "loss": _least_loss, "steps_to_solve": _soonest}[metric](
        rows
    )
    if best is None:
        head = "No arm solved the task in half of its runs or more"
        best = _most_accurate(rows)
        head += f"; highest mean accuracy: {_named(best)}"
    else:
        what = {
            "accuracy": "Highest mean accuracy",
            "loss": "Lowest mean test loss",
            "steps_to_solve": "Solved soonest",
        }[metric]
        head = f"{what}: {_named(best, metric)}"
    if _is_partial(records):
        head = f"So far (runs are missing), {head[0].lower()}{head[1:]}"
    return head + _rivals(records, table, best, metric) + _against_baseline(table, best, metric)


def remarks(records: Records, table: Table) -> list[Remark]:
    """Everything that limits the answer, the gravest first; the same in terminal and HTML."""
    found = [
        *_completeness(records),
        *_broken(records),
        *_yardsticks(records, table),
        *_fairness(records, table),
        *_provenance(records),
        *_tuning(records),
        *_certainty(table),
        *_protocol(records),
    ]
    return sorted(found, key=lambda remark: not remark.is_warning)


def _protocol(records: Records) -> list[Remark]:
    """Which published settings lie under the ablation's own, and what they cannot match."""
    about = records.meta.get("protocol")
    if not about:
        return []
    lines = [f"({i}) {plain(line)}" for i, line in enumerate(about["not_matched"], start=1)]
    text = (
        f"Under protocol {_quoted(about['name'])} ({plain(about['summary'])}), where the ablation "
        f"sets nothing else. It cannot match: {' '.join(lines)}"
    )
    return [Remark(text, is_warning=False)]


# -- the sentence ---------------------------------------------------------------------------------


def _most_accurate(rows: list[Row]) -> list[Row]:
    most = max(row.accuracy for row in rows)
    return [row for row in rows if row.accuracy == most]


def _least_loss(rows: list[Row]) -> list[Row]:
    least = min(row.loss for row in rows)
    return [row for row in rows if row.loss == least]


def _soonest(rows: list[Row]) -> list[Row] | None:
    least = min(row.steps_to_solve for row in rows)
    return None if least == float("inf") else [r for r in rows if r.steps_to_solve == least]


def _named(best: list[Row], metric: str = "accuracy") -> str:
    if len(best) > 1:
        names = _list([_quoted(row.arm) for row in best], most=3)
        return f"a tie of {names} ({_score(best[0], metric)})"
    return f"{_quoted(best[0].arm)} ({_score(best[0], metric)})"


def _score(row: Row, metric: str) -> str:
    if metric == "steps_to_solve":
        return f"median {steps_text(row)} steps, {row.solved} of {row.ended} runs"
    if metric == "loss":
        text = estimate_text(row.accuracy_estimate)
        if row.squared_error is not None:
            return f"mean squared error {value_text(row.loss)}, accuracy {text}"
        return f"{value_text(row.loss)} nats a target, accuracy {text}"
    return estimate_text(row.accuracy_estimate)


def _rivals(records: Records, table: Table, best: list[Row], metric: str) -> str:
    """Arms whose accuracy the data do not separate from the best."""
    if metric != "accuracy" or len(best) > 1:
        return ""
    values: dict[str, list[float]] = {}
    for run in records.confirmation():
        if run.accuracy is not None:
            values.setdefault(plain(run.arm.label), []).append(run.accuracy)
    top = best[0].arm
    near = []
    for row in table.rows:
        if row.arm not in (top, table.baseline) and row.arm in values:
            low = difference_interval(values[top], values[row.arm]).low
            if low is None or low <= 0:
                near.append(_quoted(row.arm))
    return f", not separated from {_list(near, most=3)}" if near else ""


def _against_baseline(table: Table, best: list[Row], metric: str) -> str:
    base = table.baseline_row
    if base is None:
        return "."
    if base.accuracy is None:
        return f"; the baseline {_quoted(base.arm)} has no finished run."
    if base in best:
        return "; that is the baseline." if len(best) == 1 else "; the baseline is among them."
    text = f"; the baseline {_quoted(base.arm)} has {_score(base, metric)}"
    difference = best[0].difference_estimate
    text += f"; difference in accuracy {estimate_text(difference, sign='+')}"
    if difference.low is None:
        return text + ", with too few runs for an interval."
    if difference.low <= 0 <= difference.high:
        return text + ", an interval that holds 0."
    return text + "."


# -- remarks --------------------------------------------------------------------------------------


def _completeness(records: Records) -> Iterator[Remark]:
    runs = records.confirmation()
    missing = sum(run.status == "missing" for run in runs)
    if missing:
        yield Remark(f"{missing} of {len(runs)} planned runs {_are(missing)} missing.")
    if records.num_to_choose:
        yield Remark(
            f"{records.num_to_choose} more runs wait until the nuisances of their arms are chosen."
        )
    waiting = sum(run.status == "missing" for run in records.selection())
    if waiting:
        yield Remark(f"{waiting} selection runs are missing.")


def _broken(records: Records) -> Iterator[Remark]:
    for status in ("failed", "diverged"):
        for purpose, runs in (
            ("", records.confirmation()),
            ("selection ", records.selection()),
        ):
            broken = [run for run in runs if run.status == status]
            if broken:
                yield Remark(
                    f"{len(broken)} {purpose}run{_s(broken)} {status}: "
                    + _list([_run_name(run) + _because(run) for run in broken], most=3)
                    + "."
                )


def _yardsticks(records: Records, table: Table) -> Iterator[Remark]:
    rows = [row for row in table.rows if row.accuracy is not None]
    low = [row for row in rows if row.floor is not None and row.accuracy <= row.floor + MARGIN]
    if low and len(low) == len(rows):
        yield Remark(
            f"Floor: no arm beats {low[0].floor_name} ({low[0].floor:.3f}), the "
            f"best that needs no learning, by {MARGIN}. So this says nothing about what the arms "
            "can do; train longer or make the task easier."
        )
    elif low:
        names = _list([_quoted(row.arm) for row in low])
        yield Remark(
            f"At the floor, within {MARGIN} of the best shortcut or chance: {names}. "
            "Such a score shows nothing learned."
        )
    unclear = [
        f"{_quoted(row.arm)} ({row.floor_name} {row.floor:.3f})"
        for row in rows
        if row not in low
        and row.floor is not None
        and row.accuracy_low is not None
        and row.accuracy_low <= row.floor
    ]
    if unclear:
        yield Remark(
            "Not clearly above what needs no learning, which the interval of the accuracy "
            f"reaches: {_list(unclear)}."
        )
    worse = [
        f"{_quoted(row.arm)} ({row.best_shortcut_error:.3g})"
        for row in rows
        if row.squared_error is not None
        and row.best_shortcut_error is not None
        and max(row.squared_error, row.squared_error_high or 0.0) >= row.best_shortcut_error
    ]
    if worse:
        yield Remark(
            "Squared error not clearly below that of the best shortcut, given in brackets: "
            f"{_list(worse)}."
        )
    ended = [run for run in records.confirmation() if run.ended]
    if ended and all(_solved_at_once(run) for run in ended):
        yield Remark(
            "Ceiling: every run had solved the task at its first evaluation, so the arms cannot "
            "differ; make the task harder or evaluate more often."
        )
    for row in edits.edited(records):
        if row.is_from_weights:
            yield Remark(
                f"{_quoted(row.arm)} answers from its weights: with the evidence edited it still "
                f"gives the old answer in {estimate_text(row.stays)} of the cases (chance "
                f"{row.chance:.3f}) and is right less often than before, by "
                f"{estimate_text(row.lost)}."
            )
    if len({(row.chance, row.best_shortcut_accuracy) for row in table.rows}) > 1:
        yield Remark(
            "Chance and shortcuts differ between arms: compare each with its own.", is_warning=False
        )


def _fairness(records: Records, table: Table) -> Iterator[Remark]:
    if any(arm.is_real for arm in records.arms):
        yield Remark(
            "Where targets are real numbers, MSE is the mean squared error, and accuracy the share "
            "of answers within the task's tolerance.",
            is_warning=False,
        )
    regimes = Counter(row.regime for row in table.rows if row.regime)
    if len(regimes) > 1:
        yield Remark(
            f"Regimes are mixed ({_counts(regimes)}): a bidirectional arm sees the query while it "
            "reads the context, a causal one must store what may be asked."
        )
    modes = Counter(row.loss_mode for row in table.rows if row.loss_mode)
    if len(modes) > 1:
        yield Remark(f"Loss modes are mixed ({_counts(modes)}): the arms learn different tasks.")
    elif "masked" in modes:
        yield Remark(
            "Loss mode masked: scored tokens are hidden and predicted in place, a different task "
            "from predicting the next token.",
            is_warning=False,
        )
    sizes = [row.params_without_embedding for row in table.rows if row.params_without_embedding]
    if sizes and max(sizes) > SAME_COST * min(sizes):
        yield Remark(
            "Arms differ in size: "
            f"{min(sizes):,} to {max(sizes):,} parameters outside embedding and readout.",
            is_warning=False,
        )
    matched = [(arm, arm.facts["matched"]) for arm in records.arms if arm.facts.get("matched")]
    if matched:
        match = matched[0][1]
        values = ", ".join(f"{plain(arm.label)} {part['value']:g}" for arm, part in matched)
        yield Remark(
            f"Arms are matched to {plain(match['to'])} in {match['what']}, within "
            f"{match['tolerance']:g} of it, by {match['by']}: {values}.",
            is_warning=False,
        )
    if any(arm.spec.get("train", {}).get("stop_when_solved") for arm in records.arms):
        yield Remark(
            "Runs stop when solved, which pins accuracy near the threshold: "
            "read speed and solve rate here, not accuracy."
        )


def _provenance(records: Records) -> Iterator[Remark]:
    ended = [run for run in records.confirmation() if run.ended]
    for key in PROVENANCE:
        values = Counter(plain(run.provenance[key]) for run in ended if key in run.provenance)
        if len(values) > 1:
            yield Remark(
                f"Runs differ in {key}: {_counts(values)}. Their numbers may not be alike."
            )
    digests: dict[str, set[str]] = {}
    for run in ended:
        for name, digest in run.provenance.get("plugins", {}).items():
            digests.setdefault(name, set()).add(digest)
    for name, found in digests.items():
        if len(found) > 1:
            yield Remark(f"The plug-in {plain(name)} had {len(found)} different sources.")


def _tuning(records: Records) -> Iterator[Remark]:
    notes: dict[str, list[str]] = {}
    for arm in records.arms:
        choice = records.choices.get(arm.condition_id)
        if choice is not None and choice.note:
            notes.setdefault(choice.note, []).append(_quoted(arm.label))
    for note, arms in notes.items():
        yield Remark(f"Tuning of {_list(arms)}: {plain(note)}.")


def _certainty(table: Table) -> Iterator[Remark]:
    rows = [row for row in table.rows if row.n]
    counts = sorted({row.n for row in rows})
    if counts and counts[0] == 1:
        names = _list([_quoted(row.arm) for row in rows if row.n == 1])
        yield Remark(f"A single finished run has no interval: {names}.")
    if counts and counts[0] <= 3:
        most = counts[-1]
        p = smallest_independent_p(min(most, 3), min(most, 3))
        yield Remark(
            "Few seeds: with three runs or fewer an arm, no exact permutation test of two arms "
            f"can reach .05 (the smallest p is {p:.2g}); five or more can."
        )
    wide = [
        _quoted(row.arm)
        for row in rows
        if row.accuracy_low is not None and row.accuracy_high - row.accuracy_low > 2 * WIDE
    ]
    if wide:
        yield Remark(f"Wide intervals, over {WIDE} to either side: {_list(wide)}.")
    split = [
        f"{_quoted(row.arm)} ({row.solved} of {row.ended})"
        for row in rows
        if 0 < row.solved < row.ended
    ]
    if split:
        yield Remark(
            f"Some seeds solve the task and others do not: {_list(split)}. "
            "A mean describes neither kind; look at the seeds.",
            is_warning=False,
        )
    still = [
        _quoted(row.arm) for row in rows if row.n > 1 and row.accuracy_low == row.accuracy_high
    ]
    if still:
        yield Remark(
            f"All seeds scored the same: {_list(still)}. The interval has no width "
            "because these seeds agree, not because the mean is known exactly.",
            is_warning=False,
        )


# -- small things ---------------------------------------------------------------------------------


def _is_partial(records: Records) -> bool:
    missing = any(run.status in ("missing", "failed") for run in records.confirmation())
    return missing or records.num_to_choose > 0


def _solved_at_once(run: Run) -> bool:
    curve = run.curve("validation", "accuracy")
    return run.steps_to_solve is not None and bool(curve) and run.steps_to_solve <= curve[0][0]


def _run_name(run: Run) -> str:
    return f"{_quoted(run.arm.label)} seed {run.seed}"


def _quoted(label: str) -> str:
    """An arm may be called 'none'."""
    return f"'{plain(label)}'"


def _because(run: Run) -> str:
    message = plain(run.message)
    return f" ({message if len(message) <= 160 else message[:157] + '...'})" if message else ""


def _counts(counts: Counter) -> str:
    return ", ".join(f"{plain(key)}: {count}" for key, count in counts.most_common())


def _list(names: Iterable[str], *, most: int = 6) -> str:
    names = list(names)
    shown = names[:most]
    if len(names) > most:
        return ", ".join(shown) + f" and {len(names) - most} more"
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _s(items: list) -> str:
    return "" if len(items) == 1 else "s"
