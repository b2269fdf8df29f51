"""The reference jobs that `orchid bench SECTION --against COMMAND` times: fixed pieces of work,
stated in words so that another harness can be given the same.

`python -m harness.bench.jobs SECTION FOLDER` does one; FOLDER is empty and may be filled.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from harness.foundation.seeding import generator

NUM_EXAMPLES, DRAWN_AT_ONCE = 100_000, 1_000
NUM_PASSES = 50
NUM_STEPS = 200
NUM_TINY = 256
NUM_RUNS = 1_000

_COHORT = """
name: reference
question: How long do many small runs take?
base:
  task: {{name: associative_recall, vocab_size: 20, length: 32}}
  model: {{width: 32, layers: 2, mixer: attention}}
  train:
    steps: {steps}
    warmup_steps: 0
    batch_size: 16
    eval_every: {steps}
    validation_examples: 64
    test_examples: 64
seeds: {{confirmation: 32}}
"""


class Job(NamedTuple):
    """A piece of work, and the same in words."""

    words: str
    do: Callable[[Path], object]


def _data(folder: Path) -> None:
    import tasks

    task, rng = tasks.get("mqar"), generator("bench", "mqar")
    for _ in range(NUM_EXAMPLES // DRAWN_AT_ONCE):
        task.sample(rng, DRAWN_AT_ONCE)


def _layer(name: str, options: dict[str, Any], batch: int, length: int) -> None:
    """Forward and backward passes of one layer of width 64."""
    import torch

    from harness import mixers
    from harness.training.allocator import keep_freed_memory

    torch.set_num_threads(1)
    keep_freed_memory()
    layer = mixers.get(name, **options).build(64, length)
    values = generator("bench", name).standard_normal((batch, length, 64))
    x = torch.from_numpy(values).float().requires_grad_()
    for _ in range(NUM_PASSES):
        torch.autograd.grad(layer(x, None)[0].sum(), [x, *layer.parameters()])


def _mixers(folder: Path) -> None:
    _layer("attention", {}, 4, 1024)


def _orchid(folder: Path) -> None:
    _layer("orchid", {"conditioning": "cross_correlation"}, 32, 128)


def _step(folder: Path) -> None:
    import torch

    from harness.foundation import yaml
    from harness.foundation.config import parse
    from harness.spec import RunSpec
    from harness.training.allocator import keep_freed_memory
    from harness.training.cohort import train_cohort

    torch.set_num_threads(1)
    keep_freed_memory()
    document = yaml.load(_COHORT.format(steps=NUM_STEPS), "reference.yaml")
    train_cohort([parse(RunSpec, document.data["base"])], lambda event: None)


def _train(text: str, folder: Path, *, workers: int = 2) -> None:
    """By local workers, into a ledger."""
    from ablations import executors, runner
    from ablations.reading import from_document
    from harness.foundation import yaml

    ablation = from_document(yaml.load(text, "reference.yaml"), text, "smoke", ())
    summary = runner.run(ablation, out=folder, engine=executors.make("local", workers=workers))
    if summary.num_failed:
        sys.exit(f"{summary.num_failed} runs failed")


def _cohort(folder: Path) -> None:
    _train(_COHORT.format(steps=NUM_STEPS), folder)


def _grid(folder: Path) -> None:
    import reports
    from harness.bench.grid import text

    _train(text(NUM_STEPS), folder)
    reports.write_html(folder)


def _runner(folder: Path) -> None:
    import reports
    from harness.bench.runner import TINY

    _train(TINY.format(num=NUM_TINY), folder)
    reports.write_html(folder)


def _report(folder: Path) -> None:
    import reports
    from harness.bench.report import write_ledger

    reports.write_html(write_ledger(folder, NUM_RUNS))


JOBS = {
    "data": Job(
        f"{NUM_EXAMPLES:,} examples of mqar (V 8192, L 64, 4 pairs) drawn in batches of "
        f"{DRAWN_AT_ONCE:,}",
        _data,
    ),
    "mixers": Job(
        f"{NUM_PASSES} forward and backward passes of one layer of attention, width 64, length "
        "1,024, batch 4, float32, one thread",
        _mixers,
    ),
    "orchid": Job(
        f"{NUM_PASSES} forward and backward passes of Orchid's layer, cross_correlation, width 64, "
        "length 128, batch 32, float32, one thread",
        _orchid,
    ),
    "step": Job(
        "1 run of associative_recall, V 20, L 32, width 32, 2 layers, attention, batch 16, "
        f"{NUM_STEPS} steps, one thread, validated and tested on 64 examples at the end",
        _step,
    ),
    "cohort": Job(
        "32 runs of associative_recall, V 20, L 32, width 32, 2 layers, attention, batch 16, "
        f"{NUM_STEPS} steps, validated and tested on 64 examples at the end, trained by two "
        "workers of one thread and recorded",
        _cohort,
    ),
    "scaling": Job(
        "32 runs of associative_recall, V 20, L 32, width 32, 2 layers, attention, batch 16, "
        f"{NUM_STEPS} steps, trained by one worker of one thread and recorded",
        lambda folder: _train(_COHORT.format(steps=NUM_STEPS), folder, workers=1),
    ),
    "grid": Job(
        f"24 runs of associative_recall, V 20, L 32, width 32, 2 layers, batch 64, {NUM_STEPS} "
        "steps, 4 seeds each of attention, orchid, hyena, long_conv, base_conv and short_conv, "
        "validated on 512 examples every 50 steps and tested on 2,048, trained by two workers of "
        "one thread and recorded, with a page of tables and figures",
        _grid,
    ),
    "runner": Job(
        f"{NUM_TINY} runs of associative_recall, V 10, L 8, width 8, 1 layer, short_conv, batch 4, "
        "8 steps, validated on 8 examples after each, trained by two workers of one thread, "
        "recorded, with a page of tables and figures",
        _runner,
    ),
    "report": Job(
        f"{NUM_RUNS:,} runs of 50 measurements each in 50 arms, with made-up numbers, recorded, "
        "with a page of tables and figures",
        _report,
    ),
}


if __name__ == "__main__":
    JOBS[sys.argv[1]].do(Path(sys.argv[2]))
