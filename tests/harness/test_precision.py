"""bfloat16 is near float32 whatever a run is, and its bits need no company; TF32 where asked."""

from __future__ import annotations

import math

import pytest
import torch

from harness import mixers
from harness.foundation.errors import HarnessError
from harness.layers import Linear, full_precision, gelu, sigmoid, silu
from harness.mixers.orchid import CONDITIONING
from harness.model import Model
from harness.training import precision
from harness.training.cohort import train_cohort
from harness.training.events import Finished
from harness.training.stack import Stack
from tests.harness.runs import numbers, tiny, train

CPU, CUDA = torch.device("cpu"), torch.device("cuda")

RUNS = {
    **{name: {"model__mixer": name} for name in mixers.names()},
    **{
        f"orchid, {name}": {"model__mixer": {"name": "orchid", "conditioning": name}}
        for name in CONDITIONING
    },
    "orchid, batchnorm": {
        "model__mixer": {
            "name": "orchid", "conditioning": {"name": "magnitude", "norm": "batchnorm"}
        }
    },
    "orchid, causal, every token": {
        "model__mixer": {"name": "orchid", "form": "causal"}, "train__loss": "all"
    },
    "orchid, cosine": {
        "model__mixer": {"name": "orchid", "transform": "dct", "conditioning": "magnitude"}
    },
    "orchid at the size of the fused layer": {
        "model__width": 64, "task__length": 32, "train__batch_size": 32, "train__steps": 3
    },
    "attention, rotary, windowed": {
        "model__mixer": {"name": "attention", "heads": 2, "positions": "rotary", "window": 4}
    },
    "attention of another width": {"model__mixer": "attention", "model__mixer_widths": [4, 12]},
    "fnet of another width": {"model__mixer": "fnet", "model__mixer_widths": [12]},
    "ckconv of another width": {"model__mixer": "ckconv", "model__mixer_widths": [12]},
    "short convolution, swiglu, tied": {
        "model__mixer": "attention", "model__short_conv": 3, "model__tied": True,
        "model__channel_mixer": {"kind": "swiglu", "ratio": 1.5}, "model__positions": "learned",
    },
    "no channel mixer": {"model__channel_mixer": {"kind": "none"}},
    "dropout": {"model__embedding_dropout": 0.1, "model__residual_dropout": 0.1},
    "masked": {"train__loss": "masked"},
    "pooled": {"task": {"name": "listops", "max_depth": 3, "max_args": 3, "min_length": 4,
                        "max_length": 16}},
    "features, pooled": {"task": {"name": "adding_problem", "length": 10}},
    "features, real targets": {"task": {"name": "in_context_regression", "dims": 3,
                                        "sparsity": 2, "num_points": 5,
                                        "scored": "last"}},
    "bottleneck": {"task": {"name": "compression", "vocab_size": 8, "length": 8}},
    "drawn targets": {"task": {"name": "ngram_lookup"}},
    "other lengths, kernels, edits": {
        "train__test_lengths": [12], "train__effective_kernel_length": True,
        "train__counterfactual": True,
        "train__interventions": [{"name": "swapped"}, {"name": "mean"}, {"name": "removed"}],
    },
}  # fmt: skip

# Eight significant bits round by 2^-9 at most; a logit is a sum of some hundred such products, and
# six steps of Adam at 1e-3 move a tiny model by less than that.
NEAR = dict(rel=0.02, abs=0.01)


def pair(**changes):
    """The same run in float32 and in bfloat16."""
    return tiny(**changes), tiny(**changes, train__precision="bfloat16")


@pytest.mark.parametrize("name", RUNS)
def test_bfloat16_trains_near_float32(name):
    plain, lowered = pair(**RUNS[name])
    expected, got = (numbers(train([spec]), spec.run_id) for spec in (plain, lowered))
    assert len(got) == len(expected) and got != expected
    for (_, split, values), (_, split_, values_) in zip(expected, got, strict=True):
        assert split == split_ and [n for n, _ in values] == [n for n, _ in values_]
        assert all(math.isfinite(value) for _, value in values_)
        assert dict(values_)["loss"] == pytest.approx(dict(values)["loss"], **NEAR)


@pytest.mark.parametrize(
    "mixer, sizes",
    [
        *(("attention", sizes) for sizes in [(8, 8, 4), (7, 11, 3), (32, 32, 16)]),
        *(("orchid", sizes) for sizes in [(8, 8, 4), (7, 11, 3), (32, 32, 16)]),
        ("delta_net", (7, 11, 3)),
        ("s4d", (7, 11, 3)),
    ],
)
def test_bits_do_not_depend_on_companions_in_bfloat16_either(mixer, sizes):
    """At S = 1, 2, 8; found so where the CPU has AVX-512 and no instructions for bfloat16."""
    width, length, batch = sizes
    specs = [
        tiny(
            seed=seed,
            model__mixer=mixer,
            model__width=width,
            task__length=length,
            train__batch_size=batch,
            train__precision="bfloat16",
        )
        for seed in range(8)
    ]
    together, two = train(specs), train(specs[:2][::-1])
    for spec in (specs[0], specs[1], specs[7]):
        alone = numbers(train([spec]), spec.run_id)
        assert numbers(together, spec.run_id) == alone
        if spec in specs[:2]:
            assert numbers(two, spec.run_id) == alone


def test_what_stays_float32_does():
    """Parameters, gradients, the residual stream, norms, logits."""
    spec = tiny(model__mixer="attention", train__precision="bfloat16")
    stack = Stack(spec, ["a", "b"], CPU)
    block = stack.model.blocks[0]
    seen = {}
    block.register_forward_pre_hook(lambda _, args: seen.update(stream=args[0].dtype))
    for name in ("mixer_norm", "channel_norm", "mixer", "channel_mixer"):
        getattr(block, name).register_forward_hook(
            lambda _, args, out, name=name: seen.update(
                {name: (out[0] if isinstance(out, tuple) else out).dtype}
            )
        )
    logits = stack.model(torch.zeros(2, 3, 8, dtype=torch.int64), None)
    grads = stack.gradient(logits.sum())
    low = {name for name, dtype in seen.items() if dtype == torch.bfloat16}
    assert low == {"mixer", "channel_mixer"}
    assert seen["stream"] == seen["mixer_norm"] == seen["channel_norm"] == torch.float32
    assert logits.dtype == grads.dtype == stack.values.dtype == torch.float32
    assert not torch.is_autocast_enabled("cpu")


def test_evaluation_is_in_the_precision_of_training():
    """The same weights say something else in bfloat16, and the same as in training."""
    plain, lowered = pair(model__mixer="attention")
    models = [Stack(spec, ["a"], CPU).model for spec in (plain, lowered)]
    tokens = torch.arange(8).view(1, 1, 8)
    trained = [model(tokens, None) for model in models]
    with torch.no_grad():
        tested = [model(tokens, None) for model in models]
    assert torch.equal(trained[0], tested[0]) and torch.equal(trained[1], tested[1])
    assert not torch.equal(*tested)
    torch.testing.assert_close(*tested, rtol=0.05, atol=0.05)


def test_a_marked_function_is_lowered_neither_outside_nor_inside():
    linear = Linear(8, 8)
    for value in linear.parameters():
        torch.nn.init.normal_(value, generator=torch.Generator().manual_seed(0))
    x = torch.linspace(-1, 1, 16).view(2, 8)
    marked = full_precision(lambda x, *, scale: linear(x) * scale)
    expected = marked(x, scale=torch.ones(8))
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(x).dtype == torch.bfloat16
        assert torch.equal(marked(x, scale=torch.ones(8)), expected)
        rounded = marked(x.bfloat16(), scale=torch.ones(8).bfloat16())
        assert rounded.dtype == torch.float32 and torch.is_autocast_enabled("cpu")
    assert torch.equal(rounded, marked(x.bfloat16().float(), scale=torch.ones(8)))
    assert marked(x.double().float(), scale=1.0).dtype == torch.float32


@pytest.mark.parametrize("function", [gelu, sigmoid, silu])
@pytest.mark.parametrize("length", [64, 63])
def test_activations_round_their_result_alone(function, length):
    """Also where they are composed of several functions: to half a unit of the result."""
    x = torch.linspace(-6, 6, length).bfloat16().view(1, length, 1)
    with torch.autocast("cpu", torch.bfloat16):
        got = function(x).double()
    torch.testing.assert_close(got, function(x.double()), rtol=2**-8, atol=1e-6)


def test_a_precision_is_hashed_unless_it_is_the_default():
    ids = [tiny(train__precision=name).run_id for name in ("float32", "tf32", "bfloat16")]
    keys = {tiny(train__precision=name).cohort_key for name in ("float32", "tf32", "bfloat16")}
    assert ids[0] == tiny().run_id and len(set(ids)) == len(keys) == 3
    with pytest.raises(HarnessError, match=r"train\.precision.*float16"):
        tiny(train__precision="float16")


def allowed() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("name, inside", [("tf32", True), ("float32", False), ("bfloat16", False)])
@pytest.mark.parametrize("before", [(False, True), (True, False)])
def test_tf32_is_on_where_asked_for_alone_and_left_as_found(name, inside, before):
    first = allowed()
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
    try:
        with pytest.raises(KeyError), precision.float32_products(name, CUDA):
            assert allowed() == (inside, inside)
            raise KeyError
        assert allowed() == before
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = first


def test_a_cpu_has_no_tf32_and_nothing_is_trained():
    events = []
    with pytest.raises(HarnessError, match="tf32 has no effect on a cpu") as error:
        train_cohort([tiny(train__precision="tf32")], events.append)
    assert "--device cuda" in str(error.value) and not events
    before = allowed()
    with precision.float32_products("float32", CPU):
        assert allowed() == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["float32", "tf32", "bfloat16"])
def test_every_mixer_trains_on_a_gpu_in_every_precision(name):
    for mixer in mixers.names():
        check_on_gpu(mixer, name)


def check_on_gpu(mixer: str, name: str) -> None:
    specs = [tiny(seed=seed, model__mixer=mixer, train__precision=name) for seed in range(2)]
    events, on_cpu = [], train([tiny(model__mixer=mixer)])
    train_cohort(specs, events.append, device="cuda")
    assert sum(isinstance(event, Finished) for event in events) == 2
    expected, got = (
        numbers(on_cpu, tiny(model__mixer=mixer).run_id),
        numbers(events, specs[0].run_id),
    )
    for (_, _, values), (_, _, values_) in zip(expected, got, strict=True):
        assert dict(values_)["loss"] == pytest.approx(dict(values)["loss"], **NEAR)


def test_a_models_numbers_are_those_of_autocast():
    """Against torch's own modules under torch.autocast, of one layer of attention."""
    spec = tiny(model__mixer="attention", model__layers=1, train__precision="bfloat16")
    model = Model(spec)
    generator = torch.Generator().manual_seed(0)
    for value in model.parameters():
        torch.nn.init.normal_(value, std=0.3, generator=generator)
    tokens = torch.arange(16).view(2, 8) % 10
    block, f = model.blocks[0], torch.nn.functional
    with torch.autocast("cpu", torch.bfloat16):
        x = f.embedding(tokens, model.embedding.weight)
        y = f.layer_norm(x, (8,), block.mixer_norm.weight, block.mixer_norm.bias)
        q, k, v = f.linear(y, block.mixer.qkv.weight, block.mixer.qkv.bias).chunk(3, -1)
        y = f.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None], is_causal=True)
        x = x + f.linear(y[:, 0], block.mixer.out.weight, block.mixer.out.bias)
        y = f.layer_norm(x, (8,), block.channel_norm.weight, block.channel_norm.bias)
        up, down = block.channel_mixer.up, block.channel_mixer.down
        x = x + f.linear(f.gelu(f.linear(y, up.weight, up.bias)), down.weight, down.bias)
        x = f.layer_norm(x, (8,), model.norm.weight, model.norm.bias)
        logits = f.linear(x, model.readout.weight, model.readout.bias).float()
    torch.testing.assert_close(model(tokens, None), logits, rtol=2**-8, atol=2**-8)
