"""Checks the values of estimate records: one function for each kind of record.

Each function is given all records of a kind as columns, and names the first one with an impossible
value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfmem.messages.errors import InputError

_ROUNDING = 1e-5  # error allowed for a difference of two float32 numbers, relative to the larger

Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class RecordColumns:
    """Records as columns.

    Attributes:
      columns: arrays `[records]`.
      sources: what errors call each record.
    """

    columns: Columns
    sources: Sequence[str]

    def refuse(self, wrong: np.ndarray, said: str) -> None:
        """Raises an `InputError` that names the first wrong record, with the text `said`."""
        if wrong.any():
            raise InputError(f"{self.sources[int(np.flatnonzero(wrong)[0])]}: {said}")

    def within(self, name: str, low: float, high: float, unknown: bool = True) -> None:
        """Checks that the values of a column are between two bounds.

        Args:
          name: the column's name.
          low: least allowed value.
          high: greatest allowed value.
          unknown: whether NaN is allowed, too.
        """
        values = self.columns[name]
        fits = (values >= low) & (values <= high)
        if unknown:
            fits |= np.isnan(values)
        if fits.all():
            return
        number = int(np.flatnonzero(~fits)[0])
        allowed = f"at least {low:g}" if np.isinf(high) else f"{low:g} to {high:g}"
        raise InputError(
            f"{self.sources[number]}: {name}: expected {allowed}{' or NaN' if unknown else ''}, "
            f"received {values[number]}"
        )

    def finite(self, name: str) -> None:
        """Checks that a column has finite numbers, or NaN."""
        values = self.columns[name]
        wrong = np.isinf(values)
        if wrong.any():
            number = int(wrong.argmax())
            raise InputError(
                f"{self.sources[number]}: {name}: expected a finite number or NaN, received "
                f"{values[number]}"
            )

    def differ(self, *names: str) -> None:
        """Checks that no two records have equal values in all of the named columns."""
        order = np.lexsort([self.columns[name] for name in names[::-1]])
        same = np.ones(max(0, len(order) - 1), bool)
        for name in names:
            same &= np.diff(self.columns[name][order]) == 0
        if same.any():
            place = int(np.flatnonzero(same)[0])
            first, second = sorted(order[place : place + 2].tolist())
            values = ", ".join(f"{name} {self.columns[name][second]}" for name in names)
            raise InputError(f"{self.sources[second]}: {values} is also in {self.sources[first]}")


def check_memorization(rows: RecordColumns, subsampled: bool, bounded: bool = True) -> None:
    """Checks memorization records.

    Args:
      rows: `index`, `label`, `n_in`, `n_out`, `memorization`, `stderr`, `ci_low`, `ci_high`,
        `accuracy_in`, `accuracy_out`.
      subsampled: whether the estimates are from trials; other estimates have no counts.
      bounded: whether the estimates are differences of numbers from 0 to 1.

    Raises:
      InputError: naming the record with an impossible value, or the first index that is missing.
    """
    columns, count = rows.columns, len(rows.sources)
    for name in ("index", "label", "n_in", "n_out"):
        rows.within(name, 0, np.inf, unknown=False)
    rows.within("stderr", 0, np.inf)
    rows.differ("index")
    if not subsampled:
        return
    if count and columns["index"].max() >= count:
        absent = np.setdiff1d(np.arange(count), columns["index"])[0]
        folder = rows.sources[0].rpartition("/")[0]
        raise InputError(
            f"{folder}: no record of training example {absent}, but of {columns['index'].max()}"
        )
    size = np.ones(count, np.float32)
    if bounded:
        for name, low in (("memorization", -1), ("accuracy_in", 0), ("accuracy_out", 0)):
            rows.within(name, low, 1)
    else:
        for name in ("memorization", "accuracy_in", "accuracy_out"):
            rows.finite(name)
        size = np.fmax(np.abs(columns["accuracy_in"]), np.abs(columns["accuracy_out"]))
    trials = columns["n_in"] + columns["n_out"]
    if count and (trials != trials[0]).any():
        number = int(np.flatnonzero(trials != trials[0])[0])
        rows.refuse(
            trials != trials[0],
            f"n_in + n_out: expected {trials[0]} trials as in {rows.sources[0]}, received "
            f"{trials[number]}",
        )
    known = (columns["n_in"] > 0) & (columns["n_out"] > 0)
    difference = columns["accuracy_in"] - columns["accuracy_out"]
    with np.errstate(invalid="ignore"):
        fits = np.abs(columns["memorization"] - difference) <= _ROUNDING * size
    rows.refuse(known & ~fits, "memorization: expected accuracy_in - accuracy_out")
    rows.refuse(
        (trials > 0) & ~known & ~np.isnan(columns["memorization"]),
        "memorization: expected NaN of an example that was in all trials, or in none",
    )


def check_pairs(rows: RecordColumns, bounded: bool) -> None:
    """Checks records of pairs.

    Args:
      rows: `train_index`, `test_index`, `label`, `test_label`, `memorization`, `influence`,
        `stderr`, `p_value`, `q_value`.
      bounded: whether the estimates are differences of numbers from 0 to 1.

    Raises:
      InputError: naming the record with an impossible value.
    """
    for name in ("train_index", "test_index", "label", "test_label"):
        rows.within(name, 0, np.inf, unknown=False)
    bound = 1 if bounded else np.inf
    for name in ("memorization", "influence"):
        rows.within(name, -bound, bound, unknown=False)
    rows.within("stderr", 0, np.inf)
    for name in ("p_value", "q_value"):
        rows.within(name, 0, 1)
    rows.differ("train_index", "test_index")


def check_selection(rows: RecordColumns, folder: str) -> None:
    """Checks the one record that says from how many pairs a selection was made.

    Args:
      rows: `pairs`, `tested`, `expected_by_chance`.
      folder: the folder, for the message if there is no record.

    Raises:
      InputError: if there is not exactly one record, or it has an impossible value.
    """
    if len(rows.sources) != 1:
        raise InputError(f"{folder}: expected one selection record, received {len(rows.sources)}")
    rows.within("pairs", 0, np.inf, unknown=False)
    rows.within("tested", float(rows.columns["pairs"][0]), np.inf, unknown=False)
    rows.within("expected_by_chance", 0, np.inf)
