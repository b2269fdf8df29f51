"""In how many of the defensible protocols a claim holds, and which choice flips it."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from reports.claims.text import effect_text
from reports.claims.verdict import Verdict, judge
from reports.grid import Grid, Section
from reports.records import Records
from reports.table import plain

NOTE = (
    "Each protocol is judged by itself, with its own runs; verdicts are counted, not combined. A "
    "choice flips a claim as far as its levels differ in the share of protocols that support it."
)


class Judged(NamedTuple):
    """A claim over all protocols. levels: of each protocol, choice -> level."""

    id: str
    verdicts: list[Verdict]
    levels: list[dict[str, str]]

    @property
    def num_held(self) -> int:
        return sum(verdict.word == "supported" for verdict in self.verdicts)

    @property
    def head(self) -> str:
        """`holds in 17 of 24 (refuted 2, inconclusive 5)`."""
        count = Counter(verdict.word for verdict in self.verdicts)
        others = [f"{word} {num}" for word, num in count.items() if word != "supported"]
        text = f"holds in {self.num_held} of {len(self.verdicts)}"
        return text + (f" ({', '.join(others)})" if others else "")

    def shares(self, choice: str) -> dict[str, tuple[int, int]]:
        """Level of a choice -> protocols with it that support the claim, and all with it."""
        out: dict[str, tuple[int, int]] = {}
        for verdict, levels in zip(self.verdicts, self.levels, strict=True):
            held, all_ = out.get(levels[choice], (0, 0))
            out[levels[choice]] = (held + (verdict.word == "supported"), all_ + 1)
        return out

    @property
    def flips(self) -> list[str]:
        """The choices whose levels differ most in the share of support; none where no choice makes
        a difference, several where they make the same."""
        spread = {
            choice: max(shares) - min(shares)
            for choice in self.levels[0]
            for shares in [[held / all_ for held, all_ in self.shares(choice).values()]]
        }
        most = max(spread.values())
        return [choice for choice, each in spread.items() if each == most > 0]

    @property
    def flips_text(self) -> str:
        """`flipped most by train.lr`."""
        names = " and by ".join(map(plain, self.flips))
        return f"flipped most by {names}" if names else "no choice alone flips it"


def judged(records: Records) -> list[Judged]:
    """The ablation's claims, each over its protocols; empty where this is no multiverse."""
    choices = records.meta.get("multiverse") or {}
    levels = {
        arm.condition_id: {choice: arm.levels[choice] for choice in choices if choice in arm.levels}
        for arm in records.arms
    }
    of_universe = {
        stated.resolved.universe: levels[next(iter(stated.resolved.condition_ids))]
        for stated in records.claims
        if stated.resolved.universe and not stated.is_withdrawn
    }
    found: dict[str, Judged] = {}
    for verdict in judge(records):
        if verdict.universe:
            key = verdict.claim.id.rpartition(".")[0]
            each = found.setdefault(key, Judged(key, [], []))
            each.verdicts.append(verdict)
            each.levels.append(of_universe[verdict.universe])
    return list(found.values())


def section(records: Records) -> Section | None:
    """A table of protocols, and one of choices, for each claim; None for a plain ablation."""
    grids = []
    for each in judged(records):
        rows: list[tuple[str, ...]] = [
            (plain(verdict.universe), verdict.word, effect_text(verdict), plain(verdict.reason))
            for verdict in each.verdicts
        ]
        head = (f"{plain(each.id)} {each.head}", "verdict", "effect", "why")
        grids.append(Grid(head, rows))
        grids.append(_choices(each))
    return Section("Multiverse", NOTE, grids) if grids else None


def _choices(each: Judged) -> Grid:
    rows = [
        (plain(choice), plain(level), f"{held} of {all_}")
        for choice in each.levels[0]
        for level, (held, all_) in each.shares(choice).items()
    ]
    return Grid((each.flips_text, "", "holds in"), rows, 2)


def as_data(records: Records) -> list[dict[str, Any]]:
    """The same as plain data."""
    return [
        {
            "id": each.id,
            "held": each.num_held,
            "protocols": [
                {"choices": levels, "verdict": verdict.word, "reason": verdict.reason,
                 "effect": verdict.effect and verdict.effect._asdict()}
                for verdict, levels in zip(each.verdicts, each.levels, strict=True)
            ],
            "flipped_by": each.flips,
        }
        for each in judged(records)
    ]  # fmt: skip
