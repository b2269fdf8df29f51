"""What there is to choose from, and what a task looks like, for `orchid list` and `orchid show`."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

from harness.foundation import yaml
from harness.foundation.config import Component, parse_component, to_data
from harness.foundation.errors import HarnessError
from tasks.base import TASKS, Task
from tasks.show import Shown, show

Section = dict[str, str]
MAX_ANSWERS = 6  # of an example that are listed with their facts


def sections(what: str) -> dict[str, Section]:
    """Heading -> name -> one line, for `all` or one of tasks, mixers, ablations."""
    readers = {"tasks": _tasks, "mixers": _mixers, "ablations": _ablations}
    return {key: read() for key, read in readers.items() if what in ("all", key)}


def render(found: dict[str, Section]) -> str:
    """The sections as text in two columns."""
    width = max((len(name) for section in found.values() for name in section), default=0)
    lines = []
    for heading, section in found.items():
        lines += [heading, *(f"  {name:<{width}}  {text}" for name, text in section.items()), ""]
    return "\n".join(lines).rstrip()


class ShownTask(NamedTuple):
    """A task and what was measured of it."""

    task: Task
    shown: Shown

    def as_data(self) -> dict[str, Any]:
        shown = self.shown._asdict() | {"example": [t._asdict() for t in self.shown.example]}
        return {"task": to_data(self.task), "source": self.task.source, **shown}

    def render(self) -> str:
        task, shown = self.task, self.shown
        options = ", ".join(f"{k} {v}" for k, v in to_data(task).items() if k != "name")
        tokens = [
            token.name + (f" x{token.count}" if token.count > 1 else "")
            + (f" [->{token.target}]" if token.target else "")
            for token in shown.example
        ]  # fmt: skip
        lines = [
            f"{task.name}: {task.summary}",
            f"source: {task.source}",
            f"parameters: {options}",
            f"loss modes: {', '.join(task.forms)}",
            "",
            *textwrap.wrap(f"scored: {task.scoring}", 98),
            "",
        ]
        if shown.drawing:
            lines += ["one example:", *(f"  {line}" for line in shown.drawing)]
        else:
            lines.append("one example; [->x] marks a scored position and its answer:")
            lines += textwrap.wrap(
                " ".join(tokens), 96, initial_indent="  ", subsequent_indent="  "
            )
        answers = [
            answer + (f" ({', '.join(f'{k} {v}' for k, v in facts.items())})" if facts else "")
            for answer, facts in shown.answers[:MAX_ANSWERS]
        ]
        rest = len(shown.answers) - len(answers)
        answers += [f"... and {rest} more"] if rest else []
        lines += ["", "its answers:" if len(answers) > 1 else "its answer:"]
        lines += [f"  {answer}" for answer in answers]
        oracle = "-" if shown.oracle is None else f"{shown.oracle:.3f}"
        lines += [
            "",
            f"accuracy over {shown.num_examples} examples",
            f"  {'best predictor' if task.stochastic else 'oracle':<34} {oracle}",
            f"  {'chance':<34} {shown.chance:.3f}",
            *(f"  {'shortcut: ' + k:<34} {v:.3f}" for k, v in shown.shortcuts.items()),
        ]
        if shown.optimum is not None:
            lines.append(f"  {'nats a target, best predictor':<34} {shown.optimum:.3f}")
        if shown.errors:
            lines += ["", "mean squared error"]
            lines += [f"  {name:<34} {value:.3g}" for name, value in shown.errors.items()]
        if shown.facts:
            lines += ["", "what makes an answer hard, on average"]
            lines += [f"  {fact:<34} {mean:.1f}" for fact, mean in shown.facts.items()]
        return "\n".join(lines)


def show_task(name: str, overrides: Sequence[str], seed: int) -> ShownTask:
    """Draws from the task with the parameters of `--set key=value` (`task.key` also does)."""
    data: dict[str, Any] = {"name": name}
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals:
            raise HarnessError(f"--set {override}: expected key=value")
        data[key.strip().removeprefix("task.")] = yaml.scalar(text)
    task = parse_component(TASKS, data)
    try:
        return ShownTask(task, show(task, seed=seed))
    except MemoryError:
        raise HarnessError(
            f"an example of {name} with these parameters does not fit into memory",
            fix="choose a shorter length",
        ) from None


def _tasks() -> Section:
    import tasks

    return {name: tasks.TASKS.get(name).summary for name in tasks.names()}


def _mixers() -> Section:
    from harness import mixers
    from harness.mixers.base import MIXERS

    return {name: _mixer_line(MIXERS.get(name)) for name in mixers.names()}


def _mixer_line(mixer: type[Component]) -> str:
    return f"{mixer.summary} ({mixer.source})"


def _ablations() -> Section:
    from ablations.reading import library

    out = {}
    for name, path in library().items():
        data = yaml.load_file(path).data
        out[name] = f"{data['question']} [{', '.join(data.get('scales', {}))}]"
    return out
