"""Shows examples on a page: as pictures on a few sheets, or as texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tfmem.datasets import AnyDataset, TextDataset, has_classes, ids_of
from tfmem.datasets.pictures import Pictures
from tfmem.messages.numbers import four
from tfmem.pages.html import data_uri
from tfmem.pages.sprites import Sprites, sprites
from tfmem.pages.texts import Texts, Word, texts

_MOST = 8  # numbers of a target that are shown
_SPLITS = {"train": "training", "test": "test"}


class SheetStyle(NamedTuple):
    """Size and layout of a sheet of pictures, for the style sheet.

    Attributes:
      name: the CSS class of its pictures: `train-0` and so on.
      source: the address of its image.
      columns: number of pictures in a full row.
      rows: number of rows.
      aspect: width of a picture divided by its height.
    """

    name: str
    source: str
    columns: int
    rows: int
    aspect: float


class Looks:
    """Pictures or texts of the examples of a page, for its templates and its script.

    Attributes:
      pictures: pictures by split; empty if the examples are texts.
      texts: texts by split; empty if the examples are pictures.
    """

    def __init__(
        self,
        data: AnyDataset,
        index: Mapping[str, Sequence[int]],
        attributions: pd.DataFrame | None = None,
    ) -> None:
        """Collects pictures, or texts.

        Args:
          data: the data set with the examples.
          index: the indices of the examples on the page, in order, by split.
          attributions: attributions of training texts to words, as `texts` takes them.
        """
        self._data = data
        self._at = {split: {each: at for at, each in enumerate(index[split])} for split in index}
        self.pictures: dict[str, Sprites] = {}
        self.texts: dict[str, Texts] = {}
        for split, chosen in index.items():
            if isinstance(data, TextDataset):
                known = attributions if split == "train" else None
                self.texts[split] = texts(data, split, chosen, known)
            else:
                self.pictures[split] = sprites(Pictures(data, split), chosen)

    @property
    def attributed(self) -> int:
        """The number of texts whose attributions to words are known."""
        return sum(len(each.words) for each in self.texts.values())

    def name(self, split: str, index: int) -> str:
        """The alternative text of an example, for readers who cannot see it."""
        shown = f"{_SPLITS[split]} example {index}"
        if name := self.own_name(split, index):
            shown += f", {name}"
        if has_classes(self._data):
            label = getattr(self._data, f"{split}_labels")[index]
            shown += f", class {self._data.class_names[label]}"
        return shown

    def own_name(self, split: str, index: int) -> str:
        """The user's own name of an example; empty if there is none."""
        ids = ids_of(self._data, split)
        return "" if ids is None else str(ids[index])

    def target(self, split: str, index: int) -> str:
        """What models are trained to predict for an example; empty if that is its class."""
        targets = getattr(self._data, f"{split}_targets", None)
        if targets is None or has_classes(self._data):
            return ""
        values = np.ravel(targets[index])
        shown = " ".join(four(value) for value in values[:_MOST])
        return f"{shown} …" if len(values) > _MOST else shown

    @property
    def targeted(self) -> bool:
        """Whether the examples have targets that are no classes."""
        known = getattr(self._data, "train_targets", None)
        return known is not None and not has_classes(self._data)

    def place(self, split: str, index: int) -> tuple[int, str] | None:
        """The sheet of a picture and its place there; None if the picture is not on the page."""
        at = self._at[split].get(index)
        return self.pictures[split].place(at) if at is not None and self.pictures else None

    def sentences(self, split: str, index: int) -> tuple[str, ...]:
        """The sentences of a text, whether it is on the page or not; none if it is a picture."""
        return tuple(getattr(self._data, f"{split}_texts")[index]) if self.texts else ()

    def words(self, split: str, index: int) -> list[list[Word]]:
        """The words of each sentence with their attributions; none if they are not known."""
        at = self._at[split].get(index)
        return [] if at is None or not self.texts else self.texts[split].words.get(at, [])

    def sheets(self, sources: Mapping[str, Sequence[str]] | None = None) -> list[SheetStyle]:
        """Lists all sheets of pictures.

        Args:
          sources: addresses of the images by split; None puts the images into the page.
        """
        return [
            SheetStyle(
                f"{split}-{number}",
                sources[split][number] if sources else data_uri(sheet.encoded, sheet.suffix),
                sheet.columns,
                sheet.rows,
                sheets.aspect,
            )
            for split, sheets in self.pictures.items()
            for number, sheet in enumerate(sheets.sheets)
        ]

    def _each(self, of: Callable[[str, int], str], known: bool) -> dict[str, list[str]]:
        """What a function says of the examples on the page, by split; nothing if it is unknown."""
        return {
            split: [of(split, index) for index in at] if known else []
            for split, at in self._at.items()
        }

    def data(self) -> dict[str, Any]:
        """Returns the data for the page's script, as values that JSON can hold."""
        return {
            "sheets": {
                split: [[sheet.columns, sheet.rows] for sheet in known.sheets]
                for split, known in self.pictures.items()
            },
            "texts": {split: known.data for split, known in self.texts.items()},
            "names": self._each(self.own_name, ids_of(self._data, "train") is not None),
            "targets": self._each(self.target, self.targeted),
        }
