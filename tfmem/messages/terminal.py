"""What is said in the terminal; what a user or a data set wrote comes out as text, whatever it is.

Nothing is taken for markup, and characters that would steer the terminal are shown as escapes.
"""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table
from rich.text import Text

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
    """Decides how much of the work is told.

    Args:
      quiet: whether `say` says nothing; what was asked for, warnings and errors are shown.
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
    """A text without control characters: each but line ends and tabs is written as its escape."""
    return str(text).translate(_CONTROLS)


def say(text: object) -> None:
    """Says how the work goes and what it found, on the standard output; nothing if told so."""
    if not _Loudness.quiet:
        print(printable(text), flush=True)


def warn(message: object) -> None:
    """Says what the user should know, beside the results."""
    tell(f"warning: {message}")


def tell(message: object) -> None:
    """Writes a message that is no result: on the standard error, whatever the loudness."""
    print(printable(message), file=sys.stderr, flush=True)


def present(result: str | PlainTable) -> None:
    """Shows what a command was asked for: a text, or a table."""
    if isinstance(result, str):
        print(printable(result))
    else:
        Console(markup=False, highlight=False, emoji=False).print(result)


class PlainTable(Table):
    """A table without lines, to `present`, whose cells are shown as they are."""

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
