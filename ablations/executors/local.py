"""Worker processes on this machine, one thread each, without Ray.

A worker receives a cohort through a pipe and sends its events back. One that dies (killed, out
of memory) is replaced; its cohort is tried once more, member by member, and what kills a worker
again is recorded as failed. A worker ends with the driver, however that ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import cache
from multiprocessing.connection import Connection, wait

from ablations.executors import worker
from ablations.executors.memory import worker_bytes
from ablations.plan import Cohort
from harness.foundation.config import parse, to_data
from harness.spec import RunSpec
from harness.training.events import Diverged, Event, Failed, Finished

Emit = Callable[[Event], None]
_DONE = "done"


class Local:
    """workers: processes; by default one a CPU core, or one a GPU."""

    name = "local"

    def __init__(self, *, workers: int | None, device: str, plugins: tuple[str, ...]):
        self.device, self.plugins = device, plugins
        self.num_workers = workers or (1 if device == "cuda" else usable_cpus())
        self._workers: list[_Worker] = []
        self.worker_memory = cache(lambda: worker_bytes(device, self.num_workers))

    def __enter__(self) -> Local:
        return self

    def __exit__(self, *exception) -> None:
        for each in self._workers:
            each.stop()
        self._workers.clear()

    def execute(self, cohorts: Sequence[Cohort], emit: Emit) -> None:
        queue = deque(_Job(cohort.specs) for cohort in cohorts)
        while queue or any(each.job for each in self._workers):
            while queue:
                idle = next((each for each in self._workers if each.job is None), None)
                if idle is None and len(self._workers) < self.num_workers:
                    idle = _Worker(self.device, self.plugins)
                    self._workers.append(idle)
                if idle is None:
                    break
                idle.start(queue.popleft())
            for each in self._wait():
                self._listen(each, queue, emit)

    def _wait(self) -> list[_Worker]:
        handles = {each.pipe: each for each in self._workers if each.job}
        handles |= {each.process.sentinel: each for each in self._workers if each.job}
        return list({id(handles[h]): handles[h] for h in wait(list(handles))}.values())

    def _listen(self, each: _Worker, queue: deque[_Job], emit: Emit) -> None:
        """Takes all that a worker has sent; notices its death."""
        while True:
            try:
                if not each.pipe.poll():
                    return
                message = each.pipe.recv()
            except (EOFError, OSError):
                self._bury(each, queue, emit)
                return
            if message == _DONE:
                each.job = None
            else:
                each.job.note(message)
                emit(message)

    def _bury(self, dead: _Worker, queue: deque[_Job], emit: Emit) -> None:
        self._workers.remove(dead)
        dead.stop()
        job, code = dead.job, dead.process.exitcode
        left = [spec for spec in job.specs if spec.run_id not in job.ended]
        if len(left) == 1 and job.retried:
            emit(Failed(left[0].run_id, f"the worker died twice ({_cause(code)})", ""))
            return
        # Alone, so that whatever kills a worker takes no other run with it.
        queue.extendleft(_Job((spec,), retried=True) for spec in reversed(left))


class _Job:
    """A cohort in work, and which of its runs have ended."""

    def __init__(self, specs: Sequence[RunSpec], *, retried: bool = False):
        self.specs, self.retried, self.ended = specs, retried, set()

    def note(self, event: Event) -> None:
        if isinstance(event, Finished | Diverged | Failed):
            self.ended.add(event.run_id)


class _Worker:
    """A process and the pipe to it."""

    def __init__(self, device: str, plugins: tuple[str, ...]):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(theirs, device, plugins), daemon=True, name="orchid worker"
        )
        with _one_thread():
            self.process.start()
        theirs.close()
        self.job: _Job | None = None

    def start(self, job: _Job) -> None:
        self.job = job
        try:
            self.pipe.send([to_data(spec) for spec in job.specs])
        except OSError:  # it has died; the next wait finds out
            pass

    def stop(self) -> None:
        self.process.terminate()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()


class _one_thread:
    """While a worker starts: numerical libraries read their thread count at import."""

    _names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")

    def __enter__(self) -> None:
        self.before = {name: os.environ.get(name) for name in self._names}
        os.environ.update(dict.fromkeys(self._names, "1"))

    def __exit__(self, *exception) -> None:
        for name, value in self.before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def usable_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _serve(pipe: Connection, device: str, plugins: tuple[str, ...]) -> None:
    """The life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle
    parent = multiprocessing.parent_process()
    threading.Thread(
        target=lambda: (wait([parent.sentinel]), os._exit(1)), name="watch driver", daemon=True
    ).start()
    worker.prepare(1, plugins)
    while True:
        try:
            specs = [parse(RunSpec, data) for data in pipe.recv()]
            worker.train(specs, pipe.send, device)
            pipe.send(_DONE)
        except (EOFError, BrokenPipeError):
            sys.exit(0)


def _cause(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = "; the machine may be out of memory" if name == "SIGKILL" else ""
        return f"{name}{hint}"
    return f"exit code {exitcode}"
