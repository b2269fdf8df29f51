"""In how many protocols a claim holds, and which choice flips it; and the page of all verdicts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ablations import executors, multiverse, runner
from harness.foundation import yaml
from reports import records
from reports.claims import page
from reports.multiverse import Judged, as_data, judged, section
from tests.ablations.examples import SMALL

TEXT = (
    SMALL.replace("confirmation: 2", "confirmation: 3")
    + """
claims:
  - {id: c, kind: greater, a: attention, b: long_conv, statement: It recalls more.}
multiverse: {train.lr: [1e-3, 1e-2], model.width: [4, 8]}
"""
)


def of(*words: str) -> Judged:
    """A claim with these verdicts, under two choices of two levels."""
    verdicts = [SimpleNamespace(word=word) for word in words]
    levels = [{"lr": lr, "width": width} for lr in "ab" for width in "xy"]
    return Judged("c", verdicts, levels)


@pytest.mark.parametrize(
    ("words", "head", "flips"),
    [
        (["supported"] * 4, "holds in 4 of 4", []),
        (["refuted"] * 4, "holds in 0 of 4 (refuted 4)", []),
        (
            ["supported", "supported", "refuted", "inconclusive"],
            "holds in 2 of 4 (refuted 1, inconclusive 1)",
            ["lr"],
        ),
        (
            ["supported", "refuted", "supported", "supported"],
            "holds in 3 of 4 (refuted 1)",
            ["lr", "width"],
        ),
        (["supported", "refuted", "refuted", "supported"], "holds in 2 of 4 (refuted 2)", []),
    ],
)
def test_how_often_it_holds_and_what_flips_it(words, head, flips):
    found = of(*words)
    assert found.head == head
    assert found.flips == flips
    assert all(choice in found.flips_text for choice in flips)


def test_shares_of_a_choice():
    found = of("supported", "refuted", "supported", "supported")
    assert found.shares("width") == {"x": (2, 2), "y": (1, 2)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from ablations.reading import Source

    folder = tmp_path_factory.mktemp("runs") / "small-multiverse-smoke"
    ablation = multiverse.widened(Source(yaml.load(TEXT, "f.yaml"), TEXT, "smoke", ()))
    runner.run(ablation, out=folder, engine=executors.make("local", workers=1))
    return folder


def test_each_protocol_is_judged_by_its_own_runs(folder):
    found = records.read(folder)
    (each,) = judged(found)
    assert each.id == "c" and len(each.verdicts) == 4
    assert [list(levels.values()) for levels in each.levels] == [
        ["0.001", "4"], ["0.001", "8"], ["0.01", "4"], ["0.01", "8"],
    ]  # fmt: skip
    for verdict in each.verdicts:
        assert verdict.family == 1  # each protocol is a family of its own
        assert "the smallest p" in verdict.reason or "floor" in verdict.reason  # three seeds
        assert all(verdict.universe in side.label for side in verdict.conditions.sides)
    (data,) = as_data(found)
    assert data["held"] == 0 and len(data["protocols"]) == 4 and data["flipped_by"] == []


def test_the_report_shows_protocols_and_choices(folder):
    protocols, choices = section(records.read(folder)).grids
    assert protocols.head[0] == "c holds in 0 of 4 (untestable 4)"
    assert protocols.rows[0][0] == "lr=0.001, width=4"
    assert all(row[-1] for row in protocols.rows)  # why
    assert ("train.lr", "0.001", "0 of 2") in choices.rows
    assert choices.head[0] == "no choice alone flips it"


def test_a_multiverse_can_be_loaded_from_its_folder(folder):
    import ablations

    assert len(ablations.load(str(folder)).arms) == 8


def test_the_page_has_every_verdict(folder):
    text = page.render([folder])
    assert "small-multiverse, smoke" in text and "`c` holds in 0 of 4 (untestable 4)" in text
    assert "| lr=0.001, width=4 | untestable | - |" in text and "torch" in text


def test_folders_of_the_library_are_found_in_its_order(folder, tmp_path):
    found = page.library_folders(folder.parent, {"other": tmp_path, "small": tmp_path})
    assert found == [folder]
