"""Random numbers from keys: equal keys give equal streams in every process, on every machine.

Nothing in the project uses a global generator. Everything random is drawn from
`generator(...)`, whose key says what the numbers are for, so that no two uses share a stream.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np


def generator(*key: str | int) -> np.random.Generator:
    """A generator that depends on the key alone (strings and integers, in order)."""
    digest = hashlib.blake2b(json.dumps(key).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))


def short_hash(data: object, *, digest_size: int = 8) -> str:
    """Hexadecimal hash of a JSON value; independent of the order of keys in mappings."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=digest_size).hexdigest()
