"""Settings of the methods that attribute predictions by gradients of a few trained models."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tfmem.config.base import Positive, Settings

MethodName = Literal["trak", "tracin", "influence-functions"]
TestMethod = Literal[
    "influence",
    "datamodel",
    "sparse-datamodel",
    "self-influence",
    "trak",
    "tracin",
    "influence-functions",
]


class GradientAttributionSettings(Settings):
    """How test predictions are attributed to training examples, from gradients of a few models.

    The section `self_influence` names the layers, and the solver with its damping, curvature and
    sketch; its `curvature_examples` and `trial` have no part in this.

    Attributes:
      models: number of models that are trained for `trak` and `influence-functions`, and over which
        these are averaged; `tracin` follows the first of them.
      fraction: share of the training examples that each of these models is trained on, a random
        subset of its own; 1 trains all of them on all examples.
      checkpoints: number of epochs, evenly spread over the training, whose gradients `tracin` sums.
      projection: length to which gradients are projected for `trak` and `tracin`. The error
        falls with its square root; the time that `trak` takes grows with its cube. None is 2,048,
        and for `trak` at most half the training examples.
      ridge: for `trak`, what is added to the diagonal of the projected gradients' Gram matrix, as a
        share of its mean; 0, as published, inverts the matrix itself where it is not 0.
      keep: for `trak`, number of training examples whose score for a test example stays other than
        0 when all of its scores move towards 0 by the same amount (soft thresholding); None keeps
        all.
    """

    models: Positive = 5
    fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    checkpoints: Positive = 10
    projection: Positive | None = None
    ridge: Annotated[float, Field(ge=0)] = 1.0
    keep: Positive | None = None
