"""What are the training examples of high-influence pairs worth (Feldman & Zhang 2020, App. C)?

Models are trained on everything, without those examples, and without as many random ones. If high
influence says what those examples are for, all that is lost without them is lost on the test
examples that they influence.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tfmem.config import Config
from tfmem.datasets import AnyDataset
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.training import draw, train_on
from tfmem.messages.errors import InputError

QUESTION = "What are the training examples of high-influence pairs worth?"
_REMOVALS = "none", "pairs", "random"
_COLUMNS = ("removal", "examples", "removed", "size", "repeats", "accuracy", "accuracy_sd", "lost",
            "lost_stderr")  # fmt: skip
_NO_PAIRS = (
    "No pair was selected, so there is nothing to remove: more trials find weaker influences, and "
    "selection.influence is what they must reach."
)


def pair_utility(
    config: Config,
    dataset: AnyDataset,
    train_index: np.ndarray,
    test_index: np.ndarray,
    out: Path,
) -> Outcome:
    """Accuracy with and without the training examples of the pairs, and where the difference is.

    Args:
      config: model, recipe, seed, and `experiments.pair_utility`.
      dataset: the examples.
      train_index: int64 `[pairs]`, the training example of each selected pair.
      test_index: int64 `[pairs]`, its test example.
      out: folder for the models' predictions; a call that was stopped is continued.

    Returns:
      A row for each way of removing (`none`, `pairs`, `random`: as many, drawn anew for each model)
      and each set of test `examples` (`all`, `influenced`, `others`): how many are `removed`, the
      `size` of the set, mean and standard deviation over models of the `accuracy` on it, what is
      `lost` of the accuracy on `all` test examples by those of the set, and its standard error.
      Without pairs nothing is trained, and there are no rows.

    Raises:
      InputError: if all training examples are in pairs.
    """
    repeats = config.experiments.pair_utility.repeats
    count = len(dataset.train_labels)
    chosen = np.unique(train_index)
    if not len(chosen):
        return Outcome(QUESTION, (_NO_PAIRS,), pd.DataFrame([], columns=_COLUMNS))
    if len(chosen) == count:
        raise InputError(
            f"pair-utility: expected pairs of some of the {count} training examples, received "
            "pairs of all: set selection.influence higher"
        )
    gone = {
        "none": [chosen[:0]] * repeats,
        "pairs": [chosen] * repeats,
        "random": [draw(config, count, repeat)[: len(chosen)] for repeat in range(repeats)],
    }
    every = np.arange(count)
    masks = [~np.isin(every, removed) for how in _REMOVALS for removed in gone[how]]
    correct = train_on(config, dataset, masks, out).test_correct.reshape(3, repeats, -1)
    influenced = np.isin(np.arange(correct.shape[-1]), test_index)
    sets = {"all": influenced | True, "influenced": influenced, "others": ~influenced}
    rows = []
    for name, members in sets.items():
        size = members.sum() or np.nan  # all test examples may be influenced
        right = correct[:, :, members].sum(axis=2)  # [removals, repeats]
        for how, each in zip(_REMOVALS, right, strict=True):
            error = np.hypot(*(side.std(ddof=1) for side in (right[0], each))) / np.sqrt(repeats)
            rows.append(
                (
                    how,
                    name,
                    len(gone[how][0]),
                    int(members.sum()),
                    repeats,
                    each.mean() / size,
                    each.std(ddof=1) / size,
                    (right[0].mean() - each.mean()) / len(members),
                    0.0 if how == "none" else error / len(members),
                )
            )
    table = pd.DataFrame(rows, columns=_COLUMNS)
    return Outcome(QUESTION, _findings(table), table)


def _findings(table: pd.DataFrame) -> tuple[str, ...]:
    rows = {(row["removal"], row["examples"]): row for row in table.to_dict("records")}
    whole = rows["none", "all"]

    def accuracies(how: str) -> str:
        shown = (rows[how, name] for name in ("all", "influenced"))
        return " and ".join(f"{row['accuracy']:.2%} ± {row['accuracy_sd']:.2%}" for row in shown)

    def lost(how: str, name: str) -> str:
        row = rows[how, name]
        return f"{100 * row['lost']:.2f} ± {100 * row['lost_stderr']:.2f}"

    def where(how: str) -> str:
        return (
            f"{lost(how, 'all')} points of the accuracy on all (SE), {lost(how, 'influenced')} of "
            f"them on the influenced and {lost(how, 'others')} on the others."
        )

    return (
        f"{whole['repeats']} models trained on everything: accuracy on all {whole['size']:,} test "
        f"examples, and on the {rows['none', 'influenced']['size']:,} that the pairs say are "
        f"influenced: {accuracies('none')} (SD).",
        f"Without the {rows['pairs', 'all']['removed']:,} training examples of the pairs: "
        f"{accuracies('pairs')}. Lost are {where('pairs')}",
        f"Without as many random ones: {accuracies('random')}. Lost are {where('random')}",
    )
