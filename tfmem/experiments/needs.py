"""What each experiment needs of settings and data: checked before thousands of models are trained.

Experiments call the same functions where they use what they need.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np

from tfmem.config import Config, TailSettings
from tfmem.config.models import Network
from tfmem.datasets import AnyDataset, TextDataset
from tfmem.influence.attribution.needs import check_attribution
from tfmem.messages.errors import InputError

Data = Callable[[], AnyDataset]
GROUPS = 10  # of a class, which typicality compares


def check_needs(name: str, config: Config, data: Data) -> None:
    """Makes sure that an experiment can be conducted.

    Args:
      name: of the experiment; one that needs nothing special passes.
      config: the settings.
      data: loads the examples; it is called only if the experiment needs something of them.

    Raises:
      InputError: naming what is missing.
    """
    loaded = cache(data)
    for need in _NEEDS.get(name, ()):
        need(config, loaded)


def correctness(config: Config, data: Data) -> None:
    """Estimates are of how often models are right."""
    check_statistic(config.estimation.statistic)


def check_statistic(statistic: str) -> None:
    """Refuses estimates that leave-one-out cannot be compared with."""
    if statistic != "correctness":
        raise InputError(
            "leave-one-out: compares how often models are right: expected estimates with "
            f"estimation.statistic: correctness, received {statistic}"
        )


def four_trials(config: Config, data: Data) -> None:
    """Each half of the trials has two."""
    if config.training.trials < 4:
        raise InputError(
            f"training.trials: expected at least 4, two for each half of them, received "
            f"{config.training.trials}"
        )


def numbers_of_trials(config: Config, data: Data | None = None) -> list[int]:
    """The numbers in `experiments.proxies.trials` that leave as many trials for the truth."""
    settings = config.experiments.proxies
    numbers = [number for number in settings.trials if 2 * number <= config.training.trials]
    if not numbers:
        raise InputError(
            "experiments.proxies.trials: expected some of at most half of the "
            f"{config.training.trials} trials of the run, as the others are the truth; received "
            f"{', '.join(map(str, settings.trials))}"
        )
    return numbers


def whole_network(config: Config, data: Data | None = None) -> Network:
    """The model, which has layers below its last blocks."""
    if isinstance(config.model, TailSettings):
        raise InputError("model.name: expected a whole network, received 'tail'")
    return config.model


def stacked(config: Config, data: Data) -> None:
    """Predictions of a model can be followed over its epochs."""
    if config.training.trainer != "stacked":
        raise InputError(
            "training.trainer: expected 'stacked' to follow predictions over epochs, received "
            f"{config.training.trainer!r}"
        )


def in_memory(config: Config, data: Data) -> None:
    """Gradients of all examples can be taken."""
    if config.dataset.image_size is not None:
        raise InputError("dataset.image_size: self-influence needs a data set in memory")


def train_phrases(dataset: AnyDataset) -> np.ndarray:
    """Counts of the phrases of each training sentence by polarity, int64 `[num_train, 5]`."""
    if not isinstance(dataset, TextDataset) or dataset.train_phrases is None:
        raise InputError(
            f"typicality: expected a data set with labels of phrases (dataset.name: treebank), "
            f"received {dataset.name}"
        )
    return dataset.train_phrases


def phrases(config: Config, data: Data) -> None:
    """Phrases of the sentences have labels."""
    train_phrases(data())


def ten_of_each_class(config: Config, data: Data) -> None:
    """Each class can be divided into tenths."""
    dataset = data()
    counts = np.bincount(dataset.train_labels, minlength=len(dataset.class_names))
    if counts.min() < GROUPS:
        raise InputError(
            f"typicality: expected at least {GROUPS} examples of class "
            f"{dataset.class_names[counts.argmin()]}, received {counts.min()}"
        )


def test_examples(config: Config, data: Data) -> None:
    """There are test examples, which accuracy and influence are of."""
    dataset = data()
    if not len(dataset.test_labels):
        raise InputError(f"dataset: expected test examples, {dataset.name} has none")


def two_classes(config: Config, data: Data) -> None:
    """A label can be replaced by another."""
    dataset = data()
    if len(np.unique(dataset.train_labels)) < 2:
        raise InputError(f"dataset: expected at least two classes, {dataset.name} has one")


def blocks(config: Config, data: Data) -> None:
    """The network has as many blocks as `experiments.layers.depths` asks for, and one more."""
    dataset = data()
    if isinstance(dataset, TextDataset):
        return  # whose networks depend on what is frozen
    from tfmem.messages.quiet import import_tensorflow

    import_tensorflow()
    from tfmem.models import build
    from tfmem.models.tails import cut

    model = build(config.model, dataset.input_shape, len(dataset.class_names))
    cut(model, max(config.experiments.layers.depths))


def _attributable(config: Config, data: Data) -> None:
    check_attribution(config, data())


_NEEDS: dict[str, tuple[Callable[[Config, Data], object], ...]] = {
    "removal": (test_examples,),
    "pair-utility": (test_examples,),
    "leave-one-out": (correctness,),
    "label-errors": (stacked, two_classes),
    "random-labels": (two_classes,),
    "proxies": (numbers_of_trials, stacked, in_memory),
    "mem-infl": (test_examples,),
    "consistency": (four_trials, test_examples),
    "last-layer": (whole_network, test_examples),
    "last-k-layers": (whole_network, test_examples, blocks),
    "typicality": (phrases, ten_of_each_class),
    "seeds": (in_memory,),
    "estimators": (four_trials, in_memory),
    "reduction-rate": (in_memory, _attributable),
    "attribution": (in_memory, _attributable),
}
