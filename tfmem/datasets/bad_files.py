"""All files of a data set that cannot be read, in one error."""

from __future__ import annotations

from collections.abc import Sequence

from tfmem.messages.errors import InputError

_LISTED = 20


class BadFiles(InputError):
    """Some files of a data set cannot be read; the message names the first 20 of them.

    Attributes:
      problems: one sentence a file, which begins with its path.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        """Takes one sentence a file."""
        self.problems = tuple(problems)
        lines = [*self.problems[:_LISTED]]
        if len(self.problems) > _LISTED:
            lines.append(f"… and {len(self.problems) - _LISTED:,} more")
        if len(lines) > 1:
            lines.insert(0, f"{len(self.problems):,} image files cannot be used:")
        super().__init__("\n".join(lines))
