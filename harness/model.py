"""The model around a mixer: embedding -> blocks -> readout at the scored positions.

    x = embedding(inputs) (+ positions)      a table for tokens, a linear map for features
    block: x = x + mixer(short_conv(norm(x)));  x = x + channel_mixer(norm(x))
        (a mixer of another width: x = x + W_out mixer(short_conv(W_in norm(x))))
    logits = readout(norm(x)) at the scored positions alone

Dimensions: S members (a leading dimension, there only when stacked), B batch, L length,
D width, Q scored positions, V classes, F features, N documents.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from harness.foundation.errors import HarnessError
from harness.layers import (
    Dropout,
    Embedding,
    LayerNorm,
    Linear,
    Recipe,
    ShortConv,
    constant,
    full_precision,
    gelu,
    linear,
    normal,
    parameter,
    silu,
)
from harness.mixers.base import State
from harness.spec import ChannelMixer, Layer, RunSpec
from harness.training.precision import forward_in

GPT2_STD = 0.02


class Mlp(nn.Module):
    """Linear, GELU, Linear; x (..., D) -> (..., D)."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.up = Linear(width, hidden)
        self.down = Linear(hidden, width, kind="residual")

    def forward(self, x: Tensor) -> Tensor:
        return self.down(gelu(self.up(x)))


class SwiGlu(nn.Module):
    """Shazeer 2020, eq. 5: (SiLU(x W) * x V) W2; x (..., D) -> (..., D)."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.gate = Linear(width, hidden, bias=False)
        self.up = Linear(width, hidden, bias=False)
        self.down = Linear(hidden, width, bias=False, kind="residual")

    def forward(self, x: Tensor) -> Tensor:
        return self.down(silu(self.gate(x)) * self.up(x))


class Block(nn.Module):
    """One pre-norm block; the state passes through the mixer.

    Where the mixer has a width of its own, E, linear maps D -> E and E -> D stand around it and
    its short convolution.
    """

    def __init__(self, spec: RunSpec, layer: Layer):
        super().__init__()
        model, width = spec.model, layer.width
        self.mixer_norm = LayerNorm(model.width)
        self.to_mixer = Linear(model.width, width) if layer.projected else None
        self.short_conv = ShortConv(width, model.short_conv) if model.short_conv else None
        self.mixer = layer.mixer.module(width, spec.sequence_length)
        _check_recipes(self.mixer, layer.mixer.name)
        self.from_mixer = None
        if layer.projected:
            self.from_mixer = Linear(width, model.width, kind="residual")
        self.channel_mixer = channel_mixer(model.channel_mixer, model.width)
        self.channel_norm = LayerNorm(model.width) if self.channel_mixer is not None else None
        self.dropout = Dropout(model.residual_dropout) if model.residual_dropout else nn.Identity()

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y = self.mixer_norm(x)
        if self.to_mixer is not None:
            y = self.to_mixer(y)
        if self.short_conv is not None:
            y = self.short_conv(y)
        y, state = self.mixer(y, state)
        if self.from_mixer is not None:
            y = self.from_mixer(y)
        x = x + self.dropout(y)
        if self.channel_mixer is not None:
            x = x + self.dropout(self.channel_mixer(self.channel_norm(x)))
        return x, state


class Unpack(nn.Module):
    """Every position from the last one alone: the task's bottleneck (MAD's compression).

    x (S, B, L, D), scored (S, B, Q) -> (S, B, Q, D): y_t = mlp(x_L + p_t), p a trained vector a
    position. The decoder is this project's; the paper states only that the last token's
    representation must hold the sequence (Poli et al. 2024, arXiv:2403.17844, section 3.1).
    """

    def __init__(self, length: int, width: int, std: float):
        super().__init__()
        self.positions = parameter((length, width), Recipe(normal(std), "embedding", decay=False))
        self.mlp = Mlp(width, 4 * width)

    def forward(self, x: Tensor, scored: Tensor | None) -> Tensor:
        places = self.positions.unsqueeze(-3)
        if scored is not None:
            places = torch.take_along_dim(places, scored.unsqueeze(-1), dim=-2)
        return self.mlp(x[..., -1:, :] + places)


class Compare(nn.Module):
    """What pooled documents (S, B, N, D) say together: (S, B, 1, D).

    Long Range Arena's classifier of two documents, section 2.2.3: an MLP on both, here with their
    product and difference where there are two.
    """

    def __init__(self, num: int, width: int):
        super().__init__()
        self.mlp = nn.ModuleList(
            [Linear((4 if num == 2 else num) * width, width), Mlp(width, width)]
        )

    def forward(self, x: Tensor) -> Tensor:
        parts = list(x.split(1, dim=-2))
        if len(parts) == 2:
            one, other = parts
            parts += [one * other, one - other]
        for module in self.mlp:
            parts = [module(torch.cat(parts, dim=-1))]
        return parts[0]


class Model(nn.Module):
    """Inputs (S, B, L) tokens or (S, B, L, F) features to logits, or numbers, (S, B, Q, V);
    without the S for a model that is not stacked. It computes in `train.precision`, and what it
    gives is float32 in any."""

    def __init__(self, spec: RunSpec):
        super().__init__()
        model = spec.model
        gpt2 = model.init != "torch"
        std = model.embedding_std or (GPT2_STD if gpt2 else 1.0)
        self.precision = spec.train.precision
        task = spec.task
        self.num_features = task.num_features
        if task.num_features:
            self.embedding = Linear(task.num_features, model.width)
        else:
            self.embedding = Embedding(spec.num_tokens, model.width, std=std)
        self.positions = None
        if model.positions == "learned":
            recipe = Recipe(normal(std), "embedding", decay=False)
            self.positions = parameter((spec.sequence_length, model.width), recipe)
        share = model.embedding_dropout
        self.embedding_dropout = Dropout(share) if share else nn.Identity()
        blocks: list[Block] = []
        for index, (layer, first) in enumerate(
            zip(model.layer_list, model.block_of_layer, strict=True)
        ):
            blocks.append(Block(spec, layer) if first == index else blocks[first])
        self.blocks = nn.ModuleList(blocks)
        self.norm = LayerNorm(model.width)
        self.num_outputs = task.num_outputs
        self.readout = None if model.tied else Linear(model.width, self.num_outputs)
        self.pool = (model.pool or "mean") if task.pooled else None
        self.pad_token = task.pad_token
        self.unpack = Unpack(spec.sequence_length, model.width, std) if task.bottleneck else None
        self.num_documents = task.num_documents
        several = task.num_documents > 1
        self.compare = Compare(task.num_documents, model.width) if several else None
        if gpt2:
            _use_gpt2_initialisation(self, model.layers, mixers=model.init == "gpt2")

    def forward(self, inputs: Tensor, scored: Tensor | None) -> Tensor:
        """scored: (S, B, Q) positions whose logits are wanted; None wants all of them."""
        with forward_in(self.precision, inputs.device):
            logits = self._logits(inputs, scored)
        return logits.float() if logits.dtype == torch.bfloat16 else logits

    def _logits(self, inputs: Tensor, scored: Tensor | None) -> Tensor:
        if self.compare is not None:  # each document by itself
            dim = inputs.ndim - (2 if self.num_features else 1)
            inputs = inputs.unflatten(dim, (self.num_documents, -1)).flatten(dim - 1, dim)
        x = full_precision(self.embedding)(inputs)  # the residual stream is float32 from here on
        if self.positions is not None:
            x = x + self.positions[..., : x.shape[-2], :].unsqueeze(-3)
        x = self.embedding_dropout(x)
        state: State = None
        for block in self.blocks:
            x, state = block(x, state)
        if self.pool is not None:
            x = self._pooled(x, inputs)
        elif self.unpack is not None:
            x = self.unpack(x, scored)
        elif scored is not None:
            x = torch.take_along_dim(x, scored.unsqueeze(-1), dim=-2)
        x = self.norm(x)
        if self.compare is not None:
            x = self.compare(x.squeeze(-2).unflatten(-2, (-1, self.num_documents)))
        if self.readout is not None:
            return self.readout(x)
        return linear(x, self.embedding.weight[..., : self.num_outputs, :], None)

    def _pooled(self, x: Tensor, inputs: Tensor) -> Tensor:
        """(S, B, L, D) -> (S, B, 1, D): the mean, or the last, of what is no padding."""
        if self.pad_token is None:
            return x.mean(dim=-2, keepdim=True) if self.pool == "mean" else x[..., -1:, :]
        real = inputs != self.pad_token
        count = real.sum(dim=-1, keepdim=True).unsqueeze(-1).clamp(min=1)
        if self.pool == "last":
            return torch.take_along_dim(x, count - 1, dim=-2)
        return (x * real.unsqueeze(-1)).sum(dim=-2, keepdim=True) / count


def _check_recipes(module: nn.Module, mixer: str) -> None:
    for name, value in module.named_parameters():
        if not hasattr(value, "recipe"):
            raise HarnessError(
                f"the parameter {name!r} of the mixer {mixer!r} has no recipe, so it can be "
                "neither initialised nor stacked",
                fix="declare it with harness.layers.parameter, or use the layers there",
            )


def channel_mixer(spec: ChannelMixer, width: int) -> nn.Module | None:
    """The channel mixer of a specification, or None."""
    if spec.kind == "none":
        return None
    hidden = max(1, round(spec.ratio * width))
    return Mlp(width, hidden) if spec.kind == "mlp" else SwiGlu(width, hidden)


def _use_gpt2_initialisation(model: Model, layers: int, *, mixers: bool) -> None:
    """Replaces the recipes of linear maps and biases; of the mixers' too where asked."""
    residual = GPT2_STD / math.sqrt(2 * layers)
    inits = {
        "projection": normal(GPT2_STD),
        "residual": normal(residual),
        "bias": constant(0.0),
    }
    for name, value in model.named_parameters():
        recipe: Recipe = value.recipe
        if recipe.kind in inits and (mixers or ".mixer." not in name):
            value.recipe = Recipe(
                inits[recipe.kind], recipe.kind, recipe.lr_scale, recipe.lr_max, recipe.decay
            )
