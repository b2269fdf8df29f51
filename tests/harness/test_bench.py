"""The benchmarks: what they count and print, not how long anything takes."""

import json

import pytest

from harness.bench import Timing, interleaved, mixers
from harness.bench import orchid as layer
from tests.command import orchid


def test_candidates_take_turns():
    calls = []
    steps = {name: lambda name=name: calls.append(name) for name in "ab"}
    timings = interleaved(steps, repetitions=3, warm_up=1)
    assert calls == list("ab" * 4)
    assert all(isinstance(found, Timing) for found in timings.values())
    assert all(found.low_ms <= found.median_ms <= found.high_ms for found in timings.values())


def test_peak_memory_is_what_is_held_at_once():
    import torch

    def step():
        first = torch.ones(2**18)  # 1 MiB
        second = first + 1
        del first
        return second * 2  # two of them at a time

    assert mixers._peak_bytes(step) == pytest.approx(2 * 2**20, rel=1e-3)  # and a scalar or two


def test_mixers_against_length(tmp_path):
    words = ["bench", "mixers", "short_conv", "mlp_mixer", "--length", "16", "--length", "8"]
    result = orchid(*words, "--json", "--svg", str(tmp_path / "a.svg"))
    rows = json.loads(result.stdout)["rows"]
    assert {(row["mixer"], row["length"]) for row in rows} == {
        (mixer, length) for mixer in ("attention", "short_conv", "mlp_mixer") for length in (8, 16)
    }
    for row in rows:
        assert row["us_per_token"] > 0 and row["peak_bytes_per_token"] > 0
        if row["mixer"] == "attention":
            assert row["ratio"] == row["memory_ratio"] == pytest.approx(1)
    text = (tmp_path / "a.svg").read_text()
    assert text.startswith("<svg") and "short_conv" in text
    shown = mixers.render(json.loads(result.stdout)).splitlines()
    assert sum("mlp_mixer" in line for line in shown) == 1


def test_beyond_attention_s_longest_there_is_no_ratio(monkeypatch):
    monkeypatch.setattr(mixers, "LONGEST_ATTENTION", 8)
    monkeypatch.setattr(mixers, "TOKENS", 32)
    result = mixers.measure([8, 16], ["short_conv"])
    found = {(row["mixer"], row["length"]): row for row in result["rows"]}
    assert "ratio" in found["short_conv", 8] and "ratio" not in found["short_conv", 16]
    assert "refused" in found["attention", 16]
    assert "refused" in mixers.render(result)


def test_an_unknown_mixer_is_said():
    result = orchid("bench", "mixers", "attenton", code=2)
    assert "did you mean 'attention'" in result.stderr


def test_orchid_with_and_without_its_fast_path(monkeypatch):
    monkeypatch.setattr(layer, "SHAPES", ((2, 8, 4),))
    monkeypatch.setattr(layer, "REPETITIONS", 2)
    served, serves = [], layer.fused.serves
    monkeypatch.setattr(
        layer.fused, "serves", lambda *given: served.append(serves(*given)) or served[-1]
    )
    result = layer.measure()
    assert [row["candidate"] for row in result["rows"]] == 2 * [
        "modules", "fast path", "projections",
    ]  # fmt: skip
    assert served == 8 * [False, True]  # in turn: two networks, two repetitions behind two
    assert layer.render(result).count("1.00 x") >= 2
