"""`orchid bench SECTION`: each section measures; what becomes of its result is the same for all."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from harness.foundation.errors import HarnessError
from harness.options import JSON, PLUGIN

_FRAME = (
    click.option(
        "--out", type=click.Path(path_type=Path), default=Path("bench"), show_default=True,
        help="folder for SECTION.json and SECTION.svg",
    ),
    JSON,
    click.option(
        "--against", metavar="COMMAND",
        help="time this shell command instead, in turn with a reference job of ours; in it {out} "
        "is a fresh folder",
    ),
    click.option("--ours", metavar="COMMAND", help="in place of the reference job"),
    click.option(
        "--repetitions", type=click.IntRange(min=1), default=5, show_default=True,
        help="of both commands",
    ),
)  # fmt: skip


@click.group()
def bench() -> None:
    """Times what is meant to be fast, as ratios on this machine.

    Each section prints its tables and writes FOLDER/SECTION.json and FOLDER/SECTION.svg; with
    --json it prints the JSON alone and writes nothing.
    """


def section(name: str) -> Callable:
    """Makes a verb of a function that measures: it returns the section's module (see
    `harness.bench`) and the result."""

    def register(measure: Callable[..., tuple[ModuleType, dict[str, Any]]]) -> click.Command:
        @functools.wraps(measure)
        def verb(*, out, as_json, against, ours, repetitions, **options) -> None:
            if against is not None:
                from harness.bench import against as comparison

                result = comparison.measure(name, against, ours, repetitions=repetitions)
                _show(f"{name}-against", comparison, result, None if as_json else out)
                return
            if ours is not None:
                raise HarnessError("--ours has nothing to go against", fix="--against COMMAND")
            _show(name, *measure(**options), None if as_json else out)

        for option in reversed(_FRAME):
            verb = option(verb)
        return bench.command(name=name)(verb)

    return register


def _show(name: str, module: ModuleType, result: dict[str, Any], out: Path | None) -> None:
    """Prints the tables and writes the files; without a folder the JSON alone is printed."""
    from harness.bench import describe, render_ratios
    from reports import write_text
    from reports.figures import ratios_on_white

    found = module.ratios(result)
    text = json.dumps({**result, "ratios": [ratio._asdict() for ratio in found]}, indent=2)
    if out is None:
        click.echo(text)
        return
    click.echo(module.render(result))
    files = {f"{name}.json": text + "\n"}
    if found:
        click.echo("\n" + render_ratios(found))
        files[f"{name}.svg"] = ratios_on_white(found, f"orchid bench {name}: {describe(result)}")
    if hasattr(module, "figures"):
        figures = module.figures(result).items()
        files |= {f"{name}-{what}.svg": drawing for what, drawing in figures}
    for file, content in files.items():
        write_text(out / file, content)
    click.echo(f"\nwritten to {out}: {', '.join(files)}")


@section("step")
def step():
    """A training step: what each of its choices gains, and where its time goes."""
    from harness.bench import step

    return step, step.measure()


@section("cohort")
@click.option("--members", type=click.IntRange(min=2), default=16, show_default=True)
def cohort(members: int):
    """Many runs: one at a time, stacked, by vmap; then whole trainings in two workers."""
    from harness.bench import cohort

    return cohort, cohort.measure(members)


@section("orchid")
def orchid():
    """Orchid's layer: its fast path, the modules it stands for, its projections alone."""
    from harness.bench import orchid

    return orchid, orchid.measure()


@section("data")
def data():
    """Generators: examples a second against their plain rule, and their share of a step."""
    from harness.bench import data

    return data, data.measure()


@section("runner")
@click.option("--ray", "with_ray", is_flag=True, help="through Ray Tune as well")
def runner(with_ray: bool):
    """What the runner adds to training: driver time and memory a run, ledger, start-up."""
    from harness.bench import runner

    return runner, runner.measure(with_ray=with_ray)


@section("grid")
@click.option("--steps", type=click.IntRange(min=1), default=1000, show_default=True)
def grid(steps):
    """A grid of 24 runs from the command to its report: where the time goes."""
    from harness.bench import grid

    return grid, grid.measure(steps)


@section("mixers")
@click.argument("names", nargs=-1, metavar="[MIXER]...")
@click.option("--length", "lengths", type=click.IntRange(min=2), multiple=True, help="[64 to 4096]")
@PLUGIN
def mixers(names, lengths, plugins):
    """Every mixer against length: time, peak memory, ratio to attention."""
    from harness.bench import mixers
    from harness.foundation.plugins import load_plugins

    load_plugins(plugins)
    return mixers, mixers.measure(sorted(lengths) or mixers.LENGTHS, names)


@section("report")
@click.option("--runs", "sizes", type=click.IntRange(min=1000), multiple=True, help="[1000, 10000]")
def report(sizes):
    """`orchid report` against the number of runs: time, memory, size of the page."""
    from harness.bench import report

    return report, report.measure(sizes or report.SIZES)


@section("scaling")
def scaling():
    """Two workers against one, growth with runs, members, length and width, 1,000 GPUs planned."""
    from harness.bench import scaling

    return scaling, scaling.measure()
