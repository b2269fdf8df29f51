"""YAML, strict configuration, registries, seeds, plug-ins."""

from __future__ import annotations

import pickle
import subprocess
import sys
from abc import ABC, abstractmethod
from typing import Annotated

import numpy as np
import pytest
from pydantic import Field

from harness.foundation import yaml
from harness.foundation.config import (
    Config,
    NotHashed,
    identity,
    parse,
    parse_component,
    to_data,
)
from harness.foundation.errors import HarnessError, did_you_mean
from harness.foundation.plugins import load_plugins
from harness.foundation.registry import Registry
from harness.foundation.seeding import generator, short_hash
from harness.spec import RunSpec, TrainSpec
from tests.harness.runs import TINY, tiny

SCALARS = {
    "1e-3": 1e-3, "3": 3, "-3": -3, "0x1f": 31, "0o17": 15, "017": 17, "1.": 1.0, ".5": 0.5,
    "1_000": "1_000", "on": "on", "no": "no", "yes": "yes", "y": "y", "true": True, "False": False,
    "1:30": "1:30", "2020-01-01": "2020-01-01", "null": None, "~": None, "": None, "'1'": "1",
    "=": "=", "<<": "<<", "[1, a]": [1, "a"], "{a: 1e3}": {"a": 1e3},
}  # fmt: skip


@pytest.mark.parametrize("text", SCALARS)
def test_scalars_follow_yaml_1_2(text):
    value = yaml.load(f"key: {text}", "f.yaml").data["key"]
    assert value == SCALARS[text]
    assert type(value) is type(SCALARS[text])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2", ["f.yaml:2", "'a' stands twice", "line 1"]),
        ("a:\n  b: 1\n  b: 2", ["f.yaml:3"]),
        ("a: *", ["f.yaml:1", "quoted"]),
        ("a: *name", ["f.yaml:1", "quoted"]),
        ("a: [1, 2", ["f.yaml"]),
        ("a: b: c", ["f.yaml:1", "colon"]),
        ("a:\n\tb: 1", ["f.yaml:2"]),
        ("a: !!python/object:os.system x", ["f.yaml:1", "tag"]),
    ],
)
def test_what_is_no_yaml_is_said_with_its_line(text, said):
    with pytest.raises(HarnessError) as error:
        yaml.load(text, "f.yaml")
    for part in said:
        assert part in str(error.value)


def test_lines_are_remembered():
    document = yaml.load("a:\n  b:\n    - 1\n    - c: 2\n", "f.yaml")
    assert document.where(("a", "b", 1, "c")) == "f.yaml:4: a.b.1.c"
    assert document.where(("a", "x")) == "f.yaml:1: a.x"


BAD = [
    ({"train": {"stepz": 3}}, ["train.stepz", "did you mean 'steps'"]),
    ({"train": {"steps": "3"}}, ["train.steps", "text", "without quotes"]),
    ({"train": {"steps": 3.5}}, ["train.steps"]),
    ({"train": {"steps": True}}, ["train.steps"]),
    ({"train": {"stop_when_solved": "on"}}, ["train.stop_when_solved", "words"]),
    ({"train": {"lr": float("nan")}}, ["train.lr"]),
    ({"train": {"lr": -1.0}}, ["train.lr", "greater than 0"]),
    ({"train": 3}, ["train", "mapping"]),
    ({"task": "associative_recal"}, ["did you mean 'associative_recall'"]),
    ({"task": {"length": 3}}, ["task", "name of a task"]),
    ({"task": {"name": "associative_recall", "length": 1}}, ["task.length"]),
    ({"task": {"name": "associative_recall", "vocab_size": 3}}, ["task.vocab_size"]),
    ({"task": {"name": "associative_recall", "lenght": 8}}, ["task.lenght", "'length'"]),
    ({"model": {"mixer": "orchd"}}, ["model.mixer", "did you mean 'orchid'"]),
    ({"model": {"mixer": {"name": "orchid", "conditioning": {"name": "static", "input": "own"}}}},
     ["model.mixer.conditioning.input", "'static'"]),
    ({"model": {"mixer": {"name": "attention", "heads": 3}, "width": 8}}, ["3", "8"]),
    ({"train": {"warmup_steps": 10, "steps": 5}}, ["10 > 5"]),
    ({"train": {"train_examples": 2, "batch_size": 4}}, ["2 < 4"]),
    ({"model": {"mixer": "orchid"}, "train": {"loss": "all"}}, ["bidirectional", "all", "masked"]),
    ({"task": {"name": "associative_recall", "num_queries": 2, "length": 16},
      "model": {"mixer": "orchid"}}, ["bidirectional", "answers"]),
    ({"task": "listops", "train": {"loss": "all"}}, ["listops", "next tokens"]),
    ({"task": "listops", "model": {"mixer": "orchid", "tied": True}}, ["tied"]),
    ({"model": {"mixer": "orchid", "pool": "mean"}}, ["pool"]),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), BAD)
def test_a_bad_run_is_refused_with_place_and_fix(changes, said):
    with pytest.raises(HarnessError) as error:
        parse(RunSpec, {**TINY, **changes})
    for part in said:
        assert part in str(error.value)


def test_several_mistakes_are_said_at_once():
    data = {"task": {"name": "associative_recall", "lenght": 3}, "model": {"widht": 3},
            "train": {"steps": 0, "lr": "fast"}}  # fmt: skip
    with pytest.raises(HarnessError) as error:
        parse(RunSpec, data)
    assert len(error.value.problems) == 5  # mixer is missing, too


def test_errors_cross_process_borders():
    error = HarnessError("wrong", where="here", fix="mend it")
    assert pickle.loads(pickle.dumps(error)).problems == error.problems


def test_data_and_back():
    for spec in (tiny(), tiny(model__channel_mixer={"kind": "none"}, train__loss="masked")):
        assert parse(RunSpec, to_data(spec)) == spec
        assert parse(RunSpec, to_data(spec)).run_id == spec.run_id


def test_what_equals_its_default_is_not_hashed():
    assert tiny(train__clip_norm=1.0).run_id == tiny().run_id
    assert tiny(train__clip_norm=2.0).run_id != tiny().run_id
    assert "clip_norm" not in str(identity(tiny()))


def test_a_copy_has_its_own_run_id():
    """It is kept once computed, and must not be handed to a changed copy."""
    spec = tiny()
    assert spec.run_id == spec.model_copy().run_id
    changed = spec.model_copy(update={"seed": 7})
    assert changed.run_id == tiny(seed=7).run_id != spec.run_id
    assert changed.model_copy(update={"seed": 0}, deep=True).run_id == spec.run_id
    assert spec == tiny() and to_data(spec) == to_data(tiny())
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_a_version_is_hashed(monkeypatch):
    before = tiny().run_id
    monkeypatch.setattr(type(tiny().task), "version", 99)
    assert tiny().run_id != before


class Placed(Config):
    """Where something lies, and what it is."""

    place: Annotated[str, NotHashed(), Field(min_length=1)]
    note: Annotated[str, NotHashed()] = ""
    what: int = 3


class Holder(Config):
    held: Placed
    several: tuple[Placed, ...] = ()


def test_what_is_marked_so_is_not_hashed():
    here, there = Placed(place="here", what=4), Placed(place="there", note="moved", what=4)
    assert identity(here) == identity(there) == {"what": 4}
    assert identity(Placed(place="here", what=5)) == {"what": 5}
    holders = [Holder(held=one, several=(other,)) for one, other in ((here, there), (there, here))]
    assert identity(holders[0]) == identity(holders[1])
    # Everything but the hash keeps it.
    assert here != there and to_data(there) == {"place": "there", "note": "moved", "what": 4}
    assert parse(Placed, to_data(there)) == there
    with pytest.raises(HarnessError, match="the key 'place' is missing"):
        parse(Placed, {})


def test_runs_of_a_cohort_differ_in_seed_rate_and_decay_alone():
    key = tiny().cohort_key
    assert tiny(seed=3, train__lr=1.0, train__weight_decay=0.5).cohort_key == key
    assert tiny(train__batch_size=8).cohort_key != key
    assert tiny(purpose="selection").cohort_key != key


def test_registry_names_both_objects_and_suggests():
    registry: Registry = Registry("thing")

    @registry.register("alpha")
    class First:
        pass

    class Second:
        pass

    with pytest.raises(HarnessError, match=r"First.*Second"):
        registry.register("alpha")(Second)
    with pytest.raises(HarnessError, match="did you mean 'alpha'"):
        registry.get("alpah")
    assert "known: x, y" in did_you_mean("nothing like it", ["y", "x"])


def test_a_class_that_lacks_something_is_not_registered():
    class Lacking(ABC):
        @abstractmethod
        def beta(self): ...

    with pytest.raises(HarnessError, match=r"the thing 'alpha' lacks beta: .*Lacking in "):
        Registry("thing").register("alpha")(Lacking)


def test_a_class_that_is_no_component_is_refused():
    registry: Registry = Registry("thing")
    registry.register("alpha")(type("Stranger", (), {}))
    with pytest.raises(HarnessError, match="Stranger is registered as a thing, but is none"):
        parse_component(registry, "alpha")


def test_a_generator_depends_on_its_key_alone():
    draw = (
        "from harness.foundation.seeding import generator as g; print(g('a', 1).integers(1 << 62))"
    )
    elsewhere = subprocess.run(
        [sys.executable, "-c", draw], capture_output=True, text=True, check=True
    ).stdout
    assert int(elsewhere) == generator("a", 1).integers(1 << 62)
    assert generator("a", 1).integers(1 << 62) != generator("a", "1").integers(1 << 62)
    assert generator("a", 11).integers(1 << 62) != generator("a", 1, 1).integers(1 << 62)


def test_a_hash_does_not_depend_on_the_order_of_keys():
    assert short_hash({"a": 1, "b": 2}) == short_hash({"b": 2, "a": 1})
    assert short_hash({"a": 1}) != short_hash({"a": 2})


PLUGIN = """
from tasks.associative_recall import AssociativeRecall
from tasks.base import register

@register({name!r})
class Own(AssociativeRecall):
    pass
"""


def test_two_plugins_of_one_name(tmp_path):
    for file in ("one.py", "two.py"):
        (tmp_path / file).write_text(PLUGIN.format(name="twice"))
    load_plugins([str(tmp_path / "one.py"), str(tmp_path / "one.py")])
    with pytest.raises(HarnessError, match=r"(?s)two tasks.*one\.py.*two\.py"):
        load_plugins([str(tmp_path / "two.py")])
    with pytest.raises(HarnessError, match=r"associative_recall"):
        (tmp_path / "three.py").write_text(PLUGIN.format(name="associative_recall"))
        load_plugins([str(tmp_path / "three.py")])


@pytest.mark.parametrize(
    ("text", "said"), [("1/0", "ZeroDivisionError"), ("import no_such_thing", "no_such_thing")]
)
def test_a_plugin_that_does_not_import(tmp_path, text, said):
    (tmp_path / "broken.py").write_text(text)
    with pytest.raises(HarnessError, match=said):
        load_plugins([str(tmp_path / "broken.py")])
    with pytest.raises(HarnessError, match="not a Python file"):
        load_plugins([str(tmp_path / "missing.py")])


def test_specifications_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        TrainSpec().lr = 1.0
    assert np.isclose(TrainSpec().lr, 1e-3)
