"""The three forms of Orchid's global convolution: what wraps around, and what each output sees.

circular        over L points, as published: the last token neighbours the first
bidirectional   zero-padded to 2L points: nothing wraps around
causal          zero-padded, and every kernel is made from the past; this project's own
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from harness.foundation.config import Component
from harness.foundation.registry import Registry


class Form(Component):
    """Base of the forms. causal: outputs see no later input. padded: 2L points in place of L."""

    causal: ClassVar[bool] = False
    padded: ClassVar[bool] = True


FORMS: Registry[Form] = Registry("form")


@FORMS.register("circular")
class Circular(Form):
    """Positions and taps are counted modulo L."""

    padded: ClassVar[bool] = False


@FORMS.register("bidirectional")
class Bidirectional(Form):
    """Taps -(L-1) to L-1; the static kernel has a second half, for negative taps."""


@FORMS.register("causal")
class Causal(Form):
    """One kernel a chunk of positions, made from the inputs before that chunk.

        y[t] = sum_{s <= t} h_j[t - s] z[s],   j = t's chunk,   h_j = h(c[0], ..., c[jC - 1])

    A kernel h(x_<=t) that differs at every t is no convolution and costs L times as much. Here
    the conditioning network runs `chunks` times, on the inputs before each chunk with zeros in
    place of the rest, so that cost and memory grow by that factor. What this gives up: a kernel
    lags behind its outputs by up to C = L / chunks positions, the first chunk has one that no
    input has shaped, and shift equivariance is lost. The chunk's size is set by the length that
    the layer is built for: up to that length, a prefix of the input gives the same outputs.

    chunks: 2 to L; more than the length are as many as it has positions.

    Orchid's authors published no causal form: no claim of their paper is judged with this one.
    """

    causal: ClassVar[bool] = True

    chunks: Annotated[int, Field(ge=2)] = 8
