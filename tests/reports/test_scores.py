"""Scores: means over groups of arms, confirmed and as suites publish them."""

from __future__ import annotations

import pytest

from reports import records, table
from reports.remarks import remarks
from reports.scores import ALL, scores, section
from reports.statistics import mean_interval

SCORE = {
    "name": "MAD score",
    "over": "setting",
    "groups": {"recall": ["plain", "hard"], "copying": ["copy"]},
    "published": {"hyena": {"recall": 81.7, "copying": 93.1}, "attention": {"recall": 94.1}},
    "source": "table 1",
}
SETTINGS = {"plain": 0.9, "hard": 0.5, "copy": 0.8}


@pytest.fixture
def suite(make):
    """A ledger of mixers by settings; `left_out` has (mixer, setting, seed) that never ended."""

    def build(*, tuned=False, left_out=(), status="failed", score=SCORE):
        maker = make(score=score, factors={"mixer": ["hyena", "attention"], "setting": []})
        for bonus, mixer in ((0.0, "hyena"), (0.05, "attention")):
            for setting, accuracy in SETTINGS.items():
                levels = {"mixer": mixer, "setting": setting}
                arm = maker.arm(f"{mixer} {setting}", levels=levels)
                for seed in range(3):
                    ended = (mixer, setting, seed) not in left_out
                    value = accuracy + bonus + 0.01 * seed
                    maker.run(arm, seed, status="finished" if ended else status, accuracy=value)
                    if tuned:
                        for rate in (1e-3, 1e-2):
                            best = value + 0.02 + (0.01 if rate == 1e-3 else 0)
                            maker.run(arm, seed, purpose="selection", lr=rate, accuracy=best)
        return records.read(maker.done())

    return build


def test_means_over_settings_then_groups(suite):
    hyena, attention = scores(suite())
    assert (hyena.label, attention.label) == ("hyena", "attention")
    recall = mean_interval([0.70, 0.71, 0.72])
    copying = mean_interval([0.80, 0.81, 0.82])
    whole = mean_interval([0.75, 0.76, 0.77])
    for group, expected in (("recall", recall), ("copying", copying), (ALL, whole)):
        assert hyena.confirmed[group] == pytest.approx(expected)
    assert attention.confirmed[ALL].value == pytest.approx(0.81)
    assert hyena.num_seeds == 3 and hyena.best == {}


def test_best_on_test_takes_the_setting_that_flatters_most(suite):
    hyena, _ = scores(suite(tuned=True))
    assert hyena.best == pytest.approx({"recall": 0.74, "copying": 0.84, ALL: 0.79})


def test_published_numbers_have_a_mean_only_where_they_are_whole(suite):
    hyena, attention = scores(suite())
    assert hyena.published == pytest.approx({"recall": 0.817, "copying": 0.931, ALL: 0.874})
    assert attention.published == pytest.approx({"recall": 0.941})


@pytest.mark.parametrize("status", ["failed", "diverged", None])
def test_a_seed_that_an_arm_lacks_counts_nowhere_in_its_group(suite, status):
    hyena, _ = scores(suite(left_out=[("hyena", "hard", 2)], status=status))
    assert hyena.confirmed["recall"] == pytest.approx(mean_interval([0.70, 0.71]))
    assert hyena.confirmed["copying"].value == pytest.approx(0.81)
    assert hyena.num_seeds == 2


def test_an_arm_without_a_run_leaves_a_dash_and_is_named(suite):
    missing = [("hyena", "hard", seed) for seed in range(3)]
    found = suite(left_out=missing)
    hyena, attention = scores(found)
    assert hyena.confirmed["recall"] is None and hyena.confirmed[ALL] is None
    assert hyena.confirmed["copying"] is not None and attention.confirmed[ALL] is not None
    shown = section(found)
    cells = {row[1]: row[2] for row in shown.grids[0].rows if row[0] == "hyena"}
    assert cells["recall"] == cells["mean (seeds: 0)"] == "-" != cells["copying"]
    assert "(hyena)" in shown.note and "flatters" not in shown.note


def test_as_shown(suite):
    shown = section(suite(tuned=True))
    (grid,) = shown.grids
    assert shown.title == "MAD score"
    assert grid.head == ("MAD score", "", "confirmed", "best on test", "published")
    assert [row[:2] for row in grid.rows[:4]] == [
        ("hyena", "recall"),
        ("hyena", "copying"),
        ("hyena", "mean (seeds: 3)"),
        ("attention", "recall"),
    ]
    assert grid.rows[0][2:] == ("0.710 [0.685, 0.735]", "0.740", "0.817")
    assert [row[4] for row in grid.rows[2:]] == ["0.874", "0.941", "-", "-"]
    assert all(sum(map(len, row)) < 80 for row in grid.within(80).rows)
    assert "table 1" in shown.note and "flatters" in shown.note


def test_without_a_score_there_is_nothing(suite):
    found = suite(score=None)
    assert scores(found) == [] and section(found) is None


def test_a_protocol_is_named_with_what_it_cannot_match(make):
    about = {
        "name": "safari",
        "summary": "as configured there",
        "source": {"code": "safari"},
        "not_matched": ["Validation is the test set there.", "No attention dropout."],
    }
    maker = make(protocol=about)
    maker.run(maker.arm("own"), 0)
    found = records.read(maker.done())
    (remark,) = (r for r in remarks(found, table.build(found)) if "protocol" in r.text)
    assert not remark.is_warning
    assert "'safari' (as configured there)" in remark.text
    assert "(1) Validation is the test set there. (2) No attention dropout." in remark.text
