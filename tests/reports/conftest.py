"""Synthetic ledgers: seven arms, three seeds, curves and slices, with one run each that failed,
diverged and is missing.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import reports
from ablations.claim import Claim, Resolved, Stratum
from ablations.ledger import _SCHEMA, FILE, VERSION, Ledger
from harness.foundation.config import parse
from harness.foundation.seeding import generator, short_hash

STEPS, EVAL_EVERY = 1600, 100
FLOPS = 41000.0  # a token, of all arms but attention
RATES = (1e-3, 3e-3, 1e-2)
LEVELS = {  # label -> (steps to the middle of the curve, final accuracy)
    "own": (550, 0.995),
    "constant": (900, 0.62),
    "shuffled": (900, 0.56),
    "cross-correlation, own": (500, 0.99),
    "cross-correlation, constant": (900, 0.60),
    "none": (1000, 0.44),
    "attention": (250, 1.0),
}
BASELINE = "constant"
ODD = {("shuffled", 2): "failed", ("none", 0): "diverged", ("cross-correlation, own", 1): None}


class Maker:
    """Writes a ledger run by run."""

    def __init__(self, folder: Path, **meta):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.num_arms, self.claims = folder, 0, []
        self.db = sqlite3.connect(folder / FILE)
        self.db.execute("PRAGMA synchronous = OFF")  # no power cut is waited for here
        self.db.executescript(_SCHEMA)
        values = {
            "version": VERSION,
            "name": "conditioning",
            "question": "Does the kernel have to depend on the input?",
            "source": {"paper": "arXiv:2402.18508", "where": "section 4"},
            "scale": "laptop",
            "metric": "accuracy",
            "baseline": None,
            "seeds": {"selection": 2, "confirmation": 3},
            "factors": {"model.mixer": list(LEVELS)},
            "nuisances": [{"train.lr": rate} for rate in RATES],
            "grid_id": "grid",
            "to_choose": 0,
            "text": "name: conditioning\nquestion: Does the kernel have to depend on the input?\n",
            "file": "conditioning.yaml",
            "overrides": [],
            "claims": [],
        } | meta
        self._insert("meta", *[(key, json.dumps(value)) for key, value in values.items()])

    def arm(self, label: str, spec: dict | None = None, levels: dict | None = None, **facts) -> str:
        condition_id = arm_id(label)
        facts = {
            "params": 21000,
            "params_without_embedding": 18000,
            "flops_per_token": FLOPS,
            "training_flops": _training_flops(FLOPS),
            "state_size": 704,
            "regime": "bidirectional",
            "loss": "answers",
            "steps": STEPS,
            "chance": 1 / 6,
            "shortcuts": {"most frequent value": 0.387, "last value": 0.29},
        } | facts
        spec = spec or _spec(label)
        levels = levels or {"model.mixer": label}
        row = (condition_id, self.num_arms, label, levels, spec, facts)
        self._insert("arms", tuple(map(_json, row)))
        self.num_arms += 1
        return condition_id

    def run(self, arm: str, seed: int, *, purpose="confirmation", lr=3e-3, status="finished",
            accuracy=0.9, curve=None, solved=None, slices=(), tests=None, wall_s=None,
            steps=STEPS, nuisance=None, seconds=None, **provenance) -> str:  # fmt: skip
        """status None plans the run and leaves it missing. tests: more test measurements.
        seconds: by part, by default not recorded."""
        nuisance = {"train.lr": lr} if nuisance is None else nuisance
        run_id = short_hash([arm, seed, purpose, nuisance])
        self._insert("plan", (run_id, arm, purpose, seed, json.dumps(nuisance)))
        if status is None:
            return run_id
        message = trace = None
        if status == "diverged":
            message = "the training loss stopped being finite at step 613"
        if status == "failed":
            message = "RuntimeError: shapes <64> & <32> do not fit"
            trace = "Traceback (most recent call last):\n  File ...\n" + message
            self._insert("failures", (run_id, message, trace, 1.7e9))
        seen = {
            "device": "cpu x86_64", "threads": 1, "cohort_size": 3, "cohort": [],
            "torch": "2.13.0", "numpy": "2.3.1", "python": "3.12.3", "plugins": {},
        } | provenance  # fmt: skip
        self._insert(
            "runs",
            (
                run_id,
                status,
                steps,
                41.7 + seed if wall_s is None else wall_s,
                solved,
                message,
                trace,
                "{}",
                json.dumps(seen),
                1.7e9,
                seconds and json.dumps(seconds),
            ),
        )
        split = "selection" if purpose == "selection" else "validation"
        for step, value in curve or []:
            rows = [(split, "accuracy", value), (split, "loss", 3 * (1.02 - value))]
            rows.append(("train", "loss", 3 * (1.01 - value)))
            self._insert("measurements", *[(run_id, s, m, step, v) for s, m, v in rows])
        if status == "finished":
            measured = {"accuracy": accuracy, "loss": 3 * (1 - accuracy) + 0.01} | (tests or {})
            for metric, value in measured.items():
                self._insert("measurements", (run_id, "test", metric, STEPS, value))
            self._insert("slices", *[(run_id, *part) for part in slices])
        return run_id

    def choose(self, arm: str, lr: float, note: str = "", *, peak: float = 0.9) -> None:
        scores = []
        for rate in RATES:
            accuracy = peak - 0.1 * abs(np.log10(rate / lr))
            scores.append(
                {"nuisance": {"train.lr": rate}, "accuracy": accuracy, "loss": None,
                 "solve_rate": 0.5, "median_steps": 900, "steps_to_solve": 950.0}
            )  # fmt: skip
        self.select(arm, {"train.lr": lr}, scores, note)

    def select(self, arm: str, nuisance: dict, scores: list[dict], note: str = "") -> None:
        row = (arm, "grid", json.dumps(nuisance), json.dumps(scores), note, 1.7e9)
        self._insert("selections", row)

    def claim(self, data: dict, *strata: tuple, num_looks: int = 1, withdrawn=False) -> None:
        """States a claim now; runs that are written already were before it. strata: (label, labels
        of a, labels of b), and the levels where exponents are compared; by default one, a and b."""
        claim = parse(Claim, data)
        if not strata:
            b = () if claim.constant is not None else (claim.b,)
            strata = (("", (claim.a,), b),)
        found = [
            Stratum(label, *(tuple(map(arm_id, labels)) for labels in sides[:2]), *sides[2:])
            for label, *sides in strata
        ]
        better = "low" if claim.metric in ("steps_to_solve", "seconds", "loss") else "high"
        resolved = Resolved(claim, tuple(found), better)
        ledger = Ledger(self.folder)
        ledger._db = self.db
        ledger._register(resolved, num_looks)
        if not withdrawn:
            self.claims.append(resolved.hash)
            text = json.dumps(self.claims)
            self.db.execute("UPDATE meta SET value = ? WHERE key = 'claims'", (text,))

    def look(self, label: str, *num_seeds: int) -> None:
        """Records that the arm has been seen with these numbers of seeds."""
        self._insert("looks", *[(arm_id(label), num, 1.7e9) for num in num_seeds])

    def done(self) -> Path:
        self.db.commit()
        self.db.close()
        return self.folder

    def _insert(self, table: str, *rows: tuple) -> None:
        for row in rows:
            self.db.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)


def arm_id(label: str) -> str:
    """The condition_id of an arm of that label."""
    return short_hash(["arm", label])


def realistic(folder: Path) -> Path:
    """Seven arms at three seeds; attention is causal."""
    maker = Maker(folder, baseline=BASELINE)
    rng = generator("synthetic")
    for label, (middle, final) in LEVELS.items():
        causal = label == "attention"
        arm = maker.arm(
            label,
            regime="causal" if causal else "bidirectional",
            params_without_embedding=24000 if causal else 18000,
            training_flops=_training_flops((1.5 if causal else 1) * FLOPS),
        )
        best = RATES[-1] if label == "none" else 3e-3
        for rate in RATES:
            for seed in range(2):
                score = final - 0.01 - 0.1 * abs(np.log10(rate / best)) + (seed - 0.5) / 50
                maker.run(arm, seed, purpose="selection", lr=rate, curve=[(STEPS, score)])
        note = "the largest learning rate of the grid won; a better one may lie beyond it"
        maker.choose(arm, best, note if label == "none" else "", peak=final - 0.01)
        for seed in range(3):
            status = ODD.get((label, seed), "finished")
            curve, accuracy, solved = _curve(rng, middle, final)
            if status == "diverged":
                curve, solved = curve[:6], None
            if status == "failed":
                curve, solved = [], None
            slices = _slices(rng, accuracy)
            maker.run(
                arm, seed, lr=best, status=status, curve=curve, accuracy=accuracy, solved=solved,
                slices=slices, torch="2.12.1" if (label, seed) == ("own", 2) else "2.13.0",
            )  # fmt: skip
    return maker.done()


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return realistic(tmp_path_factory.mktemp("ledger"))


@pytest.fixture(scope="session")
def page(folder) -> str:
    return reports.write_html(folder).read_text()


@pytest.fixture
def make(tmp_path) -> Callable[..., Maker]:
    return lambda **meta: Maker(tmp_path / "out", **meta)


@pytest.fixture
def maker(make) -> Maker:
    return make()


def _curve(rng, middle: float, final: float) -> tuple[list, float, int | None]:
    middle *= rng.lognormal(0, 0.15)
    steps = np.arange(EVAL_EVERY, STEPS + 1, EVAL_EVERY)
    rise = 1 / (1 + np.exp(-(steps - middle) / 110))
    noise = rng.normal(0, 0.012, len(steps)) * (rise < 0.97)
    values = np.clip(1 / 6 + (final - 1 / 6) * rise + noise, 0, 1)
    solved = [int(step) for step, value in zip(steps, values, strict=True) if value >= 0.985]
    accuracy = float(np.clip(values[-1] + rng.normal(0, 0.004), 0, 1))
    pairs = zip(steps.tolist(), values.tolist(), strict=True)
    return list(pairs), accuracy, solved[0] if solved else None


def _training_flops(a_token: float) -> float:
    return 3 * a_token * 24 * 64 * STEPS


def _slices(rng, accuracy: float) -> list[tuple]:
    parts = []
    for distance in range(1, 42, 2):
        hard = accuracy - (1 - accuracy) * (distance - 20) / 60
        hit = float(np.clip(hard + rng.normal(0, 0.02), 0, 1))
        parts.append(("distance", distance, hit, 60, 3 * (1 - hit)))
    for occurrences in range(1, 5):
        hard = accuracy + (1 - accuracy) * (occurrences - 2) / 8
        hit = float(np.clip(hard, 0, 1))
        parts.append(("occurrences", occurrences, hit, 400 // occurrences, 3 * (1 - hit)))
    return parts


def _spec(label: str) -> dict:
    return {
        "task": {"name": "associative_recall", "vocab_size": 14, "length": 24},
        "model": {"mixer": {"name": "orchid", "conditioning": label}, "width": 32, "layers": 2},
        "train": {"lr": 1e-3, "steps": STEPS, "batch_size": 64, "train_examples": None},
    }


def _json(value):
    return json.dumps(value) if isinstance(value, dict) else value
