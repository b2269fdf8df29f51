"""The page in a browser: nothing asked of the network, nothing complained of, nothing too wide,
tables that sort and filter. Skipped where there is no Chromium."""

from __future__ import annotations

import pytest

import reports
from harness.bench.report import write_ledger
from reports import browser
from reports.browser import Browser
from tests.reports.conftest import realistic

pytestmark = pytest.mark.skipif(
    browser.find() is None, reason="there is no Chromium (Debian: apt-get install chromium)"
)
BOTH_TABLES = "[...document.querySelectorAll('table')]"
FIRST_CELLS = "[...table.tBodies[0].rows].filter(r => !r.hidden).map(r => r.cells[0].textContent)"
CELLS = ["3/4", "12 min", "-", ">1000", "0.88 [0.8, 0.9]", "12.3k", "1000", "41.7 s", "unsolved",
         "-0.12 [-0.2, -0.1]", "x1.5 [1.2, 2]", "* 0.95", "", "1.5 h", ".5", "1,075"]  # fmt: skip
ASCENDING = ["-0.12 [-0.2, -0.1]", ".5", "3/4", "0.88 [0.8, 0.9]", "* 0.95", "x1.5 [1.2, 2]",
             "41.7 s", "12 min", "1000", ">1000", "1,075", "1.5 h", "12.3k",
             "unsolved"]  # fmt: skip


@pytest.fixture(scope="module")
def chromium():
    with Browser() as started:
        yield started


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A report of one ablation, and one of three."""
    root = tmp_path_factory.mktemp("seen")
    folders = [realistic(root / name) for name in ("a", "b", "c")]
    one = reports.write_html(folders[0], root / "one.html")
    return {"one": one, "several": reports.write_overview(folders, root / "several.html")}


@pytest.mark.parametrize("which", ["one", "several"])
@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_is_whole_at_every_width(chromium, files, which, width, dark):
    page = chromium.open(files[which], width=width, dark=dark)
    assert page.complaints == []
    assert page.requests == [files[which].as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") == width
    sizes = page.evaluate(
        "[...document.querySelectorAll('figure svg')].map(svg => { "
        "const box = svg.getBoundingClientRect(); "
        "return [box.width, box.height, (svg.getAttribute('aria-label') || '').length]; })"
    )
    drawn = files[which].read_text().count("<figure")
    assert len(sizes) == drawn >= (7 if which == "one" else 21)
    assert all(width > 300 and height > 100 and said > 100 for width, height, said in sizes)
    missing = page.evaluate(
        "[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))"
        ".filter(to => !document.getElementById(to.slice(1)))"
    )
    assert missing == []
    shade = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert shade == ("rgb(20, 23, 26)" if dark else "rgb(255, 255, 255)")
    ink = page.evaluate("getComputedStyle(document.querySelector('figure svg')).color")
    assert ink == ("rgb(228, 231, 234)" if dark else "rgb(27, 30, 34)")


def test_names_that_occur_in_several_ablations_differ(chromium, files):
    page = chromium.open(files["several"], width=1000)
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(each => each.id)")
    assert len(ids) == len(set(ids))
    asked = page.evaluate(
        "[...document.querySelectorAll('use')].map(use => use.getAttribute('xlink:href').slice(1))"
    )
    assert asked and set(asked) <= set(ids)


def test_columns_sort_by_click_and_by_key(chromium, files):
    page = chromium.open(files["one"], width=1000)
    page.evaluate("window.table = document.querySelector('#answer table')")
    page.evaluate(
        "window.head = [...table.tHead.rows[0].cells].find(c => c.textContent == 'steps')"
    )
    steps = "[...table.tBodies[0].rows].map(r => r.cells[head.cellIndex].textContent)"
    given = page.evaluate(steps)
    page.evaluate("head.firstChild.click()")
    ascending = page.evaluate(steps)
    assert page.evaluate("head.ariaSort") == "ascending"
    assert sorted(given) == sorted(ascending) and ascending != given
    numbers = [int(cell) for cell in ascending if cell.isdigit()]
    assert numbers == sorted(numbers) and ascending[len(numbers)].startswith(">")
    page.evaluate("head.firstChild.focus()")
    page.press("Enter")
    assert page.evaluate("head.ariaSort") == "descending"
    assert page.evaluate(steps)[-len(numbers) :] == numbers_as_text(numbers)
    page.press("Enter")
    assert page.evaluate(steps) == given and page.evaluate("head.ariaSort") is None


def numbers_as_text(numbers: list[int]) -> list[str]:
    return [str(number) for number in reversed(numbers)]


@pytest.mark.parametrize("direction", ["ascending", "descending"])
def test_cells_sort_as_the_numbers_that_they_show(chromium, files, direction):
    page = chromium.open(files["one"], width=1000)
    page.evaluate(
        f"window.table = document.createElement('table'); table.innerHTML = '<thead><tr><th>x</th>"
        f"</tr></thead><tbody></tbody>'; for (const text of {CELLS!r}) "
        "table.tBodies[0].insertRow().insertCell().append(text); sortable(table);"
    )
    for _ in range(1 + (direction == "descending")):
        page.evaluate("table.querySelector('button').click()")
    sorted_cells = page.evaluate(FIRST_CELLS)
    wanted = ASCENDING if direction == "ascending" else ASCENDING[::-1]
    assert sorted_cells == [*wanted, "-", ""]  # what is not known is last either way


def test_long_tables_can_be_filtered(chromium, files):
    page = chromium.open(files["one"], width=1000)
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    page.evaluate("window.table = document.querySelector('#details table')")
    filters = page.evaluate("[...document.querySelectorAll('.filter')].length")
    long = page.evaluate(f"{BOTH_TABLES}.filter(t => t.tBodies[0].rows.length >= 12).length")
    assert filters == long > 0
    page.evaluate("window.box = table.closest('.scroll').previousElementSibling.control")
    for words, num in (("own CROSS", 3), ("diverged", 1), ("no such run", 0), ("", 21)):
        page.evaluate(f"box.value = '{words}'; box.dispatchEvent(new Event('input'))")
        assert len(page.evaluate(FIRST_CELLS)) == num, words
    page.evaluate("box.value = 'diverged'; box.dispatchEvent(new Event('input'))")
    assert page.evaluate("box.parentElement.textContent").endswith("1 of 21 rows")
    assert page.complaints == []


def test_a_script_from_a_name_is_refused_by_the_policy(chromium, files, tmp_path):
    hurt = tmp_path / "hurt.html"
    text = files["one"].read_text()
    hurt.write_text(text.replace("<main>", "<main><script>window.seen = 1</script>", 1))
    page = chromium.open(hurt, width=1000)
    assert page.evaluate("window.seen") is None
    assert "Content Security Policy" in " ".join(page.complaints)


@pytest.mark.slow
def test_two_thousand_runs_are_a_page_of_less_than_ten_megabytes(chromium, tmp_path):
    file = reports.write_html(write_ledger(tmp_path, 2_000))
    assert file.stat().st_size < 10e6
    page = chromium.open(file, width=1600)
    rows = page.evaluate("document.querySelector('#details table').tBodies[0].rows.length")
    assert rows == 1_000 and page.complaints == []  # as many chose the learning rates
    assert page.evaluate("document.documentElement.scrollWidth") == 1600
