"""A paper's claims with the published value and ours."""

from __future__ import annotations

import io
import json
import re

import pytest
from rich.console import Console

from ablations import executors, runner
from ablations.reading import load
from harness.foundation.errors import HarnessError
from reports import paper
from tests.ablations.examples import SMALL
from tests.command import orchid

PUBLISHED = """
protocol: safari
source: {paper: "arXiv:1234.56789", where: table 1, not_matched: [its tokenizer]}
claims:
  - id: mixes-better
    statement: Attention recalls more.
    kind: greater
    a: attention
    b: long_conv
    published: {attention: 97.2, long_conv: 8.8}
  - id: elsewhere
    kind: greater
    a: attention
    b: chance
    source: {paper: "arXiv:9999.00001", where: figure 2}
  - id: of-our-own
    kind: greater
    a: long_conv
    b: chance
    source: {where: own}
scales: {smoke: {}, paper: {}}
"""


@pytest.fixture
def library(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL + PUBLISHED)
    return {"small": path}


def test_what_has_not_been_run_says_so(library, tmp_path):
    (source,) = paper.find("1234.56789", library, tmp_path / "runs")
    assert [entry.id for entry in source.entries] == ["mixes-better"]
    assert source.not_matched[0] == "its tokenizer" and len(source.not_matched) > 1
    text = _text([source])
    assert "published: attention 97.2, long_conv 8.8" in text
    assert "smoke: not run" in text and "paper: not run" in text


def test_a_claim_may_name_a_paper_of_its_own(library, tmp_path):
    (source,) = paper.find("9999", library, tmp_path)
    assert [(entry.id, entry.where) for entry in source.entries] == [("elsewhere", "figure 2")]


def test_ours_stands_beside_it(library, tmp_path):
    ablation = load(str(library["small"]))
    folder = tmp_path / "runs" / "small-smoke"
    runner.run(ablation, out=folder, engine=executors.make("local", workers=1))
    (source,) = paper.find("arXiv:1234", library, tmp_path / "runs")
    (entry,) = source.entries
    assert entry.verdicts["smoke"].word == "untestable"  # two seeds
    assert re.search(r"smoke: untestable \(.+\); -; causal; 4 runs", _text([source]))
    assert json.loads(json.dumps(paper.as_data([source])))[0]["entries"][0]["verdicts"]["smoke"]


def test_an_unknown_paper_names_the_known_ones(library, tmp_path):
    with pytest.raises(HarnessError, match=r"no claim.*(?s:.)*did you mean '1234.56789'"):
        paper.find("1234.56780", library, tmp_path)


def test_the_library_has_claims_of_the_orchid_paper(tmp_path):
    found = orchid("paper", "2402.18508", "--json", "--in", str(tmp_path))
    assert json.loads(found.stdout)


def _text(sources) -> str:
    console = Console(file=io.StringIO(), width=200, color_system=None)
    paper.show("x", sources, console)
    return console.file.getvalue()
