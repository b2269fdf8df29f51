"""A page that follows its ledgers: drawn again whenever one has changed, until all has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ablations.ledger import FILE, driver, open_for_reading
from reports import HTML_FILE, OVERVIEW, page, write_text
from reports.records import Records, read

EVERY_S = 5  # between two looks at the ledgers, and two loads of the page


def watch(
    folders: Sequence[Path],
    path: Path | None = None,
    drawn: Callable[[Path], None] = lambda path: None,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """Draws the page, and again when a ledger has changed; returns when every run has ended and no
    driver is at work.

    drawn: told the path once there is a page. The page loads itself again only while it is
    watched: Ctrl-C (KeyboardInterrupt, passed on) leaves one that does not.
    """
    path = path or (OVERVIEW if len(folders) > 1 else folders[0] / HTML_FILE)
    seen, text = None, ""
    try:
        while True:
            state = [_state(folder) for folder in folders]
            if state != seen:
                found = list(map(read, folders))
                text = page.render(found, reload_s=EVERY_S)
                write_text(path, text)
                if seen is None:
                    drawn(path)
                seen = state
            if _is_over(found):
                return path
            sleep(EVERY_S)
    finally:
        if text:
            write_text(path, page.without_reload(text))


def _state(folder: Path) -> tuple[int, int]:
    """Changes with every transaction."""
    about = (folder / FILE).stat()
    return about.st_mtime_ns, about.st_size


def _is_over(found: Sequence[Records]) -> bool:
    """A driver may yet plan more runs, where it goes on until claims are settled."""
    return not any(records.num_left or _is_driven(records.folder) for records in found)


def _is_driven(folder: Path) -> bool:
    db = open_for_reading(folder)
    try:
        return driver(db) is not None
    finally:
        db.close()
