"""The exceptions whose messages are for users."""

_LONGEST = 200  # characters of what another library says


class InputError(ValueError):
    """An input of tfmem is wrong.

    The message is one sentence that says what was wrong, where (file and record, or configuration
    key), what was expected and what was received. The command line prints it without a traceback
    and exits with a code other than 0.
    """


class DryRun(Exception):
    """A job was described instead of run, on request, so that later steps cannot run."""


def reason(error: BaseException) -> str:
    """Returns the message of an exception in one line of at most 200 characters, or else its type.

    Exceptions of parsers may repeat the whole text that they could not read.
    """
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…"
