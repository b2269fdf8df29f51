"""Event files, read back with TensorBoard's own reader."""

from __future__ import annotations

import shutil

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from harness.training.events import Diverged
from reports import records, tensorboard


def test_one_directory_a_run_that_ended(maker):
    folder = _two_runs(maker)
    assert tensorboard.rebuild(folder) == 2
    runs = records.read(folder).runs
    names = {path.name for path in (folder / "tensorboard").iterdir()}
    assert names == {tensorboard.directory(run) for run in runs if run.ended}
    assert all(name.startswith("a-b-c-seed") for name in names)


def test_scalars_and_settings_read_back(maker):
    folder = _two_runs(maker)
    tensorboard.rebuild(folder)
    run = records.read(folder).runs[0]
    read = EventAccumulator(str(folder / "tensorboard" / tensorboard.directory(run)))
    read.Reload()
    assert [(e.step, e.value) for e in read.Scalars("validation/accuracy")] == [
        (100, pytest.approx(0.3)),
        (200, pytest.approx(0.6)),
    ]
    assert read.Scalars("test/accuracy")[0].value == pytest.approx(0.9)
    assert read.Scalars("steps_to_solve")[0].value == 200
    content = read.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    settings = metadata.parse_session_start_info_plugin_data(content).hparams
    assert settings["train.lr"].number_value == 3e-3
    assert settings["model.mixer"].string_value == "a/b: c"
    assert settings["seed"].number_value == 0


def test_only_what_is_missing_is_written(maker):
    folder = _two_runs(maker)
    tensorboard.rebuild(folder)
    assert tensorboard.rebuild(folder) == 0
    first = sorted((folder / "tensorboard").iterdir())[0]
    shutil.rmtree(first)
    assert tensorboard.rebuild(folder) == 1 and first.exists()
    assert tensorboard.write_run(folder, records.read(folder).runs[0]).is_dir()


def test_the_driver_writes_at_its_end_and_survives_a_bad_disk(maker, caplog):
    folder = _two_runs(maker)
    watcher = tensorboard.TensorBoard(folder)
    watcher.close()
    assert not (folder / "tensorboard").exists()
    watcher.take(Diverged("x", 1, 1.0, "", {}))
    (folder / "tensorboard").write_text("in the way")
    watcher.close()
    assert "no TensorBoard files" in caplog.text
    (folder / "tensorboard").unlink()
    watcher.take(Diverged("x", 1, 1.0, "", {}))
    watcher.close()
    assert len(list((folder / "tensorboard").iterdir())) == 2


def _two_runs(maker):
    arm = maker.arm("a/b: c")
    for seed, status in ((0, "finished"), (1, "diverged"), (2, "failed"), (3, None)):
        maker.run(arm, seed, status=status, curve=[(100, 0.3), (200, 0.6)], solved=200)
    return maker.done()
