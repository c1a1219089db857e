"""Galleries of the pairs in a table, from a run or a published file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tfmem.datasets import AnyDataset, has_classes, ids_of
from tfmem.datasets.pictures import Pictures
from tfmem.estimation.units import SHARES, Units
from tfmem.figures.galleries import Images, InfluenceRow, pair_gallery, spread_evenly
from tfmem.figures.style import save
from tfmem.messages.errors import InputError

_EXAMPLES = 4
MostInfluenced = Callable[[int, int], tuple[np.ndarray, np.ndarray]]


def pair_galleries(
    pairs: pd.DataFrame,
    train_images: Images,
    test_images: Images,
    names: Mapping[int, str] | None = None,
    most_influenced: MostInfluenced | None = None,
    named: str = "class",
    units: Units = SHARES,
) -> dict[str, Figure]:
    """Draws galleries of pairs, by name; each gallery shows a training example once.

    `pair_gallery` has five training examples, spread evenly over the pairs sorted by influence, and
    up to four test examples that each influences most, like Feldman & Zhang's (2020) Fig. 3.
    `pair_gallery_spread` has twenty training examples, spread in the same way, like their Figs. D.5
    to D.8. `pair_gallery_several` has the training examples that are in most pairs.

    Args:
      pairs: columns `train_index`, `test_index`, `influence`, `memorization`; the most influential
        pair first.
      train_images: training examples by index, `[height, width, channels]` with values in [0, 1].
      test_images: test examples by index, in the same form.
      names: name of each training example, by index; None shows no names.
      most_influenced: returns, for a training example and a number, that many test examples that it
        influences most, and its influences; None shows the test examples in the table.
      named: what the names are, such as classes.
      units: of memorization and influence.
    """
    groups = {int(str(index)): rows for index, rows in pairs.groupby("train_index", sort=False)}
    every = list(groups)

    def draw(chosen: Iterable[int], most: MostInfluenced | None, limit: int, panels: int) -> Figure:
        rows = []
        for train in chosen:
            group = groups[train].head(limit)
            columns = group["test_index"].to_numpy(), group["influence"].to_numpy()
            tests, influence = most(train, limit) if most else columns
            name = names[train] if names is not None else ""
            memorization = float(group["memorization"].iloc[0])
            rows.append(InfluenceRow(train, memorization, tests, influence, name))
        examples = max((len(row.test_index) for row in rows), default=1)
        return pair_gallery(train_images, test_images, rows, examples, panels, named, units)

    five = [every[position] for position in spread_evenly(len(every), 5)]
    twenty = [every[position] for position in spread_evenly(len(every), 20)]
    several = sorted((t for t in every if len(groups[t]) > 1), key=lambda t: -len(groups[t]))[:20]
    return {
        "pair_gallery": draw(five, most_influenced, _EXAMPLES, 1),
        "pair_gallery_spread": draw(twenty, most_influenced, _EXAMPLES, 2),
        "pair_gallery_several": draw(several, None, _EXAMPLES, 2),
    }


def captions(pairs: pd.DataFrame, dataset: AnyDataset) -> dict[int, str]:
    """Returns the names of training examples in galleries of pairs, by index.

    An example is named by its class or, if there are no classes, by the user's own name for it.
    """
    if not has_classes(dataset):
        ids = ids_of(dataset, "train")
        return {index: "" if ids is None else str(ids[index]) for index in pairs["train_index"]}
    return {
        index: dataset.class_names[dataset.train_labels[index]].replace("_", " ")
        for index in pairs["train_index"].tolist()
    }


def save_pair_galleries(
    pairs: pd.DataFrame,
    dataset: AnyDataset,
    folder: Path,
    most_influenced: MostInfluenced | None = None,
    units: Units = SHARES,
) -> int:
    """Draws the galleries of a table of pairs with the images of a data set, as PNG and PDF.

    Args:
      pairs: see `pair_galleries`.
      dataset: the examples, in the order of the pairs' index.
      folder: receives the files.
      most_influenced: see `pair_galleries`.
      units: of memorization and influence.

    Returns:
      The number of pairs that join two examples of one class. All pairs do if they were selected
      within classes and the data set is the right one, in the right order.

    Raises:
      InputError: if an index is beyond the data set, or the folder cannot be written.
    """
    labels = {"train": dataset.train_labels, "test": dataset.test_labels}
    for split, known in labels.items():
        largest = pairs[f"{split}_index"].max()
        if largest >= len(known):
            raise InputError(
                f"{dataset.name}: expected the {split} example {largest}, which is in the pairs; "
                f"received {len(known)} examples"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be written: {error.strerror}") from None
    classes = {split: known[pairs[f"{split}_index"]] for split, known in labels.items()}
    names = captions(pairs, dataset)
    images = Pictures(dataset, "train"), Pictures(dataset, "test")
    named = "class" if has_classes(dataset) else "name"
    drawn = pair_galleries(pairs, *images, names, most_influenced, named, units)
    for name, figure in drawn.items():
        save(figure, folder, name)
    return int((classes["train"] == classes["test"]).sum())
