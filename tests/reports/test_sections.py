"""Tables beside the answer: lengths, edits, drawn targets, facts; real targets everywhere."""

from __future__ import annotations

import html
import io
import re

import pytest
from rich.console import Console

import reports
from reports import (
    breakdown,
    edits,
    exact_match,
    figures,
    lengths,
    optimum,
    records,
    sections,
    table,
)
from reports.grid import Grid
from reports.remarks import remarks
from reports.statistics import mean_interval
from reports.table import estimate_text, quantity_text

SPEC = {"task": {"name": "associative_recall", "length": 24}, "model": {}, "train": {}}
REAL = {
    "errors": {"oracle": 1e-15, "constant 1": 0.17, "second number": 0.083},
    "shortcuts": {"constant 1": 0.08, "second number": 0.11},
    "chance": 0.0784,
    "oracle": 1.0,
}


@pytest.fixture
def measure(maker):
    """An arm with runs of these test measurements (a list for each metric), then its folder."""

    def arm(label="own", slices=lambda seed: (), facts=(), **metrics) -> str:
        made = maker.arm(label, SPEC, **dict(facts))
        for seed in range(min(len(values) for values in metrics.values())):
            accuracy = metrics["accuracy"][seed]
            run_id = maker.run(made, seed, accuracy=accuracy, slices=slices(seed))
            for metric, values in metrics.items():
                if metric != "accuracy":
                    row = (run_id, "test", metric, 1600, values[seed])
                    maker.db.execute("INSERT OR REPLACE INTO measurements VALUES (?,?,?,?,?)", row)
        return made

    return arm


# -- lengths --------------------------------------------------------------------------------------

BY_LENGTH = {
    "accuracy": [1.0, 0.9, 0.95],
    "accuracy, length 12": [1.0, 1.0, 1.0],
    "loss, length 12": [0.001, 0.002, 0.001],
    "accuracy, length 96": [0.5, 0.3, 0.4],
    "loss, length 96": [2.0, 3.0, 2.5],
    "accuracy, h swapped": [0.1, 0.1, 0.1],  # no length
    "accuracy, vocab 7": [0.1, 0.1, 0.1],  # no parameter of the task
}


def test_the_trained_length_stands_among_the_others(measure, maker):
    measure(**BY_LENGTH)
    found = lengths.at_lengths(records.read(maker.done()))
    assert [(each.word, each.length, each.is_trained) for each in found] == [
        ("length", 12, False),
        ("length", 24, True),
        ("length", 96, False),
    ]
    assert found[2].accuracy == mean_interval([0.5, 0.3, 0.4])
    assert found[2].loss == mean_interval([2.0, 3.0, 2.5])
    assert found[1].accuracy.value == pytest.approx(0.95) and found[1].accuracy.high == 1


def test_lengths_that_were_asked_for_need_not_be_doubled(measure, maker):
    metrics = {"accuracy": [0.75], "accuracy, length 24": [0.75], "loss, length 24": [0.5]}
    measure(**metrics)
    (only,) = lengths.at_lengths(records.read(maker.done()))
    assert only.is_trained and only.loss == (0.5, None, None)


@pytest.mark.parametrize("width", [80, 200])
def test_lengths_in_terminal_page_and_frames(measure, maker, width):
    measure(**BY_LENGTH)
    measure("none <b>", accuracy=[0.5, 0.5], **{"accuracy, length 96": [0.25, 0.25],
                                                "loss, length 96": [3.0, 3.0]})  # fmt: skip
    measure("untested", accuracy=[0.5])
    folder = maker.done()
    page, text = _page(folder), _terminal(folder, width)
    assert max(map(len, text.splitlines())) <= width
    cells = ["1.000 [1.000, 1.000]", "* 0.950 [0.83, 1.00]", "0.400 [0.15, 0.65]"]
    assert _row("own", cells) in page
    assert _row("none <b>", ["-", "* 0.500 [0.500, 0.500]", "0.250 [0.250, 0.250]"]) in page
    assert page.count("0.00133 [0, 0.00277]") == 1 and "2.5 [1.26, 3.74]" in page
    assert "accuracy by length" in text and "loss by length" in text
    assert all((cell if width == 200 else cell.split(" [")[0]) in text for cell in cells)
    assert "untested</th>" not in page[page.index("Test length") :].split("<h2>")[0]
    frame = reports.load(folder).lengths
    own = frame[(frame.arm == "own") & (frame.length == 96)]
    assert own.accuracy.tolist() == [0.5, 0.3, 0.4] and not own.is_trained.any()
    assert frame[frame.is_trained].length.unique().tolist() == [24]
    assert len(frame) == 3 * 3 + 2 * 2


def test_exact_matches(measure, maker):
    measure("one answer", accuracy=[0.5, 0.5])
    measure(**BY_LENGTH, **{"exact match": [0.8, 0.7, 0.9], "exact match, length 96": [0.0] * 3})
    folder = maker.done()
    page, near, far = _page(folder), "0.800 [0.55, 1.00]", "0.000 [0.000, 0.000]"
    assert _row("own", [near]) in page and _row("own", [f"* {near}", far]) in page
    (grid,) = exact_match.section(records.read(folder)).grids
    assert [row[0] for row in grid.rows] == ["own"]
    assert "exact match by length" in _terminal(folder, 120)
    frames = reports.load(folder)
    assert frames.runs.exact_match.tolist()[2:] == [0.8, 0.7, 0.9]
    far = frames.lengths[frames.lengths.length == 96]
    assert far.exact_match.tolist() == [0.0] * 3


@pytest.mark.parametrize("num_arms", [1, 6, 7])
def test_the_figure_marks_the_trained_length(measure, maker, num_arms):
    for index in range(num_arms):
        measure(f"arm {index}", **BY_LENGTH)
    (picture,) = [p for p in _figures(maker.done()) if p.title == "Accuracy by test length"]
    for said in ("trained here", "chance", "best shortcut", "arm 0", "12", "96"):
        assert said in picture.svg
    assert "arm 0 1.00 at 12 and 0.40 at 96" in picture.svg


# -- edits ----------------------------------------------------------------------------------------


def _edits(follows, stays, keeps=(1.0, 1.0, 1.0), accuracy=(0.96, 0.95, 0.97)):
    return {
        "accuracy": accuracy,
        "evidence edited, follows": follows,
        "evidence edited, stays": stays,
        "distractor edited, keeps": keeps,
    }


def test_edits_in_terminal_page_and_frames(measure, maker):
    measure("reads", **_edits([0.95, 0.93, 0.96], [0.01, 0.02, 0.01], [0.99, 0.98, 0.97]))
    measure("untested", accuracy=[0.5])
    folder = maker.done()
    (row,) = edits.edited(records.read(folder))
    assert row.neither == pytest.approx(mean_interval([0.04, 0.05, 0.03]))
    assert row.lost == pytest.approx(mean_interval([0.01, 0.02, 0.01]))
    assert not row.is_from_weights  # `stays` is below chance, 1 / 6
    cells = list(map(estimate_text, (row.follows, row.stays, row.neither, row.keeps)))
    assert _row("reads", cells) in _page(folder)
    for width in (80, 120):
        text = _terminal(folder, width)
        assert max(map(len, text.splitlines())) <= width
        assert all((cell if width == 120 else cell[:5]) in text for cell in cells)
        assert "distractor keeps" in text and ("had no room" in text) == (width == 80)
    runs = reports.load(folder).runs.set_index("arm")
    assert runs.follows["reads"].tolist() == [0.95, 0.93, 0.96]
    assert runs.stays["reads"].tolist() == [0.01, 0.02, 0.01]
    assert runs.keeps["reads"].tolist() == [0.99, 0.98, 0.97]


@pytest.mark.parametrize(
    "follows, stays, is_from_weights",
    [
        ([0.3, 0.32, 0.31], [0.6, 0.62, 0.61], True),
        ([0.3, 0.32, 0.31], [0.16, 0.17, 0.18], False),  # as chance has it
        ([0.3, 0.32, 0.31], [0.1, 0.5, 0.3], False),  # too uncertain
        ([0.96, 0.95, 0.97], [0.6, 0.62, 0.61], False),  # follows all the same
        ([0.3], [0.6], False),  # one run says nothing certain
    ],
)
def test_answers_from_the_weights_are_told(measure, maker, follows, stays, is_from_weights):
    measure("learned by heart", **_edits(follows, stays))
    found = records.read(maker.done())
    assert edits.edited(found)[0].is_from_weights == is_from_weights
    said = [r.text for r in remarks(found, table.build(found)) if "from its weights" in r.text]
    assert len(said) == is_from_weights
    if said:
        assert said[0] == (
            "'learned by heart' answers from its weights: with the evidence edited it still gives "
            "the old answer in 0.610 [0.585, 0.635] of the cases (chance 0.167) and is right less "
            "often than before, by 0.650 [0.61, 0.69]."
        )


# -- drawn targets --------------------------------------------------------------------------------


def _drawn(legal):
    return {
        "accuracy": [0.7, 0.72],
        "loss above optimum": [0.0123, 0.0125],
        "KL from optimum": [0.0012, 0.0014],
        "total variation": [0.031, 0.029],
        "legal": legal,
    }


def test_distances_from_the_best_predictor(measure, maker):
    measure("near", **_drawn([1.0, 1.0]), facts={"oracle": 0.75})
    folder = maker.done()
    (row,) = optimum.distances(records.read(folder))
    assert row.variation == mean_interval([0.031, 0.029]).clipped(0, 1)
    assert row.loss == mean_interval([0.0123, 0.0125])
    cells = [quantity_text(row.loss), quantity_text(row.divergence), estimate_text(row.variation)]
    assert _row("near", cells) in _page(folder)
    assert "0.0124 [0.0111, 0.0137]" in _terminal(folder, 120)
    assert "legal" not in _page(folder) and "legal" not in _terminal(folder, 200)
    runs = reports.load(folder).runs
    assert runs.kl_from_optimum.tolist() == [0.0012, 0.0014]
    assert runs.loss_above_optimum.tolist() == [0.0123, 0.0125]
    assert runs.total_variation.tolist() == [0.031, 0.029] and runs.oracle.tolist() == [0.75] * 2
    assert "optimum" in _terminal(folder, 200).splitlines()[3]
    (row,) = table.build(records.read(folder)).rows
    assert row.optimum == 0.75


def test_the_best_simpler_predictor_stands_beside(measure, maker):
    excess = {"counts of order 0": 0.2, "counts of order 1": 0.05}
    measure("near", **_drawn([1.0, 1.0]), facts={"excess": excess})
    measure("plain", **_drawn([1.0, 1.0]))
    (grid,) = optimum.section(records.read(maker.done())).grids
    assert grid.head[-1] == "simple"
    assert [row[-1] for row in grid.rows] == ["0.05, counts of order 1", "-"]


def test_illegal_answers_are_shown_for_all_arms_if_any_gives_one(measure, maker):
    measure("near", **_drawn([1.0, 1.0]))
    measure("far", **_drawn([0.9, 1.0]))
    page = _page(maker.done())
    assert '<th scope="col">legal</th>' in page and "are possible at all" in page
    assert page.count("1.000 [1.000, 1.000]") == 1 and "0.950 [0.31, 1.00]" in page


def test_an_oracle_that_is_always_right_is_no_column(measure, maker):
    measure(accuracy=[0.7], facts={"oracle": 1.0})
    measure("b", accuracy=[0.7], facts={"oracle": None})
    found = table.build(records.read(maker.done()))
    assert [row.optimum for row in found.rows] == [None, None]
    assert "optimum" not in [column.title for column in found.columns]


# -- facts ----------------------------------------------------------------------------------------


def _by_distance(seed):
    """Accuracy falls with the distance; one value of `pairs`; two of `depth`, which matter not."""
    far = [("distance", d, 1 - d / 100 - seed / 50, 10, d / 10) for d in range(1, 21)]
    return [*far, ("pairs", 4, 0.8, 200, 1.0), ("depth", 1, 0.8, 50, 1.0),
            ("depth", 2, 0.81, 150, 1.0)]  # fmt: skip


def test_values_are_gathered_into_parts_of_equal_counts(measure, maker):
    measure(accuracy=[0.9, 0.88], slices=_by_distance)
    found = breakdown.by_fact(records.read(maker.done()))
    assert [each.fact for each in found] == ["distance", "depth"]  # `pairs` has one value
    distance, depth = found
    assert distance.parts == [(1, 4), (5, 8), (9, 12), (13, 16), (17, 20)]
    assert depth.parts == [(1, 1), (2, 2)]
    ((arm, estimates),) = distance.rows
    assert arm == "own" and estimates[0].high == 1
    assert estimates[0][:2] == pytest.approx(mean_interval([0.975, 0.955])[:2])
    assert distance.varies and not depth.varies


def test_means_are_weighed_by_targets(measure, maker):
    slices = [("depth", d, float(d == 3), d, 0.0) for d in range(1, 11)]
    measure(accuracy=[0.9], slices=lambda seed: slices)
    (found,) = breakdown.by_fact(records.read(maker.done()))
    assert found.parts == [(1, 5), (6, 7), (8, 9), (10, 10)]
    assert found.rows[0][1][0].value == pytest.approx(3 / 15)


@pytest.mark.parametrize(
    "counts, parts",
    [
        ([5, 5, 90], [(0, 0), (1, 1), (2, 2)]),
        ([1, 1, 1, 1, 1, 95], [(0, 4), (5, 5)]),
        ([95, 1, 1, 1, 1, 1], [(0, 0), (1, 5)]),
        ([1] * 6, [(0, 1), (2, 3), (4, 5)]),
    ],
)
def test_a_frequent_value_does_not_swallow_rare_ones(counts, parts):
    assert breakdown._parts(dict(enumerate(counts))) == parts


def test_a_terminal_has_room_for_some_lines_of_facts_alone(measure, maker):
    def slices(seed):
        return [*_by_distance(seed), ("words", 1, 0.5, 9, 1.0), ("words", 2, 0.9, 9, 1.0)]

    for index in range(breakdown.MOST_ROWS // 2 + 1):
        measure(f"arm {index}", accuracy=[0.9, 0.88], slices=slices)
    found = records.read(maker.done())
    (grid,) = breakdown.brief(found).grids
    assert len(grid.rows) == breakdown.MOST_ROWS // 2 + 1
    assert breakdown.brief(found).note.endswith("for lack of room: by words.")
    assert len(breakdown.section(found).grids) == 3


def test_the_page_has_all_facts_and_the_terminal_those_that_matter(measure, maker):
    measure(accuracy=[0.9, 0.88], slices=_by_distance)
    measure("no targets near", accuracy=[0.9, 0.88], slices=lambda seed: _by_distance(seed)[10:])
    folder = maker.done()
    page, text = _page(folder), _terminal(folder, 80)
    assert "accuracy by distance" in page and "accuracy by depth" in page
    assert "accuracy by pairs" not in page
    assert "distance 1-6, 12-14, 18-20" in text and "depth" not in text
    assert re.search(r"  no targets near +- +0\.860 +0\.800 ", text)
    assert max(map(len, text.splitlines())) <= 80
    assert reports.load(folder).slices.columns.tolist()[-2:] == ["num", "loss"]


def test_a_fact_that_has_one_value_in_every_arm_is_left_out(measure, maker):
    for pairs in (4, 8):
        rows = [("pairs", pairs, 0.5, 9, 1.0)]
        measure(f"{pairs} pairs", accuracy=[0.5], slices=lambda seed, rows=rows: rows)
    folder = maker.done()
    assert breakdown.by_fact(records.read(folder)) == []
    assert "Breakdown" not in _page(folder) and "by pairs" not in _page(folder)


# -- real targets ---------------------------------------------------------------------------------


def _errors(seed):
    return [("gap", g, 0.5, 10, 0.001 * g) for g in range(1, 4)]


def test_real_targets_have_squared_errors_everywhere(measure, maker):
    metrics = {
        "accuracy": [0.9, 0.8, 0.85],
        "loss": [0.001, 0.002, 0.0015],
        "accuracy, length 96": [0.3, 0.3, 0.3],
        "loss, length 96": [0.05, 0.05, 0.05],
    }
    measure(slices=_errors, facts=REAL, **metrics)
    folder = maker.done()
    (row,) = table.build(records.read(folder)).rows
    error = mean_interval([0.001, 0.002, 0.0015])
    assert row.squared_error_estimate == error
    assert row.best_shortcut_error == 0.083 and row.optimum is None
    page, text = _page(folder), _terminal(folder, 200)
    assert "accuracy the share of answers within the task's tolerance" in page
    titles = text.splitlines()[3].split()
    assert titles[:3] == ["arm", "accuracy", "MSE"] and "shortcut" in titles
    for said in ("0.0015", "[0.000258, 0.00274]", "0.083"):
        assert said in page and said in text
    assert "squared error by length" in text and "0.05 [0.05, 0.05]" in text
    assert "loss by length" not in text
    assert _row("own", ["0.001 [0.001, 0.001]", "0.002 [0.002, 0.002]",
                        "0.003 [0.003, 0.003]"]) in page  # fmt: skip
    assert "squared error by fact, arm" in text and "gap 1, 2, 3" in text
    (picture,) = [p for p in _figures(folder) if p.title == "Squared error by gap"]
    assert ">0.001<" in picture.svg and ">0.05<" in picture.svg and "math" not in picture.svg
    assert "best shortcut" in picture.svg and "own 0.001 at 1 and 0.003 at 3" in picture.svg
    csv = dict(zip(*(line.split(",") for line in reports.to_csv(folder).splitlines()), strict=True))
    assert csv["squared_error"] == csv["loss"] == "0.0015" and csv["best_shortcut_error"] == "0.083"
    assert csv["squared_error_high"] == f"{error.high:.6g}" and csv["optimum"] == ""


def test_targets_of_both_kinds_are_broken_down_apart(measure, maker):
    measure("numbers", accuracy=[0.9], slices=_errors, facts=REAL)
    measure("classes", accuracy=[0.9], slices=_errors)
    folder = maker.done()
    found = breakdown.by_fact(records.read(folder))
    assert [(each.title, [arm for arm, _ in each.rows]) for each in found] == [
        ("accuracy by gap", ["classes"]),
        ("squared error by gap", ["numbers"]),
    ]
    titles = [picture.title for picture in _figures(folder)]
    assert {"Accuracy by gap", "Squared error by gap"} <= set(titles)
    rows = table.build(records.read(folder)).rows
    assert [row.squared_error is None for row in rows] == [False, True]


def test_eighty_columns_suffice_for_real_targets_and_a_baseline(make):
    maker = make(baseline="second")
    for label in ("first", "second"):
        arm = maker.arm(label, **REAL)
        for seed in range(3):
            maker.run(arm, seed, accuracy=0.5 + seed / 10)
    text = _terminal(maker.done(), 80)
    assert max(map(len, text.splitlines())) <= 80 and "MSE" in text and "baseline" in text


def test_the_loss_of_real_targets_is_no_nats(make):
    maker = make(metric="loss")
    for label in ("first", "second"):
        maker.run(maker.arm(label, **REAL), 0, accuracy=0.5 if label == "first" else 0.9)
    text = _terminal(maker.done(), 200)
    assert "Lowest mean test loss: 'second' (mean squared error 0.31, accuracy 0.900)" in text
    assert "nats" not in text


# -- what is not above the shortcuts --------------------------------------------------------------


def _said(folder) -> str:
    found = records.read(folder)
    return "\n".join(remark.text for remark in remarks(found, table.build(found)))


def test_an_interval_that_reaches_the_best_shortcut_is_told(measure, maker):
    measure("unclear", accuracy=[0.45, 0.6, 0.75])
    measure("clear", accuracy=[0.6, 0.61, 0.62])
    measure("low", accuracy=[0.4, 0.41, 0.42])
    measure("one run", accuracy=[0.6])
    said = _said(maker.done())
    assert (
        "Not clearly above what needs no learning, which the interval of the accuracy reaches: "
        "'unclear' (most frequent value 0.387)." in said
    )
    assert "At the floor, within 0.05 of the best shortcut or chance: 'low'." in said


def test_the_floor_is_chance_where_shortcuts_are_worse(measure, maker):
    measure(accuracy=[0.3], facts={"chance": 0.28, "shortcuts": {"last value": 0.1}})
    folder = maker.done()
    assert "Floor: no arm beats chance (0.280)" in _said(folder)
    (row,) = table.build(records.read(folder)).rows
    assert (row.floor, row.floor_name) == (0.28, "chance")


@pytest.mark.parametrize(
    "losses, is_told",
    [([0.01, 0.02, 0.01], False), ([0.01, 0.2, 0.1], True), ([0.02], False), ([0.09], True)],
)
def test_a_squared_error_that_reaches_the_shortcuts_is_told(measure, maker, losses, is_told):
    measure(accuracy=[0.9] * len(losses), loss=losses, facts=REAL)
    text = "Squared error not clearly below that of the best shortcut, given in brackets: "
    assert (text + "'own' (0.083)." in _said(maker.done())) == is_told


def test_a_small_chance_is_not_rounded_to_nothing(measure, maker):
    measure(accuracy=[0.3], facts={"chance": 1 / 4096, "shortcuts": {"none": 0.0}})
    line = _terminal(maker.done(), 200).splitlines()[5].split()
    assert line[5:7] == ["0", "0.00024"]


# -- tables ---------------------------------------------------------------------------------------


def test_a_table_that_is_too_wide_has_a_line_for_each_column():
    grid = Grid(("edits", "follows", "stays"), [("a", "1", "2"), ("b", "3", "-")])
    assert grid.within(80) == grid
    head, rows, _ = grid.within(20)
    assert head == ("edits", "")
    assert rows == [("a", ""), ("  follows", "1"), ("  stays", "2"),
                    ("b", ""), ("  follows", "3"), ("  stays", "-")]  # fmt: skip


def test_intervals_give_way_to_narrow_terminals():
    grid = Grid(("a [b, c]", "x"), [("[d, e]", "* 0.5 [0.4, 0.6]"), ("f", "-")])
    assert grid.within(30) == grid and grid.intervals == 1
    assert grid.within(20).rows == [("[d, e]", "* 0.5"), ("f", "-")]
    assert grid.within(20).intervals == 0


def test_rows_of_two_names_stand_below_their_first():
    grid = Grid(("arm", "kernel", "accuracy"), [("a", "x", "1"), ("a", "y", "2"), ("b", "x", "3")],
                2)  # fmt: skip
    head, rows, _ = grid.within(80)
    assert head == ("arm, kernel", "accuracy")
    assert rows == [("a", ""), ("  x", "1"), ("  y", "2"), ("b", ""), ("  x", "3")]


def test_without_such_measurements_there_are_no_sections(maker):
    maker.run(maker.arm("own"), 0)
    maker.run(maker.arm("other"), 0, status=None)
    found = records.read(maker.done())
    assert sections.for_page(found) == sections.for_terminal(found) == []


def _row(arm: str, cells: list[str]) -> str:
    """A row of a table of the page, as `_page` gives it."""
    return f'<tr><th scope="row">{arm}</th>' + "".join(f"<td>{cell}</td>" for cell in cells)


def _page(folder) -> str:
    text = html.unescape(reports.write_html(folder).read_text())
    return re.sub(r">\s+<", "><", text)


def _terminal(folder, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    reports.show(folder, console)
    return console.file.getvalue()


def _figures(folder):
    found = records.read(folder)
    return figures.draw(found)
