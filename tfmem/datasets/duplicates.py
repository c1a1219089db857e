"""Near duplicates: examples of one data set that are almost the same picture or text.

Two pictures are compared by their thumbnails of 8 x 8 pixels in colour, less the mean and scaled to
length one. Thumbnails of unrelated pictures share what most pictures share (light sky, white
background), so the components of thumbnails are first scaled to equal variance. After that,
unrelated pictures have nothing in common, and the cosine between two thumbnails is their
similarity.

Texts are equal, with similarity 1, if they have the same words in the same order, whatever their
case and punctuation. Other texts are compared by the characters of these words; see `alike_texts`.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tfmem.datasets import AnyDataset, Dataset, StructuredDataset, TextDataset
from tfmem.datasets.alike_texts import alike_texts
from tfmem.messages.errors import InputError
from tfmem.store import spreadsheets
from tfmem.store.files import write_atomically
from tfmem.store.groups import Groups, groups_to_csv
from tfmem.store.outputs import publish_outputs, settle_step, unfinished_folder

THRESHOLD = 0.85  # of 144 pairs of CIFAR-100 from 0.85 to 0.95, a dozen showed different things
_SIDE = 8
_STEP = "duplicates"
_RIDGE = 1e-3  # share of the largest variance below which a component is noise
_BLOCK = 2048
_MOST = 10_000_000  # pairs that may be found
_NONE = pd.DataFrame({"a": np.zeros(0, int), "b": np.zeros(0, int), "similarity": np.zeros(0)})


@dataclass(frozen=True)
class Duplicates:
    """The near duplicates in a data set.

    Attributes:
      groups: training examples that chains of near duplicates join; each group is named after its
        first example.
      train: one row for each pair of training examples: `train_index`, `other_index` (the larger),
        `similarity`, which is 1 for equal examples.
      test: one row for each pair of a test and a training example: `test_index`, `train_index`,
        `group` (empty if the training example is in none), `similarity`.
    """

    groups: Groups
    train: pd.DataFrame
    test: pd.DataFrame


def find_duplicates(dataset: AnyDataset, threshold: float = THRESHOLD) -> Duplicates:
    """Finds near duplicates among training examples, and between test and training examples.

    Beside the data set this takes 1.5 kB of memory for each example, 17 MB for a block of
    similarities, and the pairs found.

    Args:
      dataset: a data set in memory, of images, texts, vectors or named inputs; vectors are compared
        as they are, and named inputs are duplicates if all of them are equal.
      threshold: least similarity, above 0 and at most 1; equal examples are found at any threshold.

    Raises:
      InputError: if the data set is streamed, or if there are too many pairs.
    """
    if isinstance(dataset, TextDataset):
        train_names, test_names = _words(dataset.train_texts), _words(dataset.test_texts)
        near_train = _near_texts(train_names, train_names, threshold)
        near_train = near_train[near_train["a"] < near_train["b"]]
        near_test = _near_texts(test_names, train_names, threshold)
    elif isinstance(dataset, Dataset):
        train_names, test_names = _hashes(dataset.train_images), _hashes(dataset.test_images)
        train, test = _features(dataset)
        near_train = _alike(train, train, threshold, above=True)
        near_test = _alike(test, train, threshold)
    elif isinstance(dataset, StructuredDataset):
        train_names, test_names = _rows(dataset, "train"), _rows(dataset, "test")
        near_train = near_test = _NONE
    else:
        raise InputError(
            f"{dataset.name}: near duplicates are found in memory; this data set is streamed "
            "(dataset.image_size)"
        )
    same = _equal(train_names, train_names).rename(columns={"a": "b", "b": "a"}).query("a < b")
    pairs = _join(near_train, same)
    near_test = _join(near_test, _equal(test_names, train_names))
    groups = _components(pairs, len(train_names))
    home = np.full(len(train_names), "", object)
    for name, members in groups.items():
        home[members] = name
    train_pairs = pairs.set_axis(["train_index", "other_index", "similarity"], axis=1)
    test_pairs = near_test.set_axis(["test_index", "train_index", "similarity"], axis=1)
    test_pairs.insert(2, "group", home[test_pairs["train_index"]])
    return Duplicates(groups, train_pairs, test_pairs)


def _features(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors of training and test examples, float32 `[count, width]`."""
    train, test = (_thumbnails(images) for images in (dataset.train_images, dataset.test_images))
    variance, axes = np.linalg.eigh(train.T @ train / len(train))
    variance = np.maximum(variance, 0)
    scale = 1 / np.sqrt(variance + _RIDGE * max(variance[-1], np.finfo(np.float32).tiny))
    projection = (axes * scale).astype(np.float32)
    return _unit(train @ projection), _unit(test @ projection)


def _thumbnails(images: np.ndarray) -> np.ndarray:
    """Unit vectors of the means over an 8 x 8 grid of cells, less their mean: `[count, width]`."""
    cells = [_cells(size) for size in images.shape[1:3]]
    parts = []
    for first in range(0, len(images), _BLOCK):
        block = images[first : first + _BLOCK].astype(np.float32)
        if images.ndim == 4:
            rows, columns = cells
            block = np.einsum("rh,nhwc,sw->nrsc", rows, block, columns, optimize=True)
        block = block.reshape(len(block), -1)
        parts.append(_unit(block - block.mean(axis=1, keepdims=True)))
    return np.concatenate(parts)


def _cells(size: int) -> np.ndarray:
    """Weight of each pixel of a line in each cell: float32 `[cells, size]`; rows sum to 1."""
    cells = min(_SIDE, size)
    edges = np.arange(cells + 1)[:, None] * size / cells
    covered = np.clip(edges - np.arange(size), 0, 1)
    return np.asarray(np.diff(covered, axis=0) * cells / size, np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    """Scales rows to length one; rows of nearly 0, which have no direction, become 0."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(length > 1e-5, rows / np.maximum(length, 1e-5), 0).astype(np.float32)


def _alike(
    queries: np.ndarray, others: np.ndarray, threshold: float, above: bool = False
) -> pd.DataFrame:
    """Pairs at least as similar as `threshold`; `above` keeps those with the larger row second."""
    found, parts = 0, []
    for first in range(0, len(queries), _BLOCK):
        for second in range(first if above else 0, len(others), _BLOCK):
            product = queries[first : first + _BLOCK] @ others[second : second + _BLOCK].T
            row, column = np.nonzero(product >= threshold)
            similarity = np.minimum(product[row, column], 1)
            pair = pd.DataFrame({"a": row + first, "b": column + second, "similarity": similarity})
            parts.append(pair[pair["a"] < pair["b"]] if above else pair)
            found += len(parts[-1])
            if found > _MOST:
                raise _too_many(threshold)
    return pd.concat(parts)


def _hashes(images: np.ndarray) -> list[str]:
    return [hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest() for image in images]


def _rows(dataset: StructuredDataset, split: str) -> list[str]:
    """A hash of all inputs of each example; its own name if inputs are not known."""
    inputs = dataset.train_inputs if split == "train" else dataset.test_inputs
    if not inputs:
        return [f"{split} {row}" for row in range(len(getattr(dataset, f"{split}_labels")))]
    columns = [_hashes(values) for _, values in sorted(inputs.items())]
    return ["\0".join(row) for row in zip(*columns, strict=True)]


def _words(texts: np.ndarray) -> list[str]:
    """The words of each text, or the text itself if it has none."""
    return [
        "\n".join(" ".join(re.findall(r"\w+", part.casefold())) or part for part in sentences)
        for sentences in texts
    ]


def _near_texts(queries: list[str], others: list[str], threshold: float) -> pd.DataFrame:
    """Pairs at least as similar as `threshold`: of all queries, and the first of equal others."""
    distinct, which = np.unique(np.array(queries, object), return_inverse=True)
    texts, first = np.unique(np.array(others, object), return_index=True)
    found, parts = 0, [_NONE]
    for part in alike_texts(distinct.tolist(), texts.tolist(), threshold):
        parts.append(part)
        found += len(part)
        if found > _MOST:
            raise _too_many(threshold)
    near = pd.concat(parts, ignore_index=True)
    all_queries = pd.DataFrame({"a": which, "query": np.arange(len(queries))})
    near = near.merge(all_queries, on="a")
    return pd.DataFrame(
        {
            "a": near["query"].to_numpy(np.int64),
            "b": first[near["b"].to_numpy(np.int64)],
            "similarity": near["similarity"].to_numpy(),
        }
    )


def _too_many(threshold: float) -> InputError:
    return InputError(
        "similarity of near duplicates: expected one that few pairs reach, but more than "
        f"{_MOST:,} reach {threshold} (--threshold, or experiments.audit.similarity)"
    )


def _equal(queries: list[str], others: list[str]) -> pd.DataFrame:
    """Pairs of a query that equals some of `others`, and the first of the equal ones."""
    place = pd.Series(range(len(others)), index=others)
    first = place[~place.index.duplicated()].reindex(queries).to_numpy(np.float64)
    known = np.flatnonzero(~np.isnan(first))
    return pd.DataFrame({"a": known, "b": first[known].astype(np.int64), "similarity": 1.0})


def _join(near: pd.DataFrame, equal: pd.DataFrame) -> pd.DataFrame:
    """Joins both tables of pairs without repeats, the most similar pairs first."""
    pairs = pd.concat([equal, near])[["a", "b", "similarity"]].drop_duplicates(["a", "b"])
    order = np.lexsort((pairs["b"], pairs["a"], -pairs["similarity"]))
    return pairs.iloc[order].reset_index(drop=True)


def _components(pairs: pd.DataFrame, count: int) -> Groups:
    """The connected components of `pairs` that have at least two examples."""
    edges = (np.ones(len(pairs), np.int8), (pairs["a"], pairs["b"]))
    _, component = connected_components(coo_array(edges, shape=(count, count)), directed=False)
    order = np.argsort(component, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(component[order])) + 1)
    found = sorted((part for part in parts if len(part) > 1), key=lambda part: int(part[0]))
    return {f"like-{part[0]}": part for part in found}


def write_duplicates(found: Duplicates, path: Path) -> None:
    """Writes `NAME.csv` with the groups, and `NAME-pairs.csv` and `NAME-test.csv`, all or none.

    What a process that was killed had written of all three is put in place first.

    Raises:
      InputError: if a file cannot be written.
    """
    files = {
        f"{path.stem}-pairs.csv": spreadsheets.to_csv(found.train, "%.4f"),
        f"{path.stem}-test.csv": spreadsheets.to_csv(found.test, "%.4f"),
        path.name: groups_to_csv(found.groups),
    }
    try:
        settle_step(path.parent, _STEP)
        unfinished = unfinished_folder(path.parent, _STEP)
        try:
            for name, contents in files.items():
                write_atomically(unfinished / name, contents)
            publish_outputs(unfinished, path.parent, {name: name for name in files})
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
