"""The table of trials, which tells people how each trial went.

Times and workers differ from run to run, so none of this is in prediction records. Every shard has
its own part of the table, and the parts are joined when a worker ends. A part is written before its
shard and states the size of the shard. Therefore a shard is never without its part, and a part that
belongs to another version of the shard is recognized. From such a part, only times, workers and
losses are taken, trial by trial; everything else follows from the records.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields

from tfmem.store.folders import Folder

TABLE_NAME = "trials.csv"
_OF = "# of a shard in bytes: "


@dataclass(frozen=True)
class TrialNote:
    """One row of `trials.csv`.

    Attributes:
      trial: the number of the trial.
      seed: the run's seed.
      worker: the program that trained the trial.
      seconds: the time that it took; trials that were trained together share their time equally.
      train_accuracy: accuracy on the trial's own subset.
      test_accuracy: accuracy on the test examples.
      final_loss: mean training loss over the last epoch.
      diverged: 1 if the trial is left out of the estimates (see `learning.is_left_out`).
    """

    trial: int
    seed: int
    worker: str
    seconds: float
    train_accuracy: float
    test_accuracy: float
    final_loss: float
    diverged: int


_TYPES = {"int": int, "str": str, "float": float}
_COLUMNS = {field.name: _TYPES[str(field.type)] for field in fields(TrialNote)}


class Journal:
    """The parts of the table: one file for each shard."""

    def __init__(self, folder: Folder) -> None:
        """Names the folder that holds the parts, which need not exist."""
        self.folder = folder

    def write(self, shard: int, notes: Sequence[TrialNote], size: int) -> None:
        """Writes the part of a shard, unless the file already has these contents.

        Args:
          shard: the shard's number.
          notes: the rows of the shard's trials.
          size: the shard's size in bytes. The part is written before the shard: until the shard has
            this size, the part does not belong to it.
        """
        name, contents = f"{shard:05d}.csv", f"{_OF}{size}\n".encode() + trials_to_csv(notes)
        if not self.folder.exists(name) or self.folder.read(name) != contents:
            self.folder.make()
            self.folder.write(name, contents)

    def read(self, shard: int) -> tuple[list[TrialNote], int]:
        """Reads the rows of a shard's part, and the size of the shard to which they belong.

        There are no rows if the part does not exist or is damaged. The size is -1 if it is not
        known, as in parts of earlier versions.
        """
        name = f"{shard:05d}.csv"
        try:
            text = self.folder.read(name).decode()
            known = re.match(rf"{_OF}([0-9]{{1,18}})\n", text)
            rows = csv.DictReader(io.StringIO(text[known.end() :] if known else text), strict=True)
            notes = [
                TrialNote(*(parse(row[column]) for column, parse in _COLUMNS.items()))
                for row in rows
            ]
        except (FileNotFoundError, ValueError, KeyError, TypeError, csv.Error):
            return [], -1
        return notes, int(known[1]) if known else -1


def trials_to_csv(notes: Iterable[TrialNote]) -> bytes:
    """Writes rows as CSV, with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for note in notes:
        values = astuple(note)
        writer.writerow([f"{v:.6g}" if isinstance(v, float) else str(v) for v in values])
    return text.getvalue().encode()
