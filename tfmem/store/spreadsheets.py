"""Tables as CSV that spreadsheets open and do not execute.

A spreadsheet takes a cell that begins with `=`, `+`, `-`, `@`, a tab or a carriage return for a
formula, which may fetch addresses and start programs (OWASP, "CSV Injection"). Such a text gets an
apostrophe in front, which spreadsheets hide; a text that begins with apostrophes and then one of
these gets one more, so that `restored` gives back what was written. Numbers, and texts that are
numbers, stay as they are.
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
    """A text that no spreadsheet takes for a formula.

    Args:
      text: any text.

    Returns:
      The text, with an apostrophe in front where it would be taken for one.
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def restored(text: str) -> str:
    """The text that `harmless` made this of.

    Args:
      text: what it returned.
    """
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text


def to_csv(table: pd.DataFrame, float_format: str | None = None, header: bool = True) -> bytes:
    """A table as CSV in UTF-8, without its index; NaN is an empty field.

    Args:
      table: its texts, and the names of its columns, become `harmless`.
      float_format: of the numbers, such as `%.6g`; None writes all their digits.
      header: whether the first line has the names of the columns.
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
    """The table that `to_csv` wrote; `None` and `NA` are texts like others.

    Args:
      path: the file.
      numbers: columns that must be there, and hold numbers or nothing.

    Raises:
      InputError: naming the file, if it cannot be read or is no table; or the column.
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
