"""A score: the mean over groups of arms, as published suites rank mixers by.

    score:
      name: MAD score
      over: setting                       # the factor whose levels are averaged
      groups: {in-context recall: recall*, compression: compression*}      # patterns of levels
      published: {hyena: {in-context recall: 81.7, compression: 45.2}}     # in %, optional

Every combination of the other factors gets one score a group, and one over all groups.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import Field

from harness.foundation.config import Config
from harness.foundation.errors import did_you_mean

Percent = Annotated[float, Field(ge=0, le=100)]


class Score(Config):
    """over: a factor. groups: name -> pattern of its levels, in which * stands for any text.
    published: label of the other factors' levels -> group -> accuracy in %. source: where the
    published numbers are from."""

    name: str
    over: str
    groups: dict[str, str]
    published: dict[str, dict[str, Percent]] = Field(default_factory=dict)
    source: str = ""

    def levels(self, known: Collection[str]) -> dict[str, list[str]]:
        """Group -> the levels that it averages."""
        return {
            group: [level for level in known if fnmatchcase(level, pattern)]
            for group, pattern in self.groups.items()
        }

    def mistakes(
        self, factors: Mapping[str, Collection[str]]
    ) -> Iterator[tuple[tuple[str, ...], str, str]]:
        """(place below `score`, message, fix) of what does not fit the ablation's factors."""
        if self.over not in factors:
            yield ("over",), f"no factor {self.over!r}", did_you_mean(self.over, factors)
            return
        seen: dict[str, str] = {}
        for group, levels in self.levels(factors[self.over]).items():
            if not levels:
                pattern = self.groups[group]
                message = f"no level of {self.over} is like {pattern!r}"
                yield ("groups", group), message, did_you_mean(pattern, factors[self.over])
            for level in levels:
                if level in seen:
                    message = f"the level {level!r} stands in {seen[level]!r} already"
                    yield ("groups", group), message, "let each level match one pattern"
                seen[level] = group
        left = [level for level in factors[self.over] if level not in seen]
        if left:
            yield ("groups",), f"levels in no group: {', '.join(left)}", "put each into a group"
        for label, cells in self.published.items():
            for group in cells:
                if group not in self.groups:
                    place = ("published", label)
                    yield place, f"no group {group!r}", did_you_mean(group, self.groups)

    def for_ledger(self, factors: Mapping[str, Collection[str]]) -> dict[str, Any]:
        """What reports read of it: groups as lists of levels."""
        return self.model_dump() | {"groups": self.levels(factors[self.over])}
