"""Dropout: each member's own, in training alone."""

from __future__ import annotations

import pytest
import torch

from harness.foundation.errors import HarnessError
from harness.layers import Dropout
from harness.model import Model
from harness.training.dropout import dropping
from harness.training.stack import Stack
from tests.harness.runs import numbers, tiny, train

DROPPING = {"model__embedding_dropout": 0.1, "model__residual_dropout": 0.2}


def masks(layer: Dropout, members: int, step: int = 0, keys: str = "abcdef") -> torch.Tensor:
    model = torch.nn.ModuleDict({"part": layer, "other": torch.nn.Linear(1, 1)})
    with dropping(model, list(keys[:members]), step):
        return layer(torch.ones(members, 40, 30, 20))


def test_numbers_do_not_depend_on_companions():
    specs = [tiny(**DROPPING, seed=i // 2, train__lr=(1 + i) * 1e-3) for i in range(8)]
    together, backwards = train(specs), train(specs[::-1])
    for spec in specs[:3]:
        expected = numbers(together, spec.run_id)
        assert numbers(backwards, spec.run_id) == expected
        assert numbers(train([spec]), spec.run_id) == expected
    assert numbers(train([specs[2], specs[0]]), specs[0].run_id) == numbers(
        together, specs[0].run_id
    )


def test_a_member_that_leaves_takes_no_mask_with_it():
    wild = tiny(**DROPPING, seed=5, train__lr=1e30, train__clip_norm=None)
    calm = [tiny(**DROPPING, seed=seed, train__clip_norm=None) for seed in (1, 2)]
    together = train([calm[0], wild, calm[1]])
    for spec in calm:
        assert numbers(together, spec.run_id) == numbers(train([spec]), spec.run_id)


def test_no_dropout_moves_no_number():
    plain, none = tiny(), tiny(model__embedding_dropout=0.0, model__residual_dropout=0.0)
    assert plain.run_id == none.run_id
    some = tiny(**DROPPING)
    assert numbers(train([some]), some.run_id) != numbers(train([plain]), plain.run_id)


def test_the_share_is_dropped_and_the_rest_made_up_for():
    out = masks(Dropout(0.3), 2)
    assert sorted(out.unique().tolist()) == pytest.approx([0.0, 1 / 0.7])
    # 48,000 draws of probability .3: four standard errors are .0084
    assert (out == 0).float().mean().item() == pytest.approx(0.3, abs=0.0084)
    assert out.mean().item() == pytest.approx(1.0, abs=0.012)


def test_masks_differ_by_member_step_and_use():
    layer = Dropout(0.5)
    first = masks(layer, 3)
    assert not torch.equal(first[0], first[1])
    assert torch.equal(first[:2], masks(layer, 2))
    assert torch.equal(first[[1, 0]], masks(layer, 2, keys="ba"))
    assert not torch.equal(first, masks(layer, 3, step=1))
    model = torch.nn.ModuleDict({"part": layer, "other": torch.nn.Linear(1, 1)})
    with dropping(model, ["a"], 0):
        x = torch.ones(1, 40, 30, 20)
        once, again = layer(x), layer(x)  # a shared block drops twice
    assert torch.equal(once[0], first[0]) and not torch.equal(once, again)


def test_nothing_is_dropped_outside_training():
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    layer = Dropout(0.9)
    assert layer(x) is x
    masks(layer, 2)
    assert layer(x) is x


def test_what_is_dropped_has_no_gradient():
    stack = Stack(tiny(**DROPPING), ["a"], torch.device("cpu"))
    layer = stack.model.embedding_dropout
    with dropping(stack.model, ["a"], 0):
        x = torch.ones(1, 4, 5, 8, requires_grad=True)
        y = layer(x)
    y.sum().backward()
    assert torch.equal(x.grad == 0, y == 0) and (y == 0).any()


def test_where_it_stands():
    model = Model(tiny(**DROPPING))
    names = [name for name, part in model.named_modules() if isinstance(part, Dropout)]
    assert names == ["embedding_dropout", "blocks.0.dropout", "blocks.1.dropout"]
    assert not list(Model(tiny()).embedding_dropout.parameters())


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_shares_that_are_none(share):
    with pytest.raises(HarnessError, match="residual_dropout"):
        tiny(model__residual_dropout=share)
