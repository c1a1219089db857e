"""Selects high-influence pairs by one model."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
import pandas as pd

from tfmem.aggregation.estimates import pairs_table, selection_table
from tfmem.components.component import Component, Parameters, Paths
from tfmem.config import Config
from tfmem.datasets import load
from tfmem.estimation.thresholds import at_least
from tfmem.figures import save_pair_galleries
from tfmem.messages.backends import import_tensorflow_for
from tfmem.messages.terminal import say
from tfmem.selection.estimated import select_estimated
from tfmem.selection.settling import describe_selection
from tfmem.store.artifacts import InfluencePairs, SelfInfluence, TrainedModel
from tfmem.store.files import write_atomically
from tfmem.store.pairs import ModelInfluence
from tfmem.store.records import shard_name
from tfmem.store.results import (
    RULE_NAME,
    check_labels,
    read_identity,
    read_memorization,
    read_pairs,
    read_selection,
)
from tfmem.store.tables import encode_rows


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Selects pairs by influence, with the model and the solver of the self-influences."""
    config: Config = parameters["config"]
    dataset, kept = load(config.dataset), inputs["memorization"]
    memorization = read_memorization(kept)
    check_labels(memorization, dataset.train_labels, kept, dataset.name)
    memorized = memorization[
        at_least(memorization["memorization"], config.selection.least_memorization)
    ]
    index = memorized.index.to_numpy(np.int64)

    blocks: Iterable[ModelInfluence] = ()
    if len(index):
        import_tensorflow_for("self-influences")
        from tfmem.experiments.self_influence import kept_influences

        blocks = kept_influences(config, dataset, inputs["weights"], index)
    selection = select_estimated(memorized, dataset.test_labels, blocks, config.selection)
    folder = outputs["pairs"]
    for kind, columns in (
        ("pairs", pairs_table(selection)),
        ("selection", selection_table(selection)),
    ):
        write_atomically(folder / shard_name(kind, 0, 1), encode_rows(columns))
    noted = {
        "selection": config.selection.resolved("probability").model_dump(mode="json"),
        "self_influence": read_identity(kept),
    }
    write_atomically(folder / RULE_NAME, json.dumps(noted, indent=2).encode() + b"\n")
    save_pair_galleries(read_pairs(folder), dataset, folder)
    say(describe_selection(config.selection.resolved("probability"), read_selection(folder)))
    if not len(index):
        say(_largest(memorization["memorization"], config.selection.least_memorization))


def _largest(memorization: pd.Series, threshold: float) -> str:
    return (
        f"no example has memorization of {threshold:g} by this estimator, the largest is "
        f"{memorization.max():.2g}: a lower selection.memorization finds some"
    )


INFLUENCE_PAIRS = Component(
    name="influence-pairs",
    inputs={"weights": TrainedModel, "memorization": SelfInfluence},
    outputs={"pairs": InfluencePairs},
    parameters={},
    sections=("seed", "dataset", "model", "task", "training", "self_influence", "selection"),
    without=("training.trials",),
    Do=Do,
)
