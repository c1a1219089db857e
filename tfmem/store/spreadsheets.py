"""Writes tables as CSV in which spreadsheets execute nothing, and reads them.

A spreadsheet takes a cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return for a
formula, which may fetch addresses and start programs (OWASP, "CSV Injection"). Such a text gets an
apostrophe in front, which spreadsheets hide. A text that begins with apostrophes followed by one of
these characters gets one more apostrophe, so that `restored` returns the original text. Numbers,
and texts that are numbers, stay as they are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import pandas as pd

from tfmem.messages.errors import InputError, reason

_FORMULA = re.compile(r"'*[=+\-@\t\r\uff0b\uff0d\uff1d\uff20]")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?")


def harmless(text: str) -> str:
    """Changes a text so that no spreadsheet takes it for a formula.

    Args:
      text: any text.

    Returns:
      The text, with an apostrophe in front if a spreadsheet would take it for a formula.
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def restored(text: str) -> str:
    """Returns the text from which `harmless` made this one.

    Args:
      text: a result of `harmless`.
    """
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text


def to_csv(table: pd.DataFrame, float_format: str | None = None, header: bool = True) -> bytes:
    """Writes a table as CSV in UTF-8, without its index; NaN becomes an empty field.

    Args:
      table: the table; its texts and the names of its columns are made `harmless`.
      float_format: format of the numbers, such as `%.6g`; None writes all their digits.
      header: whether the first line holds the names of the columns.
    """
    made = table.copy(deep=False)
    for name in made.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in made.dtypes]]:
        made[name] = [harmless(each) if isinstance(each, str) else each for each in made[name]]
    made.columns = [harmless(str(name)) for name in made.columns]
    text: str = made.to_csv(
        index=False, header=header, float_format=float_format, lineterminator="\n"
    )
    return text.encode()


def read_csv(path: str | os.PathLike[str], numbers: Sequence[str] = ()) -> pd.DataFrame:
    """Reads a table that `to_csv` wrote; `None` and `NA` are ordinary texts.

    Args:
      path: the file.
      numbers: columns that must exist and hold only numbers and empty fields.

    Raises:
      InputError: naming the file, if it cannot be read or is no table; and the column, if it is
        missing or holds texts.
    """
    try:
        table = pd.read_csv(path, keep_default_na=False, na_values=[""])
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, OverflowError) as error:
        raise InputError(f"{path}: not readable as a table: {reason(error)}") from None
    for name in table.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in table.dtypes]]:
        table[name] = [restored(each) if isinstance(each, str) else each for each in table[name]]
    table = table.rename(columns=restored)
    for name in numbers:
        if name not in table:
            raise InputError(f"{path}: expected a column {name!r}")
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise InputError(f"{path}: {name}: expected numbers, received {table[name].dtype}")
    return table
