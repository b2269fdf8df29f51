"""Trained weights as a file: plain tensors under the names of the model, and the run they are of.

    spec, model = load("weights/5f3a.pt")
    logits = model(tokens, None)  # tokens (B, L) -> (B, L, classes); (B, 1, classes) if pooled

`orchid rerun RUN --save-weights` writes such a file. It is an ordinary torch file:
torch.load(path)["weights"] is a state dict.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.foundation.config import parse, to_data
from harness.foundation.errors import HarnessError
from harness.model import Model
from harness.spec import RunSpec

FORMAT = 1


def member(model: Model, spec: RunSpec, index: int) -> dict[str, Tensor]:
    """The state dict of one member of a stacked model: names and shapes as without the stack."""
    with torch.device("meta"):
        plain = Model(spec).state_dict()
    return {
        # What all members share, such as a buffer of constants, has no member dimension.
        name: (value[index] if value.shape != plain[name].shape else value).detach().cpu().clone()
        for name, value in model.state_dict().items()
    }


def save(
    path: str | Path, spec: RunSpec, weights: Mapping[str, Tensor], provenance: Mapping[str, Any]
) -> Path:
    """Writes the file, whole or not at all; its folder is made where it is missing."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    content = {
        "format": FORMAT,
        "run_id": spec.run_id,
        "spec": to_data(spec),
        "weights": dict(weights),
        "provenance": json.loads(json.dumps(dict(provenance))),  # torch's version is no string
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(content, part)
        part.replace(path)
    except (OSError, RuntimeError) as error:
        raise HarnessError(f"the weights cannot be written: {error}", where=str(path)) from None
    return path


def load(path: str | Path) -> tuple[RunSpec, Model]:
    """The run and its trained model, on the CPU and in evaluation mode.

    Raises HarnessError for what is no such file, and where the code has changed so that it
    builds another model.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise HarnessError(
            "there is no such file",
            where=str(path),
            fix="orchid rerun RUN --save-weights writes it",
        ) from None
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        # torch's own text advises to trust the file
        kind = type(error).__name__
        raise HarnessError(f"no file of weights ({kind})", where=str(path)) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise HarnessError(
            f"no file of weights in format {FORMAT}",
            where=str(path),
            fix="orchid rerun RUN --save-weights writes one",
        )
    spec = parse(RunSpec, content["spec"])
    model = Model(spec)
    try:
        model.load_state_dict(content["weights"])
    except RuntimeError as error:
        commit = content["provenance"].get("commit", "unknown")
        raise HarnessError(
            f"the weights do not fit the model that is built today: {error}",
            where=str(path),
            fix=f"rerun {content['run_id']}, or use the commit that wrote it ({commit})",
        ) from None
    return spec, model.eval()
