"""Forward and backward of every mixer against length: time, peak memory, ratio to attention.

One layer alone, one thread, float32. Figures are per token: a mixer whose cost is linear in the
length keeps them. A batch has TOKENS tokens, or one sequence where that is longer. Attention, whose
cost grows with the square, is measured up to LONGEST_ATTENTION; beyond, there is no ratio.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from harness import mixers
from harness.bench import Ratio, Timing, describe, interleaved, machine, ratio_of
from harness.foundation.config import to_data
from harness.foundation.seeding import generator
from harness.mixers import Mixer
from harness.training.allocator import keep_freed_memory
from reports.figures import curves_on_white

WIDTH = 64
TOKENS = 4096
LENGTHS = (64, 256, 1024, 4096)
LONGEST_ATTENTION = 16384
REPETITIONS = 11
BASELINE = "attention"


def measure(lengths: Sequence[int] = LENGTHS, names: Sequence[str] = ()) -> dict[str, Any]:
    """names: of mixers, all by default; attention, which the others are held against, is added."""
    torch.set_num_threads(1)
    keep_freed_memory()
    chosen = list(dict.fromkeys([BASELINE, *(names or mixers.names())]))
    rows = []
    for length in lengths:
        steps, refused = {}, {}
        for name in chosen:
            if name == BASELINE and length > LONGEST_ATTENTION:
                refused[name] = f"attention is measured up to length {LONGEST_ATTENTION}"
                continue
            try:
                steps[name] = _step(mixers.get(name), length)
            except ValueError as error:
                refused[name] = str(error)
        timings = interleaved(steps, repetitions=REPETITIONS, warm_up=1)
        measured = {name: (timings[name], _peak_bytes(step)) for name, step in steps.items()}
        rows += [
            _row(name, length, *found, measured.get(BASELINE)) for name, found in measured.items()
        ]
        rows += [{"mixer": name, "length": length, "refused": why} for name, why in refused.items()]
    options = {name: to_data(mixers.get(name)) for name in chosen}
    return {"width": WIDTH, "tokens": TOKENS, **machine(), "options": options, "rows": rows}


def _row(
    name: str, length: int, timing: Timing, peak: int, baseline: tuple[Timing, int] | None
) -> dict[str, Any]:
    tokens = length * _batch(length)
    row = {"mixer": name, "length": length, **timing._asdict()}
    row["us_per_token"] = timing.median_ms * 1e3 / tokens
    row["peak_bytes_per_token"] = peak / tokens
    if baseline is not None:
        row["ratio"] = timing.median_ms / baseline[0].median_ms
        row["memory_ratio"] = peak / baseline[1]
    return row


def _batch(length: int) -> int:
    return max(1, TOKENS // length)


def render(result: dict[str, Any]) -> str:
    """The result as text: a line a mixer, ordered by time at the greatest length."""
    lengths = sorted({row["length"] for row in result["rows"]})
    found = {(row["mixer"], row["length"]): row for row in result["rows"]}
    names = sorted(result["options"], key=lambda name: _sort_key(found[name, lengths[-1]]))
    lines = [
        describe(result),
        f"forward and backward of one layer, width {result['width']}, {result['tokens']} tokens a "
        "batch",
        "microseconds a token, peak KiB a token; in brackets, over those of attention",
        "",
        f"{'mixer':<24}" + "".join(f"{f'L = {length}':>30}" for length in lengths),
    ]
    for name in names:
        lines.append(
            f"{name:<24}" + "".join(f"{_cell(found[name, length]):>30}" for length in lengths)
        )
    return "\n".join(lines)


def ratios(result: dict[str, Any]) -> list[Ratio]:
    """Attention's time over every other mixer's, at the least and the greatest length at which
    attention was measured; the table has the lengths between."""
    found = {(row["mixer"], row["length"]): row for row in result["rows"] if "refused" not in row}
    lengths = sorted(length for mixer, length in found if mixer == BASELINE)
    out = []
    for length in dict.fromkeys([*lengths[:1], *lengths[-1:]]):
        attention = found[BASELINE, length]["each_ms"]
        rows = [row for (name, at), row in found.items() if at == length and name != BASELINE]
        out += [
            ratio_of(f"{row['mixer']}, L {length:,}", BASELINE, attention, row["each_ms"])
            for row in sorted(rows, key=_sort_key)
        ]
    return out


def figures(result: dict[str, Any]) -> dict[str, str]:
    """Time against length, both logarithmic."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in result["rows"]:
        if "refused" not in row:
            lines.setdefault(row["mixer"], []).append((row["length"], row["us_per_token"]))
    drawn = curves_on_white(
        lines,
        x="length",
        y="microseconds a token, forward and backward",
        title="Time of a mixer against length",
        emphasised=(BASELINE, "orchid"),
    )
    return {"length": drawn}


def _cell(row: dict[str, Any]) -> str:
    if "refused" in row:
        return "refused"
    time = f"{row['us_per_token']:.1f}{_ratio(row, 'ratio')}"
    return f"{time}  {row['peak_bytes_per_token'] / 1024:.1f}{_ratio(row, 'memory_ratio')}"


def _ratio(row: dict[str, Any], key: str) -> str:
    return f" ({row[key]:.2f})" if key in row else ""


def _sort_key(row: dict[str, Any]) -> float:
    return row.get("us_per_token", float("inf"))


def _step(mixer: Mixer, length: int) -> Callable[[], object]:
    layer = mixer.build(WIDTH, length)
    values = generator("bench", length).standard_normal((_batch(length), length, WIDTH))
    x = torch.from_numpy(values).float().requires_grad_()
    wanted = [x, *layer.parameters()]

    def step():
        y, _ = layer(x, None)
        return torch.autograd.grad(y.sum(), wanted)

    return step


def _peak_bytes(step: Callable[[], object]) -> int:
    """The most memory that the step holds at a time beyond what is there before it."""
    with _silent(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        step()
    events = [e for e in record.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


@contextmanager
def _silent() -> Iterator[None]:
    """Without what torch's profiler writes to the standard error by itself."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
