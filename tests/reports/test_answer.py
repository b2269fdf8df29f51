"""The answer table and its three faces; remarks and the sentence."""

from __future__ import annotations

import csv
import html
import io
import re

import numpy as np
import pytest
from rich.console import Console

import reports
from harness.foundation.errors import HarnessError
from reports import records, table
from reports.remarks import answer, remarks

CURVE = [(100, 0.5), (200, 0.9), (1600, 0.95)]


def test_every_arm_has_a_row_in_its_order(folder):
    rows = _csv(folder)
    assert [row["arm"] for row in rows] == [arm.label for arm in records.read(folder).arms]
    assert {"arm", "accuracy", "solve_rate", "steps_to_solve", "n"} <= set(rows[0])


def test_numbers_are_those_of_the_runs(folder):
    runs = reports.load(folder).runs
    for row in _csv(folder):
        own = runs[(runs.arm == row["arm"]) & (runs.purpose == "confirmation")]
        assert float(row["accuracy"]) == pytest.approx(own.accuracy.mean(), rel=1e-5)
        ended = own[own.status.isin(["finished", "diverged"])]
        solve_rate = ended.steps_to_solve.notna().mean()
        assert float(row["solve_rate"]) == pytest.approx(solve_rate, abs=1e-5)
        for status in ("diverged", "failed", "missing"):
            assert int(row[status]) == (own.status == status).sum()


def test_terminal_csv_and_page_say_the_same(folder, page):
    text, page = _terminal(folder, 200), html.unescape(page)
    for row in _csv(folder):
        number = f"{float(row['accuracy']):.3f}"
        line = next(line for line in text.splitlines() if line.startswith(row["arm"] + " "))
        assert number in line and f"{row['solved']}/" in line
        assert re.search(rf">{re.escape(row['arm'])}</th>\s*<td>{number} \[", page)
    for remark in remarks(*_both(folder)):
        assert remark.text in _squeezed(text) and remark.text in page
    assert answer(*_both(folder)) in _squeezed(text)
    assert answer(*_both(folder)) in page


def test_eighty_columns_suffice(folder):
    lines = _terminal(folder, 80).splitlines()
    assert max(map(len, lines)) <= 80
    assert "baseline" in "".join(lines) and ">1600" in "".join(lines)


def test_remarks_of_a_partial_mixed_ledger(folder):
    said = "\n".join(remark.text for remark in remarks(*_both(folder)))
    for part in (
        "1 of 21 planned runs is missing",
        "1 run failed: 'shuffled' seed 2 (RuntimeError: shapes <64> & <32> do not fit)",
        "1 run diverged: 'none' seed 0",
        "Regimes are mixed (bidirectional: 6, causal: 1)",
        "Runs differ in torch: 2.13.0: 18, 2.12.1: 1",
        "Tuning of 'none': the largest learning rate",
        "no exact permutation test",
        "within 0.05 of the best shortcut or chance: 'none'",
    ):
        assert part in said


def test_the_sentence_claims_no_more_than_the_data(folder):
    said = answer(*_both(folder))
    assert said.startswith("So far (runs are missing), highest mean accuracy: 'attention'")
    assert "not separated from 'own'" in said
    assert re.search(r"difference in accuracy \+0\.\d+ \[\+0\.\d+, \+0\.\d+\]\.$", said)


def test_no_finished_run_gives_dashes(maker):
    arm = maker.arm("only")
    maker.run(arm, 0, status=None)
    folder = maker.done()
    (row,) = _csv(folder)
    assert (row["accuracy"], row["solve_rate"], row["steps_to_solve"]) == ("", "", "")
    assert (row["n"], row["missing"]) == ("0", "1")
    assert "no answer" in _squeezed(_terminal(folder, 80))
    assert "<td>-</td>" in _page_text(folder)


def test_runs_that_wait_for_a_choice_count_as_missing(make):
    maker = make(to_choose=3)
    arm = maker.arm("only")
    maker.run(arm, 0, purpose="selection")
    folder = maker.done()
    assert _csv(folder)[0]["missing"] == "3"
    assert "3 more runs wait" in _terminal(folder, 200)
    assert "0 of 3 runs finished, 3 missing" in _page_text(folder)
    assert "not chosen yet, 1 of 1 runs ended" in _page_text(folder)


def test_one_seed_has_no_interval(maker):
    maker.run(maker.arm("only"), 0, accuracy=0.75, curve=CURVE)
    folder = maker.done()
    (row,) = _csv(folder)
    assert (row["accuracy"], row["accuracy_low"]) == ("0.75", "")
    assert "0.750 [" not in _terminal(folder, 200)
    assert "A single finished run has no interval: 'only'" in _terminal(folder, 200)


def test_equal_values_give_a_point_and_a_remark(make):
    maker = make(baseline="b")
    for label, accuracy in (("a", 1.0), ("b", 0.5)):
        arm = maker.arm(label)
        for seed in range(3):
            maker.run(
                arm, seed, accuracy=accuracy, curve=CURVE, solved=200 if label == "a" else None
            )
    folder = maker.done()
    first = _csv(folder)[0]
    assert [first[k] for k in ("accuracy_low", "accuracy_high", "difference_low")] == [
        "1",
        "1",
        "0.5",
    ]
    text = _squeezed(_terminal(folder, 200))
    assert "nan" not in text.lower() and "All seeds scored the same: 'a' and 'b'" in text
    assert "nan" not in reports.write_html(folder).read_text().lower().replace("nance", "")


def test_floor_and_ceiling(maker):
    arm = maker.arm("a")
    maker.run(arm, 0, accuracy=0.4, curve=[(100, 0.4)], solved=100)
    said = "\n".join(remark.text for remark in remarks(*_both(maker.done())))
    assert (
        "Floor: no arm beats most frequent value (0.387)" in said and "Ceiling: every run" in said
    )


def test_a_diverged_run_is_unsolved_and_has_no_accuracy(maker):
    arm = maker.arm("a")
    maker.run(arm, 0, accuracy=1.0, solved=300)
    for seed in (1, 2):
        maker.run(arm, seed, status="diverged")
    (row,) = _csv(maker.done())
    assert (row["accuracy"], row["n"], row["diverged"]) == ("1", "1", "2")
    assert (row["solve_rate"], row["steps_to_solve"]) == ("0.333333", ">1600")


@pytest.mark.parametrize("metric", ["loss", "steps_to_solve"])
def test_the_sentence_follows_the_metric(make, metric):
    maker = make(metric=metric, baseline="slow")
    for label, solved in (("fast", 300), ("slow", None)):
        arm = maker.arm(label)
        for seed in range(2):
            maker.run(arm, seed, accuracy=0.99 if solved else 0.5 + seed / 10, solved=solved)
    said = answer(*_both(maker.done()))
    head = {"loss": "Lowest mean test loss: 'fast'", "steps_to_solve": "Solved soonest: 'fast'"}
    assert said.startswith(head[metric]) and "the baseline 'slow' has" in said


@pytest.mark.parametrize("label", ["=cmd()", "+1", "-1", "@x", " =1", "\t=1"])
def test_csv_cells_are_no_formulas(maker, label):
    maker.run(maker.arm(label), 0)
    (row,) = _csv(maker.done())
    assert row["arm"].startswith("'")


def test_control_characters_do_not_reach_the_terminal(maker):
    maker.run(maker.arm("a\x1b[31mb\n[bold]c[/bold]"), 0)
    text = _terminal(maker.done(), 120)
    assert "\x1b" not in text and "[bold]" in text


def test_frames_are_tidy(folder):
    runs, measurements, slices, lengths, *_ = reports.load(folder)
    assert runs.run_id.is_unique and len(runs) == 7 * (6 + 3)
    assert set(runs["train.lr"]) == {1e-3, 3e-3, 1e-2}
    assert runs["model.mixer"].tolist() == runs.arm.tolist()
    assert runs.loc[runs.status != "finished", "accuracy"].isna().all()
    flops = runs.groupby("arm").training_flops.unique()
    assert flops["attention"] == pytest.approx(1.5 * flops["own"])
    assert set(measurements.split) == {"train", "selection", "validation", "test"}
    assert set(slices.fact) == {"distance", "occurrences"}
    assert len(lengths) == 0 and runs[["follows", "legal"]].isna().all(axis=None)
    assert np.isfinite(measurements.value).all()


def test_a_factor_called_like_a_column_yields(maker):
    arm = maker.arm("a")
    maker.db.execute('UPDATE arms SET levels = \'{"loss": "x"}\'')
    maker.run(arm, 0)
    assert reports.load(maker.done()).runs["factor.loss"].tolist() == ["x"]


def test_folders_without_an_answer(tmp_path, maker):
    with pytest.raises(HarnessError, match="no ledger here"):
        reports.load(tmp_path)
    maker.db.execute("DELETE FROM meta WHERE key <> 'version'")
    with pytest.raises(HarnessError, match="nothing has been planned here yet"):
        reports.to_csv(maker.done())


def test_another_version_is_refused(maker):
    maker.db.execute("UPDATE meta SET value = '99' WHERE key = 'version'")
    with pytest.raises(HarnessError, match="version 99"):
        reports.write_html(maker.done())


def _csv(folder):
    return list(csv.DictReader(io.StringIO(reports.to_csv(folder))))


def _terminal(folder, width):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    reports.show(folder, console)
    return console.file.getvalue()


def _page_text(folder):
    return html.unescape(reports.write_html(folder).read_text())


def _squeezed(text):
    return re.sub(r"\s+", " ", text)


def _both(folder):
    found = records.read(folder)
    return found, table.build(found)
