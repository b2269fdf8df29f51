"""The stored numbers agree; broken files are failures that say what is wrong."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.parity.check import check, main, relative_error

HERE = Path(__file__).parent
OWN = sorted((HERE / "data").rglob("*.npz"))
CASE = next(file for file in OWN if "fft_full" in file.name)
BY_STEM = {file.stem: file for file in OWN}
HYENA = BY_STEM["hyena_order3_d4_L16_02"]
BASED = BY_STEM["based_taylor_exp_causal_quadratic_f4_h2_d8_L33_01"]
PAIRS = BY_STEM["freq_convtf_fft-o_causal_layernorm_sconv_d4_L33_056"]
CORRELATION = next(file for file in OWN if file.name.startswith("t2_convtf_dctxd-o"))
SHARED = sorted((HERE.parents[2] / "shared" / "parity").rglob("*.npz"))


@pytest.mark.parametrize("file", [*OWN, *SHARED], ids=lambda file: f"{file.parts[-4]}-{file.stem}")
def test_stored_numbers(file):
    result = check(file)
    assert result.status != "failed", result
    assert result.status == "passed" or "no mixer for" in result.detail, result


def rewrite(source, target, change):
    with np.load(source) as archive:
        data = {key: archive[key] for key in archive.files}
    config = json.loads(str(data["config"]))
    change(data, config)
    if "config" in data:
        data["config"] = np.array(json.dumps(config))
    np.savez(target, **data)


def drop(key):
    return lambda data, config: data.pop(key)


def option(**values):
    return lambda data, config: config.update(values)


def scale_output(data, config):
    data["output"] = data["output"] * (1 + 1e-7)


def wrong_shape(data, config):
    data["param/in_linear.weight"] = data["param/in_linear.weight"][:-1]


def extra_weight(data, config):
    data["param/mystery"] = np.zeros(3, dtype=np.float32)


def another_frequency(data, config):
    key = "param/fixed_conv.implicit_filter.3.freq"
    data[key] = data[key] + 1


def last_pair_scaled(data, config):
    data["output"][0, 1, -1] *= 1 + 1e-6


@pytest.mark.parametrize(
    ("change", "status", "detail"),
    [
        (scale_output, "failed", "output 1.0e-07"),
        (wrong_shape, "failed", "in_linear.weight"),
        (extra_weight, "failed", "mystery"),
        (another_frequency, "failed", "implicit_filter.3.freq is another vector"),
        (drop("param/fixed_conv.implicit_filter.3.freq"), "failed", "implicit_filter.3.freq"),
        (drop("config"), "failed", "lacks 'config'"),
        (drop("input"), "failed", "lacks 'input"),
        (drop("param/out_linear.bias"), "failed", "out_linear.bias"),
        (option(L=17), "failed", "17"),
        (option(dxt="wavelet"), "unsupported", "transform wavelet"),
        (option(norm="groupnorm"), "unsupported", "norm groupnorm"),
        (option(num_heads=2), "unsupported", "2 heads"),
        (option(type="corrTime", causal=True), "unsupported", "corrTime with a Fourier"),
        (option(type="freq", nn="convt"), "unsupported", "freq with a Fourier"),
        (option(type="corrTime", causal=False, actq="rational"), "unsupported", "actq rational"),
        (option(n_layer=2, activation="sigmoid"), "unsupported", "activation sigmoid between"),
        (option(upstream="x/y"), "unsupported", "no mixer for x/y"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, status, detail):
    rewrite(CASE, tmp_path / "case.npz", change)
    result = check(tmp_path / "case.npz")
    assert result.status == status and detail in result.detail, result


def frequency_in_two_factors(data, config):
    config["w_mod"] = 2
    for key in [key for key in data if key.endswith(".freq")]:
        data[key] = data[key] / 2


@pytest.mark.parametrize(
    ("case", "change"),
    [
        (CORRELATION, option(causal=True)),  # the published code ignores it here
        (CORRELATION, option(actq="linear", activation="sigmoid", num_heads=1)),
        (CASE, frequency_in_two_factors),
        (HYENA, option(normalized=True, short_filter_order=5, w_mod=2)),  # taken, not used
        (BASED, option(causal=False)),  # quadratic is causal
    ],
)
def test_options_that_say_the_same(tmp_path, case, change):
    rewrite(case, tmp_path / "case.npz", change)
    result = check(tmp_path / "case.npz")
    assert result.status == "passed", result


def test_every_kernel_with_every_example(tmp_path):
    """The output with a dimension too many, off its diagonal."""
    rewrite(PAIRS, tmp_path / "case.npz", last_pair_scaled)
    result = check(tmp_path / "case.npz")
    assert result.status == "failed", result


@pytest.mark.parametrize("config", ["{not JSON", "[1, 2]", "null", "3"])
def test_a_configuration_that_is_none(tmp_path, config):
    with np.load(CASE) as archive:
        np.savez(tmp_path / "case.npz", **{**archive, "config": np.array(config)})
    result = check(tmp_path / "case.npz")
    assert result.status == "failed" and result.case == "case", result


def test_the_command_counts_and_fails(tmp_path, capsys):
    rewrite(CASE, tmp_path / "a.npz", option())
    rewrite(CASE, tmp_path / "b.npz", option(num_heads=2))
    assert main([str(tmp_path)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-2:] == ["1 unsupported, each named above", "1 passed, 0 failed"]
    assert "unsupported" in out[1] and "2 heads" in out[1]
    (tmp_path / "c.npz").write_bytes(b"not an archive")
    assert main([str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "1 passed, 1 failed" and "c" in out
    assert main([str(tmp_path / "nothing")]) == 2
    assert main([str(tmp_path), str(tmp_path / "nothing")]) == 2


def test_relative_error():
    assert relative_error(np.array([1.0, 2.2]), np.array([1.0, 2.0])) == pytest.approx(0.1)
    assert np.isnan(relative_error(np.array([np.nan]), np.array([1.0])))
