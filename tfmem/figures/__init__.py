"""Functions from arrays to a matplotlib `Figure`.

This room does not know where the arrays come from.
"""

from tfmem.figures.agreement import Agreeing, agreement_figure
from tfmem.figures.galleries import (
    InfluenceRow,
    memorization_gallery,
    most_memorized_classes,
    pair_gallery,
    spread_evenly,
)
from tfmem.figures.histograms import influence_histogram, memorization_histogram
from tfmem.figures.pair_tables import captions, pair_galleries, save_pair_galleries
from tfmem.figures.planning import plan_figure
from tfmem.figures.style import save

__all__ = [
    "Agreeing",
    "InfluenceRow",
    "agreement_figure",
    "captions",
    "influence_histogram",
    "memorization_gallery",
    "memorization_histogram",
    "most_memorized_classes",
    "pair_galleries",
    "pair_gallery",
    "plan_figure",
    "save",
    "save_pair_galleries",
    "spread_evenly",
]
