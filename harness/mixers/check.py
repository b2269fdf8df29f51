"""Whether a mixer, shipped or a plug-in, keeps the promises of `Mixer`; no training needed."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from harness.foundation.errors import HarnessError, Problem
from harness.foundation.plugins import source_digest
from harness.foundation.seeding import generator
from harness.layers import Recipe
from harness.mixers.base import Mixer

MOST_POSITIONS = 64  # on which a plug-in's mixer is checked before a run, where it can be shorter


def check_mixer(mixer: Mixer, *, width: int = 8, length: int = 12) -> None:
    """Builds it at this size and tries it. Raises HarnessError that lists every broken promise."""
    try:
        problems = list(_problems(mixer, width, length))
    except HarnessError:
        raise
    except Exception as error:
        raise HarnessError(
            f"it raises {type(error).__name__}: {error}",
            where=f"mixer {mixer.name}, width {width}, length {length}",
            fix="build it and call it by hand to see the traceback",
        ) from error
    if problems:
        raise HarnessError(item._replace(where=f"mixer {mixer.name}") for item in problems)


def check_plugins(sizes: Iterable[tuple[Mixer, int, int]]) -> None:
    """`check_mixer` of each (mixer, width, length) that is not the project's own, once."""
    for mixer, width, length in dict.fromkeys(sizes):
        if source_digest(type(mixer)):
            short = min(length, MOST_POSITIONS)
            try:
                mixer.check(width, short)
            except ValueError:
                short = length
            check_mixer(mixer, width=width, length=length if mixer.fixed_length else short)


def stack_members(layers: Sequence[nn.Module]) -> nn.Module:
    """One module of several equal ones, whose parameters have a leading member dimension."""
    out = copy.deepcopy(layers[0])
    for path, module in out.named_modules():
        others = [layer.get_submodule(path) for layer in layers]
        for name, value in list(module._parameters.items()):
            if value is not None:
                stacked = torch.stack([getattr(other, name).detach() for other in others])
                module._parameters[name] = nn.Parameter(stacked)
    return out


def outputs_and_gradients(layer: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """y, and the gradients of sum(y^2) in x and in every parameter, by name."""
    x = x.clone().requires_grad_()
    y, _ = layer(x, None)
    wanted = {"x": x, **dict(layer.named_parameters())}
    grads = torch.autograd.grad(y.square().sum(), list(wanted.values()), allow_unused=True)
    return {"y": y.detach(), **dict(zip(wanted, grads, strict=True))}


def _problems(mixer: Mixer, width: int, length: int) -> Iterator[Problem]:
    plain = mixer.module(width, length)
    strangers = [
        name
        for name, value in plain.named_parameters()
        if not isinstance(getattr(value, "recipe", None), Recipe)
    ]
    if strangers:
        yield Problem(
            f"the parameters {', '.join(strangers)} have no recipe, so they can be neither "
            "initialised nor stacked",
            fix="declare them with harness.layers.parameter, or use the layers there",
        )
        return
    layer, x = mixer.build(width, length), _noise(2, length, width)
    y, _ = layer(x, None)
    if y.shape != x.shape or y.dtype != x.dtype:
        yield Problem(
            f"inputs {tuple(x.shape)} {x.dtype} give {tuple(y.shape)} {y.dtype}",
            fix="the output has the shape and type of the input",
        )
        return
    yield from _regime(mixer, layer.double(), x.double())
    yield from _gradients(mixer, width, length)
    yield from _members(mixer, width, length)
    if not mixer.fixed_length and length > 2:
        shorter = x[:, :-2].double()
        if layer(shorter, None)[0].shape != shorter.shape:
            yield Problem(
                f"built for {length} positions, it does not take {length - 2}",
                fix="serve any length, or set fixed_length = True",
            )
    if not (mixer.flops_per_token(width, length) > 0 and mixer.state_size(width, length) > 0):
        yield Problem("flops_per_token and state_size should be positive")


@torch.no_grad()
def _regime(mixer: Mixer, layer: nn.Module, x: Tensor) -> Iterator[Problem]:
    """Moves one position at a time and sees which outputs move. In float64."""
    if mixer.regime != "causal":
        return
    y, scale = layer(x, None)[0], layer(x, None)[0].abs().max()
    for at in range(1, x.shape[-2]):
        other = x.clone()
        other[:, at] += 1.0
        before = (layer(other, None)[0] - y)[:, :at].abs().amax((0, 2))
        if before.max() > 1e-9 * scale:
            yield Problem(
                f"it says that it is causal, but output {int(before.argmax())} moves with input "
                f"{at}",
                fix="look back only, or say regime 'bidirectional'",
            )
            return


def _gradients(mixer: Mixer, width: int, length: int) -> Iterator[Problem]:
    found = outputs_and_gradients(mixer.build(width, length), _noise(3, length, width))
    for name, grad in found.items():
        if grad is None:
            yield Problem(f"{name} has no gradient", fix="use it, or remove it")
        elif not torch.isfinite(grad).all():
            yield Problem(f"{name} is not finite for ordinary inputs")


def _members(mixer: Mixer, width: int, length: int) -> Iterator[Problem]:
    """Three members together against each alone, bit for bit."""
    layers = [mixer.build(width, length, seed=seed) for seed in range(3)]
    x = _noise(3, 2, length, width)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        together = outputs_and_gradients(stack_members(layers), x)
        for index, layer in enumerate(layers):
            alone = outputs_and_gradients(stack_members([layer]), x[index : index + 1])
            differing = [
                name
                for name, value in together.items()
                if value is not None and not torch.equal(value[index], alone[name][0])
            ]
            if differing:
                yield Problem(
                    f"in a stack of members {', '.join(differing)} differ from what they are alone",
                    fix="count dimensions from the right, lift parameters with per_channel, and "
                    "see harness/layers.py for what keeps the bits",
                )
                return
    finally:
        torch.set_num_threads(threads)


def _noise(*shape: int) -> Tensor:
    return torch.from_numpy(generator("check mixer").standard_normal(shape)).float()
