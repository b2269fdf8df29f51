r"""A document's tables as `tabular` fragments for \input; they need the package booktabs alone.

Everything is ASCII: letters and signs that pdfLaTeX does not know in every encoding are written as
commands, and what has none as its code point. Words stand in comments, for the caption to choose
from.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Iterator

from reports.exports.document import Document
from reports.exports.numbers import NUMBER, are_right
from reports.grid import Grid, Section
from reports.table import NOTHING, plain

_ASCII = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "%": r"\%", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "`": r"\textasciigrave{}",
    '"': "{''}",
    "[": "{[}", "]": "{]}", "*": "{*}",  # after \\ they would be its arguments
}  # fmt: skip
_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi - pi rho - sigma tau "
    "upsilon phi chi psi omega"
).split()
_GREEK_CAPITALS = {
    "\u0393": "Gamma", "\u0394": "Delta", "\u0398": "Theta", "\u039b": "Lambda", "\u039e": "Xi",
    "\u03a0": "Pi", "\u03a3": "Sigma", "\u03a5": "Upsilon", "\u03a6": "Phi", "\u03a8": "Psi",
    "\u03a9": "Omega",
}  # fmt: skip
_MATHS = {
    "\u00d7": r"\times", "\u00b7": r"\cdot", "\u00b1": r"\pm", "\u2213": r"\mp", "\u00f7": r"\div",
    "\u2212": "-", "\u2264": r"\leq", "\u2265": r"\geq", "\u2260": r"\neq", "\u2248": r"\approx",
    "\u221e": r"\infty", "\u2192": r"\rightarrow", "\u2190": r"\leftarrow",
    "\u21d2": r"\Rightarrow", "\u2194": r"\leftrightarrow", "\u2208": r"\in", "\u221a": r"\surd",
    "\u2211": r"\sum", "\u220f": r"\prod", "\u2202": r"\partial", "\u2207": r"\nabla",
    "\u2297": r"\otimes", "\u2295": r"\oplus", "\u2299": r"\odot", "\u2218": r"\circ",
    "\u2217": r"\ast", "\u00ac": r"\neg", "\u2113": r"\ell", "\u2016": r"\|", "\u00b0": r"^\circ",
    "\u2032": r"^\prime", "\u03c2": r"\varsigma", "\u03d5": r"\phi", "\u03d1": r"\vartheta",
    "\u00b5": r"\mu",
}  # fmt: skip
_TEXT = {
    "\u2013": "--", "\u2014": "---", "\u2010": "-", "\u2011": "-", "\u2018": "`", "\u2019": "'",
    "\u201c": "``", "\u201d": "''", "\u2026": r"\ldots{}", "\u00a0": "~", "\u00df": r"\ss{}",
    "\u00e6": r"\ae{}", "\u00c6": r"\AE{}", "\u0153": r"\oe{}", "\u0152": r"\OE{}",
    "\u00f8": r"\o{}", "\u00d8": r"\O{}", "\u0142": r"\l{}", "\u0141": r"\L{}", "\u0131": r"\i{}",
    "\u00a7": r"\S{}", "\u00b6": r"\P{}", "\u00a9": r"\copyright{}",
}  # fmt: skip
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u",
    "\u0307": ".", "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c",
    "\u0323": "d", "\u0331": "b",
}  # fmt: skip
_LIGATURE = re.compile(r"([-',?!])(?=[-',`])")  # as typed, not as TeX joins it


def render(document: Document) -> str:
    """All tables, one below the other, each with its title and note in comments."""
    return "\n".join(
        "\n".join([*_head(document, section), *_fragments(section)])
        for section in document.sections
    )


def render_each(document: Document) -> Iterator[tuple[str, str]]:
    """(title, fragment) of every table; where a section has several, the title says which."""
    for section in document.sections:
        head = "\n".join(_head(document, section))
        for grid, fragment in zip(section.grids, _fragments(section), strict=True):
            which = f", {grid.head[0]}" if len(section.grids) > 1 else ""
            yield section.title + which, f"{head}\n{fragment}"


def escape(text: str) -> str:
    """Text on one line that pdfLaTeX prints as it is, in ASCII."""
    text = unicodedata.normalize("NFC", plain(text))
    return "".join(map(_character, _LIGATURE.sub("\\1\u2063", text)))


def number(cell: str) -> str:
    """A number in mathematics, an interval behind it; anything else as text."""
    found = NUMBER.fullmatch(cell)
    if found is None:
        return "--" if cell == NOTHING else escape(cell)
    sign = {"": "", "x": r"\times ", "<": "< ", ">": "> "}[found["sign"]]
    unit = found["unit"] or ""
    unit = {"": "", "/": unit, " ": r"\,\mathrm{s}"}.get(unit[:1], rf"\mathrm{{{unit}}}")
    value = f"{sign}{_value(found['value'])}{unit}"
    if found["low"] is not None:
        value += rf"\ [{_value(found['low'])},\,{_value(found['high'])}]"
    return f"{found['bound'] or ''}${value}$"


def _head(document: Document, section: Section) -> Iterator[str]:
    yield f"% {_comment(document.title)}: {_comment(document.question)}"
    yield f"% {_comment(section.title)}"
    said = [section.note, *(document.remarks if section is document.sections[0] else ())]
    for text in filter(None, said):
        yield from textwrap.wrap(
            _comment(text), 98, initial_indent="% ", subsequent_indent="%   ",
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
    yield r"% needs \usepackage{booktabs}"


def _fragments(section: Section) -> Iterator[str]:
    for grid in section.grids:
        yield "\n".join([*_tabular(grid), ""])


def _tabular(grid: Grid) -> Iterator[str]:
    sides = "".join("r" if right else "l" for right in are_right(grid))
    yield rf"\begin{{tabular}}{{@{{}}{sides}@{{}}}}"
    yield r"\toprule"
    yield " & ".join(map(escape, grid.head)) + r" \\"
    yield r"\midrule"
    for row in grid.rows:
        names, numbers = row[: grid.num_names], row[grid.num_names :]
        yield " & ".join([*map(_name, names), *map(number, numbers)]) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"


def _name(cell: str) -> str:
    return "--" if cell == NOTHING else escape(cell)


def _value(text: str) -> str:
    """`-1.2e-05` as -1.2 times a power of ten; thousands keep their commas together."""
    text = text.replace(",", "{,}").replace("inf", r"\infty")
    mantissa, _, power = text.partition("e")
    return rf"{mantissa} \times 10^{{{int(power)}}}" if power else mantissa


def _comment(text: str) -> str:
    """A comment ends with its line, so any text on one line will do."""
    return plain(text).encode("ascii", "backslashreplace").decode()


def _character(char: str) -> str:
    if char == "\u2063":  # stands between what TeX would join
        return "{}"
    if char in _ASCII:
        return _ASCII[char]
    if char.isascii():
        return char
    if char in _MATHS:
        return rf"\ensuremath{{{_MATHS[char]}}}"
    if char in _TEXT:
        return _TEXT[char]
    if char in _GREEK_CAPITALS:
        return rf"\ensuremath{{\{_GREEK_CAPITALS[char]}}}"
    index = ord(char) - 0x3B1
    if 0 <= index < len(_GREEK) and _GREEK[index] != "-":
        return rf"\ensuremath{{\{_GREEK[index]}}}"
    return _composed(char)


def _composed(char: str) -> str:
    """A letter with accents, a compatible form such as a superscript, or the code point."""
    base, *marks = unicodedata.normalize("NFD", char)
    if marks and base.isascii() and base.isalpha() and all(mark in _ACCENTS for mark in marks):
        for mark in marks:
            base = rf"\{_ACCENTS[mark]}{{{base}}}"
        return base
    kind, _, code = unicodedata.decomposition(char).partition(" ")
    if kind in ("<super>", "<sub>"):
        inner = "".join(chr(int(each, 16)) for each in code.split())
        if inner.isascii():
            return rf"\ensuremath{{{'^' if kind == '<super>' else '_'}{{{inner}}}}}"
    same = unicodedata.normalize("NFKD", char)
    if same != char and same.isascii():
        return "".join(map(_character, same))
    return rf"\texttt{{U+{ord(char):04X}}}"
