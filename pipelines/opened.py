"""A run as people use it in Python: its results, and what they do with it."""

from __future__ import annotations

import base64
import html
import os
from pathlib import Path
from typing import Any

from tfmem.config import Statistic
from tfmem.datamodels.lasso import LassoDatamodels
from tfmem.datamodels.lds import LinearDatamodelingScore
from tfmem.datamodels.ridge import RidgeDatamodels
from tfmem.exchange.score_files import Order
from tfmem.experiments import run as results
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import is_quiet, set_loudness
from tfmem.pipelines.attributing import judge
from tfmem.pipelines.datamodels import Method, fit
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

    def datamodels(
        self, method: Method = "ridge", statistic: Statistic | None = None
    ) -> RidgeDatamodels | LassoDatamodels:
        """Fits a datamodel for each test example to all trials (Ilyas et al. 2022).

        Args:
          method: `ridge`, in closed form, or `lasso`, which is sparse.
          statistic: the output of models that is predicted; None is the score if records hold one,
            and the margin otherwise.

        Returns:
          The datamodels: `weights` are float64 `[num_train, num_test]`, a method of those by ridge.

        Raises:
          InputError: if records hold no such outputs, or there are too few subsets.
        """
        return fit(self.folder, method, 0, statistic).found

    def lds(
        self,
        scores: Any,
        *,
        statistic: Statistic | None = None,
        holdout: float | None = None,
        order: Order = "auto",
    ) -> LinearDatamodelingScore:
        """Judges attributions by the run's models: the linear datamodeling score.

        See Park et al. (2023), Sec. 2.2.

        Args:
          scores: an array `[num_train, num_test]`, the path of a file with one, or `influence`,
            `datamodel`, `sparse-datamodel`, `self-influence`, `trak`, `tracin` or
            `influence-functions`.
          statistic: the output of models that is predicted, as for `datamodels`.
          holdout: share of the subsets that judge. None is 0.2 for attributions that are made from
            trials of this run, and all subsets for others.
          order: `train-test` or `test-train`, where the shape does not say it.

        Raises:
          InputError: if records hold no such outputs, or attributions do not fit the run.
        """
        found = judge(self.folder, [scores], statistic=statistic, holdout=holdout, order=order)
        return found[0].score

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
