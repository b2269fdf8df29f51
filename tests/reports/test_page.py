"""The page: self-contained, escaped, whole with a partial ledger; and what reports import."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

import reports
from harness.foundation.errors import HarnessError
from reports import figures, records

VOID = {"meta", "link", "br", "hr", "img", "input"}
NASTY = ["<script>alert(1)</script>", "a & b", '"><img src=x>', "$x_1$ 100%", "=cmd()", "{{ 1 }}"]


def test_the_page_refers_to_nothing_outside(page):
    assert not re.search(r"http", re.sub(r'xmlns(:\w+)?="[^"]*"|http-equiv', "", page))
    assert not re.search(r"@import|<iframe|<object|\bsrc=", page)
    assert all(value.startswith("#") for value in re.findall(r'xlink:href="([^"]*)"', page))
    places = re.findall(r' id="([^"]*)"', page)
    assert all(
        found == "data:," or (found.startswith("#") and found[1:] in places)
        for found in re.findall(r' href="([^"]*)"', page)
    )


def test_the_one_script_is_the_one_that_the_policy_allows(page):
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page and page.count("<script") == 1


def test_tags_are_balanced_and_ids_occur_once(page):
    checker = _Balance()
    checker.feed(page)
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))


def test_names_come_out_as_text_everywhere(maker):
    for index, label in enumerate(NASTY):
        arm = maker.arm(label)
        for seed in range(2):
            maker.run(
                arm, seed, accuracy=0.5 + index / 20, curve=[(100, 0.3), (200, 0.6)],
                slices=[("dist<i>", 1, 0.5, 9, 1.5), ("dist<i>", 2, 0.7, 9, 0.9)],
            )  # fmt: skip
    folder = maker.done()
    page = reports.write_html(folder).read_text()
    assert page.count("<script") == 1 and "<img" not in page and "<i>" not in page
    assert "&lt;script&gt;alert(1)" in page and "{{ 1 }}" in page
    drawn = _figures(folder)
    assert [picture.title for picture in drawn][-1] == "Accuracy by dist<i>"
    for picture in drawn:
        said = " ".join(ElementTree.fromstring(picture.svg).itertext())
        assert "a & b" in said and "$x_1$" in said
        assert '"><img src=x>' in said


def test_figures_are_named_and_follow_the_page(page):
    titles = [
        "Accuracy",
        "Effects against the baseline",
        "Steps to solve",
        "Learning curves",
        "Learning curves over FLOPs",
        "Learning curves over seconds",
        "Accuracy by distance",
        "Accuracy by occurrences",
        "Tuning curves: learning rate",
    ]
    assert re.findall("<h3>(.*)</h3>", page) == titles
    drawings = re.findall(r"<svg .*?</svg>", page, flags=re.DOTALL)
    assert len(drawings) == len(titles)
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert root.get("role") == "img" and len(root.get("aria-label")) > 100
        assert "currentColor" in drawing and "#010203" not in drawing


def test_figures_are_deterministic(maker):
    maker.run(maker.arm("a"), 0, curve=[(100, 0.3), (200, 0.6)])
    folder = maker.done()
    first, second = ([picture.svg for picture in _figures(folder)] for _ in range(2))
    assert first == second


def test_a_source_may_be_plain_text(make):
    maker = make(source="Table 2 of <a paper>")
    maker.arm("a")
    assert "After Table 2 of &lt;a paper&gt;" in reports.write_html(maker.done()).read_text()


@pytest.mark.parametrize("num_arms", [1, 2, 6, 7])
def test_figures_of_few_and_many_arms(maker, num_arms):
    for index in range(num_arms):
        arm = maker.arm(f"arm {index}")
        slices = [("distance", d, 0.5, 1 + d % 3, 1.5) for d in range(40)]
        maker.run(arm, 0, curve=[(100, 0.3), (200, 0.6)], slices=slices)
    drawn = _figures(maker.done())
    assert len(drawn) == 3 + (num_arms > 1)  # the curves over seconds
    for picture in drawn:
        said = " ".join(ElementTree.fromstring(picture.svg).itertext())
        assert all(f"arm {index}" in said for index in range(num_arms))


def test_letters_that_the_font_lacks_pass(maker):
    maker.run(maker.arm("\u4e2d\u6587"), 0, curve=[(1, 0.5)])
    assert "\u4e2d\u6587" in reports.write_html(maker.done()).read_text(encoding="utf-8")


def test_a_partial_page_says_what_is_missing(page):
    assert "18 of 21 runs finished, 1 diverged, 1 failed, 1 missing" in page
    assert "Traceback (most recent call last)" in page  # of the failed run, in <details>
    assert page.count('class="won"') == 7
    assert "a better one may lie beyond it" in page


def test_a_run_that_failed_before_it_finished_is_told(maker):
    arm = maker.arm("a")
    run_id = maker.run(arm, 0)
    maker.db.execute("INSERT INTO failures VALUES (?, 'worker died', 'trace', 1.0)", (run_id,))
    page = reports.write_html(maker.done()).read_text()
    assert "failed, then tried again: finished" in page and "worker died" in page


def test_the_page_has_protocol_provenance_and_text(page):
    for part in (
        "model.width", "fresh examples in every batch", "lr 0.001; lr 0.003; lr 0.01",
        "2.13.0 (runs: 61), 2.12.1 (runs: 1)", "name: conditioning", "arXiv:2402.18508",
    ):  # fmt: skip
        assert part in page
    assert "train.lr</dt>" not in page  # tuned, so not fixed


def test_what_arms_share_of_a_pattern_of_mixers_is_told_entry_by_entry(maker):
    for label in ("a", "b"):
        mixers = [{"name": "orchid"}, {"name": "attention", "heads": 1 if label == "a" else 2}]
        maker.run(maker.arm(label, {"model": {"mixer": mixers, "layers": 2}}), 0)
    page = reports.write_html(maker.done()).read_text()
    assert "model.mixer.0.name</dt>" in page and "model.mixer.1.name</dt>" in page
    assert "model.mixer.1.heads</dt>" not in page


def test_an_empty_plan_has_a_page_anywhere(maker, tmp_path):
    path = reports.write_html(maker.done(), tmp_path / "elsewhere" / "page.html")
    assert "no answer" in path.read_text()


def test_a_path_that_cannot_be_written_is_told(maker, tmp_path):
    with pytest.raises(HarnessError, match="cannot be written"):
        reports.write_csv(maker.done(), tmp_path)


def test_reports_import_neither_torch_nor_ray(folder):
    program = """
import sys, reports
heavy = ("pandas", "matplotlib", "jinja2", "rich", "scipy", "pydantic")
light = [name for name in heavy if name in sys.modules]
import reports.tensorboard
reports.load(sys.argv[1]); reports.write_html(sys.argv[1]); reports.write_csv(sys.argv[1])
reports.show(sys.argv[1]); reports.tensorboard.rebuild(sys.argv[1])
print("loaded", light, [m for m in ("torch", "ray", "tensorflow") if m in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "loaded [] []"


def _figures(folder):
    found = records.read(folder)
    return figures.draw(found)


class _Balance(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.ids = [], []

    def handle_starttag(self, tag, attributes):
        self.ids += [value for key, value in attributes if key == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.ids += [value for key, value in attributes if key == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
