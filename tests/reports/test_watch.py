"""A page that follows a growing ledger, and pages of several ablations."""

from __future__ import annotations

import os
import socket
import time

import pytest

import reports
from ablations.ledger import _boot_id, _started
from reports import records
from reports.watch import watch
from tests.command import orchid
from tests.reports.conftest import Maker

RELOADS = '<meta http-equiv="refresh" content="5">'


@pytest.fixture
def growing(make):
    """A ledger of three runs of which one has ended, and what adds the others."""
    maker = make()
    arm = maker.arm("own")
    maker.run(arm, 0, accuracy=0.25)
    missing = [maker.run(arm, seed, status=None) for seed in (1, 2)]
    maker.db.commit()

    def end(accuracy: float) -> None:
        maker.db.execute("DELETE FROM plan WHERE run_id = ?", (missing.pop(0),))
        maker.run(arm, 2 - len(missing), accuracy=accuracy)
        maker.db.commit()

    return maker, end


def test_the_page_is_drawn_until_all_runs_have_ended(growing):
    maker, end = growing
    seen, told = [], []

    def between(seconds: float) -> None:
        seen.append((maker.folder / "report.html").read_text())
        assert len(seen) < 9
        if len(seen) in (2, 3):  # first, nothing happens
            end(0.5)

    path = watch([maker.folder], drawn=told.append, sleep=between)
    assert told == [path] == [maker.folder / "report.html"]
    assert seen[0] == seen[1] and all(RELOADS in page and "redrawn" in page for page in seen)
    ended = ["1 of 3", "1 of 3", "2 of 3"]
    assert [page[page.index("Unfinished: ") + 12 :][:6] for page in seen] == ended
    final = path.read_text()
    assert RELOADS not in final and "redrawn" not in final and "Unfinished" not in final
    assert "3 of 3 runs finished" in final and final == reports.write_html(maker.folder).read_text()


def test_it_waits_for_a_driver_that_may_plan_more(growing):
    maker, end = growing
    end(0.5), end(0.5)
    about = (1, socket.gethostname(), os.getpid(), _boot_id(), _started(os.getpid()), time.time())
    maker._insert("lock", about)
    maker.db.commit()
    slept = []

    def between(seconds: float) -> None:
        slept.append(seconds)
        maker.db.execute("DELETE FROM lock")
        maker.db.commit()

    watch([maker.folder], sleep=between)
    assert slept == [5]


def test_an_interrupted_page_no_longer_reloads(growing, monkeypatch):
    maker, _ = growing

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        watch([maker.folder], sleep=interrupted)
    page = (maker.folder / "report.html").read_text()
    assert "Unfinished: 1 of 3" in page and RELOADS not in page and "redrawn" not in page


def test_ctrl_c_ends_the_command_with_130(growing, monkeypatch):
    maker, _ = growing

    def interrupted(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr("reports.watch._is_driven", interrupted)
    monkeypatch.setattr("reports.watch._is_over", interrupted)
    result = orchid("report", str(maker.folder), "--watch", code=130)
    assert "watching" in result.stderr and "interrupted" in result.stderr


def test_watching_what_has_ended_ends_at_once(growing):
    maker, end = growing
    end(0.5), end(0.75)
    assert "0.500" in orchid("report", str(maker.folder), "--watch").stdout


def test_what_waits_for_its_nuisances_is_unfinished(make):
    maker = make(to_choose=3)
    maker.run(maker.arm("own"), 0, purpose="selection", status=None)
    page = reports.write_html(maker.done()).read_text()
    assert "Unfinished: 0 of 4 runs have ended" in page
    assert "3 wait for the choice of nuisances" in page


def test_a_finished_ledger_is_not_called_unfinished(make):
    maker = make()
    maker.run(maker.arm("own"), 0)
    folder = maker.done()
    assert "Unfinished" not in reports.write_html(folder).read_text()
    assert records.read(folder).num_left == 0


def test_several_ablations_are_one_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, word in (("first", "supported"), ("second", "untestable")):
        maker = Maker(tmp_path / name, name=name, question=f"Is <{name}> better?")
        for label, accuracy in (("a", 0.9), ("b", 0.1)):
            arm = maker.arm(label)
            for seed in range(5 if word == "supported" else 1):
                maker.run(arm, seed, accuracy=accuracy + seed / 100, curve=[(100, 0.5)])
        maker.claim({"id": "better", "kind": "greater", "a": "a", "b": "b", "metric": "accuracy"})
        maker.done()
    said = orchid("report", "first", "second").stdout
    assert said.splitlines()[-1] == "runs/report.html"
    page = (tmp_path / "runs" / "report.html").read_text()
    top = page[: page.index("<main>")]
    for index, (name, word) in enumerate((("first", "supported"), ("second", "untestable")), 1):
        assert f'<a href="#a{index}-top">Is &lt;{name}&gt; better?</a>' in top
        assert f'<span class="word {word}">1 {word}</span>' in top
        assert f'<article id="a{index}-top">' in page
    assert "10 of 10 runs finished" in top and "2 of 2 runs finished" in top
    orchid("report", "first", "second", "--html", "both.html")
    assert (tmp_path / "both.html").read_text() == page


def test_runs_that_broke_alike_are_told_once(make):
    maker = make()
    arm = maker.arm("own")
    for seed in range(300):
        maker.run(arm, seed, status="failed")
    page = reports.write_html(maker.done()).read_text()
    assert page.count("Traceback (most recent call last)") == 1
    assert "300 runs <span" in page and "own, confirmation seed 199" in page
    assert "and 100 more" in page


def test_verdicts_come_first_with_their_conditions(make):
    maker = make(source={})
    for label, accuracy in (("a", 0.9), ("b", 0.5)):
        arm = maker.arm(label)
        for seed in range(5):
            maker.run(arm, seed, accuracy=accuracy + seed / 100)
    claim = {"id": "x.y", "kind": "greater", "a": "a", "b": "b", "statement": "A & B.",
             "at_least": 0.1}  # fmt: skip
    maker.claim(claim)
    page = reports.write_html(maker.done()).read_text()
    card = page[page.index('<section class="claim is-') :]
    card = card[: card.index("</section>")]
    for part in ("supported", "x.y", "A &amp; B.", "+0.4", "95 % interval", "0.0079",
                 "<details><summary>Conditions</summary>", "5 runs solved",
                 "equal budgets"):  # fmt: skip
        assert part in card, part
    assert page.index("claim is-") < page.index("<h2>Answer</h2>")
