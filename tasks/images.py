"""Grey images as lines of text."""

from __future__ import annotations

import numpy as np

RAMP = " .:-=+*#%@"  # from dark to bright


def as_text(image: np.ndarray, brightest: int) -> list[str]:
    """A line a row of image (H, W) of 0 .. brightest, two characters a pixel; only 0 is blank."""
    shade = -(-image * (len(RAMP) - 1) // brightest)
    return ["".join(2 * RAMP[level] for level in row) for row in shade]
