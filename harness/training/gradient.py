"""What a training step computes of its batch: every member's loss, and all gradients.

A step of small models is a thousand kernels and more, each of a few microseconds. On a GPU they
take longer to launch than to run, so there the two passes are recorded once, as a CUDA graph, and
replayed with a single launch. On a CPU they are run as they stand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from harness.layers import Dropout
from harness.training.data import Examples
from harness.training.evaluation import loss_per_target
from harness.training.stack import Stack

Outputs = tuple[Tensor, Tensor]  # losses (S,), gradients (S, P)

# Steps that are run before one is recorded: constants that modules keep for later steps, and the
# work spaces of libraries, must not be made while recording.
WARM_UP = 3


class Recording(Protocol):
    """A piece of work, recorded: `replay` does it again, on the same tensors."""

    def replay(self) -> Outputs: ...


class CudaGraph:
    """Work on a GPU; see the notes on CUDA graphs in torch's documentation."""

    def __init__(self, work: Callable[[], Outputs]):
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._outputs = work()

    def replay(self) -> Outputs:
        self._graph.replay()
        return self._outputs


class Gradients:
    """The passes of a stack. Called with examples, it returns losses (S,) and gradients (S, P),
    which hold until the next call.

    record: makes a recording of the passes; by default a CUDA graph on a GPU, and none elsewhere
    or where the model drops numbers at random, which each step draws anew on the host.
    """

    def __init__(self, stack: Stack, record: Callable[[Callable], Recording] | None = None):
        self.stack = stack
        self.device = stack.values.device
        if record is None and self.device.type == "cuda":
            record = CudaGraph
        if any(isinstance(part, Dropout) for part in stack.model.modules()):
            record = None
        self._record = record
        self.refused = ""  # why the passes could not be recorded, if so
        self.forget()

    def forget(self) -> None:
        """To be called when the stack has lost members: what was recorded is of no use."""
        self._warm_up, self._recording = WARM_UP, None

    @property
    def replayed(self) -> bool:
        """Whether the last step was a replay."""
        return self._recording is not None

    def __call__(self, batch: Examples) -> Outputs:
        batch = batch.to(self.device)
        if self._record is None or self._warm_up:
            self._warm_up = max(0, self._warm_up - 1)
            return self._passes(batch)
        if self._recording is None and not self._start_recording(batch):
            return self._passes(batch)
        for ours, theirs in zip(self._batch, batch, strict=True):
            if ours is not None:
                ours.copy_(theirs)
        return self._recording.replay()

    def _start_recording(self, batch: Examples) -> bool:
        """A module that waits for the GPU, or reads a number back from it, cannot be recorded:
        such a cohort is trained as on a CPU."""
        self._batch = Examples(*(None if part is None else part.clone() for part in batch))
        try:
            self._recording = self._record(lambda: self._passes(self._batch))
        except RuntimeError as error:
            self._record, self.refused = None, str(error).partition("\n")[0]
        return self._recording is not None

    def _passes(self, batch: Examples) -> Outputs:
        logits = self.stack.model(batch.inputs, batch.scored)
        num_scored = batch.is_scored.flatten(1).sum(1)
        losses = loss_per_target(logits, batch.targets).flatten(1).sum(1) / num_scored
        return losses.detach(), self.stack.gradient(losses.sum())
