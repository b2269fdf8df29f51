"""Event files for TensorBoard, below <folder>/tensorboard: one directory a run.

It holds the run's scalars (`validation/accuracy` over steps) and, beside them, its
hyperparameters (levels, nuisances, seed), so that TensorBoard's table has one line a run. They
are written with TensorBoard's own record format: its summary writers would import TensorFlow
where that is installed, and torch's put every run's hyperparameters into a second run.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.foundation.errors import HarnessError
from harness.training.events import Diverged, Event, Finished
from reports.records import CONFIRMATION, Records, Run, read

if TYPE_CHECKING:
    from tensorboard.compat.proto import event_pb2

FOLDER = "tensorboard"
EVERY_S = 20.0
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


def rebuild(folder: str | Path | Records) -> int:
    """Writes the runs of the current plan that ended and are not there yet; says how many.

    Cheap enough to call whenever a run has ended. Raises HarnessError as `records.read` does, and
    if the folder cannot be written.
    """
    found = read(folder)
    root = found.folder / FOLDER
    todo = [run for run in found.runs if run.ended and not (root / directory(run)).exists()]
    try:
        for run in todo:
            write_run(found.folder, run)
    except OSError as error:
        raise HarnessError(f"cannot be written: {error}", where=str(root)) from None
    return len(todo)


def write_run(folder: str | Path, run: Run) -> Path:
    """Writes one run, replacing what is there; the directory appears whole or not at all."""
    from tensorboard.summary.writer.record_writer import RecordWriter

    target = Path(folder) / FOLDER / directory(run)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    ended = run.ended_at or 0.0
    with (part / f"events.out.tfevents.{ended:.0f}.{run.run_id}").open("wb") as file:
        writer = RecordWriter(file)
        for event in _events(run, ended):
            writer.write(event.SerializeToString())
    shutil.rmtree(target, ignore_errors=True)
    part.replace(target)
    return target


def directory(run: Run) -> str:
    """Name of a run's directory: safe on every file system, different for different runs."""
    slug = re.sub(r"[^A-Za-z0-9._=]+", "-", run.arm.label).strip("-.")[:60] or "arm"
    kind = "seed" if run.purpose == CONFIRMATION else "tuning-seed"
    return f"{slug}-{kind}{run.seed}-{run.run_id[:8]}"


def _events(run: Run, ended: float) -> Iterator[event_pb2.Event]:
    """Time is interpolated from the run's duration, so that the relative axis means something."""
    from tensorboard.compat.proto.event_pb2 import Event as Record
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2, summary_v2

    wall = run.wall_s or 0.0
    begun, last = ended - wall, max(run.steps or 1, 1)
    yield Record(wall_time=begun, file_version="brain.Event:2")
    start = summary_v2.hparams_pb(_settings(run), trial_id=run.run_id, start_time_secs=begun)
    yield Record(wall_time=begun, summary=start)
    for m in sorted(run.measurements, key=lambda m: m.step):
        value = Summary.Value(tag=f"{m.split}/{m.metric}", simple_value=m.value)
        at = begun + wall * min(m.step / last, 1.0)
        yield Record(wall_time=at, step=m.step, summary=Summary(value=[value]))
    if run.steps_to_solve is not None:
        value = Summary.Value(tag="steps_to_solve", simple_value=run.steps_to_solve)
        yield Record(wall_time=ended, step=run.steps_to_solve, summary=Summary(value=[value]))
    success = run.status == "finished"
    status = api_pb2.STATUS_SUCCESS if success else api_pb2.STATUS_FAILURE
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=ended)
    data = plugin_data_pb2.HParamsPluginData(session_end_info=end)
    value = Summary.Value(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=metadata.create_summary_metadata(data),
        tensor=metadata.NULL_TENSOR,
    )
    yield Record(wall_time=ended, summary=Summary(value=[value]))


def _settings(run: Run) -> dict[str, Any]:
    own = {"arm": run.arm.label, "seed": run.seed, "purpose": run.purpose}
    varied = {**run.arm.levels, **run.nuisance, **own}
    return {
        key: value if isinstance(value, (bool, int, float, str)) else str(value)
        for key, value in varied.items()
    }
