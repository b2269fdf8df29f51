"""Published weights by their names: each is used, none is left over, shapes are told apart."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Weights:
    """The `param/<name>` arrays of a file, in float64."""

    def __init__(self, data: Mapping):
        self._data = data
        self._left = {key.removeprefix("param/") for key in data if key.startswith("param/")}

    def __contains__(self, name: str) -> bool:
        return f"param/{name}" in self._data

    def take(self, name: str) -> Tensor:
        """The array, which then counts as used. Raises KeyError where the file lacks it."""
        value = torch.from_numpy(self._data[f"param/{name}"]).double()
        self._left.discard(name)
        return value

    def put(self, target: Tensor, value: Tensor | str, name: str = "") -> None:
        """Sets a parameter from a value, or from the array of that name.

        Raises ValueError where the shapes differ.
        """
        if isinstance(value, str):
            name, value = value, self.take(value)
        if target.shape != value.shape:
            raise ValueError(f"{name} is {tuple(value.shape)}, expected {tuple(target.shape)}")
        with torch.no_grad():
            target.copy_(value)

    def put_linear(self, target: torch.nn.Module, name: str) -> None:
        """Weight and bias of a linear map; a trailing dimension of one (a convolution) is cut."""
        weight = self.take(f"{name}.weight")
        self.put(target.weight, weight.squeeze(-1) if weight.ndim == 3 else weight, name)
        self.put(target.bias, self.take(f"{name}.bias").flatten(), name)

    def put_implicit_filter(
        self, target: torch.nn.Module, name: str, *, shift: float = 0, modulate: bool = True
    ) -> None:
        """A sine network with its positions and window, as safari and zoology name it.

        shift is added to the window, which without modulate is one.
        """
        self.put(target.positions, self.take(f"{name}.pos_emb.z")[0], f"{name}.pos_emb.z")
        for index, linear in enumerate([*target.layers, target.out]):
            path = f"{name}.implicit_filter.{2 * index}"
            self.put(linear.weight, f"{path}.weight")
            if linear.bias is not None:
                self.put(linear.bias, f"{path}.bias")
        for index in range(len(target.layers)):  # one vector under several names
            path = f"{name}.implicit_filter.{2 * index + 1}.freq"
            frequency = self.take(path)
            if not torch.equal(frequency, self.take(f"{name}.implicit_filter.1.freq")):
                raise ValueError(f"{path} is another vector than that of the first layer")
            self.put(target.frequency, frequency[0], path)
        t, delta = self.take(f"{name}.pos_emb.t")[0], self.take(f"{name}.modulation.deltas")[0]
        window = torch.exp(-t * delta.abs()) + shift
        window = window if modulate else torch.ones_like(window)
        self.put(target.window, window, f"{name}.modulation.deltas")

    def finish(self) -> None:
        """Raises ValueError that names what was not used."""
        if self._left:
            raise ValueError(f"parameters that were not used: {', '.join(sorted(self._left))}")


def run(layer: torch.nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Output of layer(x) and the gradient of the sum of its squares in x."""
    x = x.clone().requires_grad_()
    y = layer(x)
    (grad,) = torch.autograd.grad(y.square().sum(), x)
    return y.detach(), grad


def expect_input(config: Mapping, data: Mapping, *axes: str) -> None:
    """Raises ValueError where the input's shape is not the one that the configuration says."""
    expected = tuple(config[axis] for axis in axes)
    if data["input"].shape != expected:
        raise ValueError(f"the input is {data['input'].shape}, its configuration says {expected}")
