"""A task in words: its parameters, an example and the numbers to beat as lines of text."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from typing import Any, NamedTuple

from harness.foundation.config import Config
from tasks.base import Form, Task
from tasks.show import Shown, Token

SHORT_RUN = 3  # equal tokens that are written one by one
MANY_ANSWERS = 8  # in an example, where stars are easier to read
MAX_LINES, LAST_LINES = 12, 3  # of the tokens that are written, and those kept of the end
MAX_ANSWERS = 6  # of an example that are listed with their facts
_GLUE = "\x00"  # stands for a space at which no line ends


class Parameter(NamedTuple):
    """A field of a task: its default, and the docstring beneath it."""

    name: str
    default: str
    doc: str


def parameters(kind: type[Task]) -> list[Parameter]:
    """The fields in their order."""
    docs = {}
    for cls in reversed(kind.__mro__):
        if issubclass(cls, Config) and cls.__module__ != Config.__module__:
            docs |= _field_docs(cls)
    return [
        Parameter(
            name,
            "required" if field.is_required() else value_text(field.default),
            docs.get(name, ""),
        )
        for name, field in kind.model_fields.items()
    ]


def value_text(value: Any) -> str:
    """As it is written in a YAML file."""
    return value if isinstance(value, str) else json.dumps(value)


def share_text(share: float, digits: int = 3) -> str:
    """`0.250`; what would be rounded to nothing in two figures: `0.00024`."""
    text = f"{share:.{digits}f}"
    return f"{share:.2g}" if share and not float(text) else text


def bidirectional_forms(task: Task) -> list[Form]:
    """The loss modes in which a mixer that sees the whole input has anything to learn."""
    open_to = {"answers": not task.answers_in_inputs, "all": False, "masked": True}
    return [form for form in task.forms if open_to[form]]


def example_lines(task: Task, shown: Shown, width: int) -> tuple[str, list[str]]:
    """A heading that explains the marks, and the lines of the example."""
    if shown.drawing:
        return "one example:", [line.rstrip() for line in shown.drawing]
    if task.pooled:
        return "one example:", _wrapped(list(map(_run_text, _merged(shown.example))), width)
    num_answers = sum(bool(token.target) for token in shown.example)
    if task.next_token and num_answers > MANY_ANSWERS:
        heading = "one example; at each * the next token is scored, [->x] is the last answer:"
        *others, last = shown.example
        words = [token.name + "*" if token.target else _run_text(token) for token in others]
        return heading, _wrapped([*words, _run_text(last)], width)
    if num_answers > MANY_ANSWERS and all(t.target in ("", t.name) for t in shown.example):
        heading = "one example; at each * the token itself is scored:"
        words = [token.name + "*" if token.target else _run_text(token) for token in shown.example]
        return heading, _wrapped(words, width)
    heading = "one example; [->x] marks a scored position and its answer:"
    return heading, _wrapped(list(map(_run_text, shown.example)), width)


def answer_lines(shown: Shown, most: int = MAX_ANSWERS) -> list[str]:
    """The first answers of the example, each with its facts."""
    lines = []
    for answer, facts in shown.answers[:most]:
        known = ", ".join(f"{name} {value}" for name, value in public(facts).items())
        lines.append(f"{answer} ({known})" if known else answer)
    rest = len(shown.answers) - len(lines)
    return [*lines, f"... and {rest} more"] if rest else lines


def oracle_first(errors: dict[str, float]) -> list[tuple[str, float]]:
    """Errors by predictor, as accuracies are listed."""
    return sorted(errors.items(), key=lambda item: item[0] != "oracle")


def public(facts: dict[str, Any]) -> dict[str, Any]:
    """Without those that only the task itself reads, whose names begin with `_`."""
    return {name: value for name, value in facts.items() if not name.startswith("_")}


def _run_text(token: Token) -> str:
    if token.target:
        return f"{token.name}{_GLUE}[->{token.target}]"
    if token.count <= SHORT_RUN:
        return " ".join([token.name] * token.count)
    return f"{token.name}{_GLUE}x{token.count}"


def _merged(tokens: list[Token]) -> list[Token]:
    """Without answers, and so with the last position in its run."""
    *others, last = [token._replace(target="") for token in tokens]
    if others and others[-1].name == last.name:
        return [*others[:-1], last._replace(count=others[-1].count + last.count)]
    return [*others, last]


def _wrapped(words: list[str], width: int) -> list[str]:
    lines = textwrap.wrap(" ".join(words), width, break_on_hyphens=False)
    if len(lines) > MAX_LINES:
        first = MAX_LINES - LAST_LINES - 1
        lines = [*lines[:first], "...", *lines[-LAST_LINES:]]
    return [line.replace(_GLUE, " ") for line in lines]


def _field_docs(cls: type) -> dict[str, str]:
    """field -> the string that stands beneath it; nothing where the source cannot be read."""
    try:
        (found,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return {}
    out = {}
    for field, below in zip(found.body, found.body[1:], strict=False):
        is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and is_text and isinstance(below.value.value, str):
            out[field.target.id] = " ".join(below.value.value.split())
    return out
