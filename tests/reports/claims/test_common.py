"""A claim at settings that all arms share: judged on the selection runs, beside the best ones."""

from __future__ import annotations

import pytest

from reports.claims import text
from reports.claims.verdict import judge
from reports.records import read
from tests.reports.claims.planted import FAST, times
from tests.reports.conftest import RATES, STEPS

LESS = {"kind": "less", "metric": "steps_to_solve", "a": "own", "b": "other"}
# Times slower than `own`, rate by rate: the choice of rates decides who is faster.
SLOWER = dict(zip(RATES, (3.0, 1.0, 0.4), strict=True))


@pytest.fixture
def tuned(make):
    """Two arms tuned over three rates, four selection seeds each; other is twice as slow at its
    best rate. drop: rates of which a run is missing; solves: whether runs ever do."""

    def plant(claim, *, selection=4, drop=(), solves=True):
        maker = make(seeds={"selection": selection, "confirmation": 5})
        maker.claim({"id": "c", **claim})
        for label, factor in (("own", 1.0), ("other", 2.0)):
            arm = maker.arm(label)
            maker.choose(arm, RATES[1])
            for seed, solved in enumerate(times(factor)):
                solved = solved if solves else None
                maker.run(arm, seed, lr=RATES[1], solved=solved, accuracy=0.9 + seed / 1000)
            for rate in RATES:
                slower = 1.0 if label == "own" else SLOWER[rate]
                for seed, solved in enumerate(times(slower, FAST[:selection])):
                    status = None if rate in drop and seed == 0 else "finished"
                    curve = [(EARLY, 0.2), (STEPS, 0.9 - 0.1 * slower + seed / 1000)]
                    maker.run(
                        arm, 10_000 + seed, purpose="selection", lr=rate, curve=curve,
                        solved=solved if solves else None, status=status,
                    )  # fmt: skip
        return read(maker.done())

    return plant


EARLY = 800


def test_the_verdict_stands_at_each_setting(tuned):
    (found,) = judge(tuned(LESS))
    assert found.word == "supported"
    assert found.effect.value == pytest.approx(2, rel=0.02)
    assert [each.word for each in found.at_common] == ["supported", "inconclusive", "refuted"]
    ratios = [each.effect.value for each in found.at_common]
    assert ratios == pytest.approx(list(SLOWER.values()), rel=0.02)
    line = next(line for line in text.lines(found) if line.startswith("at common settings"))
    assert "4 selection seeds each, not corrected" in line
    assert "lr 0.001 supported x3" in line and "lr 0.01 refuted x0.4" in line
    data = text.as_data(found)["at_common_settings"]
    assert data[2]["setting"] == {"train.lr": RATES[2]} and data[2]["word"] == "refuted"


def test_accuracy_is_that_on_selection_examples_at_the_end(tuned):
    (found,) = judge(tuned({**LESS, "kind": "greater", "metric": "accuracy"}, solves=False))
    gains = [each.effect.value for each in found.at_common]
    assert gains == pytest.approx([0.1 * (slower - 1) for slower in SLOWER.values()], abs=1e-9)


def test_a_setting_that_lacks_runs_is_untestable_there_alone(tuned):
    (found,) = judge(tuned(LESS, drop=RATES[2:]))
    assert [each.word for each in found.at_common] == ["supported", "inconclusive", "untestable"]
    assert "1 of 4 runs of 'own' are missing" in found.at_common[2].reason


def test_a_single_selection_seed_says_nothing(tuned):
    (found,) = judge(tuned(LESS, selection=1))
    assert found.at_common == ()
