"""What a step costs by the model, and the sizes of cohorts that follow from it."""

from __future__ import annotations

import pytest

from ablations.estimate import CPU, CUDA, NEARLY, activations, estimate_s, worthwhile_size
from harness.bench.training_step import specification
from tests.harness.runs import tiny

SMALL = specification("attention", width=32, length=32, batch=16)
LARGE = specification("attention", width=256, length=512, batch=16)


def test_a_cohort_grows_while_members_share_an_overhead_that_counts():
    assert worthwhile_size(SMALL) > 8
    assert worthwhile_size(LARGE) == 1  # beyond the caches
    assert worthwhile_size(LARGE, "cuda") > worthwhile_size(LARGE)
    assert 1 <= worthwhile_size(tiny(), "cuda:1") <= CUDA.most_members


@pytest.mark.parametrize("width", [8, 32, 64])
@pytest.mark.parametrize("length", [16, 64, 256])
def test_no_smaller_cohort_is_nearly_as_good(width, length):
    spec = specification("orchid", width=width, length=length, batch=16)
    size = worthwhile_size(spec)
    assert size <= CPU.most_members and size * activations(spec) <= CPU.most_activations
    most = max(1, min(CPU.most_members, CPU.most_activations // activations(spec)))
    best = CPU.step_s(spec, most) / most
    assert CPU.step_s(spec, size) / size <= NEARLY * best
    assert size == 1 or CPU.step_s(spec, size - 1) / (size - 1) > NEARLY * best


def test_a_cohort_costs_less_than_its_members_one_by_one():
    alone = estimate_s([SMALL])
    assert 8 * alone > estimate_s([SMALL] * 8) > alone


def test_bfloat16_is_slow_on_a_cpu():
    lowered = SMALL.model_copy(
        update={"train": SMALL.train.model_copy(update={"precision": "bfloat16"})}
    )
    assert estimate_s([lowered]) == 2 * estimate_s([SMALL])
    assert estimate_s([lowered], "cuda") == estimate_s([SMALL], "cuda")


def test_more_evaluations_cost_more():
    often = SMALL.model_copy(update={"train": SMALL.train.model_copy(update={"eval_every": 1})})
    assert estimate_s([often]) > estimate_s([SMALL])
