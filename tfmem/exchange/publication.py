"""One folder with a run's estimates that others can cite, and read without tfmem."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import tfmem
from tfmem.datasets.other_orders import other_orders
from tfmem.exchange.arrays import write_npz
from tfmem.exchange.matrices import ClassMatrix, write_matrices
from tfmem.exchange.pairs import write_pairs
from tfmem.exchange.publication_readme import readme
from tfmem.exchange.tables import long_influence, write_tables
from tfmem.messages.errors import InputError
from tfmem.store.bits import unpack
from tfmem.store.files import write_atomically
from tfmem.store.outputs import unfinished_folder
from tfmem.store.shards import read_shard, shards_in

if TYPE_CHECKING:
    from tfmem.estimation.blocks import InfluenceBlock
    from tfmem.experiments.run import Run

README, SUMS, METADATA, SETTINGS = "README.md", "SHA256SUMS", "metadata.json", "settings.yaml"
_PACKAGES = ("numpy", "tensorflow", "keras", "apache-beam")


def publish(
    folder: Path,
    out: Path,
    licence: str | None = None,
    title: str | None = None,
    warn: Callable[[str], None] = lambda said: None,
) -> list[Path]:
    """Writes a run's estimates, what they were made from, and what each number means.

    Args:
      folder: the run, with labels.
      out: the folder to make; it appears when it is complete, and must not exist or be empty.
      licence: under which the numbers are published, such as `CC-BY-4.0`; None states none.
      title: title of `README.md`; None takes the names of data set and model.
      warn: told what had to be left out.

    Returns:
      The files.

    Raises:
      InputError: if the folder lacks labels or memorization, or `out` cannot be written.
    """
    from tfmem.experiments.run import load_run

    run = load_run(folder)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out {out}: expected a new or an empty folder")
    try:
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
        made = unfinished_folder(out.absolute().parent, "publish")
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written: {error.strerror}") from None
    try:
        subsets, has_influence = _subsets(run.predictions), (folder / "influence").is_dir()
        whole = {
            "examples": _examples(run, warn),
            "memorization": run.memorization.reset_index(),
            "pairs": run.pairs,
            "subsets": subsets,
        }
        tables: dict[str, Iterable[pd.DataFrame]] = {n: [table] for n, table in whole.items()}
        if has_influence:
            tables["influence"] = map(long_influence, run.influence_blocks())
        write_tables({made / f"{name}.parquet": parts for name, parts in tables.items()}, "parquet")
        _arrays(run, made, has_influence)
        metadata = _metadata(run, subsets, licence)
        columns = {name: [str(each) for each in table] for name, table in whole.items()}
        texts = {
            METADATA: json.dumps(metadata, indent=1, ensure_ascii=False) + "\n",
            SETTINGS: _settings(run),
            README: readme(
                title or f"Memorization and influence: {metadata['dataset']['name']}",
                metadata, run.units, columns, has_influence,
            ),
        }  # fmt: skip
        for name, text in texts.items():
            write_atomically(made / name, text.encode())
        sums = "".join(f"{_sha256(path)}  {path.name}\n" for path in sorted(made.iterdir()))
        write_atomically(made / SUMS, sums.encode())
        if out.exists():
            out.rmdir()
        os.replace(made, out)
    except OSError as error:
        raise InputError(f"{error.filename or out}: {error.strerror}") from None
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return sorted(out.iterdir())


def _arrays(run: Run, made: Path, has_influence: bool) -> None:
    """Writes npz files, those of pairs and influence in the form of the paper's authors."""
    table = run.memorization.reset_index()
    write_npz(made / "memorization.npz", ((str(each), table[each].to_numpy()) for each in table))
    write_pairs(made / "pairs.npz", run.pairs)
    write_atomically(made / "labels.npz", run.labels.to_npz())
    if has_influence:
        write_matrices(made / "influence.npz", map(_matrix, run.influence_blocks()),
                       table["memorization"].to_numpy())  # fmt: skip


def _matrix(block: InfluenceBlock) -> ClassMatrix:
    values = block.influence.astype(np.float32)
    return ClassMatrix(block.label, block.train_index, block.test_index, values)


def _examples(run: Run, warn: Callable[[str], None]) -> pd.DataFrame:
    """A row for each training and test example: what it is called, here and elsewhere."""
    labels = run.labels
    orders = None
    try:
        orders = other_orders(run.config.dataset, labels)
    except InputError as error:
        warn(f"indices in the official order are left out: {error}")
    parts = []
    for split in ("train", "test"):
        of_split = getattr(labels, f"{split}_labels")
        columns: dict[str, Any] = {
            "split": split,
            "index": np.arange(len(of_split)),
            "label": of_split,
            "class": np.array(labels.class_names, object)[of_split],
        }
        if (names := getattr(labels, f"{split}_ids")) is not None:
            columns["id"] = names.astype(object)
        columns |= (orders or {}).get(split, {})
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _subsets(predictions: Path) -> pd.DataFrame:
    """A row for each trial: the size and the hash of its subset."""
    rows = {}
    for path in shards_in(predictions):
        for record in read_shard(path):
            size = int(unpack(record.subset_mask, record.num_train).sum())
            digest = hashlib.sha256(record.subset_mask).hexdigest()
            rows[record.trial_id] = (record.trial_id, size, digest, bool(record.diverged))
    names = ["trial_id", "size", "subset_sha256", "diverged"]
    return pd.DataFrame([rows[trial] for trial in sorted(rows)], columns=names)


def _metadata(run: Run, subsets: pd.DataFrame, licence: str | None) -> dict[str, Any]:
    labels, config = run.labels, run.config
    shard = shards_in(run.predictions)[0]
    first = next(iter(read_shard(shard)))
    versions = {"tfmem": tfmem.__version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "format": "tfmem publication, version 1",
        "licence": licence,
        "dataset": {
            "name": config.dataset.name,
            "fingerprint": first.dataset_fingerprint.hex(),
            "num_train": len(labels.train_labels),
            "num_test": len(labels.test_labels),
            "class_names": list(labels.class_names),
        },
        "model": config.model.name,
        "trials": int((~subsets["diverged"]).sum()),
        "trials_diverged": int(subsets["diverged"].sum()),
        "models_of_a_subset": run.measure.models,
        "mean_subset_fraction": float(subsets["size"].mean() / len(labels.train_labels)),
        "seed": first.seed,
        "config_digest": first.config_digest.hex(),
        "statistic": run.statistic,
        "score": run.score,
        "selection": run.selection,
        "versions_at_publication": versions,
    }


def _settings(run: Run) -> str:
    """All settings, with files and folders of this machine by their names alone."""
    config = run.config
    dataset, training = config.dataset, config.training
    if dataset.data_dir is not None:
        dataset = dataset.model_copy(update={"data_dir": Path(dataset.data_dir).name})
    paths = {
        name: Path(path).name
        for name in ("subsets", "groups")
        if (path := getattr(training, name)) is not None
    }
    training = training.model_copy(update=paths)
    return config.model_copy(update={"dataset": dataset, "training": training}).to_yaml()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()
