"""One error that names all files of a data set that cannot be read."""

from __future__ import annotations

from collections.abc import Sequence

from tfmem.messages.errors import InputError

_LISTED = 20


class BadFiles(InputError):
    """Some files of a data set cannot be read; the message names the first 20 of them.

    Attributes:
      problems: one sentence for each file, which begins with the file's path.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        """Builds the message from one sentence for each file."""
        self.problems = tuple(problems)
        lines = [*self.problems[:_LISTED]]
        if len(self.problems) > _LISTED:
            lines.append(f"… and {len(self.problems) - _LISTED:,} more")
        if len(lines) > 1:
            lines.insert(0, f"{len(self.problems):,} image files cannot be used:")
        super().__init__("\n".join(lines))
