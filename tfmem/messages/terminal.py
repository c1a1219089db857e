"""Writes to the terminal; text from a user or a data set is always shown as plain text.

Nothing is interpreted as markup, and control characters are shown as escapes.
"""

from __future__ import annotations

import sys

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_WIDEST = 10_000  # characters of a line in a file
_DIRECTIONS = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))  # they reorder what stands around
_CONTROLS = {
    code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    for code in (*range(32), *range(127, 160), 0x2028, 0x2029, *_DIRECTIONS)
    if chr(code) not in "\n\t"
}


class _Loudness:
    quiet = False
    verbose = False


def set_loudness(quiet: bool, verbose: bool) -> None:
    """Sets how much is written about the work.

    Args:
      quiet: whether `say` writes nothing; results, warnings and errors are still shown.
      verbose: whether errors come with their tracebacks.
    """
    _Loudness.quiet, _Loudness.verbose = quiet, verbose


def is_quiet() -> bool:
    """Whether only results, warnings and errors are shown."""
    return _Loudness.quiet


def is_verbose() -> bool:
    """Whether errors come with their tracebacks."""
    return _Loudness.verbose


def printable(text: object) -> str:
    """Replaces control characters of a text, except line ends and tabs, by their escapes."""
    return str(text).translate(_CONTROLS)


def say(text: object) -> None:
    """Writes how the work goes, and what it found, to standard output, unless loudness is quiet."""
    if not _Loudness.quiet:
        print(printable(text), flush=True)


def warn(message: object) -> None:
    """Writes a warning."""
    tell(f"warning: {message}")


def tell(message: object) -> None:
    """Writes a message that is no result to standard error, whatever the loudness."""
    print(printable(message), file=sys.stderr, flush=True)


def present(result: str | PlainTable) -> None:
    """Shows the result of a command: a text, or a table."""
    if isinstance(result, str):
        print(printable(result))
    else:
        console = Console(markup=False, highlight=False, emoji=False)
        if not console.is_terminal:  # a file or another program receives whole lines
            room = console.options.update(width=_WIDEST)
            console.width = max(console.width, Measurement.get(console, room, result).maximum)
        console.print(result)


class PlainTable(Table):
    """A table without lines for `present`, whose cells are shown as plain text."""

    def __init__(self, *columns: str, left: int = 0, gap: int = 2) -> None:
        """Names the columns, `gap` spaces apart; all but the first `left` are aligned right."""
        super().__init__(box=None, pad_edge=False, padding=(0, gap, 0, 0))
        for number, column in enumerate(columns):
            text = Text(printable(column))
            self.add_column(text, justify="left" if number < left else "right")

    def add(self, *cells: object, bold: bool = False) -> None:
        """Adds a row."""
        texts = (Text(printable(cell).replace("\n", "\\n")) for cell in cells)
        self.add_row(*texts, style="bold" if bold else None)
