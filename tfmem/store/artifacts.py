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


class Examples(Artifact):
    """The examples themselves, if a user gave them from memory."""

    name = "examples"
    place = "data"


class TrialTable(Artifact):
    """How each trial went, as CSV."""

    name = "table"
    place = "trials.csv"


class TrainedModel(Artifact):
    """Weights of models that were trained on all examples, in a file for each trial's seeds."""

    name = "weights"
    place = "self_influence/models"


class AttributionModels(Artifact):
    """Weights of a few trained models, from whose gradients predictions are attributed."""

    name = "models"
    place = "gradient_attribution/models"


class AttributionCheckpoints(Artifact):
    """Weights of one model after several epochs, from which predictions are attributed."""

    name = "checkpoints"
    place = "gradient_attribution/checkpoints"


class GradientScores(Artifact):
    """Scores of training for test examples by a method; those of each have their own place."""

    name = "scores"
    place = "gradient_attribution"


class AttributedTests(Artifact):
    """Table and figure of the training examples that some test predictions are attributed to."""

    name = "attributed-tests"
    place = "attributed_tests"


class Memorization(Artifact):
    """Memorization records."""

    name = "memorization"
    place = "memorization"


class SelfInfluence(Memorization):
    """Memorization records from influence functions; those of each solver have their own place."""

    place = "self_influence"


class Attributions(Artifact):
    """Attributions of self-influence to words or patches."""

    name = "attributions"
    place = "attribution"


class Influence(Artifact):
    """Class-wise influence records, with the counts from which they were made."""

    name = "influence"
    place = "influence"


class SelectedPairs(Artifact):
    """Records of the selected high-influence pairs."""

    name = "pairs"
    place = "pairs"


class InfluencePairs(SelectedPairs):
    """Records of pairs that were selected by the influence in one model, and their galleries."""

    place = "self_influence/pairs"


class Settings(Artifact):
    """The settings with which the selected pairs, and everything before them, were made."""

    name = "settings"
    place = "config.yaml"


class Figures(Artifact):
    """Figures as PNG and PDF."""

    name = "figures"
    place = "figures"


class Consistency(Artifact):
    """Figure and tables that show how far the two halves of the trials agree."""

    name = "consistency"
    place = "consistency"


class RunComparison(Artifact):
    """Figure and tables that show how far other runs agree with this one."""

    name = "comparison"
    place = "comparison"


class Page(Artifact):
    """A self-contained HTML page."""

    name = "report"
    place = "report.html"


@cache
def outcome_of(experiment: str) -> type[Artifact]:
    """Returns the kind of an experiment's outcome, which is a table, findings and a figure."""
    words = experiment.replace("-", " ").title().replace(" ", "")
    members = {"name": experiment, "place": f"experiments/{experiment}"}
    return type(f"{words}Outcome", (Artifact,), members)
