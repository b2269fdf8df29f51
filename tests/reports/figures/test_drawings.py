"""What each drawing must say; ledgers from which there is nothing to draw; the same bytes twice."""

from __future__ import annotations

import itertools
from xml.etree import ElementTree

import pytest

from reports import figures, table
from reports.figures import (
    by_distance,
    by_fact,
    claims,
    effects,
    factors,
    heatmap,
    profile,
    survival,
    tradeoff,
)
from reports.figures.heatmap import DARK_TEXT, DEEP, LIGHT_TEXT, PALE, text_colour
from reports.figures.style import MOST_ROWS, styled
from reports.records import read
from tests.reports.claims.planted import accuracies, plant, records_of, steps

DRAWN = {
    "claims": lambda records, _: claims.draw(records),
    "effects": effects.draw,
    "heatmap": heatmap.draw,
    "factors": factors.draw,
    "profile": lambda records, _: profile.draw(records),
    "tradeoff": tradeoff.draw,
    "survival": lambda records, _: survival.draw(records),
}


def drawn(name, records) -> list[figures.Picture]:
    with styled():
        found = DRAWN[name](records, table.build(records))
    found = found if isinstance(found, list) else [found]
    return [picture for picture in found if picture is not None]


def said(picture) -> str:
    """All that is written in a drawing."""
    return " ".join(" ".join(ElementTree.fromstring(picture.svg).itertext()).split())


def alternative(picture) -> str:
    return ElementTree.fromstring(picture.svg).get("aria-label")


def grid(make, names, runs, *, tasks=(), **meta):
    """A full grid: factor -> levels; runs: levels -> outcomes of a run each. tasks: factors whose
    levels are tasks."""
    maker = make(factors=names, **meta)
    for index, levels in enumerate(itertools.product(*names.values())):
        named = dict(zip(names, levels, strict=True))
        spec = {"task": {"name": "recall", **{k: named[k] for k in tasks}}, "model": named}
        label = ", ".join(levels)
        arm = maker.arm(label, spec, named, flops_per_token=1000.0 * (1 + index))
        for seed, outcome in enumerate(runs(levels)):
            maker.run(arm, seed, **outcome)
    return read(maker.done())


TWO = {"model.mixer": ["orchid", "attention"], "task.length": ["12", "24", "48"]}


def outcomes(levels):
    """Orchid solves, later at greater lengths; attention does not."""
    if levels[0] != "orchid":
        return [{"accuracy": 0.41}, {"accuracy": 0.45}]
    length = int(levels[1])
    return [{"accuracy": 0.99, "solved": 10 * length}, {"accuracy": 0.97, "solved": 12 * length}]


# -- nothing to draw ------------------------------------------------------------------------------


def of_no_arms(maker):
    pass


def of_one_arm_planned(maker):
    maker.run(maker.arm("a", levels={"f": "1", "g": "x"}), 0, status=None)


def of_runs_that_failed(maker):
    for f, g in itertools.product("12", "xy"):
        arm = maker.arm(f + g, levels={"f": f, "g": g})
        for seed in range(2):
            maker.run(arm, seed, status="failed")


def of_runs_that_diverged(maker):
    for f, g in itertools.product("12", "xy"):
        arm = maker.arm(f + g, levels={"f": f, "g": g})
        for seed in range(2):
            maker.run(arm, seed, status="diverged")


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize(
    "plant", [of_no_arms, of_one_arm_planned, of_runs_that_failed, of_runs_that_diverged]
)
def test_without_results_nothing_is_drawn(make, name, plant):
    maker = make(factors={"f": ["1", "2"], "g": ["x", "y"]}, baseline="1x")
    plant(maker)
    assert drawn(name, read(maker.done())) == []


@pytest.mark.parametrize("name", sorted(set(DRAWN) - {"survival"}))
def test_one_run_alone_is_compared_with_nothing(maker, name):
    maker.run(maker.arm("a"), 0, accuracy=0.9, solved=100)
    assert drawn(name, read(maker.done())) == []


def test_single_runs_are_drawn_without_intervals(make):
    records = grid(make, TWO, lambda levels: outcomes(levels)[:1], baseline="attention, 12",
                   tasks=["task.length"])  # fmt: skip
    for name in set(DRAWN) - {"claims"}:
        assert drawn(name, records), name


@pytest.mark.parametrize("name", ["effects", "survival", "profile", "factors"])
def test_what_has_a_mark_for_each_arm_is_left_out_where_they_are_too_many(make, name):
    names = {"model.mixer": [f"m{i}" for i in range(MOST_ROWS + 2)], "task.length": ["1", "2"]}
    records = grid(make, names, lambda _: [{"accuracy": 0.9, "solved": 100}], baseline="m0, 1",
                   tasks=["task.length"])  # fmt: skip
    assert drawn(name, records) == []


def test_the_same_records_give_the_same_bytes(make):
    records = grid(make, TWO, outcomes, baseline="attention, 12", tasks=["task.length"])
    for name in DRAWN:
        first, second = ([p.svg for p in drawn(name, records)] for _ in range(2))
        assert first == second, name


# -- heatmap --------------------------------------------------------------------------------------


def test_cells_have_their_numbers_and_levels_their_names(make):
    accuracy, solving = drawn("heatmap", grid(make, TWO, outcomes))
    assert accuracy.title == "Accuracy by factors"
    for word in ("0.98", "0.43", "orchid", "attention", "12", "24", "48", "mixer", "length"):
        assert word in said(accuracy)
    assert "orchid, 24: 0.98" in alternative(accuracy)
    for word in ("132", "264", "528", ">1600"):  # medians of two; unsolved
        assert word in said(solving)


def test_steps_are_drawn_only_where_something_was_solved(make):
    records = grid(make, TWO, lambda _: [{"accuracy": 0.4}])
    assert [picture.title for picture in drawn("heatmap", records)] == ["Accuracy by factors"]


@pytest.mark.parametrize(
    ("sizes", "num_panels"), [((2, 3), 1), ((3, 2, 2), 2), ((2, 2, 2, 3), 4), ((4, 4, 7, 2), 0)]
)
def test_other_factors_have_a_panel_for_each_of_their_levels(make, sizes, num_panels):
    names = {f"f{i}": [f"{i}{j}" for j in range(size)] for i, size in enumerate(sizes)}
    found = drawn("heatmap", grid(make, names, lambda _: [{"accuracy": 0.4}]))
    shown = [axes for axes in found[0].figure.axes if axes.get_visible()] if found else []
    # four by seven leaves eight panels, which are too many
    assert len(shown) == num_panels


@pytest.mark.parametrize(("colour", "ink"), [(PALE, DARK_TEXT), (DEEP, LIGHT_TEXT)])
def test_text_is_readable_on_its_cell(colour, ink):
    assert text_colour(colour) == ink


# -- factors --------------------------------------------------------------------------------------


def test_main_effects_name_every_level_and_lines_cross(make):
    main, crossed = drawn("factors", grid(make, TWO, outcomes))
    assert (main.title, crossed.title) == ("Main effects", "Interaction")
    for word in ("mixer", "orchid", "attention", "length", "12", "24", "48"):
        assert word in said(main)
    assert "mixer orchid 0.980 [" in alternative(main)
    assert "mixer:" in said(crossed) and "orchid, 48 0.980 [" in alternative(crossed)


def test_of_three_factors_there_are_no_crossed_lines(make):
    names = TWO | {"train.lr": ["1", "2"]}
    records = grid(make, names, lambda levels: outcomes(levels[:2]))
    assert [picture.title for picture in drawn("factors", records)] == ["Main effects"]


# -- effects --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("baseline", "num_panels"), [("orchid, 12", 2), ("attention, 12", 1)])
def test_ratios_have_a_panel_where_they_are_known(make, baseline, num_panels):
    """Attention never solves the task, so nothing is faster than it by a known ratio."""
    (picture,) = drawn("effects", grid(make, TWO, outcomes, baseline=baseline))
    assert len(picture.figure.axes) == num_panels
    assert ("ratio of steps to solve" in said(picture)) == (num_panels == 2)
    assert ("orchid, 24 +0.000 [" in alternative(picture)) == (num_panels == 2)
    assert ("steps x2 [" in alternative(picture)) == (num_panels == 2)
    assert "difference of test accuracy" in said(picture)


# -- steps to solve -------------------------------------------------------------------------------


def test_numbers_at_risk_stand_below_the_axis(maker):
    for label, solved in (("fast", [200, 400, 600]), ("slow", [900, None, None])):
        arm = maker.arm(label)
        for seed, at in enumerate(solved):
            maker.run(arm, seed, solved=at)
    (picture,) = drawn("survival", read(maker.done()))
    axes = picture.figure.axes[0]
    below = [text for text in axes.texts if text.get_text().isdigit()]
    at = {(text.xy[0], text.get_color()): int(text.get_text()) for text in below}
    fast, slow = dict.fromkeys(text.get_color() for text in below)
    ticks = sorted({step for step, _ in at})
    assert ticks == [0, 200, 400, 600, 800, 1000, 1200, 1400, 1600]
    # A run solved at a step was still unsolved just before it.
    assert [at[tick, fast] for tick in ticks] == [3, 3, 2, 1, 0, 0, 0, 0, 0]
    assert [at[tick, slow] for tick in ticks] == [3, 3, 3, 3, 3, 2, 2, 2, 2]
    assert "fast 3 of 3 by step 600; slow 1 of 3 by step 900" in alternative(picture)
    line = axes.lines[0]
    assert line.get_xdata().tolist() == [0, 200, 400, 600, 1600]
    assert line.get_ydata() == pytest.approx([0, 1 / 3, 2 / 3, 1, 1])


def test_diverged_runs_are_censored_at_the_budget_and_failed_ones_left_out(maker):
    arm = maker.arm("a")
    for seed, (status, solved) in enumerate(
        [("finished", 800), ("diverged", None), ("failed", None), (None, None)]
    ):
        maker.run(arm, seed, status=status, solved=solved, steps=300)
    (picture,) = drawn("survival", read(maker.done()))
    assert "a 1 of 2 by step 800" in alternative(picture)
    assert picture.figure.axes[0].lines[0].get_ydata() == pytest.approx([0, 0.5, 0.5])


def test_many_arms_have_panels_and_those_that_never_solved_are_named(maker):
    for index in range(9):
        maker.run(maker.arm(f"arm {index}"), 0, solved=100 * (index + 1) if index < 8 else None)
    (picture,) = drawn("survival", read(maker.done()))
    assert sum(axes.get_visible() for axes in picture.figure.axes) == 8
    assert "so not drawn: arm 8" in picture.caption and "arm 8 0 of 1" in alternative(picture)


# -- cost and tasks -------------------------------------------------------------------------------


def test_the_front_of_many_arms_is_numbered(maker):
    for index in range(8):
        arm = maker.arm(f"arm {index}", flops_per_token=1e3 * 2**index)
        maker.run(arm, 0, accuracy=[0.3, 0.2, 0.5, 0.4, 0.9, 0.8, 0.85, 0.7][index], wall_s=9.0)
    (picture,) = drawn("tradeoff", read(maker.done()))
    for word in ("1 arm 0", "2 arm 2", "3 arm 4"):
        assert word in said(picture)
    assert "arm 1" not in said(picture)  # but its numbers are told
    assert "arm 1 2k, 0.200" in alternative(picture)
    assert "On the front: arm 0, arm 2, arm 4." in alternative(picture)


def test_equal_costs_are_not_drawn(maker):
    for label in "ab":
        maker.run(maker.arm(label), 0, wall_s=9.0)
    assert drawn("tradeoff", read(maker.done())) == []


def test_a_profile_has_a_curve_for_each_entrant(make):
    (picture,) = drawn("profile", grid(make, TWO, outcomes, tasks=["task.length"]))
    assert "orchid" in said(picture) and "3 tasks" in picture.caption
    assert "=orchid 0.980 over 6 runs; mixer=attention 0.430 over 6 runs" in alternative(picture)
    orchid, attention = (line.get_ydata() for line in picture.figure.axes[0].lines[:2])
    assert orchid[int(0.98 * 200)] == 0.5 and attention[int(0.43 * 200)] == 0.5


# -- distances ------------------------------------------------------------------------------------


def distances(num=8, length=10):
    hits = {d: 1 - d / 20 for d in range(1, num)}
    plain = [("distance", d, hit, 10, 1.0) for d, hit in hits.items()]
    ring: dict[int, list[float]] = {}
    for d, hit in hits.items():
        ring.setdefault(min(d, length - d), []).append(hit)
    return plain + [
        ("circular_distance", d, sum(each) / len(each), 10 * len(each), 1.0)
        for d, each in ring.items()
    ]


def test_both_distances_stand_side_by_side_for_what_sees_a_ring(maker):
    for label, regime in (("orchid", "bidirectional"), ("attention", "causal")):
        maker.run(maker.arm(label, regime=regime), 0, slices=distances())
    with styled():
        (picture,) = by_fact.draw(read(maker.done()))
    assert picture.title == "Accuracy by distance and circular distance"
    plain, ring = picture.figure.axes
    assert (plain.get_xlabel(), ring.get_xlabel()) == ("distance", "circular distance")
    lines = [[line for line in axes.lines if len(line.get_xdata()) > 2] for axes in (plain, ring)]
    assert [len(each) for each in lines] == [2, 1]  # the causal arm sees no ring
    assert ring.lines[0].get_ydata()[2] == pytest.approx((1 - 3 / 20 + 1 - 7 / 20) / 2)
    assert "orchid: distance 0.95 at 1 and 0.65 at 7" in alternative(picture)


@pytest.mark.parametrize(("regime", "num_arms"), [("causal", 2), ("bidirectional", 7)])
def test_else_distances_have_a_figure_each(maker, regime, num_arms):
    for index in range(num_arms):
        maker.run(maker.arm(f"arm {index}", regime=regime), 0, slices=distances())
    with styled():
        titles = [picture.title for picture in by_fact.draw(read(maker.done()))]
    assert titles == ["Accuracy by distance", "Accuracy by circular distance"]
    assert by_distance.CIRCULAR == "circular_distance"


# -- claims ---------------------------------------------------------------------------------------

FASTER = {"id": "faster", "kind": "less", "metric": "steps_to_solve", "a": "own", "b": "constant",
          "at_least": 1.2, "statement": "own solves sooner."}  # fmt: skip


def test_a_claim_shows_its_runs_its_effect_and_what_was_claimed(make):
    arms = {
        "own": steps((300, 320, 280, 310, 290)),
        "constant": steps((600, 640, 560, 620, None)),
    }
    (picture,) = drawn("claims", records_of(make, arms, (FASTER,)))
    assert picture.title == "Claim faster: supported"
    runs, effect = picture.figure.axes
    hollow = [line for line in runs.lines if line.get_markerfacecolor() == "none"]
    assert [line.get_xdata()[0] for line in hollow] == [pytest.approx(10_000)]  # at its budget
    assert runs.get_xscale() == effect.get_xscale() == "log"
    assert 1.2 in [line.get_xdata()[0] for line in effect.lines]
    for word in ("never solved: at its budget", "claimed: 1.2", "own", "constant"):
        assert word in said(picture)
    assert alternative(picture).startswith("own solves sooner. supported")
    assert "own 300 [" in alternative(picture) and "Effect x" in alternative(picture)


GOOD, POOR = (0.7, 0.72, 0.68, 0.71, 0.69), (0.6, 0.62, 0.58, 0.61, 0.59)
ARMS = {
    "own": accuracies(GOOD),
    "constant": accuracies(POOR),
    "table": accuracies(POOR),
    "other": accuracies(GOOD),
    "solves": steps((100, 110, 120, 130, 140)),
}
PAIR = {"kind": "greater", "a": "own", "b": "constant"}
CASES = {  # claim, its strata, rows of runs, and what must be written
    "difference": (PAIR, (), 2, "difference in the direction of the claim"),
    "within": (PAIR | {"kind": "equivalent", "within": 0.1}, (), 2, "within 0.1"),
    "constant": (PAIR | {"b": 0.5}, (), 1, "0.5"),
    "shortcut": (PAIR | {"b": "best shortcut"}, (), 1, "best shortcut"),
    "rate": (PAIR | {"a": "solves", "metric": "solve_rate"}, (), 2, "solve rate"),
    "best": (
        {"kind": "best_of", "a": "own"}, (("", ("own",), ("constant", "table")),), 3, "table",
    ),
    "groups": (
        PAIR | {"kind": "group_greater"},
        (("", ("own", "other"), ("constant", "table")),), 4, "other",
    ),
    "strata": (
        PAIR | {"strata": ["model.mixer"]},
        (("one", ("own",), ("constant",)), ("two", ("other",), ("table",))), 4, "other",
    ),
    "exponent": (
        PAIR | {"exponent_in": "task.length"},
        (("", ("own", "table"), ("constant", "other"), (12.0, 24.0)),), 2,
        "exponent of accuracy in task.length",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_kinds_of_claims(make, case):
    data, strata, num_rows, word = CASES[case]
    (picture,) = drawn("claims", records_of(make, ARMS, ({"id": case, **data}, *strata)))
    runs, effect = picture.figure.axes
    assert len(runs.get_yticks()) == num_rows and len(effect.get_yticks()) == 1
    assert word in said(picture)


def test_an_untestable_claim_shows_its_runs_alone(make):
    arms = {"own": accuracies((0.7,)), "constant": accuracies((0.6,))}
    (picture,) = drawn("claims", records_of(make, arms, ({"id": "few", **PAIR},)))
    assert picture.title == "Claim few: untestable" and len(picture.figure.axes) == 1
    assert "own 0.7; constant 0.6." in alternative(picture)


def test_claims_of_a_multiverse_or_without_runs_are_not_drawn(make):
    arms = {"own": steps((300, 320)), "constant": steps((600, 640))}
    assert drawn("claims", records_of(make, arms, (FASTER,), is_multiverse=True)) == []


def test_withdrawn_claims_do_not_shift_the_others(make):
    arms = {
        "own": steps((300, 320, 280, 310, 290)),
        "constant": steps((600, 640, 560, 620, 580)),
    }
    maker = make(nuisances=[{"train.lr": 3e-3}], source={})
    maker.claim(FASTER | {"id": "gone", "at_least": 1.5}, withdrawn=True)
    maker.claim(FASTER | {"id": "kept"})
    for label, outcome in arms.items():
        plant(maker, label, **outcome)
    (picture,) = drawn("claims", read(maker.done()))
    assert picture.title == "Claim kept: supported" and "claimed: 1.2" in said(picture)
