"""What is measured of a run, by name, and which way is better; without torch, for reports read it.

`accuracy` and `loss` are measured on test examples of every run; the others where the run's
specification asks for them or its task has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from harness.spec import RunSpec

EXACT_MATCH = "exact match"
FOLLOWS, STAYS = "evidence edited, follows", "evidence edited, stays"
KEEPS = "distractor edited, keeps"
LOSS_ABOVE_OPTIMUM, DIVERGENCE = "loss above optimum", "KL from optimum"
VARIATION, LEGAL = "total variation", "legal"
UNDER = "accuracy, h "  # then the intervention
KERNEL_LENGTH = "effective length of "  # then the kernel and its layer

SHORT = {  # the names that people write, where the recorded ones are longer
    "exact_match": EXACT_MATCH,
    "follows": FOLLOWS,
    "stays": STAYS,
    "keeps": KEEPS,
    "loss_above_optimum": LOSS_ABOVE_OPTIMUM,
    "kl_from_optimum": DIVERGENCE,
    "total_variation": VARIATION,
    "legal": LEGAL,
}


class Metric(NamedTuple):
    """recorded: what the ledger calls it; empty for what is no test measurement. better: `high`
    or `low`; None where neither is. is_ratio: compared as a ratio, on the logarithmic scale."""

    name: str
    recorded: str
    better: Literal["high", "low"] | None
    is_ratio: bool = False


OF_RUNS = (  # of the training itself
    Metric("steps_to_solve", "", "low", True),
    Metric("solve_rate", "", "high"),
    Metric("seconds", "", "low", True),
)

OF_SOLVING = ("steps_to_solve", "solve_rate")  # of those, what is decided once a run has solved


def metrics_of(spec: RunSpec) -> dict[str, Metric]:
    """What runs of this specification are measured by: name in a claim -> metric."""
    train, task = spec.train, spec.task
    matches = task.max_scored > 1 and not task.stochastic
    recorded = ["accuracy", "loss", *([EXACT_MATCH] if matches else [])]
    if train.counterfactual:
        recorded += [FOLLOWS, STAYS, KEEPS]
    if task.stochastic:
        recorded += [LOSS_ABOVE_OPTIMUM, DIVERGENCE, VARIATION, LEGAL]
    recorded += [f"{UNDER}{intervention.label}" for intervention in train.interventions]
    for length in train.test_lengths:
        measured = ["accuracy", "loss", *([EXACT_MATCH] if matches else [])]
        recorded += [at_length(what, task.length_parameter, length) for what in measured]
    short = {name: key for key, name in SHORT.items()}
    found = [Metric(short.get(name, name), name, _better(name)) for name in recorded]
    return {metric.name: metric for metric in (*found, *OF_RUNS)}


def at_length(what: str, parameter: str, length: int) -> str:
    """`accuracy, num_pairs 64`: a test at another length of the task."""
    return f"{what}, {parameter} {length}"


def _better(recorded: str) -> Literal["high", "low"] | None:
    if recorded.startswith(("accuracy", EXACT_MATCH, FOLLOWS, KEEPS, LEGAL)):
        return "high"
    return None if recorded == STAYS else "low"
