"""The figures, as SVG text to be put into a page.

Text stays text; what is black takes the colour of the surrounding page (`currentColor`), so one
drawing serves light and dark; every figure has an alternative text. Equal records give equal
bytes.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from markupsafe import escape

from reports import breakdown, lengths
from reports.records import Arm, Choice, Records
from reports.table import Table, estimate_text, plain, value_text

INK = "#010203"  # becomes currentColor
GREY = "#888888"
# Okabe and Ito, the blue a little lighter for dark pages
COLOURS = ("#1b80c2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
CHANCE, SHORTCUT = (0, (1, 1.5)), (0, (4, 2))  # dashes
MARKERS = ("o", "s", "^", "D", "v", "P")
MOST_TOGETHER = len(COLOURS)  # arms in one panel; more get a panel each
FEW_VALUES = 12  # of a fact, which are drawn as they are; more are binned

_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "orchid",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
}


class Picture(NamedTuple):
    """svg: markup, safe to put into HTML as it is; it carries its alternative text."""

    title: str
    svg: str
    caption: str


def draw(records: Records, table: Table) -> list[Picture]:
    """Every figure that has something to show."""
    with _style():
        drawn = [_answer(records, table), _learning(records)]
        drawn += _by_length(records)
        drawn += [
            _breakdown(records, fact, is_error=is_error)
            for fact, is_error in breakdown.facts(records)
        ]
    return [picture for picture in drawn if picture is not None]


def answer_on_white(records: Records, table: Table) -> str:
    """The answer's figure as the text of an SVG file; without a finished run, an empty drawing."""
    with _style():
        picture = _answer(records, table)
    return '<svg xmlns="http://www.w3.org/2000/svg"/>\n' if picture is None else _on_white(picture)


def curves_on_white(
    curves: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x: str,
    y: str,
    title: str,
    emphasised: Sequence[str] = (),
) -> str:
    """Named curves of (x, y) on logarithmic axes as the text of an SVG file; names stand at the
    curves' ends, the emphasised ones in colour."""
    with _style():
        figure, axes = _figure(8.4, 2.0 + 0.21 * len(curves))
        colours = dict(zip(emphasised, COLOURS, strict=False))
        for name, points in curves.items():
            style = {"color": colours.get(name, GREY), "lw": 2.2 if name in colours else 0.9}
            axes.plot(*zip(*points, strict=True), marker="o", ms=3, **style)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        ticks = sorted({at for points in curves.values() for at, _ in points})
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        _names_at_ends(axes, curves, colours)
        said = ", ".join(f"{name} {points[-1][1]:.3g}" for name, points in curves.items())
        return _on_white(_picture(figure, title, f"{title}; at the right end: {said}", ""))


def _names_at_ends(axes, curves: Mapping, colours: Mapping[str, str]) -> None:
    """The names beside the axes, in the order of the curves' ends, a thin line to each."""
    order = sorted(curves, key=lambda name: curves[name][-1][1])
    for place, name in enumerate(order):
        axes.annotate(
            name,
            curves[name][-1],
            xytext=(1.06, (place + 0.5) / len(order)),
            textcoords=axes.transAxes,
            va="center",
            fontsize=9,
            color=colours.get(name, INK),
            arrowprops={"arrowstyle": "-", "lw": 0.5, "color": GREY, "relpos": (0, 0.5)},
            annotation_clip=False,
        )


def _on_white(picture: Picture) -> str:
    head, rest = picture.svg.split(">", 1)
    white = '<rect width="100%" height="100%" fill="white"/>'
    return f'{head} color="black">{white}{rest}\n'


def draw_tuning(records: Records) -> Picture | None:
    """Selection accuracy over a single tuned number, by arm: a peak at an end is no peak."""
    settings = records.meta["nuisances"]
    keys = list(settings[0])
    arms = [arm for arm in records.arms if arm.condition_id in records.choices]
    if len(settings) < 2 or len(keys) != 1 or not arms:
        return None
    (key,) = keys
    values = [setting[key] for setting in settings]
    if not all(isinstance(value, (int, float)) for value in values):
        return None
    values.sort()
    scores = {
        arm.condition_id: _scores(records.choices[arm.condition_id], key, values) for arm in arms
    }

    def line(axes, arm: Arm, colour: str, marker: str) -> None:
        style = {"marker": marker, "ms": 5, "mec": "none", "clip_on": False}
        axes.plot(range(len(values)), scores[arm.condition_id], color=colour, lw=1.8, **style)
        axes.set_xticks(range(len(values)), [value_text(value) for value in values])

    def faint(axes, arm: Arm) -> None:
        axes.plot(range(len(values)), scores[arm.condition_id], color=GREY, lw=0.9, alpha=0.35)

    name = plain(key)
    with _style():
        figure = _panels(arms, line, faint, x=name, y="selection accuracy", many_ticks=False)
        said = [
            f"{plain(arm.label)} {max(scores[arm.condition_id]):.2f} at "
            f"{value_text(records.choices[arm.condition_id].nuisance[key])}"
            for arm in arms
        ]
        text = f"Accuracy on the selection seeds over {name}, by arm. Chosen: {'; '.join(said)}."
        caption = "Mean over the selection seeds; a run that diverged or failed counts as 0."
        return _picture(figure, "Tuning curves", text, caption)


@contextmanager
def _style() -> Iterator[None]:
    import matplotlib as mpl

    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # A name may use letters that the font lacks; the browser has others.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def _scores(choice: Choice, key: str, values: Sequence[float]) -> list[float]:
    known = {score["nuisance"][key]: score["accuracy"] for score in choice.scores}
    return [known.get(value, math.nan) for value in values]


# -- the answer -----------------------------------------------------------------------------------


def _answer(records: Records, table: Table) -> Picture | None:
    """A row an arm: every seed a dot, mean and interval, its chance and best shortcut."""
    if not any(row.n for row in table.rows):
        return None
    labels = [_wrapped(row.arm, 30) for row in table.rows]
    num_lines = sum(1.15 + 0.35 * label.count("\n") for label in labels)
    figure, axes = _figure(8.4, 1.1 + 0.36 * num_lines)
    for place, (arm, row) in enumerate(zip(records.arms, table.rows, strict=True)):
        if row.accuracy is None:
            axes.text(0.01, place, "no finished run", va="center", color=GREY, fontstyle="italic")
            continue
        _yardstick_ticks(axes, arm, place)
        seeds = [r.accuracy for r in records.confirmation(arm) if r.accuracy is not None]
        spread = [place + 0.2 * (k - (len(seeds) - 1) / 2) / len(seeds) for k in range(len(seeds))]
        axes.plot(seeds, spread, "o", ms=5.5, mfc=COLOURS[0], mec="none", alpha=0.7, clip_on=False)
        if row.accuracy_low is not None:
            ends = [row.accuracy_low, row.accuracy_high]
            axes.plot(ends, [place, place], color=INK, lw=1.6, clip_on=False)
        axes.plot([row.accuracy], [place], "|", ms=13, mec=INK, mew=2.2, clip_on=False, zorder=4)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", length=0, pad=8)
    axes.set_ylim(len(labels) - 0.45, -0.55)
    axes.set_xlim(0, 1)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=GREY, alpha=0.25, lw=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("test accuracy")
    handles = [
        _handle("|", INK, "mean, with 95 % interval"),
        _handle("o", COLOURS[0], "one seed", alpha=0.7),
        _handle("", GREY, "chance", dashes=CHANCE),
        _handle("", GREY, "best shortcut", dashes=SHORTCUT),
    ]
    _legend(figure, handles)
    said = [f"{row.arm} {estimate_text(row.accuracy_estimate)}" for row in table.rows]
    text = "Test accuracy by arm. " + "; ".join(said) + "."
    return _picture(figure, "Accuracy", text, "The dashed and dotted marks are each arm's own.")


def _yardstick_ticks(axes, arm: Arm, place: int) -> None:
    ends = [place - 0.42, place + 0.42]
    if arm.chance is not None:
        axes.plot([arm.chance] * 2, ends, color=GREY, lw=1.5, ls=CHANCE)
    if arm.best_shortcut is not None:
        axes.plot([arm.best_shortcut[1]] * 2, ends, color=GREY, lw=1.5, ls=SHORTCUT)


# -- learning curves ------------------------------------------------------------------------------


def _learning(records: Records) -> Picture | None:
    """Validation accuracy over steps: every seed a thin line, their mean a bold one."""
    curves = {}
    for arm in records.arms:
        found = [run.curve("validation", "accuracy") for run in records.confirmation(arm)]
        curves[arm.condition_id] = [curve for curve in found if curve]
    arms = [arm for arm in records.arms if curves[arm.condition_id]]
    if not arms:
        return None

    def line(axes, arm: Arm, colour: str, marker: str) -> None:
        for curve in curves[arm.condition_id]:
            axes.plot(*zip(*curve, strict=True), color=colour, lw=0.8, alpha=0.5)
        axes.plot(*_mean_curve(curves[arm.condition_id]), color=colour, lw=2.2)

    def faint(axes, arm: Arm) -> None:
        axes.plot(*_mean_curve(curves[arm.condition_id]), color=GREY, lw=0.9, alpha=0.35)

    figure = _panels(arms, line, faint, x="training steps", y="validation accuracy")
    final = [
        f"{plain(arm.label)} {_mean_curve(curves[arm.condition_id])[1][-1]:.2f}" for arm in arms
    ]
    text = "Validation accuracy over training steps, by arm and seed. Last mean: "
    caption = (
        "Thin: every seed. Bold: their mean, in which a run that ended early keeps its last value."
    )
    return _picture(figure, "Learning curves", text + "; ".join(final) + ".", caption)


def _mean_curve(curves: Sequence[Sequence[tuple[int, float]]]) -> tuple[list[int], list[float]]:
    """Mean over the seeds at each step; a run that ended early keeps its last value.

    So a mean does not jump where a run stops: it stopped because it had solved the task, or
    because it diverged, and would not have moved.
    """
    steps = sorted({step for curve in curves for step, _ in curve})
    totals = [0.0] * len(steps)
    for curve in curves:
        known, value = dict(curve), curve[0][1]
        for index, step in enumerate(steps):
            value = known.get(step, value)
            totals[index] += value
    return steps, [total / len(curves) for total in totals]


# -- accuracy by length ---------------------------------------------------------------------------


def _by_length(records: Records) -> list[Picture]:
    """Test accuracy over the length of the test examples: a figure for each word for length."""
    found = lengths.at_lengths(records)
    words = dict.fromkeys(each.word for each in found)
    return [_over(records, word, [each for each in found if each.word == word]) for word in words]


def _over(records: Records, word: str, found: Sequence[lengths.AtLength]) -> Picture:
    points: dict[str, list[lengths.AtLength]] = {}
    for each in found:
        points.setdefault(each.arm.condition_id, []).append(each)
    arms = [arm for arm in records.arms if arm.condition_id in points]
    together = len(arms) <= MOST_TOGETHER

    def line(axes, arm: Arm, colour: str, marker: str) -> None:
        own = points[arm.condition_id]
        at, values = [each.length for each in own], [each.accuracy for each in own]
        style = {"marker": marker if together else "o", "ms": 4.5, "mec": "none"}
        axes.plot(at, [v.value for v in values], color=colour, lw=1.8, clip_on=False, **style)
        if all(value.low is not None for value in values):
            low, high = [value.low for value in values], [value.high for value in values]
            axes.fill_between(at, low, high, color=colour, alpha=0.15, lw=0)

    def faint(axes, arm: Arm) -> None:
        own = points[arm.condition_id]
        values = [each.accuracy.value for each in own]
        axes.plot([each.length for each in own], values, color=GREY, lw=0.9, alpha=0.35)

    figure = _panels(arms, line, faint, x=word, y="test accuracy")
    at = sorted({each.length for each in found})
    for index, axes in enumerate(figure.axes[: len(arms)]):
        shown = found if together else points[arms[index].condition_id]
        axes.set_xscale("log", base=2)
        axes.set_xticks(_spread(at), [f"{length:,}" for length in _spread(at)])
        axes.minorticks_off()
        for length in sorted({each.length for each in shown if each.is_trained}):
            axes.axvline(length, color=GREY, lw=1.2, zorder=1)
            if index == 0:
                _named_upright(axes, length, "trained here")
    said = []
    for arm in arms:
        ends = [points[arm.condition_id][end] for end in (0, -1)]
        texts = [f"{each.accuracy.value:.2f} at {each.length:,}" for each in ends]
        said.append(f"{plain(arm.label)} {' and '.join(texts)}")
    text = f"Test accuracy over {word}, by arm. " + "; ".join(said) + "."
    caption = (
        "Mean over finished seeds; shaded: 95 % interval. Chance and best shortcut are those at "
        "the trained length."
    )
    return _picture(figure, f"Accuracy by test {word}", text, caption)


def _spread(lengths: Sequence[int]) -> list[int]:
    """Those that leave their names room on a logarithmic axis, the last one among them."""
    least = (math.log(lengths[-1]) - math.log(lengths[0])) / 12
    kept = [lengths[-1]]
    for length in lengths[-2::-1]:
        if math.log(kept[-1]) - math.log(length) >= least:
            kept.append(length)
    return kept[::-1]


# -- accuracy by a fact ---------------------------------------------------------------------------


def _breakdown(records: Records, fact: str, *, is_error: bool) -> Picture:
    """Test accuracy, or squared error, by a fact of the targets, seeds pooled, rare values
    gathered."""
    points = {}
    for arm in records.arms:
        pooled: dict[int, list[float]] = {}
        for run in records.confirmation(arm):
            for part in run.slices:
                if (part.fact, arm.is_real) == (fact, is_error) and run.status == "finished":
                    totals = pooled.setdefault(part.value, [0.0, 0.0])
                    totals[0] += (part.loss if is_error else part.accuracy) * part.num
                    totals[1] += part.num
        if pooled:
            points[arm.condition_id] = _binned(pooled)
    arms = [arm for arm in records.arms if arm.condition_id in points]
    together = len(arms) <= MOST_TOGETHER

    def line(axes, arm: Arm, colour: str, marker: str) -> None:
        style = {"marker": marker if together else "o", "ms": 4.5, "mec": "none"}
        axes.plot(*points[arm.condition_id], color=colour, lw=1.8, clip_on=False, **style)

    def faint(axes, arm: Arm) -> None:
        axes.plot(*points[arm.condition_id], color=GREY, lw=0.9, alpha=0.35)

    name, what = plain(fact), "squared error" if is_error else "accuracy"
    figure = _panels(arms, line, faint, x=name, y=f"test {what}", is_share=not is_error)
    if is_error:
        _error_axis(figure, [arm.best_shortcut_error for arm in arms])
    said = []
    for arm in arms:
        places, values = points[arm.condition_id]
        ends = [f"{value_text(values[end])} at {places[end]:.3g}" for end in (0, -1)]
        said.append(f"{plain(arm.label)} {' and '.join(ends)}")
    text = f"Test {what} by {name}, seeds pooled. " + "; ".join(said) + "."
    caption = "Test targets of all finished seeds together; rare values are gathered."
    return _picture(figure, f"{what.capitalize()} by {name}", text, caption)


def _error_axis(figure, floors: Sequence[float | None]) -> None:
    """Squared errors on a logarithmic axis, and the best shortcut's where the arms agree on it."""
    from matplotlib.ticker import LogLocator, NullLocator

    same = set(floors) - {None}
    for axes in figure.axes:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.grid(axis="y", color=GREY, alpha=0.25, lw=0.6)
        if len(same) == 1:
            axes.axhline(*same, color=GREY, lw=1.2, ls=SHORTCUT, zorder=1)
    if len(same) == 1:
        _named_line(figure.axes[0], *same, "best shortcut")


def _binned(pooled: dict[int, list[float]]) -> tuple[list[float], list[float]]:
    """Places and means; many values are gathered into bins of about equal counts."""
    values = sorted(pooled)
    least = 0.0
    if len(values) > FEW_VALUES:
        least = sum(num for _, num in pooled.values()) / FEW_VALUES
    places, accuracies = [], []
    hits = num = moment = 0.0
    for value in values:
        hits += pooled[value][0]
        num += pooled[value][1]
        moment += value * pooled[value][1]
        if num and (num >= least or value == values[-1]):
            places.append(moment / num)
            accuracies.append(hits / num)
            hits = num = moment = 0.0
    return places, accuracies


# -- panels ---------------------------------------------------------------------------------------


def _panels(
    arms: Sequence[Arm],
    line: Callable,
    faint: Callable,
    *,
    x: str,
    y: str,
    many_ticks: bool = True,
    is_share: bool = True,
):
    """All arms in one panel, or, if they are many, one panel each with the others in grey.

    is_share: y is in [0, 1], where chance and the best shortcut have their places.
    """
    if len(arms) <= MOST_TOGETHER:
        figure, axes = _figure(8.4, 4.0)
        handles = []
        for arm, colour, marker in zip(arms, COLOURS, MARKERS, strict=False):
            line(axes, arm, colour, marker)
            handles.append(_handle("", colour, _shortened(arm.label, 84)))
        if is_share:
            _unit_axis(axes, many_ticks=many_ticks)
            _yardstick_lines(axes, arms)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        _legend(figure, handles)
        return figure
    columns = 3
    rows = math.ceil(len(arms) / columns)
    figure, grid = _figure(8.4, 0.7 + 2.05 * rows, rows, columns)
    for index, axes in enumerate(grid.flat):
        if index >= len(arms):
            axes.set_visible(False)
            continue
        for other in arms:
            if other is not arms[index]:
                faint(axes, other)
        line(axes, arms[index], COLOURS[0], "o")
        axes.set_title(_wrapped(arms[index].label, 28), loc="left", fontsize=9)
        if is_share:
            _unit_axis(axes, many_ticks=many_ticks)
            _yardstick_lines(axes, [arms[index]], labelled=index == 0)
        axes.tick_params(labelbottom=index + columns >= len(arms), labelleft=index % columns == 0)
    figure.supxlabel(x, fontsize=11)
    figure.supylabel(y, fontsize=11)
    return figure


def _unit_axis(axes, *, many_ticks: bool) -> None:
    axes.set_ylim(-0.02, 1.04)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    axes.grid(axis="y", color=GREY, alpha=0.25, lw=0.6)
    axes.set_axisbelow(True)
    if many_ticks:
        axes.locator_params(axis="x", nbins=5, integer=True)


def _yardstick_lines(axes, arms: Sequence[Arm], *, labelled: bool = True) -> None:
    """Chance and best shortcut, where the arms agree on them."""
    chances = {arm.chance for arm in arms} - {None}
    shortcuts = {arm.best_shortcut for arm in arms} - {None}
    lines = []
    if len(chances) == 1:
        lines.append((chances.pop(), "chance", CHANCE))
    if len(shortcuts) == 1:
        lines.append((shortcuts.pop()[1], "best shortcut", SHORTCUT))
    lines.sort()
    close = len(lines) == 2 and lines[1][0] - lines[0][0] < 0.16
    for index, (height, name, dashes) in enumerate(lines):
        axes.axhline(height, color=GREY, lw=1.2, ls=dashes, zorder=1)
        below = close and index == 0
        if labelled:
            _named_line(axes, height, name, below=below)


def _named_line(axes, height: float, name: str, *, below: bool = False) -> None:
    axes.annotate(
        name,
        (1, height),
        xycoords=("axes fraction", "data"),
        xytext=(-2, -3 if below else 3),
        textcoords="offset points",
        ha="right",
        va="top" if below else "bottom",
        fontsize=9,
        color=GREY,
    )


def _named_upright(axes, place: float, name: str) -> None:
    axes.annotate(
        name,
        (place, 0.5),
        xycoords=("data", "axes fraction"),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        rotation=90,
        fontsize=9,
        color=GREY,
    )


def _figure(width: float, height: float, rows: int = 1, columns: int = 1):
    """Without pyplot, whose figures are global."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_visible(False)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True)
    for each in [axes] if rows == columns == 1 else axes.flat:
        each.patch.set_visible(False)
    return figure, axes


def _handle(marker: str, colour: str, label: str, *, alpha: float = 1.0, dashes: Any = "-"):
    from matplotlib.lines import Line2D

    if not marker:
        return Line2D([], [], color=colour, lw=2, ls=dashes, label=label)
    return Line2D(
        [], [], ls="none", marker=marker, ms=9 if marker == "|" else 6, mfc=colour, mec=colour,
        mew=1.8 if marker == "|" else 0, alpha=alpha, label=label,
    )  # fmt: skip


def _legend(figure, handles: Sequence) -> None:
    lengths = [len(handle.get_label()) + 6 for handle in handles]
    columns = len(handles) if sum(lengths) <= 96 else max(1, 96 // max(lengths))
    figure.legend(
        handles=handles, loc="outside upper left", ncols=columns, fontsize=10, handletextpad=0.5
    )


def _wrapped(label: str, width: int) -> str:
    """At most three lines."""
    label = plain(label)
    width = max(width, min(width + 10, max(map(len, label.split()), default=0)))
    return "\n".join(textwrap.wrap(label, width, max_lines=3, placeholder=" ...") or [" "])


def _shortened(label: str, width: int) -> str:
    label = plain(label)
    return label if len(label) <= width else label[: width - 3] + "..."


# -- markup ---------------------------------------------------------------------------------------

_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def _picture(figure, title: str, alternative: str, caption: str) -> Picture:
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    out = io.StringIO()
    FigureCanvasSVG(figure).print_svg(out, metadata=_NO_METADATA)
    return Picture(title, _inlined(out.getvalue(), title, alternative), caption)


def _inlined(svg: str, title: str, alternative: str) -> str:
    """The drawing without prologue, addresses, fixed size and names that would occur twice."""
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower())
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<(metadata|style)\b.*?</\1>\s*", "", svg, flags=re.DOTALL)

    def mend(tag: re.Match) -> str:  # in tags alone: what a label says is left as it is
        text = re.sub(r'^<g id="[^"]*"', "<g", tag[0])
        text = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{slug}-", text)
        text = re.sub(rf"((?:fill|stroke): ){INK}", r"\1currentColor", text)
        return text.replace("'DejaVu Sans'", "system-ui, sans-serif")

    svg = re.sub(r"<[^>]+>", mend, svg)
    box = re.search(r'viewBox="[^"]*"', svg[: svg.index(">")])[0]
    head = f'<svg {box} role="img" aria-label="{escape(alternative)}"'
    head += ' xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    return head + svg[svg.index(">") + 1 :]
