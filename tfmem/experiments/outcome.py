"""The outcome of an experiment, which is kept as a table and as sentences with numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tfmem.messages.errors import InputError
from tfmem.store.files import write_atomically
from tfmem.store.json_files import read_object, value_of
from tfmem.store.spreadsheets import read_csv, to_csv

TABLE_NAME, FINDINGS_NAME = "table.csv", "findings.json"


@dataclass(frozen=True)
class Outcome:
    """The outcome of an experiment.

    Attributes:
      findings: the answer in sentences, each with numbers and errors.
      table: all numbers, including those of the figure.
      question: the question that the declaration of the experiment asks.
    """

    findings: tuple[str, ...]
    table: pd.DataFrame
    question: str = ""

    def save(self, folder: Path) -> None:
        """Writes `table.csv` and `findings.json`."""
        said = {"question": self.question, "findings": list(self.findings)}
        write_atomically(folder / TABLE_NAME, to_csv(self.table))
        write_atomically(folder / FINDINGS_NAME, json.dumps(said, indent=1).encode())


def load_outcome(folder: Path, numbers: Sequence[str] = ()) -> Outcome:
    """Reads what `Outcome.save` wrote.

    Args:
      folder: the folder of the outcome.
      numbers: columns that the table must have and that hold numbers.

    Raises:
      InputError: if the outcome does not exist or is damaged.
    """
    source = str(folder / FINDINGS_NAME)
    said = read_object(source)
    question = value_of(said, "question", str, source)
    findings = value_of(said, "findings", list, source)
    if not all(isinstance(finding, str) for finding in findings):
        raise InputError(f"{source}: findings: expected sentences")
    return Outcome(tuple(findings), read_csv(folder / TABLE_NAME, numbers), question)
