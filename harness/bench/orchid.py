"""Orchid's layer, forward and backward: as published, by our modules, by the fast path that stands
for them, and its linear projections alone, which bound it from below. One thread, float32."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from harness import mixers
from harness.bench import Ratio, describe, interleaved, machine, ratio_of
from harness.bench.published_orchid import PublishedOrchid
from harness.foundation.seeding import generator
from harness.mixers.orchid import fused
from harness.training.allocator import keep_freed_memory

SHAPES = ((64, 32, 32), (32, 128, 64), (8, 1024, 64))  # batch, length, width
NETWORKS = ("power", "cross_correlation")
REPETITIONS = 15
WANTED, WANTED_MEAN = 2, 3  # of the fast path over the published layer


def measure() -> dict[str, Any]:
    """Milliseconds of each candidate, for every shape and conditioning network."""
    torch.set_num_threads(1)
    keep_freed_memory()
    rows = []
    for shape in SHAPES:
        for network in NETWORKS:
            for residual in (False, True):
                case = {"shape": shape, "network": network, "residual": residual}
                timings = interleaved(_candidates(**case), repetitions=REPETITIONS)
                rows += [
                    {**case, "candidate": name, **timing._asdict()}
                    for name, timing in timings.items()
                ]
    return {**machine(), "rows": rows}


def render(result: dict[str, Any]) -> str:
    """The result as text; ratios are those of the published layer to each candidate."""
    lines = [describe(result), "ms forward and backward, ratio to the published layer"]
    for row in result["rows"]:
        if row["candidate"] == "published":  # the first of its case
            lines += ["", _name(row)]
            whole = row["median_ms"]
        lines.append(
            f"  {row['candidate']:<16} {row['median_ms']:8.2f} "
            f"({row['low_ms']:.2f} to {row['high_ms']:.2f})  {whole / row['median_ms']:5.2f} x"
        )
    mean = statistics.geometric_mean(ratio.ratio for ratio in ratios(result))
    lines += [
        "",
        f"fast path, geometric mean: {mean:.2f} x the published layer, wanted {WANTED_MEAN}",
    ]
    return "\n".join(lines)


def ratios(result: dict[str, Any]) -> list[Ratio]:
    """The published layer's time over the fast path's."""
    times: dict[str, dict[str, list[float]]] = {}
    for row in result["rows"]:
        times.setdefault(_name(row), {})[row["candidate"]] = row["each_ms"]
    return [
        ratio_of(name, "published", each["published"], each["fast path"], wanted=WANTED)
        for name, each in times.items()
    ]


def _name(row: dict[str, Any]) -> str:
    batch, length, width = row["shape"]
    residual = ", residual" if row["residual"] else ""
    return f"{row['network']}{residual}, batch {batch}, length {length}, width {width}"


def _candidates(
    shape: tuple[int, int, int], network: str, residual: bool
) -> dict[str, Callable[[], object]]:
    _, length, width = shape
    options = {"conditioning": network, "residual_conv": residual, "normalization": "forward"}
    mixer = mixers.get("orchid", **options)
    layer = mixer.build(width, length)
    stated = PublishedOrchid(layer)
    values = generator("bench", *shape).standard_normal(shape)
    x = torch.from_numpy(values).float().requires_grad_()

    def published():
        return _gradients(stated(x), x, stated)

    def modules():
        with _threshold(float("inf")):
            return _gradients(layer(x, None)[0], x, layer)

    def fast():
        with _threshold(0):
            return _gradients(layer(x, None)[0], x, layer)

    projections = nn.ModuleList([layer.in_linear, layer.out_linear])

    def alone():
        streams = layer.in_linear(x)
        y = layer.out_linear(streams[..., :width])
        return _gradients(y, x, projections)

    return {
        "published": published,
        "modules": modules,
        "fast path": fast,
        "projections": alone,
    }


def _gradients(y: Tensor, x: Tensor, layer: nn.Module) -> tuple[Tensor, ...]:
    return torch.autograd.grad(y.sum(), [x, *layer.parameters()])


@contextmanager
def _threshold(numbers: float):
    """The size from which on the fast path serves."""
    kept, fused.WORTHWHILE = fused.WORTHWHILE, numbers
    try:
        yield
    finally:
        fused.WORTHWHILE = kept
