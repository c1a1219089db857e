"""A run as people use it in Python: its results, and what they do with it."""

from __future__ import annotations

import base64
import html
import os
from pathlib import Path

from tfmem.experiments import run as results
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import is_quiet, set_loudness
from tfmem.pipelines.memorization import presentation
from tfmem.pipelines.runner import run_chain
from tfmem.store.artifacts import Memorization, Settings
from tfmem.store.files import write_atomically

_PAGE = "report.html"
_SHOWN = ("figures/memorization_gallery.png", "figures/memorization_histogram.png")


class Run(results.Run):
    """A run: tables of what its models memorized, and its page."""

    folder: Path

    def report(self) -> Path:
        """Draws the figures and writes the page, unless they are unchanged.

        Returns:
          The path of the page, one HTML file.
        """
        quiet = is_quiet()
        set_loudness(quiet=True, verbose=False)
        try:
            with_settings(self.folder)
            run_chain(presentation(), self.folder)
        finally:
            set_loudness(quiet=quiet, verbose=False)
        return self.folder / _PAGE

    def _repr_html_(self) -> str:
        """The run in a notebook: its numbers in short, and the gallery."""
        shown = [f"<p><b>{html.escape(repr(self))}</b></p>"]
        for name in _SHOWN:
            if (path := self.folder / name).is_file():
                data = base64.b64encode(path.read_bytes()).decode()
                about = html.escape(path.stem.replace("_", " "))
                shown.append(
                    f'<img alt="{about}" style="max-width: 100%" '
                    f'src="data:image/png;base64,{data}">'
                )
                break
        page = self.folder / _PAGE
        if page.is_file():
            shown.append(f"<p>Page: <code>{html.escape(str(page))}</code></p>")
        return "\n".join(shown)


def with_settings(folder: Path) -> None:
    """Writes the settings of a run that has none, for steps that read them.

    Args:
      folder: the run's folder, with estimates.

    Raises:
      InputError: if the folder is none of a run.
    """
    run = load_run(folder)
    settings = run.config.to_yaml()
    if not run.has_settings and (folder / Memorization.place).is_dir():
        try:
            write_atomically(folder / Settings.place, settings.encode())
        except OSError as error:
            raise InputError(f"{folder}: cannot be written: {error.strerror}") from None


def load_run(folder: str | os.PathLike[str]) -> Run:
    """Opens a run: `tfmem.load_run("runs/digits").memorization` is a pandas table.

    Args:
      folder: the folder that `tfmem.run`, `tfmem run` or `tfmem estimate` wrote to.

    Returns:
      The run. Its tables are read from their files when they are first asked for.

    Raises:
      InputError: if `folder` does not exist.
    """
    run = Run(results.places(folder))
    run.folder = Path(folder)
    return run
