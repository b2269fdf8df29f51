"""Recordings: samples, normalisation and splits against plain twins; files that are wrong."""

from __future__ import annotations

import collections
import math

import numpy as np
import pytest

import tasks
from harness.foundation.errors import HarnessError
from harness.foundation.seeding import generator
from tasks.speech_commands import OTHERS, TEN, WORDS
from tests.tasks.official_files import write_wav


def speech(folder, **changes):
    return tasks.get("speech_commands", folder=str(folder), **changes)


def record(folder, counts, words=TEN, shortest=15_000):
    """Recordings of random samples; returns them by path."""
    rng, out = generator("sounds", len(words)), {}
    for word in words:
        for index in range(counts):
            length = 16_000 if index % 2 else int(rng.integers(shortest, 16_000))
            samples = rng.integers(-(2**15), 2**15, size=length).astype(np.int16)
            name = f"{word}/{index:02}_nohash_{index % 3}.wav"
            write_wav(folder / name, samples)
            out[name] = samples
    return out


def everything(task, role):
    return task.read(role, np.arange(task.num_rows(role)))


def plain(sounds, train):
    """Recordings as the docstring says they are read, by name."""
    filled = {name: [s / 2**15 for s in sound.tolist()] for name, sound in sounds.items()}
    filled = {name: sound + [0.0] * (16_000 - len(sound)) for name, sound in filled.items()}
    heard = [sample for name in train for sample in filled[name]]
    mean = math.fsum(heard) / len(heard)
    deviation = math.sqrt(math.fsum((sample - mean) ** 2 for sample in heard) / len(heard))
    return {n: [(s - mean) / (deviation + 1e-5) for s in sound] for n, sound in filled.items()}


def test_samples_are_those_of_the_files(tmp_path):
    sounds = record(tmp_path, 4, words=WORDS["all"][:3])
    for word in WORDS["all"][3:]:
        write_wav(tmp_path / word / "a.wav", np.zeros(3))
        sounds[f"{word}/a.wav"] = np.zeros(3, dtype=np.int16)
    lists = {
        "validation": ["yes/01_nohash_1.wav", "up/00_nohash_0.wav"],
        "testing": ["no/02_nohash_2.wav"],
    }
    for split, names in lists.items():
        (tmp_path / f"{split}_list.txt").write_text("\n".join(names))
    listed = {name for names in lists.values() for name in names}
    train = [name for name in sounds if name not in listed]
    expected = plain(sounds, train)
    for stride in (1, 7):
        task = speech(tmp_path, words="all", stride=stride)
        assert task.num_outputs == 35 and task.num_rows("train") == len(train)
        for role, names in (("validation", lists["validation"]), ("test", lists["testing"])):
            batch = everything(task, role)
            assert batch.inputs.shape == (len(names), -(-16_000 // stride), 1)
            assert batch.inputs.dtype == np.float32
            for row, name in enumerate(names):
                assert np.allclose(batch.inputs[row, :, 0], expected[name][::stride], atol=1e-6)
                assert task.output_names[batch.targets[row, -1]] == name.split("/")[0]
                assert batch.info["length"][row, -1] == len(sounds[name])


def test_the_training_split_is_normalised(tmp_path):
    record(tmp_path, 7)
    inputs = everything(speech(tmp_path), "train").inputs.astype(np.float64)
    assert inputs.shape == (50, 16_000, 1)
    assert abs(inputs.mean()) < 1e-6 and abs(inputs.std() - 1) < 1e-4  # 1e-5 over a deviation of .6


def test_ten_words_are_split_word_by_word(tmp_path):
    for word in TEN:
        for index in range(20):
            write_wav(tmp_path / word / f"{index:02}.wav", np.full(8, index))
    task = speech(tmp_path, stride=4000)
    seen = []
    for role, share in (("train", 14), ("validation", 3), ("test", 3)):
        assert task.num_rows(role) == 10 * share
        batch = everything(task, role)
        labels = batch.targets[:, -1].tolist()
        assert set(collections.Counter(labels).values()) == {share}
        seen += list(zip(labels, batch.inputs[:, 0, 0].tolist(), strict=True))
    assert len(set(seen)) == 200  # no recording twice, none left out
    first = [value for label, value in seen if label == 0]
    other = [value for label, value in seen if label == 1]
    assert first != other  # the words are shuffled apart
    assert task.output_names == list(TEN) and task.chance == 0.1


def test_short_recordings_can_be_discarded(tmp_path):
    sounds = record(tmp_path, 20)
    whole = sum(len(sound) == 16_000 for sound in sounds.values())
    kept, padded = speech(tmp_path, short="discard", stride=400), speech(tmp_path, stride=400)
    roles = ("train", "validation", "test")
    assert sum(padded.num_rows(role) for role in roles) == 200
    assert sum(kept.num_rows(role) for role in roles) == whole == 100
    assert all((everything(kept, role).info["length"][:, -1] == 16_000).all() for role in roles)
    assert everything(padded, "train").info["length"][:, -1].min() < 16_000


def test_a_list_may_name_what_is_discarded(tmp_path):
    for word in WORDS["all"]:
        write_wav(tmp_path / word / "whole.wav", np.zeros(16_000))
        write_wav(tmp_path / word / "short.wav", np.zeros(3))
    (tmp_path / "validation_list.txt").write_text("yes/short.wav\nno/whole.wav\n")
    (tmp_path / "testing_list.txt").write_text("up/whole.wav\n")
    task = speech(tmp_path, words="all", short="discard")
    assert [task.num_rows(role) for role in ("train", "validation", "test")] == [33, 1, 1]


def test_lower_rates_for_a_trained_model(tmp_path):
    record(tmp_path, 7)
    task, first = speech(tmp_path), np.array([0])
    half = task.at_length(2)
    assert (half.stride, half.input_length, speech(tmp_path, stride=3).input_length) == (
        2,
        8000,
        5334,
    )
    assert (half.read("test", first).inputs == task.read("test", first).inputs[:, ::2]).all()


def test_a_drawing_is_as_high_as_it_is_loud(tmp_path):
    record(tmp_path, 7)
    task = speech(tmp_path)
    batch = task.read("test", np.array([0]))
    loud = np.zeros((1, 16_000, 1), dtype=np.float32)
    loud[0, 8000:, 0] = np.linspace(0, -4, 8000)
    lines = task.drawing(batch._replace(inputs=loud), 0)
    heights = [
        sum(len(line) > column and line[column] == "#" for line in lines) for column in range(96)
    ]
    assert heights[:48] == [0] * 48 and heights[95] == 8 and heights == sorted(heights)


def test_there_are_35_words():
    assert len(set(WORDS["all"])) == 35 and WORDS["all"][:10] == TEN
    assert OTHERS.split() == sorted(OTHERS.split())


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"rate": 8000}, "got 1 of 16 bits and 8000 samples a second"),
        ({"channels": 2}, "got 2 of 16 bits and 16000 samples a second"),
        ({"width": 1}, "got 1 of 8 bits and 16000 samples a second"),
    ],
)
def test_other_recordings_are_refused(tmp_path, changes, message):
    record(tmp_path, 7)
    for path in (tmp_path / "on").iterdir():
        write_wav(path, np.zeros(64), **changes)
    with pytest.raises(HarnessError, match=message) as error:
        everything(speech(tmp_path), "test")
    assert f"{tmp_path / 'on'}" in str(error.value) and "version 0.02" in str(error.value)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda data: data[:-10], "the file is cut short: expected 16000 samples, got 15995"),
        (lambda data: data[:20], "expected a WAV file, got a file that ends too soon"),
        (lambda data: b"", "expected a WAV file, got a file that ends too soon"),
        (lambda data: data[:17] + b"\xff" + data[18:], "expected a WAV file, got a file that ends"),
        (lambda data: b"ID3" + data, "expected a WAV file, got file does not start with RIFF id"),
        (lambda data: None, "expected 16000 samples at most, got 16001"),
    ],
)
def test_broken_recordings_are_refused(tmp_path, change, message):
    record(tmp_path, 7)
    for path in (tmp_path / "go").iterdir():
        write_wav(path, np.zeros(16_000))
        content = change(path.read_bytes())
        if content is None:
            write_wav(path, np.zeros(16_001))
        else:
            path.write_bytes(content)
    with pytest.raises(HarnessError, match=message) as error:
        everything(speech(tmp_path), "train")
    assert f"{tmp_path / 'go'}" in str(error.value)


def test_missing_words_and_lists(tmp_path):
    record(tmp_path, 7, shortest=15_990)
    with pytest.raises(HarnessError, match="backward is missing here"):
        speech(tmp_path, words="all").num_rows("train")
    for word in OTHERS.split():
        write_wav(tmp_path / word / "a.wav", np.zeros(3))
    with pytest.raises(HarnessError, match=r"validation_list\.txt is missing here"):
        speech(tmp_path, words="all").num_rows("train")
    (tmp_path / "validation_list.txt").write_text("bed/a.wav\n")
    (tmp_path / "testing_list.txt").write_text("bird/a.wav\nbird/b.wav\n")
    with pytest.raises(HarnessError, match=r"testing_list\.txt:2: the list names 'bird/b\.wav'"):
        speech(tmp_path, words="all").num_rows("train")
    for path in (tmp_path / "stop").iterdir():
        path.unlink()
    with pytest.raises(HarnessError, match=r"stop: there is no \.wav file here"):
        speech(tmp_path).num_rows("train")


@pytest.mark.parametrize(
    "changes", [{"stride": 0}, {"stride": 16_001}, {"words": "35"}, {"short": "cut"}]
)
def test_impossible_parameters(changes):
    with pytest.raises(HarnessError, match=next(iter(changes))):
        speech("anywhere", **changes)
