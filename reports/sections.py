"""The tables beside the answer, in the order in which terminal and page show them."""

from __future__ import annotations

from reports import (
    aggregates,
    breakdown,
    compute,
    edits,
    effects,
    exact_match,
    factors,
    kernels,
    lengths,
    multiverse,
    optimum,
    scores,
)
from reports.claims.text import section as claims_section
from reports.grid import Section
from reports.records import Records


def for_page(records: Records) -> list[Section]:
    """Those that have something to show."""
    first = multiverse.section(records) or claims_section(records)
    return [first, *beside(records)] if first else beside(records)


def beside(records: Records) -> list[Section]:
    """Those of them that do not judge the claims."""
    found = [
        scores.section(records),
        aggregates.section(records),
        effects.section(records),
        factors.section(records),
        compute.section(records),
        exact_match.section(records),
        lengths.section(records),
        edits.section(records),
        optimum.section(records),
        breakdown.section(records),
        kernels.intervention_section(records),
        kernels.length_section(records),
    ]
    return [section for section in found if section is not None]


def for_terminal(records: Records) -> list[Section]:
    """The same, in short."""
    found = [
        multiverse.section(records) or claims_section(records),
        scores.section(records),
        compute.section(records),
        lengths.section(records),
        edits.section(records),
        optimum.section(records),
        breakdown.brief(records),
        kernels.intervention_section(records),
    ]
    return [section for section in found if section is not None]
