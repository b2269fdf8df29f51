"""Bad input: what is wrong, in which ledger, and what to do; never a traceback."""

from __future__ import annotations

import sqlite3

import pytest

from ablations.ledger import FILE
from tests.command import orchid
from tests.reports.conftest import Maker


def _sql(statement: str):
    def damage(file):
        db = sqlite3.connect(file)
        db.execute(statement)
        db.commit()
        db.close()

    return damage


def _halve(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _scribble(file):
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(b"\xff" * (size - 4096))


DAMAGES = {
    "no ledger": (lambda file: file.unlink(), "no ledger here|nothing has been run"),
    "an empty file": (lambda file: file.write_bytes(b""), "another format"),
    "text": (lambda file: file.write_text("no database\n" * 99), "another format|cannot be read"),
    "half of it": (_halve, "damaged|cannot be read"),
    "overwritten": (_scribble, "damaged|cannot be read"),
    "another version": (_sql("UPDATE meta SET value = '2' WHERE key = 'version'"), "version 2"),
    "nothing planned": (
        _sql("DELETE FROM meta WHERE key != 'version'"),
        "nothing has been planned",
    ),
    "no grid": (_sql("DELETE FROM meta WHERE key = 'grid_id'"), "damaged"),
    "not JSON": (_sql("UPDATE arms SET spec = '{'"), "damaged"),
    "an unknown claim": (_sql("UPDATE meta SET value = '[7]' WHERE key = 'claims'"), "damaged"),
    "a table gone": (_sql("DROP TABLE measurements"), "damaged"),
}


@pytest.mark.parametrize("damage, told", DAMAGES.values(), ids=DAMAGES)
def test_a_ledger_that_cannot_be_reported(tmp_path, damage, told):
    folders = [tmp_path / name for name in ("whole", "hurt")]
    for folder in folders:
        maker = Maker(folder)
        arm = maker.arm("a")
        for seed in range(3):
            maker.run(arm, seed, curve=[(step, 0.5) for step in range(100)])
        maker.done()
    damage(folders[1] / FILE)
    whole, hurt = map(str, folders)
    for words in ([hurt], [whole, hurt], [whole, hurt, "--watch"]):
        page = str(tmp_path / "page.html")
        said = orchid("report", *words, "--html", page, code=2).stderr
        assert said.startswith("error: ") and hurt in said and "fix:" in said
        assert any(each in said for each in told.split("|")), said
        assert not (tmp_path / "page.html").exists()


def test_what_is_of_one_ablation_is_refused_for_several(folder, tmp_path):
    for option in ("--csv", "--svg", "--out"):
        said = orchid("report", str(folder), str(folder), option, str(tmp_path / "x"), code=2)
        assert "of one ablation" in said.stderr


@pytest.mark.parametrize("verb", ["report", "status", "claims"])
def test_a_folder_without_a_ledger_is_named(tmp_path, monkeypatch, verb):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    said = orchid(verb, "mine", code=2).stderr
    assert "mine: there is no ledger here" in said and "orchid run NAME --out mine" in said
