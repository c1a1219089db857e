"""Kinds of artifacts: what steps make, and where each of them is in the folder of a run."""

from __future__ import annotations

from typing import ClassVar


class Artifact:
    """A directory, or a file, with a known kind of content; subclasses are the kinds.

    Attributes:
      place: where in a run's folder it is; a name with a suffix is a file.
    """

    place: ClassVar[str]


class Predictions(Artifact):
    """Prediction shards, `labels.npz` and the settings of the trials."""

    place = "predictions"


class TrialTable(Artifact):
    """How each trial went, as CSV."""

    place = "trials.csv"


class Memorization(Artifact):
    """Memorization records."""

    place = "memorization"


class SelfInfluence(Memorization):
    """Memorization records from influence functions; those of each solver have their own place."""

    place = "self_influence"


class Attributions(Artifact):
    """Which words or patches self-influence rests on."""

    place = "attribution"


class Influence(Artifact):
    """Class-wise influence records, with the counts they were made from."""

    place = "influence"


class SelectedPairs(Artifact):
    """Records of the selected high-influence pairs."""

    place = "pairs"


class InfluencePairs(SelectedPairs):
    """Records of pairs that one model selects, and their galleries."""

    place = "self_influence/pairs"


class Settings(Artifact):
    """The settings that the selected pairs, and all that they rest on, were made with."""

    place = "config.yaml"


class Figures(Artifact):
    """Figures as PNG and PDF."""

    place = "figures"


class Consistency(Artifact):
    """How far the two halves of the trials agree: figure and tables."""

    place = "consistency"


class RunComparison(Artifact):
    """How far other runs agree with this one: figure and tables."""

    place = "comparison"


class Page(Artifact):
    """A self-contained HTML page."""

    place = "report.html"
