"""From YAML to arms and runs, and every way to get it wrong."""

from __future__ import annotations

import pytest

import ablations
from harness.foundation.errors import HarnessError
from tests.ablations.examples import SMALL, changed, load


def labels(ablation) -> list[str]:
    return [arm.label for arm in ablation.arms]


def test_a_grid_of_one_factor():
    ablation = load()
    assert labels(ablation) == ["attention", "long_conv"]
    runs = list(ablation.confirmation_runs({}))
    assert [(run.arm.label, run.spec.seed) for run in runs] == [
        ("attention", 0), ("attention", 1), ("long_conv", 0), ("long_conv", 1)
    ]  # fmt: skip
    assert not list(ablation.selection_runs())


GRID = changed(
    (
        "factors:\n",
        "factors:\n  task.length: [8, 12]\n  model.mixer.heads: [1, 2]\n",
    ),
    ("  model.mixer: {attention: attention, long_conv: {name: long_conv}}\n", ""),
    ("seeds:", "exclude: [{task.length: 12, model.mixer.heads: 2}]\nseeds:"),
)


def test_a_product_less_its_exclusions():
    assert labels(load(GRID)) == [
        "length=8, heads=1", "length=8, heads=2", "length=12, heads=1"
    ]  # fmt: skip


def test_variants_stand_beside_the_grid_or_cross_it():
    variants = (
        "variants:\n  long: {model.mixer: long_conv, cross: [task.length]}\n"
        "  wide: {model.width: 16}\n"
    )
    ablation = load(GRID + variants)
    assert labels(ablation)[3:] == ["long, 8", "long, 12", "wide"]
    assert [arm.spec.task.length for arm in ablation.arms[3:]] == [8, 12, 8]
    assert ablation.arms[3].spec.model.mixer.name == "long_conv"


def test_a_subtree_is_set_before_its_fields_whatever_the_order():
    text = changed(
        (
            "  model.mixer: {attention: attention, long_conv: {name: long_conv}}\n",
            "  model.mixer.conditioning.input: [own, constant]\n"
            "  model.mixer.conditioning: [magnitude, cross_correlation]\n",
        ),
        ("mixer: attention", "mixer: orchid"),
    )
    ablation = load(text)
    assert labels(ablation)[1] == "input=own, conditioning=cross_correlation"
    conditioning = ablation.arms[3].spec.model.mixer.conditioning
    assert (conditioning.name, conditioning.input) == ("cross_correlation", "constant")


def test_named_bundles_set_several_fields():
    text = changed(
        (
            "  model.mixer: {attention: attention, long_conv: {name: long_conv}}\n",
            "  size:\n    small: {model.width: 4, train.batch_size: 2}\n"
            "    large: {model.width: 16}\n",
        )
    )
    arms = load(text).arms
    assert [(a.label, a.spec.model.width, a.spec.train.batch_size) for a in arms] == [
        ("small", 4, 2), ("large", 16, 4)
    ]  # fmt: skip


def test_extending_shrinking_and_reordering_keep_every_run_id():
    """The pair of (arm, seed) decides, not the grid around it."""
    ids = {run.spec.run_id for run in load().confirmation_runs({})}
    longer = changed(
        (
            "{attention: attention, long_conv: {name: long_conv}}",
            "{long_conv: {name: long_conv}, attention: attention, "
            "heads: {name: attention, heads: 2}}",
        ),
        ("confirmation: 2", "confirmation: 3"),
    )
    more = {run.spec.run_id for run in load(longer).confirmation_runs({})}
    assert ids < more
    assert len(more) == 9
    through_set = load(overrides=("train.clip_norm=1.0",))  # the default
    assert {run.spec.run_id for run in through_set.confirmation_runs({})} == ids


NUISANCE = SMALL.replace(
    "seeds: {confirmation: 2}",
    "nuisance: {train.lr: [1e-3, 1e-2]}\nseeds: {selection: 3, confirmation: 2}",
)


def test_nuisances_are_run_for_every_arm_on_selection_seeds():
    ablation = load(NUISANCE)
    runs = list(ablation.selection_runs())
    assert len(runs) == 2 * 2 * 3
    assert {run.spec.purpose for run in runs} == {"selection"}
    assert not list(ablation.confirmation_runs({}))
    arm = ablation.arms[0]
    (first, second) = ablation.confirmation_runs({arm.condition_id: {"train.lr": 1e-2}})
    assert first.spec.train.lr == second.spec.train.lr == 1e-2
    assert first.spec.purpose == "confirmation"


def test_a_condition_does_not_depend_on_the_nuisance_grid():
    longer = NUISANCE.replace("[1e-3, 1e-2]", "[5e-4, 1e-3, 1e-2]")
    assert [a.condition_id for a in load(NUISANCE).arms] == [
        a.condition_id for a in load(longer).arms
    ]
    assert load(NUISANCE).grid_id != load(longer).grid_id


def test_scales_override_anything():
    text = SMALL + (
        "scales:\n  smoke: {base.train.steps: 6}\n"
        "  laptop: {seeds: {confirmation: 4}, factors: {model.width: [8, 16]}}\n"
    )
    assert load(text).arms[0].spec.train.steps == 6
    laptop = load(text, "laptop")
    assert laptop.seeds.confirmation == 4
    assert labels(laptop) == ["8", "16"]
    with pytest.raises(HarnessError, match=r"no scale 'paper'"):
        load(text, "paper")


def test_set_changes_base_and_no_factor():
    assert load(overrides=("train.steps=8",)).arms[0].spec.train.steps == 8
    with pytest.raises(HarnessError, match=r"model\.mixer varies that"):
        load(overrides=("model.mixer.heads=2",))
    with pytest.raises(HarnessError, match=r"train\.lr is tuned"):
        load(NUISANCE, overrides=("train.lr=2.0",))
    with pytest.raises(HarnessError, match="dotted"):
        load(overrides=("steps=2",))
    with pytest.raises(HarnessError, match=r"--set train\.stepz.*stepz"):
        load(overrides=("train.stepz=2",))


def test_a_scale_prevails_over_the_same_dotted_key_of_base():
    text = SMALL.replace("base:\n", "base:\n  train.lr: 1e-2\n") + (
        "scales: {smoke: {base.train.lr: 0.5, nuisance.train.weight_decay: [0.0, 0.1], "
        "factors.model.width: [8, 16], seeds.selection: 2}}\n"
    )
    ablation = load(text)
    assert {arm.spec.train.lr for arm in ablation.arms} == {0.5}
    assert len(ablation.arms) == 4
    assert len(ablation.nuisances) == 2


def test_a_variant_replaces_a_subtree_that_base_sets_by_field():
    text = changed(("  model: {width: 8, layers: 1, mixer: attention}",
                    "  model: {width: 8, layers: 1}\n  model.mixer.name: orchid\n"
                    "  model.mixer.chain: conv"),
                   ("factors:\n  model.mixer: {attention: attention, long_conv: {name: long_conv}}",
                    "factors: {model.short_conv: [0, 3]}\n"
                    "variants: {att: {model.mixer: attention}}"),
                   )  # fmt: skip
    mixers = [arm.spec.model.mixer for arm in load(text).arms]
    assert [mixer.name for mixer in mixers] == ["orchid", "orchid", "attention"]
    assert mixers[0].chain == "conv"


def test_the_order_of_nuisances_does_not_void_a_choice():
    again = NUISANCE.replace("[1e-3, 1e-2]", "[1e-2, 1e-3]")
    assert load(NUISANCE).grid_id == load(again).grid_id


BAD = {
    "unknown top key": (SMALL + "factor: {}", ["f.yaml:17", "'factors'"]),
    "unknown field": (changed(("steps:", "stepz:")), ["f.yaml:8", "'steps'"]),
    "wrong type": (changed(("width: 8", "width: wide")), ["f.yaml:6", "model.width", "'wide'"]),
    "duplicate key": (changed(("seeds:", "name: again\nseeds:")), ["f.yaml:16", "twice"]),
    "sexagesimal": (changed(("steps: 4", "steps: 1:30")), ["f.yaml:8", "'1:30'"]),
    "word for a number": (changed(("steps: 4", "steps: on")), ["f.yaml:8", "'on'"]),
    "star": (changed(("steps: 4", "steps: *")), ["f.yaml:8", "quoted"]),
    "unknown task": (changed(("associative_recall", "asociative_recall")), ["f.yaml:5", "mean"]),
    "unknown mixer": (
        changed(("attention: attention", "attention: atention")),
        ["f.yaml:15", "mean"],
    ),
    "empty factor": (
        changed(("{attention: attention, long_conv: {name: long_conv}}", "[]")),
        ["f.yaml:15", "two levels"],
    ),
    "one level": (
        changed(("{attention: attention, long_conv: {name: long_conv}}", "[attention]")),
        ["f.yaml:15", "two levels", "base"],
    ),
    "equal levels": (
        changed(("{attention: attention, long_conv: {name: long_conv}}", "[attention, attention]")),
        ["f.yaml:15", "same"],
    ),
    "levels that differ in name alone": (
        changed(("long_conv: {name: long_conv}", "again: {name: attention, heads: 1}")),
        ["'attention' and 'again' are the same"],
    ),
    "a factor that is no field": (
        changed(("  model.mixer:", "  mixer:")),
        ["f.yaml:15", "begin with task, model, train"],
    ),
    "length too short": (changed(("length: 8", "length: 1")), ["f.yaml:5", "task.length"]),
    "vocabulary too small": (changed(("vocab_size: 10", "vocab_size: 4")), ["f.yaml:5"]),
    "no question": (changed(("question: Which mixer?\n", "")), ["question"]),
    "a path in the name": (changed(("name: small", "name: ../small")), ["f.yaml:2", "folder"]),
    "no base": (SMALL[: SMALL.index("base:")], ["base must be a mapping"]),
    "unknown part of base": (changed(("  train:\n", "  training:\n")), ["f.yaml:7", "'train'"]),
    "no selection seeds": (NUISANCE.replace("selection: 3", "selection: 0"), ["selection is 0"]),
    "unknown baseline": (SMALL + "baseline: atention", ["no arm", "'attention'"]),
    "unknown metric": (SMALL + "metric: acc", ["one of accuracy"]),
    "unknown factor in exclude": (SMALL + "exclude: [{model.width: 3}]", ["no factor"]),
    "unknown level in exclude": (SMALL + "exclude: [{model.mixer: h3}]", ["no level 'h3'"]),
    "a leak": (
        changed(("train:\n", "train:\n    loss: all\n"), ("mixer: attention", "mixer: orchid"),
                ("{attention: attention, long_conv: {name: long_conv}}", "[attention, orchid]")),
        ["'orchid' is bidirectional"],
    ),
    "everything excluded": (
        SMALL + "exclude: [{model.mixer: attention}, {model.mixer: long_conv}]",
        ["f.yaml:17", "every cell"],
    ),
    "empty exclusion": (SMALL + "exclude: [{}]", ["f.yaml:17", "empty"]),
    "a variant that sets a nuisance": (
        NUISANCE + "variants: {fast: {train.lr: 0.5}}",
        ["variants.fast.train.lr", "is a nuisance"],
    ),
    "two arms of one name": (
        SMALL + "variants: {attention: {model.layers: 2}}",
        ["two arms are called 'attention'"],
    ),
    "cross is no list": (SMALL + "variants: {v: {model.width: 4, cross: 3}}", ["list of factors"]),
    "a merge key": (SMALL + "variants: {v: {<<: {model.width: 3}}}", ["merge keys"]),
    "an endless alias": (SMALL + "source: &a {b: *a}", ["aliases repeat"]),
    "an endless number": (changed(("width: 8", "width: " + "9" * 5000)), ["f.yaml:6", "number"]),
    "a huge number": (changed(("width: 8", "width: 1" + "0" * 30)), ["f.yaml:6", "model.width"]),
    "equal nuisances": (NUISANCE.replace("[1e-3, 1e-2]", "[1, 1.0]"), ["two values are the same"]),
    "a source that is no mapping": (SMALL + "source: [a]", ["source must be a mapping"]),
    "a level that is no name": (
        changed(("attention: attention,", "attention: {name: [x]},")),
        ["name of a mixer"],
    ),
    "heads that do not divide": (
        changed(("attention: attention,", "attention: {name: attention, heads: 3},")),
        ["f.yaml:15", "3", "8"],
    ),
    "not a mapping": ("- a\n- b", ["mapping"]),
    "an empty file": ("", ["mapping"]),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_mistake_is_said_with_its_place(case):
    text, said = BAD[case]
    with pytest.raises(HarnessError) as error:
        load(text)
    for part in said:
        assert part in str(error.value), str(error.value)


def test_several_mistakes_are_said_at_once():
    text = changed(
        ("width: 8", "width: wide"),
        ("steps: 4", "stepz: 4"),
        ("length: 8", "lenght: 8"),
        ("name: small", "name: a/b"),
        ("confirmation: 2", "confirmation: 0"),
    )
    with pytest.raises(HarnessError) as error:
        load(text + "factor: {}\n")
    assert len(error.value.problems) == 6


def test_a_mistake_in_a_scale_is_placed_there():
    with pytest.raises(HarnessError, match=r"f\.yaml:18"):
        load(SMALL + "scales:\n  smoke: {base.train.steps: 0}\n")


def test_an_unknown_name_is_said():
    with pytest.raises(HarnessError, match="did you mean 'quickstart'"):
        ablations.load("quickstrat")
    with pytest.raises(HarnessError, match="cannot be read"):
        ablations.load("no/such/file.yaml")
