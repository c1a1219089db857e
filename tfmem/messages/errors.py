"""The exceptions that a user is meant to read."""

_LONGEST = 200  # characters of what another library says


class InputError(ValueError):
    """Something given to tfmem is wrong.

    The message is one sentence that says what was wrong, where (file and record, or configuration
    key), what was expected and what was received. The command line prints it without a traceback
    and exits with a code other than 0.
    """


class DryRun(Exception):
    """A job was described, as was asked, and not run; what would come after it cannot be done."""


def reason(error: BaseException) -> str:
    """What an exception says, in one line of 200 characters at most; its type if that is nothing.

    Parsers' exceptions repeat what they could not read, however long that is.
    """
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= _LONGEST else f"{said[: _LONGEST - 1]}…"
