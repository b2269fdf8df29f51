"""The figures of the page as PDF files, their text as text in embedded fonts."""

from __future__ import annotations

import io

from reports import figures
from reports.exports.paths import names
from reports.figures import Picture
from reports.figures.style import styled
from reports.records import Records


def render(records: Records) -> dict[str, bytes]:
    """File name -> content of every figure; empty where no run has anything to draw. Equal records
    give equal bytes."""
    pictures = figures.draw(records) + figures.draw_tuning(records)
    titles = [picture.title for picture in pictures]
    files = [f"{name}.pdf" for name in names(titles, "figure")]
    return dict(zip(files, map(_pdf, pictures), strict=True))


def _pdf(picture: Picture) -> bytes:
    import matplotlib as mpl
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    out = io.BytesIO()
    picture.figure.set_layout_engine("none")  # it has been laid out for the page
    metadata = {"Title": picture.title, "CreationDate": None, "Creator": None, "Producer": None}
    # 42: TrueType, whose letters can be selected and searched; journals refuse the default, Type 3
    with styled(), mpl.rc_context({"pdf.fonttype": 42}):
        FigureCanvasPdf(picture.figure).print_pdf(out, metadata=metadata)
    return out.getvalue()
