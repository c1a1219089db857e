"""Fits datamodels to the trials of a run, and writes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import pandas as pd

from tfmem.aggregation.held_outputs import HeldOutputs, outputs_in
from tfmem.config import Statistic
from tfmem.datamodels.lasso import LassoDatamodels, lasso
from tfmem.datamodels.lds import LinearDatamodelingScore, linear_datamodeling_score
from tfmem.datamodels.outputs import HOLDOUT, SubsetOutputs, held_out
from tfmem.datamodels.ridge import RidgeDatamodels, ridge
from tfmem.datamodels.stability import stability
from tfmem.messages.errors import InputError
from tfmem.store.artifacts import Predictions
from tfmem.store.files import complete_file, write_atomically
from tfmem.store.outputs import publish_outputs, settle_step, unfinished_folder
from tfmem.store.spreadsheets import to_csv

Method = Literal["ridge", "lasso"]
Datamodels = RidgeDatamodels | LassoDatamodels

_STEP = "datamodels"
_ROWS = 1024  # training examples whose weights are made at a time


@dataclass(frozen=True)
class FittedDatamodels:
    """Datamodels, and what they predict of subsets that they were not fitted to.

    Attributes:
      found: the datamodels.
      method: how they were fitted.
      given: the subsets and outputs that they were fitted to.
      score: their linear datamodeling score on the subsets held out; None if there are none.
      held: the trials of the run.
    """

    found: Datamodels
    method: Method
    given: SubsetOutputs
    score: LinearDatamodelingScore | None
    held: HeldOutputs


def fit(
    folder: Path,
    method: Method = "ridge",
    holdout: float = HOLDOUT,
    statistic: Statistic | None = None,
) -> FittedDatamodels:
    """Fits a datamodel for each test example of a run.

    Args:
      folder: the run.
      method: `ridge` or `lasso`.
      holdout: share of the subsets that datamodels are judged by; 0 fits to all.
      statistic: the outputs that are predicted; None is the score if records hold one, and the
        margin otherwise.

    Raises:
      InputError: if the run has no such outputs, or too few subsets.
    """
    held = outputs_in(folder / Predictions.place, statistic)
    outputs = held.by_subset()
    judges = held_out(len(outputs), holdout, held.seed) if holdout else np.zeros(len(outputs), bool)
    given = outputs.take(~judges)
    found: Datamodels = ridge(given) if method == "ridge" else lasso(given)
    score = None
    if judges.any():
        wanted = outputs.take(judges)
        score = linear_datamodeling_score(wanted, found.predictions(wanted), held.seed)
    return FittedDatamodels(found, method, given, score, held)


def write(fitted: FittedDatamodels, out: Path, top: int) -> None:
    """Writes datamodels: all weights, a table of test examples and one of the strongest weights.

    Args:
      fitted: the datamodels.
      out: receives `weights.npy`, float32 `[train, test]`, for `np.load(…, mmap_mode="r")`;
        `tests.csv`; `strongest.csv`; and `datamodels.json`. What is there before is replaced when
        all of it is complete.
      top: number of training examples of each test example in `strongest.csv`.

    Raises:
      InputError: if something cannot be written.
    """
    parent = out.absolute().parent
    try:
        settle_step(parent, _STEP)
        made = unfinished_folder(parent, _STEP)
        folder = made / out.name
        folder.mkdir()
        with complete_file(folder / "weights.npy") as file:
            strongest = _write_weights(fitted, file, top)
        tables = {"tests": _tests(fitted), "strongest": strongest}
        for name, table in tables.items():
            write_atomically(folder / f"{name}.csv", to_csv(table, "%.6g"))
        about = json.dumps(_about(fitted), indent=1).encode()
        write_atomically(folder / "datamodels.json", about)
        publish_outputs(made, parent, {out.name: out.name})
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}") from None


def _write_weights(fitted: FittedDatamodels, file: BinaryIO, top: int) -> pd.DataFrame:
    """Writes all weights, and returns the strongest of each test example with their errors."""
    train, tests = fitted.given.num_train, fitted.given.num_test
    header = {"descr": "<f4", "fortran_order": False, "shape": (train, tests)}
    np.lib.format.write_array_header_1_0(file, header)
    top = min(top, train)
    name, errors = _errors(fitted)
    index = np.zeros((top, tests), np.int64)
    best, beside = np.zeros((2, top, tests))
    for start in range(0, train, _ROWS):
        rows = slice(start, min(start + _ROWS, train))
        values = _weights(fitted.found, rows)
        file.write(np.ascontiguousarray(values, "<f4").tobytes())
        both = np.concatenate([best, values])
        order = np.argsort(-np.abs(both), axis=0, kind="stable")[:top]
        numbers = np.broadcast_to(np.arange(rows.start, rows.stop)[:, None], values.shape)
        index, best, beside = (
            np.take_along_axis(np.concatenate(parts), order, axis=0)
            for parts in ((index, numbers), (best, values), (beside, errors(rows)))
        )
    table = pd.DataFrame(
        {
            "test_index": np.arange(tests).repeat(top),
            "train_index": index.T.ravel(),
            "weight": best.T.ravel(),
            name: beside.T.ravel(),
        }
    )
    return table[table["weight"] != 0]


def _weights(found: Datamodels, rows: slice) -> np.ndarray:
    return found.weights(rows) if isinstance(found, RidgeDatamodels) else found.weights[rows]


def _errors(fitted: FittedDatamodels) -> tuple[str, Callable[[slice], np.ndarray]]:
    """How sure weights are: standard errors, or how often halves of the subsets choose them."""
    found = fitted.found
    if isinstance(found, RidgeDatamodels):
        return "stderr", found.stderr
    shares = stability(found, fitted.given, seed=fitted.held.seed)
    return "stability", lambda rows: shares[rows]


def _tests(fitted: FittedDatamodels) -> pd.DataFrame:
    """One row for each test example."""
    found = fitted.found
    columns = {
        "test_index": np.arange(fitted.given.num_test),
        "penalty": found.penalty,
        "explained": found.explained,
    }
    if isinstance(found, RidgeDatamodels):
        columns["noise"] = found.noise
    else:
        columns["nonzero"] = np.count_nonzero(found.weights, axis=0)
    if fitted.score is not None:
        columns["lds"] = fitted.score.correlation
    return pd.DataFrame(columns)


def _about(fitted: FittedDatamodels) -> dict[str, Any]:
    """What datamodels were made from, and how well they predict."""
    score = fitted.score
    said: dict[str, Any] = {
        "method": fitted.method,
        "statistic": str(fitted.held.measure),
        "seed": fitted.held.seed,
        "subsets": len(fitted.given),
        "models": len(fitted.given.each),
    }
    if score is not None:
        said["lds"] = {
            "value": score.value,
            "ci_low": score.low,
            "ci_high": score.high,
            "subsets": score.subsets,
            "models": score.models,
        }
    return said
