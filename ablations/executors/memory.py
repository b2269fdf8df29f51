"""What a worker has: the memory that is free on this machine, or on a GPU, over those who share it.

Read once, before the first worker starts: later, what workers hold would count as gone.
"""

from __future__ import annotations

import os
from pathlib import Path

# A worker before its first cohort, torch imported, is 330 MiB; glibc keeps 64 MiB more
# (`harness.training.allocator`). On a GPU it is what a CUDA context and its libraries take.
WORKER_BYTES = 512 * 2**20
_CGROUP = Path("/sys/fs/cgroup")


def worker_bytes(device: str, workers: int) -> int | None:
    """Bytes that each of the workers has for its cohort; None where the system does not say.

    device: `cpu`, or a GPU that is visible here, which all of these workers share.
    """
    if device.startswith("cuda"):
        import torch

        if not torch.cuda.is_available():  # a GPU of a cluster
            return None
        free = torch.cuda.mem_get_info(torch.device(device))[0]
    else:
        free = host_bytes()
    return None if free is None else max(0, free // workers - WORKER_BYTES)


def host_bytes(proc: Path = Path("/proc"), cgroup: Path = _CGROUP) -> int | None:
    """Bytes that processes here may still take: what the system has, or what a limit on the
    container (cgroup v1 or v2) leaves, if that is less."""
    known = [_available(proc), *_left_by_limits(proc, cgroup)]
    known = [size for size in known if size is not None]
    return min(known) if known else None


def _available(proc: Path) -> int | None:
    try:
        lines = (proc / "meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvail"))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # not on macOS, not on Windows
        return None


def _left_by_limits(proc: Path, cgroup: Path) -> list[int]:
    """What each limit above this process leaves; files that processes have read are no use of
    memory, since they give way."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return []
    left = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root, names = cgroup, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root = cgroup / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        own = root / path.lstrip("/")
        for folder in (own, *own.parents):
            left += _left(folder, *names)
            if folder == root:
                break
    return left


def _left(folder: Path, limit: str, usage: str, idle: str) -> list[int]:
    try:
        most, used = ((folder / name).read_text().strip() for name in (limit, usage))
        stat = (folder / "memory.stat").read_text()
    except OSError:
        return []
    if most == "max":
        return []
    freed = next((int(line.split()[1]) for line in stat.splitlines() if line.split()[0] == idle), 0)
    return [max(0, int(most) - int(used) + freed)]
