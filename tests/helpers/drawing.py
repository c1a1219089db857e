"""Draws figures in less time."""

import contextlib
from unittest import mock

from matplotlib.figure import Figure


@contextlib.contextmanager
def drawn_coarsely(formats=("png", "pdf")):
    """Lets figures be saved with few points, and in these formats only: it saves half the time."""
    savefig = Figure.savefig

    def save(figure, file, **options):
        if options["format"] in formats:
            savefig(figure, file, **{**options, "dpi": 80})

    with mock.patch.object(Figure, "savefig", save):
        yield
