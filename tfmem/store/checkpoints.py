"""Reads and writes the state of models in the middle of their training.

The file is an npz with `epoch` (the next epoch), `losses` float `[trials]`, `digest` (of everything
that the state depends on), and `v0, v1, …`: weights, state, and what the optimizer remembers, in
the trainer's order. If models are trained as one stack, the first axis of these is the trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tfmem.messages.errors import InputError
from tfmem.store.folders import Folder
from tfmem.store.npz import PLAIN, NpzFile, npz_bytes


class Form(NamedTuple):
    """The shape and the type that a value must have."""

    shape: tuple[int, ...]
    kind: np.dtype


@dataclass(frozen=True)
class TrainingState:
    """The state of the training of some models after an epoch.

    Attributes:
      epoch: number of the next epoch.
      losses: mean training loss of each model over the last complete epoch, `[trials]`.
      values: the values of all variables.
    """

    epoch: int
    losses: np.ndarray
    values: Sequence[np.ndarray]


def read_state(
    folder: Folder, name: str, digest: bytes, forms: Sequence[Form]
) -> TrainingState | None:
    """Reads a state from a file; None if there is no such file, or its state has another digest.

    Args:
      folder: where the file is.
      name: the file's name.
      digest: of everything that the state must depend on.
      forms: the forms that the values must have.

    Raises:
      InputError: if the file is damaged, or values have other forms.
    """
    try:
        contents = folder.read(name)
    except FileNotFoundError:
        return None
    with NpzFile(contents, folder.path(name)) as arrays:
        if arrays.array("digest", "u", ("bytes",)).tobytes() != digest:
            return None
        values = [_value(arrays, f"v{number}", form) for number, form in enumerate(forms)]
        epoch = int(arrays.array("epoch", "iu", ()))
        return TrainingState(epoch, arrays.array("losses", "f", ("trials",)), values)


def write_state(folder: Folder, name: str, digest: bytes, state: TrainingState) -> None:
    """Writes a state to a file, in place of an earlier one, and makes the folder if necessary.

    Args:
      folder: where the file is to be.
      name: the file's name.
      digest: of everything that the state depends on.
      state: what to write.
    """
    values = {f"v{number}": value for number, value in enumerate(state.values)}
    said = {
        "epoch": state.epoch,
        "losses": state.losses,
        "digest": np.frombuffer(digest, np.uint8),
    }
    folder.make()
    folder.write(name, npz_bytes({**said, **values}))


def _value(arrays: NpzFile, name: str, form: Form) -> np.ndarray:
    """Reads a value; numpy stores types such as bfloat16 without their name, as bytes of a size."""
    value = arrays.array(name, PLAIN + "V", form.shape)
    unnamed = (value.dtype.kind, value.itemsize) == ("V", form.kind.itemsize)
    if value.dtype != form.kind and not unnamed:
        raise InputError(f"{arrays.source}: {name}: expected {form.kind}, received {value.dtype}")
    return value.view(form.kind)
