"""Attributes memorization to words or patches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from components.component import Attributions, Component, Parameters, Paths, SelfInfluence
from tfmem.attribution.records import chosen_examples, write_attributions
from tfmem.config import Config
from tfmem.datasets import load
from tfmem.quiet import import_tensorflow
from tfmem.run import read_memorization, read_summary

if TYPE_CHECKING:
    from tfmem.attribution.integral import Attribution


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Takes the model and the solver that the self-influences are from."""
    config = Config.model_validate_json(parameters["config"])
    kept, wanted = inputs["memorization"], config.attribution
    chosen = chosen_examples(read_memorization(kept)["memorization"], wanted.share, wanted.examples)
    noted = {
        "config": config.digest().hex(),
        "attribution": wanted.model_dump(mode="json"),
        "self_influence": read_summary(kept),
    }

    def attribute(rows: np.ndarray) -> Iterator[Attribution]:
        import_tensorflow()
        from tfmem.attribution.integral import attributions
        from tfmem.attribution.preparing import prepare

        return attributions(*prepare(config, load(config.dataset), kept), rows, wanted.steps)

    from tfmem.training.progress import ExampleProgress

    with ExampleProgress(len(chosen)) as progress:
        write_attributions(attribute, chosen, noted, outputs["attributions"], progress.advance)


ATTRIBUTION = Component(
    name="attribution",
    inputs={"memorization": SelfInfluence},
    outputs={"attributions": Attributions},
    parameters={"config": str},
    Do=Do,
    resumable=True,
)
