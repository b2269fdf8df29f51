"""Reports: from a ledger to tables, figures and pages; without torch and without Ray.

frames = reports.load("runs/quickstart")        # tidy pandas frames
reports.write_html("runs/quickstart")           # one file that needs nothing else

A folder that has been read already (`reports.records.read`) does wherever a folder does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from reports.frames import Frames
    from reports.records import Records

HTML_FILE = "report.html"
OVERVIEW = Path("runs") / HTML_FILE
CSV_FILE = "answer.csv"


def load(folder: str | Path) -> Frames:
    """Tidy frames of a folder: runs, measurements, slices, lengths; see `reports.frames`."""
    from reports import frames, records

    return frames.build(records.read(folder))


def show(folder: str | Path | Records, console: Console | None = None) -> None:
    """Prints question, answer table and remarks; by default on standard output."""
    from rich.console import Console

    from reports import records, terminal

    terminal.show(records.read(folder), console or Console())


def to_csv(folder: str | Path) -> str:
    """The answer table as CSV text."""
    from reports import records, table

    return table.to_csv(table.build(records.read(folder)))


def write_csv(folder: str | Path, path: str | Path | None = None) -> Path:
    """Writes the answer table; by default to answer.csv in the folder."""
    return write_text(Path(path or Path(folder) / CSV_FILE), to_csv(folder))


def write_html(folder: str | Path | Records, path: str | Path | None = None) -> Path:
    """Writes the page, one file that asks the network for nothing; by default to report.html."""
    from reports import page, records

    found = records.read(folder)
    return write_text(Path(path or found.folder / HTML_FILE), page.render([found]))


def write_overview(folders: Sequence[str | Path | Records], path: str | Path | None = None) -> Path:
    """Writes one page of several ablations, an overview first; by default to runs/report.html."""
    from reports import page, records

    return write_text(Path(path or OVERVIEW), page.render(list(map(records.read, folders))))


def write_svg(folder: str | Path, path: str | Path) -> Path:
    """Writes the figure of the answer as a drawing of its own, for a README or a slide."""
    from reports import figures, records, table

    found = records.read(folder)
    return write_text(Path(path), figures.answer_on_white(found, table.build(found)))


def write_text(path: Path, text: str) -> Path:
    """Whole or not at all."""
    from harness.foundation.errors import HarnessError

    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise HarnessError(f"cannot be written: {error}", where=str(path)) from None
    return path
