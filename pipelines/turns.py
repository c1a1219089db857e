"""One chain of components at a time is at work in a run's folder; the next one waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tfmem.messages.errors import InputError
from tfmem.store.claims import Claims
from tfmem.store.folders import open_folder

_LOOK_SECONDS = 1.0
_CHAIN = "chain"


@contextmanager
def turn(folder: Path, say: Callable[[str], None]) -> Iterator[Callable[[], bool]]:
    """Waits until no other program is at work in a folder, and keeps others waiting.

    A program that has given no sign of life for two minutes, or that has ended, is not waited for.

    Args:
      folder: the run's.
      say: told whom is waited for.

    Yields:
      A function: whether the folder is still this program's, and none took it while this slept.

    Raises:
      InputError: if the folder cannot be written to.
    """
    told = ""
    with Claims(open_folder(folder / ".components" / "claims"), _CHAIN) as claims:
        while not claims.take(_CHAIN):
            holder = claims.holder(_CHAIN)
            if holder and holder.where != told:
                told = holder.where
                say(f"{folder}: waiting for {told}, which is at work there")
            time.sleep(_LOOK_SECONDS)
        claims.clear()
        yield lambda: claims.holds(_CHAIN)


def check_turn(folder: Path, is_ours: Callable[[], bool]) -> None:
    """Checks that no other program has taken a folder over.

    Raises:
      InputError: if one has.
    """
    if not is_ours():
        raise InputError(
            f"{folder}: another program took over while this one slept; the same command continues"
        )
