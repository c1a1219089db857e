"""Finds out why a Beam job failed."""

from __future__ import annotations

from tfmem.messages.errors import InputError

_STEP = " [while running"  # Beam appends the step to what an exception says


def cause(error: Exception) -> InputError:
    """Says in one line why a job failed: the `InputError` of a worker, or else Beam's last line.

    If a worker fails, Beam raises an error of its own, which holds only the text of the worker's
    traceback, not the exception itself. Therefore this is the one place that reads such texts, and
    it relies only on the name of the exception.
    """
    if isinstance(error, InputError):  # of a worker in this process; Beam has appended a step
        return InputError(_without_step(str(error)))
    if isinstance(error, OSError) and error.filename:
        return InputError(f"{error.filename}: {error.strerror}")
    said = str(error)
    _, of_worker, rest = said.partition(f"{InputError.__name__}: ")
    if of_worker:
        return InputError(_without_step(rest.partition("\n")[0]))
    lines = [line.strip() for line in said.splitlines() if line.strip()] or [repr(error)]
    return InputError(f"the Beam job failed: {type(error).__name__}: {_without_step(lines[-1])}")


def _without_step(said: str) -> str:
    return said.partition(_STEP)[0]
