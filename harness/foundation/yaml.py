"""YAML 1.2 core, strictly: `1e-3` is a number, `on` and `no` are words, a repeated key is an error.

PyYAML reads YAML 1.1, where `1e-3` is text, `on` is true and `1:30` is ninety. This loader keeps
its parser, replaces its ideas of what a scalar is, and remembers the line of every value.
"""

from __future__ import annotations

import re
from pathlib import Path as FilePath
from typing import Any, NamedTuple

import yaml

from harness.foundation.config import Path
from harness.foundation.errors import HarnessError, Problem

_CORE = [
    ("tag:yaml.org,2002:null", re.compile(r"^(?:null|Null|NULL|~|)$"), "nN~\0"),
    ("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"),
    (
        "tag:yaml.org,2002:int",
        re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"),
        "-+0123456789",
    ),
    (
        "tag:yaml.org,2002:float",
        re.compile(
            r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
        ),
        "-+.0123456789",
    ),
]


MOST_VALUES = 100_000  # in one file, aliases counted as what they stand for


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012  (PyYAML's own attribute)


for _tag, _pattern, _first in _CORE:
    _Loader.add_implicit_resolver(_tag, _pattern, [c if c != "\0" else "" for c in _first])


class Document(NamedTuple):
    """A parsed file: plain data and the line (from 1) of every value."""

    data: Any
    lines: dict[Path, int]
    file: str

    def where(self, path: Path) -> str:
        """`file:line: key.path`, with the line of the nearest enclosing value that is known."""
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        line = self.lines.get(known)
        place = f"{self.file}:{line}" if line else self.file
        return f"{place}: {'.'.join(map(str, path))}" if path else place


def load(text: str, file: str) -> Document:
    """Parses one document. Raises HarnessError that names file, line and fix."""
    try:
        node = yaml.compose(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{file}:{mark.line + 1}" if mark else file
        what = getattr(error, "problem", None) or str(error)
        raise HarnessError(f"not YAML: {what}", where=place, fix=_fix(str(error))) from None
    lines: dict[Path, int] = {}
    problems: list[Problem] = []
    if node is not None:
        _refuse_expansion(node, file)
    data = _construct(node, (), lines, problems, file) if node is not None else None
    if problems:
        raise HarnessError(problems)
    return Document(data, lines, file)


def load_file(path: FilePath) -> Document:
    """Parses a file. Raises HarnessError if it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HarnessError(f"cannot be read: {error}", where=str(path)) from None
    return load(text, str(path))


def scalar(text: str) -> Any:
    """The value of one scalar or flow collection, as given on a command line."""
    return load(text, "command line").data


def _construct(node, path, lines, problems, file):
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [
            _construct(item, (*path, i), lines, problems, file) for i, item in enumerate(node.value)
        ]
    if isinstance(node, yaml.MappingNode):
        out: dict[str, Any] = {}
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            key, line = key_node.value, key_node.start_mark.line + 1
            if not isinstance(key, str):
                problems.append(Problem("a key must be a word", f"{file}:{line}"))
                continue
            if key == "<<":
                problems.append(
                    Problem("merge keys are not supported", f"{file}:{line}", "write the keys out")
                )
                continue
            if key in out:
                problems.append(
                    Problem(
                        f"the key {key!r} stands twice (first in line {first[key]})",
                        f"{file}:{line}",
                        "remove one of them",
                    )
                )
            out[key] = _construct(value_node, (*path, key), lines, problems, file)
            lines[(*path, key)], first[key] = line, line
        return out
    return _scalar(node, problems, file)


def _refuse_expansion(root: yaml.Node, file: str) -> None:
    """An alias may stand inside its own anchor, or repeat until the memory is full."""
    count, open_nodes = 0, set()

    def visit(node: yaml.Node) -> None:
        nonlocal count
        count += 1
        if id(node) in open_nodes or count > MOST_VALUES:
            raise HarnessError(
                "aliases repeat themselves without end",
                where=f"{file}:{node.start_mark.line + 1}",
                fix="write the values out",
            )
        open_nodes.add(id(node))
        for item in node.value if isinstance(node, yaml.CollectionNode) else ():
            for part in item if isinstance(item, tuple) else (item,):
                visit(part)
        open_nodes.remove(id(node))

    visit(root)


def _scalar(node, problems, file):
    tag, text = node.tag, node.value
    try:
        if tag.endswith(":null"):
            return None
        if tag.endswith(":bool"):
            return text.lower() == "true"
        if tag.endswith(":int"):
            return int(text, 0 if text[:2] in ("0x", "0o") else 10)
        if tag.endswith(":float"):
            return float(re.sub(r"\.(inf|nan)", r"\1", text.lower()))
    except ValueError as error:
        place = f"{file}:{node.start_mark.line + 1}"
        problems.append(Problem(f"no number: {error}", place, "write a plain number"))
        return None
    if tag.endswith(":str"):
        return text
    problems.append(
        Problem(f"the tag {tag!r} is not allowed", f"{file}:{node.start_mark.line + 1}", "quote it")
    )
    return None


def _fix(error: str) -> str:
    if "alias" in error or "anchor" in error:
        return "a value that begins with * or & must be quoted: '*'"
    if "tab" in error or "\\t" in error:
        return "indent with spaces, not tabs"
    if "mapping values are not allowed" in error:
        return "quote text that contains a colon"
    return "check indentation, colons and quotes"
