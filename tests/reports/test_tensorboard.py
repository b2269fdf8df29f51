"""Event files, read back with TensorBoard's own reader."""

from __future__ import annotations

import io
import shutil

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from harness.training.events import Diverged
from reports import figures, records, tensorboard


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
    watcher.take(Diverged("x", 1, 1.0, "", {}, {}))
    (folder / "tensorboard").write_text("in the way")
    watcher.close()
    assert "no TensorBoard files" in caplog.text
    (folder / "tensorboard").unlink()
    watcher.take(Diverged("x", 1, 1.0, "", {}, {}))
    watcher.close()
    assert len(list((folder / "tensorboard").iterdir())) == 2


@pytest.fixture
def large(maker, monkeypatch):
    """Two arms of three seeds, which are many here."""
    monkeypatch.setattr(tensorboard, "MOST_RUNS", 5)
    for label in ("own", "none"):
        arm = maker.arm(label)
        for seed, value in enumerate((0.2, 0.3, 0.7)):
            curve = [(100, value), (200, value + 0.1)][: 1 if seed == 2 else 2]
            maker.run(arm, seed, curve=curve, accuracy=value, solved=100 * seed or None)
        maker.run(arm, 9, purpose="selection", curve=[(100, 0.0)])
        maker.choose(arm, 1e-2)
    return maker


def test_many_runs_are_one_directory_an_arm(large):
    folder = large.done()
    assert tensorboard.rebuild(folder) == 2
    arms = records.read(folder).arms
    names = {path.name for path in (folder / "tensorboard").iterdir()}
    assert names == {tensorboard.arm_directory(arm) for arm in arms}
    read = _accumulated(folder / "tensorboard" / tensorboard.arm_directory(arms[0]))
    # the seed that ended at step 100 keeps its .7
    expected = {
        "": (0.4, 0.4 + 0.2 / 3), ", quantile .25": (0.25, 0.35), ", median": (0.3, 0.4),
        ", quantile .75": (0.5, 0.55),
    }  # fmt: skip
    for name, values in expected.items():
        points = [(e.step, e.value) for e in read.Scalars(f"validation/accuracy{name}")]
        assert points == [(100, pytest.approx(values[0])), (200, pytest.approx(values[1]))]
    assert [e.value for e in read.Scalars("test/accuracy")] == [pytest.approx(0.4)]
    assert read.Scalars("steps_to_solve")[0].value == 200
    assert "selection/accuracy" not in read.Tags()["scalars"]


def test_many_runs_have_one_line_of_hyperparameters_an_arm(large):
    folder = large.done()
    tensorboard.rebuild(folder)
    for arm in records.read(folder).arms:
        read = _accumulated(folder / "tensorboard" / tensorboard.arm_directory(arm))
        content = read.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
        settings = metadata.parse_session_start_info_plugin_data(content).hparams
        assert settings["model.mixer"].string_value == arm.label
        assert (settings["train.lr"].number_value, settings["seeds"].number_value) == (1e-2, 3)
        assert "seed" not in settings


def test_an_arm_is_written_anew_when_a_run_has_ended(large):
    large.db.commit()
    folder = large.folder
    assert tensorboard.rebuild(folder) == 2 and tensorboard.rebuild(folder) == 0
    large.run(large.arm("third"), 0)
    large.run(records.read(folder).arms[0].condition_id, 3)
    large.db.commit()
    assert tensorboard.rebuild(folder) == 2
    assert len(list((folder / "tensorboard").rglob("events*"))) == 3


def test_a_plan_that_grows_or_shrinks_leaves_one_kind(large, monkeypatch):
    folder = large.done()
    tensorboard.rebuild(folder)
    monkeypatch.setattr(tensorboard, "MOST_RUNS", 8)
    assert tensorboard.rebuild(folder) == 8
    names = [path.name for path in (folder / "tensorboard").iterdir()]
    assert len(names) == 8 and not any("-arm-" in name for name in names)
    monkeypatch.setattr(tensorboard, "MOST_RUNS", 7)
    assert tensorboard.rebuild(folder) == 2
    assert len(list((folder / "tensorboard").iterdir())) == 2


def test_the_report_adds_its_figures_as_images(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    tensorboard.rebuild(copy)
    assert not (copy / "tensorboard/figures").exists(), "not while running"
    assert tensorboard.rebuild(copy, with_figures=True) == 1
    assert tensorboard.rebuild(copy, with_figures=True) == 0
    read = _accumulated(copy / "tensorboard/figures")
    found = records.read(copy)
    drawn = figures.draw(found) + figures.draw_tuning(found)
    assert set(read.Tags()["images"]) == {f"report/{picture.title}" for picture in drawn}
    (image,) = read.Images("report/Accuracy")
    shown = Image.open(io.BytesIO(image.encoded_image_string))
    assert shown.size == (image.width, image.height) and image.width > 600
    assert shown.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


def test_figures_without_a_result_are_no_images(maker):
    maker.run(maker.arm("own"), 0, status=None)
    folder = maker.done()
    tensorboard.rebuild(folder, with_figures=True)
    assert _accumulated(folder / "tensorboard/figures").Tags()["images"] == []


def _accumulated(path):
    read = EventAccumulator(str(path))
    read.Reload()
    return read


def _two_runs(maker):
    arm = maker.arm("a/b: c")
    for seed, status in ((0, "finished"), (1, "diverged"), (2, "failed"), (3, None)):
        maker.run(arm, seed, status=status, curve=[(100, 0.3), (200, 0.6)], solved=200)
    return maker.done()
