"""What an experiment found, and how it is kept: a table, and sentences with their numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tfmem.errors import InputError
from tfmem.store.files import write_atomically
from tfmem.store.spreadsheets import read_csv, to_csv

TABLE_NAME, FINDINGS_NAME = "table.csv", "findings.json"


@dataclass(frozen=True)
class Outcome:
    """What an experiment found.

    Attributes:
      question: what was asked, in a few words.
      findings: the answer, a sentence with numbers and errors each.
      table: all numbers, those of the figure included.
    """

    question: str
    findings: tuple[str, ...]
    table: pd.DataFrame

    def save(self, folder: Path) -> None:
        """Writes `table.csv` and `findings.json`."""
        said = {"question": self.question, "findings": list(self.findings)}
        write_atomically(folder / TABLE_NAME, to_csv(self.table))
        write_atomically(folder / FINDINGS_NAME, json.dumps(said, indent=1).encode())


def load_outcome(folder: Path) -> Outcome:
    """Reads what `Outcome.save` wrote.

    Raises:
      InputError: if it is not there, or not complete.
    """
    try:
        said = json.loads((folder / FINDINGS_NAME).read_text(encoding="utf-8"))
        table = read_csv(str(folder / TABLE_NAME))
        return Outcome(said["question"], tuple(said["findings"]), table)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{folder}: no outcome of an experiment: {error}") from None
