"""AdamW for a stack: learning rate and weight decay are vectors over members.

Loshchilov & Hutter 2019, algorithm 2, as torch.optim.AdamW computes it; a parameter's recipe
scales or caps its rate and switches its decay off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from harness.spec import TrainSpec
from harness.training.stack import Stack

EPS = 1e-8


class AdamW:
    """lr, weight_decay: one value a member. The schedule multiplies every rate alike."""

    def __init__(
        self,
        stack: Stack,
        *,
        lr: Sequence[float],
        weight_decay: Sequence[float],
        betas: tuple[float, float],
    ):
        rates = torch.tensor(lr, dtype=torch.float64)[:, None]
        decays = torch.tensor(weight_decay, dtype=torch.float64)[:, None]
        self.rates = torch.zeros_like(stack.values)  # (S, P)
        self.decays = torch.zeros_like(stack.values)
        for recipe, columns in stack.recipes:
            own = (rates * recipe.lr_scale).clamp(max=recipe.lr_max)
            self.rates[:, columns] = own.float().to(stack.values.device)
            if recipe.decay:
                self.decays[:, columns] = (own * decays).float().to(stack.values.device)
        self.betas = betas
        self.mean = torch.zeros_like(stack.values)
        self.square = torch.zeros_like(stack.values)
        self.steps_taken = 0

    def step(self, stack: Stack, grads: Tensor, factor: float) -> None:
        """One update from gradients (S, P); factor: the schedule's value, on every rate."""
        first, second = self.betas
        self.steps_taken += 1
        self.mean.lerp_(grads, 1 - first)
        self.square.mul_(second).addcmul_(grads, grads, value=1 - second)
        root = self.square.sqrt().mul_(1 / math.sqrt(1 - second**self.steps_taken)).add_(EPS)
        update = torch.div(self.mean, root, out=root).mul_(self.rates)
        stack.values.addcmul_(stack.values, self.decays, value=-factor)
        stack.values.add_(update, alpha=-factor / (1 - first**self.steps_taken))

    def keep(self, rows: Tensor) -> None:
        """Reduces the state to these members."""
        for name in ("rates", "decays", "mean", "square"):
            setattr(self, name, getattr(self, name)[rows].clone())


def schedule_factor(train: TrainSpec, step: int) -> float:
    """What the learning rate is multiplied by at a step (from 0): warm-up, then the schedule."""
    if step < train.warmup_steps:
        return (step + 1) / train.warmup_steps
    if train.schedule == "constant":
        return 1.0
    if train.schedule == "rsqrt":
        return math.sqrt(train.warmup_steps / (step + 1))
    done = (step - train.warmup_steps) / max(1, train.steps - train.warmup_steps)
    shape = 0.5 * (1 + math.cos(math.pi * done)) if train.schedule == "cosine" else 1 - done
    return train.final_lr_fraction + (1 - train.final_lr_fraction) * shape


def clip_(grads: Tensor, largest_norm: float) -> None:
    """Scales each member's gradient (S, P) down to the norm, as torch's clip_grad_norm_ does."""
    norm = torch.linalg.vector_norm(grads, dim=1, keepdim=True)
    grads.mul_((largest_norm / (norm + 1e-6)).clamp_(max=1.0))
