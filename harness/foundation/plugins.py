"""Components from outside the repository: files given by `--plugin`, packages by entry point.

A plug-in is a Python file that registers tasks or mixers when it is imported. Workers import the
same plug-ins. The digest of its source is recorded with every run that used it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path

from harness.foundation.config import Component
from harness.foundation.errors import HarnessError

ENTRY_POINT_GROUP = "orchid.plugins"
_OWN_PACKAGES = ("harness", "tasks", "ablations", "reports")


def load_plugins(files: Iterable[str]) -> None:
    """Imports the plug-in files, then the installed packages that declare an entry point."""
    for file in files:
        _load_file(Path(file))
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        try:
            entry.load()
        except HarnessError:
            raise
        except Exception as error:
            raise HarnessError(
                f"the plug-in {entry.name!r} does not import: {type(error).__name__}: {error}",
                where=entry.value,
                fix="mend or uninstall the package that provides it",
            ) from error


def source_digest(component: type[Component]) -> str | None:
    """Digest of a plug-in's source file; None for the project's own components."""
    if component.__module__.split(".")[0] in _OWN_PACKAGES:
        return None
    file = inspect.getsourcefile(component)
    return hashlib.blake2b(Path(file).read_bytes(), digest_size=8).hexdigest() if file else None


def _load_file(path: Path) -> None:
    path = path.resolve()
    name = f"plugin_{path.stem}_{hashlib.blake2b(str(path).encode(), digest_size=4).hexdigest()}"
    if name in sys.modules:
        return
    if path.suffix != ".py" or not path.is_file():
        raise HarnessError(
            "not a Python file", where=str(path), fix="--plugin takes the path of a .py file"
        )
    module_spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[name] = module
    try:
        module_spec.loader.exec_module(module)
    except HarnessError:
        del sys.modules[name]
        raise
    except Exception as error:
        del sys.modules[name]
        raise HarnessError(
            f"the plug-in does not import: {type(error).__name__}: {_first_paragraph(error)}",
            where=str(path),
            fix="run it with python to see the whole traceback",
        ) from error


def _first_paragraph(error: Exception) -> str:
    """Without the links that pydantic adds."""
    return str(error).partition("\n\n")[0]
