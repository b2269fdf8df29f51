"""Protocols: published settings that lie under an ablation's own base.

    protocol: safari
    base: {task: associative_recall, model.mixer: attention}

A protocol is a file of `protocols/`: what all its tasks share (`base`), what differs by task
(`tasks`), the grid that it tunes over (`nuisance`, used where the ablation gives none) and, in
words, what cannot be matched here (`not_matched`). Whatever the ablation sets itself prevails,
field by field; the fields of a task apply to the arms with that task. A field that base or a
factor sets is not tuned.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from harness.foundation import yaml
from harness.foundation.config import Implied, Path
from harness.foundation.errors import HarnessError, did_you_mean

FOLDER = FilePath(__file__).parent / "protocols"


class Protocol(NamedTuple):
    """A protocol's name and its file."""

    name: str
    document: yaml.Document

    @property
    def nuisance(self) -> dict[str, list]:
        """Dotted key -> values."""
        return self.document.data.get("nuisance", {})

    @property
    def about(self) -> dict[str, Any]:
        """What reports say of it."""
        data = self.document.data
        about = {key: data[key] for key in ("summary", "source", "not_matched")}
        return {"name": self.name, **about}

    def under(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """A specification's data with what it leaves open filled in: its task's fields, its
        model's and its training's, each as a whole."""
        out = dict(data)
        if "task" in data:
            out["task"] = _named(data["task"])
        for _, layer in self._layers(data):
            for part, fields in layer.items():
                if part in out or part != "task":
                    out[part] = _filled(out.get(part, {}), fields)
        return out

    def where(self, path: Path, data: Mapping[str, Any]) -> str | None:
        """Place in the protocol's file of the value at this path of a specification; None where
        it does not set it. data: what the ablation itself sets."""
        for place, layer in self._layers(data):
            part = layer.get(path[0], {}) if path else {}
            if len(path) > 1 and path[1] in part:
                return self.document.where((*place, *path))
        return None

    def _layers(self, data: Mapping[str, Any]) -> list[tuple[Path, dict[str, dict[str, Any]]]]:
        """(place in the file, part -> field -> value): of the task first, since it prevails.
        data: of a specification, which may lack a task, or name none."""
        base, tasks = self.document.data["base"], self.document.data.get("tasks", {})
        task = _named(data.get("task"))
        name = task.get("name") if isinstance(task, Mapping) else None
        own = [(("tasks", name), tasks[name])] if isinstance(name, str) and name in tasks else []
        return [*own, (("base",), base)]


def protocols() -> dict[str, FilePath]:
    """The protocols that ship, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def load(name: str) -> Protocol:
    """The protocol of that name. Raises HarnessError for an unknown one."""
    known = protocols()
    if name not in known:
        raise HarnessError(f"no protocol {name!r}", fix=did_you_mean(name, known))
    return Protocol(name, yaml.load_file(known[name]))


def _filled(own: Any, fields: Mapping[str, Any]) -> Any:
    """What the ablation sets (own), completed with the protocol's fields that it leaves open.

    A component is completed likewise if the ablation names the same one, or sets single fields of
    it without a name; another component replaces the protocol's as a whole.
    """
    if not isinstance(own, Mapping):
        return own
    out = {**fields, **own}
    for key in (fields.keys() & own.keys()) - {"name"}:
        given, component = _named(own[key]), _named(fields[key])
        if isinstance(given, Mapping) and isinstance(component, Mapping):
            named = "name" in component and given.get("name") == component["name"]
            if named or isinstance(given, Implied):
                out[key] = _filled(given, component)
    return out


def _named(value: Any) -> Any:
    """A component's name alone stands for a mapping with that name."""
    return {"name": value} if isinstance(value, str) else value
