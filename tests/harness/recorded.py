"""Records work on a CPU as a CUDA graph does on a GPU: operations on tensors that stay where they
are. What a replay cannot repeat (a number read back, a tensor replaced, a step counted in Python)
shows here as well."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Recorded:
    """work: returns tensors. As with a CUDA graph, what existed before is as it was afterwards."""

    def __init__(self, work: Callable[[], tuple[torch.Tensor, ...]]):
        self.calls: list[tuple] = []
        with _Recorder(self.calls) as recorder:
            self.outputs = work()
        for value, before in recorder.changed:
            value.data.copy_(before)

    @property
    def operations(self) -> list[str]:
        return [str(function) for function, *_ in self.calls]

    @torch.no_grad()
    def replay(self) -> tuple[torch.Tensor, ...]:
        for function, given, named, out in self.calls:
            again = function(*given, **named)
            for place, value in zip(tree_leaves(out), tree_leaves(again), strict=True):
                if isinstance(place, torch.Tensor) and _storage(place) != _storage(value):
                    place.copy_(value)
        return self.outputs


class _Recorder(TorchDispatchMode):
    def __init__(self, calls: list[tuple]):
        super().__init__()
        self.calls, self.made = calls, set()
        self.changed: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function._schema.is_mutable:
            written = [
                value
                for place, value in _arguments(function, args, kwargs)
                if place.alias_info is not None and place.alias_info.is_write
            ]
            for value in written:
                if _storage(value) not in self.made:
                    self.changed.append((value, value.detach().clone()))
        out = function(*args, **kwargs)
        given = {_storage(each) for each in tree_leaves((args, kwargs)) if _is_tensor(each)}
        self.made |= {_storage(each) for each in tree_leaves(out) if _is_tensor(each)} - given
        self.calls.append((function, args, kwargs, out))
        return out


def _arguments(function, args, kwargs):
    for index, place in enumerate(function._schema.arguments):
        value = args[index] if index < len(args) else kwargs.get(place.name)
        if _is_tensor(value):
            yield place, value


def _is_tensor(value) -> bool:
    return isinstance(value, torch.Tensor)


def _storage(value: torch.Tensor) -> int:
    return value.untyped_storage().data_ptr()
