"""Selects high-influence pairs, with Beam."""

from __future__ import annotations

from tfmem.aggregation.jobs import search_pairs, select_pairs
from tfmem.components.component import Component, Parameters, Paths
from tfmem.config import Config
from tfmem.messages.terminal import say
from tfmem.selection.rules import rule_of_set
from tfmem.selection.settling import describe_selection
from tfmem.store.artifacts import Influence, Predictions, SelectedPairs, Settings
from tfmem.store.labels import LABELS_NAME
from tfmem.store.results import read_selection
from tfmem.store.shards import shards_in
from tfmem.training import check_directory


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Runs a Beam job on influence records, or on predictions if all pairs are searched.

    The settings of the selection are stored beside the pairs.
    """
    config: Config = parameters["config"]
    labels, beam_args = str(inputs["predictions"] / LABELS_NAME), parameters["beam_args"]
    if config.selection.pairs == "all":
        folders = {"pairs": str(outputs["pairs"])}
        search_pairs(
            shards_in(inputs["predictions"]),
            labels,
            folders,
            config.selection,
            beam_args,
            config.estimation.statistic,
        )
    else:
        files = [str(path) for path in inputs["influence"].glob("influence-*.tfrecord")]
        folder = str(outputs["pairs"])
        select_pairs(files, labels, folder, config.selection, beam_args)
    begun = check_directory(inputs["predictions"], config)
    resolved = config.model_copy(update={"training": (begun or config).training})
    outputs["settings"].write_text(resolved.to_yaml(), encoding="utf-8")
    pairs = str(outputs["pairs"])
    say(describe_selection(rule_of_set(pairs), read_selection(pairs)))


SELECT = Component(
    name="select",
    inputs={"predictions": Predictions, "influence": Influence},
    outputs={"pairs": SelectedPairs, "settings": Settings},
    parameters={"beam_args": list},
    sections=("seed", "dataset", "model", "task", "training", "estimation", "selection"),
    Do=Do,
)
