"""What makes a claim untestable, whatever its numbers are; the gravest first.

The rules are those of fair comparison: runs complete, what the arms may see and learn from alike,
tuning and budgets alike, and room for a difference between floor and ceiling.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ablations.claim import Claim, Resolved
from reports.claims.evidence import Compared, Sample, budget, setting
from reports.records import Arm, Records, Run
from reports.remarks import MARGIN
from reports.table import plain

TUNED = "train.lr"  # the nuisance whose grid has ends beyond which a better value may lie
# At least four evaluations within the least effect that matters.
EVALUATIONS_WITHIN = 4
CENSORED = 0.2  # share of unsolved runs above which an interval of steps is a bound only
OF_ANSWERS = ("accuracy", "exact_match", "solve_rate")
BUDGET = ("steps", "batch_size", "train_examples")


class Obstacle(NamedTuple):
    """Why the claim cannot be judged, and what would change that."""

    reason: str
    settle: str


def obstacle(resolved: Resolved, compared: Sequence[Compared], records: Records) -> Obstacle | None:
    """The gravest of them; None where the claim can be judged."""
    return next(_obstacles(resolved.claim, compared, records), None)


def _obstacles(claim: Claim, compared: Sequence[Compared], records: Records) -> Iterator[Obstacle]:
    samples = [sample for each in compared for sample in each.samples]
    arms = list({arm.condition_id: arm for sample in samples for arm in sample.arms}.values())
    yield from _incomplete(arms, records)
    for sample in samples:
        if sample.lacking:
            yield Obstacle(sample.lacking, "another metric, or a setting in which runs are finite")
        if len(sample.values) < 2:
            num = len(sample.values)
            what = "no run" if num == 0 else "a single run"
            yield Obstacle(f"{what} of '{sample.label}', so nothing is known of its spread", _MORE)
    if claim.paired:
        for each in compared:
            if len(set(each.a[0].by_seed) & set(each.b[0].by_seed)) < 2:
                yield Obstacle("fewer than two seeds are common to both arms", _MORE)
    yield from _unalike(claim, arms)
    yield from _tuning(arms, records)
    if claim.constant is None:
        yield from _room(claim, compared)
    yield from _unknown_steps(claim, compared)
    yield from _coarse(claim, compared)


_MORE = "more seeds"


def _incomplete(arms: Sequence[Arm], records: Records) -> Iterator[Obstacle]:
    for arm in arms:
        runs = records.confirmation(arm)
        if not runs:
            reason = f"the runs of '{plain(arm.label)}' wait until its nuisances are chosen"
            yield Obstacle(reason, _RUN)
        count = Counter(run.status for run in runs)
        if count["failed"]:
            what = f"{count['failed']} of {len(runs)} runs of '{plain(arm.label)}' failed"
            yield Obstacle(what, "mend what made them fail; the same command tries them again")
        if count["missing"]:
            what = f"{count['missing']} of {len(runs)} runs of '{plain(arm.label)}' are missing"
            yield Obstacle(what, _RUN)


_RUN = "run the ablation to its end"


def _unalike(claim: Claim, arms: Sequence[Arm]) -> Iterator[Obstacle]:
    """Arms that see, learn or get something else, so that more than the question differs."""
    regimes = {arm.facts.get("regime") for arm in arms}
    if len(regimes) > 1 and not claim.across_regimes:
        yield Obstacle(
            f"regimes differ ({_listed(regimes)}): a bidirectional mixer sees the query while it "
            "reads the context",
            "arms of one regime, or across_regimes: true, which the verdict then says",
        )
    losses = {arm.facts.get("loss") for arm in arms}
    if len(losses) > 1:
        reason = f"loss modes differ ({_listed(losses)}), so the arms learn different tasks"
        yield Obstacle(reason, "one loss mode for all arms")
    for key in BUDGET:
        budgets = {setting(arm, "train", key) for arm in arms}
        if len(budgets) > 1:
            reason = f"budgets are unequal: train.{key} is {_listed(budgets)}"
            yield Obstacle(reason, f"equal train.{key} in the arms of the claim")


def _tuning(arms: Sequence[Arm], records: Records) -> Iterator[Obstacle]:
    settings = records.meta["nuisances"]
    if len(settings) < 2:
        return
    for arm in arms:
        choice = records.choices.get(arm.condition_id)
        if choice is not None and len(choice.scores) < len(settings):
            reason = (
                f"tuning is unequal: '{plain(arm.label)}' was tuned over {len(choice.scores)} of "
                f"{len(settings)} settings, for runs of the others failed"
            )
            yield Obstacle(reason, "mend what made them fail, and choose again in another folder")
    rates = sorted({each[TUNED] for each in settings if TUNED in each})
    if len(rates) < 2:
        return
    for arm in arms:
        choice = records.choices.get(arm.condition_id)
        rate = choice and choice.nuisance.get(TUNED)
        if rate in (rates[0], rates[-1]):
            end = "smallest" if rate == rates[0] else "largest"
            reason = (
                f"the {end} rate of the grid, {rate:g}, won for '{plain(arm.label)}', so a better "
                "one may lie beyond it"
            )
            yield Obstacle(reason, f"extend nuisance {TUNED} beyond {rate:g}")


def _room(claim: Claim, compared: Sequence[Compared]) -> Iterator[Obstacle]:
    """Floor and ceiling, where arms cannot differ."""
    samples = [sample for each in compared for sample in each.samples]
    runs = [run for sample in samples for run in sample.runs]
    if claim.metric == "steps_to_solve":
        if all(map(_solved_at_once, runs)):
            reason = "ceiling: every run had solved the task at its first evaluation"
            yield Obstacle(reason, "a harder task, or a smaller eval_every")
        if not any(sample.num_solved for sample in samples):
            yield Obstacle("floor: no run solved the task", _EASIER)
    if claim.metric in OF_ANSWERS and all(run.steps_to_solve is not None for run in runs):
        yield Obstacle("ceiling: every run solved the task", "a harder task, or fewer steps")
    if claim.metric in OF_ANSWERS and not any(sample.num_solved for sample in samples):
        if claim.metric == "solve_rate":
            yield Obstacle("floor: no run solved the task", _EASIER)
        elif claim.metric == "accuracy" and all(map(_at_floor, samples)):
            yield _under_floor(samples)
            return
    if claim.metric == "accuracy" and claim.kind == "equivalent":
        for each in compared:  # where nothing is learned, everything is alike
            if not any(sample.num_solved for sample in each.samples):
                if all(map(_at_floor, each.samples)):
                    yield _under_floor(each.samples, f" at {each.label}")


def _under_floor(samples: Sequence[Sample], where: str = "") -> Obstacle:
    names = sorted({_floor(arm)[0] for sample in samples for arm in sample.arms})
    reason = f"floor: no arm is more than {MARGIN} above {' or '.join(names)}{where}"
    return Obstacle(reason, _EASIER)


_EASIER = "an easier task, or more steps"


def _at_floor(sample: Sample) -> bool:
    """Whether no arm of it has learned; a diverged run is a guess."""
    for arm in sample.arms:
        runs = [run for run in sample.runs if run.arm == arm]
        known = [run.accuracy if run.status == "finished" else arm.chance for run in runs]
        if sum(known) / len(known) > _floor(arm)[1] + MARGIN:
            return False
    return True


def _floor(arm: Arm) -> tuple[str, float]:
    """Name and accuracy of what needs no learning."""
    shortcut, chance = arm.best_shortcut, arm.chance or 0.0
    return shortcut if shortcut is not None and shortcut[1] >= chance else ("chance", chance)


def floor_of(arm: Arm, yardstick: str) -> float | None:
    """The number that a claim's `best shortcut` or `chance` stands for."""
    return _floor(arm)[1] if yardstick == "best shortcut" else arm.chance


def _solved_at_once(run: Run) -> bool:
    every = setting(run.arm, "train", "eval_every")
    return None not in (run.steps_to_solve, every) and run.steps_to_solve <= every


def _unknown_steps(claim: Claim, compared: Sequence[Compared]) -> Iterator[Obstacle]:
    """Where runs never solved, their steps are above the budget, and that is all that is known."""
    if claim.metric != "steps_to_solve":
        return
    samples = [sample for each in compared for sample in each.samples]
    for sample in samples:
        if not is_censored(sample):
            continue
        if claim.kind == "equivalent" or claim.exponent_in is not None:
            what = "exponent" if claim.exponent_in is not None else "ratio"
            reason = f"more than {CENSORED:.0%} of the runs of '{sample.label}' never solved"
            yield Obstacle(f"{reason}, so the {what} is a bound", "more steps")
    if isinstance(claim.constant, float) and claim.is_ratio:
        budget_steps = min(budget(run) for sample in samples for run in sample.runs)
        unsolved = sum(sample.num_censored for sample in samples)
        if unsolved and claim.constant > budget_steps:
            reason = f"{unsolved} runs never solved in {budget_steps:,} steps"
            wanted = f"more steps: {claim.constant:g} at least"
            yield Obstacle(f"{reason}, which are fewer than {claim.constant:g}", wanted)


def is_censored(sample: Sample) -> bool:
    """Whether so many runs never solved that its steps are a bound only."""
    return sample.num_censored > CENSORED * len(sample.runs)


def _coarse(claim: Claim, compared: Sequence[Compared]) -> Iterator[Obstacle]:
    """Steps are known up to the distance of evaluations, which an effect must exceed."""
    effect = claim.at_least or claim.within
    if claim.metric != "steps_to_solve" or effect is None or not claim.is_ratio:
        return
    for sample in (sample for each in compared for sample in each.samples):
        every = setting(sample.arms[0], "train", "eval_every")
        steps = sample.steps_given_solved
        if every is None or steps is None:
            continue
        finest = math.log1p(every / steps)
        if finest > math.log(effect) / EVALUATIONS_WITHIN:
            wanted = steps * math.expm1(math.log(effect) / EVALUATIONS_WITHIN)
            reason = (
                f"the evaluations of '{sample.label}' are too coarse: {every} steps apart where it "
                f"solves at {steps:.0f}, while a ratio of {effect:g} is at stake"
            )
            yield Obstacle(reason, f"train.eval_every: {max(1, math.floor(wanted))} or less")


def _listed(values) -> str:
    return ", ".join(sorted(plain("none" if value is None else value) for value in values))
