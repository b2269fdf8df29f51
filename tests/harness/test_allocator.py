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
for _ in range(10):  # until the holes fit
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*words: str) -> int:
    """Page faults of five steps after the first ten, in a process of their own."""
    done = subprocess.run([sys.executable, "-c", CODE, *words], capture_output=True, text=True)
    if done.returncode == 3:
        pytest.skip("not glibc")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_pages_are_not_asked_for_again():
    assert 20 * faults("keep") < faults()
