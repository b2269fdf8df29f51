"""Claims in the ledger: when they were stated, how often they were looked at, and the seeds that
are added while they are open."""

from __future__ import annotations

import pytest

from ablations import runner
from ablations.arm_facts import arm_facts
from ablations.ledger import Ledger, Selection, open_for_reading, read_meta
from ablations.todo import make_plan
from harness.training.cohort import train_cohort
from harness.training.events import Finished, Measured, Started
from reports import claims as judged
from reports.records import read
from tests.ablations.examples import SMALL, changed, load
from tests.ablations.test_run import results

CLAIM = "id: x, kind: less, metric: loss, a: attention, b: long_conv"
OTHER = "id: y, kind: greater, metric: loss, a: attention, b: long_conv"
FIVE = SMALL.replace("confirmation: 2", "confirmation: 5")
EIGHT = SMALL.replace("confirmation: 2", "confirmation: 8")


def claimed(*lines: str, text: str = FIVE):
    claims = "claims:\n" + "".join(f"  - {{{line}}}\n" for line in lines) if lines else ""
    return load(text + claims)


def record(ablation, folder, *, num_looks: int = 1, chosen: dict | None = None) -> None:
    """What `runner.run` writes, with losses from a rule in place of training; attention's are
    lower."""
    facts = {arm.condition_id: arm_facts(arm) for arm in ablation.arms}
    with Ledger(folder) as ledger:
        for settings in ({}, chosen or {}):  # before nuisances are chosen, and after
            plan = make_plan(ablation, ledger.statuses(), settings)
            ledger.write_plan(ablation, facts, plan.runs, plan.to_choose, {}, num_looks)
            for key, nuisance in settings.items():
                ledger.write_selection(key, ablation.grid_id, Selection(nuisance, [], ""))
        for run in plan.pending:
            if run.spec.purpose == "confirmation":
                loss = 1 + (run.arm.label != "attention") + run.spec.seed / 50
                ledger.append(Started(run.spec.run_id))
                values = {"loss": loss, "accuracy": 0.5}
                ledger.append(Measured(run.spec.run_id, 4, "test", values))
                ledger.append(Finished(run.spec.run_id, 4, 1.0, None, (), {}, {}))
        ledger.flush()
        runner._look(ablation, ledger, {})


def stated(folder) -> list[tuple]:
    """(id, runs that had answered before, withdrawn) of every claim in the ledger."""
    return [(s.resolved.claim.id, s.runs_before, bool(s.is_withdrawn)) for s in read(folder).claims]


def test_a_claim_before_its_runs_is_confirmed_one_after_them_is_exploratory(tmp_path):
    record(claimed(CLAIM), tmp_path)
    assert stated(tmp_path) == [("x", 0, False)]
    record(claimed(CLAIM), tmp_path)
    assert stated(tmp_path) == [("x", 0, False)], "the same command again changes nothing"
    record(claimed(CLAIM, OTHER), tmp_path)
    assert stated(tmp_path) == [("x", 0, False), ("y", 10, False)]
    x, y = judged.of(tmp_path)
    assert (x.word, x.family, x.is_exploratory) == ("supported", 1, False)
    assert (y.word, y.family, y.is_exploratory) == ("refuted", 2, True)
    assert "exploratory: stated when 10 runs of its arms had answered already" in " ".join(
        y.conditions.notes
    )


@pytest.mark.parametrize(
    ("later", "runs_before"),
    [
        (CLAIM.replace("id: x", "id: renamed"), 0),
        (CLAIM + ", statement: In other words., published: 2.5, source: {paper: arXiv}", 0),
        (CLAIM.replace("a: attention", "a: {model.mixer: attention}"), 0),
        (CLAIM + ", at_least: .1", 10),
        (CLAIM + ", alpha: .04", 10),
        (CLAIM.replace("less", "greater"), 10),
        (CLAIM.replace("metric: loss", "metric: accuracy"), 10),
        (CLAIM + ", paired: true", 10),
    ],
)
def test_other_words_keep_a_claim_another_statement_is_a_new_one(tmp_path, later, runs_before):
    record(claimed(CLAIM), tmp_path)
    record(claimed(later), tmp_path)
    (name, before, _), *rest = stated(tmp_path)
    assert before == runs_before
    assert name in later
    assert rest == ([("x", 0, True)] if runs_before else []), "the old one counts as withdrawn"


def test_choosing_nuisances_anew_does_not_hide_the_runs_that_had_answered(tmp_path):
    """Until they are chosen, the plan names no run of the arms, though some have ended."""
    one = FIVE + "nuisance: {train.lr: [1e-3]}\n"
    grid = FIVE + "nuisance: {train.lr: [3e-4, 1e-3, 3e-3]}\n"
    record(load(one), tmp_path)
    later = claimed(CLAIM, text=grid)
    record(later, tmp_path, chosen={arm.condition_id: {"train.lr": 1e-3} for arm in later.arms})
    assert stated(tmp_path) == [("x", 10, False)]


def test_runs_of_other_arms_do_not_make_a_claim_exploratory(tmp_path):
    record(load(FIVE), tmp_path)
    wider = FIVE.replace("{name: long_conv}}", "{name: long_conv}, hyena: hyena, fnet: fnet}")
    record(claimed("id: z, kind: less, metric: loss, a: hyena, b: fnet", text=wider), tmp_path)
    assert stated(tmp_path) == [("z", 0, False)]


def test_withdrawn_claims_count_in_the_correction(tmp_path):
    record(claimed(CLAIM, OTHER), tmp_path)
    both = judged.of(tmp_path)
    record(claimed(CLAIM), tmp_path)
    assert stated(tmp_path) == [("x", 0, False), ("y", 0, True)]
    (alone,) = judged.of(tmp_path)
    assert alone.family == both[0].family == 2
    assert alone.level == both[0].level == 1 - 0.05 / 2
    assert alone.corrected_p == pytest.approx(2 * alone.p)


def test_seeds_that_are_raised_in_the_file_are_a_second_look(tmp_path):
    record(claimed(CLAIM), tmp_path)
    (before,) = judged.of(tmp_path)
    record(claimed(CLAIM, text=EIGHT), tmp_path)
    (after,) = judged.of(tmp_path)
    assert (before.alpha, after.alpha) == (0.05, 0.025)
    (size,) = before.conditions.notes
    (note, same) = after.conditions.notes
    assert size == same
    assert note.startswith("looked at with 2 numbers of seeds, which was not fixed in advance (1 ")
    assert {len(numbers) for numbers in read(tmp_path).looks.values()} == {2}
    record(claimed(CLAIM, text=EIGHT), tmp_path)
    assert judged.of(tmp_path)[0].alpha == 0.025, "the same number of seeds is no new look"


def test_looks_fixed_in_advance_divide_alpha_from_the_first(tmp_path):
    record(claimed(CLAIM), tmp_path, num_looks=4)
    (found,) = judged.of(tmp_path)
    assert found.alpha == 0.05 / 4
    assert found.conditions.notes[0] == (
        "one of 4 looks fixed in advance: alpha is divided by them"
    )
    record(claimed(CLAIM), tmp_path)
    assert judged.of(tmp_path)[0].alpha == 0.05 / 4, "a plain run takes nothing back"


def test_a_look_with_runs_missing_is_none(tmp_path):
    ablation = claimed(CLAIM)
    facts = {arm.condition_id: arm_facts(arm) for arm in ablation.arms}
    with Ledger(tmp_path) as ledger:
        plan = make_plan(ablation, {}, {})
        ledger.write_plan(ablation, facts, plan.runs, 0)
        runner._look(ablation, ledger, {})
    assert read(tmp_path).looks == {}


# -- seeds added until claims are settled: real training -----------------------------------------

# Two seeds tell attention from a convolution in no test; that its loss is below 100 is soon clear.
OPEN = changed(
    ("{name: long_conv}}", "{name: long_conv}, heads: {name: attention, heads: 2}}"),
    ("confirmation: 2", "confirmation: 2, then: [3, 4]"),
) + (
    "claims:\n"
    "  - {id: open, kind: less, metric: loss, a: attention, b: long_conv}\n"
    "  - {id: clear, kind: less, metric: loss, a: heads, b: 100}\n"
)


class Here:
    """An executor that trains in this process."""

    name, device, num_workers = "here", "cpu", 1

    def __enter__(self):
        return self

    def __exit__(self, *exception): ...

    def worker_memory(self): ...

    def execute(self, cohorts, emit):
        for cohort in cohorts:
            train_cohort(cohort.specs, emit)


class Interrupting:
    """A watcher that stands for Ctrl-C after so many runs."""

    def __init__(self, after: int):
        self.left = after

    def planned(self, plan, stage, workers): ...

    def take(self, event):
        self.left -= isinstance(event, Finished)
        if self.left < 0:
            raise KeyboardInterrupt

    def close(self): ...


def settle(folder, *, watchers=(), open_claims=judged.open_claims) -> runner.Summary:
    return runner.run(
        load(OPEN), out=folder, engine=Here(), watchers=watchers, open_claims=open_claims
    )


def seeds(folder) -> dict[str, int]:
    """Label -> confirmation seeds that the plan has, all of which have ended."""
    records = read(folder)
    assert all(run.ended for run in records.runs)
    return {arm.label: len(records.confirmation(arm)) for arm in records.arms}


def looks(folder) -> dict[str, list[int]]:
    found = read(folder)
    return {arm.label: sorted(found.looks[arm.condition_id]) for arm in found.arms}


@pytest.fixture(scope="module")
def settled(tmp_path_factory):
    """The folder of an uninterrupted run."""
    folder = tmp_path_factory.mktemp("settled")
    settle(folder)
    return folder


def test_seeds_are_added_to_the_arms_of_open_claims_alone(settled):
    assert seeds(settled) == {"attention": 4, "long_conv": 4, "heads": 2}
    assert looks(settled) == {"attention": [2, 3, 4], "long_conv": [2, 3, 4], "heads": [2]}
    by_id = {verdict.claim.id: verdict for verdict in judged.of(settled)}
    assert by_id["clear"].word == "supported"
    assert by_id["open"].wants_seeds
    assert {verdict.alpha for verdict in by_id.values()} == {0.05 / 3}


@pytest.mark.parametrize("after", [3, 6, 7, 8])  # in the first look, the second, the third
def test_a_look_that_was_interrupted_goes_on_to_the_same_runs(tmp_path, settled, after):
    with pytest.raises(KeyboardInterrupt):
        settle(tmp_path, watchers=[Interrupting(after)])
    assert len(results(tmp_path)) < len(results(settled))
    settle(tmp_path)
    assert results(tmp_path) == results(settled)
    assert looks(tmp_path) == looks(settled)


def test_a_plain_run_later_keeps_the_seeds_that_were_added(settled):
    before = results(settled)
    settle(settled, open_claims=None)
    assert results(settled) == before
    assert seeds(settled) == {"attention": 4, "long_conv": 4, "heads": 2}
    assert len(read_meta(settled)["num_seeds"]) == 2
    assert {verdict.alpha for verdict in judged.of(settled)} == {0.05 / 3}
    db = open_for_reading(settled)
    assert {row[0] for row in db.execute("SELECT num_looks FROM claims")} == {3}
    db.close()
