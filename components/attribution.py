"""Attributes memorization to words or patches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tfmem import figures
from tfmem.components.component import Component, Parameters, Paths
from tfmem.config import Config
from tfmem.datasets import AnyDataset, load
from tfmem.datasets.pictures import Pictures
from tfmem.figures.attribution import Highlighted, highlighted_patches, highlighted_words
from tfmem.influence_functions.attribution.records import (
    chosen_examples,
    read_attributions,
    write_attributions,
)
from tfmem.messages.backends import import_tensorflow_for
from tfmem.messages.errors import InputError
from tfmem.messages.numbers import three
from tfmem.store.artifacts import Attributions, SelfInfluence, TrainedModel
from tfmem.store.results import read_identity, read_memorization

if TYPE_CHECKING:
    from tfmem.influence_functions.attribution.integral import Attribution


FIGURE_NAME = "attributions"
_SHOWN = 12


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Attributes self-influences, with the model and the solver that estimated them."""
    config: Config = parameters["config"]
    dataset = load(config.dataset)
    kept, wanted = inputs["memorization"], config.attribution
    chosen = chosen_examples(read_memorization(kept)["memorization"], wanted.share, wanted.examples)
    noted = {
        "config": config.digest().hex(),
        "attribution": wanted.model_dump(mode="json"),
        "self_influence": read_identity(kept),
    }

    def attribute(rows: np.ndarray) -> Iterator[Attribution]:
        import_tensorflow_for("attributions")
        from tfmem.experiments.self_influence import kept_splitter
        from tfmem.influence_functions.attribution.integral import attributions

        return attributions(*kept_splitter(config, dataset, inputs["weights"]), rows, wanted.steps)

    from tfmem.training.progress import ExampleProgress

    with ExampleProgress(len(chosen)) as progress:
        write_attributions(attribute, chosen, noted, outputs["attributions"], progress.advance)
    found = read_attributions(outputs["attributions"]).dropna(subset="replace")
    if found.empty:
        raise InputError(
            f"the solver has not converged for any of {len(chosen):,} examples: choose a larger "
            "self_influence.damping, the curvature gauss_newton, or another solver"
        )
    figures.save(_drawn(found, dataset), outputs["attributions"], FIGURE_NAME)


def _drawn(found: pd.DataFrame, dataset: AnyDataset) -> Figure:
    """Draws the most memorized examples of each class with their attributions."""
    labels = dataset.train_labels[found.index]
    first = found.groupby(labels).head(max(1, _SHOWN // len(dataset.class_names)))
    classes = [dataset.class_names[label] for label in dataset.train_labels[first.index]]
    scores = first["scores"].tolist()
    if first["words"].map(len).any():
        columns = first["memorization"], first["words"], scores, first["sentences"]
        texts = zip(classes, *columns, strict=True)
        return highlighted_words([Highlighted(*text) for text in texts])
    pictures = Pictures(dataset, "train")
    numbers = zip(classes, first["memorization"], strict=True)
    titles = [f"{name}, {three(value)}" for name, value in numbers]
    return highlighted_patches([pictures[index] for index in first.index], scores, titles)


ATTRIBUTION = Component(
    name="attribution",
    inputs={"weights": TrainedModel, "memorization": SelfInfluence},
    outputs={"attributions": Attributions},
    parameters={},
    sections=("seed", "dataset", "model", "task", "training", "self_influence", "attribution"),
    without=("training.trials",),
    Do=Do,
    resumable=True,
)
