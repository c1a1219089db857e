"""Groups of examples that subsets hold as wholes: which they are, and whether they can be drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from tfmem.messages.errors import InputError
from tfmem.store.groups import Groups

_RARE = 1e-4  # least share of draws that must fit


def units(groups: Groups, source: str) -> tuple[np.ndarray, ...]:
    """Selects groups of at least two examples, which subsets contain as a whole or not at all.

    Args:
      groups: as `parse_groups` returns them.
      source: the file, for the message.

    Returns:
      The examples of each group, int64 `[size]`.

    Raises:
      InputError: naming an example that is in two groups.
    """
    home: dict[int, str] = {}
    for name, members in groups.items():
        for index in members.tolist():
            if home.setdefault(index, name) != name:
                raise InputError(
                    f"{source}: example {index} is in groups {home[index]!r} and {name!r}: subsets "
                    "can be drawn by group only if each example is in one"
                )
    return tuple(members for members in groups.values() if len(members) > 1)


def groups_digest(groups: Groups) -> str:
    """Hashes which examples belong together; the names of groups do not matter."""
    together = [members.tolist() for members in groups.values()]
    return hashlib.sha256(repr(together).encode()).hexdigest()


def check_groups(sizes: Sequence[int], num_examples: int, size: int) -> None:
    """Makes sure that subsets of whole groups can be drawn.

    Args:
      sizes: number of examples of each group.
      num_examples: number of training examples `n`.
      size: size of the subset `m`.

    Raises:
      InputError: if a group can never be in, or never out, or if fewer than one draw in 10,000 has
        exactly `size` examples; with a fraction at which more do.
    """
    total, largest = sum(sizes), max(sizes, default=0)
    if largest > min(size, num_examples - size):
        raise InputError(
            f"training.groups: a group of {largest} examples cannot be both in and out of "
            f"subsets of {size} of {num_examples} examples"
        )
    singles = num_examples - total
    if total <= size <= singles:
        return
    fits = _fitting(sizes, num_examples, size)
    if fits[size] >= _RARE:
        return
    others = np.flatnonzero(fits[: num_examples - largest + 1] >= 10 * _RARE)
    others = others[others >= largest]
    hint = "leave more examples without a group"
    if len(others):
        nearest = int(others[np.argmin(np.abs(others - size))])
        hint += f", or set training.fraction={nearest / num_examples:.7g} (subsets of {nearest})"
    raise InputError(
        f"training.groups: whole groups and {singles} examples in none hardly ever make subsets of "
        f"exactly {size}: {hint}"
    )


def _fitting(sizes: Sequence[int], num_examples: int, size: int) -> np.ndarray:
    """Share of draws of groups that examples in no group can fill up to a size.

    The distribution of how many examples are in the groups drawn comes from its Fourier transform,
    the product of those of single groups.

    Returns:
      float64 `[num_examples + 1]`, by the size to be filled up to; groups are always drawn with
      probability `size / num_examples`.
    """
    total, share = sum(sizes), size / num_examples
    turns = np.arange((total + 1) // 2 + 1)
    spectrum = np.ones(len(turns), np.complex128)
    for length, count in zip(*np.unique(sizes, return_counts=True), strict=True):
        angle = 2 * np.pi * (turns * int(length) % (total + 1)) / (total + 1)
        spectrum *= (1 - share + share * np.exp(-1j * angle)) ** int(count)
    at_most = np.zeros(num_examples + 2)  # one place later
    at_most[1 : total + 2] = np.cumsum(np.fft.irfft(spectrum, total + 1))
    at_most[total + 2 :] = 1
    sizes_asked = np.arange(num_examples + 1)
    fewest = np.maximum(sizes_asked - (num_examples - total), 0)
    return np.asarray(at_most[sizes_asked + 1] - at_most[fewest])
