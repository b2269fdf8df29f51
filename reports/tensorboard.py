"""Event files for TensorBoard, below <folder>/tensorboard: one directory a run.

It holds the run's scalars (`validation/accuracy` over steps) and, beside them, its
hyperparameters (levels, nuisances, seed), so that TensorBoard's table has one line a run. A plan of
more than 200 runs, which it would show as 200 tangled lines, has one directory an arm instead: mean
and quantiles over the confirmation seeds. `figures`, written by `orchid report`, has the report's
figures as images.

The files are written with TensorBoard's own record format: its summary writers would import
TensorFlow where that is installed, and torch's put every run's hyperparameters into a second run.
"""

from __future__ import annotations

import io
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from harness.foundation.errors import HarnessError
from harness.training.events import Diverged, Event, Finished
from reports.records import CONFIRMATION, Arm, Records, Run, read
from reports.statistics import median_steps

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from tensorboard.compat.proto import event_pb2

FOLDER = "tensorboard"
EVERY_S = 20.0
MOST_RUNS = 200  # that TensorBoard shows one by one
QUANTILES = {"quantile .25": 0.25, "median": 0.5, "quantile .75": 0.75}
DPI = 110
log = logging.getLogger(__name__)


class TensorBoard:
    """Follows a driver: what has ended appears within some 20 s, and all of it at the end.

    It reads the ledger, as everything here does. The training never stops because of it: a file
    that cannot be written is logged, and written at the next occasion.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._has_news = False
        self._written_at = time.monotonic()

    def planned(self, plan: object, stage: str, workers: int) -> None:
        """Nothing to do."""

    def take(self, event: Event) -> None:
        """Notes that a run has ended, and writes from time to time."""
        self._has_news |= isinstance(event, (Finished, Diverged))
        if time.monotonic() - self._written_at > EVERY_S:
            self.close()

    def close(self) -> None:
        """Writes what the ledger holds by now."""
        self._written_at = time.monotonic()
        if self._has_news:
            self._has_news = False
            try:
                rebuild(self.folder)
            except HarnessError as error:
                log.warning("no TensorBoard files: %s", error)


def rebuild(folder: str | Path | Records, *, with_figures: bool = False) -> int:
    """Writes what has ended in the current plan and is not there yet; says how many directories.

    Cheap enough to call whenever a run has ended, but for the figures. Raises HarnessError as
    `records.read` does, and if the folder cannot be written.
    """
    records = read(folder)
    root = records.folder / FOLDER
    is_large = len(records.runs) + records.num_to_choose > MOST_RUNS
    whole = [part for part in map(_of_run, records.runs) if part.num_ended]
    arms = [part for part in (_of_arm(arm, records) for arm in records.arms) if part.num_ended]
    wanted, others = (arms, whole) if is_large else (whole, arms)
    if with_figures and records.runs:
        wanted = [*wanted, _of_figures(records)]
    todo = [part for part in wanted if not (root / part.name / part.file).exists()]
    try:
        for part in others:  # of the plan when it was smaller, or larger
            shutil.rmtree(root / part.name, ignore_errors=True)
        for part in todo:
            _write(root, part)
    except OSError as error:
        raise HarnessError(f"cannot be written: {error}", where=str(root)) from None
    return len(todo)


def write_run(folder: str | Path, run: Run) -> Path:
    """Writes one run, replacing what is there; the directory appears whole or not at all."""
    return _write(Path(folder) / FOLDER, _of_run(run))


def _write(root: Path, part: _Part) -> Path:
    from tensorboard.summary.writer.record_writer import RecordWriter

    target = root / part.name
    new = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    with (new / part.file).open("wb") as file:
        writer = RecordWriter(file)
        for event in part.events():
            writer.write(event.SerializeToString())
    shutil.rmtree(target, ignore_errors=True)
    new.replace(target)
    return target


def directory(run: Run) -> str:
    """Name of a run's directory: safe on every file system, different for different runs."""
    kind = "seed" if run.purpose == CONFIRMATION else "tuning-seed"
    return f"{_slug(run.arm)}-{kind}{run.seed}-{run.run_id[:8]}"


def arm_directory(arm: Arm) -> str:
    """The same of an arm."""
    return f"{_slug(arm)}-arm-{arm.condition_id[:8]}"


def _slug(arm: Arm) -> str:
    return re.sub(r"[^A-Za-z0-9._=]+", "-", arm.label).strip("-.")[:60] or "arm"


class _Part(NamedTuple):
    """A directory. file: the name of the one file in it, another where its content would be."""

    name: str
    file: str
    num_ended: int
    events: Callable[[], Iterator[event_pb2.Event]]


# -- runs -----------------------------------------------------------------------------------------


def _of_run(run: Run) -> _Part:
    ended = run.ended_at or 0.0
    file = f"events.out.tfevents.{ended:.0f}.{run.run_id}"
    return _Part(directory(run), file, int(run.ended), lambda: _run_events(run, ended))


def _run_events(run: Run, ended: float) -> Iterator[event_pb2.Event]:
    """Time is interpolated from the run's duration, so that the relative axis means something."""
    wall = run.wall_s or 0.0
    begun, last = ended - wall, max(run.steps or 1, 1)
    own = {"arm": run.arm.label, "seed": run.seed, "purpose": run.purpose}
    yield from _begin({**run.arm.levels, **run.nuisance, **own}, run.run_id, begun)
    for m in sorted(run.measurements, key=lambda m: m.step):
        at = begun + wall * min(m.step / last, 1.0)
        yield _scalar(f"{m.split}/{m.metric}", m.step, m.value, at)
    if run.steps_to_solve is not None:
        yield _scalar("steps_to_solve", run.steps_to_solve, run.steps_to_solve, ended)
    yield _end(ended, is_success=run.status == "finished")


# -- arms -----------------------------------------------------------------------------------------


def _of_arm(arm: Arm, records: Records) -> _Part:
    runs = [run for run in records.confirmation(arm) if run.ended]
    ended = max((run.ended_at or 0.0 for run in runs), default=0.0)
    choice = records.choices.get(arm.condition_id)
    settings = {**arm.levels, **(choice.nuisance if choice else {}), "arm": arm.label}
    settings["seeds"] = len(runs)
    file = f"events.out.tfevents.{ended:.0f}.{arm.condition_id}.{len(runs)}"
    return _Part(
        arm_directory(arm), file, len(runs), lambda: _arm_events(arm, runs, settings, ended)
    )


def _arm_events(
    arm: Arm, runs: list[Run], settings: Mapping[str, Any], ended: float
) -> Iterator[event_pb2.Event]:
    """Mean and quantiles over seeds of whatever they measured, all at one time."""
    yield from _begin(settings, arm.condition_id, ended)
    kinds = dict.fromkeys((m.split, m.metric) for run in runs for m in run.measurements)
    for split, metric in sorted(kinds):
        steps, values = _together([c for run in runs if (c := run.curve(split, metric))])
        if split == "test":  # once a run, wherever it ended
            steps, values = steps[-1:], values[:, -1:]
        lines = {"": values.mean(axis=0)}
        lines |= {f", {name}": np.quantile(values, q, axis=0) for name, q in QUANTILES.items()}
        for name, line in lines.items():
            for step, value in zip(steps, line.tolist(), strict=True):
                yield _scalar(f"{split}/{metric}{name}", step, value, ended)
    middle = median_steps([run.steps_to_solve for run in runs])
    if middle is not None:
        yield _scalar("steps_to_solve", round(middle), middle, ended)
    yield _end(ended, is_success=any(run.status == "finished" for run in runs))


def _together(curves: list[list[tuple[int, float]]]) -> tuple[list[int], np.ndarray]:
    """Steps (T,) and values (seeds, T); a run that ended early keeps its last value."""
    steps = sorted({step for curve in curves for step, _ in curve})
    rows = []
    for curve in curves:
        known, value = dict(curve), curve[0][1]
        rows.append([value := known.get(step, value) for step in steps])
    return steps, np.array(rows)


# -- figures --------------------------------------------------------------------------------------


def _of_figures(records: Records) -> _Part:
    ended = [run.ended_at or 0.0 for run in records.runs if run.ended]
    last = max(ended, default=0.0)
    file = f"events.out.tfevents.{last:.0f}.figures.{len(ended)}"
    return _Part("figures", file, len(ended), lambda: _figure_events(records, last))


def _figure_events(records: Records, ended: float) -> Iterator[event_pb2.Event]:
    from tensorboard.compat.proto.event_pb2 import Event as Record
    from tensorboard.compat.proto.summary_pb2 import Summary

    from reports import figures

    yield Record(wall_time=ended, file_version="brain.Event:2")
    for picture in figures.draw(records) + figures.draw_tuning(records):
        content, width, height = _png(picture.figure)
        image = Summary.Image(
            encoded_image_string=content, width=width, height=height, colorspace=4
        )
        value = Summary.Value(tag=f"report/{picture.title}", image=image)
        yield Record(wall_time=ended, step=0, summary=Summary(value=[value]))


def _png(figure: Figure) -> tuple[bytes, int, int]:
    """Content, width and height in pixels; on white, since TensorBoard's page may be dark."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from reports.figures.style import styled

    figure.patch.set(visible=True, facecolor="white")
    figure.set_layout_engine("none")  # it has been laid out for the page
    figure.set_dpi(DPI)
    canvas, out = FigureCanvasAgg(figure), io.BytesIO()
    with styled():
        canvas.print_png(out, metadata={"Software": None})
    figure.patch.set_visible(False)
    return out.getvalue(), *canvas.get_width_height()


# -- records --------------------------------------------------------------------------------------


def _begin(settings: Mapping[str, Any], name: str, at: float) -> Iterator[event_pb2.Event]:
    from tensorboard.compat.proto.event_pb2 import Event as Record
    from tensorboard.plugins.hparams import summary_v2

    plain = {
        key: value if isinstance(value, (bool, int, float, str)) else str(value)
        for key, value in settings.items()
    }
    yield Record(wall_time=at, file_version="brain.Event:2")
    start = summary_v2.hparams_pb(plain, trial_id=name, start_time_secs=at)
    yield Record(wall_time=at, summary=start)


def _scalar(tag: str, step: int, value: float, at: float) -> event_pb2.Event:
    from tensorboard.compat.proto.event_pb2 import Event as Record
    from tensorboard.compat.proto.summary_pb2 import Summary

    value = Summary.Value(tag=tag, simple_value=value)
    return Record(wall_time=at, step=step, summary=Summary(value=[value]))


def _end(at: float, *, is_success: bool) -> event_pb2.Event:
    from tensorboard.compat.proto.event_pb2 import Event as Record
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    status = api_pb2.STATUS_SUCCESS if is_success else api_pb2.STATUS_FAILURE
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=at)
    data = plugin_data_pb2.HParamsPluginData(session_end_info=end)
    value = Summary.Value(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=metadata.create_summary_metadata(data),
        tensor=metadata.NULL_TENSOR,
    )
    return Record(wall_time=at, summary=Summary(value=[value]))
