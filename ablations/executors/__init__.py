"""Where cohorts are trained. Every executor takes cohorts and emits the same events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ablations.plan import Cohort
from harness.foundation.errors import HarnessError
from harness.training.events import Event


class Executor(Protocol):
    """A context manager; workers start with the first call of `execute`, if there is one."""

    name: str
    device: str
    num_workers: int

    def __enter__(self) -> Executor: ...

    def __exit__(self, *exception) -> None: ...

    def worker_memory(self) -> int | None:
        """Bytes that a worker has for its cohort; None where that is not known."""

    def execute(self, cohorts: Sequence[Cohort], emit: Callable[[Event], None]) -> None:
        """Trains all cohorts; returns when each run has ended. A run that raises, or whose
        worker dies, ends as Failed and stops nothing else. Raises KeyboardInterrupt on Ctrl-C."""


def make(
    name: str,
    *,
    workers: int | None = None,
    device: str = "auto",
    address: str | None = None,
    per_gpu: int = 1,
    plugins: Sequence[str] = (),
) -> Executor:
    """The executor of that name: `local`, `ray`, or `auto`: Ray for a cluster or several GPUs.

    workers: processes (local) or cohorts at a time (Ray), for which the cohorts are planned; of a
    cluster only the latter. device: `cpu`, `cuda` or `auto`.
    per_gpu: cohorts that share one GPU (Ray). plugins: files that workers import too.
    """
    if name not in ("auto", "local", "ray"):
        raise HarnessError(f"unknown executor {name!r}", fix="one of auto, local, ray")
    if name == "local" and address:
        raise HarnessError("--address names a Ray cluster", fix="use --executor ray")
    if not (address and device == "cuda"):  # a cluster has GPUs that its head node may lack
        device, num_gpus = resolve_device(device)
    if name == "auto" and per_gpu > 1:
        name = "ray"
    if name == "local" and per_gpu > 1:
        raise HarnessError("local workers do not share a GPU", fix="use --executor ray")
    if name == "auto":
        name = "ray" if address or (device == "cuda" and num_gpus > 1) else "local"
    if name == "ray":
        if device == "cuda" and not address:
            workers = workers or num_gpus * per_gpu
        from ablations.executors.ray_tune import RayTune

        return RayTune(
            workers=workers,
            device=device,
            address=address,
            per_gpu=per_gpu,
            plugins=tuple(plugins),
        )
    from ablations.executors.local import Local

    return Local(workers=workers, device=device, plugins=tuple(plugins))


def resolve_device(device: str) -> tuple[str, int]:
    """(cpu or cuda, number of GPUs); `auto` takes GPUs where there are any."""
    import torch

    if device not in ("auto", "cpu", "cuda"):
        raise HarnessError(f"unknown device {device!r}", fix="one of auto, cpu, cuda")
    num_gpus = torch.cuda.device_count() if device != "cpu" else 0
    if device == "cuda" and not num_gpus:
        raise HarnessError("no CUDA device is visible", fix="use --device cpu")
    return ("cuda" if num_gpus else "cpu"), num_gpus
