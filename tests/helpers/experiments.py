"""Makes the inputs of an experiment by hand, without files."""

from types import SimpleNamespace

from tfmem.estimation.estimator import CORRECTNESS
from tfmem.estimation.units import SHARES
from tfmem.experiments.declaration import Given


def given(config, settings=None, folder=None, dataset=None, **run):
    """What `conduct` takes.

    Args:
      config: all settings.
      settings: the experiment's own.
      folder: to work in.
      dataset: the examples.
      **run: what is read of the run, by name.
    """
    run = {"statistic": "correctness", "measure": CORRECTNESS, "units": SHARES, **run}
    made = Given(SimpleNamespace(**run), config, settings, folder)
    made.__dict__["dataset"] = dataset  # instead of the data set that it would load
    return made
