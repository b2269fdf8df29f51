"""docs/tasks.md, written by the tasks themselves:

python -m tasks.page > docs/tasks.md

A test checks that the page is current. Its numbers are those of `orchid show`.
"""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any

from harness.foundation.config import parse_component
from harness.foundation.seeding import generator
from tasks import writing
from tasks.base import GROUPS, TASKS, Form, Task
from tasks.show import BEST, Shown, show

WIDTH = 92
FEW_ANSWERS = 3  # of an example that are given with their facts

SMALL: dict[str, dict[str, Any]] = {  # parameters of an example that fits a few lines
    "associative_recall": {"vocab_size": 10, "length": 12},
    "compositional_mqar": {"vocab_size": 20, "length": 36, "num_halves": 2},
    "compression": {"vocab_size": 8, "length": 8},
    "continuous_mqar": {"num_codes": 8, "dims": 3, "length": 12, "num_pairs": 2},
    "delayed_copy": {"num_to_copy": 4, "delay": 8},
    "forgetting_mqar": {"vocab_size": 16, "length": 24},
    "fuzzy_recall": {"vocab_size": 8, "length": 36, "max_key_size": 2, "max_value_size": 2},
    "group_word_problem": {"n": 3, "length": 6},
    "in_context_languages": {"length": 48, "num_letters": 6, "min_words": 2, "max_words": 4},
    "in_context_recall": {"vocab_size": 8, "length": 16},
    "in_context_regression": {"dims": 2, "num_points": 4},
    "induction_heads": {"vocab_size": 8, "length": 12},
    "listops": {"max_depth": 3, "max_args": 4, "min_length": 8, "max_length": 24},
    "majority": {"length": 12},
    "markov_chains": {"num_states": 3, "length": 16},
    "memorization": {"vocab_size": 16, "length": 12},
    "mqar": {"vocab_size": 16, "length": 20},
    "multi_hop_induction": {"vocab_size": 4, "length": 14},
    "noisy_recall": {"vocab_size": 12, "length": 20, "noise_vocab_size": 4, "noise_fraction": 0.3},
    "parity": {"length": 12},
    "phonebook": {"num_entries": 3, "number_length": 4, "name_length": 2, "name_tokens": 6},
    "selective_copying": {"vocab_size": 8, "length": 16, "num_to_copy": 4},
}

HEAD = """\
# Tasks

Written by `python -m tasks.page > docs/tasks.md`; do not edit it by hand.

A task draws endless examples from its rule and, where an exact solution is known, solves them
(the *oracle*). Its other numbers need no learning, so a model has to beat them: *chance*, a random
guess, and *shortcuts*, simple rules that do not solve the task. `orchid show TASK` prints an
example and these numbers for any parameters (`--set length=64`).

**Loss modes** (`train.loss`): `answers` scores the answers alone; `all` every next token, for
causal mixers; `masked` hides each answer in the input and predicts it in place. A bidirectional
mixer sees the whole input. So it can learn from `answers` only if no input contains its own
answers, and always from `masked`, but never from `all`. The lines below hold at the default
parameters.

**Facts** describe each answer, such as the distance back to the evidence; reports break accuracy
down by them. **Edits** (`train.counterfactual`) change the evidence of test examples, or something
irrelevant (a distractor), and measure whether the answer follows.
"""


def page() -> str:
    """The whole text; equal tasks give equal text."""
    parts = [HEAD]
    kinds = [TASKS.get(name) for name in TASKS]
    for group in GROUPS:
        some = [kind for kind in kinds if kind.group == group and is_shipped(kind)]
        if some:
            parts += [f"## {group[0].upper()}{group[1:]}\n", *map(_entry, some)]
    return "\n".join(parts)


def is_shipped(kind: type[Task]) -> bool:
    """Whether the task stands in this folder."""
    return kind.__module__.startswith("tasks.")


def reads_files(kind: type[Task]) -> bool:
    """Whether it needs files of the user."""
    return "folder" in kind.model_fields


def small(name: str) -> Task:
    """The task at the parameters of its example."""
    return parse_component(TASKS, {"name": name, **SMALL.get(name, {})})


def _entry(kind: type[Task]) -> str:
    lines = [
        f"### {kind.name}",
        "",
        _sentence(kind.summary),
        "",
        f"Source: {_escaped(kind.source)}.  ",
        f"Scored: {_escaped(kind.scoring)}  ",
    ]
    if reads_files(kind):
        task = kind.model_construct(folder="")
        lines += [_loss_line(task) + "  ", _edit_line(task)]
        lines += [*_parameters(kind), *_layout(kind)]
        return "\n".join(lines) + "\n"
    task = parse_component(TASKS, {"name": kind.name})
    shown = show(task)
    facts = ", ".join(f"`{fact}`" for fact in sorted(writing.public(shown.facts))) or "none"
    lines += [
        _loss_line(task) + "  ",
        f"Facts: {facts}.  ",
        _edit_line(task),
        *_parameters(kind),
        *_example(kind.name),
        *_numbers(task, shown),
    ]
    return "\n".join(lines) + "\n"


def _loss_line(task: Task) -> str:
    def named(forms: list[Form]) -> str:
        return ", ".join(f"`{form}`" for form in forms) or "none"

    whole = named(writing.bidirectional_forms(task))
    return f"Loss modes: {named(list(task.forms))}; for bidirectional mixers: {whole}."


def _edit_line(task: Task) -> str:
    if type(task).edit is Task.edit:
        return "Edits: none."
    rng = generator("page")
    edit = task.edit(task.sample(rng, 1), rng)
    return "Edits: yes." if edit is not None else "Edits: not at the default parameters."


def _parameters(kind: type[Task]) -> list[str]:
    rows = [f"| `{p.name}` | {p.default} | {_cell(p.doc)} |" for p in writing.parameters(kind)]
    return ["", "| parameter | default | |", "|---|---|---|", *rows] if rows else []


def _example(name: str) -> list[str]:
    task = small(name)
    shown = show(task, num_examples=1)
    given = ", ".join(f"`{k}: {writing.value_text(v)}`" for k, v in SMALL.get(name, {}).items())
    heading, lines = writing.example_lines(task, shown, WIDTH)
    heading = heading.removesuffix(":")
    answers = writing.answer_lines(shown, FEW_ANSWERS)
    title = "Answers" if len(answers) > 1 else "Answer"
    return [
        "",
        f"{heading[0].upper()}{heading[1:]}{f' (at {given})' if given else ''}:",
        "",
        "```text",
        *lines,
        "```",
        "",
        f"{title}: {_escaped('; '.join(answers))}.",
    ]


def _numbers(task: Task, shown: Shown) -> list[str]:
    """To two decimals where real numbers are rounded, otherwise on other machines."""
    digits = 2 if task.real_targets or task.num_features else 3
    oracle = "oracle" if task.determined else BEST
    known = "not known" if shown.oracle is None else writing.share_text(shown.oracle, digits)
    rows = [(oracle, known), ("chance", writing.share_text(shown.chance, digits))]
    rows += [
        (_shortcut(name), writing.share_text(value, digits))
        for name, value in shown.shortcuts.items()
    ]
    text = f"Accuracy at the defaults: {_listed(rows)}."
    if shown.errors:
        errors = writing.oracle_first(shown.errors)
        rows = [(oracle if n == "oracle" else _shortcut(n), f"{e:.2f}") for n, e in errors]
        text += f" Mean squared error: {_listed(rows)}."
    if shown.nats:
        rows = [(name, f"{value:.{digits}f}") for name, value in shown.nats.items()]
        text += f" Nats a target: {_listed(rows)}."
    return ["", text]


def _shortcut(name: str) -> str:
    return f"shortcut *{_escaped(name)}*"


def _listed(rows: list[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {value}" for name, value in rows)


def _layout(kind: type[Task]) -> list[str]:
    """What should be in the folder, and what the docstring says of files, splits and facts."""
    layout = getattr(sys.modules[kind.__module__], "LAYOUT", None)
    lines = [f"In the folder: {_escaped(layout)}.  "] if layout else []
    for label in ("Files", "Splits", "Facts"):
        found = re.search(rf"^{label}: .*?(?=\n\n|\n[A-Z]\w*: |\Z)", _doc(kind), re.DOTALL | re.M)
        if found:
            lines.append(_escaped(" ".join(found[0].split())) + "  ")
    return ["", *lines]


def _doc(kind: type[Task]) -> str:
    return inspect.getdoc(kind) or ""


def _sentence(text: str) -> str:
    return f"{_escaped(text[0].upper() + text[1:])}."


def _cell(text: str) -> str:
    return _escaped(text).replace("|", "\\|")


def _escaped(text: str) -> str:
    """Markdown in which nothing of it is a tag or emphasis; what is in backquotes is so anyway."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([*<])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page())
