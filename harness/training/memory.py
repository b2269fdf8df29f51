"""The most memory that a cohort takes at a time, predicted from its specification alone.

A cohort of one is built, takes a training step, is tested and measured after training, all by the
code that trains, but on torch's fake tensors: they have shapes and a device, and no numbers. A
dispatch mode notes which storages are alive at once. Whatever a member has scales with the number
of members, and evaluation sets are shared, so one member tells what many take.

What is counted is what torch's allocator hands out: `torch.cuda.max_memory_allocated` on a GPU.
What comes on top (a process with torch in it, pages kept for later, workspaces of libraries) is
the planner's reserve. docs/performance.md compares predictions with measurements.
"""

from __future__ import annotations

import logging
import weakref

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from harness.cost import cost
from harness.foundation.seeding import generator
from harness.spec import RunSpec
from harness.training.cohort import _Cohort
from harness.training.data import Examples, num_ahead
from harness.training.stack import Stack
from tasks.base import Batch, Form, Role
from tasks.dataset import Dataset
from tasks.stream import Stream

NUMBER = 4  # bytes of a float32
TWICE = 2  # what is drawn ahead and what is in use; the blocks that a stream keeps

# For `at_most_bytes`, generous: arrays of activations that a layer keeps, and FLOPs of its mixer
# to a number kept. Shipped mixers keep 4 to 110 arrays at their defaults; those that keep more
# (800 in causal Orchid with 32 chunks) have FLOPs in proportion.
MOST_ARRAYS, FLOPS_A_NUMBER = 128, 4.0
COPIES_OF_WEIGHTS, COPIES_OF_LOGITS = 12, 32

_log = logging.getLogger(__name__)
_known: dict[tuple[str, str], dict[str, int]] = {}
_per_example: dict[str, int] = {}


def peak_bytes(spec: RunSpec, members: int, device: str = "cpu") -> int:
    """The most bytes that so many members take on the device at a time. On a CPU, examples that
    are no tensors yet count too."""
    return max(phases(spec, members, device).values()) + _drawn_bytes(spec, members, device)


def phases(spec: RunSpec, members: int = 1, device: str = "cpu") -> dict[str, int]:
    """The most bytes of tensors alive at once while a cohort is built, trained, evaluated, and
    measured after training.

    A model that cannot be followed (a plug-in's mixer that decides by numbers) counts with
    `at_most_bytes`, and a warning. A GPU that is not here is followed as a CPU.
    """
    kind = device.split(":")[0]
    key = spec.cohort_key, kind
    if key not in _known:
        try:
            _known[key] = follow(spec, device="cpu" if kind == "cuda" and not _has_gpu() else kind)
        except Exception as error:  # whatever a plug-in does must not stop a plan
            _log.warning("memory of a run of %s is bounded, not predicted: %s", spec.task, error)
            _known[key] = {"training": at_most_bytes(spec, 1)}
    ahead = answers = 0
    if kind == "cpu":
        ahead = TWICE * num_ahead(spec) * _bytes_of(spec, spec.train.batch_size, spec.train.loss)
        answers = _answer_bytes(spec)
    always = _evaluation_bytes(spec) + members * ahead
    out = {name: always + members * alone for name, alone in _known[key].items()}
    if "after training" in out:
        out["after training"] += members * answers
    return out


def at_most_bytes(spec: RunSpec, members: int, device: str = "cpu") -> int:
    """A bound on `peak_bytes` that takes no trace, several times as high."""
    task, train, length = spec.task, spec.train, spec.sequence_length
    numbers = sum(
        MOST_ARRAYS * max(spec.model.width, layer.width)
        + layer.mixer.flops_per_token(layer.width, length) / FLOPS_A_NUMBER
        for layer in spec.model.layer_list
    )
    longest = max([length, *(spec.at_length(n).sequence_length for n in train.test_lengths)])
    numbers *= max(train.batch_size * length, longest) * task.num_documents
    numbers += COPIES_OF_LOGITS * train.batch_size * spec.num_scored * task.num_outputs
    numbers += COPIES_OF_WEIGHTS * cost(spec).params
    own = NUMBER * numbers + 2 * _answer_bytes(spec)
    return round(members * own) + _evaluation_bytes(spec) + _drawn_bytes(spec, members, device)


def _has_gpu() -> bool:
    return torch.cuda.is_available()


def follow(spec: RunSpec, members: int = 1, device: str = "cpu") -> dict[str, int]:
    """Bytes of tensors by phase, with evaluation sets of one batch and no examples ahead."""
    out = {}
    with FakeTensorMode(allow_non_fake_inputs=True), _Live(device) as live, _NoNumbers():
        cohort = _Followed(spec, members, torch.device(device))
        out["building"] = live.lap()
        cohort._update(0)
        out["training"] = live.lap()
        _, data = cohort._evaluation_set(spec, "test", spec.train.test_examples)
        with cohort.stack.only(torch.arange(members, device=device)):  # a copy, as in `_finish`
            scores = cohort._evaluate(data, details=True)
            out["evaluation"] = live.lap()
            cohort._after_training(None, data, scores)
            out["after training"] = live.lap()
    return out


class _Followed(_Cohort):
    """A cohort of equal runs, fed with examples that have shapes and no numbers."""

    def __init__(self, spec: RunSpec, members: int, device: torch.device):
        specs = [spec.model_copy(update={"seed": seed}) for seed in range(members)]
        super().__init__(specs, lambda event: None, device)

    def _begin(self, specs: list[RunSpec]) -> tuple[_Shapes, Stack]:
        num = len(specs)
        return _Shapes(self.spec, num), Stack.without_values(self.spec, num, self.device)

    def _provenance(self, specs: list[RunSpec]) -> dict:
        return {}

    def _evaluation_set(self, spec: RunSpec, role: Role, size: int) -> tuple[None, Examples]:
        shape = (min(size, self.train_spec.batch_size),)
        return None, shapes(spec, shape, self._form).to(self.device)

    def _truth(self, batch: Batch | None, rows: slice) -> np.ndarray:
        num = min(self.train_spec.test_examples, rows.stop - rows.start)
        return np.zeros((num, self.spec.task.max_scored, self.spec.task.num_outputs))

    def _counterfactual(self, *of_the_test: object) -> dict[str, np.ndarray]:
        return {}  # passes like the test's


class _Shapes:
    """In place of `CohortData`."""

    def __init__(self, spec: RunSpec, members: int):
        self.spec, self.members = spec, members

    def step(self, index: int) -> Examples:
        return shapes(self.spec, (self.members, self.spec.train.batch_size), self.spec.train.loss)


def shapes(spec: RunSpec, batch: tuple[int, ...], form: Form) -> Examples:
    """What `harness.training.data.examples` makes of a batch, without values."""
    task = spec.task
    length = task.input_length + (form == "masked")
    num = length if form == "all" else task.max_scored
    if task.num_features:
        inputs = torch.empty(*batch, length, task.num_features)
    else:
        inputs = torch.empty(*batch, length, dtype=torch.int64)
    if task.real_targets:
        targets = torch.empty(*batch, num, task.num_outputs)
    else:
        targets = torch.empty(*batch, num, dtype=torch.int64)
    scored = None if form == "all" else torch.empty(*batch, num, dtype=torch.int64)
    return Examples(inputs, scored, targets)


class _Live(TorchDispatchMode):
    """Bytes of the storages on a device that are alive, and the most that have been.

    A number that is read from a tensor is 1: the code that trains only divides by such numbers.
    """

    def __init__(self, device: str):
        super().__init__()
        self.device, self.now, self.most = device, 0, 0
        self._storages: set[int] = set()

    def lap(self) -> int:
        """The most since the last lap."""
        most, self.most = self.most, self.now
        return most

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default:
            return 1.0 if args[0].is_floating_point() else 1
        out = func(*args, **(kwargs or {}))
        for value in tree_leaves(out):
            if isinstance(value, Tensor) and value.device.type == self.device:
                self._hold(value.untyped_storage())
        return out

    def _hold(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._storages:  # else a view, or changed in place
            self._storages.add(key)
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._storages.discard(key)
        self.now -= size


class _NoNumbers(TorchFunctionMode):
    """Arrays of zeros for tensors without numbers."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is Tensor.numpy:
            return np.zeros(tuple(args[0].shape), dtype=str(args[0].dtype).removeprefix("torch."))
        return func(*args, **(kwargs or {}))


def _bytes_of(spec: RunSpec, num: int, form: Form) -> int:
    """Bytes of so many examples as tensors."""
    with torch.device("meta"):
        return sum(t.nbytes for t in shapes(spec, (num,), form) if t is not None)


def _evaluation_bytes(spec: RunSpec) -> int:
    """The evaluation sets, which all members share."""
    form = "masked" if spec.train.loss == "masked" else "answers"
    return _bytes_of(spec, spec.train.validation_examples + spec.train.test_examples, form)


def _answer_bytes(spec: RunSpec) -> int:
    """What is kept of one member's answers in the test: what it said, whether that is right, the
    loss; with `counterfactual` of two more tests."""
    said = NUMBER * spec.task.num_outputs if spec.task.real_targets else 8
    tests = 3 if spec.train.counterfactual else 1
    return tests * spec.train.test_examples * spec.task.max_scored * (said + 1 + NUMBER)


def _drawn_bytes(spec: RunSpec, members: int, device: str) -> int:
    """Arrays that members' streams hold in the host's memory; 0 for another device."""
    if not device.startswith("cpu"):
        return 0
    task, train = spec.task, spec.train
    if isinstance(task, Dataset):  # read from files, a batch at a time
        each = 2 * 8 * task.input_length * max(1, task.num_features)
        return members * each * (train.train_examples or 0)
    key = task.model_dump_json()
    if key not in _per_example:
        few = task.sample(generator("bytes of an example"), 16)
        _per_example[key] = sum(array.nbytes for array in few.arrays) // 16
    blocks = TWICE * Stream(task, 0, "train").block_size
    return members * _per_example[key] * (train.train_examples or blocks)
