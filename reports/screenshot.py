"""What readers see of a report, as pictures: wide and on a phone, light and dark.

python -m reports.screenshot FOLDER OUT
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import reports
from harness.foundation.errors import HarnessError
from reports.browser import Browser

MOST_COLOURS = 64  # of a picture; text and a few curves need no more


class View(NamedTuple):
    """A window, in pixels; anchor: what is at its top, the page's own where empty."""

    name: str
    width: int
    height: int
    dark: bool
    anchor: str = ""


VIEWS = (
    View("report-light", 1200, 1000, False),
    View("report-dark", 1200, 1000, True),
    View("report-phone", 400, 1000, False),
)


def take(folder: str | Path, out: Path) -> list[Path]:
    """Draws the report of a folder and writes its views as PNG files. Raises HarnessError where
    there is no report to draw, and no Chromium."""
    from PIL import Image

    out.mkdir(parents=True, exist_ok=True)
    files = []
    with tempfile.TemporaryDirectory() as scratch, Browser() as browser:
        file = reports.write_html(folder, Path(scratch) / "report.html")
        for view in VIEWS:
            page = browser.open(file, width=view.width, height=view.height, dark=view.dark)
            if view.anchor:
                page.evaluate(f"document.getElementById('{view.anchor}').scrollIntoView()")
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            files.append(out / f"{view.name}.png")
            few = picture.quantize(MOST_COLOURS, dither=Image.Dither.NONE)
            few.save(files[-1], optimize=True)
    return files


def main(words: list[str]) -> int:
    """The command; its exit code."""
    if len(words) != 2:
        print("usage: python -m reports.screenshot FOLDER OUT", file=sys.stderr)
        return 2
    try:
        for file in take(words[0], Path(words[1])):
            print(file)
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
