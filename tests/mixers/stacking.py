"""Helpers: members of a stack, made by hand as the trainer makes them."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from harness.mixers import Mixer


def members(mixer: Mixer, width: int, length: int, num: int) -> list[nn.Module]:
    """Modules of the same mixer with different seeds."""
    return [mixer.build(width, length, seed=seed) for seed in range(num)]


def stack(layers: list[nn.Module]) -> nn.Module:
    """One module whose parameters have a leading member dimension."""
    out = copy.deepcopy(layers[0])
    for path, module in out.named_modules():
        others = [layer.get_submodule(path) for layer in layers]
        for name, value in list(module._parameters.items()):
            if value is not None:
                stacked = torch.stack([getattr(other, name).detach() for other in others])
                module._parameters[name] = nn.Parameter(stacked)
    return out


def run(layer: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Output, gradient of the input and of every parameter, for the loss sum(y^2)."""
    x = x.clone().requires_grad_()
    y, _ = layer(x, None)
    y.square().sum().backward()
    grads = {name: value.grad for name, value in layer.named_parameters()}
    return {"y": y.detach(), "x": x.grad, **grads}
