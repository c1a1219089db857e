"""Classification data sets of tensorflow-datasets, by name, with a stable index."""

from __future__ import annotations

import contextlib
import difflib
import io
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tfmem.config import DatasetSettings, TextSettings
from tfmem.datasets.cache import file_states
from tfmem.datasets.dataset import Dataset
from tfmem.datasets.order import ORDER_FEATURES, index_order
from tfmem.datasets.recent import decoded_once
from tfmem.datasets.record_index import index_records
from tfmem.datasets.streamed import AnyDataset, StreamedDataset, default_resize
from tfmem.datasets.text import TextDataset, as_texts, check_classes, without_classes
from tfmem.messages.errors import InputError, reason

_FROM_FILES = ("npz", "image_folder", "text_files", "treebank")  # names that TFDS does not have


def load_tfds(settings: DatasetSettings) -> AnyDataset:
    """Reads the splits `train` and `dataset.test_split` of a TFDS data set.

    The splits are read into memory, or only indexed if `dataset.image_size` is set. `index_order`
    says what the index of an example is.

    Raises:
      InputError: if TFDS does not have the data set; if it is not prepared, and may not or cannot
        be prepared; if its examples are not images with a label (all of one size, unless
        `dataset.image_size` is set); or if it lacks the columns that `dataset.text` names.
    """
    builder = _prepared(settings)
    name, features = settings.name, builder.info.features
    splits = ("train", settings.test_split)
    if absent := [split for split in splits if split not in builder.info.splits]:
        key = "dataset.name" if absent == ["train"] else "dataset.test_split"
        raise InputError(
            f"{key}: {name} has no split {absent[-1]!r}, only {sorted(builder.info.splits)}"
        )
    if settings.text is not None:
        return _load_texts(builder, settings.text, splits)
    missing = {"image", "label"} - set(features)
    if missing:
        raise InputError(
            f"dataset.name: {name}: expected features 'image' and 'label', found {sorted(features)}"
        )
    names, white = tuple(features["label"].names), getattr(builder, "WHITE", 255)
    if settings.image_size is not None:
        (train, train_labels), (test, test_labels) = (_index(builder, split) for split in splits)
        resize = settings.resize or default_resize(settings.image_size)
        return StreamedDataset(
            name, train, train_labels, test, test_labels, names, settings.image_size, resize, white
        )
    if None in features["image"].shape:
        raise InputError(
            f"dataset.name: {name}: expected images of one size; set dataset.image_size to train "
            "on images of any size"
        )
    (train, train_labels), (test, test_labels) = (_images(builder, split) for split in splits)
    return Dataset(name, train, train_labels, test, test_labels, names, white)


def _load_texts(builder: Any, settings: TextSettings, splits: Sequence[str]) -> TextDataset:
    """Reads sentences, and leaves out and counts examples without a label, which TFDS marks -1."""
    name, features = builder.info.full_name, builder.info.features
    label = settings.label
    wanted = settings.columns if label is None else (*settings.columns, label)
    if missing := [column for column in wanted if column not in features]:
        raise InputError(
            f"dataset.text: {name}: expected columns among {sorted(features)}, received "
            f"{missing[0]!r}"
        )
    if label is not None and not hasattr(features[label], "names"):
        raise InputError(
            f"dataset.text.label: {name}: expected a column of classes, found {features[label]}"
        )
    texts, labels, notes = [], [], []
    for split in splits:
        columns = _read(builder, split, wanted)
        for column in settings.columns:
            if columns[column].dtype != object:
                raise InputError(
                    f"dataset.text.columns: {name}: expected texts in {column!r}, found "
                    f"{features[column]}"
                )
        classes = columns[label] if label is not None else np.zeros(len(columns[wanted[0]]), int)
        known = classes >= 0
        if not known.any():
            raise InputError(
                f"dataset.test_split: {name}: no example of {split!r} has a label; choose among "
                f"{sorted(builder.info.splits)}"
            )
        if left_out := int((~known).sum()):
            notes.append(f"{name}: {split}: {left_out:,} examples without a label are left out")
        rows = zip(*(columns[column][known] for column in settings.columns), strict=True)
        decoded = [[text.decode() for text in row] for row in rows]
        texts.append(as_texts(decoded, settings.columns, f"{name}: {split}"))
        labels.append(classes[known].astype(np.int64))
    if label is None:
        return without_classes(name, texts, settings.tokens)
    names = settings.class_names or tuple(features[label].names)
    dataset = TextDataset(name, texts[0], labels[0], texts[1], labels[1], names)
    return check_classes(replace(dataset, notes=tuple(notes)))


def _prepared(settings: DatasetSettings) -> Any:
    import tensorflow_datasets as tfds

    from tfmem.datasets import digits  # noqa: F401  (importing it registers its name with TFDS)

    name = settings.name
    try:
        builder = tfds.builder(name, data_dir=settings.data_dir)
    except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:
        close = difflib.get_close_matches(name.lower(), [*_FROM_FILES, *tfds.list_builders()], n=1)
        hint = f"did you mean {close[0]!r}?" if close else str(error).strip().splitlines()[0]
        raise InputError(f"dataset.name: TFDS has no data set {name!r}: {hint}") from None
    if not builder.is_prepared():
        if name != "digits" and not settings.download:
            raise InputError(
                f"dataset.data_dir: {name} is not prepared in {builder.data_dir}. Set "
                f"dataset.data_dir to a folder with its official files or to a TFDS folder that "
                f"has it, or let TFDS fetch it with dataset.download=true"
            )
        try:
            _prepare(builder, quietly=name == "digits")
        except Exception as error:
            # Of what can happen (a full disk, no network, another checksum), much is raised by
            # TFDS as RuntimeError or as an exception of its own. Nothing is amiss if another
            # program has prepared the data set in the meantime.
            builder = tfds.builder(name, data_dir=settings.data_dir)
            if not builder.is_prepared():
                raise InputError(
                    f"dataset.data_dir: {name} cannot be prepared in {builder.data_dir}: "
                    f"{reason(_first_cause(error))}"
                ) from error
    return builder


def _prepare(builder: Any, quietly: bool) -> None:
    import tensorflow_datasets as tfds

    if not quietly:
        builder.download_and_prepare()
        return
    tfds.disable_progress_bar()
    with contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare()
    tfds.enable_progress_bar()


def _first_cause(error: BaseException) -> BaseException:
    """The exception that others were raised from; their messages repeat it and add prefixes."""
    while error.__cause__:
        error = error.__cause__
    return error


def _index(builder: Any, split: str) -> tuple[Any, np.ndarray]:
    """The encoded images of a split, which stay in their files, and labels, in index order."""
    import tensorflow_datasets as tfds

    info, where = builder.info, f"dataset.name: {builder.info.full_name}"
    image = info.features["image"]
    if not isinstance(image, tfds.features.Image) or image.np_dtype != np.uint8:
        raise InputError(f"{where}: expected encoded images of 8 bits, found {image}")
    if info.file_format != tfds.core.FileFormat.TFRECORD:
        raise InputError(
            f"{where}: dataset.image_size needs a data set prepared as TFRecord files, found "
            f"{info.file_format.value}"
        )
    paths = [os.fspath(path) for path in info.splits[split].filepaths]
    if "://" in paths[0]:
        raise InputError(f"{where}: dataset.image_size needs local files, found {paths[0]}")
    return index_records(
        info.full_name,
        split,
        paths,
        info.splits[split].shard_lengths,
        set(ORDER_FEATURES) & set(info.features),
        info.features["label"].num_classes,
    )


def _read(builder: Any, split: str, wanted: Sequence[str]) -> dict[str, np.ndarray]:
    """The wanted features of a split, each `[num_examples, ...]` and read-only, in index order."""
    paths = [os.fspath(path) for path in builder.info.splits[split].filepaths]
    if "://" in paths[0] or not all(map(os.path.exists, paths)):
        return _decode(builder, split, wanted)  # TFDS says what is missing
    key = (os.fspath(builder.data_dir), split, tuple(wanted), tuple(file_states(paths)))
    return decoded_once(key, lambda: _decode(builder, split, wanted))


def _decode(builder: Any, split: str, wanted: Sequence[str]) -> dict[str, np.ndarray]:
    import tensorflow_datasets as tfds

    in_file_order = tfds.ReadConfig(interleave_cycle_length=1)
    batches = builder.as_dataset(
        split=split, batch_size=-1, shuffle_files=False, read_config=in_file_order
    )
    columns = tfds.as_numpy(batches)
    order = index_order({name: columns[name] for name in ORDER_FEATURES if name in columns})
    found = {name: columns[name] for name in wanted}
    return found if order is None else {name: found[name][order] for name in wanted}


def _images(builder: Any, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The images of a split, and their labels as int64, in index order."""
    columns = _read(builder, split, ("image", "label"))
    labels = columns["label"].astype(np.int64)
    if (labels < 0).any():
        raise InputError(
            f"{builder.info.full_name}: {split}: expected labels from 0, received "
            f"{labels.min()} at index {np.argmin(labels)}"
        )
    return columns["image"], labels
