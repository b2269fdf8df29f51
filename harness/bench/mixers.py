"""Forward and backward of every mixer against length: time, peak memory, ratio to attention.

One layer alone, one thread, float32; the number of tokens in a batch is the same at every length,
so a mixer whose cost is linear in the length keeps its time.
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
from harness.bench import interleaved, machine
from harness.foundation.config import to_data
from harness.foundation.seeding import generator
from harness.mixers import Mixer
from reports.figures import curves_on_white

WIDTH = 64
TOKENS = 4096
LENGTHS = (64, 256, 1024, 4096)
REPETITIONS = 5
BASELINE = "attention"


def measure(lengths: Sequence[int] = LENGTHS, names: Sequence[str] = ()) -> dict[str, Any]:
    """names: of mixers, all by default; attention, which the others are held against, is added."""
    torch.set_num_threads(1)
    chosen = list(dict.fromkeys([BASELINE, *(names or mixers.names())]))
    rows = []
    for length in lengths:
        steps, refused = {}, {}
        for name in chosen:
            mixer = mixers.get(name)
            try:
                steps[name] = _step(mixer, length)
            except ValueError as error:
                refused[name] = str(error)
        timings = interleaved(steps, repetitions=REPETITIONS, warm_up=1)
        peaks = {name: _peak_bytes(step) for name, step in steps.items()}
        for name in steps:
            rows.append(
                {
                    "mixer": name,
                    "length": length,
                    **timings[name]._asdict(),
                    "ratio": timings[name].median_ms / timings[BASELINE].median_ms,
                    "peak_mib": peaks[name] / 2**20,
                    "memory_ratio": peaks[name] / peaks[BASELINE],
                }
            )
        rows += [{"mixer": name, "length": length, "refused": why} for name, why in refused.items()]
    options = {name: to_data(mixers.get(name)) for name in chosen}
    return {"width": WIDTH, "tokens": TOKENS, **machine(), "options": options, "rows": rows}


def render(result: dict[str, Any]) -> str:
    """The result as text: a line a mixer, ordered by time at the greatest length."""
    lengths = sorted({row["length"] for row in result["rows"]})
    found = {(row["mixer"], row["length"]): row for row in result["rows"]}
    names = sorted(result["options"], key=lambda name: _sort_key(found[name, lengths[-1]]))
    lines = [
        f"forward and backward of one layer, width {result['width']}, {result['tokens']} tokens a "
        f"batch, one thread, torch {result['torch']}",
        "ms (ratio to attention), peak MiB (ratio)",
        "",
        f"{'mixer':<24}" + "".join(f"{f'L = {length}':>30}" for length in lengths),
    ]
    for name in names:
        lines.append(
            f"{name:<24}" + "".join(f"{_cell(found[name, length]):>30}" for length in lengths)
        )
    return "\n".join(lines)


def figure(result: dict[str, Any]) -> str:
    """Time against length, both logarithmic, as the text of an SVG file."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in result["rows"]:
        if "refused" not in row:
            lines.setdefault(row["mixer"], []).append((row["length"], row["median_ms"]))
    return curves_on_white(
        lines,
        x="length",
        y=f"ms, forward and backward of {result['tokens']} tokens",
        title="Time of a mixer against length",
        emphasised=(BASELINE, "orchid"),
    )


def _cell(row: dict[str, Any]) -> str:
    if "refused" in row:
        return "refused"
    time = f"{row['median_ms']:.1f} ({row['ratio']:.2f})"
    return f"{time}  {row['peak_mib']:.0f} ({row['memory_ratio']:.2f})"


def _sort_key(row: dict[str, Any]) -> float:
    return row.get("median_ms", float("inf"))


def _step(mixer: Mixer, length: int) -> Callable[[], object]:
    batch = max(1, TOKENS // length)
    layer = mixer.build(WIDTH, length)
    values = generator("bench", length).standard_normal((batch, length, WIDTH))
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
