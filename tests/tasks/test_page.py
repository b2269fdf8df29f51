"""docs/tasks.md is what the tasks write; and how a task is put into words."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

import tasks
from tasks import page, writing
from tasks.base import GROUPS, TASKS
from tasks.induction_heads import InductionHeads
from tasks.show import Shown, Token, show

FILE = Path(__file__).parents[2] / "docs" / "tasks.md"
TEXT = FILE.read_text(encoding="utf-8")
FIX = "it is not current: python -m tasks.page > docs/tasks.md"
NAMES = [name for name in TASKS if page.is_shipped(TASKS.get(name))]
DRAWN = [name for name in NAMES if not page.reads_files(TASKS.get(name))]
MOST_TOKENS, MOST_LINES = 64, 40  # of an example on the page


@pytest.mark.parametrize("name", NAMES)
def test_the_entry_of_a_task_is_current(name):
    if name == "digits":
        pytest.importorskip("sklearn")
    assert page._entry(TASKS.get(name)) in TEXT, FIX


def test_the_page_has_every_task_under_its_group():
    assert TEXT.startswith(page.HEAD), FIX
    headings = re.findall(r"^##+ (.*)$", TEXT, re.MULTILINE)
    expected = []
    for group in GROUPS:
        some = [name for name in NAMES if TASKS.get(name).group == group]
        expected += [group[0].upper() + group[1:], *some] if some else []
    assert headings == expected, FIX


def test_the_page_is_its_parts(monkeypatch):
    monkeypatch.setattr(page, "TASKS", {"induction_heads": InductionHeads})
    entry = page._entry(InductionHeads)
    assert page.page() == f"{page.HEAD}\n## Induction and copying\n\n{entry}"


@pytest.mark.parametrize("name", DRAWN)
def test_the_example_of_a_task_is_short(name):
    if name == "digits":
        pytest.importorskip("sklearn")
    task = page.small(name)
    shown = show(task, num_examples=1)
    _, lines = writing.example_lines(task, shown, page.WIDTH)
    assert 0 < len(lines) <= MOST_LINES
    assert sum(token.count for token in shown.example) <= MOST_TOKENS, (
        f"give {name} smaller parameters in tasks/page.py"
    )


def test_small_parameters_are_those_of_shipped_tasks():
    assert set(page.SMALL) <= set(DRAWN)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_explained(name):
    for each in writing.parameters(TASKS.get(name)):
        assert len(each.doc) > 3 and each.doc.endswith("."), each


def test_tasks_on_files_say_what_should_be_there():
    for name in set(NAMES) - set(DRAWN):
        entry = page._entry(TASKS.get(name))
        assert "\nFiles: " in entry and "| `folder` | required |" in entry, name


def test_nothing_on_the_page_is_taken_for_a_tag():
    outside = re.sub(r"```.*?```|`[^`\n]*`", "", TEXT, flags=re.DOTALL)
    assert not re.search(r"(?<!\\)<", outside)
    assert page._escaped("a * b < c `d * e < f`") == r"a \* b \< c `d * e < f`"


def test_the_program_is_not_loaded_with_the_tasks():
    """Else `python -m tasks.page` would warn that it runs twice."""
    code = "import sys, tasks, tasks.show; sys.exit('tasks.page' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, check=True)


# -- words ----------------------------------------------------------------------------------------


def test_parameters_with_defaults_and_docstrings():
    found = {each.name: each for each in writing.parameters(InductionHeads)}
    assert list(found) == list(InductionHeads.model_fields)
    assert found["length"] == ("length", "30", "Tokens in the body.")
    assert found["marked"].default == "true"
    folder = writing.parameters(TASKS.get("lra_text"))[0]
    assert folder.default == "required" and folder.doc.startswith("Where the files lie.")


def test_a_subclass_has_the_parameters_of_its_base():
    class Longer(InductionHeads):
        length: int = 60
        """Tokens, and
        more of them."""
        extra: None = None

    found = {each.name: each for each in writing.parameters(Longer)}
    assert found["length"] == ("length", "60", "Tokens, and more of them.")
    assert found["vocab_size"].doc == 'Tokens, "." and "=>" included.'
    assert found["extra"] == ("extra", "null", "")


def test_parameters_of_a_class_whose_source_is_gone():
    scope = {"InductionHeads": InductionHeads}
    exec("class Own(InductionHeads):\n    more: int = 1\n    'A line.'", scope)
    assert writing.parameters(scope["Own"])[-1] == ("more", "1", "")


@pytest.mark.parametrize(
    "share, digits, text",
    [(0.25, 3, "0.250"), (1 / 4096, 3, "0.00024"), (0.0, 3, "0.000"), (0.0784, 2, "0.08"),
     (0.0005001, 3, "0.001"), (1.0, 2, "1.00")],
)  # fmt: skip
def test_small_shares_are_not_rounded_to_nothing(share, digits, text):
    assert writing.share_text(share, digits) == text


def _shown(*example: Token, answers=()) -> Shown:
    return Shown(list(example), [], list(answers), 0.1, 1.0, {}, {}, None, {}, 1)


def test_short_runs_are_written_out():
    shown = _shown(Token("a", count=3), Token("b", count=4), Token("c", "x"))
    heading, lines = writing.example_lines(InductionHeads(), shown, 80)
    assert lines == ["a a a b x4 c [->x]"] and "[->x] marks" in heading


def test_a_position_and_its_answer_stay_on_one_line():
    shown = _shown(*[Token("aaaa", "b")] * 8)
    _, lines = writing.example_lines(InductionHeads(), shown, 24)
    assert lines == ["aaaa [->b] aaaa [->b]"] * 4


def test_many_next_tokens_are_stars():
    shown = _shown(*[Token("a", "a")] * 9)
    heading, lines = writing.example_lines(InductionHeads(), shown, 80)
    assert lines == ["a* a* a* a* a* a* a* a* a [->a]"] and "at each *" in heading

    class Other(InductionHeads):
        next_token: ClassVar[bool] = False

    _, lines = writing.example_lines(Other(), _shown(*[Token("a", "b")] * 9), 80)
    assert lines == [" ".join(["a [->b]"] * 9)]


def test_many_tokens_that_ask_for_themselves_are_stars():
    task = tasks.get("compression")
    shown = _shown(*[Token("a", "a")] * 9, Token("b", count=2))
    heading, lines = writing.example_lines(task, shown, 80)
    assert lines == ["a* a* a* a* a* a* a* a* a* b b"] and "the token itself" in heading
    shown = _shown(*[Token("a", "a")] * 9, Token("b", "a"))
    assert writing.example_lines(task, shown, 120)[1] == ["a [->a] " * 9 + "b [->a]"]


def test_the_answer_of_a_pooled_task_stands_below_alone():
    task = tasks.get("listops")
    shown = _shown(Token("1"), Token("_", count=8), Token("_", "7"))
    assert writing.example_lines(task, shown, 80) == ("one example:", ["1 _ x9"])
    shown = _shown(Token("1"), Token("2", "7"))
    assert writing.example_lines(task, shown, 80)[1] == ["1 2"]
    assert writing.example_lines(task, _shown(Token("2", "7")), 80)[1] == ["2"]


def test_long_examples_lose_their_middle():
    shown = _shown(*[Token(str(number)) for number in range(1000, 1100)])
    _, lines = writing.example_lines(InductionHeads(), shown, 10)
    assert len(lines) == 12 and lines[8] == "..."
    assert lines[0] == "1000 1001" and lines[-1] == "1098 1099"


def test_a_drawing_has_no_blanks_at_its_ends():
    shown = _shown()._replace(drawing=["  ## ", "   "])
    assert writing.example_lines(InductionHeads(), shown, 80) == ("one example:", ["  ##", ""])


def test_answers_with_their_facts():
    answers = [("a", {"depth": 1, "_own": 7}), ("b", {}), ("c", {"depth": 3, "far": 2})]
    assert writing.answer_lines(_shown(answers=answers)) == ["a (depth 1)", "b",
                                                             "c (depth 3, far 2)"]  # fmt: skip
    assert writing.answer_lines(_shown(answers=answers), 1) == ["a (depth 1)", "... and 2 more"]


@pytest.mark.parametrize(
    "name, parameters, forms",
    [
        ("induction_heads", {}, ["answers", "masked"]),
        ("associative_recall", {"num_queries": 2}, ["masked"]),
        ("listops", {}, ["answers"]),
        ("dyck", {}, []),
        ("dyck", {"length": 9, "scored": "last"}, ["answers"]),
        ("markov_chains", {"scored": "last"}, ["answers", "masked"]),
        ("markov_chains", {}, []),
    ],
)
def test_what_bidirectional_mixers_can_learn_from(name, parameters, forms):
    assert writing.bidirectional_forms(tasks.get(name, **parameters)) == forms
