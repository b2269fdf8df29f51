"""Names of files from titles, which hold whatever a user named."""

from __future__ import annotations

import re
from collections.abc import Iterable

_MOST = 80  # characters of a name; file systems allow 255 bytes


def names(titles: Iterable[str], fallback: str) -> list[str]:
    """A name for each title, safe on every file system; equal ones are numbered."""
    found: list[str] = []
    for title in titles:
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:_MOST].strip("-") or fallback
        name, number = slug, 1
        while name in found:
            number += 1
            name = f"{slug}-{number}"
        found.append(name)
    return found
