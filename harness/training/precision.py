"""In which numbers a model computes: `train.precision`.

    float32     every product in float32, also where a GPU would take TF32 unasked
    tf32        float32 products on a GPU's tensor cores, which read 10 of the 23 bits of a mantissa
    bfloat16    the forward pass under torch.autocast: linear maps and attention multiply numbers of
                8 significant bits, sums inside a product stay float32

Parameters, optimiser state, losses and norms are float32 in all of them, and so is what
`harness.layers.full_precision` marks: convolutions, Fourier transforms, recurrences. Autocast is
for the forward pass alone; gradients have the type of what they belong to.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Literal

import torch

from harness.foundation.errors import HarnessError

Precision = Literal["float32", "tf32", "bfloat16"]

FIX = "use --device cuda, or train.precision float32 or bfloat16"


def forward_in(precision: Precision, device: torch.device) -> AbstractContextManager:
    """A forward pass on the device, in training and in evaluation alike."""
    if precision != "bfloat16":
        return nullcontext()
    # Without torch's cache of lowered weights, which outlives a recorded pass.
    return torch.autocast(device.type, dtype=torch.bfloat16, cache_enabled=False)


@contextmanager
def float32_products(precision: Precision, device: torch.device) -> Iterator[None]:
    """Whether float32 products of a GPU, forward and backward, are TF32 within; then as before.

    Raises HarnessError for TF32 on a CPU, which has no such products.
    """
    if device.type != "cuda":
        if precision == "tf32":
            raise HarnessError(f"train.precision tf32 has no effect on a {device.type}", fix=FIX)
        yield
        return
    # The older of torch's two ways to say so sets both; what the newer one sets, it cannot read.
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.allow_tf32 = value
