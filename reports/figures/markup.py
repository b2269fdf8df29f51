"""A drawing as markup: SVG that takes the colours of the page around it."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import escape

from reports.figures.style import INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


class Picture(NamedTuple):
    """svg: markup, safe to put into HTML as it is; it carries its alternative text. figure: what it
    was drawn from, for other formats."""

    title: str
    svg: str
    caption: str
    figure: Figure


def picture(figure, title: str, alternative: str, caption: str) -> Picture:
    """A finished drawing; `alternative` says what it shows to whoever cannot see it."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    out = io.StringIO()
    FigureCanvasSVG(figure).print_svg(out, metadata=_NO_METADATA)
    return Picture(title, _inlined(out.getvalue(), title, alternative), caption, figure)


def on_white(picture: Picture) -> str:
    """The text of an SVG file, for pages whose colours are not known."""
    head, rest = picture.svg.split(">", 1)
    white = '<rect width="100%" height="100%" fill="white"/>'
    return f'{head} color="black">{white}{rest}\n'


def _inlined(svg: str, title: str, alternative: str) -> str:
    """The drawing without prologue, addresses, fixed size and names that would occur twice."""
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower())
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<(metadata|style)\b.*?</\1>\s*", "", svg, flags=re.DOTALL)

    def mend(tag: re.Match) -> str:  # in tags alone: what a label says is left as it is
        text = re.sub(r'^<g id="[^"]*"', "<g", tag[0])
        text = re.sub(r"(\d\.\d\d)\d+", r"\1", text)  # of a point: a third of the bytes
        text = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{slug}-", text)
        text = re.sub(rf"((?:fill|stroke): ){INK}", r"\1currentColor", text)
        return text.replace("'DejaVu Sans'", "system-ui, sans-serif")

    svg = re.sub(r"<[^>]+>", mend, svg)
    box = re.search(r'viewBox="[^"]*"', svg[: svg.index(">")])[0]
    head = f'<svg {box} role="img" aria-label="{escape(alternative)}"'
    head += ' xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    return head + svg[svg.index(">") + 1 :]
