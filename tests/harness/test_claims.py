"""`orchid claims`: exit codes, machine output, verdicts frozen and expected."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from reports import claims as judged
from tests.ablations.examples import SMALL, changed
from tests.command import orchid
from tests.reports.claims.planted import FAST, NOISY, records_of, steps, times
from tests.reports.conftest import Maker

LESS = {"kind": "less", "metric": "steps_to_solve", "a": "own", "b": "other", "at_least": 1.2}
FASTER = ({"id": "faster", "statement": "It is faster.", "published": {"own": 3}, **LESS},)
SLOWER = ({"id": "slower", **LESS, "kind": "greater"},)
UNSURE = ({"id": "null", **LESS, "b": "noisy"},)  # an id that YAML would read as something else
UNFAIR = ({"id": "1.5", **LESS, "b": "causal"},)
ARMS = {
    "own": steps(FAST),
    "other": steps(times(2)),
    "noisy": steps(NOISY),
    "causal": steps(times(2), regime="causal"),
}


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """Writes a ledger with those claims; gives its folder's name."""
    monkeypatch.chdir(tmp_path)

    def write(*claims: tuple, arms=ARMS) -> str:
        records_of(lambda **meta: Maker(tmp_path / "out", **meta), arms, *claims)
        return "out"

    return write


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ((), 0),
        ((FASTER,), 0),
        ((FASTER, SLOWER), 1),
        ((UNSURE,), 1),
        ((UNFAIR,), 1),
    ],
)
def test_exit_codes(stored, claims, code):
    text = orchid("claims", stored(*claims), code=code).stdout
    assert all(data["id"] in text for data, *_ in claims)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "nothing has been run at runs/nothing-smoke"),
        (["--out", "empty", "x"], "there is no ledger here"),
        (["out", "--expect", "none.yaml"], "none.yaml: there is no such file"),
    ],
)
def test_user_errors_exit_with_2(stored, words, said):
    stored(FASTER)
    assert said in orchid("claims", *words, code=2).stderr


def test_json_has_every_field(stored):
    folder = stored(FASTER, SLOWER, UNSURE, UNFAIR)
    found = json.loads(orchid("claims", folder, "--json", code=1).stdout)
    assert [each["id"] for each in found] == ["faster", "slower", "null", "1.5"]
    words = [each["verdict"] for each in found]
    assert words == ["supported", "refuted", "inconclusive", "untestable"]
    assert {frozenset(each) for each in found} == {
        frozenset(
            ("id", "verdict", "grade", "reason", "effect", "is_ratio", "bound", "level", "p",
             "corrected_p", "alpha", "claims_corrected_for", "settled_by", "is_exploratory",
             "equal", "at_common_settings", "conditions", "claim")
        )
    }  # fmt: skip
    first, last = found[0], found[-1]
    assert first["effect"]["value"] == pytest.approx(2, rel=1e-3)
    assert first["effect"]["low"] < first["effect"]["value"] < first["effect"]["high"]
    assert first["grade"] == "meaningful" and first["settled_by"] is None
    assert first["claim"]["at_least"] == 1.2 and first["claim"]["published"] == {"own": 3}
    assert first["equal"] == {"budgets": True, "tuning": True, "params": True}
    assert first["conditions"]["sides"][0] == {
        "label": "own", "seeds": 5, "runs": 5, "solved": 5, "steps_given_solved": 300,
        "diverged": 0,
    }  # fmt: skip
    assert (last["effect"], last["p"], last["grade"]) == (None, None, None)
    assert last["settled_by"].startswith("arms of one regime")


def test_json_of_an_interval_without_end_is_json(stored):
    """Two seeds leave a ratio between nothing and everything."""
    arms = {"own": steps((2, 9000), train={"eval_every": 1})}
    claims = [({"id": f"c{i}", **LESS, "at_least": None, "b": 100.0 + i},) for i in range(40)]
    text = orchid("claims", stored(*claims, arms=arms), "--json", code=1).stdout
    found = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert {each["effect"]["high"] for each in found} == {None}
    assert {each["verdict"] for each in found} == {"inconclusive"}


def test_text_says_what_limits_a_verdict(stored):
    text = orchid("claims", stored(FASTER, UNFAIR), code=1).stdout
    for said in (
        "Does the kernel have to depend on the input?", "supported    faster", "It is faster.",
        "the interval lies beyond 1.2 (meaningful)", "effect x2 [", "'own': 5 of 5 runs solved",
        "equal budgets: 10,000 steps of 64", "equal tuning: none", "published: own 3",
        "would be settled by arms of one regime", "Not significant is never refuted",
    ):  # fmt: skip
        assert said in " ".join(text.split()) or said in text, said


def test_what_is_frozen_is_expected(stored, tmp_path):
    folder = stored(FASTER, SLOWER, UNSURE, UNFAIR)
    frozen = orchid("claims", folder, "--freeze", "verdicts.yaml", code=1)
    assert "verdicts.yaml" in frozen.stderr and "verdicts.yaml" not in frozen.stdout
    assert (tmp_path / "verdicts.yaml").read_text() == (
        "faster: supported\nslower: refuted\nnull: inconclusive\n1.5: untestable\n"
    )
    expected = orchid("claims", folder, "--expect", "verdicts.yaml")
    assert expected.stderr == ""


def test_no_claims_are_frozen_and_expected_too(stored):
    folder = stored()
    orchid("claims", folder, "--freeze", "verdicts.yaml")
    orchid("claims", folder, "--expect", "verdicts.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("faster: refuted\n", "faster: expected refuted, got supported (the interval lies beyond"),
        ("{}\n", "faster: supported, which verdicts.yaml does not expect"),
        ("", "faster: supported, which verdicts.yaml does not expect"),
        ("faster: supported\ngone: refuted\n", "gone: expected refuted, but there is no such"),
    ],
)
def test_another_verdict_names_its_claim(stored, tmp_path, text, said):
    folder = stored(FASTER)
    (tmp_path / "verdicts.yaml").write_text(text)
    assert said in orchid("claims", folder, "--expect", "verdicts.yaml", code=1).stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("faster: supported\nslower: suported\n", "verdicts.yaml:2: slower: 'suported' is no"),
        ("faster: suported\n", "did you mean 'supported'?"),
        ("faster: [supported]\n", "verdicts.yaml:1: faster: ['supported'] is no verdict"),
        ("faster: supported\nfaster: refuted\n", "verdicts.yaml:2: the key 'faster' stands twice"),
        ("faster: supported\n\tx: 1\n", "verdicts.yaml:2: not YAML"),
        ("- faster\n", "verdicts.yaml: expected one line a claim"),
    ],
)
def test_a_malformed_expectation_names_its_line(stored, tmp_path, text, said):
    folder = stored(FASTER)
    (tmp_path / "verdicts.yaml").write_text(text)
    assert said in orchid("claims", folder, "--expect", "verdicts.yaml", code=2).stderr


def test_open_claims_are_those_that_more_seeds_may_settle(stored):
    assert judged.open_claims(stored(FASTER, SLOWER, UNSURE, UNFAIR)) == ["null"]


def test_judging_imports_neither_torch_nor_ray(stored, tmp_path):
    code = (
        "import sys\nfrom harness.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 1, end.code\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'ray')))"
    )
    words = ["claims", stored(FASTER, UNSURE), "--json"]
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 2


# -- with real training ---------------------------------------------------------------------------

# Two seeds can tell no two arms apart; three more can, if they differ.
SETTLING = changed(("confirmation: 2", "confirmation: 2, then: [5]")) + (
    "claims:\n"
    "  - {id: open, kind: less, metric: loss, a: attention, b: long_conv}\n"
    "thresholds:\n"
    "  wide: {over: model.width, values: [8, 12], solve_rate: 0.5}\n"
)


@pytest.fixture
def settling(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.yaml").write_text(SETTLING)
    return "f.yaml"


@pytest.mark.slow
def test_run_until_settled_adds_the_seeds_named_in_advance(settling):
    words = ["--executor", "local", "--workers", "1"]
    orchid("run", settling, *words)
    assert json.loads(orchid("claims", settling, "--json", code=1).stdout)[0]["alpha"] == 0.05
    orchid("run", settling, *words, "--until-settled")
    (found,) = json.loads(orchid("claims", settling, "--json", code=None).stdout)
    assert found["alpha"] == 0.025  # two looks
    assert [side["runs"] for side in found["conditions"]["sides"]] == [5, 5]


@pytest.mark.slow
def test_threshold_searches_and_says_what_it_saw(settling):
    words = ["threshold", settling, "--workers", "1"]
    text = orchid(*words).stdout
    assert "threshold at 50% solved" in text and "attention" in text and "width 12" in text
    found = json.loads(orchid(*words, "--json").stdout)
    assert {each["arm"] for each in found} == {"attention", "long_conv"}


def test_until_settled_without_claims_is_a_mistake(tmp_path):
    (tmp_path / "plain.yaml").write_text(SMALL)
    said = orchid("run", str(tmp_path / "plain.yaml"), "--until-settled", code=2).stderr
    assert "--until-settled needs claims" in said and "then: [8, 12, 16]" in said
