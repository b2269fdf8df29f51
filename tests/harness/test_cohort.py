"""A member of a cohort trains as if it were alone."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from harness.layers import initialise
from harness.model import Model
from harness.training.clock import PARTS, TRAINING, Clock
from harness.training.cohort import train_cohort
from harness.training.data import TrainingData, examples
from harness.training.events import Diverged, Finished, Measured
from harness.training.optimiser import schedule_factor
from harness.training.stack import Stack
from tests.harness.runs import numbers, tiny, train
from tests.mixers.cases import CASES

MODELS = {
    "orchid": {"model__mixer": "orchid"},
    "orchid, magnitude": {"model__mixer": {"name": "orchid", "conditioning": "magnitude"}},
    "orchid, batchnorm": {
        "model__mixer": {
            "name": "orchid", "conditioning": {"name": "magnitude", "norm": "batchnorm"}
        }
    },
    "orchid, causal": {"model__mixer": {"name": "orchid", "form": "causal"}, "train__loss": "all"},
    "attention": {"model__mixer": {"name": "attention", "heads": 2}, "model__short_conv": 3},
    "long_conv, all": {"model__mixer": "long_conv", "train__loss": "all", "model__init": "gpt2"},
    "masked": {"train__loss": "masked", "model__positions": "learned"},
    "swiglu, tied": {"model__channel_mixer": {"kind": "swiglu", "ratio": 2.0}, "model__tied": True},
    "listops": {"task": {"name": "listops", "max_depth": 3, "max_args": 3, "min_length": 4,
                         "max_length": 16}},
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_numbers_do_not_depend_on_companions(name):
    """Bit for bit at S = 1, 2, 8 and in any order."""
    rates = [1e-3, 1e-2, 3e-3, 1e-3, 2e-3, 5e-3, 1e-3, 1e-2]
    specs = [
        tiny(**MODELS[name], seed=i // 2, train__lr=rate, train__weight_decay=0.1 * (i % 3))
        for i, rate in enumerate(rates)
    ]
    together = train(specs)
    alone = {spec.run_id: numbers(train([spec]), spec.run_id) for spec in specs[:3]}
    pair = train([specs[2], specs[0]])
    backwards = train(specs[::-1])
    for spec in specs[:3]:
        expected = numbers(together, spec.run_id)
        assert len(expected) == 2 * 2 + 1
        assert alone[spec.run_id] == expected
        assert numbers(backwards, spec.run_id) == expected
    assert numbers(pair, specs[0].run_id) == alone[specs[0].run_id]
    assert numbers(pair, specs[2].run_id) == alone[specs[2].run_id]
    assert alone[specs[0].run_id] != alone[specs[1].run_id]


@pytest.mark.parametrize("seed", range(40))
def test_odd_shapes_too(seed):
    """Sizes that fill no vector register, single rows, heads of one channel; every second mixer
    of the contract tests."""
    rng = np.random.default_rng(seed)
    mixer = list(CASES.values())[(2 * seed + seed // (len(CASES) // 2)) % len(CASES)]
    width = int(rng.choice([w for w in range(3, 13) if fits(mixer, w)]))
    changes = {
        "model__mixer": mixer,
        "model__width": width,
        "model__short_conv": int(rng.choice([0, 2, 3])),
        "model__positions": str(rng.choice(["none", "learned"])),
        "model__channel_mixer": {
            "kind": str(rng.choice(["mlp", "swiglu"])),
            "ratio": float(rng.choice([1.0, 1.5, 4.0])),
        },
        "task__length": int(rng.integers(10, 17)),
        "train__batch_size": int(rng.choice([1, 2, 3, 5, 8])),
        "train__loss": str(rng.choice(["answers", "masked"])),
        "train__lr": 1e-2,
    }
    specs = [tiny(seed=member, **changes) for member in range(int(rng.choice([2, 3, 5])))]
    together = train(specs)
    for spec in specs[-2:]:
        assert numbers(train([spec]), spec.run_id) == numbers(together, spec.run_id), changes


def fits(mixer, width):
    """Whether the mixer can be built at this width."""
    try:
        mixer.check(width, 10)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("norm", ["layernorm", "batchnorm"])
def test_a_diverging_member_leaves_the_others_untouched(norm):
    """Also where members have running statistics."""
    mixer = {"name": "orchid", "conditioning": {"name": "magnitude", "norm": norm}}
    wild = tiny(
        train__lr=1e30,
        model__mixer=mixer,
        train__clip_norm=None,
        train__weight_decay=0.0,
        train__warmup_steps=0,
    )
    calm = [
        tiny(
            seed=seed,
            model__mixer=mixer,
            train__clip_norm=None,
            train__weight_decay=0.0,
            train__warmup_steps=0,
        )
        for seed in (1, 2)
    ]
    events = train([calm[0], wild, calm[1]])
    (diverged,) = [event for event in events if isinstance(event, Diverged)]
    assert diverged.run_id == wild.run_id
    assert f"at step {diverged.step + 1}" in diverged.message
    assert 1 <= diverged.step < 3
    for spec in calm:
        assert numbers(events, spec.run_id) == numbers(train([spec]), spec.run_id)


STOPPING = {
    "train__solve_threshold": 0.5,
    "train__solve_patience": 1,
    "train__steps": 40,
    "train__stop_when_solved": True,
    "train__lr": 3e-3,
}


@pytest.mark.parametrize("mixer", ["orchid", "attention"])
def test_solved_members_stop_at_the_same_step_in_any_company(mixer):
    """Alone, together, in another order, beside one that diverges: the same numbers, bit for bit,
    and the same end."""
    specs = [tiny(seed=seed, model__mixer=mixer, **STOPPING) for seed in range(4)]
    wild = {"train__lr": 1e30, "train__clip_norm": None, "train__weight_decay": 0.0}
    unclipped = [
        tiny(seed=seed, model__mixer=mixer, **STOPPING | {**wild, "train__lr": 3e-3})
        for seed in range(4)
    ]
    diverging = tiny(seed=9, model__mixer=mixer, **STOPPING | wild)
    steps = set()
    for members, companions in (
        (specs, [specs, specs[::-1], specs[1:3]]),
        (unclipped, [[unclipped[2], diverging, *unclipped[:2], unclipped[3]]]),
    ):
        ends = {spec.run_id: end(train([spec]), spec.run_id) for spec in members}
        for finished, _ in ends.values():
            steps.add(finished.steps)
            assert finished.steps == 40 or finished.steps == finished.steps_to_solve
        for cohort in companions:
            events = train(cohort)
            for spec in set(members) & set(cohort):
                assert end(events, spec.run_id) == ends[spec.run_id]
    assert len(steps) > 2 and min(steps) < 40, "choose a threshold that separates these seeds"
    assert any(isinstance(event, Diverged) for event in events)


def end(events, run_id) -> tuple[Finished, list]:
    """How a run ended, its time apart, and all its numbers."""
    (finished,) = [e for e in events if isinstance(e, Finished) and e.run_id == run_id]
    return finished._replace(wall_s=0, seconds={}, provenance={}), numbers(events, run_id)


def test_the_time_of_a_cohort_is_divided_among_its_members(monkeypatch):
    """All of it, by part, whoever leaves early; but for the sending of the last event."""
    now = itertools.count()
    monkeypatch.setattr(time, "perf_counter", now.__next__)  # a second passes at every look
    specs = [tiny(seed=seed, **STOPPING) for seed in range(3)]
    specs.append(tiny(seed=3, **STOPPING | {"train__lr": 1e30}))
    events = []
    train_cohort(specs, events.append)
    whole = next(now)
    ends = [event for event in events if isinstance(event, Finished | Diverged)]
    assert len(ends) == 4
    for event in ends:
        assert set(event.seconds) == set(PARTS)
        assert all(event.seconds[part] > 0 for part in ("setup", *TRAINING))
        assert (event.seconds["test"] > 0) == isinstance(event, Finished)
        assert event.wall_s == pytest.approx(sum(event.seconds[part] for part in TRAINING))
    charged = sum(sum(event.seconds.values()) for event in ends)
    assert whole - 4 <= charged < whole


def test_a_clock_charges_one_part_at_a_time(monkeypatch):
    now = iter([0, 1, 3, 6, 10, 15, 21]).__next__
    monkeypatch.setattr(time, "perf_counter", now)
    clock = Clock("setup")
    with clock.on("steps"):  # at 1
        with clock.on("data"):  # 3
            pass  # 6
        first = clock.take()  # 10
    assert first == {"setup": 1, "data": 3, "steps": 2 + 4, "evaluation": 0, "test": 0}
    second = clock.take()  # steps until 15, set-up until 21
    assert second == {"setup": 6, "data": 0, "steps": 5, "evaluation": 0, "test": 0}


def test_steps_to_solve_is_the_first_of_enough_evaluations_in_a_row():
    from harness.training.cohort import _Member

    member = _Member(tiny(train__solve_threshold=0.9, train__solve_patience=2))
    for step, accuracy in enumerate([0.95, 0.5, 0.91, 0.9, 0.2], start=1):
        member.judge(step, accuracy)
    assert member.steps_to_solve == 3


@pytest.mark.parametrize("name", ["attention", "orchid", "swiglu, tied"])
def test_equal_to_a_plain_loop(name):
    """Twenty steps of torch's own AdamW and clipping on the unstacked model, to 1e-5."""
    specs = [
        tiny(**MODELS[name], seed=seed, train__steps=20, train__eval_every=20, train__lr=3e-3,
             train__schedule="cosine")
        for seed in range(2)
    ]  # fmt: skip
    together = train(specs)
    for spec in specs:
        losses = plain_losses(spec)
        (measured,) = [
            event.values["loss"]
            for event in together
            if isinstance(event, Measured)
            and event.run_id == spec.run_id
            and event.split == "train"
        ]
        assert measured == pytest.approx(np.mean(losses), rel=1e-5)
        assert losses[-1] != pytest.approx(losses[0], rel=1e-2)


def plain_losses(spec) -> list[float]:
    """The obvious training loop."""
    model = Model(spec)
    initialise(model, lambda name: generator("init", spec.seed_key, name))
    groups = [
        {
            "params": [value],
            "lr": min(spec.train.lr * value.recipe.lr_scale, value.recipe.lr_max),
            "weight_decay": spec.train.weight_decay if value.recipe.decay else 0.0,
        }
        for value in model.parameters()
    ]
    optimiser = torch.optim.AdamW(groups, betas=spec.train.betas)
    base = [group["lr"] for group in optimiser.param_groups]
    data, losses = TrainingData(spec), []
    for step in range(spec.train.steps):
        batch = examples(spec, data.step(step))
        logits = model(batch.inputs, batch.scored)
        loss = F.cross_entropy(logits.flatten(0, -2), batch.targets.flatten())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), spec.train.clip_norm)
        for group, lr in zip(optimiser.param_groups, base, strict=True):
            group["lr"] = lr * schedule_factor(spec.train, step)
        optimiser.step()
        losses.append(loss.item())
    return losses


def test_golden_tiny_run():
    """No refactoring moves a number. Where one is meant to move, bump the version of what moved
    it and write the file anew (delete it, run this test twice)."""
    events = train([tiny(), tiny(seed=1)])
    got = {spec.run_id: numbers(events, spec.run_id) for spec in (tiny(), tiny(seed=1))}
    file = Path(__file__).parent / "golden_tiny_run.json"
    if not file.exists():
        file.write_text(json.dumps(got, indent=1))
        pytest.fail("there was no golden file; it is written now, from what the code does today")
    expected = json.loads(file.read_text())
    assert set(got) == set(expected), "run ids have moved: finished runs would be trained again"
    for run_id, rows in expected.items():
        for (step, split, values), (step_, split_, values_) in zip(rows, got[run_id], strict=True):
            assert (step, split) == (step_, split_)
            assert dict(values_) == pytest.approx(dict(values), rel=1e-5)


def test_members_share_what_their_seed_decides():
    specs = [tiny(seed=0), tiny(seed=0, train__lr=1e-2), tiny(seed=1)]
    stack = Stack(specs[0], [spec.seed_key for spec in specs], torch.device("cpu"))
    assert torch.equal(stack.values[0], stack.values[1])
    assert not torch.equal(stack.values[0], stack.values[2])
    first, second, third = (TrainingData(spec).step(0).inputs for spec in specs)
    assert (first == second).all()
    assert not (first == third).all()


def test_selection_and_confirmation_seeds_are_separate():
    pair = [tiny(seed=0, purpose=purpose) for purpose in ("selection", "confirmation")]
    inputs = [TrainingData(spec).step(0).inputs for spec in pair]
    assert not (inputs[0] == inputs[1]).all()
    stacks = [Stack(spec, [spec.seed_key], torch.device("cpu")).values for spec in pair]
    assert not torch.equal(*stacks)


def test_a_fixed_training_set_is_reshuffled_every_epoch():
    spec = tiny(train__train_examples=10)
    data = TrainingData(spec)
    epochs = [
        np.concatenate([data.step(2 * epoch + i).inputs for i in range(2)]) for epoch in range(3)
    ]
    known = {row.tobytes() for row in data.stream.take(0, 10).inputs}
    for epoch in epochs:
        rows = [row.tobytes() for row in epoch]
        assert len(set(rows)) == 8
        assert set(rows) <= known
    assert not (epochs[0] == epochs[1]).all()
    again = TrainingData(spec)
    assert (again.step(5).inputs == data.step(5).inputs).all()


def test_runs_of_different_shape_are_no_cohort():
    with pytest.raises(HarnessError, match="different shape"):
        train([tiny(), tiny(model__width=16)])


def test_breakdown_weighs_up_to_the_accuracy():
    events = train([tiny()])
    (finished,) = [event for event in events if isinstance(event, Finished)]
    test = next(
        e.values["accuracy"] for e in events if isinstance(e, Measured) and e.split == "test"
    )
    by_fact: dict[str, list] = {}
    for part in finished.breakdown:
        by_fact.setdefault(part.fact, []).append(part)
    assert "distance" in by_fact
    for parts in by_fact.values():
        hits = sum(part.accuracy * part.num for part in parts)
        assert hits / sum(part.num for part in parts) == pytest.approx(test)


def test_a_part_of_a_stack_is_its_members_and_then_the_whole_again():
    """Running statistics, which a member takes along, too."""
    mixer = {"name": "orchid", "conditioning": {"name": "magnitude", "norm": "batchnorm"}}
    spec = tiny(model__mixer=mixer)
    keys = [f"confirmation {seed}" for seed in range(3)]
    stack = Stack(spec, keys, torch.device("cpu"))
    tokens = torch.arange(3 * 4 * 9).view(3, 4, 9) % 9
    stack.model(tokens, None)  # with gradients: the statistics follow
    with torch.no_grad():
        whole, values = stack.model(tokens, None), stack.values
        with stack.only(torch.tensor([2, 0])):
            assert stack.num_members == 2
            assert torch.equal(stack.model(tokens[[2, 0]], None), whole[[2, 0]])
        assert stack.values is values
        assert torch.equal(stack.model(tokens, None), whole)
