"""Strict, frozen configuration: unknown keys and wrong types are errors that name their place.

A `Config` is a pydantic model. Three functions do the rest: `parse` builds one from plain data
and reports every mistake at once; `to_data` is its inverse; `identity` is what gets hashed: the
fields that differ from their default (but for those marked `NotHashed`), and the version of every
registered component. So a new option invalidates no finished run, and a changed behaviour, which
bumps a version, does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar, NamedTuple, Self, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticUndefined

from harness.foundation.errors import HarnessError, Problem, did_you_mean
from harness.foundation.registry import Registry

Path = tuple[str | int, ...]
C = TypeVar("C", bound="Config")


class Config(BaseModel):
    """Base of every specification: frozen, no coercion, no unknown keys, no NaN."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, but for what was computed of the original and kept there by a
        `cached_property`: it need not hold for the copy."""
        copied = super().model_copy(update=update, deep=deep)
        for key in copied.__dict__.keys() - type(self).__pydantic_fields__.keys():
            del copied.__dict__[key]
        return copied


class Component(Config):
    """A registered configuration, chosen by its `name` and hashed with its `version`."""

    name: ClassVar[str]
    version: ClassVar[int] = 1


class At(ValueError):
    """A validator's complaint about a field below its own: `At("message", "model", "mixer")`."""

    def __init__(self, message: str, *path: str | int):
        super().__init__(message)
        self.path = path


class Implied(dict):
    """A mapping that a key of a field within it has made, as `model.mixer.conditioning.layers` does
    where nothing stands at `conditioning`: as a component it is the default one of its field."""


class FromRegistry(NamedTuple):
    """Annotation of a field that holds a component, `Annotated[Mixer, FromRegistry(MIXERS)]`, or
    `tuple[Mixer, ...]`; then one alone stands for a tuple of one. `Mixer | tuple[Mixer, ...]` keeps
    one alone and several apart."""

    registry: Registry


class NotHashed:
    """Annotation of a field that decides no number, as where files lie does not, and that
    `identity` therefore leaves out: `Annotated[str, NotHashed()]`."""


def parse(
    cls: type[C],
    data: object,
    *,
    where: Callable[[Path], str] = lambda path: ".".join(map(str, path)),
    path: Path = (),
) -> C:
    """Builds `cls` from plain data. Raises HarnessError that lists every problem and its place.

    where: turns the path of a value into what is shown for it (a file and line, say).
    """
    problems: list[Problem] = []
    result = _parse(cls, data, path, where, problems)
    if problems:
        raise HarnessError(problems)
    return result


def parse_component(
    registry: Registry,
    data: object,
    *,
    where: Callable[[Path], str] = lambda path: ".".join(map(str, path)),
    path: Path = (),
):
    """Builds the component that `data` names: a name alone, or a mapping with the key `name`."""
    problems: list[Problem] = []
    result = _parse_component(registry, data, path, where, problems)
    if problems:
        raise HarnessError(problems)
    return result


def to_data(config: Config) -> dict[str, Any]:
    """Plain data that `parse` turns back into an equal configuration."""
    named = {"name": config.name} if isinstance(config, Component) else {}
    return named | {key: _plain(getattr(config, key)) for key in type(config).model_fields}


def identity(config: Config) -> dict[str, Any]:
    """What a hash of the configuration covers; see the module's docstring."""
    if isinstance(config, Component):
        out: dict[str, Any] = {"name": config.name, "version": config.version}
    else:
        out = {}
    for key, default in _hashed_fields(type(config)):
        value = getattr(config, key)
        if isinstance(value, Config):
            inner = identity(value)
            if inner:
                out[key] = inner
        elif isinstance(value, tuple) and any(isinstance(item, Config) for item in value):
            out[key] = [identity(item) if isinstance(item, Config) else item for item in value]
        elif value != default:
            out[key] = _plain(value)
    return out


@cache
def _hashed_fields(cls: type[Config]) -> tuple[tuple[str, Any], ...]:
    """(field, default); kept, because a plan of 100,000 runs asks for each run."""
    return tuple(
        (key, field.get_default(call_default_factory=True))
        for key, field in cls.model_fields.items()
        if not any(isinstance(mark, NotHashed) for mark in field.metadata)
    )


def registry_of(cls: type[Config], field: str) -> Registry | None:
    """The registry that a field's components come from, if it holds one."""
    for mark in cls.model_fields[field].metadata:
        if isinstance(mark, FromRegistry):
            return mark.registry
    return None


def _plain(value: object) -> Any:
    if isinstance(value, Config):
        return to_data(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value


def _parse(cls, data, path, where, problems):
    if isinstance(data, cls):
        return data
    if not isinstance(data, Mapping):
        problems.append(Problem(f"expected a mapping, got {_shown(data)}", where(path)))
        return None
    values, failed = dict(data), set()
    for key, field in cls.model_fields.items():
        if key not in values:
            continue
        registry, count = registry_of(cls, key), len(problems)
        if isinstance(values[key], Implied) and "name" not in values[key]:
            default = field.get_default(call_default_factory=True)
            if isinstance(default, Component):
                values[key] = {"name": default.name} | values[key]
        if registry is not None and _takes_several(field.annotation, values[key]):
            values[key] = _parse_components(registry, values[key], (*path, key), where, problems)
        elif registry is not None:
            values[key] = _parse_component(registry, values[key], (*path, key), where, problems)
        elif isinstance(field.annotation, type) and issubclass(field.annotation, Config):
            values[key] = _parse(field.annotation, values[key], (*path, key), where, problems)
        elif isinstance(values[key], list):
            values[key] = _tuples(values[key])
        if len(problems) > count:
            failed.add(key)
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            if item["loc"] and item["loc"][0] in failed:
                continue
            problems.append(_problem(cls, item, path, where))
        return None


def _takes_several(annotation, data) -> bool:
    if get_origin(annotation) is tuple:
        return True
    several = any(get_origin(part) is tuple for part in get_args(annotation))
    return several and isinstance(data, (list, tuple))


def _tuples(data):
    """Lists within lists as tuples, which is what a frozen configuration holds."""
    return tuple(map(_tuples, data)) if isinstance(data, list) else data


def _parse_components(registry, data, path, where, problems):
    if not isinstance(data, (list, tuple)):
        return (_parse_component(registry, data, path, where, problems),)
    return tuple(
        _parse_component(registry, item, (*path, index), where, problems)
        for index, item in enumerate(data)
    )


def _parse_component(registry, data, path, where, problems):
    if isinstance(data, Component):
        return data
    if isinstance(data, str):
        data = {"name": data}
    if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
        problems.append(
            Problem(
                f"expected the name of {_article(registry.kind)} or a mapping with the key 'name', "
                f"got {_shown(data)}",
                where(path),
                f"known: {', '.join(registry)}",
            )
        )
        return None
    name = data["name"]
    if name not in registry:
        problems.append(
            Problem(
                f"unknown {registry.kind} {name!r}",
                where((*path, "name")) if "name" in data else where(path),
                did_you_mean(name, registry),
            )
        )
        return None
    cls, rest = registry.get(name), {key: value for key, value in data.items() if key != "name"}
    if not issubclass(cls, Component):
        problems.append(
            Problem(
                f"{cls.__name__} is registered as {_article(registry.kind)}, but is none",
                where(path),
                f"derive it from the base class of {registry.kind}s",
            )
        )
        return None
    return _parse(cls, rest, path, where, problems)


def _problem(cls, item, path, where) -> Problem:
    loc = (*path, *(part for part in item["loc"] if isinstance(part, (str, int))))
    kind, got = item["type"], item.get("input", PydanticUndefined)
    if kind == "extra_forbidden":
        owner = f" of {cls.name!r}" if issubclass(cls, Component) else ""
        return Problem(
            f"unknown key {loc[-1]!r}{owner}",
            where(loc),
            did_you_mean(str(loc[-1]), cls.model_fields),
        )
    if kind == "missing":
        return Problem(f"the key {loc[-1]!r} is missing", where(path), f"add {loc[-1]}: ...")
    if kind == "value_error":
        error = item["ctx"]["error"]
        place = where((*loc, *getattr(error, "path", ())))
        return Problem(str(error), place, "change one of the values that are named")
    fix = f"one of {', '.join(cls.model_fields)}" if loc == path else _hint(cls, loc[-1])
    if isinstance(got, str) and kind in ("int_type", "float_type", "int_parsing", "float_parsing"):
        fix = "write a plain number without quotes, such as 3 or 1e-3"
    if kind in ("bool_type", "bool_parsing"):
        fix = "write true or false (yes, no, on and off are words)"
    message = item["msg"].replace("Input should be", "should be")
    return Problem(f"{message}, got {_shown(got)}", where(loc), fix)


def _hint(cls: type[Config], key: str | int) -> str:
    """What would do in place of a refused value."""
    field = cls.model_fields.get(str(key))
    if field is None or field.is_required():
        return "see the documentation of the field"
    default = field.get_default(call_default_factory=True)
    return f"the default is {json.dumps(_plain(default), default=str)}"


def _shown(value: object) -> str:
    value = list(value) if isinstance(value, tuple) else value
    text = repr(value)
    names = {str: "text", dict: "mapping", Implied: "mapping", list: "list", type(None): "nothing"}
    kind = names.get(type(value), type(value).__name__)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({kind})"


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
