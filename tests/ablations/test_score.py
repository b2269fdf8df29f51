"""The score that an ablation asks for: which levels it averages, and what does not fit."""

from __future__ import annotations

import pytest

from harness.foundation.errors import HarnessError
from tests.ablations.examples import SMALL, load

SCORED = SMALL.replace(
    "seeds:",
    """  setting:
    short: {task.length: 8}
    short, again: {task.length: 10}
    long: {task.length: 12}
score: {score}
seeds:""",
)
GOOD = "{name: suite, over: setting, groups: {easy: short*, hard: long}"


def scored(score: str):
    return load(SCORED.replace("{score}", score))


def test_patterns_name_the_levels():
    found = scored(GOOD + ", published: {attention: {easy: 81.5}}, source: table 1}").score
    assert found == {
        "name": "suite",
        "over": "setting",
        "groups": {"easy": ["short", "short, again"], "hard": ["long"]},
        "published": {"attention": {"easy": 81.5}},
        "source": "table 1",
    }
    assert load().score is None


@pytest.mark.parametrize(
    "score, message",
    [
        ("{name: s, over: settin, groups: {a: short*}}", "did you mean 'setting'"),
        ("{name: s, over: setting, groups: {a: short*}}", "levels in no group: long"),
        ("{name: s, over: setting, groups: {a: '*', b: middle}}", "is like 'middle'"),
        ("{name: s, over: setting, groups: {a: '*', b: long}}", "'long' stands in 'a' already"),
        (GOOD + ", published: {attention: {eazy: 1.0}}}", "did you mean 'easy'"),
        (GOOD + ", published: {attention: {easy: 101.0}}}", "less than or equal to 100"),
        (GOOD + ", groop: 1}", "unknown key 'groop'"),
        ("3", "expected a mapping"),
    ],
)
def test_mistakes_have_their_place(score, message):
    with pytest.raises(HarnessError) as error:
        scored(score)
    assert message in str(error.value) and "f.yaml:2" in str(error.value)
