"""The ledger: one SQLite file that holds every run, measurement, selection and failure.

It is the only store of truth. Writes go through one connection of one process, in rollback-
journal mode, synchronously, one transaction for all that 200 ms brought; a run is written whole,
when it has ended. So what the ledger has acknowledged survives a kill, and a run that it does not
hold has simply not happened. A lock row keeps a second driver out.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import sys
import threading
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.foundation.config import to_data
from harness.foundation.errors import HarnessError
from harness.training.events import Diverged, Event, Failed, Finished, Measured, Started

if TYPE_CHECKING:  # reports read ledgers without torch
    from ablations.ablation import Ablation, Arm, Run
    from ablations.claim import Resolved
    from harness.spec import RunSpec

FILE = "ledger.sqlite"
VERSION = 4
OLDEST = 3  # lacks seconds of runs; read as it is, brought up by the next driver
FLUSH_S = 0.2
HEARTBEAT_S = 5.0
STALE_S = 60.0  # after which a lock held on another machine counts as abandoned

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE lock (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    host TEXT, pid INTEGER, boot_id TEXT, started TEXT, heartbeat REAL);
CREATE TABLE arms (
    condition_id TEXT PRIMARY KEY, position INTEGER, label TEXT, levels TEXT, spec TEXT,
    facts TEXT);
CREATE TABLE plan (
    run_id TEXT PRIMARY KEY, condition_id TEXT, purpose TEXT, seed INTEGER, nuisance TEXT);
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY, status TEXT, steps INTEGER, wall_s REAL, steps_to_solve INTEGER,
    message TEXT, traceback TEXT, spec TEXT, provenance TEXT, ended_at REAL,
    seconds TEXT);
CREATE TABLE measurements (
    run_id TEXT, split TEXT, metric TEXT, step INTEGER, value REAL,
    PRIMARY KEY (run_id, split, metric, step)) WITHOUT ROWID;
CREATE TABLE slices (
    run_id TEXT, fact TEXT, value INTEGER, accuracy REAL, num INTEGER, loss REAL,
    PRIMARY KEY (run_id, fact, value)) WITHOUT ROWID;
CREATE TABLE selections (
    condition_id TEXT, grid_id TEXT, nuisance TEXT, scores TEXT, note TEXT, chosen_at REAL,
    PRIMARY KEY (condition_id, grid_id));
CREATE TABLE failures (run_id TEXT, message TEXT, traceback TEXT, at REAL);
CREATE TABLE claims (
    hash TEXT PRIMARY KEY, data TEXT, declared_looks INTEGER, num_looks INTEGER,
    runs_before INTEGER, registered_at REAL);
CREATE TABLE looks (
    condition_id TEXT, num_seeds INTEGER, at REAL, PRIMARY KEY (condition_id, num_seeds));
"""

# Of runs joined with arms: steps that a run may take; its nuisances may have changed its arm's.
PLANNED_STEPS = (
    "COALESCE(json_extract(runs.spec, '$.train.steps'), json_extract(arms.facts, '$.steps'))"
)


class Selection(NamedTuple):
    """The chosen nuisance setting of an arm, what it was chosen from, and a remark."""

    nuisance: dict[str, Any]
    scores: list[dict[str, Any]]
    note: str


class _Curves:
    """What a run in training has measured, (split, metric) -> steps, values: a cluster trains
    tens of thousands of runs at once, whose events would fill the driver's memory."""

    def __init__(self):
        self._curves: dict[tuple[str, str], tuple[array, array]] = {}

    def take(self, event: Measured) -> None:
        for metric, value in event.values.items():
            key = sys.intern(event.split), sys.intern(metric)
            if key not in self._curves:
                self._curves[key] = array("q"), array("d")
            steps, values = self._curves[key]
            steps.append(event.step)
            values.append(value)

    def rows(self) -> Iterator[tuple[str, str, int, float]]:
        """(split, metric, step, value)."""
        for key, curve in self._curves.items():
            for point in zip(*curve, strict=True):
                yield *key, *point


class Ledger:
    """The writer. Use it as a context manager: it takes the lock and gives it back.

    Raises HarnessError for a folder that cannot be written, a ledger of another version, a
    second driver, and a full disk.
    """

    def __init__(self, folder: Path):
        self.folder, self.path = folder, folder / FILE
        self._guard = threading.Lock()
        self._pending: list[tuple] = []  # complete runs, not yet written
        self._open: dict[str, _Curves] = {}  # what runs in training have measured
        self._specs: dict[str, RunSpec] = {}
        self._error: Exception | None = None
        self._stop = threading.Event()

    def __enter__(self) -> Ledger:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._db = _connect(self.path)
            self._create()
        except (OSError, sqlite3.Error) as error:
            raise HarnessError(
                f"the output folder cannot be written: {error}",
                where=str(self.folder),
                fix="choose another folder with --out",
            ) from None
        self._take_lock()
        self._upgrade()
        self._thread = threading.Thread(target=self._keep_up, name="ledger", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception) -> None:
        self._stop.set()
        self._thread.join()
        try:
            self.flush()
        finally:
            with self._guard:
                try:
                    with self._db:
                        self._db.execute("DELETE FROM lock")
                finally:
                    self._db.close()

    # -- writing --------------------------------------------------------------------------------

    def append(self, event: Event) -> None:
        """Takes an event; a run reaches the file within 200 ms of its end."""
        self._raise_error()
        if isinstance(event, Started):
            self._open[event.run_id] = _Curves()
        elif isinstance(event, Measured):
            self._open.setdefault(event.run_id, _Curves()).take(event)
        else:
            curves = self._open.pop(event.run_id, _Curves())
            with self._guard:
                self._pending.append((event, curves, time.time()))

    def flush(self) -> None:
        """Writes what is pending; on return it is on the disk."""
        self._raise_error()
        with self._guard:
            self._write_pending()
        self._raise_error()

    def write_plan(
        self,
        ablation: Ablation,
        facts: Mapping[str, Mapping[str, Any]],
        runs: Iterable[Run],
        to_choose: int,
        num_seeds: Mapping[str, int] | None = None,
        num_looks: int = 1,
    ) -> None:
        """Replaces the plan: what the ablation asks for now. Finished runs are never touched, nor
        what is known of a claim: when it was first stated, and how many runs had answered by then.

        facts: condition_id -> what reports show of the arm (cost, chance, shortcuts, regime).
        to_choose: confirmation runs whose nuisances are not chosen yet.
        num_seeds: confirmation seeds of arms (by condition_id) that went on to more.
        num_looks: how often the command may look at the claims before they are settled.
        """
        runs = list(runs)
        self._specs.update({run.spec.run_id: run.spec for run in runs})
        meta = {
            "name": ablation.name,
            "question": ablation.question,
            "source": ablation.source,
            "scale": ablation.scale,
            "metric": ablation.metric,
            "baseline": ablation.baseline,
            "seeds": to_data(ablation.seeds),
            "factors": ablation.factors,
            "nuisances": ablation.nuisances,
            "grid_id": ablation.grid_id,
            "to_choose": to_choose,
            "num_seeds": dict(num_seeds or {}),
            "text": ablation.text,
            "file": ablation.file,
            "overrides": list(ablation.overrides),
            "protocol": ablation.protocol,
            "score": ablation.score,
            "claims": [claim.hash for claim in ablation.claims],
            "is_multiverse": any(claim.universe for claim in ablation.claims),
            "multiverse": ablation.multiverse,
        }
        with self._guard, self._db:
            self._db.executemany(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)",
                [(key, json.dumps(value)) for key, value in meta.items()],
            )
            self._db.execute("DELETE FROM arms")
            self._db.executemany(
                "INSERT INTO arms VALUES (?, ?, ?, ?, ?, ?)",
                [_arm_row(index, arm, facts) for index, arm in enumerate(ablation.arms)],
            )
            self._db.execute("DELETE FROM plan")
            self._db.executemany(
                "INSERT INTO plan VALUES (?, ?, ?, ?, ?)",
                [
                    (
                        run.spec.run_id,
                        run.arm.condition_id,
                        run.spec.purpose,
                        run.spec.seed,
                        json.dumps(run.nuisance),
                    )
                    for run in runs
                ],
            )
            for claim in ablation.claims:
                self._register(claim, num_looks)

    def write_look(self, num_seeds: Mapping[str, int]) -> None:
        """Records that these arms (by condition_id) have been seen with so many seeds."""
        with self._guard, self._db:
            self._db.executemany(
                "INSERT OR IGNORE INTO looks VALUES (?, ?, ?)",
                [(condition_id, num, time.time()) for condition_id, num in num_seeds.items()],
            )

    def write_selection(self, condition_id: str, grid_id: str, selection: Selection) -> None:
        """Stores a choice; an earlier one for the same arm and grid stays."""
        with self._guard, self._db:
            self._db.execute(
                "INSERT OR IGNORE INTO selections VALUES (?, ?, ?, ?, ?, ?)",
                (
                    condition_id,
                    grid_id,
                    json.dumps(selection.nuisance),
                    json.dumps(selection.scores),
                    selection.note,
                    time.time(),
                ),
            )

    # -- reading, by the driver -----------------------------------------------------------------

    def meta(self) -> dict[str, Any]:
        """What the ledger says of its ablation; little before the first plan."""
        with self._guard:
            rows = self._db.execute("SELECT key, value FROM meta").fetchall()
        return {key: json.loads(text) for key, text in rows}

    def statuses(self) -> dict[str, str]:
        """run_id -> finished, diverged or failed."""
        with self._guard:
            return dict(self._db.execute("SELECT run_id, status FROM runs"))

    def selections(self, grid_id: str) -> dict[str, Selection]:
        """condition_id -> what was chosen for this grid."""
        with self._guard:
            rows = self._db.execute(
                "SELECT condition_id, nuisance, scores, note FROM selections WHERE grid_id = ?",
                (grid_id,),
            ).fetchall()
        return {row[0]: Selection(json.loads(row[1]), json.loads(row[2]), row[3]) for row in rows}

    def results(self, run_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
        """run_id -> status, steps, steps_to_solve, and the last selection accuracy and loss."""
        out = {}
        with self._guard:
            for run_id in run_ids:
                row = self._db.execute(
                    "SELECT status, steps, steps_to_solve FROM runs WHERE run_id = ?", (run_id,)
                ).fetchone()
                if row is None:
                    continue
                out[run_id] = dict(zip(("status", "steps", "steps_to_solve"), row, strict=True))
                out[run_id] |= dict(
                    self._db.execute(
                        "SELECT metric, value FROM measurements WHERE run_id = ? "
                        "AND split = 'selection' ORDER BY step",
                        (run_id,),
                    ).fetchall()
                )
        return out

    def plugin_digests(self) -> dict[str, str]:
        """'name vN' -> digest of the plug-in source that recorded runs were made with."""
        with self._guard:
            rows = self._db.execute("SELECT DISTINCT provenance FROM runs").fetchall()
        found: dict[str, str] = {}
        for (text,) in rows:
            found |= json.loads(text or "{}").get("plugins", {})
        return found

    # -- inside ---------------------------------------------------------------------------------

    def _create(self) -> None:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            if self._db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None:
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.execute("INSERT INTO meta VALUES ('version', ?)", (str(VERSION),))
        _check_version(self._db, self.path)

    def _upgrade(self) -> None:
        """Brings an older ledger to this version; nothing in it changes."""
        with self._db:
            if _version(self._db) == str(OLDEST):
                self._db.execute("ALTER TABLE runs ADD COLUMN seconds TEXT")
                self._db.execute("UPDATE meta SET value = ? WHERE key = 'version'", (str(VERSION),))

    def _register(self, claim: Resolved, num_looks: int) -> None:
        """Stores a claim that is new, and how many runs of its arms had ended before.

        Those are counted at every plan: while nuisances are not chosen, a plan does not name the
        runs that answer, though an earlier one may have made them.
        """
        self._db.execute(
            "INSERT INTO claims VALUES (?, ?, ?, ?, 0, ?) ON CONFLICT (hash) "
            "DO UPDATE SET data = excluded.data, num_looks = max(num_looks, excluded.num_looks)",
            (claim.hash, json.dumps(claim.for_ledger()), num_looks, num_looks, time.time()),
        )
        ids = sorted(claim.condition_ids)
        self._db.execute(
            "UPDATE claims SET runs_before = max(runs_before, ("
            "SELECT COUNT(*) FROM plan JOIN runs USING (run_id) WHERE purpose = 'confirmation' "
            "AND status != 'failed' AND ended_at < registered_at "
            f"AND condition_id IN ({', '.join('?' * len(ids))}))) WHERE hash = ?",
            (*ids, claim.hash),
        )

    def _take_lock(self) -> None:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            holder = driver(self._db)
            if holder is None:
                self._db.execute(
                    "INSERT OR REPLACE INTO lock VALUES (1, ?, ?, ?, ?, ?)",
                    (
                        socket.gethostname(),
                        os.getpid(),
                        _boot_id(),
                        _started(os.getpid()),
                        time.time(),
                    ),
                )
        if holder is not None:
            self._db.close()
            raise HarnessError(
                f"another driver is at work here: {holder}",
                where=str(self.folder),
                fix="wait for it, stop it, or choose another folder with --out",
            )

    def _keep_up(self) -> None:
        beat = time.monotonic()
        while not self._stop.wait(FLUSH_S):
            with self._guard:
                self._write_pending()
                if time.monotonic() - beat > HEARTBEAT_S and self._error is None:
                    beat = time.monotonic()
                    try:
                        with self._db:
                            self._db.execute("UPDATE lock SET heartbeat = ?", (time.time(),))
                    except sqlite3.Error as error:
                        self._error = error

    def _write_pending(self) -> None:
        if not self._pending or self._error is not None:
            return
        try:
            with self._db:
                for event, curves, at in self._pending:
                    self._write_run(event, curves, at)
        except sqlite3.Error as error:
            self._error = error
            return
        self._pending.clear()

    def _write_run(self, event: Event, curves: _Curves, at: float) -> None:
        status = {Finished: "finished", Diverged: "diverged", Failed: "failed"}[type(event)]
        if isinstance(event, Failed):
            self._db.execute(
                "INSERT INTO failures VALUES (?, ?, ?, ?)",
                (event.run_id, event.message, event.traceback, at),
            )
        spec = self._specs.get(event.run_id)
        self._db.execute("DELETE FROM measurements WHERE run_id = ?", (event.run_id,))
        self._db.execute(
            "INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                event.run_id,
                status,
                getattr(event, "steps", getattr(event, "step", None)),
                getattr(event, "wall_s", None),
                getattr(event, "steps_to_solve", None),
                getattr(event, "message", None),
                getattr(event, "traceback", None),
                spec and json.dumps(to_data(spec)),
                json.dumps(getattr(event, "provenance", {})),
                at,
                json.dumps(getattr(event, "seconds", {})),
            ),
        )
        self._db.executemany(
            "INSERT OR REPLACE INTO measurements VALUES (?, ?, ?, ?, ?)",
            [(event.run_id, *row) for row in curves.rows()],
        )
        self._db.executemany(
            "INSERT OR REPLACE INTO slices VALUES (?, ?, ?, ?, ?, ?)",
            [(event.run_id, *part) for part in getattr(event, "breakdown", ())],
        )

    def _raise_error(self) -> None:
        if self._error is not None:
            raise HarnessError(
                f"the ledger cannot be written: {self._error}",
                where=str(self.path),
                fix="free some disk space and run the same command again; what is recorded is safe",
            )


def open_for_reading(folder: Path) -> sqlite3.Connection:
    """A read-only connection. Raises HarnessError if there is no ledger or another version."""
    path = folder / FILE
    if not path.exists():
        raise HarnessError(
            "there is no ledger here", where=str(folder), fix="orchid run NAME makes one"
        )
    try:
        try:
            db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)
            db.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            # A driver was killed in the middle of a transaction: a writer has to take it back.
            db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=30)
        if _check_version(db, path) == str(OLDEST):
            db.execute("CREATE TEMP VIEW runs AS SELECT *, NULL AS seconds FROM main.runs")
    except sqlite3.Error as error:
        raise HarnessError(
            f"the ledger cannot be read: {error}",
            where=str(path),
            fix="orchid run with the same name repairs it",
        ) from None
    return db


def driver(db: sqlite3.Connection) -> str | None:
    """Who is writing this ledger now, or None."""
    row = db.execute("SELECT host, pid, boot_id, started, heartbeat FROM lock").fetchone()
    return row and _holder(*row)


def read_meta(folder: Path) -> dict[str, Any]:
    """What the ledger says of its ablation."""
    db = open_for_reading(folder)
    try:
        return {key: json.loads(text) for key, text in db.execute("SELECT key, value FROM meta")}
    finally:
        db.close()


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=30, check_same_thread=False)
    db.execute("PRAGMA journal_mode = DELETE")
    db.execute("PRAGMA synchronous = FULL")
    return db


def _check_version(db: sqlite3.Connection, path: Path) -> str:
    try:
        version = _version(db)
    except sqlite3.DatabaseError as error:
        if "no such table" not in str(error) and "not a database" not in str(error):
            raise
        version = None
    if version not in (str(OLDEST), str(VERSION)):
        found = "no ledger of ours" if version is None else f"version {version}"
        raise HarnessError(
            f"the ledger has another format ({found}; this program writes version {VERSION})",
            where=str(path),
            fix="choose another folder with --out; the old one is left as it is",
        )
    return version


def _version(db: sqlite3.Connection) -> str | None:
    row = db.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()
    return row and row[0]


def _arm_row(index: int, arm: Arm, facts: Mapping[str, Mapping[str, Any]]) -> tuple:
    return (
        arm.condition_id,
        index,
        arm.label,
        json.dumps(arm.levels),
        json.dumps(to_data(arm.spec)),
        json.dumps(facts[arm.condition_id]),
    )


def _holder(host: str, pid: int, boot_id: str, started: str, heartbeat: float) -> str | None:
    """Who holds the lock, or None where the holder is gone."""
    if host == socket.gethostname() and boot_id == _boot_id():
        return f"process {pid} on this machine" if _started(pid) == started else None
    age = time.time() - heartbeat
    return f"process {pid} on {host}, seen {age:.0f} s ago" if age < STALE_S else None


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # not Linux: the host name must do
        return ""


def _started(pid: int) -> str | None:
    """When the process started, to tell it from a later one of the same number; None if gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        pass
    if Path("/proc/self").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "unknown"
