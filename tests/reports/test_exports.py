"""Markdown, LaTeX, CSV, Parquet and PDF: one content, and nothing that a name could set off."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from markdown_it import MarkdownIt

import reports
from harness.foundation.errors import HarnessError
from reports import levels, records
from reports.exports import document, latex, markdown
from reports.exports.numbers import is_number
from reports.exports.paths import names
from reports.grid import Grid, Section
from tests.command import orchid

NASTY = [
    "a|b", "`rm`", "<script>alert(1)</script>", "[x](http://e.org)", "50 % & more_of #1 ~ ^ $x$",
    "\\input{/etc/passwd}", "\u03c3 \u00d7 2, na\u00efve \u0141\u00f3d\u017a \u4e2d\u6587 \u2264",
    "[0] first", "* starred", "--what-- ''quoted'' ?` <<x>>", "{open", "=1+1",
    "\u00b2 \ufb01 \u2126",
]  # fmt: skip
ENGINE = shutil.which("pdflatex") or shutil.which("tectonic")


# -- one content --------------------------------------------------------------------------------


def test_markdown_latex_and_csv_hold_the_same_numbers(folder, tmp_path):
    found = document.build(records.read(folder))
    (md,), (tex,) = (
        reports.write_markdown(folder, tmp_path / "a.md"),
        reports.write_latex(folder, tmp_path / "a.tex"),
    )
    md, tex = _markdown_cells(md.read_text()), _latex_cells(tex.read_text())
    cells = [list(row) for section in found.sections for grid in section.grids for row in grid.rows]
    assert md == cells
    assert [[_numbers(cell) for cell in row] for row in tex] == [
        [_numbers(cell) for cell in row] for row in cells
    ]
    answer = {row[0]: row for row in found.sections[0].grids[0].rows}
    for row in csv.DictReader(io.StringIO(reports.to_csv(folder))):
        assert f"{float(row['accuracy']):.3f}" in answer[row["arm"]][1]


def test_all_sections_of_the_page_are_there_with_their_notes(folder, tmp_path):
    (path,) = reports.write_markdown(folder, tmp_path / "a.md")
    found, text = document.build(records.read(folder)), path.read_text()
    assert re.findall("^## (.*)$", text, re.MULTILINE) == [s.title for s in found.sections]
    assert len(found.sections) > 2
    for words in (*found.remarks, *(section.note for section in found.sections)):
        assert markdown.paragraph(words) in text


def test_what_is_equal_in_all_arms_is_said_below(maker):
    for label, params in (("a", 100), ("b", 200)):
        maker.run(maker.arm(label, params=params), 0)
    grid, note = _answer(maker.done())
    assert "params" in grid.head and "state" not in grid.head and "n" not in grid.head
    assert "n 1" in note and "state 704" in note and "params" not in note.split("Accuracy is")[0]


def test_an_arm_alone_keeps_its_columns(maker):
    maker.run(maker.arm("a"), 0)
    grid, note = _answer(maker.done())
    assert {"n", "params", "state"} <= set(grid.head) and "The same in all arms" not in note


def test_levels_are_columns_where_several_factors_vary(maker):
    for mixer in ("orchid", "attention"):
        for length in ("16", "32"):
            given = {"model.mixer": mixer, "task.length": length, "train.steps": "9"}
            maker.run(maker.arm(f"mixer={mixer}, length={length}", levels=given), 0)
    maker.run(maker.arm("none", levels={"variant": "none"}), 0)
    folder = maker.done()
    grid, _ = _answer(folder)
    assert grid.head[:4] == ("mixer", "length", "steps", "variant") and grid.num_names == 4
    assert [row[:4] for row in grid.rows][1:] == [
        ("orchid", "32", "9", "-"), ("attention", "16", "9", "-"),
        ("attention", "32", "9", "-"), ("-", "-", "-", "none"),
    ]  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(reports.to_csv(folder))))
    assert [(row["arm"], row["model.mixer"], row["task.length"]) for row in rows][3:] == [
        ("mixer=attention, length=32", "attention", "32"), ("none", "", ""),
    ]  # fmt: skip


def test_a_factor_that_does_not_vary_is_no_column(maker):
    for length in ("16", "32"):
        given = {"model.mixer": "orchid", "task.length": length}
        maker.run(maker.arm(length, levels=given), 0)
    grid, _ = _answer(maker.done())
    assert grid.head[0] == "arm"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["model.mixer", "task.length"], ["mixer", "length"]),
        (["a.h.length", "b.h.length", "c.x"], ["a.h.length", "b.h.length", "x"]),
        (["length", "task.length"], ["length", "task.length"]),
        ([], []),
    ],
)
def test_titles_are_as_short_as_tells_them_apart(keys, expected):
    assert levels.titles(keys) == expected


# -- nothing is set off -------------------------------------------------------------------------


@pytest.mark.parametrize("name", NASTY)
def test_markdown_keeps_names_as_text(name):
    grid = Grid(("arm", name), [(name, "0.5 [0.4, 0.6]"), (name, name)])
    found = document.Document(name, name, [name], [Section(name, name, [grid])])
    lines = markdown.render(found).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 3 for line in table)
    assert "0.5 [0.4, 0.6]" in table[2]
    bare = re.sub(r"\\[!-/:-@\[-`{-~]", "", "\n".join(lines)).replace("[0.4, 0.6]", "")
    assert not re.search(r"[`<>\[\]*_$~&@]|://", bare.replace("|---|--:|", ""))
    assert re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", lines[0]) == f"# {name}"


@pytest.mark.parametrize("name", NASTY)
def test_a_parser_of_markdown_reads_names_back(name):
    grid = Grid(("arm", name), [(name, "0.5 [0.4, 0.6]"), (name, name)])
    found = document.Document(name, name, [name], [Section(name, name, [grid])])
    tokens = (
        MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(markdown.render(found))
    )
    inline = [token for token in tokens if token.type == "inline"]
    assert {child.type for token in inline for child in token.children} <= {"text", "text_special"}
    read = ["".join(child.content for child in token.children) for token in inline]
    table = ["arm", name, name, "0.5 [0.4, 0.6]", name, name]
    assert read == [name, name, name, *table, name, name]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a", "\\- a"), ("1. a", "1\\. a"), ("12) a", "12\\) a"), ("1.5 a", "1\\.5 a"),
        ("see www.e.org", "see www\\.e.org"), (":tada:", "\\:tada:"), ("so: yes", "so: yes"),
        ("@you", "\\@you"), ("a\n# b", "a \\# b"),
    ],
)  # fmt: skip
def test_markdown_paragraphs_start_nothing(text, expected):
    assert markdown.paragraph(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b & 5 %", r"a\_b \& 5 \%"),
        ("\\x{1}", r"\textbackslash{}x\{1\}"),
        ("~^<>|`", r"\textasciitilde{}\textasciicircum{}\textless{}\textgreater{}\textbar{}"
                   r"\textasciigrave{}"),
        ("#$", r"\#\$"),
        ("\u03c3 \u00d7 \u03a9", r"\ensuremath{\sigma} \ensuremath{\times} \ensuremath{\Omega}"),
        ("\u00e9\u00fc\u0142\u00df", r"\'{e}\" {u}\l{}\ss{}".replace(" ", "")),
        ("\u1ed9", r"\^{\d{o}}"),
        ("x\u00b2", r"x\ensuremath{^{2}}"),
        ("\ufb01", "fi"),
        ("\u2126", r"\ensuremath{\Omega}"),
        ("\u4e2d", r"\texttt{U+4E2D}"),
        ("\U0001f600", r"\texttt{U+1F600}"),
        ("a--b''c", "a-{}-b'{}'c"),
        ("[0]*", "{[}0{]}{*}"),
        ("a\nb\x1b", "a b"),
    ],
)  # fmt: skip
def test_latex_escapes(text, expected):
    assert latex.escape(text) == expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("0.881 [0.83, 0.93]", r"$0.881\ [0.83,\,0.93]$"),
        ("+0.1 [-0.2, +0.4]", r"$+0.1\ [-0.2,\,+0.4]$"),
        ("x1.83 [1.20, inf]", r"$\times 1.83\ [1.20,\,\infty]$"),
        ("at least x2 [1, 3]", r"at least $\times 2\ [1,\,3]$"),
        ("1.2e-05", r"$1.2 \times 10^{-5}$"),
        ("<.0001", "$< .0001$"), (">1600", "$> 1600$"), ("12.3k", r"$12.3\mathrm{k}$"),
        ("3/5", "$3/5$"), ("1,600", "$1{,}600$"), ("-", "--"), ("baseline", "baseline"),
        ("12 arms", "12 arms"), ("8.3 s", r"$8.3\,\mathrm{s}$"), ("1_000", r"1\_000"),
    ],
)  # fmt: skip
def test_latex_numbers_are_mathematics(cell, expected):
    assert latex.number(cell) == expected


@pytest.mark.skipif(ENGINE is None, reason="no pdflatex and no tectonic here")
def test_latex_compiles(maker, tmp_path):
    for label in (*NASTY, *_signs()):
        maker.run(maker.arm(label, levels={"a_b": label, "c^d": "~"}), 0)
    folder = maker.done()
    files = reports.write_latex(folder, tmp_path / "tables")
    (whole,) = reports.write_latex(folder, tmp_path / "all.tex")
    assert whole.read_text().isascii()
    body = "\n\n".join(rf"\input{{{path}}}" for path in (whole, *files))
    head = r"\documentclass{article}\usepackage{booktabs}\begin{document}"
    (tmp_path / "paper.tex").write_text(f"{head}\n{body}\n\\end{{document}}\n")
    options = ["-interaction=nonstopmode", "-halt-on-error"] if "pdflatex" in ENGINE else []
    done = subprocess.run(
        [ENGINE, *options, "paper.tex"], cwd=tmp_path, capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    assert (tmp_path / "paper.pdf").stat().st_size > 5000


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", " =", "\uff1d"])
def test_csv_holds_no_formula_in_cells_levels_or_heads(maker, start):
    for other in ("x", "y"):
        given = {f"{start}cmd|'/c calc'!A0": f"{start}{other}", "b": other}
        maker.run(maker.arm(f"{start}1+{other}", levels=given), 0)
    for line in csv.reader(io.StringIO(reports.to_csv(maker.done()))):
        for cell in line[:3]:
            assert not cell.strip().startswith(("=", "+", "-", "@", "\uff1d")), line
            assert not cell.startswith(("\t", "\r"))


def test_csv_leaves_negative_numbers_alone(maker):
    maker = _with_baseline(maker)
    rows = list(csv.DictReader(io.StringIO(reports.to_csv(maker.done()))))
    assert float(rows[1]["difference"]) == pytest.approx(-0.2)


@pytest.mark.parametrize(
    ("titles", "expected"),
    [
        (["Accuracy", "Accuracy", "accuracy"], ["accuracy", "accuracy-2", "accuracy-3"]),
        (["../../etc/passwd", "a/b\\c:d"], ["etc-passwd", "a-b-c-d"]),
        (["\u4e2d", "", "..", "CON x"], ["figure", "figure-2", "figure-3", "con-x"]),
        (["x" * 300], ["x" * 80]),
    ],
)
def test_file_names_are_safe_and_different(titles, expected):
    assert names(titles, "figure") == expected


# -- files --------------------------------------------------------------------------------------


def test_parquet_reads_back_equal(folder, tmp_path):
    frames = reports.load(folder)
    paths = reports.write_parquet(folder, tmp_path / "frames")
    assert [path.stem for path in paths] == list(frames._fields)
    for path, frame in zip(paths, frames, strict=True):
        pd.testing.assert_frame_equal(pd.read_parquet(path), frame)
    (path,) = reports.write_parquet(folder, tmp_path / "runs.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(path), frames.runs)


def test_figures_are_pdf_with_their_text_as_text(folder, tmp_path):
    paths = reports.write_figures(folder, tmp_path)
    assert {"accuracy.pdf", "learning-curves.pdf", "tuning-curves-learning-rate.pdf"} <= {
        path.name for path in paths
    }
    for path in paths:
        content = path.read_bytes()
        assert content.startswith(b"%PDF-") and b"%%EOF" in content[-10:]
        assert b"/FontFile2" in content and b"/Type3" not in content  # TrueType, embedded
    again = reports.write_figures(folder, tmp_path / "again")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in paths]


def test_figures_take_any_name(maker):
    for label in ("\u4e2d\u6587 \U0001f600", "$x$ <b> \\alpha", "a" * 300):
        facts = [("../a/b", 1, 0.5, 9, 0.1), ("../a/b", 2, 0.7, 9, 0.1)]
        maker.run(maker.arm(label), 0, curve=[(100, 0.5), (200, 0.6)], slices=facts)
    folder = maker.done()
    paths = reports.write_figures(folder, folder / "figures")
    assert {path.parent for path in paths} == {folder / "figures"}
    assert "accuracy-by-a-b.pdf" in {path.name for path in paths}


@pytest.mark.parametrize("status", ["diverged", "failed", None])
def test_figures_without_a_finished_run_are_none(maker, status):
    maker.run(maker.arm("own"), 0, status=status)
    folder = maker.done()
    assert reports.write_figures(folder, folder / "figures") == []
    said = orchid("report", str(folder), "--figures", str(folder / "figures")).stderr
    assert "no figures: no run has finished" in said and not (folder / "figures").exists()


def test_an_arm_without_a_finished_run_is_drawn_and_told(maker):
    maker.run(maker.arm("own"), 0, curve=[(100, 0.5)])
    maker.run(maker.arm("other"), 0, status="failed")
    folder = maker.done()
    assert reports.write_figures(folder, folder / "figures")
    (path,) = reports.write_markdown(folder, folder / "a.md")
    assert "1 run failed: 'other' seed 0" in path.read_text()


def test_the_verb_writes_every_form(maker, tmp_path):
    for label in ("a", "b"):
        maker.run(maker.arm(label), 0)
    folder = maker.done()
    orchid(
        "report", str(folder), "--md", f"{tmp_path}/m/a.md", "--latex", f"{tmp_path}/t",
        "--figures", f"{tmp_path}/f", "--csv", f"{tmp_path}/c/a.csv", "--parquet", f"{tmp_path}/p",
    )  # fmt: skip
    for name in ("m/a.md", "t/answer.tex", "f/accuracy.pdf", "c/a.csv", "p/runs.parquet"):
        assert (tmp_path / name).stat().st_size > 0
    assert (folder / "report.html").is_file()


def test_exports_and_diff_import_neither_torch_nor_ray(folder, tmp_path):
    program = """
import sys, reports, reports.diff
folder, out = sys.argv[1:]
for form in ("markdown", "latex", "parquet", "figures"):
    getattr(reports, f"write_{form}")(folder, f"{out}/{form}")
reports.diff.as_data(reports.diff.compare(folder, folder))
print([name for name in ("torch", "ray", "tensorflow") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder), str(tmp_path)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("form", ["markdown", "latex", "parquet", "figures"])
def test_a_path_in_the_way_is_told(maker, tmp_path, form):
    maker.run(maker.arm("a"), 0)
    folder = maker.done()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(HarnessError, match="cannot be written"):
        getattr(reports, f"write_{form}")(folder, tmp_path / "file" / "below")


# -- helpers ------------------------------------------------------------------------------------


def _signs() -> list[str]:
    """Every printable sign of the blocks that names of parameters use, forty a label."""
    blocks = [(0x21, 0x17F), (0x391, 0x3D6), (0x2010, 0x2044), (0x2070, 0x2090), (0x2190, 0x22FF)]
    signs = [chr(code) for low, high in blocks for code in range(low, high + 1)]
    signs = [sign for sign in signs if sign.isprintable()]
    return ["".join(signs[start : start + 40]) for start in range(0, len(signs), 40)]


def _answer(folder) -> tuple[Grid, str]:
    section = document.build(records.read(folder)).sections[0]
    return section.grids[0], section.note


def _with_baseline(maker):
    maker.db.execute("UPDATE meta SET value = '\"a\"' WHERE key = 'baseline'")
    for label, accuracy in (("a", 0.9), ("b", 0.7)):
        arm = maker.arm(label)
        for seed in range(2):
            maker.run(arm, seed, accuracy=accuracy)
    return maker


def _markdown_cells(text: str) -> list[list[str]]:
    """Rows of all tables without their heads, unescaped."""
    lines = text.splitlines()
    heads = {index - 1 for index, line in enumerate(lines) if line.startswith("|--")}
    rows = [
        line[2:-2].split(" | ")
        for index, line in enumerate(lines)
        if line.startswith("| ") and index not in heads
    ]
    return [[re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", cell) for cell in row] for row in rows]


def _latex_cells(text: str) -> list[list[str]]:
    bodies = re.findall(r"\\midrule\n(.*?)\n\\bottomrule", text, re.DOTALL)
    return [line.removesuffix(r" \\").split(" & ") for body in bodies for line in body.split("\n")]


def _numbers(cell: str) -> list[float]:
    """The numbers of a cell, however it is written."""
    if not (cell.startswith("$") or is_number(cell)):
        return []
    cell = re.sub(r" \\times 10\^\{(-?\d+)\}", r"e\1", cell).replace("{,}", "").replace(r"\,", " ")
    found = re.findall(r"[+-]?(?:\d[\d,]*\.?\d*|\.\d+)(?:e[+-]?\d+)?", cell)
    return [float(each.rstrip(",").replace(",", "")) for each in found]


@pytest.mark.parametrize("write", [reports.write_latex, reports.write_parquet])
def test_a_file_of_another_kind_is_refused(folder, tmp_path, write):
    with pytest.raises(HarnessError, match=r"a\.csv: a file that is written here ends in"):
        write(folder, tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []
    assert len(write(folder, tmp_path / "v1.2")) > 1  # a folder
