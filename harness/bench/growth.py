"""How time grows: with the number of runs, members of a cohort, length and width, as exponents.

Times t over sizes n are fitted by log t = c + p log n (least squares), once in every repetition,
whose sizes take turns. A power law only sums a curve up, so the slope between every two
neighbouring sizes is given too: where the curve bends, those go from one law to another. Runs are
timed by the clock; steps, which take one thread, by their CPU time, which is the same where nothing
else runs and less noisy where something does.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ablations import runner
from ablations.executors import Executor
from ablations.executors.local import Local
from ablations.reading import from_document
from harness.bench import Ratio, in_turn, ratio_of, spread
from harness.bench.runner import TINY, Replay
from harness.bench.training_step import TrainingStep, specification
from harness.foundation import yaml
from harness.training.allocator import keep_freed_memory

MIXERS = ("attention", "orchid")
RUNS = {"replayed": (64, 128, 256, 512, 1024), "trained": (32, 64, 128, 256)}
SIZES = {
    "members": (1, 2, 4, 8, 16, 32, 64),
    "length": (32, 64, 128, 256, 512, 1024, 2048),
    "width": (16, 32, 64, 128, 256),
}
SHAPES = {  # of what is not varied
    "members": {"members": 1, "length": 32, "width": 32, "batch": 16},
    "length": {"members": 1, "length": 32, "width": 32, "batch": 8},
    "width": {"members": 1, "length": 128, "width": 32, "batch": 8},
}
REPETITIONS = {"replayed": 5, "trained": 3, "members": 7, "length": 7, "width": 7}
# What exponents are held against.
LAWS = {
    "replayed": "1",
    "trained": "1",
    "members": "0 while overhead dominates, then 1",
    "length, attention": "1 for what is done to each token, then 2",
    "length, orchid": "L log L, so a little over 1",
    "width": "1 for what is done to each number, then 2 (products)",
}

Times = dict[int, list[float]]  # size -> seconds of each repetition


def measure() -> dict[str, Any]:
    """curves: of time, and what was fitted to them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    keep_freed_memory()
    try:
        curves = [_curve("replayed", "", _against_runs("replayed", Replay()))]
        with Local(workers=1, device="cpu", plugins=()) as engine:
            _run(engine, RUNS["trained"][0])  # starts its worker
            curves.append(_curve("trained", "", _against_runs("trained", _Kept(engine))))
        for what in SIZES:
            for mixer, times in _steps_against(what).items():
                curves.append(_curve(what, mixer, times))
    finally:
        torch.set_num_threads(threads)
    return {"curves": curves}


def render(result: dict[str, Any]) -> str:
    """The result as text: a line of milliseconds and one of exponents for each curve."""
    lines = ["time against size, milliseconds; below, exponents: between neighbours, and overall"]
    for curve in result["curves"]:
        low, high = spread(curve["exponents"])
        lines += [
            f"{_name(curve)}; wanted {curve['law']}",
            "  " + "".join(f"{size:>10,}" for size in curve["sizes"]),
            "  " + "".join(f"{statistics.median(each) * 1e3:10.3g}" for each in curve["seconds"]),
            f"  {'':5}"
            + "".join(f"{slope:10.2f}" for slope in curve["local"])
            + f"{'':5}   overall {statistics.median(curve['exponents']):.2f} "
            f"({low:.2f} to {high:.2f})",
        ]
    return "\n".join(lines)


def ratios(result: dict[str, Any]) -> list[Ratio]:
    """Runs, or steps of a member, a second: at the greatest size against the least; and Orchid
    against attention at the greatest length."""
    found, longest = [], {}
    for curve in result["curves"]:
        (first, *_, last), each = curve["sizes"], curve["seconds"]
        if curve["what"] == "length":
            longest[curve["mixer"]] = (last, each[-1])
        if curve["what"] in ("length", "width"):
            continue
        one, many = [s / first for s in each[0]], [s / last for s in each[-1]]
        noun = "members" if curve["what"] == "members" else "runs"
        name = f"{last:,} {noun}, {curve['mixer'] or curve['what']}, each"
        found.append(ratio_of(name, f"{first}", one, many))
    if len(longest) == 2:
        (length, attention), (_, orchid) = longest["attention"], longest["orchid"]
        found.append(ratio_of(f"orchid's step, length {length:,}", "attention", attention, orchid))
    return found


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """p of seconds ~ size^p, by least squares of the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def _curve(what: str, mixer: str, times: Times) -> dict[str, Any]:
    """exponents: one a repetition. local: slopes between neighbours, of the medians."""
    sizes, each = list(times), list(times.values())
    points = list(zip(sizes, map(statistics.median, each), strict=True))
    return {
        "what": what,
        "mixer": mixer,
        "law": LAWS.get(f"{what}, {mixer}") or LAWS[what],
        "sizes": sizes,
        "seconds": each,
        "exponents": [exponent(sizes, repetition) for repetition in zip(*each, strict=True)],
        "local": [exponent(*zip(*pair, strict=True)) for pair in itertools.pairwise(points)],
    }


def _name(curve: dict[str, Any]) -> str:
    what = curve["what"]
    if what in RUNS:
        return f"a whole ablation against its number of runs, {what}"
    fixed = ", ".join(f"{key} {value}" for key, value in SHAPES[what].items() if key != what)
    return f"a training step of {curve['mixer']} against {what} ({fixed})"


# -- runs ------------------------------------------------------------------------------------------


class _Kept:
    """An executor whose workers outlive an ablation, so that starting them is not counted."""

    def __init__(self, engine: Local):
        self.engine = engine
        self.name, self.device, self.num_workers = engine.name, engine.device, engine.num_workers
        self.execute, self.worker_memory = engine.execute, engine.worker_memory

    def __enter__(self) -> _Kept:
        return self

    def __exit__(self, *exception) -> None: ...


def _against_runs(what: str, engine: Executor) -> Times:
    """An ablation of so many tiny runs, from its text to its ledger."""
    steps = {num: lambda num=num: _run(engine, num) for num in RUNS[what]}
    return in_turn(steps, repetitions=REPETITIONS[what])


def _run(engine: Executor, num: int) -> None:
    text = TINY.format(num=num)
    ablation = from_document(yaml.load(text, "tiny.yaml"), text, "smoke", ())
    with tempfile.TemporaryDirectory() as folder:
        summary = runner.run(ablation, out=folder, engine=engine)
    if summary.counts != {"finished": num}:
        raise RuntimeError(f"not every run finished: {summary.counts}")


# -- steps -----------------------------------------------------------------------------------------


def _steps_against(what: str) -> dict[str, Times]:
    """A step of each mixer against one of members, length and width; all take turns."""
    steps = {}
    for size in SIZES[what]:
        for mixer in MIXERS:
            shape = SHAPES[what] | {what: size}
            members = shape.pop("members")
            steps[mixer, size] = TrainingStep(specification(mixer, **shape), members)
    times = in_turn(steps, repetitions=REPETITIONS[what], clock=time.process_time)
    return {mixer: {size: times[mixer, size] for size in SIZES[what]} for mixer in MIXERS}
