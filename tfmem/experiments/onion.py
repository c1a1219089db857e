"""Does removing the most exposed examples expose others, which were safe before?

Models are trained without the examples that a membership attack finds out most easily, and without
as many random ones, and are attacked again.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pydantic import Field

from tfmem.config.base import Settings
from tfmem.experiments.declaration import Asked, Experiment, Given
from tfmem.experiments.membership import RATES, Attacked, attack, curves
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.privacy import RATE, percent
from tfmem.experiments.training import draw, train_alone, with_trials, workplace
from tfmem.figures.privacy import onion_figure
from tfmem.messages.errors import InputError
from tfmem.store.artifacts import Predictions


class OnionSettings(Settings):
    """Which examples are removed before models are trained and attacked again.

    Attributes:
      share: share of the training examples that is removed, the most exposed ones first. Carlini et
        al. (2022b) removed 5,000 of the 50,000 examples of CIFAR-10.
      trials: number of trials without the exposed examples, and of trials without random ones; None
        is as many as the run has.
    """

    share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    trials: Annotated[int, Field(ge=8)] | None = None


def single_examples(asked: Asked[OnionSettings]) -> None:
    """Refuses a run whose subsets are drawn by group, because single examples are removed."""
    if asked.config.training.groups is not None:
        raise InputError(
            "training.groups: expected null, because the experiment onion removes single examples, "
            f"received {asked.config.training.groups}"
        )


def onion(given: Given[OnionSettings]) -> Outcome:
    """Attacks models without the most exposed examples, and models without random ones.

    Args:
      given: the run's predictions, which need margins or scores.

    Returns:
      ROC curves; see `tfmem.experiments.membership.curves`. `all` is of the run's own trials.
      `exposed, run` is of the run's trials too, but only of the examples that are left when the
      most exposed are removed: what removal would lead to if it changed no other example.
      `exposed, trained` is of models that were trained without them. Likewise for `random`.

    Raises:
      InputError: if trials have neither margins nor scores, or are too few.
    """
    settings, dataset = given.settings, given.dataset
    whole = attack(given.run.predictions)
    config = with_trials(given.config, settings.trials or whole.trials)
    exposed = whole.exposure["separation"].to_numpy(float)
    count = len(exposed)
    removed = round(settings.share * count)
    if not 0 < removed < count:
        raise InputError(
            f"experiments.onion.share: expected a share of {count:,} examples that removes some "
            f"and leaves some, received {settings.share:g}"
        )
    orders = {
        "exposed": np.argsort(-np.nan_to_num(exposed, nan=-np.inf), kind="stable"),
        "random": draw(given.config, count, 0),
    }
    attacks = {"all": whole}
    said = [
        f"With all {count:,} examples, the true-positive rate of the attack ({whole.chosen}) is "
        f"{_found_out(whole)} at {RATE} false positives."
    ]
    for way, order in orders.items():
        left = np.ones(count, bool)
        left[order[:removed]] = False
        tests = np.arange(len(dataset.test_labels))
        reduced = dataset.keep(np.flatnonzero(left), tests)
        folder = workplace(given.folder / way, config, reduced)
        train_alone(config, reduced, folder)
        before = attack(given.run.predictions, left)
        after = attack(folder / Predictions.place)
        attacks |= {f"{way}, run": before, f"{way}, trained": after}
        which = "most exposed" if way == "exposed" else "random"
        said.append(
            f"Without the {removed:,} {which} examples, it is {_found_out(after)} in "
            f"{after.trials:,} models that were trained on the others. In the run's own models, it "
            f"is {_found_out(before)} for these others."
        )
    return Outcome(tuple(said), curves({name: each.chosen_roc for name, each in attacks.items()}))


def _found_out(attacked: Attacked) -> str:
    return percent(attacked.chosen_roc.at(RATES[0]))


def _figure(table: pd.DataFrame, _: object) -> Figure:
    return onion_figure(table)


EXPERIMENT = Experiment(
    name="onion",
    question="Does removing the most exposed examples expose others?",
    source="Carlini et al. (2022b), The Privacy Onion Effect",
    trains=(
        "as many models as the run has without the most exposed examples, and as many without "
        "random ones"
    ),
    reading=(
        "Compare the dashed curve of a colour, the run's own models on the examples that stay, "
        "with the solid curve, models trained without the removed ones. If the solid curve of the "
        "most exposed is above its dashed one, others have taken their place."
    ),
    settings=OnionSettings,
    needs=(Predictions,),
    sections=("seed", "dataset", "model", "task", "training"),
    conduct=onion,
    draw=_figure,
    checks=(single_examples,),
    results="privacy.md#removing-the-most-exposed",
)
