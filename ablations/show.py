"""A plan for people and for scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ablations import dotted
from ablations.ablation import Ablation
from ablations.executors.local import usable_cpus
from ablations.match import WORDS, number_at
from ablations.todo import Memory, Plan
from harness.cost import cost, training_flops
from harness.training.metrics import OF_SOLVING


def plan_data(ablation: Ablation, plan: Plan, folder: Path) -> dict[str, Any]:
    """All that a plan says, as plain data."""
    workers, most = usable_cpus(), plan.most_memory()
    return {
        "name": ablation.name,
        "scale": ablation.scale,
        "question": ablation.question,
        "folder": str(folder),
        "runs": {**plan.counts, "to_be_chosen": plan.to_choose},
        "cohorts": len(plan.cohorts),
        "workers": workers,
        "memory": {
            "largest_cohort": most and most._asdict(),
            "too_large": [each._asdict() for each in plan.too_large()],
        },
        "estimate_s": round(plan.estimate_s(workers), 1),
        "arms": [
            {
                "arm": arm.label,
                **cost(arm.spec)._asdict(),
                "training_flops": training_flops(arm.spec),
                "regime": arm.spec.regime,
            }
            for arm in ablation.arms
        ],
        "protocol": ablation.protocol and ablation.protocol["name"],
        "match": match_data(ablation),
        "seeds": ablation.seeds.model_dump(),
        "nuisances": ablation.nuisances if ablation.needs_selection else [],
        "advice": advice(ablation),
    }


def advice(ablation: Ablation) -> list[str]:
    """What would make the same answer cheaper. Never done by itself: run ids would be others."""
    metrics = {each.claim.metric for each in ablation.claims}
    by_speed = ablation.metric == "steps_to_solve" or not ablation.needs_selection
    going_on = any(not arm.spec.train.stop_when_solved for arm in ablation.arms)
    if not (metrics and metrics <= set(OF_SOLVING) and by_speed and going_on):
        return []
    return [
        f"every claim is about {' or '.join(sorted(metrics))}: train.stop_when_solved: true would "
        "end solved runs early"
    ]


def match_data(ablation: Ablation) -> dict[str, Any] | None:
    """What was matched, by what, to which arm, and the value that each arm has now."""
    if ablation.match is None:
        return None
    path = dotted.path(ablation.match.by)
    values = {arm.label: number_at(arm.spec, path) for arm in ablation.arms}
    return {**ablation.match.model_dump(), "values": values}


def render_match(data: dict[str, Any] | None) -> list[str]:
    """The lines that say so; none where nothing was matched."""
    if data is None:
        return []
    width = max(map(len, data["values"]))
    return [
        f"matched to {data['to']}, {WORDS[data['what']]} within {data['tolerance']:.3g}, "
        f"by {data['by']}:",
        *(f"  {label:<{width}}  {value:g}" for label, value in data["values"].items()),
    ]


def render_plan(data: dict[str, Any]) -> str:
    """The plan as text."""
    runs, width = data["runs"], max(len(arm["arm"]) for arm in data["arms"])
    lines = [
        f"{data['name']} ({data['scale']}): {data['question']}",
        *([f"under protocol {data['protocol']}"] if data["protocol"] else []),
        "",
        f"  {'arm':<{width}}  {'parameters':>10}  {'FLOPs/token':>11}  {'state':>8}  regime",
        *(
            f"  {arm['arm']:<{width}}  {arm['params']:>10,}  {arm['flops_per_token']:>11,.0f}  "
            f"{arm['state_size']:>8,}  {arm['regime']}"
            for arm in data["arms"]
        ),
        "",
        *((*matched, "") if (matched := render_match(data["match"])) else ()),
        f"runs: {runs['new']} new, {runs['cached']} cached, {runs['failed']} failed (tried again), "
        f"{runs['to_be_chosen']} to be chosen",
        f"cohorts: {data['cohorts']}, about {duration(data['estimate_s'])} on {data['workers']} "
        "CPU workers" + (", runs to be chosen not counted" if runs["to_be_chosen"] else ""),
        *memory_lines(data["memory"]),
        f"folder: {data['folder']}",
        *data["advice"],
    ]
    return "\n".join(lines)


def memory_lines(data: dict[str, Any]) -> list[str]:
    """The largest cohort's peak, and the runs that do not fit."""
    largest = data["largest_cohort"]
    lines = [f"memory of a worker: {Memory(**largest).render()}"] if largest else []
    return lines + [too_large(Memory(**each)) for each in data["too_large"]]


def too_large(memory: Memory) -> str:
    """Said before a run is trained that may not fit."""
    return (
        f"warning: a run of {memory.arm} is predicted to take "
        f"{memory.predicted_bytes / 2**30:.2f} GiB and a worker has "
        f"{memory.available_bytes / 2**30:.2f} GiB; it is trained alone and may fail. "
        "Fewer --workers have more each; a smaller train.batch_size takes less"
    )


def duration(seconds: float) -> str:
    """A rough time: 40 s, 3 min, 2.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
