"""What changed between two ledgers, as text and as data."""

from __future__ import annotations

import io
import json
import shutil

import pytest
from rich.console import Console

from harness.foundation.errors import HarnessError
from reports import diff
from reports.statistics import difference_interval, rate_difference_interval
from tests.command import orchid
from tests.reports.conftest import Maker

TRAIN = {"lr": 1e-3, "steps": 1600, "test_lengths": []}
ORCHID = {"name": "orchid", "conditioning": {"name": "magnitude", "taps": 3}}
HIGH, LOW = (0.9, 0.92, 0.95), (0.5, 0.6, 0.7)


def test_a_ledger_does_not_differ_from_its_copy(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    found = diff.compare(folder, tmp_path / "copy")
    assert not (found.settings or found.base or found.provenance or found.claims)
    assert all(arm.has_same_runs and not arm.fields for arm in found.arms)
    assert len(found.arms) == 7 and not found.differing_runs and found.num_shared == 7 * 9 - 2
    assert _text(found).splitlines()[-1] == "Nothing differs."


def test_fields_that_changed_everywhere_are_of_the_base(tmp_path):
    a = _ledger(tmp_path / "a", {"own": _spec(), "none": _spec(mixer={"name": "attention"})})
    train = TRAIN | {"steps": 800, "test_lengths": [64, 128]}
    b = _ledger(
        tmp_path / "b",
        {"own": _spec(train=train, width=64), "none": _spec({"name": "attention"}, train=train)},
    )
    found = diff.compare(a, b)
    assert found.base == {
        "train.steps": (1600, 800), "train.test_lengths": ([], [64, 128]),
    }  # fmt: skip
    assert [arm.fields for arm in found.arms] == [{"model.width": (32, 64)}, {}]
    text = _text(found)
    assert "train.test_lengths: none -> 64, 128" in text and "width: 32 -> 64" in text


def test_a_component_in_place_of_another_is_one_change(tmp_path):
    a = _ledger(tmp_path / "a", {"own": _spec()})
    other = {"name": "orchid", "conditioning": {"name": "static"}, "form": "causal"}
    b = _ledger(tmp_path / "b", {"own": _spec(other)})
    assert diff.compare(a, b).base == {
        "model.mixer.conditioning.name": ("magnitude", "static"),
        "model.mixer.form": (diff.ABSENT, "causal"),
    }


def test_entries_of_lists_are_compared_one_by_one(tmp_path):
    layers = [{"name": "orchid"}, {"name": "attention", "heads": 1}]
    a = _ledger(tmp_path / "a", {"own": _spec(layers)})
    b = _ledger(tmp_path / "b", {"own": _spec([layers[0], layers[1] | {"heads": 2}])})
    assert diff.compare(a, b).base == {"model.mixer.1.heads": (1, 2)}
    c = _ledger(tmp_path / "c", {"own": _spec([])})
    assert diff.compare(c, a).base == {
        "model.mixer.0.name": (diff.ABSENT, "orchid"),
        "model.mixer.1.name": (diff.ABSENT, "attention"),
        "model.mixer.1.heads": (diff.ABSENT, 1),
    }


def test_arms_are_matched_by_levels_then_labels(tmp_path):
    a, b = Maker(tmp_path / "a"), Maker(tmp_path / "b")
    for label, levels in (("x", {"f": "x"}), ("y", {"f": "y"}), ("z", {"f": "z"})):
        a.run(a.arm(label, levels=levels), 0)
    for label, levels in (("new", {"f": "x"}), ("y", {"g": "y"}), ("w", {"f": "w"})):
        b.run(b.arm(label, levels=levels), 0)
    found = diff.compare(a.done(), b.done())
    assert [(arm.a, arm.b) for arm in found.arms] == [("x", "new"), ("y", "y")]
    assert (found.only_a, found.only_b) == (["z"], ["w"])
    text = _text(found)
    assert "arm 'x', in B 'new'" in text and "Arms in A alone\n  z" in text


def test_equal_fields_under_another_hash_are_another_version(tmp_path):
    a, b = Maker(tmp_path / "a"), Maker(tmp_path / "b")
    a.run(a.arm("x", _spec(), levels={"f": "x"}), 0)
    b.run(b.arm("x, version 2", _spec(), levels={"f": "x"}), 0)  # its id is made of its label
    found = diff.compare(a.done(), b.done())
    assert found.arms[0].is_reversioned and "a default changed\n  x" in _text(found)
    assert not diff.compare(tmp_path / "a", tmp_path / "a").arms[0].is_reversioned


def test_settings_seeds_nuisances_and_versions(tmp_path):
    a = _ledger(tmp_path / "a", {"own": _spec()})
    b = _ledger(
        tmp_path / "b", {"own": _spec()}, accuracies=(*HIGH, 0.9), lr=1e-2, torch="3.0.0",
        scale="paper", seeds={"selection": 2, "confirmation": 4}, nuisances=[{"train.lr": 1e-2}],
    )  # fmt: skip
    found = diff.compare(a, b)
    assert found.settings == {
        "scale": ("laptop", "paper"), "seeds.confirmation": (3, 4),
        "tuned over": ("train.lr 0.001; train.lr 0.003; train.lr 0.01", "train.lr 0.01"),
    }  # fmt: skip
    assert found.base == {"seeds": ("0-2", "0-3"), "train.lr": (diff.ABSENT, 1e-2)}
    assert found.provenance == {"torch": ("2.13.0", "3.0.0")}


def test_results_are_differences_with_their_intervals(tmp_path):
    a = _ledger(tmp_path / "a", {"own": _spec()}, accuracies=HIGH, solved=(400, 500, 600))
    b = _ledger(tmp_path / "b", {"own": _spec(width=64)}, accuracies=LOW, lr=1e-2, solved=(800,))
    (arm,) = diff.compare(a, b).arms
    accuracy, rate, steps = arm.results
    assert accuracy.difference == difference_interval(LOW, HIGH).clipped(-1, 1)
    assert accuracy.texts[:2] == ("0.923", "0.600") and accuracy.texts[2].startswith("-0.323 [")
    assert rate.difference == rate_difference_interval(1, 3, 3, 3) and rate.texts[:2] == (
        "3/3",
        "1/3",
    )
    assert steps.texts == ("500", ">1600", "-")
    data = diff.as_data(diff.compare(a, b))
    assert data["arms"][0]["results"]["steps to solve"] == {
        "a": 500, "b": None, "difference": None, "is_ratio": True,
    }  # fmt: skip


def test_steps_compare_as_a_ratio_where_all_solved(tmp_path):
    a = _ledger(tmp_path / "a", {"own": _spec()}, solved=(100, 200, 400))
    b = _ledger(tmp_path / "b", {"own": _spec()}, lr=1e-2, solved=(200, 400, 800))
    steps = diff.compare(a, b).arms[0].results[-1]
    assert steps.difference.value == pytest.approx(2) and steps.difference.low < 1
    assert steps.texts[2].startswith("x2 [")
    back = diff.compare(b, a).arms[0].results[-1].difference
    assert back.value == pytest.approx(0.5)
    assert back.high == pytest.approx(1 / steps.difference.low)


def test_squared_errors_of_real_targets_are_compared(tmp_path):
    facts = {"errors": {"oracle": 0.0, "zero": 0.083}}
    a = _ledger(tmp_path / "a", {"own": _spec()}, facts=facts, accuracies=HIGH)
    b = _ledger(tmp_path / "b", {"own": _spec()}, facts=facts, accuracies=LOW, lr=1e-2)
    names = [result.metric for result in diff.compare(a, b).arms[0].results]
    assert names == ["accuracy", "squared error", "solve rate", "steps to solve"]


def test_runs_of_one_id_with_other_numbers_are_told(tmp_path):
    a = _ledger(tmp_path / "a", {"own": _spec()}, accuracies=HIGH)
    b = _ledger(tmp_path / "b", {"own": _spec()}, accuracies=(*HIGH[:2], 0.1))
    found = diff.compare(a, b)
    assert len(found.differing_runs) == 1 and found.num_shared == 3
    text = _text(found)
    assert "1 of 3 runs that both have" in text and diff.OVERLAP in " ".join(text.split())


@pytest.mark.parametrize("status", ["diverged", "failed", None])
def test_arms_without_a_result_have_no_difference(tmp_path, status):
    a = _ledger(tmp_path / "a", {"own": _spec()}, accuracies=HIGH)
    maker = Maker(tmp_path / "b")
    maker.run(maker.arm("own", _spec()), 9, status=status)
    found = diff.compare(a, maker.done())
    (arm,) = found.arms
    assert arm.results[0].difference is None and arm.results[0].texts[1:] == ("-", "-")
    assert "own" in _text(found) and json.dumps(diff.as_data(found), allow_nan=False)


def test_verdicts_that_changed(tmp_path):
    more = {"id": "more", "kind": "greater", "metric": "accuracy", "a": "own", "b": "none"}
    folders = []
    for name, accuracies, at_least in (("a", HIGH, None), ("b", LOW, None), ("c", LOW, 0.1)):
        maker = Maker(tmp_path / name, nuisances=[{}])
        for label, values in (("own", accuracies), ("none", (0.7, 0.72, 0.75))):
            arm = maker.arm(label, _spec())
            for seed, value in enumerate((*values, *values)):
                maker.run(arm, seed, accuracy=value + seed / 1000, nuisance={})
        maker.claim(more | ({} if at_least is None else {"at_least": at_least}))
        if name == "a":
            maker.claim(more | {"id": "gone", "at_least": 0.01})
        folders.append(maker.done())
    a, b, c = folders
    found = diff.compare(a, b)
    assert [(x.id, x.a.word, x.b and x.b.word, x.is_restated) for x in found.claims] == [
        ("more", "supported", "refuted", False), ("gone", "supported", None, False),
    ]  # fmt: skip
    text = _text(found)
    assert "Claims in A alone\n  gone" in text and "refuted" in text
    assert [(x.id, x.is_restated) for x in diff.compare(b, c).claims] == [("more", True)]


def test_no_common_arm_is_said(tmp_path):
    a = _ledger(tmp_path / "a", {"x": _spec()})
    b = _ledger(tmp_path / "b", {"y": _spec()})
    assert "No arm is in both" in _text(diff.compare(a, b))


@pytest.mark.parametrize("width", [40, 80])
def test_narrow_terminals_suffice(tmp_path, width):
    a = _ledger(tmp_path / "a", {"own": _spec()}, accuracies=HIGH)
    b = _ledger(tmp_path / "b", {"own": _spec(width=64)}, accuracies=LOW, lr=1e-2)
    lines = _text(diff.compare(a, b), width).splitlines()
    assert max(map(len, lines)) <= width and any("-0.323" in line for line in lines)


def test_the_verb_gives_text_and_data(tmp_path):
    a = _ledger(tmp_path / "a", {"own": _spec()}, accuracies=HIGH)
    b = _ledger(tmp_path / "b", {"own": _spec(width=64)}, accuracies=LOW, lr=1e-2)
    assert "model.width: 32 -> 64" in orchid("diff", str(a), str(b)).stdout
    data = json.loads(orchid("diff", str(a), str(b), "--json").stdout)
    assert data["base"]["model.width"] == {"a": 32, "b": 64}
    assert data["arms"][0]["results"]["accuracy"]["difference"]["value"] == pytest.approx(
        -0.3233, abs=1e-3
    )


def test_bad_input_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    a = _ledger(tmp_path / "a", {"own": _spec()})
    (tmp_path / "empty").mkdir()
    with pytest.raises(HarnessError, match="no ledger here"):
        diff.compare(a, tmp_path / "empty")
    said = orchid("diff", str(a), "nothing", code=2).output
    assert "nothing has been run at runs/nothing-smoke" in said and "fix:" in said
    other = Maker(tmp_path / "other")
    other.db.execute("UPDATE meta SET value = '99' WHERE key = 'version'")
    assert "version 99" in orchid("diff", str(other.done()), str(a), code=2).output


def _ledger(
    folder, specs, *, accuracies=HIGH, solved=(), lr=3e-3, torch="2.13.0", facts=None, **meta
):
    """One seed an accuracy in every arm; of those, the first ones solved."""
    maker = Maker(folder, **meta)
    for label, spec in specs.items():
        arm = maker.arm(label, spec, **(facts or {}))
        for seed, accuracy in enumerate(accuracies):
            steps = solved[seed] if seed < len(solved) else None
            maker.run(arm, seed, accuracy=accuracy, lr=lr, solved=steps, torch=torch)
    return maker.done()


def _spec(mixer=ORCHID, *, train=TRAIN, width=32) -> dict:
    return {
        "task": {"name": "associative_recall", "length": 24},
        "model": {"mixer": mixer, "width": width},
        "train": train,
        "seed": 0,
    }


def _text(found, width=120) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    diff.show(found, console)
    return console.file.getvalue()
