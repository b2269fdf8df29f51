"""Arms whose outcomes are known, and what is claimed of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from reports.claims.verdict import Verdict, judge
from reports.records import Records, read
from tests.reports.conftest import Maker

STEPS, EVAL_EVERY, RATE = 10_000, 5, 3e-3
UNTUNED = [{"train.lr": RATE}]
FAST = (300, 320, 280, 310, 290)  # steps to solve
NOISY = (120, 480, 260, 900, 300)
SPREAD = (0.70, 0.72, 0.68, 0.71, 0.69)  # accuracies


def times(factor: float, steps: Sequence[int] = FAST) -> tuple[int, ...]:
    """Every run slower by a factor."""
    return tuple(round(factor * each) for each in steps)


def plus(more: float, values: Sequence[float] = SPREAD) -> tuple[float, ...]:
    """Every run better by a difference."""
    return tuple(each + more for each in values)


def steps(solved: Sequence[int | None], **more: Any) -> dict[str, Any]:
    """An arm by its steps to solve; accurate where it solved."""
    return {"solved": solved, "accuracy": [0.5 if s is None else 0.995 for s in solved], **more}


def accuracies(values: Sequence[float], **more: Any) -> dict[str, Any]:
    """An arm by its accuracies; nothing is solved."""
    return {"solved": [None] * len(values), "accuracy": values, **more}


def plant(maker: Maker, label: str, *, solved, accuracy, status="finished", lr=RATE, seeds=None,
          wall_s=None, tests=None, train: Mapping[str, Any] | None = None, levels=None,
          tuned: str | int = "", **facts) -> None:  # fmt: skip
    """One arm and its confirmation runs; a value alone stands for every run.

    tuned: `all` stores a choice among all rates, a number one that lacks so many of them.
    """
    num = len(solved)
    spec = {
        "task": {"name": "associative_recall", "vocab_size": 14, "length": 24},
        "model": {"mixer": {"name": "orchid", "conditioning": label}, "width": 32},
        "train": {
            "lr": 1e-3, "steps": STEPS, "batch_size": 64, "train_examples": None,
            "eval_every": EVAL_EVERY, "schedule": "constant", **(train or {}),
        },
    }  # fmt: skip
    arm = maker.arm(label, spec, levels, **{"steps": spec["train"]["steps"], **facts})
    if tuned:
        maker.choose(arm, lr)
    for index, seed in enumerate(seeds or range(num)):
        at = {
            name: value if value is None or isinstance(value, str | int | float) else value[index]
            for name, value in (("accuracy", accuracy), ("status", status), ("wall_s", wall_s))
        }
        tests_at = {key: values[index] for key, values in (tests or {}).items()}
        maker.run(arm, seed, lr=lr, solved=solved[index], tests=tests_at, **at)


def records_of(
    make: Callable[..., Maker],
    arms: Mapping[str, Mapping[str, Any]],
    *claims: tuple[dict, ...],
    looks: Mapping[str, Sequence[int]] | None = None,
    **meta,
) -> Records:
    """Claims first, each with its strata, then the arms."""
    maker = make(**{"nuisances": UNTUNED, "source": {}, **meta})
    for data, *strata in claims:
        maker.claim(data, *strata)
    for label, outcome in arms.items():
        plant(maker, label, **outcome)
    for label, numbers in (looks or {}).items():
        maker.look(label, *numbers)
    return read(maker.done())


def verdict_on(make, arms, claim: dict, *strata: tuple, **more) -> Verdict:
    """The verdict on a single claim."""
    (found,) = judge(records_of(make, arms, ({"id": "x", **claim}, *strata), **more))
    return found
