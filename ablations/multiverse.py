"""A multiverse: the claims of an ablation under every combination of defensible protocols.

    multiverse:
      train.lr: [1e-3, 3e-3]                  # a choice, and its levels, as of a factor
      model.short_conv: [0, 3]
      positions: {none: {model.positions: none}, learned: {model.positions: learned}}

A verdict that holds at one learning rate, width or schedule may be an accident of it (Steegen et
al. 2016). A multiverse is an ablation of its own, whose arms are those of the claims, once for each
protocol; a claim is judged anew within each.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from ablations.ablation import Ablation
from ablations.labels import arm_label
from ablations.reading import Source, find, from_document
from harness.foundation.errors import HarnessError


def load(name: str, *, scale: str = "smoke", overrides: Sequence[str] = ()) -> Ablation:
    """The multiverse of an ablation, which `ablations.runner.run` runs like any other.

    Raises HarnessError where the ablation has no `multiverse` or no claims, and where a choice
    changes nothing in an arm.
    """
    return widened(find(name, scale=scale, overrides=overrides))


def widened(source: Source) -> Ablation:
    """The ablation of a source under every combination of its choices."""
    document, text, scale, overrides, _ = source
    plain = from_document(document, text, scale, overrides)
    if not plain.multiverse or not plain.claims:
        lacking = "multiverse" if not plain.multiverse else "claims"
        raise HarnessError(
            f"{plain.name} has no {lacking}",
            where=plain.file,
            fix="multiverse: {train.lr: [1e-3, 3e-3], ...} beside claims: [...]",
        )
    arms, claims, tuned, seen = [], [], [], {}
    for index, labels in enumerate(itertools.product(*plain.multiverse.values()), start=1):
        universe = dict(zip(plain.multiverse, labels, strict=True))
        label = arm_label(universe)
        each = from_document(document, text, scale, overrides, universe)
        tuned.append(each.nuisances)
        wanted = set().union(*(claim.condition_ids for claim in each.claims))
        for arm in each.arms:
            if arm.condition_id not in wanted:
                continue
            if arm.condition_id in seen:
                raise HarnessError(
                    f"the arm {arm.label!r} is the same under {seen[arm.condition_id]} and {label}",
                    where=document.where(("multiverse",)),
                    fix="leave out the choice that its own settings override",
                )
            seen[arm.condition_id] = label
            levels = {**universe, **arm.levels}
            arms.append(arm._replace(label=f"{arm.label} | {label}", levels=levels))
        for resolved in each.claims:
            named = resolved.claim.model_copy(update={"id": f"{resolved.claim.id}.{index}"})
            claims.append(resolved._replace(claim=named, universe=label))
    if any(other != tuned[0] for other in tuned):
        raise HarnessError(
            "what is tuned differs between protocols",
            where=document.where(("multiverse",)),
            fix="let every level of a choice set the same fields",
        )
    return dataclasses.replace(
        plain,
        name=f"{plain.name}-multiverse",
        baseline=None,
        factors={**plain.multiverse, **plain.factors},
        arms=arms,
        nuisances=tuned[0],
        match=None,
        score=None,
        claims=tuple(claims),
    )
