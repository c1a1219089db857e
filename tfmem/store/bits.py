"""Packs booleans into bits, the form in which records hold masks and correctness."""

from __future__ import annotations

import numpy as np


def pack(bits: np.ndarray) -> bytes:
    """Packs booleans `[count]` into bits, the first into the lowest bit of the first byte."""
    return np.packbits(bits, bitorder="little").tobytes()


def unpack(packed: bytes, count: int) -> np.ndarray:
    """Unpacks what `pack` packed: bool `[count]`."""
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=count, bitorder="little").view(bool)
