"""What there is to choose from, and what a task looks like, for `orchid list` and `orchid show`."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from harness.foundation import yaml
from harness.foundation.config import Component, parse_component, to_data
from harness.foundation.errors import HarnessError
from harness.foundation.plugins import source_digest
from tasks import writing
from tasks.base import GROUPS, OTHER, TASKS, Task
from tasks.check import check_sizes, check_task
from tasks.show import BEST, Shown, show

Section = dict[str, Any]
WIDTH = 98  # of what is shown, unless the terminal has less
MAX_VALUE = 24  # characters of a parameter's value that leave its explanation room beside it


def sections(what: str) -> dict[str, Section]:
    """Heading -> name -> one line (of a task, its group and one line), for `all` or one of tasks,
    mixers, ablations, protocols."""
    readers = {
        "tasks": _tasks,
        "mixers": _mixers,
        "ablations": _ablations,
        "protocols": _protocols,
    }
    return {key: read() for key, read in readers.items() if what in ("all", key)}


def render(found: dict[str, Section]) -> str:
    """The sections as text in two columns, tasks by group."""
    width = max((len(name) for section in found.values() for name in section), default=0)
    lines = []
    for heading, section in found.items():
        for title, part in _parts(heading, section):
            lines += [title, *(f"  {name:<{width}}  {text}" for name, text in part.items()), ""]
    return "\n".join(lines).rstrip()


def _parts(heading: str, section: Section) -> Iterable[tuple[str, dict[str, str]]]:
    if heading != "tasks":
        return [(heading, section)]
    groups = dict.fromkeys([*GROUPS, *(entry["group"] for entry in section.values())])
    order = [group for group in groups if group != OTHER] + [OTHER]
    parts = {
        group: {n: e["summary"] for n, e in section.items() if e["group"] == group}
        for group in order
    }
    return [(f"tasks: {group}", part) for group, part in parts.items() if part]


class ShownTask(NamedTuple):
    """A task and what was measured of it."""

    task: Task
    shown: Shown

    def as_data(self) -> dict[str, Any]:
        shown = self.shown._asdict() | {"example": [t._asdict() for t in self.shown.example]}
        return {"task": to_data(self.task), "source": self.task.source, **shown}

    def render(self) -> str:
        task = self.task
        heading, example = writing.example_lines(task, self.shown, _width() - 2)
        answers = writing.answer_lines(self.shown)
        whole = ", ".join(writing.bidirectional_forms(task)) or "none"
        lines = [
            *_folded(f"{task.name}: ", task.summary, hanging=4),
            *_folded("source: ", task.source),
            f"loss modes: {', '.join(task.forms)}; for bidirectional mixers: {whole}",
            *_folded("scored: ", task.scoring),
            *self._parameters(),
            "",
            heading,
            *(f"  {line}".rstrip() for line in example),
            "",
            "its answers:" if len(answers) > 1 else "its answer:",
            *(line for answer in answers for line in _folded("  ", answer, hanging=4)),
        ]
        return "\n".join(lines + self._numbers())

    def _parameters(self) -> list[str]:
        """Each with its value and what it means."""
        docs = {each.name: each.doc for each in writing.parameters(type(self.task))}
        values = {
            name: writing.value_text(value)
            for name, value in to_data(self.task).items()
            if name != "name"
        }
        if not values:
            return []
        names = _widest(values)
        texts = _widest(value for value in values.values() if len(value) <= MAX_VALUE)
        lines = ["", "parameters"]
        for name, value in values.items():
            head = f"  {name:<{names}}  {value:<{texts}}  "
            if len(value) > texts:
                lines.append(head.rstrip())
                head = f"  {'':<{names}}  {'':<{texts}}  "
            lines += _folded(head, docs[name])
        return lines

    def _numbers(self) -> list[str]:
        """What it takes to beat a guess."""
        task, shown = self.task, self.shown
        oracle = "oracle" if task.determined else BEST
        known = "none is known" if shown.oracle is None else writing.share_text(shown.oracle)
        rows: dict[str, list[tuple[str, str]]] = {
            f"accuracy over {shown.num_examples} examples": [
                (oracle, known),
                ("chance", writing.share_text(shown.chance)),
                *(
                    (f"shortcut: {name}", writing.share_text(value))
                    for name, value in shown.shortcuts.items()
                ),
            ],
            "mean squared error": [
                (oracle if name == "oracle" else f"shortcut: {name}", f"{value:.3g}")
                for name, value in writing.oracle_first(shown.errors)
            ],
            "nats a target": [(name, f"{value:.3f}") for name, value in shown.nats.items()],
            "facts about an answer, on average": [
                (name, f"{mean:.1f}") for name, mean in writing.public(shown.facts).items()
            ],
        }
        width = _widest(name for part in rows.values() for name, _ in part)
        lines = []
        for title, part in rows.items():
            if part:
                lines += ["", title, *(f"  {name:<{width}}  {value}" for name, value in part)]
        return lines


def show_task(name: str, overrides: Sequence[str], seed: int) -> ShownTask:
    """Draws from the task with the parameters of `--set key=value` (`task.key` also does); a
    plug-in's is checked first."""
    data: dict[str, Any] = {"name": name}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise HarnessError(f"--set {override}: expected key=value")
        data[key.strip().removeprefix("task.")] = yaml.scalar(text)
    task = parse_component(TASKS, _with_folder(data))
    check_sizes(task)
    if source_digest(type(task)) is not None:
        check_task(task)
    try:
        return ShownTask(task, show(task, seed=seed))
    except MemoryError:
        raise HarnessError(
            f"examples of {name} with these parameters do not fit into memory",
            fix="make them smaller",
        ) from None


def _with_folder(data: dict[str, Any]) -> dict[str, Any]:
    """Raises HarnessError if the task reads files and it is not said where they are."""
    name = data["name"]
    kind = TASKS.get(name) if name in TASKS else Task
    if "folder" in kind.model_fields and "folder" not in data:
        layout = getattr(sys.modules[kind.__module__], "LAYOUT", "what docs/tasks.md says")
        raise HarnessError(
            f"{name} reads files of your own, and it is not said where they are",
            fix=f"orchid show {name} --set folder=PATH; in the folder: {layout}",
        )
    return data


def _folded(head: str, text: str, *, hanging: int | None = None) -> list[str]:
    """The text after its head, wrapped; further lines are indented by the width of the head, or
    by `hanging`. Without a text: the head alone if it is indented, else no line."""
    if not text:
        return [head.rstrip()] if head.startswith(" ") else []
    below = " " * (len(head) if hanging is None else hanging)
    width = max(_width(), len(head) + 40)
    return textwrap.wrap(text, width, initial_indent=head, subsequent_indent=below)


def _width() -> int:
    return min(WIDTH, shutil.get_terminal_size((WIDTH, 0)).columns)


def _widest(texts: Iterable[str]) -> int:
    return max(map(len, texts), default=0)


def _tasks() -> Section:
    kinds = {name: TASKS.get(name) for name in TASKS}
    return {name: {"group": k.group, "summary": k.summary} for name, k in kinds.items()}


def _mixers() -> Section:
    from harness import mixers
    from harness.mixers.base import MIXERS

    return {name: _mixer_line(MIXERS.get(name)) for name in mixers.names()}


def _mixer_line(mixer: type[Component]) -> str:
    return f"{mixer.summary} ({mixer.source})"


def _ablations() -> Section:
    from ablations import library

    out = {}
    for name, path in library.files().items():
        data = yaml.load_file(path).data
        out[name] = f"{data['question']} [{', '.join(data.get('scales', {}))}]"
    return out


def _protocols() -> Section:
    from ablations.protocol import load, protocols

    return {name: load(name).about["summary"] for name in protocols()}
