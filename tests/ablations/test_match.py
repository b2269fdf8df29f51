"""Arms made equal in size: the search, what is refused, and what a plan shows of it."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

import reports
from ablations import executors, runner
from ablations.match import solve
from ablations.show import plan_data, render_plan
from ablations.todo import make_plan
from harness.cli import main
from harness.cost import cost, flops_per_token, state_size
from harness.foundation.errors import HarnessError
from tests.ablations.examples import SMALL, changed, load

BASE = changed(("width: 8", "width: 32"))
MATCH = BASE + "match: {what: params, by: model.channel_mixer.ratio}\n"


def inner(ablation) -> dict[str, int]:
    return {arm.label: cost(arm.spec).params_without_embedding for arm in ablation.arms}


def ratios(ablation) -> dict[str, float]:
    return {arm.label: arm.spec.model.channel_mixer.ratio for arm in ablation.arms}


@settings(deadline=None)
@given(
    steps=st.lists(st.integers(0, 50), min_size=60, max_size=60),
    start=st.integers(1, 40),
    every=st.sampled_from([1, 2, 3, 5, 8]),
    most=st.integers(10, 59),
    goal=st.integers(0, 1500),
)
def test_the_nearest_of_all_values_is_found(steps, start, every, most, goal):
    """Against trying them all: sums that never fall, at multiples of `every` up to `most`."""
    start = max(every, min(start, most) // every * every)
    most = max(most, start)

    def measure(value: int) -> int | None:
        return sum(steps[:value]) if 0 < value <= most and value % every == 0 else None

    nearest, low, high = solve(measure, start, goal)
    best = min(abs(got - goal) for v in range(60) if (got := measure(v)) is not None)
    assert nearest.got == measure(nearest.value)
    if len({measure(v) for v in range(start, most + 1, every)}) > 1 or goal <= measure(start):
        assert abs(nearest.got - goal) == best
    assert low.value <= nearest.value <= high.value


def test_a_field_that_is_no_whole_number_is_solved_to_thousandths():
    assert solve(lambda ratio: 8 * round(32 * ratio), 4.0, 800).nearest == (3.125, 800)
    assert solve(lambda ratio: ratio, 2.5, 0.0012).nearest.value == 0.001
    assert solve(lambda ratio: 7.0, 2.5, 9.0).nearest == (2.5, 7.0)


def test_an_arm_that_agrees_already_keeps_its_value():
    assert solve(lambda ratio: 100, 0.12345, 100).nearest.value == 0.12345


def test_parameters_agree_with_those_of_the_largest_arm():
    before, after = inner(load(BASE)), inner(load(MATCH))
    assert max(before, key=before.get) == "long_conv"
    assert before["attention"] < 0.95 * before["long_conv"]
    assert after["long_conv"] == before["long_conv"]
    assert after["attention"] == pytest.approx(after["long_conv"], rel=0.05)
    assert ratios(load(MATCH))["long_conv"] == 4.0


def test_a_match_may_be_to_the_baseline_or_to_a_named_arm():
    sizes = inner(load(BASE))
    for text in (BASE + "baseline: attention\nmatch: {by: model.channel_mixer.ratio}\n",
                 MATCH.replace("ratio}", "ratio, to: attention}")):  # fmt: skip
        ablation = load(text)
        assert ablation.match.to == "attention"
        assert ratios(ablation)["attention"] == 4.0
        assert ratios(ablation)["long_conv"] < 4.0
        assert inner(ablation)["long_conv"] == pytest.approx(sizes["attention"], rel=0.05)


def test_a_whole_number_steps_over_widths_that_an_arm_refuses():
    text = BASE.replace("attention: attention", "four: {name: attention, heads: 4}")
    ablation = load(text + "match: {by: model.width, to: long_conv, tolerance: 0.1}\n")
    sizes = inner(ablation)
    assert ablation.arms[0].spec.model.width == 40
    for width in (36, 44):  # its neighbours
        other = inner(load(text.replace("width: 32", f"width: {width}")))["four"]
        assert abs(other - sizes["long_conv"]) > abs(sizes["four"] - sizes["long_conv"])


def test_flops_and_state():
    flops = load(MATCH.replace("what: params", "what: flops"))
    got = [flops_per_token(arm.spec) for arm in flops.arms]
    assert got[0] == pytest.approx(got[1], rel=0.05)
    text = SMALL + "match: {what: state, by: model.width, to: attention}\n"
    state = load(text)
    assert len({state_size(arm.spec) for arm in state.arms}) == 1
    assert [arm.spec.model.width for arm in state.arms] == [8, 16]


def test_what_is_matched_is_hashed_and_the_rest_is_as_before():
    before = {arm.label: arm for arm in load(BASE).arms}
    after = {arm.label: arm for arm in load(MATCH).arms}
    assert after["long_conv"] == before["long_conv"]
    assert after["attention"].condition_id != before["attention"].condition_id
    found = ratios(load(MATCH))["attention"]
    by_hand = BASE.replace("width: 32", f"width: 32, channel_mixer: {{ratio: {found}}}")
    assert load(by_hand).arms[0].condition_id == after["attention"].condition_id


def test_arms_that_are_added_do_not_move_those_that_are_matched_to_a_name():
    text = MATCH.replace("ratio}", "ratio, to: attention}")
    more = text + "variants: {wide: {model.width: 12}}\n"
    assert load(more).arms[:2] == load(text).arms


def test_a_scale_may_change_it_or_leave_it_out():
    scales = "scales: {smoke: {match.what: flops}, laptop: {match: null}, paper: {}}\n"
    assert load(MATCH + scales).match.what == "flops"
    assert load(MATCH + scales, "laptop").match is None
    assert ratios(load(MATCH + scales, "laptop"))["attention"] == 4.0
    assert load(MATCH + scales, "paper").match.what == "params"


def test_rates_may_be_tuned_beside_it():
    text = MATCH + "nuisance: {train.lr: [1e-3, 1e-2]}\n"
    ablation = load(text.replace("{confirmation: 2}", "{selection: 1, confirmation: 2}"))
    assert ratios(ablation) == ratios(load(MATCH))
    tuned = {run.spec.model.channel_mixer.ratio for run in ablation.selection_runs()}
    assert tuned == set(ratios(ablation).values())


BAD = {
    "an unknown key": (MATCH.replace("by:", "bye:"), ["f.yaml:17", "unknown key 'bye'", "'by'"]),
    "an unknown quantity": (MATCH.replace("what: params", "what: size"), ["match.what", "params"]),
    "an unknown arm": (MATCH.replace("ratio}", "ratio, to: atention}"), ["f.yaml:17", "no arm"]),
    "no number": (MATCH.replace("channel_mixer.ratio", "mixer"), ["f.yaml:17", "no number"]),
    "no such field": (MATCH.replace("ratio", "ration"), ["no number in the arm 'attention'"]),
    "not of the model": (
        MATCH.replace("model.channel_mixer.ratio", "train.steps"),
        ["f.yaml:17", "no number of the model"],
    ),
    "an entry of a pattern": (
        MATCH.replace("model.channel_mixer.ratio", "model.mixer.0.heads"),
        ["no number of the model"],
    ),
    "a tolerance of nothing": (MATCH.replace("ratio}", "ratio, tolerance: 0}"), ["greater than 0"]),
    "a field that a factor varies": (
        MATCH.replace("factors:\n", "factors:\n  model.channel_mixer.ratio: [1, 2]\n"),
        ["f.yaml:15", "match solves for model.channel_mixer.ratio"],
    ),
    "a field within what a variant sets": (
        MATCH + "variants: {v: {model.channel_mixer: {kind: mlp, ratio: 2}}}",
        ["f.yaml:18", "match solves for"],
    ),
    "a field that is tuned": (
        MATCH.replace("{confirmation: 2}", "{selection: 1, confirmation: 2}")
        + "nuisance: {model.channel_mixer.ratio: [2, 4]}",
        ["f.yaml:18", "match solves for"],
    ),
    "a nuisance that changes the size": (
        MATCH.replace("{confirmation: 2}", "{selection: 1, confirmation: 2}")
        + "nuisance: {model.layers: [1, 2]}",
        ["the nuisances change the parameters"],
    ),
    "a field without effect": (
        MATCH.replace("width: 32,", "width: 32, channel_mixer: {kind: none},"),
        ["cannot be matched", "from 4 to 4", "'attention'"],
    ),
    "out of reach": (
        MATCH.replace("width: 32,", "width: 32, channel_mixer: {ratio: 0.01},").replace(
            "ratio}", "ratio, to: attention, tolerance: 0.001}"
        ),
        ["f.yaml:17", "'long_conv' cannot be matched to 'attention'", "0.01", "nearest"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_matched_is_said_before_any_training(case):
    text, said = BAD[case]
    with pytest.raises(HarnessError) as error:
        load(text)
    for part in said:
        assert part in str(error.value), str(error.value)


def test_a_plan_shows_the_values():
    ablation = load(MATCH)
    data = plan_data(ablation, make_plan(ablation, {}, {}), Path("out"))
    assert data["match"]["to"] == "long_conv"
    assert data["match"]["values"] == ratios(ablation)
    text = render_plan(data)
    assert "matched to long_conv, parameters outside embedding and readout within 0.05" in text
    assert f"{ratios(ablation)['attention']:g}" in text
    assert "matched" not in render_plan(plan_data(load(), make_plan(load(), {}, {}), Path("out")))


def test_validate_shows_the_values_and_a_report_what_was_matched(tmp_path):
    file = tmp_path / "small.yaml"
    file.write_text(MATCH)
    shown = CliRunner().invoke(main, ["validate", str(file)])
    assert shown.exit_code == 0, shown.output
    found = f"{ratios(load(MATCH))['attention']:g}"
    assert re.search(rf"^  attention +{re.escape(found)}$", shown.stdout, re.MULTILINE)

    out = tmp_path / "out"
    engine = executors.make("local", workers=1, device="cpu")
    assert runner.run(load(MATCH), out=out, engine=engine).counts == {"finished": 4}
    console = Console(file=io.StringIO(), width=200, color_system=None)
    reports.show(out, console)
    said = " ".join(console.file.getvalue().split())
    assert "Arms are matched to long_conv in parameters outside embedding and readout" in said
    assert f"by model.channel_mixer.ratio: attention {found}, long_conv 4." in said


def test_the_match_of_the_readme_works():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (block,) = re.findall(r"```yaml\n(factors:\n  depth:.*?)```", readme, re.DOTALL)
    head = changed(("width: 8, layers: 1, mixer: attention", "width: 16, mixer: orchid"))
    ablation = load(head[: head.index("factors:")] + block)
    assert [arm.label for arm in ablation.arms] == ["orchid", "mixed", "narrow", "one block"]
    sizes = inner(ablation)
    for size in sizes.values():
        assert size == pytest.approx(sizes["orchid"], rel=0.05)
    assert ratios(ablation)["one block"] > 8
