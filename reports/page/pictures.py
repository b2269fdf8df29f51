"""Figures in their groups, as markup of which no name occurs twice on a page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from reports.figures import Picture

GROUPS = (  # title, and how the titles of its figures begin; what is in none is in the first
    ("The arms compared", ()),
    ("The claims in figures", ("Claim ",)),
    ("Learning", ("Learning curves", "Steps to solve")),
    ("By length and by fact", ("Accuracy by ", "Squared error by ")),
)


class Group(NamedTuple):
    """Figures under one title."""

    title: str
    figures: list[Picture]


def grouped(pictures: Sequence[Picture], prefix: str) -> list[Group]:
    """Groups that have figures, each in the order in which they were drawn."""
    found: dict[str, list[Picture]] = {title: [] for title, _ in GROUPS}
    for picture in pictures:
        found[_group(picture)].append(marked(picture, prefix))
    return [Group(title, figures) for title, figures in found.items() if figures]


def marked(picture: Picture, prefix: str) -> Picture:
    """Its drawing taken as markup by the template; prefix: of its names."""
    return picture._replace(svg=Markup(_prefixed(picture.svg, prefix)))


def _group(picture: Picture) -> str:
    for title, beginnings in GROUPS:
        if picture.title.startswith(beginnings):
            return title
    return GROUPS[0][0]


def _prefixed(svg: str, prefix: str) -> str:
    """In tags alone: what a label says is left as it is."""
    if not prefix:
        return svg

    def mend(tag: re.Match) -> str:
        return re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{prefix}", tag[0])

    return re.sub(r"<[^>]+>", mend, svg)
