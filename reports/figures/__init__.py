"""The figures, as SVG text to be put into a page.

Text stays text; what is black takes the colour of the surrounding page (`currentColor`), so one
drawing serves light and dark; every figure has an alternative text. Equal records give equal
bytes.
"""

from __future__ import annotations

from reports import table as answer_table
from reports.figures import (
    answer,
    by_fact,
    by_length,
    claims,
    effects,
    factors,
    heatmap,
    learning,
    profile,
    survival,
    tradeoff,
)
from reports.figures.markup import Picture, on_white
from reports.figures.named_curves import curves_on_white
from reports.figures.ratios import ratios_on_white
from reports.figures.style import styled
from reports.figures.tuning import draw_tuning
from reports.records import Records, once
from reports.table import Table

__all__ = [
    "Picture",
    "answer_on_white",
    "curves_on_white",
    "draw",
    "draw_tuning",
    "ratios_on_white",
]


@once
def draw(records: Records) -> list[Picture]:
    """Every figure that has something to show."""
    table = answer_table.build(records)
    with styled():
        drawn = [answer.draw(records, table), *claims.draw(records)]
        drawn += [effects.draw(records, table), *heatmap.draw(records, table)]
        drawn += factors.draw(records, table)
        drawn += [profile.draw(records), tradeoff.draw(records, table), survival.draw(records)]
        drawn += learning.draw(records)
        drawn += by_length.draw(records)
        drawn += by_fact.draw(records)
    return [picture for picture in drawn if picture is not None]


def answer_on_white(records: Records, table: Table) -> str:
    """The answer's figure as the text of an SVG file; without a finished run, an empty drawing."""
    with styled():
        picture = answer.draw(records, table)
    return '<svg xmlns="http://www.w3.org/2000/svg"/>\n' if picture is None else on_white(picture)
