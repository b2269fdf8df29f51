"""S models as one: parameters stacked on a leading dimension, all in one flat matrix (S, P).

The flat matrix makes the optimiser a handful of elementwise operations, the gradient norm of
each member one reduction, and the departure of a member a selection of rows. The model's
parameters are views of its columns.

Stacking by hand beats torch.func.vmap over the unstacked module: see docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.foundation.seeding import generator
from harness.layers import BatchNorm, Recipe, initialise
from harness.model import Model
from harness.spec import RunSpec

# Columns are filled up to a multiple of this. A rest that does not fill a vector register is
# computed by other instructions, which round multiply-adds otherwise: the last member's last
# parameters would learn differently than in another place of the stack.
REGISTERS = 64


class Stack:
    """The stacked model of a cohort.

    model: its parameters have a leading dimension S. values: the (S, P) matrix that they are
    views of, with spare columns at the end. recipes: (recipe, columns) of each parameter.
    """

    def __init__(self, spec: RunSpec, seed_keys: Sequence[str], device: torch.device):
        """seed_keys: what each member's initial weights depend on, with the parameter's name."""
        self._lay_out(spec)
        members = {}
        for key in dict.fromkeys(seed_keys):
            initialise(self.model, lambda name, key=key: generator("init", key, name))
            flat = torch.cat([p.detach().flatten() for p in self.model.parameters()])
            members[key] = F.pad(flat, (0, self._padding))
        self.model.to(device)
        self._adopt(torch.stack([members[key] for key in seed_keys]).to(device))

    @classmethod
    def without_values(cls, spec: RunSpec, members: int, device: torch.device) -> Stack:
        """A stack whose shapes alone matter: no initial weight is drawn."""
        stack = cls.__new__(cls)
        with device:
            stack._lay_out(spec)
        stack._adopt(torch.empty(members, stack._end + stack._padding, device=device))
        return stack

    def _lay_out(self, spec: RunSpec) -> None:
        """Builds the model and gives every parameter its columns."""
        self.model = Model(spec)
        shapes = {name: tuple(value.shape) for name, value in self.model.named_parameters()}
        self.recipes: list[tuple[Recipe, slice]] = []
        self._places: list[tuple[nn.Module, str, tuple[int, ...], slice]] = []
        end = 0
        for name, value in self.model.named_parameters():
            columns = slice(end, end + value.numel())
            owner, _, leaf = name.rpartition(".")
            self._places.append((self.model.get_submodule(owner), leaf, shapes[name], columns))
            self.recipes.append((value.recipe, columns))
            end = columns.stop
        self._end, self._padding = end, -end % REGISTERS

    @property
    def num_members(self) -> int:
        return len(self.values)

    def gradient(self, loss: Tensor) -> Tensor:
        """(S, P): of a sum of members' losses, laid out as `values`."""
        grads = torch.autograd.grad(loss, self._leaves, materialize_grads=True, allow_unused=True)
        spare = self.values.new_zeros(len(self.values), self._padding)
        return torch.cat([*(grad.reshape(len(spare), -1) for grad in grads), spare], dim=1)

    def keep(self, rows: Tensor) -> None:
        """Reduces the stack to these members."""
        self._adopt(self.values[rows].clone())
        for module in self._norms():
            module.keep(rows)

    @contextmanager
    def only(self, rows: Tensor) -> Iterator[None]:
        """The model is of these members alone, for a while."""
        values = self.values
        statistics = [(norm, norm.running_mean, norm.running_var) for norm in self._norms()]
        self.keep(rows)
        try:
            yield
        finally:
            self._adopt(values)
            for norm, mean, var in statistics:
                norm.running_mean, norm.running_var = mean, var

    def _norms(self) -> list[BatchNorm]:
        return [module for module in self.model.modules() if isinstance(module, BatchNorm)]

    def _adopt(self, values: Tensor) -> None:
        self.values, self._leaves = values, []
        for owner, leaf, shape, columns in self._places:
            value = nn.Parameter(values[:, columns].view(-1, *shape))
            owner._parameters[leaf] = value
            self._leaves.append(value)
