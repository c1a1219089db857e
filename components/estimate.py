"""Estimates memorization and class-wise influence from predictions, with Beam."""

from __future__ import annotations

from tfmem.aggregation.jobs import estimate
from tfmem.components.component import Component, Parameters, Paths
from tfmem.messages.terminal import say
from tfmem.store.artifacts import Influence, Memorization, Predictions
from tfmem.store.labels import LABELS_NAME
from tfmem.store.shards import shards_in

AUTO = "auto"  # the statistic that records decide


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Runs the Beam job on all shards of the predictions."""
    counters = estimate(
        predictions=shards_in(inputs["predictions"]),
        labels=str(inputs["predictions"] / LABELS_NAME),
        folders={kind: str(outputs[kind]) for kind in ("memorization", "influence")},
        beam_args=parameters["beam_args"],
        statistic=None if parameters["statistic"] == AUTO else parameters["statistic"],
    )
    say(f"{counters.get('records_read', 'all'):,} trials read")


ESTIMATE = Component(
    name="estimate",
    inputs={"predictions": Predictions},
    outputs={"memorization": Memorization, "influence": Influence},
    parameters={"statistic": str, "beam_args": list},
    Do=Do,
)
