"""Claims in YAML: what is refused, with line and fix; what they are about; what identifies them."""

from __future__ import annotations

import json

import pytest

from ablations.claim import Resolved
from harness.foundation.errors import HarnessError
from tests.ablations.examples import changed, load

MIXERS = "  model.mixer: {attention: attention, long_conv: {name: long_conv}}\n"
LENGTHS = "  task.length: [8, 12, 16]\n"
# Six arms: two mixers at three lengths.
SIX = changed((MIXERS, MIXERS + LENGTHS))
# Three arms, one of them a variant.
THREE = SIX.replace(LENGTHS, "variants: {short: {model.short_conv: 3, model.mixer: attention}}\n")
ATTENTION, LONG = "{model.mixer: attention}", "{model.mixer: long_conv}"
TWO = f"a: {ATTENTION}, b: {LONG}"
AT_8 = "where: {task.length: 8}"
ALL = "strata: [task.length]"


def claimed(*lines: str, text: str = SIX):
    """The ablation with these claims, each a flow mapping in a line."""
    return load(text + "claims:\n" + "".join(f"  - {{{line}}}\n" for line in lines))


def one(line: str, text: str = SIX) -> Resolved:
    (found,) = claimed(f"id: x, {line}", text=text).claims
    return found


def arms_of(found: Resolved, text: str = SIX) -> list[tuple]:
    """Each stratum as (label, labels of a, labels of b)."""
    names = {arm.condition_id: arm.label for arm in load(text).arms}
    return [
        (s.label, *([names[each].replace("mixer=", "") for each in ids] for ids in (s.a, s.b)))
        for s in found.strata
    ]


@pytest.mark.parametrize(
    ("line", "place", "said", "fix"),
    [
        ("kind: less, a: nothing, b: 3", "a", "no arm is called 'nothing'", "known: mixer=attent"),
        (f"kind: less, a: {{model.mixr: x}}, b: {LONG}", "a.model.mixr", "no factor 'model.mixr'",
         "did you mean 'model.mixer'?"),
        ("kind: less, a: {model.mixer: atention}, b: 3", "a.model.mixer",
         "model.mixer has no level 'atention'", "did you mean 'attention'?"),
        (f"kind: less, {TWO}, where: {{task.length: 9}}", "where.task.length",
         "task.length has no level '9'", "known: 12, 16, 8"),
        (f"kind: less, {TWO}, strata: [task.lenth]", "strata", "no factor 'task.lenth'",
         "did you mean 'task.length'?"),
        (f"kind: less, {TWO}, exponent_in: task.lenth", "exponent_in", "no factor 'task.lenth'",
         "did you mean 'task.length'?"),
        (f"kind: less, metric: acuracy, {TWO}, {ALL}", "metric", "is not measured by 'acuracy'",
         "did you mean 'accuracy'?"),
        (f"kind: less, metric: follows, {TWO}, {ALL}", "metric", "not measured by 'follows'",
         "known: accuracy"),
        (f"kind: less, {TWO}", "a",
         "model.mixer: attention are 3 arms: 'mixer=attention, length=8'",
         "name more levels, or strata: [task.length]"),
        (f"kind: less, a: {ATTENTION}, b: {{model.mixer: long_conv, task.length: 8}}, {ALL}",
         "strata", "at 12 there is no arm", "narrow the claim by `where`"),
        (f"kind: less, a: {ATTENTION}, b: {ATTENTION}, {ALL}", "b", "is in a and in b",
         "let each be in one"),
        (f"kind: group_less, a: {{}}, b: {LONG}", "b", "is in a and in b", "let each be in one"),
        (f"kind: best_of, a: {ATTENTION}, b: {ATTENTION}, {AT_8}", "b", "the best of none", "more"),
        ("kind: less, a: {model.mixer: attention, task.length: 8}, b: {model.mixer: long_conv}, "
         "where: {task.length: 12}", "a", "no arm is", "the arms are mixer=attention, length=8"),
        (f"kind: best, {TWO}", "kind", "should be 'less', 'greater', 'best_of'", "see the doc"),
        (f"kind: less, a: {ATTENTION}", "kind", "the kind less needs b", "change one"),
        (f"kind: equivalent, {TWO}", "kind", "equivalent needs `within`", "change one"),
        (f"kind: equivalent, within: .1, at_least: .1, {TWO}", "at_least", "has no at_least", "ch"),
        (f"kind: less, within: .1, {TWO}", "within", "the kind less has no `within`", "change"),
        (f"kind: less, at_least: 0, {TWO}", "at_least", "greater than 0, got 0", "default is null"),
        (f"kind: less, at_least: -.1, {TWO}", "at_least", "greater than 0, got -0.1", "default"),
        (f"kind: less, metric: steps_to_solve, at_least: 1, {TWO}", "at_least",
         "is a ratio for the metric steps_to_solve, so it must be above 1, got 1", "change one"),
        (f"kind: less, metric: seconds, at_least: .9, {TWO}", "at_least", "must be above 1", "ch"),
        (f"kind: equivalent, metric: seconds, within: .1, {TWO}", "within", "above 1", "change"),
        (f"kind: group_less, {TWO}, {ALL}", "strata", "groups has no strata", "change one"),
        (f"kind: best_of, {TWO}, exponent_in: task.length", "exponent_in", "no exponents", "ch"),
        (f"kind: less, {TWO}, exponent_in: task.length, {ALL}", "strata",
         "task.length is what exponents are taken in", "change one"),
        (f"kind: less, {TWO}, exponent_in: model.mixer", "exponent_in", "is no number", "numbers"),
        (f"kind: less, {TWO}, exponent_in: task.length, where: {{task.length: [8, 12]}}",
         "exponent_in", "an exponent needs 3 levels above 0 of task.length, got 2", "add levels"),
        (f"kind: less, a: {ATTENTION}, b: chance, exponent_in: task.length", "b",
         "chance is an accuracy, no exponent", "change one"),
        (f"kind: less, metric: loss, a: {ATTENTION}, b: chance, {ALL}", "b",
         "chance is an accuracy", "metric: accuracy"),
        (f"kind: best_of, a: {ATTENTION}, b: .5", "b", "compares arms; b is no number", "change"),
        (f"kind: group_less, a: {ATTENTION}, b: .5", "b", "compares arms; b is no number", "ch"),
        (f"kind: less, metric: steps_to_solve, a: {ATTENTION}, b: 0, {ALL}", "b",
         "b must be above 0", "change one"),
        (f"kind: less, a: {ATTENTION}, b: .5, paired: true, {ALL}", "paired", "only two arms", "c"),
        (f"kind: less, metric: solve_rate, {TWO}, paired: true, {ALL}", "paired", "only two", "ch"),
        (f"kind: less, a: {ATTENTION}, b: true", "b", "expected a label, a number, or levels by "
         "factor, as {factor: level}, got True", "change one"),
        ("kind: less, a: [attention], b: 3", "a", "expected a label, or levels", "change one"),
        ("kind: less, a: {model.mixer: {name: x}}, b: 3", "a", "expected a label, or lev", "chan"),
        (f"kind: less, {TWO}, where: attention", "where", "expected levels by factor", "change"),
        (f"kind: less, {TWO}, alpha: .5", "alpha", "less than 0.5, got 0.5", "the default is 0.05"),
        (f"kind: less, {TWO}, at_lest: .1", "at_lest", "unknown key 'at_lest'", "'at_least'"),
    ],
)  # fmt: skip
def test_a_mistake_names_its_line_and_the_fix(line, place, said, fix):
    good = f"id: good, kind: greater, {TWO}, {ALL}"
    number = 1 + len(SIX.splitlines()) + 2
    with pytest.raises(HarnessError) as caught:
        claimed(good, f"id: bad, {line}")
    (problem,) = caught.value.problems
    assert problem.where == f"f.yaml:{number}: claims.1.{place}"
    assert said in problem.message
    assert fix in problem.fix


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (f"id: x, kind: greater, {TWO}, {ALL}", "two claims are called 'x'"),
        (f"id: y, kind: less, {TWO}, {ALL}, statement: again", "claim 'y' says the same as 'x'"),
        (f"kind: less, {TWO}, {ALL}", "the key 'id' is missing"),
        (f"id: a b, kind: less, {TWO}, {ALL}", "should match pattern"),
    ],
)
def test_every_claim_has_an_id_and_says_something_of_its_own(second, said):
    with pytest.raises(HarnessError, match=said) as caught:
        claimed(f"id: x, kind: less, {TWO}, {ALL}", second)
    assert all(str(len(SIX.splitlines()) + 3) in p.where for p in caught.value.problems)


def test_claims_are_a_list_of_mappings():
    for text, said in (("claims: {x: 1}\n", "expected a list"), ("claims: [3]\n", "a mapping")):
        with pytest.raises(HarnessError, match=said):
            load(SIX + text)


def test_all_mistakes_at_once():
    with pytest.raises(HarnessError) as caught:
        claimed(f"id: x, kind: less, {TWO}", "id: y, kind: less, a: q, b: 1", f"id: x, kind: less, "
                f"{TWO}, {ALL}")  # fmt: skip
    assert len(caught.value.problems) == 3


STOPPED = SIX.replace("  train:\n", "  train:\n    stop_when_solved: true\n")


@pytest.mark.parametrize("metric", ["accuracy", "loss"])
def test_runs_that_stop_when_solved_say_nothing_of_accuracy(metric):
    with pytest.raises(HarnessError, match=f"which pins {metric}") as caught:
        claimed(f"id: x, kind: less, metric: {metric}, {TWO}, {ALL}", text=STOPPED)
    assert "stop_when_solved: false" in caught.value.problems[0].fix


@pytest.mark.parametrize("metric", ["steps_to_solve", "solve_rate", "seconds"])
def test_runs_that_stop_when_solved_say_how_fast_they_were(metric):
    assert one(f"kind: less, metric: {metric}, {TWO}, {ALL}", STOPPED).strata


def test_two_arms_at_one_level_and_levels_that_differ_have_no_common_exponent():
    two = SIX.replace(LENGTHS, LENGTHS + "  model.short_conv: [0, 3]\n")
    with pytest.raises(HarnessError, match="two arms at one level"):
        one(f"kind: less, {TWO}, exponent_in: task.length", two)
    four = SIX.replace("[8, 12, 16]", "[8, 12, 16, 20]")
    line = (
        "kind: less, a: {model.mixer: attention, task.length: [8, 12, 16]}, "
        "b: {model.mixer: long_conv, task.length: [12, 16, 20]}, exponent_in: task.length"
    )
    with pytest.raises(HarnessError, match="a and b are at different levels"):
        one(line, four)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"kind: less, {TWO}, {AT_8}", [("", ["attention, length=8"], ["long_conv, length=8"])]),
        ("kind: less, a: 'mixer=attention, length=8', b: 'mixer=long_conv, length=8'",
         [("", ["attention, length=8"], ["long_conv, length=8"])]),
        (f"kind: less, {TWO}, {ALL}",
         [(n, [f"attention, length={n}"], [f"long_conv, length={n}"]) for n in ("8", "12", "16")]),
        (f"kind: less, a: {ATTENTION}, b: best shortcut, {ALL}",
         [(n, [f"attention, length={n}"], []) for n in ("8", "12", "16")]),
        (f"kind: best_of, a: {ATTENTION}, {AT_8}",
         [("", ["attention, length=8"], ["long_conv, length=8"])]),
        ("kind: group_less, a: {task.length: 8}, b: {task.length: [12, 16]}",
         [("", ["attention, length=8", "long_conv, length=8"],
           [f"{m}, length={n}" for m in ("attention", "long_conv") for n in (12, 16)])]),
    ],
)  # fmt: skip
def test_a_claim_finds_its_arms(line, expected):
    assert arms_of(one(line)) == expected


def test_exponents_are_taken_in_the_order_of_the_levels():
    text = SIX.replace("[8, 12, 16]", "[16, 8, 12]")
    (stratum,) = one(f"kind: less, {TWO}, exponent_in: task.length", text).strata
    names = {arm.condition_id: arm.levels["task.length"] for arm in load(text).arms}
    assert stratum.at == (8.0, 12.0, 16.0)
    assert [names[each] for each in stratum.a] == ["8", "12", "16"]
    assert [names[each] for each in stratum.b] == ["8", "12", "16"]


def test_variants_are_arms_too():
    assert arms_of(one("kind: best_of, a: short", THREE), THREE) == [
        ("", ["short"], ["attention", "long_conv"])
    ]
    by_level = one(f"kind: less, a: {{variant: short}}, b: {LONG}", THREE)
    assert arms_of(by_level, THREE) == [("", ["short"], ["long_conv"])]


@pytest.mark.parametrize(
    ("metric", "better"),
    [("accuracy", "high"), ("loss", "low"), ("steps_to_solve", "low"), ("solve_rate", "high")],
)
def test_which_way_a_metric_is_better(metric, better):
    assert one(f"kind: best_of, metric: {metric}, a: {ATTENTION}, {AT_8}").better == better


@pytest.mark.parametrize(
    "line",
    [
        f"kind: less, {TWO}, {ALL}, at_least: .1, paired: true",
        f"kind: equivalent, metric: loss, {TWO}, {AT_8}, within: .1, across_regimes: true",
        f"kind: greater, a: {ATTENTION}, b: .5, {ALL}, published: 3.5, source: {{paper: arXiv}}",
        f"kind: less, {TWO}, exponent_in: task.length, published: {{own: 1, other: many}}",
        f"kind: best_of, a: {ATTENTION}, {ALL}, alpha: .01, statement: It is the best.",
        "kind: group_greater, a: {task.length: [12, 16]}, b: {task.length: 8}",
    ],
)
def test_the_ledger_gives_a_claim_back(line):
    found = one(line)
    back = Resolved.from_ledger(json.loads(json.dumps(found.for_ledger())))
    assert back == found
    assert back.hash == found.hash


SAID = f"kind: less, {TWO}, {ALL}"
SAME = [
    (SAID + ", statement: in other words", SIX),
    (SAID + ", source: {paper: arXiv}, published: 1.5", SIX),
    (SAID, SIX.replace("[8, 12, 16]", "[16, 12, 8]")),
    (SAID, SIX.replace("question: Which mixer?", "question: Which of them?")),
    (SAID, SIX.replace("confirmation: 2", "confirmation: 5")),
    (f"kind: less, a: {ATTENTION}, b: {{model.mixer: [long_conv]}}, {ALL}", SIX),
    (SAID.replace("long_conv", "conv"), SIX.replace("long_conv: {", "conv: {")),
]
OTHER = [
    (SAID.replace("less", "greater"), SIX),
    (SAID + ", at_least: .1", SIX),
    (SAID + ", alpha: .01", SIX),
    (SAID + ", metric: loss", SIX),
    (SAID + ", paired: true", SIX),
    (f"kind: less, a: {LONG}, b: {ATTENTION}, {ALL}", SIX),
    (f"kind: less, {TWO}, {AT_8}", SIX),
    (f"kind: less, a: {ATTENTION}, b: .5, {ALL}", SIX),
    (SAID, SIX.replace("width: 8", "width: 16")),
    (SAID, SIX.replace("[8, 12, 16]", "[8, 12, 20]")),
]


@pytest.mark.parametrize(("line", "text"), SAME)
def test_words_names_and_order_do_not_change_a_claim(line, text):
    (renamed,) = claimed("id: another, " + line, text=text).claims
    assert renamed.hash == one(SAID).hash


def test_what_is_said_and_of_which_arms_does():
    hashes = {one(line, text).hash for line, text in [(SAID, SIX), *OTHER]}
    hashes |= {one(f"kind: less, a: {ATTENTION}, b: {n}, {ALL}").hash for n in (0.6, "chance")}
    assert len(hashes) == 3 + len(OTHER)
