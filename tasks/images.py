"""Grey images as lines of text."""

from __future__ import annotations

import numpy as np

MAX_WIDTH = 80
RAMP = " .:-=+*#%@"  # from dark to bright


def as_text(image: np.ndarray, brightest: int) -> list[str]:
    """Lines of an image (H, W) of 0 .. brightest: two characters a pixel, or, where that is too
    wide, one for the brighter of two that lie one above the other. Only 0 is blank."""
    shade, width = -(-image * (len(RAMP) - 1) // brightest), 2
    if 2 * image.shape[1] > MAX_WIDTH:
        shade, width = np.maximum.reduceat(shade, np.arange(0, len(shade), 2)), 1
    return ["".join(width * RAMP[level] for level in row) for row in shade]
