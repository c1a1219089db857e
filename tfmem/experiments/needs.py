"""What experiments need of the settings and of the data, asked before anything is trained."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tfmem.config import Config, EncoderSettings, TransformerSettings
from tfmem.datasets import AnyDataset, StreamedDataset, TextDataset
from tfmem.errors import InputError

Need = Callable[[Config, AnyDataset], str | None]  # what is missing, and None if nothing is


def check_needs(name: str, config: Config, dataset: AnyDataset) -> None:
    """Makes sure that an experiment, or `attribution`, can be conducted.

    Args:
      name: what it is called.
      config: the settings.
      dataset: the examples.

    Raises:
      InputError: naming the experiment, what it expects and what it received.
    """
    for need in NEEDS.get(name, ()):
        if missing := need(config, dataset):
            raise InputError(f"{name}: {missing}")


def phrases(config: Config, dataset: AnyDataset) -> str | None:
    """Labels of phrases, as the Stanford treebank has."""
    del config
    if isinstance(dataset, TextDataset) and dataset.train_phrases is not None:
        return None
    return (
        "expected a data set with labels of phrases (dataset.name: treebank), received "
        f"{dataset.name}"
    )


def parts(config: Config, dataset: AnyDataset) -> str | None:
    """Texts that are read as words, or images in memory that are larger than a patch."""
    if isinstance(dataset, TextDataset):
        if isinstance(config.model, EncoderSettings | TransformerSettings):
            return None
        return f"expected model.name encoder or transformer for texts, received {config.model.name}"
    if isinstance(dataset, StreamedDataset):
        return "expected a data set in memory, received dataset.image_size"
    shape, patch = list(dataset.input_shape), config.attribution.patch
    if len(shape) != 3:
        return f"expected texts or images [height, width, channels], received examples of {shape}"
    if not 1 <= patch < max(shape[:2]):
        return f"attribution.patch: expected 1 to {max(shape[:2]) - 1}, received {patch}"
    return None


def attributed(config: Config, dataset: AnyDataset) -> str | None:
    """The examples of `attribution.examples`."""
    count = len(dataset.train_labels)
    for index in config.attribution.examples:
        if not 0 <= index < count:
            return f"attribution.examples: expected numbers from 0 to {count - 1}, received {index}"
    return None


def correctness(config: Config, dataset: AnyDataset) -> str | None:
    """Estimates of how often models are right."""
    del dataset
    if config.estimation.statistic == "correctness":
        return None
    return f"expected estimation.statistic correctness, received {config.estimation.statistic}"


def tests(config: Config, dataset: AnyDataset) -> str | None:
    """Test examples, whose predictions are compared."""
    del config
    if len(dataset.test_labels):
        return None
    return f"expected test examples, {dataset.name} has none"


def classes(config: Config, dataset: AnyDataset) -> str | None:
    """At least two classes, one of which a label can be replaced by."""
    del config
    found = len(np.unique(dataset.train_labels))
    return None if found > 1 else "expected at least two classes, received one"


def trials(config: Config, dataset: AnyDataset) -> str | None:
    """Some number of trials that leaves at least as many to compare with."""
    del dataset
    wanted, count = config.experiments.proxies.trials, config.training.trials
    if 2 * min(wanted) <= count:
        return None
    return (
        f"experiments.proxies.trials: expected some of at most half of the {count} trials of the "
        f"run, as the others are the truth; received {', '.join(map(str, wanted))}"
    )


NEEDS: dict[str, tuple[Need, ...]] = {
    "attribution": (parts, attributed),
    "reduction-rate": (parts, attributed),
    "typicality": (phrases,),
    "leave-one-out": (correctness,),
    "removal": (tests,),
    "pair-utility": (tests,),
    "mem-infl": (tests,),
    "consistency": (tests,),
    "label-errors": (classes,),
    "random-labels": (classes,),
    "proxies": (trials,),
}
