"""Shows the progress of long work.

A terminal shows a bar, a notebook a line that changes, and a file gets a line every minute.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np
from rich import get_console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from typing_extensions import Self

from tfmem.messages.terminal import is_quiet, printable, say
from tfmem.store.journal import TrialNote

_LINE_SECONDS = 60.0
_NOTEBOOK_SECONDS = 1.0
_UNITS = ((86_400, "days"), (3_600, "hours"), (60, "minutes"), (1, "seconds"))


class _NotebookLine:
    """A line in a notebook, in whose place later lines are shown."""

    def __init__(self) -> None:
        from IPython.display import display

        self._shown = display({"text/plain": ""}, raw=True, display_id=True)

    def show(self, line: str) -> None:
        self._shown.update({"text/plain": printable(line)}, raw=True)


class _Bar:
    """A bar that counts one kind of thing, shown within a `with` block.

    If the output is no terminal, lines of text say the same.
    """

    def __init__(self, what: str, total: int, done: int = 0) -> None:
        self._what = what
        self._first = done
        self._began = time.monotonic()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep_telling, daemon=True)
        self._lines = not get_console().is_terminal
        self._notebook: _NotebookLine | None = None
        self._bar = Progress(
            TextColumn(what),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[status]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            disable=self._lines or is_quiet(),
        )
        self._task = self._bar.add_task(what, total=total, completed=done, status="")

    def __enter__(self) -> Self:
        if get_console().is_jupyter and not is_quiet():
            self._notebook = _NotebookLine()
        if self._lines:
            self._thread.start()
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()
        if self._lines:
            self._end.set()
            self._thread.join()
            self._tell()

    def _keep_telling(self) -> None:
        while not self._end.wait(_NOTEBOOK_SECONDS if self._notebook else _LINE_SECONDS):
            self._tell()

    def _tell(self) -> None:
        task = self._bar.tasks[0]
        done, total = int(task.completed), int(task.total or 0)
        words = [f"{self._what}: {done:,} of {total:,}", task.fields["status"]]
        elapsed = time.monotonic() - self._began
        if self._first < done < total:
            words.append(f"{_time((total - done) * elapsed / (done - self._first))} left")
        else:
            words.append(f"in {_time(elapsed)}")
        line = ", ".join(filter(None, words))
        if self._notebook:
            self._notebook.show(line)
        else:
            say(line)


class TrialProgress(_Bar):
    """Shows trials done, their test accuracy, trials an hour and time left."""

    def __init__(self, trials: int, done: int, accuracies: bool = True) -> None:
        """Starts at `done` of `trials`; `accuracies` are shown in percent, scores are not."""
        super().__init__("trials", trials, done)
        self._accuracies = accuracies
        self._start = time.monotonic()
        self._before = self._done = done
        self._shares: dict[int, float] = {}

    def partly(self, shard: int, trials: float) -> None:
        """Shows that `trials` trials of a shard are done, which may be a fraction."""
        self._shares[shard] = trials
        self._show()

    def finished(self, shard: int, notes: Sequence[TrialNote]) -> None:
        """Shows that a shard is done; `notes` are the notes of all trials so far."""
        self._shares.pop(shard, None)
        self._done = len(notes)
        accuracy = np.array([note.test_accuracy for note in notes if not note.diverged])
        rate = (self._done - self._before) / (time.monotonic() - self._start) * 3600
        status = f"{rate:,.0f} an hour"
        if len(accuracy) > 1 and not np.isnan(accuracy).any():
            mean, deviation = accuracy.mean(), accuracy.std(ddof=1)
            shown = f"test {mean:.2%} ± {deviation:.2%}"
            if not self._accuracies:
                shown = f"test score {mean:.4g} ± {deviation:.2g}"
            status = f"{shown}, {status}"
        self._bar.update(self._task, status=status)
        self._show()

    def _show(self) -> None:
        self._bar.update(self._task, completed=int(self._done + sum(self._shares.values())))


class EpochProgress(_Bar):
    """Shows the epochs of one model (a `Watcher` that saves nothing)."""

    def __init__(self, epochs: int) -> None:
        """Starts at 0 of `epochs`."""
        super().__init__("epochs", epochs)

    def resume(self, variables: Any) -> tuple[int, None]:
        """Nothing is saved."""
        return 0, None

    def after_epoch(self, epoch: int, losses: np.ndarray, variables: Any) -> None:
        """Shows the mean training loss."""
        self._bar.update(self._task, completed=epoch + 1, status=f"loss {losses[0]:.3f}")


class ExampleProgress(_Bar):
    """Shows how many of a number of examples are done."""

    def __init__(self, examples: int) -> None:
        """Starts at 0 of `examples`."""
        super().__init__("examples", examples)

    def advance(self, examples: int) -> None:
        """Shows that `examples` more examples are done."""
        self._bar.advance(self._task, examples)


def _time(seconds: float) -> str:
    """A time as people say it, in the largest unit of which it has at least two."""
    for size, name in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.1f} seconds"
