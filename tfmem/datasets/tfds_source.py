"""Image classification sets of tensorflow-datasets, by name, with a stable index."""

from __future__ import annotations

import contextlib
import io
import re
from typing import Any

import numpy as np

from tfmem.config import DatasetSettings
from tfmem.datasets.dataset import Dataset
from tfmem.errors import InputError


def load_tfds(settings: DatasetSettings) -> Dataset:
    """Reads the `train` and `test` splits of a TFDS data set into memory.

    The index is the data set's own where it has one (`index`, or the number that ends `id`, which
    for CIFAR is the official order); otherwise it is the position in the prepared files, which is
    the same after every preparation but is not the official order.

    Raises:
      InputError: if TFDS has no such data set, if it is not prepared and may not or cannot be
        prepared, or if it is not made of images of one size with one label each.
    """
    import tensorflow_datasets as tfds

    from tfmem.datasets import digits  # noqa: F401  (importing it registers its name with TFDS)

    name = settings.name
    try:
        builder = tfds.builder(name, data_dir=settings.data_dir)
    except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"dataset.name: TFDS has no data set {name!r}: {reason}") from None
    if not builder.is_prepared():
        if name != "digits" and not settings.download:
            raise InputError(
                f"dataset.data_dir: {name} is not prepared in {builder.data_dir}. Set "
                f"dataset.data_dir to a folder with its official files or to a TFDS folder that "
                f"has it, or let TFDS fetch it with dataset.download=true"
            )
        _prepare(builder, quietly=name == "digits")
    missing = {"image", "label"} - set(builder.info.features)
    if missing or not {"train", "test"} <= set(builder.info.splits):
        raise InputError(
            f"dataset.name: {name}: expected splits 'train' and 'test' with features 'image' and "
            f"'label', found splits {sorted(builder.info.splits)} with features "
            f"{sorted(builder.info.features)}"
        )
    if None in builder.info.features["image"].shape:
        raise InputError(f"dataset.name: {name}: expected images of one size")
    train, test = _read(builder, "train"), _read(builder, "test")
    return Dataset(
        name=name,
        train_images=train["image"],
        train_labels=train["label"].astype(np.int64),
        test_images=test["image"],
        test_labels=test["label"].astype(np.int64),
        class_names=tuple(builder.info.features["label"].names),
        white=getattr(builder, "WHITE", 255),
    )


def _prepare(builder: Any, quietly: bool) -> None:
    import tensorflow_datasets as tfds

    if not quietly:
        builder.download_and_prepare()
        return
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare()
    tfds.enable_progress_bar()


def _read(builder: Any, split: str) -> dict[str, np.ndarray]:
    import tensorflow_datasets as tfds

    in_file_order = tfds.ReadConfig(interleave_cycle_length=1)
    batches = builder.as_dataset(
        split=split, batch_size=-1, shuffle_files=False, read_config=in_file_order
    )
    columns = tfds.as_numpy(batches)
    index = columns.get("index")
    if index is None and "id" in columns:
        numbers = [re.search(rb"\d+$", identifier) for identifier in columns["id"]]
        if all(numbers):
            index = np.array([int(number[0]) for number in numbers if number])
    if index is None:
        return columns
    order = np.argsort(index, kind="stable")
    return {name: columns[name][order] for name in ("image", "label")}
