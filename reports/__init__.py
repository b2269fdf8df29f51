"""Reports: from a ledger to tables, figures and pages; without torch and without Ray.

frames = reports.load("runs/quickstart")        # tidy pandas frames
reports.write_html("runs/quickstart")           # one file that needs nothing else
reports.write_latex("runs/quickstart", "tables/")

A folder that has been read already (`reports.records.read`) does wherever a folder does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from reports.exports.document import Document
    from reports.frames import Frames
    from reports.records import Records

HTML_FILE = "report.html"
OVERVIEW = Path("runs") / HTML_FILE
CSV_FILE = "answer.csv"


def load(folder: str | Path) -> Frames:
    """Tidy frames of a folder: runs, measurements, slices, lengths, arms, claims; see
    `reports.frames` for columns and types."""
    from reports import frames, records

    return frames.build(records.read(folder))


def show(folder: str | Path | Records, console: Console | None = None) -> None:
    """Prints question, answer table and remarks; by default on standard output."""
    from rich.console import Console

    from reports import records, terminal

    terminal.show(records.read(folder), console or Console())


def to_csv(folder: str | Path) -> str:
    """The answer as CSV text, a line an arm."""
    from reports import records, table
    from reports.exports import csv_text

    found = records.read(folder)
    return csv_text.render(found, table.build(found))


def write_csv(folder: str | Path, path: str | Path | None = None) -> Path:
    """Writes the answer; by default to answer.csv in the folder."""
    return write_text(Path(path or Path(folder) / CSV_FILE), to_csv(folder))


def write_markdown(folder: str | Path | Records, path: str | Path) -> list[Path]:
    """Writes answer, remarks and all tables as one Markdown file."""
    from reports.exports import markdown

    return [write_text(Path(path), markdown.render(_document(folder)))]


def write_latex(folder: str | Path | Records, path: str | Path) -> list[Path]:
    r"""Writes the tables as `tabular` fragments: to a file that ends in .tex all of them, to a
    folder a file each, for \input."""
    from reports.exports import latex
    from reports.exports.paths import names

    document, path = _document(folder), Path(path)
    if _is_file(path, ".tex"):
        return [write_text(path, latex.render(document))]
    titles, fragments = zip(*latex.render_each(document), strict=True)
    files = [path / f"{name}.tex" for name in names(titles, "table")]
    return [write_text(file, text) for file, text in zip(files, fragments, strict=True)]


def write_parquet(folder: str | Path | Records, path: str | Path) -> list[Path]:
    """Writes the frames of `load`: to a file that ends in .parquet the runs, to a folder a file for
    each frame. pandas.read_parquet gives them back with names and types."""
    path, frames = Path(path), load(folder)
    if _is_file(path, ".parquet"):
        chosen = {path: frames.runs}
    else:
        chosen = {path / f"{name}.parquet": frame for name, frame in frames._asdict().items()}
    return [_write(file, frame.to_parquet(index=False)) for file, frame in chosen.items()]


def write_figures(folder: str | Path | Records, into: str | Path) -> list[Path]:
    """Writes every figure of the page as a PDF file named after its title; none where no run has
    anything to draw."""
    from reports import records
    from reports.exports import pdf

    found = pdf.render(records.read(folder))
    return [_write(Path(into) / name, content) for name, content in found.items()]


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
    return _write(path, text.encode("utf-8"))


def _write(path: Path, content: bytes) -> Path:
    """Whole or not at all; its folder is made where it is missing."""
    from harness.foundation.errors import HarnessError

    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        raise HarnessError(f"cannot be written: {error}", where=str(path)) from None
    return path


def _is_file(path: Path, ending: str) -> bool:
    """Whether a file is meant, by its ending, rather than a folder. Raises HarnessError for the
    name of another kind of file, which would become a folder."""
    from harness.foundation.errors import HarnessError

    if path.suffix[1:].isalpha() and path.suffix != ending and not path.is_dir():
        raise HarnessError(
            f"a file that is written here ends in {ending}, a folder in nothing",
            where=str(path),
            fix=f"{path.with_suffix(ending)}, or {path.with_suffix('')}/",
        )
    return path.suffix == ending


def _document(folder: str | Path) -> Document:
    from reports import records
    from reports.exports import document

    return document.build(records.read(folder))
