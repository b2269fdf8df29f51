"""Interventions and kernel lengths: paired drops, the same in terminal and page."""

from __future__ import annotations

import html
import io
import re

import numpy as np
import pytest
from rich.console import Console

import reports
from reports import kernels, records
from reports.statistics import mean_interval

ACCURACIES = {"own": [0.9, 0.8, 0.95], "constant": [0.6, 0.5, 0.7], "attention": [1.0, 1.0, 1.0]}
SWAPPED = {"own": [0.5, 0.5, 0.6], "constant": [0.6, 0.5, 0.7]}


@pytest.fixture
def folder(maker):
    """Three arms of three seeds, two of them with interventions, and one run that diverged."""
    for label, values in ACCURACIES.items():
        arm = maker.arm(label)
        for seed, accuracy in enumerate(values):
            run_id = maker.run(arm, seed, accuracy=accuracy)
            tested = {}
            if label in SWAPPED:
                tested["accuracy, h swapped"] = SWAPPED[label][seed]
                tested["accuracy, h truncated to 4 taps"] = accuracy + 0.01 * seed
                for layer in (1, 2, 10):
                    tested[f"effective length of h, layer {layer}"] = layer + 0.5
            tested["effective length of h0, layer 1"] = 2.0 + seed
            for metric, value in tested.items():
                maker._insert("measurements", (run_id, "test", metric, 1600, value))
        maker.run(arm, 3, status="diverged")
    return maker.done()


def _terminal(folder, width: int) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    reports.show(folder, console)
    return console.export_text()


def test_drops_are_paired_by_run(folder):
    rows = kernels.interventions(records.read(folder))
    assert [(row.arm, row.kernel) for row in rows] == [
        (arm, kernel)
        for arm in ("own", "constant")
        for kernel in ("as trained", "swapped", "truncated to 4 taps")
    ]
    drops = np.subtract(ACCURACIES["own"], SWAPPED["own"])
    assert rows[1].accuracy == mean_interval(SWAPPED["own"])
    assert rows[1].drop == pytest.approx(mean_interval(drops))
    assert rows[0].drop is None
    assert rows[4].drop == (0.0, 0.0, 0.0)
    assert rows[4].cells[-1] == "+0.000"


def test_lengths_stand_layer_by_layer(folder):
    found = kernels.lengths(records.read(folder))
    assert found.kernels == ["h, layer 1", "h0, layer 1", "h, layer 2", "h, layer 10"]
    assert [arm for arm, _ in found.rows] == list(ACCURACIES)
    assert found.cells[0][1] == ["1.5 [1.5, 1.5]", "3.0 [0.5, 5.5]", "2.5 [2.5, 2.5]",
                                 "10.5 [10.5, 10.5]"]  # fmt: skip
    assert found.cells[2][1] == ["-", "3.0 [0.5, 5.5]", "-", "-"]


@pytest.mark.parametrize("width", [80, 200])
def test_terminal_and_page_say_the_same(folder, width):
    text = _terminal(folder, width)
    page = html.unescape(reports.write_html(folder).read_text())
    assert max(map(len, text.splitlines())) <= width
    assert (
        page.count("<h2>Interventions</h2>") == page.count("<h2>Effective kernel lengths</h2>") == 1
    )
    for row in kernels.interventions(records.read(folder)):
        arm, kernel, accuracy, drop = row.cells
        line = rf"  {re.escape(kernel)} +{re.escape(accuracy)} +{re.escape(drop)}"
        assert re.search(line, text)
        cells = rf'>{arm}</th>\s*<td class="text">{kernel}</td>\s*<td>{re.escape(accuracy)}</td>'
        assert re.search(cells + rf"\s*<td>{re.escape(drop)}</td>", page)
    assert "causal share of data dependence" in " ".join(text.split())
    assert "10.5 [10.5, 10.5]" in page


def test_without_measurements_there_is_no_table(maker):
    arm = maker.arm("own")
    maker.run(arm, 0)
    maker.run(arm, 1, status=None)
    folder = maker.done()
    assert kernels.interventions(records.read(folder)) == []
    assert kernels.lengths(records.read(folder)) is None
    assert "nterventions" not in _terminal(folder, 120)
    assert "nterventions" not in reports.write_html(folder).read_text()


def test_one_run_has_a_value_and_no_interval(maker):
    run_id = maker.run(maker.arm("<own>"), 0, accuracy=0.75)
    maker._insert("measurements", (run_id, "test", "accuracy, h removed", 1600, 0.5))
    folder = maker.done()
    (_, row) = kernels.interventions(records.read(folder))
    assert row.cells == ("<own>", "removed", "0.500", "+0.250")
    assert "<own>" not in reports.write_html(folder).read_text()
