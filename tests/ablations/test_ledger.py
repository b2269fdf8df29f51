"""What the ledger promises: whole runs, one writer, nothing lost."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from ablations.arm_facts import arm_facts
from ablations.ledger import FILE, VERSION, Ledger, Selection, open_for_reading, read_meta
from harness.foundation.errors import HarnessError
from harness.training.events import Diverged, Failed, Finished, Measured, Slice, Started
from tests.ablations.examples import load


def planned(ledger: Ledger):
    ablation = load()
    runs = list(ablation.confirmation_runs({}))
    ledger.write_plan(ablation, {a.condition_id: arm_facts(a) for a in ablation.arms}, runs, 0)
    return [run.spec.run_id for run in runs]


SECONDS = {"setup": 0.05, "data": 0.01, "steps": 0.07, "evaluation": 0.02, "test": 0.1}


def finish(ledger: Ledger, run_id: str, accuracy: float = 0.5) -> None:
    ledger.append(Started(run_id))
    ledger.append(Measured(run_id, 2, "test", {"accuracy": accuracy}))
    slices = (Slice("distance", 3, 0.5, 4, 0.7),)
    ledger.append(Finished(run_id, 2, 0.1, None, slices, {"device": "cpu"}, SECONDS))


def test_a_run_is_written_whole_or_not_at_all(tmp_path):
    with Ledger(tmp_path) as ledger:
        first, second, *_ = planned(ledger)
        finish(ledger, first)
        ledger.append(Started(second))
        ledger.append(Measured(second, 2, "validation", {"accuracy": 0.5}))
    db = open_for_reading(tmp_path)
    assert db.execute("SELECT run_id, status FROM runs").fetchall() == [(first, "finished")]
    assert db.execute("SELECT DISTINCT run_id FROM measurements").fetchall() == [(first,)]
    assert db.execute("SELECT fact, value, num FROM slices").fetchall() == [("distance", 3, 4)]
    assert db.execute("SELECT * FROM lock").fetchall() == []
    assert read_meta(tmp_path)["question"] == "Which mixer?"


def test_a_second_attempt_replaces_the_first(tmp_path):
    with Ledger(tmp_path) as ledger:
        run_id = planned(ledger)[0]
        ledger.append(Started(run_id))
        ledger.append(Measured(run_id, 1, "validation", {"accuracy": 0.1}))
        ledger.append(Failed(run_id, "Boom: it broke", "traceback"))
        ledger.flush()
        assert ledger.statuses() == {run_id: "failed"}
        finish(ledger, run_id)
        ledger.flush()
        assert ledger.statuses() == {run_id: "finished"}
    db = open_for_reading(tmp_path)
    assert db.execute("SELECT split FROM measurements").fetchall() == [("test",)]
    assert db.execute("SELECT message FROM failures").fetchall() == [("Boom: it broke",)]


def test_an_event_is_on_the_disk_soon(tmp_path):
    with Ledger(tmp_path) as ledger:
        run_id = planned(ledger)[0]
        finish(ledger, run_id)
        db = open_for_reading(tmp_path)
        deadline = time.monotonic() + 10
        while not db.execute("SELECT 1 FROM runs").fetchall() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert db.execute("SELECT run_id FROM runs").fetchall() == [(run_id,)]
        db.close()


def test_a_choice_is_made_once(tmp_path):
    with Ledger(tmp_path) as ledger:
        ledger.write_selection("c", "g", Selection({"train.lr": 1e-3}, [], ""))
        ledger.write_selection("c", "g", Selection({"train.lr": 9.0}, [], ""))
        assert ledger.selections("g")["c"].nuisance == {"train.lr": 1e-3}
        assert ledger.selections("other grid") == {}


def test_a_second_driver_is_kept_out(tmp_path):
    with Ledger(tmp_path), pytest.raises(HarnessError, match=f"process {os.getpid()}"):
        Ledger(tmp_path).__enter__()
    with Ledger(tmp_path):
        pass


HOLD = """
import pathlib, sys, time
from ablations.ledger import Ledger
with Ledger(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_driver_is_taken_over(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(HarnessError, match=f"process {holder.pid}"):
            Ledger(tmp_path).__enter__()
        holder.send_signal(signal.SIGKILL)
    with Ledger(tmp_path) as ledger:
        assert ledger.statuses() == {}


def test_a_lock_held_elsewhere_counts_while_its_heart_beats(tmp_path):
    with Ledger(tmp_path):
        pass
    db = sqlite3.connect(tmp_path / FILE)
    for age, refused in ((10, True), (1000, False)):
        with db:
            db.execute(
                "INSERT OR REPLACE INTO lock VALUES (1, 'elsewhere', 1, 'x', '1', ?)",
                (time.time() - age,),
            )
        if refused:
            with pytest.raises(HarnessError, match="elsewhere"):
                Ledger(tmp_path).__enter__()
        else:
            with Ledger(tmp_path):
                pass
    db.close()


def test_a_ledger_of_another_version_is_left_alone(tmp_path):
    with Ledger(tmp_path):
        pass
    db = sqlite3.connect(tmp_path / FILE)
    with db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'version'")
    db.close()
    before = (tmp_path / FILE).read_bytes()
    for use in (lambda: Ledger(tmp_path).__enter__(), lambda: open_for_reading(tmp_path)):
        with pytest.raises(HarnessError, match=r"version 99.*(?s:.)*--out"):
            use()
    assert (tmp_path / FILE).read_bytes() == before


def as_version_3(path):
    """Makes the ledger one that an earlier version has written."""
    db = sqlite3.connect(path)
    with db:
        db.execute("ALTER TABLE runs DROP COLUMN seconds")
        db.execute("UPDATE meta SET value = '3' WHERE key = 'version'")
    db.close()


def runs_of(folder):
    db = open_for_reading(folder)
    rows = db.execute("SELECT run_id, status, wall_s, seconds FROM runs ORDER BY rowid").fetchall()
    db.close()
    return rows


def test_seconds_by_part_are_kept(tmp_path):
    with Ledger(tmp_path) as ledger:
        run_id, other, *_ = planned(ledger)
        finish(ledger, run_id)
        ledger.append(Failed(other, "Boom: it broke", "traceback"))
    found = runs_of(tmp_path)
    assert [json.loads(row[3]) for row in found] == [SECONDS, {}]


def test_a_ledger_of_the_version_before_is_read_as_it_is(tmp_path):
    with Ledger(tmp_path) as ledger:
        run_id = planned(ledger)[0]
        finish(ledger, run_id)
    as_version_3(tmp_path / FILE)
    before = (tmp_path / FILE).read_bytes()
    assert runs_of(tmp_path) == [(run_id, "finished", 0.1, None)]
    assert (tmp_path / FILE).read_bytes() == before


def test_a_driver_brings_the_version_before_up_to_date_and_loses_nothing(tmp_path):
    with Ledger(tmp_path) as ledger:
        first, second, *_ = planned(ledger)
        finish(ledger, first)
    as_version_3(tmp_path / FILE)
    with Ledger(tmp_path) as ledger:
        finish(ledger, second)
    assert read_meta(tmp_path)["version"] == VERSION
    assert runs_of(tmp_path) == [
        (first, "finished", 0.1, None), (second, "finished", 0.1, json.dumps(SECONDS))
    ]  # fmt: skip


def test_a_ledger_of_the_version_before_with_a_driver_at_work_is_left_alone(tmp_path):
    with Ledger(tmp_path):
        as_version_3(tmp_path / FILE)
        with pytest.raises(HarnessError, match="another driver"):
            Ledger(tmp_path).__enter__()
        assert read_meta(tmp_path)["version"] == 3


KILLED = """
import os, pathlib, signal, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size = 1")
db.execute("BEGIN IMMEDIATE")
for i in range(20000):
    db.execute("INSERT INTO failures VALUES (?, 'x', 'y', 1.0)", (str(i),))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_readers_survive_a_kill_in_the_middle_of_a_commit(tmp_path):
    with Ledger(tmp_path) as ledger:
        run_id = planned(ledger)[0]
        finish(ledger, run_id)
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / FILE)])
    assert (tmp_path / f"{FILE}-journal").stat().st_size > 0, "the transaction was not on the disk"
    assert read_meta(tmp_path)["name"] == "small"
    db = open_for_reading(tmp_path)
    assert db.execute("SELECT run_id FROM runs").fetchall() == [(run_id,)]
    assert db.execute("SELECT COUNT(*) FROM failures").fetchone() == (0,)
    db.close()


def test_what_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HarnessError, match="--out"):
        Ledger(tmp_path / "file").__enter__()
    (tmp_path / FILE).write_text("this is no database, though it is long enough to be looked at")
    with pytest.raises(HarnessError):
        Ledger(tmp_path).__enter__()
    with pytest.raises(HarnessError):
        open_for_reading(tmp_path)
    with pytest.raises(HarnessError, match="no ledger"):
        open_for_reading(tmp_path / "nowhere")


def test_a_full_disk_stops_the_driver_and_loses_nothing(tmp_path):
    with pytest.raises(HarnessError, match="disk"), Ledger(tmp_path) as ledger:
        first, second, *_ = planned(ledger)
        finish(ledger, first)
        ledger.flush()
        pages = ledger._db.execute("PRAGMA page_count").fetchone()[0]
        ledger._db.execute(f"PRAGMA max_page_count = {pages}")
        for step in range(10_000):
            ledger.append(Measured(second, step, "validation", {"accuracy": 0.5}))
        ledger.append(Diverged(second, 1, 0.0, "x", {}, {}))
        ledger.flush()
    db = open_for_reading(tmp_path)
    assert db.execute("SELECT run_id FROM runs").fetchall() == [(first,)]
    with Ledger(tmp_path) as ledger:
        assert ledger.statuses() == {first: "finished"}
