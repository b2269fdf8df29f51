"""Levels of factors as columns: which factors vary, and what their columns are called."""

from __future__ import annotations

from collections.abc import Sequence

from reports.records import Records


def factors(records: Records) -> list[str]:
    """Every factor that an arm has a level of, in the order of the arms; `variant` is that of arms
    beside the grid."""
    return list(dict.fromkeys(key for arm in records.arms for key in arm.levels))


def varying(records: Records) -> list[str]:
    """The factors whose levels differ; an arm without one counts as another level."""
    return [
        key for key in factors(records) if len({arm.levels.get(key) for arm in records.arms}) > 1
    ]


def are_several(records: Records) -> bool:
    """Whether arms are better told by columns of levels than by one label."""
    keys = varying(records)
    told = {tuple(arm.levels.get(key) for key in keys) for arm in records.arms}
    return sum(key != "variant" for key in keys) > 1 and len(told) == len(records.arms)


def titles(keys: Sequence[str]) -> list[str]:
    """Dotted keys by as many of their last words as tell them apart: `length`, `mixer.length`."""
    found = [1] * len(keys)
    for _ in keys:
        short = [_last(key, num) for key, num in zip(keys, found, strict=True)]
        found = [
            num + (short.count(name) > 1 and name != key)
            for key, num, name in zip(keys, found, short, strict=True)
        ]
    return [_last(key, num) for key, num in zip(keys, found, strict=True)]


def _last(key: str, num: int) -> str:
    return ".".join(key.split(".")[-num:])
