"""Word problem of a group: multiply a sequence of elements, and say the product.

Barrington 1989: over the permutations of five things the problem is complete for the class NC1,
so that no threshold circuits of constant depth and polynomial size are known for it. With Liu et
al. 2023 (arXiv:2210.10749) and Merrill et al. 2024 (arXiv:2404.08819) it became the measure of
state tracking; cyclic and small symmetric groups make the comparison. Deviations: see
`GroupWordProblem`.
"""

from __future__ import annotations

from functools import cache
from itertools import permutations
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from tasks.base import IGNORE, Batch, Edit, Task, change, few_inputs, register
from tasks.distinct import one_of

WINDOW = 3  # elements that the local shortcut multiplies
MAX_ORDER = 512  # of a cyclic group: its table has the square of it
DEGREES = (3, 5)  # the least and largest of the groups of permutations


class Group(NamedTuple):
    """names of the elements; table[x, y]: the product of x and then y. Element 0 is the identity.

    swaps: the identity and the elements that exchange two points, ascending.
    """

    names: list[str]
    table: np.ndarray
    swaps: np.ndarray


@register("group_word_problem")
class GroupWordProblem(Task):
    """The product of group elements, so far or in the end.

    Rule: `length` independent uniform elements x_1 .. x_L; the target at position t is x_1 x_2
    ... x_t (with `scored: last` at the last one alone). Groups: `cyclic`, the numbers 0 .. n - 1
    added modulo n; `symmetric`, all permutations of n points; `alternating`, the even ones. In a
    product the left permutation is applied first. With `elements: swaps` the x_t are uniform
    over the identity and the permutations that exchange two points, and still every permutation
    can be a product.

    Tokens: the elements in lexicographic order, the identity first; a permutation is written as
    the images of 1 .. n. Outputs: all elements of the group.
    Chance: 1 / elements of the group. Without swaps every rule that leaves out one element is at
    chance, since the product is then uniform given all the others.
    Facts: `position`, from 0: one less than the elements multiplied.

    Edits: see `edit`. With `scored: all` nothing is irrelevant: the products determine all
    elements.
    Deviations: no start token; swaps with the identity are this project's own choice, as without
    it the parity of a position would tell half of the answer.
    """

    kind: Literal["cyclic", "symmetric", "alternating"] = "symmetric"
    """Which family of groups."""
    n: Annotated[int, Field(ge=2, le=MAX_ORDER)] = 5
    """Elements of a cyclic group (at most 512), or points that are permuted (3 to 5)."""
    length: Annotated[int, Field(ge=2)] = 32
    """Elements in the input."""
    elements: Literal["all", "swaps"] = "all"
    """Which elements the input is drawn from; swaps, for symmetric groups: the identity and all
    exchanges of two points."""
    scored: Literal["all", "last"] = "all"
    """Every position, or the last one alone."""

    summary: ClassVar[str] = "multiply the elements of a group"
    source: ClassVar[str] = (
        "Liu et al. 2023, arXiv:2210.10749; Merrill et al. 2024, arXiv:2404.08819; details are "
        "this project's own"
    )
    group: ClassVar[str] = "state tracking"
    scoring: ClassVar[str] = (
        "The product of all elements so far (of permutations, the left one applied first); "
        "with `scored: last` the product of all, at the last position alone."
    )
    next_token: ClassVar[bool] = False

    @model_validator(mode="after")
    def _possible(self):
        least, most = DEGREES
        if self.kind != "cyclic" and not least <= self.n <= most:
            raise ValueError(f"{self.kind} groups need {least} <= n <= {most}, got n = {self.n}")
        if self.elements == "swaps" and self.kind != "symmetric":
            raise ValueError(f"elements 'swaps' needs a symmetric group, got {self.kind}")
        return self

    @property
    def num_tokens(self) -> int:
        return len(self._elements)

    @property
    def num_outputs(self) -> int:
        return len(self._group.names)

    @property
    def input_length(self) -> int:
        return self.length

    @property
    def max_scored(self) -> int:
        return self.length if self.scored == "all" else 1

    @property
    def chance(self) -> float:
        return 1 / self.num_outputs

    @property
    def too_small_to_hold_out(self) -> str:
        return few_inputs(self.num_tokens ** min(self.length, 64))

    def sample(self, rng: np.random.Generator, n: int) -> Batch:
        return self._written(rng.integers(self.num_tokens, size=(n, self.length)))

    def oracle(self, batch: Batch) -> np.ndarray:
        return self._answers(self._products(batch.inputs))

    def shortcuts(self, batch: Batch) -> dict[str, np.ndarray]:
        """The last element, and the product of the last few."""
        width, elements = min(WINDOW, self.length - 1), self._elements[batch.inputs]
        product = elements.copy()
        for back in range(1, width):
            product[:, back:] = self._group.table[elements[:, :-back], product[:, back:]]
        local = "last element" if width == 1 else f"product of the last {width}"
        return {"last element": self._answers(elements), local: self._answers(product)}

    def edit(self, batch: Batch, rng: np.random.Generator) -> Edit:
        """evidence: one element becomes another, with `scored: all` the first one: then no product
        stays the same. distractor: two different neighbours that commute change places;
        unchanged where there are none, and with `scored: all`."""
        inputs = batch.inputs
        rows = np.arange(len(inputs))
        place = np.zeros(len(inputs), dtype=np.int64)
        if self.scored == "last":
            place = rng.integers(self.length, size=len(inputs))
        other = inputs.copy()
        other[rows, place] = change(inputs[rows, place], 0, self.num_tokens, rng)

        swapped = inputs.copy()
        if self.scored == "last":
            left, right = self._elements[inputs[:, :-1]], self._elements[inputs[:, 1:]]
            table = self._group.table
            free = (left != right) & (table[left, right] == table[right, left])
            chosen = one_of(rng, free)
            rows = np.flatnonzero(free.any(axis=1))
            chosen = chosen[rows]
            swapped[rows, chosen], swapped[rows, chosen + 1] = (
                inputs[rows, chosen + 1],
                inputs[rows, chosen],
            )
        return Edit(self._written(other), self._written(swapped))

    @property
    def token_names(self) -> list[str]:
        return [self._group.names[element] for element in self._elements]

    @property
    def output_names(self) -> list[str]:
        return self._group.names

    @property
    def _group(self) -> Group:
        return _cyclic(self.n) if self.kind == "cyclic" else _permutations(self.kind, self.n)

    @property
    def _elements(self) -> np.ndarray:
        """(num_tokens,) the element that each token stands for."""
        if self.elements == "swaps":
            return self._group.swaps
        return np.arange(len(self._group.names))

    def _products(self, inputs: np.ndarray) -> np.ndarray:
        """(n, length) the product of the elements up to and including each position."""
        out = self._elements[inputs]
        for position in range(1, self.length):
            out[:, position] = self._group.table[out[:, position - 1], out[:, position]]
        return out

    def _answers(self, predictions: np.ndarray) -> np.ndarray:
        """Predictions at the scored positions alone."""
        if self.scored == "last":
            predictions[:, :-1] = IGNORE
        return predictions

    def _written(self, inputs: np.ndarray) -> Batch:
        targets = self._answers(self._products(inputs))
        position = np.where(targets == IGNORE, -1, np.arange(self.length))
        return Batch(inputs, targets, {"position": position})


@cache
def _cyclic(order: int) -> Group:
    numbers = np.arange(order)
    table = (numbers[:, None] + numbers) % order
    return Group([str(number) for number in numbers], table, numbers[:0])


@cache
def _permutations(kind: str, points: int) -> Group:
    images = np.array(list(permutations(range(points))))
    i, j = np.triu_indices(points, 1)
    if kind == "alternating":
        images = images[(images[:, i] > images[:, j]).sum(axis=1) % 2 == 0]
    # In base `points` a permutation is one number, and the numbers are ascending.
    weights = points ** np.arange(points)[::-1]
    composed = images[:, images].swapaxes(0, 1)  # [x, y, i]: y's image of x's image of i
    table = np.searchsorted(images @ weights, composed @ weights)
    names = ["".join(str(1 + image) for image in row) for row in images]
    moved = (images != np.arange(points)).sum(axis=1)
    return Group(names, table, np.flatnonzero(moved <= 2))
