"""MAD's noisy recall: where the noise stands. The rule itself: see test_in_context_recall."""

from __future__ import annotations

import numpy as np
import pytest

import tasks
from harness.foundation.seeding import generator


@pytest.mark.parametrize("fraction", [0.2, 0.4, 0.6, 0.8])
def test_share_of_noise(fraction):
    task, n = tasks.get("noisy_recall", noise_fraction=fraction), 2000
    batch = task.sample(generator("noise"), n)
    noise = batch.inputs[:, :-1:2] >= 16
    # One of the 63 places before the probe never is.
    share = noise.mean(axis=1)
    assert abs(share.mean() - fraction * 62 / 63) < 4 * share.std() / np.sqrt(n)
    each = noise.mean(axis=0)
    assert np.abs(each - fraction * 62 / 63).max() < 5 * np.sqrt(fraction * (1 - fraction) / n)
    tokens, counts = np.unique(batch.inputs[batch.inputs >= 16], return_counts=True)
    assert tokens.tolist() == list(range(16, 32))
    assert np.abs(counts / counts.sum() - 1 / 16).max() < 5 * np.sqrt(1 / 16 / counts.sum())


def test_at_least_one_pair_is_real():
    task = tasks.get("noisy_recall", length=8, noise_fraction=0.99)
    noise = task.sample(generator("all noise"), 3000).inputs[:, :-1:2] >= 16
    real = (~noise).sum(axis=1)
    assert real.min() == 1
    alone = (~noise[real == 1]).mean(axis=0)  # uniform over the three places
    assert np.abs(alone - 1 / 3).max() < 4 * np.sqrt(2 / 9 / (real == 1).sum())


def test_without_noise_it_is_in_context_recall():
    noisy = tasks.get("noisy_recall", noise_fraction=0.0).sample(generator("none"), 4000)
    plain = tasks.get("in_context_recall").sample(generator("plain"), 4000)
    assert noisy.inputs.max() == plain.inputs.max() == 15
    assert (noisy.info["noise"][noisy.scored] == 0).all()
    for name, values in plain.info.items():
        one, other = values[plain.scored], noisy.info[name][noisy.scored]
        # The scored positions of an example are not independent: 20 of them count as one.
        error = np.sqrt((one.var() / len(one) + other.var() / len(other)) * 20)
        assert abs(one.mean() - other.mean()) < 4 * error
