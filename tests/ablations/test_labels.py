"""How arms are called."""

from __future__ import annotations

import pytest

from ablations.labels import arm_label


@pytest.mark.parametrize(
    ("levels", "label"),
    [
        ({"model.mixer": "orchid"}, "orchid"),
        ({"model.mixer": "orchid", "task.length": "12"}, "mixer=orchid, length=12"),
        (
            {"mixer.conditioning.kernel_length": "4", "mixer.static_kernel.kernel_length": "none"},
            "conditioning.kernel_length=4, static_kernel.kernel_length=none",
        ),
        ({"length": "8", "task.length": "12"}, "length=8, task.length=12"),
    ],
)
def test_factors_are_called_by_what_tells_them_apart(levels, label):
    assert arm_label(levels) == label
