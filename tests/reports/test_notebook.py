"""docs/analysis.ipynb runs from top to bottom in a fresh kernel."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "analysis.ipynb"


@pytest.mark.slow
def test_every_cell_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    monkeypatch.delenv("MPLBACKEND", raising=False)  # the kernel draws into the notebook
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    from nbclient import NotebookClient

    notebook = nbformat.read(FILE, as_version=4)
    NotebookClient(
        notebook, timeout=180, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [each for each in outputs if "image/png" in each.get("data", {})]
    texts = [each["data"].get("text/plain", "") for each in outputs if "data" in each]
    assert len(pictures) == 2
    assert "True" in texts, "the run came out as recorded"
    assert any("own-recalls-more" in text for text in texts)
    assert not any(each.get("name") == "stderr" for each in outputs)


def test_it_is_small_and_holds_no_path_of_a_machine():
    text = FILE.read_text()
    assert len(text) < 300_000 and "/tmp/" not in text and "/home/" not in text
    nbformat.validate(nbformat.reads(text, as_version=4))
