"""Compares our mixers with stored numbers of the originals, file by file.

A file is an .npz with `config` (JSON), `input`, `output`, `param/<name>` under the original's
names, optionally `mid/<name>` and `grad_input`, the gradient of sum(output^2). Everything is
evaluated twice: in float64 (tolerance 1e-10) and in float32 (1e-5), relative to the largest
entry of the stored array.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch

from tests.parity.adapters import ADAPTERS

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5}


class Result(NamedTuple):
    """status; mixer and case; what is shown behind them."""

    status: Literal["passed", "failed", "unsupported"]
    mixer: str
    case: str
    detail: str

    def __str__(self) -> str:
        return f"{self.status:11} {self.mixer:10} {self.case}  {self.detail}"


def main(arguments: list[str]) -> int:
    """Checks every .npz below the folders. Returns the exit code."""
    found = {folder: _files(Path(folder)) for folder in arguments}
    empty = [folder for folder, files in found.items() if not files]
    if empty or not found:
        print(f"no .npz file below {' '.join(empty) or '(no folder given)'}", file=sys.stderr)
        return 2
    files = sorted({file for files in found.values() for file in files})
    torch.set_num_threads(1)
    counts = {"passed": 0, "failed": 0, "unsupported": 0}
    for file in files:
        result = check(file)
        counts[result.status] += 1
        print(result, flush=True)
    if counts["unsupported"]:
        print(f"{counts['unsupported']} unsupported, each named above")
    print(f"{counts['passed']} passed, {counts['failed']} failed")
    return 1 if counts["failed"] else 0


def _files(folder: Path) -> list[Path]:
    """A file may be named in place of a folder."""
    paths = [folder] if folder.is_file() else folder.rglob("*")
    return [path for path in paths if path.suffix.lower() == ".npz"]


def check(file: Path) -> Result:
    """One file. Whatever is wrong with it is a failure that names it."""
    mixer, case = file.parent.name, file.stem
    try:
        if not zipfile.is_zipfile(file):
            raise zipfile.BadZipFile("no .npz archive")
        with np.load(file, allow_pickle=False) as archive:
            data = {key: archive[key] for key in archive.files}
        config = json.loads(data["config"].item())
        if not isinstance(config, dict):
            raise ValueError(f"config is no JSON object but {config!r}")
        config["case"] = case
        mixer = next((name for name in ADAPTERS if ADAPTERS[name].recognises(config)), "")
        if not mixer:
            what = f"{config.get('upstream', 'unknown origin')} {config.get('variant', '')}"
            return Result("unsupported", file.parent.name, case, f"no mixer for {what.strip()}")
        reason = ADAPTERS[mixer].unsupported(config)
        if reason:
            return Result("unsupported", mixer, case, reason)
        return _compare(ADAPTERS[mixer], mixer, case, config, data)
    except KeyError as error:
        return Result("failed", mixer, case, f"the file lacks {error}")
    except (OSError, EOFError, zipfile.BadZipFile, json.JSONDecodeError) as error:
        return Result("failed", mixer, case, f"unreadable: {error}")
    except Exception as error:  # a file can say anything, and the others are still to be checked
        return Result("failed", mixer, case, f"{type(error).__name__}: {_line(error)}")


def _compare(adapter, mixer: str, case: str, config: Mapping, data: Mapping) -> Result:
    failed, shown = False, []
    for dtype, tolerance in TOLERANCE.items():
        errors = {
            name: relative_error(ours, theirs)
            for name, (ours, theirs) in adapter.evaluate(config, data, dtype).items()
        }
        failed |= not all(error <= tolerance for error in errors.values())
        numbers = " ".join(f"{name} {error:.1e}" for name, error in errors.items())
        shown.append(f"{str(dtype).removeprefix('torch.')}: {numbers}")
    unknown = sorted(set(config) - adapter.KEYS - {"case"})
    if failed and unknown:
        shown.append(f"(unknown options: {', '.join(unknown)})")
    return Result("failed" if failed else "passed", mixer, case, "  ".join(shown))


def relative_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """max |ours - theirs| / max |theirs|. Raises ValueError where shapes differ."""
    if ours.shape != theirs.shape:
        raise ValueError(f"our shape is {ours.shape}, the file's {theirs.shape}")
    scale = np.abs(theirs).max(initial=0.0)
    difference = np.abs(ours - theirs).max(initial=0.0)
    return float(difference / scale) if scale > 0 else float(difference)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
