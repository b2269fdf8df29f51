"""Reads an ablation: a question in YAML, expanded into arms.

    base                      what all arms share
    factors                   what is compared; the grid is their product, less `exclude`
    variants                  arms beside the grid; `cross: [factor]` crosses one with factors
    nuisance                  what is tuned for each arm and never compared
    seeds                     how many, for choosing nuisances and for the answer
    match                     what makes the arms equal in size; see `ablations.match`
    protocol                  published settings under base; see `ablations.protocol`
    score                     means over groups of arms; see `ablations.score`
    claims                    what is stated about the arms; see `ablations.claim`
    multiverse                protocols under which they are judged; see `ablations.multiverse`
    thresholds                least values that are searched; see `ablations.threshold`
    scales                    named overrides of any of the above

A dotted key sets one field; a mapping replaces a subtree. Every mistake in the file is reported
at once, each with its line.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from ablations import dotted, library, protocol
from ablations.ablation import Ablation, Arm, Seeds, Threshold, with_nuisance
from ablations.claim import Claim, Resolved
from ablations.claimed_arms import resolve
from ablations.labels import arm_label, level_label
from ablations.ledger import read_meta
from ablations.match import WORDS, Match, number_at, solve
from ablations.protocol import Protocol
from ablations.score import Score
from harness.foundation import yaml
from harness.foundation.config import Path, identity, parse
from harness.foundation.errors import HarnessError, Problem, did_you_mean
from harness.foundation.seeding import short_hash
from harness.kernels import without_effect
from harness.spec import RunSpec

SCALES = ("smoke", "laptop", "paper")
KEYS = (
    "name", "question", "source", "base", "factors", "variants", "exclude", "nuisance", "seeds",
    "metric", "baseline", "match", "protocol", "score", "claims", "multiverse",
    "thresholds", "scales",
)  # fmt: skip
ROOTS = tuple(key for key in RunSpec.model_fields if key not in ("seed", "purpose"))


class Setting(NamedTuple):
    """A value for one dotted key, and where in the document it came from."""

    path: Path
    value: Any
    origin: Path

    def sets(self, path: Path) -> bool:
        """Whether it gives the field at the path a value, by itself or within a mapping."""
        value, rest = self.value, path[len(self.path) :]
        for part in rest:
            if not isinstance(value, Mapping) or part not in value:
                return False
            value = value[part]
        return dotted.related(self.path, path)


Layers = list[list[Setting]]  # later ones prevail
Factors = Mapping[str, Mapping[str, list[Setting]]]  # factor -> level label -> what it sets


class Draft(NamedTuple):
    """An arm before it is matched. base, own: the settings it is made of, base below own."""

    arm: Arm
    base: Layers
    own: Layers


class Source(NamedTuple):
    """Where an ablation is read from. is_multiverse: whether the folder of one was named."""

    document: yaml.Document
    text: str
    scale: str
    overrides: tuple[str, ...]
    is_multiverse: bool = False


def load(name: str, *, scale: str = "smoke", overrides: Sequence[str] = ()) -> Ablation:
    """An ablation by library name, path of a YAML file, or folder of an earlier run.

    scale: which of the file's scales. overrides: `dotted.key=value`, set on base.
    Raises HarnessError that lists every mistake.
    """
    source = find(name, scale=scale, overrides=overrides)
    if source.is_multiverse:
        from ablations import multiverse  # it stands on this module

        return multiverse.widened(source)
    return from_document(*source[:4])


def find(name: str, *, scale: str = "smoke", overrides: Sequence[str] = ()) -> Source:
    """What `load` reads. Raises HarnessError where there is nothing of that name."""
    path = FilePath(name)
    if path.suffix in (".yaml", ".yml"):
        return Source(yaml.load_file(path), path.read_text(), scale, tuple(overrides))
    if path.is_dir() and (path / "ledger.sqlite").exists():
        meta = read_meta(path)
        if "text" not in meta:
            raise HarnessError(
                "nothing has been planned here yet", where=name, fix="give the ablation's name"
            )
        if overrides:
            raise HarnessError(
                "--set cannot change an output folder", where=name, fix="give the ablation's name"
            )
        document = yaml.load(meta["text"], meta["file"])
        overrides = tuple(meta["overrides"])
        return Source(document, meta["text"], meta["scale"], overrides, meta["is_multiverse"])
    known = library.files()
    if name not in known:
        raise HarnessError(
            f"no ablation {name!r}: not in the library, not a .yaml file, not an output folder",
            fix=did_you_mean(name, known),
        )
    return Source(yaml.load_file(known[name]), known[name].read_text(), scale, tuple(overrides))


def from_document(
    document: yaml.Document,
    text: str,
    scale: str,
    overrides: Sequence[str],
    universe: Mapping[str, str] | None = None,
) -> Ablation:
    """Checks and expands a parsed file. universe: choice of its multiverse -> level; what it sets
    lies over base and below the arms' own settings."""
    return _Reader(document, text, scale, tuple(overrides), universe or {}).read()


class _Reader:
    """Turns a document into an Ablation, collecting problems as it goes."""

    def __init__(
        self,
        document: yaml.Document,
        text: str,
        scale: str,
        overrides: tuple[str, ...],
        universe: Mapping[str, str],
    ):
        self.universe = universe
        self.document, self.text, self.scale, self.overrides = document, text, scale, overrides
        self.problems: list[Problem] = []
        self.origins: dict[str, Path] = {}  # key -> where a scale has replaced it
        self.scale_base: list[Setting] = []  # what a scale changes in base
        self.protocol: Protocol | None = None

    def read(self) -> Ablation:
        top = self._mapping(self.document.data, (), "an ablation")
        self._unknown(top, KEYS, ())
        self.top = self._at_scale(top)
        name = self._name()
        question = self._text("question", required=True)
        source = self._mapping(self.top.get("source") or {}, ("source",), "source")
        metric = self._choice("metric", ("accuracy", "loss", "steps_to_solve"), "accuracy")
        seeds = self._seeds()
        self.protocol = self._protocol()
        base = self._base()
        factors = self._factors()
        nuisances = self._nuisances(base, factors)
        drafts = self._drafts(base, factors, nuisances)
        match = self._match()
        if match is not None and not self.problems:
            match, drafts = self._matched(match, drafts, nuisances)
        arms = [draft.arm for draft in drafts]
        self._check_distinct(arms)
        if len(nuisances) > 1 and seeds.selection == 0:
            self._problem(("seeds",), "nuisances are to be chosen, but seeds.selection is 0")
        baseline = self.top.get("baseline")
        baseline = None if baseline is None else level_label(baseline)
        if baseline is not None and arms and baseline not in [arm.label for arm in arms]:
            self._problem(
                ("baseline",),
                f"no arm is called {baseline!r}",
                did_you_mean(baseline, [arm.label for arm in arms]),
            )
        score = self._score(factors)
        claims = self._claims(arms, factors)
        thresholds = dict(self._thresholds(arms))
        choices = self._choices()
        for choice in choices:
            if choice in factors:
                self._problem(("multiverse", choice), f"{choice} is a factor", "vary one of them")
        if self.problems:
            raise HarnessError(dict.fromkeys(self.problems))
        return Ablation(
            name=name,
            question=question,
            source=source,
            scale=self.scale,
            metric=metric,
            baseline=baseline,
            seeds=seeds,
            factors={key: list(levels) for key, levels in factors.items()},
            arms=arms,
            nuisances=nuisances,
            text=self.text,
            file=self.document.file,
            overrides=self.overrides,
            match=match,
            protocol=self.protocol.about if self.protocol is not None else None,
            score=score and score.for_ledger(factors),
            claims=claims,
            thresholds=thresholds,
            multiverse={choice: list(levels) for choice, levels in choices.items()} or None,
        )

    # -- the parts of the file ------------------------------------------------------------------

    def _at_scale(self, top: dict) -> dict:
        """The file with the overrides of the scale applied."""
        scales = self._mapping(top.get("scales") or {}, ("scales",), "scales")
        if not scales:
            if self.scale not in SCALES:
                self._problem((), f"the file has no scale {self.scale!r}", "it defines no scales")
            return {key: value for key, value in top.items() if key != "scales"}
        if self.scale not in scales:
            self._problem(
                ("scales",), f"there is no scale {self.scale!r}", did_you_mean(self.scale, scales)
            )
            return top
        merged = copy.deepcopy({key: value for key, value in top.items() if key != "scales"})
        place = ("scales", self.scale)
        changes = self._mapping(scales[self.scale] or {}, place, "a scale")
        for key in sorted(changes, key=lambda key: "." in key):  # whole parts before fields
            head, _, rest = key.partition(".")
            if head not in KEYS or head in ("name", "scales"):
                known = [other for other in KEYS if other not in ("name", "scales")]
                self._problem((*place, key), f"unknown key {head!r}", did_you_mean(head, known))
            elif not rest:
                merged[head] = changes[key]
                self.origins[head] = (*place, key)
            elif head == "base":
                self.scale_base.append(_setting(rest, changes[key], (*place, key)))
            else:  # a factor, a variant and a nuisance have dotted names
                part = merged.setdefault(head, {})
                if isinstance(part, dict):
                    part[rest] = changes[key]
                    self.origins[key] = (*place, key)
                else:
                    self._problem((*place, key), f"{head} is no mapping, so it has no {rest!r}")
        return merged

    def _name(self) -> str:
        name = self._text("name", required=True)
        if name and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
            self._problem(
                ("name",),
                f"the name {name!r} would not do as a folder",
                "use letters, digits, '-', '_' and '.' alone",
            )
        return name

    def _seeds(self) -> Seeds:
        try:
            return parse(Seeds, self.top.get("seeds") or {}, where=self._where, path=("seeds",))
        except HarnessError as error:
            self.problems += error.problems
            return Seeds()

    def _base(self) -> Layers:
        """The settings of base, of the scale on base, and of `--set`: later layers prevail."""
        base = self._mapping(self.top.get("base"), ("base",), "base")
        self._unknown({key.split(".")[0]: None for key in base}, ROOTS, ("base",))
        given = []
        for override in self.overrides:
            key, equals, text = override.partition("=")
            path = dotted.path(key.strip())
            if not equals or path[0] not in ROOTS:
                self.problems.append(
                    Problem(f"--set {override}: expected dotted.key=value, below one of {ROOTS}")
                )
                continue
            given.append(Setting(path, yaml.scalar(text), (f"--set {key.strip()}",)))
        settings = [_setting(key, value, ("base", key)) for key, value in base.items()]
        choices = self._choices()
        chosen = [s for choice, level in self.universe.items() for s in choices[choice][level]]
        return [settings, self.scale_base, given, chosen]

    def _choices(self) -> dict[str, dict[str, list[Setting]]]:
        """Choice of the multiverse -> level label -> the settings it makes, as of a factor."""
        given = self.top.get("multiverse") or {}
        choices = self._mapping(given, ("multiverse",), "multiverse")
        read = {k: self._levels(k, v, ("multiverse", k)) for k, v in choices.items()}
        for choice, levels in read.items():
            place = ("multiverse", choice)
            if len(levels) < 2 and not self._has_problem_below(place):
                self._problem(place, f"a choice needs two levels, got {len(levels)}", "add a level")
        return read

    def _protocol(self) -> Protocol | None:
        name = self.top.get("protocol")
        if name is None:
            return None
        try:
            return protocol.load(str(name))
        except HarnessError as error:
            for problem in error.problems:
                self._problem(("protocol",), problem.message, problem.fix)
            return None

    def _score(self, factors: Factors) -> Score | None:
        given = self.top.get("score")
        if given is None:
            return None
        try:
            score = parse(Score, given, where=self._where, path=("score",))
        except HarnessError as error:
            self.problems += error.problems
            return None
        for place, message, fix in score.mistakes(factors):
            self._problem(("score", *place), message, fix)
        return score

    def _claims(self, arms: list[Arm], factors: Factors) -> tuple[Resolved, ...]:
        """The claims with their arms; not looked for while arms are missing or wrong."""
        given = self.top.get("claims") or []
        if not isinstance(given, list):
            self._problem(("claims",), "expected a list of claims", "- {id: ..., kind: less, ...}")
            return ()
        read, arms_are_whole = [], not self.problems
        for index, data in enumerate(given):
            place = ("claims", index)
            try:
                claim = parse(Claim, data, where=self._where, path=place)
            except HarnessError as error:
                self.problems += error.problems
                continue
            if claim.id in [other.claim.id for other in read]:
                self._problem((*place, "id"), f"two claims are called {claim.id!r}", "rename one")
            elif arms_are_whole:
                found = resolve(claim, arms, factors)
                if isinstance(found, Resolved):
                    read.append(found)
                else:
                    for path, message, fix in found:
                        self._problem((*place, *path), f"claim {claim.id}: {message}", fix)
        return tuple(read)

    def _thresholds(self, arms: list[Arm]) -> Iterator[tuple[str, Threshold]]:
        given = self.top.get("thresholds") or {}
        labels = [arm.label for arm in arms]
        for key, data in self._mapping(given, ("thresholds",), "thresholds").items():
            place = ("thresholds", key)
            try:
                threshold = parse(Threshold, data, where=self._where, path=place)
            except HarnessError as error:
                self.problems += error.problems
                continue
            if not _is_absolute(threshold.over):
                fix = f"begin with {', '.join(ROOTS)}"
                self._problem((*place, "over"), f"{threshold.over!r} is no field", fix)
            for label in threshold.arms:
                if arms and label not in labels:
                    fix = did_you_mean(label, labels)
                    self._problem((*place, "arms"), f"no arm is called {label!r}", fix)
            yield key, threshold

    def _factors(self) -> dict[str, dict[str, list[Setting]]]:
        """Factor -> level label -> the settings it makes."""
        factors = self._mapping(self.top.get("factors") or {}, ("factors",), "factors")
        out: dict[str, dict[str, list[Setting]]] = {}
        for factor, levels in factors.items():
            place = ("factors", factor)
            read = self._levels(factor, levels, place)
            if len(read) < 2 and not self._has_problem_below(place):
                self._problem(
                    place,
                    f"a factor needs at least two levels to vary something, got {len(read)}",
                    "add a level, or move the value to base",
                )
            out[factor] = read
            for override, path in self._overridden:
                settings = itertools.chain(*read.values())
                if any(dotted.related(path, setting.path) for setting in settings):
                    self.problems.append(
                        Problem(
                            f"--set {override}: {factor} varies that",
                            self._where(place),
                            "change the levels in the file, or set something else",
                        )
                    )
        return out

    def _levels(self, factor: str, levels: Any, place: Path) -> dict[str, list[Setting]]:
        if isinstance(levels, list):
            named = {level_label(level): level for level in levels}
            if len(named) < len(levels):
                self._problem(place, "two levels are the same", "remove one of them")
            places = [(*place, index) for index in range(len(levels))]
        elif isinstance(levels, Mapping):
            named, places = dict(levels), [(*place, label) for label in levels]
        else:
            self._problem(place, "a factor takes a list of values or a mapping of named levels")
            return {}
        out = {}
        for (label, level), origin in zip(named.items(), places, strict=False):
            settings = self._level(factor, level, origin)
            if settings is not None:
                out[label] = settings
        return out

    def _level(self, factor: str, level: Any, origin: Path) -> list[Setting] | None:
        """A mapping of absolute dotted keys sets them all; any other value is the factor's."""
        if isinstance(level, Mapping) and level and all(_is_absolute(key) for key in level):
            return [
                Setting(dotted.path(key), value, (*origin, key)) for key, value in level.items()
            ]
        if not _is_absolute(factor):
            self._problem(
                origin,
                f"the factor {factor!r} is no field, so each level must set fields: "
                "{model.mixer: ..., train.steps: ...}",
                f"fields begin with {', '.join(ROOTS)}",
            )
            return None
        return [Setting(dotted.path(factor), level, origin)]

    def _nuisances(self, base: Layers, factors: Factors) -> list[dict[str, Any]]:
        given = self.top.get("nuisance")
        if given is None and self.protocol is not None:
            given = {
                key: values
                for key, values in self.protocol.nuisance.items()
                if not _is_set(dotted.path(key), base, factors)
            }
        nuisance = self._mapping(given or {}, ("nuisance",), "nuisance")
        chosen = [setting.path for setting in base[-1]]  # by the universe, so tuned no longer
        nuisance = {
            key: values
            for key, values in nuisance.items()
            if not any(dotted.related(path, dotted.path(key)) for path in chosen)
        }
        for key, values in nuisance.items():
            place = ("nuisance", key)
            if not _is_absolute(key):
                self._problem(place, f"{key!r} is no field", f"begin with {', '.join(ROOTS)}")
            if not isinstance(values, list) or not values:
                self._problem(place, "a nuisance takes a list of values", "[1e-3, 3e-3]")
                return []
            if any(a == b for a, b in itertools.combinations(values, 2)):
                self._problem(place, "two values are the same", "remove one of them")
            for override, path in self._overridden:
                if dotted.related(path, dotted.path(key)):
                    self.problems.append(
                        Problem(
                            f"--set {override}: {key} is tuned",
                            self._where(place),
                            "change its values in the file",
                        )
                    )
        return [
            dict(zip(nuisance, values, strict=True))
            for values in itertools.product(*nuisance.values())
        ]

    # -- expansion ------------------------------------------------------------------------------

    def _drafts(
        self, base: Layers, factors: Factors, nuisances: list[dict[str, Any]]
    ) -> list[Draft]:
        excluded = self._exclusions(factors)
        combinations = []
        for labels in itertools.product(*factors.values()) if factors else []:
            levels = dict(zip(factors, labels, strict=True))
            if not any(rule.items() <= levels.items() for rule in excluded):
                settings = [s for factor, label in levels.items() for s in factors[factor][label]]
                combinations.append((arm_label(levels), levels, [settings]))
        if factors and not combinations and not self.problems:
            self._problem(("exclude",), "every cell of the grid is excluded", "exclude fewer")
        combinations += self._variants(factors)
        if not combinations:
            combinations = [(self.top.get("name", ""), {}, [])]
        drafts = []
        tuned = [dotted.path(key) for key in nuisances[0]] if nuisances else []
        for label, levels, layers in combinations:
            for setting in itertools.chain(*layers):
                if any(dotted.related(setting.path, path) and len(setting.path) >= len(path)
                       for path in tuned):  # fmt: skip
                    self._problem(
                        setting.origin,
                        f"{dotted.key(setting.path)} is a nuisance, so no arm can set it",
                        "remove it here, or from nuisance"
                        if "nuisance" in self.top
                        else "give a nuisance of your own; this one is the protocol's",
                    )
            arm = self._arm(label, levels, [*base, *layers], nuisances)
            if arm is not None:
                drafts.append(Draft(arm, base, layers))
        return drafts

    def _check_distinct(self, arms: list[Arm]) -> None:
        labels: set[str] = set()
        by_id: dict[str, str] = {}
        for arm in arms:
            if not arm.label or arm.label in labels:
                self._problem(
                    ("variants", arm.label) if "variant" in arm.levels else ("factors",),
                    f"two arms are called {arm.label!r}" if arm.label else "an arm has no name",
                    "rename the variant, or name the levels",
                )
            if arm.condition_id in by_id:
                self._problem(
                    ("factors",) if arm.levels else ("variants", arm.label),
                    f"the arms {by_id[arm.condition_id]!r} and {arm.label!r} are the same: "
                    "what differs between them has no effect",
                    "remove one, or exclude it",
                )
            labels.add(arm.label)
            by_id[arm.condition_id] = arm.label
        if not self.problems:
            for field, message, fix in without_effect([arm.spec for arm in arms]):
                self._problem(("base", "train", field), message, fix)

    # -- matching -------------------------------------------------------------------------------

    def _match(self) -> Match | None:
        given = self.top.get("match")
        if given is None:
            return None
        try:
            match = parse(Match, given, where=self._where, path=("match",))
        except HarnessError as error:
            self.problems += error.problems
            return None
        path = dotted.path(match.by)
        if path[0] != "model" or any(isinstance(part, int) for part in path):
            self._problem(
                ("match", "by"),
                f"{match.by!r} is no number of the model",
                "model.channel_mixer.ratio or model.width, say",
            )
        return match

    def _matched(
        self, match: Match, drafts: list[Draft], nuisances: list[dict]
    ) -> tuple[Match, list[Draft]]:
        """The arms with the value of `by` that brings each nearest to the arm `to`."""
        self._check_matching(match, drafts, nuisances)
        if self.problems:
            return match, drafts
        sizes = {draft.arm.label: match.measure(draft.arm.spec) for draft in drafts}
        wanted = match.to if match.to is not None else self.top.get("baseline")
        to = max(sizes, key=sizes.get) if wanted is None else level_label(wanted)
        if to not in sizes:
            place = ("match", "to") if match.to is not None else ("baseline",)
            self._problem(place, f"no arm is called {to!r}", did_you_mean(to, sizes))
            return match, drafts
        match = match.model_copy(update={"to": to})
        out = [
            draft if draft.arm.label == to else self._solved(match, draft, sizes[to], nuisances)
            for draft in drafts
        ]
        return match, out

    def _check_matching(self, match: Match, drafts: list[Draft], nuisances: list[dict]) -> None:
        """Base alone sets what is solved for, and what is tuned leaves the size as it is."""
        path = dotted.path(match.by)
        settings = [s for draft in drafts for s in itertools.chain(*draft.own)]
        if nuisances:
            settings += self._tuned(nuisances[0])
        for origin in dict.fromkeys(s.origin for s in settings if s.sets(path)):
            self._problem(origin, f"match solves for {match.by}", "set it in base alone")
        for draft in drafts:
            spec = draft.arm.spec
            if number_at(spec, path) is None:
                self._problem(
                    ("match", "by"),
                    f"{match.by} is no number in the arm {draft.arm.label!r}",
                    "name a field that is a number in every arm",
                )
            tuned = [with_nuisance(spec, nuisance) for nuisance in nuisances]
            shapes = {other.cohort_key: other for other in [spec, *tuned]}
            if len({match.measure(other) for other in shapes.values()}) > 1:
                self._problem(
                    ("match",),
                    f"the nuisances change the {WORDS[match.what]} of the arm {draft.arm.label!r}",
                    "tune what leaves the size as it is, or do not match",
                )

    def _solved(self, match: Match, draft: Draft, goal: float, nuisances: list[dict]) -> Draft:
        arm, path = draft.arm, dotted.path(match.by)
        tuned = self._tuned(nuisances[0]) if nuisances else []

        def layers(value: int | float) -> Layers:
            return [*draft.base, *draft.own, [Setting(path, value, ("match", "by"))]]

        def measure(value: int | float) -> float | None:
            try:
                return match.measure(self._spec([*layers(value), tuned]))
            except HarnessError:
                return None  # heads that do not divide a width, say

        nearest, low, high = solve(measure, number_at(arm.spec, path), goal)
        if not match.agrees(nearest.got, goal):
            self._problem(
                ("match",),
                f"the arm {arm.label!r} cannot be matched to {match.to!r}, which has {goal:,.0f} "
                f"{WORDS[match.what]}: {match.by} from {low.value:g} to {high.value:g} gives "
                f"{low.got:,.0f} to {high.got:,.0f}, the nearest {nearest.got:,.0f} "
                f"at {nearest.value:g}",
                f"a tolerance above {match.tolerance:g}, another arm or another field",
            )
            return draft
        solved = self._arm(arm.label, arm.levels, layers(nearest.value), nuisances)
        return draft if solved is None else draft._replace(arm=solved)

    # -- specifications -------------------------------------------------------------------------

    def _tuned(self, nuisance: Mapping[str, Any]) -> list[Setting]:
        return [_setting(key, value, ("nuisance", key)) for key, value in nuisance.items()]

    def _arm(
        self, label: str, levels: dict[str, str], layers: Layers, nuisances: list[dict[str, Any]]
    ) -> Arm | None:
        settings = [self._tuned(nuisance) for nuisance in nuisances or [{}]]
        try:
            specs = [self._spec([*layers, tuned]) for tuned in settings]
        except HarnessError as error:
            # Where something else is wrong, what is missing may be missing because of it.
            broken = bool(self.problems)
            self.problems += [
                p for p in error.problems if not (broken and "is missing" in p.message)
            ]
            return None
        hashed = identity(specs[0])
        for setting in settings[0]:
            dotted.remove(hashed, setting.path)
        return Arm(label, levels, specs[0], short_hash(hashed))

    def _spec(self, layers: Layers) -> RunSpec:
        """Later layers prevail; within one, a subtree is set before its fields."""
        data: dict[str, Any] = {}
        origins: dict[Path, Path] = {}
        for setting in (s for layer in layers for s in sorted(layer, key=lambda s: len(s.path))):
            try:
                dotted.put(data, setting.path, copy.deepcopy(setting.value))
            except HarnessError as error:
                place = self._where(setting.origin)
                raise HarnessError(p._replace(where=place) for p in error.problems) from None
            origins = {p: o for p, o in origins.items() if p[: len(setting.path)] != setting.path}
            origins[setting.path] = setting.origin

        def where(path: Path) -> str:
            for end in range(len(path), 0, -1):
                if path[:end] in origins:
                    return self._where((*origins[path[:end]], *path[end:]))
            return self._where(("base",))

        if self.protocol is None:
            return parse(RunSpec, data, where=where)

        def where_under(path: Path) -> str:
            place = None if dotted.holds(data, path) else self.protocol.where(path, data)
            return place or where(path)

        return parse(RunSpec, self.protocol.under(data), where=where_under)

    def _variants(self, factors: Factors) -> Iterator[tuple[str, dict, Layers]]:
        variants = self._mapping(self.top.get("variants") or {}, ("variants",), "variants")
        for label, body in variants.items():
            place = ("variants", label)
            body = dict(self._mapping(body, place, "a variant"))
            cross, count = body.pop("cross", []), len(self.problems)
            if not isinstance(cross, list) or not all(isinstance(f, str) for f in cross):
                self._problem((*place, "cross"), "cross takes a list of factors", "[task.length]")
                continue
            for factor in cross:
                if factor not in factors:
                    self._problem(
                        (*place, "cross"), f"no factor {factor!r}", did_you_mean(factor, factors)
                    )
            for key in body:
                if not _is_absolute(key):
                    self._problem((*place, key), f"{key!r} is no field", did_you_mean(key, ROOTS))
            if len(self.problems) > count:
                continue
            own = [_setting(key, value, (*place, key)) for key, value in body.items()]
            for labels in itertools.product(*(factors[factor] for factor in cross)):
                levels = dict(zip(cross, labels, strict=True))
                settings = [s for factor, level in levels.items() for s in factors[factor][level]]
                crossed = f"{label}, {arm_label(levels)}" if levels else label
                yield crossed, {"variant": label, **levels}, [settings, own]

    def _exclusions(self, factors: Factors) -> list[dict[str, str]]:
        rules = self.top.get("exclude") or []
        if not isinstance(rules, list):
            self._problem(("exclude",), "expected a list of mappings {factor: level}")
            return []
        out = []
        for index, rule in enumerate(rules):
            place, labels = ("exclude", index), {}
            if rule == {}:
                self._problem(place, "an empty exclusion removes every arm", "name a factor")
            for factor, level in self._mapping(rule, place, "an exclusion").items():
                if factor not in factors:
                    self._problem(place, f"no factor {factor!r}", did_you_mean(factor, factors))
                elif level_label(level) not in factors[factor]:
                    self._problem(
                        place,
                        f"{factor} has no level {level_label(level)!r}",
                        did_you_mean(level_label(level), factors[factor]),
                    )
                labels[factor] = level_label(level)
            out.append(labels)
        return out

    # -- small things ---------------------------------------------------------------------------

    @property
    def _overridden(self) -> list[tuple[str, Path]]:
        """Each `--set`, and the field that it sets."""
        keys = [override.partition("=")[0].strip() for override in self.overrides]
        return list(zip(self.overrides, map(dotted.path, keys), strict=True))

    def _where(self, path: Path) -> str:
        """Place of a path in the document, through the scale that replaced it."""
        if path and str(path[0]).startswith("--set"):
            return ".".join(map(str, path))
        for end in range(len(path), 0, -1):
            origin = self.origins.get(".".join(map(str, path[:end])))
            if origin is not None:
                return self.document.where((*origin, *path[end:]))
        return self.document.where(path)

    def _problem(self, path: Path, message: str, fix: str = "") -> None:
        self.problems.append(Problem(message, self._where(path), fix))

    def _has_problem_below(self, path: Path) -> bool:
        prefix = ".".join(map(str, path))
        return any(prefix in problem.where for problem in self.problems)

    def _mapping(self, value: Any, path: Path, what: str) -> dict[str, Any]:
        if isinstance(value, Mapping):
            return dict(value)
        self._problem(path, f"{what} must be a mapping, got {type(value).__name__}")
        return {}

    def _unknown(self, given: Mapping, known: Sequence[str], path: Path) -> None:
        for key in given:
            if key not in known:
                self._problem((*path, key), f"unknown key {key!r}", did_you_mean(key, known))

    def _text(self, key: str, *, required: bool) -> str:
        value = self.top.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if required or value is not None:
            got = "nothing" if value is None else repr(value)
            self._problem((key,), f"{key} must be text, got {got}", f"add {key}: ...")
        return ""

    def _choice(self, key: str, allowed: Sequence[str], default: str):
        value = self.top.get(key, default)
        if value not in allowed:
            self._problem((key,), f"{key} is {value!r}", f"one of {', '.join(allowed)}")
        return value


def _setting(key: str, value: Any, origin: Path) -> Setting:
    return Setting(dotted.path(key), value, origin)


def _is_set(path: Path, base: Layers, factors: Factors) -> bool:
    """Whether base, or a level of a factor, gives the field at the path a value."""
    found = False
    for setting in itertools.chain(*base):
        if dotted.related(setting.path, path):  # a subtree without the field removes it again
            found = setting.sets(path)
    levels = itertools.chain(*(levels.values() for levels in factors.values()))
    return found or any(setting.sets(path) for setting in itertools.chain(*levels))


def _is_absolute(key: str) -> bool:
    return key.split(".")[0] in ROOTS
