"""The system's allocator, told to keep what a training step frees for the next one."""

from __future__ import annotations

import ctypes
import sys

_TOP_PAD, _TRIM_THRESHOLD, _MMAP_MAX = -2, -1, -4  # of glibc's mallopt


def keep_freed_memory() -> bool:
    """Keeps freed arrays in the process. Returns whether that could be arranged (glibc alone).

    glibc maps every array above 32 MB anew and gives it back when it is freed, so that each step
    has the system clear the same pages again: at width 64 and length 131072 that takes as long
    as the work itself. The process then stays as large as its largest moment.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    settings = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 2**26}
    return all(mallopt(key, value) == 1 for key, value in settings.items())
