"""From the folder of a run, or of `tfmem estimate`, to the formats that others read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pandas as pd

from tfmem.exchange.demonstration import write_demonstration
from tfmem.exchange.matrices import ClassMatrix, write_matrices
from tfmem.exchange.pairs import write_pairs
from tfmem.exchange.tables import TableFormat, long_influence, write_tables
from tfmem.messages.errors import InputError

if TYPE_CHECKING:
    from tfmem.experiments.run import Run

Format = Literal["pairs-npz", "matrices-npz", "demo-npz", "lds", "parquet", "csv"]


def export(folder: Path, form: Format, out: Path, influence: bool = False) -> list[Path]:
    """Writes the estimates in a folder in another format.

    Args:
      folder: what `tfmem run`, or `tfmem estimate`, was given as `--out`.
      form: `pairs-npz`, `matrices-npz` or `demo-npz` as Feldman & Zhang released them, see the
        modules beside this one; `lds`, see `tfmem.exchange.ground_truth`; or `parquet` or `csv`, a
        table of memorization and one of pairs.
      out: the npz file, or the folder of the tables.
      influence: with tables, whether there is one of influence too, a row for each pair of examples
        of one class.

    Returns:
      The files written.

    Raises:
      InputError: if the folder has not the estimates, or `out` cannot be written.
    """
    tables = form in ("parquet", "csv")
    if influence and not tables:
        raise InputError(f"--influence: for parquet and csv, received --format {form}")
    if not tables and out.suffix != ".npz":
        raise InputError(f"--out {out}: expected a file called .npz for --format {form}")
    if tables and out.suffix in (".npz", ".csv", ".parquet"):
        raise InputError(f"--out {out}: expected a folder for the tables of --format {form}")
    try:
        (out if tables else out.absolute().parent).mkdir(parents=True, exist_ok=True)
        return _WRITERS[form](folder, out, influence)
    except OSError as error:
        raise InputError(f"{error.filename or out}: {error.strerror}") from None


def _run(folder: Path) -> Run:
    # Whoever only reads another's file does not wait until numba is imported.
    from tfmem.experiments.run import load_run

    return load_run(folder)


def _pairs(folder: Path, out: Path, influence: bool) -> list[Path]:
    write_pairs(out, _run(folder).pairs)
    return [out]


def _matrices(folder: Path, out: Path, influence: bool) -> list[Path]:
    memorization = _run(folder).memorization["memorization"].sort_index().to_numpy()
    write_matrices(out, _class_matrices(folder), memorization)
    return [out]


def _demonstration(folder: Path, out: Path, influence: bool) -> list[Path]:
    memorization = _run(folder).memorization["memorization"].sort_index().to_numpy()
    write_demonstration(out, _class_matrices(folder), memorization)
    return [out]


def _ground_truth(folder: Path, out: Path, influence: bool) -> list[Path]:
    from tfmem.exchange.ground_truth import write_ground_truth

    write_ground_truth(folder, out)
    return [out]


def _tables(kind: TableFormat) -> Callable[[Path, Path, bool], list[Path]]:
    def write(folder: Path, out: Path, influence: bool) -> list[Path]:
        run = _run(folder)
        parts: dict[str, Iterable[pd.DataFrame]] = {
            "memorization": [run.memorization.reset_index()],
            "pairs": [run.pairs],
        }
        if influence:
            parts["influence"] = map(long_influence, run.influence_blocks())
        tables = {out / f"{name}.{kind}": part for name, part in parts.items()}
        write_tables(tables, kind)
        return list(tables)

    return write


def _class_matrices(folder: Path) -> Iterator[ClassMatrix]:
    for block in _run(folder).influence_blocks():
        values = block.influence.astype("float32")
        yield ClassMatrix(block.label, block.train_index, block.test_index, values)


_WRITERS: dict[Format, Callable[[Path, Path, bool], list[Path]]] = {
    "pairs-npz": _pairs,
    "matrices-npz": _matrices,
    "demo-npz": _demonstration,
    "lds": _ground_truth,
    "parquet": _tables("parquet"),
    "csv": _tables("csv"),
}
