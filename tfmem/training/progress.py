"""The progress bar of a farm of trials."""

from __future__ import annotations

from types import TracebackType

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class TrialProgress:
    """Shows trials done, mean test accuracy so far and time left; one line where no terminal is."""

    def __init__(self, trials: int, done: int) -> None:
        """Starts at `done` of `trials`."""
        self._bar = Progress(
            TextColumn("trials"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[accuracy]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._finished = float(done)
        self._task = self._bar.add_task("trials", total=trials, completed=done, accuracy="")

    def __enter__(self) -> TrialProgress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def partly(self, trials: float) -> None:
        """So much of the stack being trained is done, counted in trials."""
        self._bar.update(self._task, completed=int(self._finished + trials))

    def finished(self, trials: int, accuracy: float) -> None:
        """A stack is done; `accuracy` is the mean test accuracy of all trials so far."""
        self._finished += trials
        self._bar.update(
            self._task, completed=int(self._finished), accuracy=f"test accuracy {accuracy:.2%}"
        )
