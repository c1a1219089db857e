"""Kinds of artifacts: what steps make, and where each of them is in the folder of a run."""

from __future__ import annotations

from functools import cache
from typing import ClassVar


class Artifact:
    """A directory, or a file, with a known kind of content; subclasses are the kinds.

    Attributes:
      name: what inputs of this kind are called.
      place: where in a run's folder it is; a name with a suffix is a file.
    """

    name: ClassVar[str]
    place: ClassVar[str]


class Predictions(Artifact):
    """Prediction shards, `labels.npz` and the settings of the trials."""

    name = "predictions"
    place = "predictions"


class TrialTable(Artifact):
    """How each trial went, as CSV."""

    name = "table"
    place = "trials.csv"


class Memorization(Artifact):
    """Memorization records."""

    name = "memorization"
    place = "memorization"


class SelfInfluence(Memorization):
    """Memorization records from influence functions; those of each solver have their own place."""

    place = "self_influence"


class Attributions(Artifact):
    """Which words or patches self-influence rests on."""

    name = "attributions"
    place = "attribution"


class Influence(Artifact):
    """Class-wise influence records, with the counts they were made from."""

    name = "influence"
    place = "influence"


class SelectedPairs(Artifact):
    """Records of the selected high-influence pairs."""

    name = "pairs"
    place = "pairs"


class InfluencePairs(SelectedPairs):
    """Records of pairs that one model selects, and their galleries."""

    place = "self_influence/pairs"


class Settings(Artifact):
    """The settings that the selected pairs, and all that they rest on, were made with."""

    name = "settings"
    place = "config.yaml"


class Figures(Artifact):
    """Figures as PNG and PDF."""

    name = "figures"
    place = "figures"


class Consistency(Artifact):
    """How far the two halves of the trials agree: figure and tables."""

    name = "consistency"
    place = "consistency"


class RunComparison(Artifact):
    """How far other runs agree with this one: figure and tables."""

    name = "comparison"
    place = "comparison"


class Page(Artifact):
    """A self-contained HTML page."""

    name = "report"
    place = "report.html"


@cache
def outcome_of(experiment: str) -> type[Artifact]:
    """The kind that the outcome of an experiment is: table, findings and figure."""
    words = experiment.replace("-", " ").title().replace(" ", "")
    members = {"name": experiment, "place": f"experiments/{experiment}"}
    return type(f"{words}Outcome", (Artifact,), members)
