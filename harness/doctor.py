"""Checks the installation and the machine, each finding with its fix."""

from __future__ import annotations

import importlib
import platform
import shutil
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import NamedTuple

MIN_FREE_BYTES = 2 * 2**30


class Finding(NamedTuple):
    """One thing that was looked at."""

    ok: bool
    what: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{'ok     ' if self.ok else 'PROBLEM'} {self.what}" + (
            f"\n        fix: {self.fix}" if self.fix else ""
        )


def examine() -> list[Finding]:
    """All findings; none of them changes anything."""
    return [_python(), *_packages(), _machine(), _gpus(), _ray(), _disk(), _ledger()]


def _python() -> Finding:
    ok = sys.version_info >= (3, 11)
    return Finding(ok, f"Python {platform.python_version()}", "" if ok else "install 3.11 or later")


def _packages() -> list[Finding]:
    try:
        needed = requires("orchid-harness") or []
    except PackageNotFoundError:
        return [
            Finding(False, "orchid-harness is not installed", "pip install -c constraints.txt .")
        ]
    out = []
    for requirement in needed:
        if "extra ==" in requirement:
            continue
        name = requirement.split(";")[0].split("[")[0].split(">")[0].split("=")[0].strip()
        try:
            out.append(Finding(True, f"{name} {version(name)}"))
        except PackageNotFoundError:
            out.append(
                Finding(
                    False, f"{name} is missing", f"pip install -c constraints.txt '{requirement}'"
                )
            )
    return out


def _machine() -> Finding:
    from ablations.executors.local import usable_cpus

    return Finding(True, f"{usable_cpus()} CPU workers, one thread each, on {platform.machine()}")


def _gpus() -> Finding:
    import torch

    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    if not names:
        return Finding(True, "no GPU: cohorts train on the CPU")
    return Finding(True, f"{len(names)} GPU(s): {', '.join(names)}")


def _ray() -> Finding:
    try:
        importlib.import_module("ray.tune")
    except Exception as error:
        return Finding(False, f"ray.tune does not import: {error}", "pip install 'ray[tune]'")
    return Finding(True, "ray.tune imports")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    ok = free > MIN_FREE_BYTES
    return Finding(
        ok, f"{free / 2**30:.0f} GiB free in this folder", "" if ok else "free some disk space"
    )


def _ledger() -> Finding:
    import sqlite3

    try:
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            db = sqlite3.connect(Path(folder) / "probe.sqlite")
            db.execute("PRAGMA journal_mode = DELETE")
            db.execute("CREATE TABLE probe (x)")
            db.close()
    except (OSError, sqlite3.Error) as error:
        return Finding(False, f"no ledger can be written here: {error}", "use --out elsewhere")
    return Finding(True, f"a ledger can be written here (SQLite {sqlite3.sqlite_version})")
