"""What a run costs, computed from its specification: parameters, FLOPs, state."""

from __future__ import annotations

from typing import NamedTuple

import torch

from harness.model import Model
from harness.spec import RunSpec


class Cost(NamedTuple):
    """params: all parameters of the model, shared ones once; params_without_embedding: less the
    embedding, learned positions, the readout and what stands between it and the blocks.
    flops_per_token: one forward pass, a multiply-add counted as two, shared layers each time,
    readout at the scored positions included. state_size: numbers that all mixers keep of a
    sequence to answer at its end.
    """

    params: int
    params_without_embedding: int
    flops_per_token: float
    state_size: int


def cost(spec: RunSpec) -> Cost:
    """Builds the model without memory and counts."""
    with torch.device("meta"):
        model = Model(spec)
    outer = ("embedding.", "positions", "readout.", "unpack.", "compare.")
    counts = {name: value.numel() for name, value in model.named_parameters()}
    inner = sum(n for name, n in counts.items() if not name.startswith(outer))
    return Cost(
        sum(counts.values()),
        inner,
        flops_per_token(spec),
        state_size(spec),
    )


def state_size(spec: RunSpec) -> int:
    """Numbers that all mixers keep of a sequence, those of shared weights each their own."""
    length = spec.sequence_length
    return sum(layer.mixer.state_size(layer.width, length) for layer in spec.model.layer_list)


def flops_per_token(spec: RunSpec) -> float:
    """Forward FLOPs per input token."""
    model, length = spec.model, spec.sequence_length
    channel = {"mlp": 4, "swiglu": 6, "none": 0}[model.channel_mixer.kind]
    hidden = max(1, round(model.channel_mixer.ratio * model.width))
    layers = 0.0
    for layer in model.layer_list:
        layers += layer.mixer.flops_per_token(layer.width, length)
        layers += channel * model.width * hidden + 2 * model.short_conv * layer.width
        if layer.projected:
            layers += 4 * model.width * layer.width
    task, tokens = spec.task, length * spec.task.num_documents
    readout = 2 * model.width * task.num_outputs * spec.num_scored / tokens
    if task.bottleneck:
        readout += 16 * model.width**2 * spec.num_scored / tokens
    return layers + readout + 2 * model.width * task.num_features


def training_flops(spec: RunSpec) -> float:
    """FLOPs of the whole training, a backward pass counted as two forward passes."""
    per_example = spec.sequence_length * spec.task.num_documents
    tokens = spec.train.batch_size * per_example * spec.train.steps
    return 3 * flops_per_token(spec) * tokens
