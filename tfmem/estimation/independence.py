"""Whether the models of a run are independent, as standard errors take them to be."""

from __future__ import annotations

_FEWEST = 20  # training examples; random subsets of fewer are often equal by chance


def shared_subsets(models: int, subsets: int, num_train: int) -> str | None:
    """Says that several models were trained on one subset; None if none were, but by chance.

    Models of one subset have the effect of its examples in common, so estimates from `models`
    independent models would have smaller errors than these have.

    Args:
      models: number of models that are counted as independent.
      subsets: number of different subsets that they were trained on.
      num_train: number of training examples.
    """
    if subsets == models or num_train < _FEWEST:
        return None
    return (
        f"{models:,} models were trained on {subsets:,} different subsets and are counted as "
        "independent, so standard errors are too small: take the mean of the models of each "
        "subset as one trial, as training.repeats does"
    )
