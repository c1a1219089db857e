"""The exceptions that a user is meant to read."""


class InputError(ValueError):
    """Something given to tfmem is wrong.

    The message is one sentence that says what was wrong, where (file and record, or configuration
    key), what was expected and what was received. The command line prints it without a traceback
    and exits with a code other than 0.
    """


class DryRun(Exception):
    """A job was described, as was asked, and not run; what would come after it cannot be done."""


def reason(error: BaseException) -> str:
    """What an exception says, in one line; its type where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__
