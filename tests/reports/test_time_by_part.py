"""Where the time went, in a sentence, on the page and in frames."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

import reports
from reports.records import read
from reports.time_by_part import time_by_part

SECONDS = {"setup": 1.0, "data": 0.2, "steps": 94.0, "evaluation": 4.0, "test": 0.8}


def test_parts_are_summed_over_runs_and_small_ones_left_out(maker):
    arm = maker.arm("own")
    maker.run(arm, 0, seconds=SECONDS)
    maker.run(arm, 1, seconds={"steps": 100.0}, status="diverged")
    assert time_by_part(read(maker.done())) == (
        "Of 3 min on workers 97 % were training steps, 2 % evaluation."
    )


def test_runs_that_recorded_no_parts_are_told(maker):
    arm = maker.arm("own")
    maker.run(arm, 0)
    maker.db.commit()
    assert time_by_part(read(maker.folder)) == ""
    maker.run(arm, 1, seconds={"steps": 8.0, "test": 2.0})
    assert time_by_part(read(maker.done())) == (
        "Of 10.0 s on workers (of 1 of 2 runs) 80 % were training steps, 20 % tests."
    )


def test_page_and_terminal_say_it(maker):
    maker.run(maker.arm("own"), 0, seconds=SECONDS, steps=400)
    folder, text = maker.done(), io.StringIO()
    reports.show(folder, Console(file=text, width=200))
    page = reports.write_html(folder).read_text()
    for said in (
        "Of 2 min on workers 94 % were training steps, 4 % evaluation, 1 % set-up",
        "Early stopping saved 75 % of the planned steps (1,200 of 1,600).",
    ):
        assert said in page and said in text.getvalue()


def test_frames_have_the_seconds(maker):
    arm = maker.arm("own")
    maker.run(arm, 0, seconds=SECONDS)
    maker.run(arm, 1)
    runs = reports.load(maker.done()).runs
    columns = [f"{part}_s" for part in SECONDS]
    assert runs[columns].iloc[0].to_list() == pytest.approx(list(SECONDS.values()))
    assert runs[columns].iloc[1].isna().all()
    assert {str(kind) for kind in runs[columns].dtypes} == {"float64"}
