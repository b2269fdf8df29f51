"""The command line: verbs only. Each imports what it needs when it is called, so that `--help`,
`status` and `report` start without torch.

Exit codes: 0 done, 1 finished with failed runs (rerun: with other numbers; claims: with refuted or
open ones), 2 user error, 130 interrupted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from harness.bench.verbs import bench
from harness.foundation.errors import HarnessError
from harness.options import JSON, MULTIVERSE, OUT, PLUGIN, SCALE, SET


class _Verbs(click.Group):
    """Turns a HarnessError into its message and exit code 2, Ctrl-C into 130."""

    def invoke(self, ctx: click.Context):
        try:
            return super().invoke(ctx)
        except HarnessError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo("interrupted; the same command goes on from here", err=True)
            ctx.exit(130)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="orchid-harness")
def main() -> None:
    """Ablations of sequence mixers on synthetic tasks. NAME is a library ablation (orchid list),
    the path of a YAML file, or the output folder of an earlier run."""


@main.command(name="list")
@click.argument(
    "what",
    type=click.Choice(["all", "tasks", "mixers", "ablations", "protocols"]),
    default="all",
)
@PLUGIN
@JSON
def list_(what: str, plugins: tuple[str, ...], as_json: bool) -> None:
    """Tasks, mixers, ablations and protocols, one line each."""
    from harness import catalogue

    _load_plugins(plugins)
    sections = catalogue.sections(what)
    if as_json:
        click.echo(json.dumps(sections, indent=2))
    else:
        click.echo(catalogue.render(sections))


@main.command()
@click.argument("task")
@SET
@PLUGIN
@click.option("--seed", default=0, show_default=True, help="which example is drawn")
@JSON
def show(task: str, overrides: tuple[str, ...], plugins: tuple[str, ...], seed: int, as_json: bool):
    """One example of TASK, token by token, and the numbers to beat."""
    from harness import catalogue

    _load_plugins(plugins)
    drawn = catalogue.show_task(task, overrides, seed)
    click.echo(json.dumps(drawn.as_data(), indent=2) if as_json else drawn.render())


@main.command()
@click.argument("name")
@SCALE
@SET
@PLUGIN
def validate(name: str, scale: str, overrides: tuple[str, ...], plugins: tuple[str, ...]) -> None:
    """Checks an ablation and its components. Trains nothing."""
    import ablations
    from ablations.show import match_data, render_match
    from harness.cost import cost

    _load_plugins(plugins)
    ablation = ablations.load(name, scale=scale, overrides=overrides)
    _check(ablation)
    for arm in ablation.arms:
        cost(arm.spec)  # builds every model, without memory
    click.echo(f"{ablation.name} ({ablation.scale}): {len(ablation.arms)} arms, no mistakes")
    for line in render_match(match_data(ablation)):
        click.echo(line)


@main.command()
@click.argument("name")
@SCALE
@OUT
@SET
@PLUGIN
@MULTIVERSE
@JSON
def plan(name, scale, out, overrides, plugins, multiverse, as_json) -> None:
    """What `run` would do now: runs, cohorts, cost of each arm, time; what claims can expect."""
    import ablations
    from ablations import executors, todo
    from ablations.show import plan_data, render_plan
    from reports.claims.prospect import prospects

    _load_plugins(plugins)
    ablation = ablations.load(name, scale=scale, overrides=overrides, multiverse=multiverse)
    folder = _folder_of(name, out, ablation)
    engine = executors.make("local", device="cpu")
    planned = todo.plan_from_folder(ablation, folder, worker_memory=engine.worker_memory)
    planned = plan_data(ablation, planned, folder)
    ahead = prospects(ablation)
    if as_json:
        planned["claims"] = [prospect._asdict() for prospect in ahead]
        click.echo(json.dumps(planned, indent=2))
        return
    click.echo(render_plan(planned))
    for prospect in ahead:
        click.echo(f"claim {prospect.render()}")


@main.command()
@click.argument("name")
@SCALE
@OUT
@SET
@PLUGIN
@click.option("--executor", default="auto", show_default=True, help="auto, local or ray")
@click.option("--workers", type=click.IntRange(min=1), help="cohorts at a time [one a core or GPU]")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda")
@click.option("--per-gpu", type=click.IntRange(min=1), default=1, help="cohorts that share a GPU")
@click.option("--address", envvar="RAY_ADDRESS", help="Ray cluster: auto, or its address")
@MULTIVERSE
@click.option(
    "--until-settled", is_flag=True, help="add seeds (seeds.then) to claims that are open"
)
def run(
    name, scale, out, overrides, plugins, executor, workers, device, per_gpu, address, multiverse,
    until_settled,
) -> None:  # fmt: skip
    """Trains what is missing, then writes and prints the report.

    With --until-settled the arms of open claims go on to the numbers of seeds that the ablation
    names in seeds.then; alpha is divided by the number of looks, whether or not all are taken.
    """
    import ablations
    import reports
    from ablations import executors, runner
    from harness.progress import Progress
    from reports import claims as judged
    from reports.tensorboard import TensorBoard

    _load_plugins(plugins)
    ablation = ablations.load(name, scale=scale, overrides=overrides, multiverse=multiverse)
    _check(ablation)
    if until_settled and not (ablation.claims and ablation.seeds.then):
        raise HarnessError(
            "--until-settled needs claims, and the looks at them fixed in advance",
            where=ablation.file,
            fix="claims: [...] and seeds: {confirmation: 5, then: [8, 12, 16]}",
        )
    engine = executors.make(
        executor,
        workers=workers,
        device=device,
        address=address,
        per_gpu=per_gpu,
        plugins=tuple(str(Path(file).resolve()) for file in plugins),
    )
    folder = _folder_of(name, out, ablation)
    summary = runner.run(
        ablation,
        out=folder,
        engine=engine,
        watchers=[Progress(), TensorBoard(folder)],
        open_claims=judged.open_claims if until_settled else None,
    )
    reports.show(folder)
    click.echo(reports.write_html(folder))
    if summary.num_failed:
        click.echo(f"{summary.num_failed} runs failed; see the report", err=True)
        sys.exit(1)


@main.command()
@click.argument("name")
@SCALE
@OUT
@JSON
def status(name: str, scale: str, out: Path | None, as_json: bool) -> None:
    """How far a run has come."""
    from reports.status import read_status, render_status

    found = read_status(_folder(name, scale, out))
    click.echo(json.dumps(found, indent=2) if as_json else render_status(found))


@main.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@SCALE
@OUT
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="one row an arm")
@click.option(
    "--html", "html_file", type=click.Path(path_type=Path),
    help="[FOLDER/report.html, of several runs/report.html]",
)  # fmt: skip
@click.option("--svg", "svg_file", type=click.Path(path_type=Path), help="the answer's figure")
@click.option("--md", "md_file", type=click.Path(path_type=Path), help="tables and remarks")
@click.option(
    "--latex", type=click.Path(path_type=Path), help="tables: FILE.tex, or a folder with one each"
)
@click.option("--figures", type=click.Path(path_type=Path), help="folder for PDF figures")
@click.option(
    "--parquet",
    type=click.Path(path_type=Path),
    help="FILE.parquet: one row a run; a folder: runs, measurements, slices, lengths, arms, claims",
)
@click.option("--watch", is_flag=True, help="redraw the page until every run has ended")
def report(
    names, scale, out, csv_file, html_file, svg_file, md_file, latex, figures, parquet, watch
) -> None:
    """The answer so far: a table, and report.html; of several ablations one page."""
    import reports
    from reports import records, tensorboard
    from reports.watch import watch as follow

    of_one = {
        "--out": out, "--csv": csv_file, "--svg": svg_file, "--md": md_file, "--latex": latex,
        "--figures": figures, "--parquet": parquet,
    }  # fmt: skip
    given = [option for option, value in of_one.items() if value is not None]
    if len(names) > 1 and given:
        raise HarnessError(f"{given[0]} is of one ablation", fix="name one of them")
    folders = [_folder(name, scale, out) for name in names]
    if watch:
        follow(folders, html_file, lambda path: click.echo(f"watching, {path}", err=True))
    found = list(map(records.read, folders))
    for each in found:
        reports.show(each)
        tensorboard.rebuild(each, with_figures=True)
    if csv_file is not None:
        reports.write_csv(found[0], csv_file)
    if svg_file is not None:
        reports.write_svg(found[0], svg_file)
    if md_file is not None:
        reports.write_markdown(found[0], md_file)
    if latex is not None:
        reports.write_latex(found[0], latex)
    if parquet is not None:
        reports.write_parquet(found[0], parquet)
    if figures is not None and not reports.write_figures(found[0], figures):
        click.echo("no figures: no run has finished, so there is nothing to draw", err=True)
    write = reports.write_html if len(found) == 1 else reports.write_overview
    click.echo(write(found[0] if len(found) == 1 else found, html_file))


@main.command()
@click.argument("a")
@click.argument("b")
@SCALE
@JSON
def diff(a: str, b: str, scale: str, as_json: bool) -> None:
    """What changed from A to B: settings, fields, versions, results, verdicts. Each is a NAME."""
    from rich.console import Console

    from reports import diff as differences

    found = differences.compare(_folder(a, scale, None), _folder(b, scale, None))
    if as_json:
        click.echo(json.dumps(differences.as_data(found), indent=2))
    else:
        differences.show(found, Console())


@main.command()
@click.argument("name")
@click.argument("threshold", required=False)
@SCALE
@OUT
@SET
@PLUGIN
@click.option("--workers", type=click.IntRange(min=1), help="cohorts at a time [one a core or GPU]")
@JSON
def threshold(name, threshold, scale, out, overrides, plugins, workers, as_json) -> None:
    """The least value of a field at which each arm solves its task, by bisection."""
    from rich.console import Console

    from ablations import executors, runner
    from ablations import threshold as search
    from harness.progress import Progress
    from reports import terminal, thresholds

    _load_plugins(plugins)
    searched = search.load(name, threshold, scale=scale, overrides=overrides)
    _check(searched.ablation)
    folder = out or runner.default_folder(searched.ablation)

    def solved(ablation):
        files = tuple(str(Path(file).resolve()) for file in plugins)
        engine = executors.make("auto", workers=workers, plugins=files)
        runner.run(ablation, out=folder, engine=engine, watchers=[Progress()])
        return runner.solve_counts(folder)

    found = search.bisect(searched, solved)
    if as_json:
        click.echo(json.dumps([thresholds.as_data(each) for each in found], indent=2))
    else:
        terminal.show_section(thresholds.section(found), Console())


@main.command()
@click.argument("name")
@SCALE
@OUT
@click.option("--expect", type=click.Path(path_type=Path), help="verdicts that must come out")
@click.option("--freeze", type=click.Path(path_type=Path), help="write the verdicts to expect")
@MULTIVERSE
@JSON
def claims(name, scale, out, expect, freeze, multiverse, as_json) -> None:
    """What the runs say of each claim, and what would settle it.

    Exits with 1 if a claim is refuted or not settled; with --expect, if a verdict is another.
    """
    from reports import claims as judged

    folder = _folder(name, scale, out, multiverse=multiverse)
    verdicts = judged.of(folder)
    if as_json:
        click.echo(json.dumps([judged.as_data(verdict) for verdict in verdicts], indent=2))
    else:
        judged.show(folder, verdicts)
    if freeze is not None:
        click.echo(judged.freeze(verdicts, freeze), err=True)
    if expect is not None:
        unexpected = judged.unexpected(verdicts, expect)
        for line in unexpected:
            click.echo(line, err=True)
        sys.exit(bool(unexpected))
    if not all(verdict.word == "supported" for verdict in verdicts):
        sys.exit(1)


@main.command()
@click.argument("paper")
@click.option(
    "--in",
    "runs",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="the folder of output folders",
)
@JSON
def paper(paper: str, runs: Path, as_json: bool) -> None:
    """What a paper claims, and what our runs say of it. PAPER is its arXiv number."""
    from rich.console import Console

    from ablations.library import files
    from reports import paper as published

    sources = published.find(paper, files(), runs)
    if as_json:
        click.echo(json.dumps(published.as_data(sources), indent=2))
    else:
        published.show(paper, sources, Console())


@main.command(name="rerun")
@click.argument("run_id", metavar="RUN")
@click.option("--in", "where", metavar="NAME", help="the ablation, or its output folder [runs/*]")
@SCALE
@click.option(
    "--save-weights",
    "weights",
    is_flag=False,
    flag_value="",
    metavar="[PATH]",
    help="write the trained weights [FOLDER/weights/RUN.pt]",
)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="[as recorded]")
@PLUGIN
@JSON
def rerun_(run_id, where, scale, weights, device, plugins, as_json) -> None:
    """Trains one recorded run again and compares.

    On a CPU its numbers are bit for bit the same. RUN is the beginning of a run's id, as the report
    lists it. The ledger stays as it is.
    """
    from ablations.rerun import find, rerun

    _load_plugins(plugins)
    if where is not None:
        folders = [_folder(where, scale, None)]
    else:
        folders = sorted(path for path in Path("runs").glob("*") if _holds_ledger(path))
    recorded = find(run_id, folders)
    click.echo(f"training {recorded.run_id} ({recorded.title}) again", err=True)
    outcome = rerun(recorded, device=device)
    found = outcome.as_data() | {"weights": None}
    if weights is not None and outcome.weights is None:
        click.echo("the run diverged, so there are no weights to save", err=True)
    elif weights is not None:
        from harness.weights import save

        path = Path(weights or recorded.folder / "weights" / f"{recorded.run_id}.pt")
        found["weights"] = str(save(path, outcome.spec, outcome.weights, outcome.provenance))
    click.echo(json.dumps(found, indent=2) if as_json else outcome.render())
    if found["weights"] is not None and not as_json:
        click.echo(found["weights"])
    if not outcome.is_equal:
        sys.exit(1)


@main.command()
def doctor() -> None:
    """Checks installation and machine. Says how to mend them."""
    from harness.doctor import examine

    findings = examine()
    for finding in findings:
        click.echo(str(finding))
    if not all(finding.ok for finding in findings):
        sys.exit(2)


main.add_command(bench)


@main.command()
@click.argument("kind", type=click.Choice(["task", "mixer"]))
@click.argument("name")
@click.option("--into", type=click.Path(path_type=Path), default=Path("."), help="folder [.]")
def new(kind: str, name: str, into: Path) -> None:
    """Writes a new task or mixer and its test, which already passes."""
    from harness.scaffold import write

    for path in write(kind, name, into):
        click.echo(path)


def _load_plugins(files: tuple[str, ...]) -> None:
    from harness.foundation.plugins import load_plugins

    load_plugins(files)


def _check(ablation) -> None:
    """Tries the tasks, and the mixers of plug-ins, on a few examples."""
    from harness.mixers.check import check_plugins
    from tasks.check import check_tasks

    specs = [arm.spec for arm in ablation.arms]
    check_tasks(spec.task for spec in specs)
    check_plugins(
        (layer.mixer, layer.width, spec.sequence_length)
        for spec in specs
        for layer in spec.model.layer_list
    )


def _folder_of(name: str, out: Path | None, ablation) -> Path:
    """Where a loaded ablation's results are."""
    from ablations.runner import default_folder

    if out is None and _holds_ledger(Path(name)):
        return Path(name)
    return out or default_folder(ablation)


def _holds_ledger(folder: Path) -> bool:
    from ablations.ledger import FILE

    return (folder / FILE).is_file()


def _folder(name: str, scale: str, out: Path | None, *, multiverse: bool = False) -> Path:
    """Where results are, without loading the ablation."""
    from harness.foundation import yaml

    path = Path(name)
    if out is not None:
        return out
    if _holds_ledger(path):
        return path
    if path.suffix in (".yaml", ".yml"):
        data = yaml.load_file(path).data
        name = data.get("name", path.stem) if isinstance(data, dict) else path.stem
    folder = Path("runs") / f"{name}{'-multiverse' * multiverse}-{scale}"
    if not folder.is_dir():
        if path.is_dir():
            raise HarnessError(
                "there is no ledger here", where=str(path), fix=f"orchid run NAME --out {path}"
            )
        raise HarnessError(
            f"nothing has been run at {folder}",
            fix=f"orchid run {name} --scale {scale}, or give the output folder",
        )
    return folder
