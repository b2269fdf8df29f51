"""What a command costs as a whole process."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.foundation.errors import HarnessError


class Cost(NamedTuple):
    """What a command took: wall-clock seconds, and CPU seconds of it and of the processes that it
    waited for."""

    seconds: float
    cpu_s: float


def cost_of(command: str | Sequence[str]) -> Cost:
    """Runs a command that must succeed; a string is one of the shell. Raises HarnessError with its
    last words if it does not."""
    is_shell = isinstance(command, str)
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        child = subprocess.Popen(
            command,
            shell=is_shell,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            _, status, used = os.wait4(child.pid, 0)
        except BaseException:  # Ctrl-C
            child.kill()
            raise
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        if child.returncode:
            last = said.read().decode(errors="replace").strip().splitlines()[-3:]
            raise HarnessError(
                f"the command ended with exit code {child.returncode}: {' '.join(last)}",
                where=command if is_shell else " ".join(command),
            )
    return Cost(seconds, used.ru_utime + used.ru_stime)


def peak_bytes() -> int:
    """The most memory that this process has held. On Linux not `ru_maxrss`, which begins with what
    the parent held when it started this process."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
