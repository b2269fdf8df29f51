"""Markov chains: the predictive against a plain twin and against the law of the samples."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks import Batch, accuracy
from tasks.base import surprise, with_loss
from tasks.ngrams import followers

parameters = st.fixed_dictionaries(
    {
        "num_states": st.integers(2, 5),
        "length": st.integers(5, 30),
        "order": st.integers(1, 4),
        "concentration": st.sampled_from([0.01, 0.5, 1.0, 3.0]),
    }
)


def chains(**changes):
    return tasks.get("markov_chains", **changes)


def counted(tokens, order, position, num_states):
    """How often each state has followed the last `order` tokens at a position, and where last."""
    counts, last = [0] * num_states, None
    now = tokens[position + 1 - order : position + 1]
    for i in range(order, position + 1):
        if tokens[i - order : i] == now:
            counts[tokens[i]] += 1
            last = i
    return counts, last


@settings(max_examples=30, deadline=None)
@given(parameters, st.integers(0, 2**32))
def test_every_example_by_a_plain_reader(chosen, seed):
    task = chains(**chosen)
    batch = task.sample(generator(seed), 4)
    truth, oracle, shortcuts = task.distribution(batch), task.oracle(batch), task.shortcuts(batch)
    assert (batch.targets[:, :-1] == batch.inputs[:, 1:]).all() and batch.scored.all()
    for row in range(4):
        tokens = batch.inputs[row].tolist()
        for position in range(task.length):
            facts = {name: fact[row, position] for name, fact in batch.info.items()}
            seen = np.bincount(tokens[: position + 1], minlength=task.num_states)
            assert shortcuts["most frequent so far"][row, position] == seen.argmax()
            assert shortcuts["last token"][row, position] == tokens[position]
            assert facts["position"] == position
            if position + 1 < task.order:
                assert truth[row, position] == pytest.approx(
                    [1 / task.num_states] * task.num_states
                )
                assert facts["occurrences"] == facts["distance"] == -1
                continue
            counts, last = counted(tokens, task.order, position, task.num_states)
            total = sum(counts) + task.num_states * task.concentration
            expected = [(count + task.concentration) / total for count in counts]
            assert truth[row, position] == pytest.approx(expected, abs=1e-12)
            assert oracle[row, position] == np.argmax(counts)
            assert facts["occurrences"] == sum(counts)
            assert facts["distance"] == (-1 if last is None else position - last)
            around = min(facts["distance"], task.length - facts["distance"])
            assert facts["circular_distance"] == around
            for order in range(1, task.order):
                counts, _ = counted(tokens, order, position, task.num_states)
                guess = shortcuts[f"counts of order {order}"][row, position]
                assert guess == np.argmax(counts)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("concentration", [0.4, 1.0, 2.5])
def test_the_predictive_is_the_law_of_the_samples(order, concentration):
    """Its products over positions are how often each of all the 32 sequences is drawn."""
    task = chains(num_states=2, length=4, order=order, concentration=concentration)
    n = 40_000
    batch = task.sample(generator("law", order, concentration), n)
    sequences = np.concatenate([batch.inputs, batch.targets[:, -1:]], axis=1)
    drawn = np.bincount(sequences @ 2 ** np.arange(4, -1, -1), minlength=32) / n
    every = np.array(list(product(range(2), repeat=5)))
    truth = task.distribution(Batch(every[:, :-1], every[:, 1:], {}))
    likely = 0.5 * np.take_along_axis(truth, every[:, 1:, None], axis=2).prod(axis=(1, 2))
    assert likely.sum() == pytest.approx(1)
    assert (np.abs(drawn - likely) < 4 * np.sqrt(likely * (1 - likely) / n)).all()


def test_no_simpler_predictor_has_a_lower_loss():
    task, n = chains(num_states=3, length=100, order=2), 400
    batch = task.sample(generator("loss"), n)
    simple = task.simple_distributions(batch)
    assert list(simple) == ["counts of order 0", "counts of order 1"]

    def losses(probabilities):
        drawn = np.take_along_axis(probabilities, batch.targets[..., None], axis=2)
        return -np.log(drawn).mean(axis=(1, 2))

    best = losses(task.distribution(batch))
    others = {"uniform": np.full((n, 100, 3), 1 / 3)}
    for order in (0, 1, 3):
        counts = followers(batch.inputs, order, 3) + 1.0
        others[order] = counts / counts.sum(axis=2, keepdims=True)
        if order < 2:
            assert np.array_equal(simple[f"counts of order {order}"], others[order])
    for other in others.values():
        above = losses(other) - best
        assert surprise(other, batch) == pytest.approx(losses(other).mean())
        assert above.mean() > 4 * above.std() / np.sqrt(n)
    got = accuracy(task.oracle(batch), batch)
    assert all(accuracy(guess, batch) < got - 0.02 for guess in task.shortcuts(batch).values())


def test_loss_falls_to_the_entropy_rate():
    states, n = 3, 300
    task = chains(num_states=states, length=2000)
    batch = task.sample(generator("rate"), n)
    late = np.s_[:, 1000:]
    drawn = np.take_along_axis(task.distribution(batch), batch.targets[..., None], axis=2)
    loss = -np.log(drawn[late]).mean(axis=(1, 2))

    table = generator("rate", "tables").dirichlet(np.ones(states), size=(20_000, states))
    stationary = np.linalg.matrix_power(table, 4096)[:, 0]
    rate = -(stationary[:, :, None] * table * np.log(table)).sum(axis=(1, 2))
    # The predictive's excess at position t is about (rows) (states - 1) / (2 t) nats.
    excess = states * (states - 1) / 2 * np.log(2) / 1000
    error = np.sqrt(loss.var() / n + rate.var() / len(rate))
    assert abs(loss.mean() - excess - rate.mean()) < 4 * error
    early = -np.log(drawn[:, :10]).mean()
    assert early > rate.mean() + 10 * error


def test_concentration_goes_from_determined_to_uniform():
    def share(concentration):
        task = chains(num_states=4, length=200, concentration=concentration)
        batch = task.sample(generator("concentration"), 200)
        return accuracy(task.oracle(batch), batch)

    assert share(1e-4) > 0.97  # all but the states that come for the first time
    assert share(1e-4) > share(0.3) + 0.2 > share(3.0) + 0.3
    assert abs(share(1e4) - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 40_000)


def test_relabelled_states_are_predicted_alike():
    task = chains(order=2, num_states=4)
    batch = task.sample(generator("relabel"), 50)
    label = generator("labels").permutation(4)
    renamed = Batch(label[batch.inputs], label[batch.targets], batch.info)
    assert np.array_equal(task.distribution(renamed)[..., label], task.distribution(batch))


def test_what_comes_later_changes_no_prediction():
    task = chains()
    batch = task.sample(generator("later"), 50)
    inputs = batch.inputs.copy()
    inputs[:, 60:] = generator("other").integers(5, size=(50, 68))
    other = task.distribution(Batch(inputs, batch.targets, batch.info))
    assert np.array_equal(other[:, :60], task.distribution(batch)[:, :60])
    assert not np.array_equal(other, task.distribution(batch))


def test_large_tables_are_drawn_in_parts():
    task = chains(num_states=9, order=3, length=50)
    batch = task.sample(generator("parts"), 1500)  # 9^4 numbers each, 2^22 at once
    share = accuracy(task.oracle(batch), batch)
    assert len(np.unique(batch.inputs, axis=0)) == 1500 and 1 / 9 < share < 0.2


def test_the_last_alone_is_what_mixers_that_see_everything_can_be_asked():
    every, last = chains(order=2), chains(order=2, scored="last")
    batch, alone = (task.sample(generator("last"), 50) for task in (every, last))
    assert (alone.inputs == batch.inputs).all() and not alone.scored[:, :-1].any()
    assert (alone.targets[:, -1] == batch.targets[:, -1]).all()
    for name, fact in alone.info.items():
        assert (fact[:, :-1] == -1).all() and (fact[:, -1] == batch.info[name][:, -1]).all()
    assert last.max_scored == 1 and last.forms == ("answers", "all", "masked")
    assert not last.answers_in_inputs and every.answers_in_inputs
    inputs, targets = with_loss(last, alone, "masked")
    assert (inputs[:, -1] == last.num_tokens).all() and (inputs[:, :-1] == batch.inputs).all()
    assert (targets[:, -1] == alone.targets[:, -1]).all()


def test_neither_hidden_answers_nor_edits():
    task = chains()
    assert task.forms == ("answers", "all")
    assert task.edit(task.sample(generator(0), 2), generator(0)) is None
    assert task.too_small_to_hold_out == ""
    assert "16 different inputs" in chains(num_states=2, length=4).too_small_to_hold_out


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"order": 128}, "order must be < length: 128 >= 128"),
        ({"order": 5}, "num_states^(order + 1) must be <= 10,000: 5^6"),
        ({"order": 50}, "num_states^(order + 1) must be <= 10,000: 5^51"),
        ({"num_states": 1}, "num_states: should be greater than or equal to 2, got 1"),
        ({"concentration": 0}, "concentration: should be greater than or equal to 0.000001, got 0"),
        ({"concentration": 2e6}, "concentration: should be less than or equal to 1000000"),
    ],
)
def test_impossible_parameters(changes, message):
    with pytest.raises(HarnessError) as error:
        chains(**changes)
    assert message in str(error.value)
