"""Reads estimates from disk as pandas tables, and how they were made."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tfmem.messages.errors import InputError
from tfmem.store.json_files import parse_object, value_of
from tfmem.store.records import decode_example, feature
from tfmem.store.sets import read_file, read_set
from tfmem.store.tables import decode_rows
from tfmem.store.validity import RecordColumns, check_memorization, check_pairs, check_selection

SUMMARY_NAME = "self_influence.json"  # is beside records of self-influence
RULE_NAME = "selection.json"  # is beside records of pairs that one model selects
SUBSAMPLED = b"subsampled"  # the estimator of records that name no estimator
_MEMORIZATION = {
    **dict.fromkeys(("index", "label", "n_in", "n_out"), np.int64),
    **dict.fromkeys(
        ("memorization", "stderr", "ci_low", "ci_high", "accuracy_in", "accuracy_out"), np.float32
    ),
}
_PAIRS = {
    **dict.fromkeys(("train_index", "test_index", "label", "test_label"), np.int64),
    **dict.fromkeys(
        ("memorization", "influence", "stderr", "ci_low", "ci_high", "p_value", "q_value"),
        np.float32,
    ),
}
_LOG10_P = "log10_p_value"
_UNBOUNDED = "margin", "loss", "score"  # features of records whose estimates have no bounds


def read_memorization(folder: str | os.PathLike[str]) -> pd.DataFrame:
    """Reads memorization records, whichever estimator wrote them.

    Args:
      folder: `memorization` of a run, or for example its `self_influence/fast`.

    Returns:
      One row for each training example, by `index`: `label`, `n_in`, `n_out`, `memorization`,
      `stderr`, `ci_low`, `ci_high`, `accuracy_in`, `accuracy_out`. Values that an estimator does
      not give are NaN, and counts 0. If the statistic is the probability of the label, accuracies
      are its means; of a statistic without bounds, such as a score, means are `score_in` and
      `score_out`. `attrs["estimator"]` names the estimator, which is `subsampled` if records name
      none.

    Raises:
      InputError: if there are no records, if a record lacks a feature or has an impossible value,
        or if the record of an example is missing.
    """
    return _memorization(folder, _MEMORIZATION)


def _memorization(folder: str | os.PathLike[str], columns: Mapping[str, Any]) -> pd.DataFrame:
    estimator, bounded = _estimator(folder)
    check = functools.partial(
        check_memorization, subsampled=estimator == SUBSAMPLED, bounded=bounded
    )
    table = _table(folder, "memorization", columns, check).set_index("index").sort_index()
    table.attrs["estimator"] = estimator.decode(errors="replace")
    return table if bounded else named_by_score(table)


def named_by_score(table: pd.DataFrame) -> pd.DataFrame:
    """A table of memorization with its means named `score_in` and `score_out`."""
    return table.rename(columns={"accuracy_in": "score_in", "accuracy_out": "score_out"})


def _estimator(folder: str | os.PathLike[str]) -> tuple[bytes, bool]:
    """Reads the name of the estimator, and whether estimates have bounds, from the first record."""
    for payload, source in read_set(folder, "memorization"):
        features = {"estimator": SUBSAMPLED, **decode_example(payload, source)}
        name: bytes = feature(features, "estimator", bytes, source)
        return name, features.keys().isdisjoint(_UNBOUNDED)
    raise InputError(f"{folder}: expected records of memorization, received empty files")


def check_labels(table: pd.DataFrame, labels: np.ndarray, folder: Path, name: str) -> None:
    """Checks that memorization records belong to a data set.

    Args:
      table: as `read_memorization` returns it.
      labels: int64 `[num_train]`, the training labels of the data set.
      folder: where the records are.
      name: what the data set is called.

    Raises:
      InputError: if the records do not have all its training examples with their labels.
    """
    if table.index.tolist() != [*range(len(labels))]:
        raise InputError(
            f"{folder}: made with other data than {name}: expected records of "
            f"{len(labels):,} training examples, received {len(table):,}"
        )
    received = table["label"].to_numpy()
    if different := np.flatnonzero(received != labels).tolist():
        first = different[0]
        raise InputError(
            f"{folder}: made with other data than {name}, where training example {first} has label "
            f"{labels[first]}, received {received[first]}"
        )


def read_self_influence(folder: str | os.PathLike[str]) -> pd.DataFrame:
    """Reads memorization records that were estimated from one model.

    Args:
      folder: for example `self_influence/fast` of a run.

    Returns:
      The table of `read_memorization`, with two more columns: `label_probability`, the probability
      that the model gives the label, and `residual`, that of the solver.

    Raises:
      InputError: if there are no records, if a record lacks a feature or has an impossible value,
        or if the record of an example is missing.
    """
    more = dict.fromkeys(("label_probability", "residual"), np.float32)
    return _memorization(folder, _MEMORIZATION | more)


def read_pairs(folder: str | os.PathLike[str]) -> pd.DataFrame:
    """Reads records of selected pairs, whichever estimator wrote them.

    Args:
      folder: `pairs` of a run, or its `self_influence/pairs`.

    Returns:
      One row for each pair, most influential first: `train_index`, `test_index`, `label`,
      `test_label`, `memorization`, `influence`, `stderr`, `ci_low`, `ci_high`, `p_value`, its
      decimal logarithm `log10_p_value` (p-values below 1e-45 are 0 as float32), `q_value`. Values
      that an estimator does not give are NaN.

    Raises:
      InputError: if there are no records, if a record lacks a feature or has an impossible value,
        or if the number of records is not the one that the record of their selection says.
    """
    of_one_model = os.path.exists(os.path.join(folder, RULE_NAME))
    first = next((decode_example(*each) for each in read_set(folder, "pairs")), {})
    bounded = not of_one_model and first.keys().isdisjoint(_UNBOUNDED)
    check = functools.partial(check_pairs, bounded=bounded)
    known = {_LOG10_P: np.float32} if _LOG10_P in first else {}
    table = _table(folder, "pairs", _PAIRS | known, check)
    if not known:  # records of earlier versions
        with np.errstate(divide="ignore"):
            table.insert(list(table.columns).index("q_value"), _LOG10_P, np.log10(table["p_value"]))
    expected = read_selection(folder)["pairs"]
    if len(table) != expected:
        raise InputError(
            f"{os.fspath(folder)}: expected {expected} pairs as its selection record says, "
            f"received {len(table)}"
        )
    return table


def read_selection(folder: str | os.PathLike[str]) -> dict[str, float]:
    """Reads the counts of the selection in a folder: `pairs`, `tested`, `expected_by_chance`.

    Raises:
      InputError: if there is no such record, or it has impossible values.
    """
    columns = {"pairs": np.int64, "tested": np.int64, "expected_by_chance": np.float32}
    check = functools.partial(check_selection, folder=os.fspath(folder))
    table = _table(folder, "selection", columns, check)
    return {name: table[name][0].item() for name in columns}


def read_summary(folder: Path) -> dict[str, Any]:
    """Reads the summary of how the self-influence in a folder was computed.

    Raises:
      InputError: if there is no summary, or it is damaged.
    """
    return parse_object(read_file(folder, SUMMARY_NAME), str(folder / SUMMARY_NAME))


def read_identity(folder: Path) -> dict[str, Any]:
    """Reads the summary of the self-influence in a folder, without times.

    Raises:
      InputError: if there is no summary, or it is damaged.
    """
    return {name: value for name, value in read_summary(folder).items() if "seconds" not in name}


def estimator_of(folder: Path) -> str:
    """Says in a sentence which estimator wrote the records in a folder, and how it converged.

    Raises:
      InputError: if there are no records, or if the summary of self-influence does not exist or
        lacks a value.
    """
    name, _ = _estimator(folder)
    if name == SUBSAMPLED:
        return "Memorization is that of the subsampled estimator."
    # Earlier versions counted negative values as not converged.
    summary, source = {"negative": 0, **read_summary(folder)}, str(folder / SUMMARY_NAME)
    said = functools.partial(value_of, summary, source=source)
    count = said("negative", int)
    negative = f", {count:,} negative" if count else ""
    return (
        f"Memorization is that of {name.decode(errors='replace')}: {said('curvature', str)}, "
        f"damping {said('damping', float):g}, {said('not_converged', int):,} examples not "
        f"converged{negative}; a model with test accuracy {said('test_accuracy', float):.2%}."
    )


def _table(
    folder: str | os.PathLike[str],
    kind: str,
    columns: Mapping[str, Any],
    check: Callable[[RecordColumns], None],
) -> pd.DataFrame:
    sources: list[str] = []

    def records() -> Iterator[tuple[bytes, str]]:
        for payload, source in read_set(folder, kind):
            sources.append(source)
            yield payload, source

    rows = decode_rows(records(), columns)
    check(RecordColumns(rows, sources))
    return pd.DataFrame(rows)
