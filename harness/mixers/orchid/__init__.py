"""Orchid (Karami & Ghodsi, arXiv 2402.18508): convolution with a kernel made from the input."""

from __future__ import annotations

from harness.mixers.orchid.conditioning import CONDITIONING, Conditioning
from harness.mixers.orchid.operator import Orchid
from harness.mixers.orchid.static_kernel import STATIC_KERNELS, StaticKernel

__all__ = ["CONDITIONING", "STATIC_KERNELS", "Conditioning", "Orchid", "StaticKernel"]
