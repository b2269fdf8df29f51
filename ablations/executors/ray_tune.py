"""Cohorts on Ray Tune: one trial a cohort, reused actors, measurements straight to the driver.

Ray is a scheduler here, nothing more: its experiment state is never read back. A trial reports
opaque payloads, a driver callback turns them into events, and what is left of an interrupted
ablation is planned anew from the ledger.
"""

from __future__ import annotations

import logging
import math
import os
import pickle
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from ablations.executors import worker
from ablations.executors.local import usable_cpus
from ablations.executors.memory import WORKER_BYTES, worker_bytes
from ablations.plan import Cohort
from harness.foundation.config import parse, to_data
from harness.foundation.errors import HarnessError
from harness.spec import RunSpec
from harness.training.events import Diverged, Event, Failed, Finished

Emit = Callable[[Event], None]

REPORT_EVERY_S = 0.5
OBJECT_STORE_BYTES = 100 * 2**20

# Read by Ray when it is imported.
_ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # with verbose=0 the only silent combination
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours: fit() would return as if all were well
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # by default 15: on a busy machine workers all but stand still
}


class RayTune:
    """workers: cohorts at a time on this machine. per_gpu: cohorts that share one GPU.
    address: an existing cluster (`auto`, or its address); its own resources set the limit, and
    workers only says for how many the cohorts are planned.
    """

    name = "ray"

    def __init__(
        self,
        *,
        workers: int | None,
        device: str,
        address: str | None,
        plugins: tuple[str, ...],
        per_gpu: int = 1,
    ):
        self.device, self.address, self.plugins, self.per_gpu = device, address, plugins, per_gpu
        self.num_workers = workers or usable_cpus()
        self._started = False
        self.worker_memory = cache(self._worker_memory)

    def __enter__(self) -> RayTune:
        return self

    def __exit__(self, *exception) -> None:
        if self._started:
            import ray

            ray.shutdown()

    def execute(self, cohorts: Sequence[Cohort], emit: Emit) -> None:
        self._start()
        inbox = _Inbox(emit)
        self._fit([cohort.specs for cohort in cohorts], inbox)
        left = [
            spec for cohort in cohorts for spec in cohort.specs if spec.run_id not in inbox.ended
        ]
        if left:  # their worker died twice: alone, the one that kills it takes no other with it
            self._fit([(spec,) for spec in left], inbox)
        for spec in left:
            if spec.run_id not in inbox.ended:
                why = inbox.errors.get(spec.run_id, "no message")
                inbox.take(Failed(spec.run_id, f"the worker died repeatedly: {why}", ""))

    def _start(self) -> None:
        if self._started:
            return
        for key, value in _ENVIRONMENT.items():
            os.environ.setdefault(key, value)
        import ray

        logging.getLogger("ray").setLevel(logging.ERROR)
        try:
            if self.address:
                ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR)
            else:
                ray.init(
                    address="local",
                    num_cpus=self.num_workers,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    object_store_memory=OBJECT_STORE_BYTES,
                )
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise HarnessError(
                f"Ray does not start: {error}",
                where=self.address or "this machine",
                fix="check --address and, for a cluster, RAY_AUTH_MODE=token; or --executor local",
            ) from None
        self._started = True
        slots = max(1, math.floor(ray.cluster_resources().get("CPU", 1)))
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(2 * slots)

    def _worker_memory(self) -> int | None:
        """Of a cluster, the least that one of its nodes has for a CPU. GPUs are taken to be like
        those of this machine; where it has none, their memory is not known."""
        if self.device == "cuda":
            return worker_bytes(self.device, self.per_gpu)
        if not self.address:
            return worker_bytes(self.device, self.num_workers)
        self._start()
        import ray

        found = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        shares = [each["memory"] / each["CPU"] for each in found if each.get("CPU")]
        return max(0, int(min(shares)) - WORKER_BYTES) if shares else None

    def resources(self) -> dict[str, float]:
        """What one cohort takes."""
        if self.device == "cuda":
            return {"cpu": 1, "gpu": 1 / self.per_gpu}
        return {"cpu": 1}

    def _fit(self, jobs: Sequence[Sequence[RunSpec]], inbox: _Inbox) -> None:
        from ray import tune

        trainable = tune.with_parameters(
            _train_trial,
            jobs=[[to_data(spec) for spec in specs] for specs in jobs],
            device=self.device,
            plugins=self.plugins,
        )
        with tempfile.TemporaryDirectory(prefix="orchid") as scratch:
            tuner = tune.Tuner(
                tune.with_resources(trainable, self.resources()),
                param_space={"job": tune.grid_search(list(range(len(jobs))))},
                tune_config=tune.TuneConfig(
                    reuse_actors=True, trial_dirname_creator=lambda trial: trial.trial_id
                ),
                run_config=tune.RunConfig(
                    name="cohorts",
                    storage_path=scratch,
                    verbose=0,
                    callbacks=[_callback(inbox, jobs)],
                    failure_config=tune.FailureConfig(max_failures=2 if self.address else 1),
                ),
            )
            tuner.fit()


class _Inbox:
    """The driver's end: passes events on and knows which runs have ended."""

    def __init__(self, emit: Emit):
        self.emit = emit
        self.ended: set[str] = set()
        self.errors: dict[str, str] = {}

    def take(self, event: Event) -> None:
        if event.run_id in self.ended:  # a retried trial repeats what it had reported
            return
        if isinstance(event, Finished | Diverged | Failed):
            self.ended.add(event.run_id)
        self.emit(event)


def _callback(inbox: _Inbox, jobs: Sequence[Sequence[RunSpec]]):
    """A Tune callback, which runs in the driver and hands what trials report to the inbox."""
    from ray import tune

    class Forward(tune.Callback):
        def on_trial_result(self, iteration, trials, trial, result, **info) -> None:
            for event in pickle.loads(result["events"]):
                inbox.take(event)

        def on_trial_error(self, iteration, trials, trial, **info) -> None:
            error = trial.get_error()
            for spec in jobs[trial.config["job"]]:
                inbox.errors[spec.run_id] = str(error).strip().splitlines()[-1] if error else ""

        def __reduce__(self):  # Tune writes its experiment to disk; nobody reads it back
            return tune.Callback, ()

    return Forward()


def _train_trial(
    config: dict[str, Any], *, jobs: list[list[dict]], device: str, plugins: tuple[str, ...]
) -> None:
    """The trainable: one cohort. Events are gathered, since a report costs the driver 2 ms."""
    from ray import tune

    worker.prepare(1, plugins)
    pending: list[Event] = []
    last = time.monotonic()

    def send() -> None:
        nonlocal last
        tune.report({"events": pickle.dumps(pending)})
        pending.clear()
        last = time.monotonic()

    def emit(event: Event) -> None:
        pending.append(event)
        if time.monotonic() - last > REPORT_EVERY_S:
            send()

    worker.train([parse(RunSpec, data) for data in jobs[config["job"]]], emit, device)
    send()
