"""Interventions on a trained Orchid layer: another kernel in place of h(x), and how much is lost.

The drop in accuracy is the causal share of data dependence: what the kernel of the very input
contributes beyond the rest of the network, which stays as it was trained. Every layer is
intervened on at once. Kernels of other examples are those of an undisturbed pass over them;
truncation and low-pass act on the kernel that the disturbed network itself makes.

Dimensions: S members (only when stacked), B batch, M kernels an example (1, but for the causal
form), F bins, C channels of a spectrum, n points of the transform.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from harness.foundation.config import Component, parse_component
from harness.foundation.registry import Registry
from harness.mixers.orchid.global_convolution import Kind, Transform

# Called with a layer, its h (..., B M, F, C; B = 1 where h does not depend on the example) and
# its transform; what it returns is used in place of h.
Hook = Callable[[nn.Module, Tensor, Transform], Tensor]


class Intervention(Component):
    """Base of the interventions.

    of: whose kernel is changed: the example's own, that of its neighbour (the example before it
    in the evaluation set, for the first the last), or the mean over the evaluation set. None
    depends on the size of a batch, but for `input: shuffled`, which looks around in its batch.
    label: what is done to h, as the end of `accuracy, h ...`.
    remedy: what to do about one that changes no kernel.
    """

    of: ClassVar[Literal["own", "neighbour", "mean"]] = "own"
    label: ClassVar[str]
    remedy: ClassVar[str] = "remove it"

    def suits(self, kind: Kind) -> bool:
        """Whether it has a meaning under this transform."""
        return True

    def changes(self, layer: nn.Module, length: int) -> bool:
        """Whether it can change what the layer's network makes of sequences of this length."""
        return self.of == "own" or layer.conditioning.config.input in ("own", "shuffled")

    def apply(self, h: Tensor, transform: Transform) -> Tensor:
        """The kernel's spectrum (..., F, C), changed."""
        return h


INTERVENTIONS: Registry[Intervention] = Registry("intervention")


@INTERVENTIONS.register("swapped")
class Swapped(Intervention):
    """The kernel of another example: as typical as the own one, and wrong."""

    of = "neighbour"
    label = "swapped"
    remedy = "have an arm whose kernel knows the example: conditioning.input own"


@INTERVENTIONS.register("mean")
class Mean(Intervention):
    """The mean kernel: what is left when h no longer varies with the example."""

    of = "mean"
    label = "frozen to its mean"
    remedy = "have an arm whose kernel knows the example: conditioning.input own"


@INTERVENTIONS.register("truncated")
class Truncated(Intervention):
    """Taps at circular distance |t| <= taps / 2 are kept, as `conditioning.kernel_length` keeps
    them. Not for cosine transforms, whose product is no convolution and has no taps."""

    remedy = "keep fewer taps"

    taps: Annotated[int, Field(ge=1)]

    @property
    def label(self) -> str:
        return f"truncated to {self.taps} taps"

    def suits(self, kind: Kind) -> bool:
        return kind == "dft"

    def changes(self, layer: nn.Module, length: int) -> bool:
        network, points = layer.conditioning, layer.transform(length).points
        window = network.config.kernel_length or points
        reach = min(points // 2, window - 1 if network.causal_taps else window // 2)
        return 2 * reach > self.taps

    def apply(self, h: Tensor, transform: Transform) -> Tensor:
        whole = replace(transform, length=transform.points)
        t = torch.arange(transform.points, device=h.device)
        kept = torch.minimum(t, transform.points - t) * 2 <= self.taps
        return whole.spectrum(whole.signal(h) * kept.unsqueeze(-1))


@INTERVENTIONS.register("low_passed")
class LowPassed(Intervention):
    """The lowest `fraction` of the frequencies is kept, rounded up to whole bins."""

    remedy = "keep a smaller fraction"

    fraction: Annotated[float, Field(gt=0, le=1)]

    @property
    def label(self) -> str:
        return f"low-passed to {100 * self.fraction:g} %"

    def changes(self, layer: nn.Module, length: int) -> bool:
        bins = layer.transform(length).bins
        return math.ceil(self.fraction * bins) < bins

    def apply(self, h: Tensor, transform: Transform) -> Tensor:
        bins = torch.arange(h.shape[-2], device=h.device)
        return h * (bins < math.ceil(self.fraction * h.shape[-2])).unsqueeze(-1)


@INTERVENTIONS.register("removed")
class Removed(Intervention):
    """h = 0: the static kernel alone is left. A network that never saw such a gain may lose more
    by it than by losing the input; `mean` tells the two apart."""

    label = "removed"

    def apply(self, h: Tensor, transform: Transform) -> Tensor:
        return torch.zeros_like(h)


def get(name: str, **options) -> Intervention:
    """The intervention of that name. Raises HarnessError for an unknown name or option."""
    return parse_component(INTERVENTIONS, {"name": name, **options})


def kernel_layers(model: nn.Module) -> list[nn.Module]:
    """The convolutions whose kernel a conditioning network makes; empty in other models."""
    return [
        layer
        for layer in model.modules()
        if hasattr(layer, "intervention") and layer.conditioning is not None
    ]


def applies(intervention: Intervention, model: nn.Module) -> bool:
    """Whether the model has kernels of the input, and the intervention a meaning for all."""
    layers = kernel_layers(model)
    return bool(layers) and all(intervention.suits(layer.kind) for layer in layers)


@contextmanager
def hooked(model: nn.Module, hook: Hook) -> Iterator[None]:
    """Within, every kernel of the input passes through the hook."""
    layers = kernel_layers(model)
    for layer in layers:
        layer.intervention = partial(hook, layer)
    try:
        yield
    finally:
        for layer in layers:
            layer.intervention = None


@contextmanager
def intervene(
    model: nn.Module, intervention: Intervention, kernels: Sequence[Tensor] | None = None
) -> Iterator[None]:
    """Within, one pass of the model runs under the intervention.

    kernels: of the neighbours, or mean ones, in the order of use; none where `of` is own.
    """
    given = None if kernels is None else iter(kernels)

    def change(layer: nn.Module, h: Tensor, transform: Transform) -> Tensor:
        return intervention.apply(h if given is None else next(given), transform)

    with hooked(model, change):
        yield


class Use(NamedTuple):
    """One use of a kernel h (..., B M, F, C) in a pass; num: M."""

    layer: nn.Module
    h: Tensor
    transform: Transform
    num: int


def uses(model: nn.Module, run: Callable[[], object]) -> list[Use]:
    """The kernels of the input in the pass that `run` makes, in the order of use."""
    found: list[Use] = []

    def keep(layer: nn.Module, h: Tensor, transform: Transform) -> Tensor:
        chunk = getattr(layer, "chunk", None)  # positions that share a kernel in the causal form
        num = 1 if chunk is None else -(-transform.length // chunk)
        found.append(Use(layer, h, transform, num))
        return h

    with hooked(model, keep):
        run()
    return found


def mean_kernels(passes: Iterable[tuple[int, list[Use]]]) -> list[Tensor]:
    """(..., M, F, C) for every use in a pass: means over the examples of all passes.

    passes: (number of examples, uses). Summed in float64, so that batches leave no trace.
    """
    sums, count = [], 0
    for batch, found in passes:
        h = [use.h.double().contiguous().unflatten(-3, (-1, use.num)) for use in found]
        parts = [batch * each.mean(-4) for each in h]
        sums = [a + b for a, b in zip(sums, parts, strict=True)] if sums else parts
        count, dtype = count + batch, found[0].h.dtype if found else None
    return [(total / count).to(dtype) for total in sums]
