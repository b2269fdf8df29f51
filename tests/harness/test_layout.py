"""The order of imports: foundation < tasks < harness < ablations < reports < cli."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ORDER = ["harness.foundation", "tasks", "harness", "ablations", "reports", "harness.cli"]
# What the verbs are made of stands beside them, above everything.
VERBS = {
    "harness.bench",
    "harness.cli",
    "harness.catalogue",
    "harness.progress",
    "harness.doctor",
    "harness.scaffold",
}


def rank(module: str) -> int:
    if any(module == verb or module.startswith(verb + ".") for verb in VERBS):
        return ORDER.index("harness.cli")
    matches = [name for name in ORDER[:-1] if module == name or module.startswith(name + ".")]
    return ORDER.index(max(matches, key=len)) if matches else -1


def modules() -> list[tuple[str, Path]]:
    files = [
        p
        for top in ("harness", "tasks", "ablations", "reports")
        for p in (ROOT / top).rglob("*.py")
    ]
    return [
        (".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), p)
        for p in files
    ]


@pytest.mark.parametrize(("name", "path"), modules(), ids=[name for name, _ in modules()])
def test_nothing_imports_upwards(name, path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            imported = [node.module or ""]
            if node.module in ("harness", "ablations", "reports"):
                imported = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        else:
            continue
        for other in imported:
            assert rank(other) <= rank(name), f"{name} imports {other}"


@pytest.mark.parametrize(
    "verb",
    [
        ["--help"],
        ["run", "--help"],
        ["bench", "--help"],
        ["bench", "mixers", "--help"],
        ["status", "nothing"],
        ["report", "nothing"],
        ["claims", "nothing"],
        ["diff", "nothing", "else"],
    ],
)
def test_light_verbs_import_neither_torch_nor_ray(verb, tmp_path):
    code = (
        "import sys\nfrom harness.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'ray')))"
    )
    done = subprocess.run([sys.executable, "-c", code, *verb], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_the_package_itself_is_empty():
    assert (ROOT / "harness/__init__.py").read_text() == ""
