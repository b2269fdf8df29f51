"""What a step frees stays in the process."""

import subprocess
import sys

import pytest

CODE = """
import resource, sys
import torch
from harness.training.allocator import keep_freed_memory
if "keep" in sys.argv and not keep_freed_memory():
    sys.exit(3)
def step():
    torch.ones(2**24).sum()  # 64 MiB
counts = [resource.getrusage(resource.RUSAGE_SELF).ru_minflt]
for _ in range(20):
    step()
    counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
print(min(later - before for before, later in zip(counts, counts[1:])))
"""


def faults(*words: str) -> int:
    """Fewest page faults of a step among twenty, in a process of their own: the first ones look for
    holes that fit, and the system may take pages away at any time."""
    done = subprocess.run([sys.executable, "-c", CODE, *words], capture_output=True, text=True)
    if done.returncode == 3:
        pytest.skip("not glibc")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_pages_are_not_asked_for_again():
    assert 5 * max(1, faults("keep")) < faults()  # huge pages make few faults of many
