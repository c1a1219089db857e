"""How well does memorization find wrong labels, compared with cheaper scores?

Labels are replaced at random (`dataset.label_noise`), so that the wrong ones are known. Where there
are no classes, targets are exchanged instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from pydantic import Field

from tfmem.config import Config
from tfmem.config.base import Settings
from tfmem.datasets import AnyDataset, has_classes, load
from tfmem.experiments.checks import different_labels, of_classes, stacked
from tfmem.experiments.declaration import Experiment, Given
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.ranking import areas, behind_first
from tfmem.experiments.summed import Summed, records_in, sum_trials, trials_on
from tfmem.experiments.target_errors import (
    MEMORIZATION,
    folds_of,
    target_scores,
    with_wrong_targets,
)
from tfmem.experiments.training import draw, with_trials
from tfmem.figures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    WIDE,
    new_figure,
    plain,
)
from tfmem.messages.errors import InputError
from tfmem.store.artifacts import Predictions
from tfmem.training.dynamics import Dynamics, follow


class LabelErrorSettings(Settings):
    """How wrong labels are looked for.

    Attributes:
      noise: share of the labels that is replaced, unless labels of the run are replaced already; or
        share of the targets that is exchanged.
      trials: number of models trained on the data with replaced labels; None is as many as the run
        has.
      folds: number of models of the cross-validation that serves as baseline.
    """

    noise: Annotated[float, Field(gt=0, lt=1)] = 0.1
    trials: Annotated[int, Field(ge=2)] | None = None
    folds: Annotated[int, Field(ge=2)] = 5


_SHARES = (0.1, 0.25, 0.5, 1.0)  # shares of the number of wrong labels
_LOOKS = 60  # points of a curve


def label_errors(given: Given[LabelErrorSettings]) -> Outcome:
    """Finds wrong labels of the run, or of a new run if no labels of the run were replaced.

    Args:
      given: the run's predictions.

    Returns:
      The outcome of `find_wrong`.
    """
    settings, config = given.settings, given.config
    if not has_classes(given.dataset):
        return _find_wrong_targets(given)
    if given.dataset.clean_train_labels is not None:
        trials = sum_trials(records_in(given.run.predictions), given.dataset.train_labels)
        return find_wrong(config, settings.folds, given.dataset, trials, given.folder)
    noisy = config.dataset.model_copy(update={"label_noise": settings.noise})
    number = settings.trials or config.training.trials
    config = with_trials(config, number).model_copy(update={"dataset": noisy})
    dataset = load(noisy)
    trials = trials_on(config, dataset, given.folder)
    return find_wrong(config, settings.folds, dataset, trials, given.folder)


def _find_wrong_targets(given: Given[LabelErrorSettings]) -> Outcome:
    """Exchanges targets, and finds them; the outcome is like that of `find_wrong`."""
    settings = given.settings
    config = with_trials(given.config, settings.trials or given.config.training.trials)
    dataset, wrong = with_wrong_targets(given.dataset, settings.noise, config)
    if not 2 <= wrong.sum() <= len(wrong) - 2:
        raise InputError(
            f"experiments.label_errors.noise: {wrong.sum()} of {len(wrong)} targets are wrong"
        )
    scores, trials = target_scores(
        config, settings.folds, dataset, given.folder, config.estimation.statistic
    )
    table = _table(scores, wrong, draw(config, len(wrong), 0)).assign(of="targets")
    shown = trials.units.mean
    first = (
        f"{wrong.sum():,} of {len(wrong):,} training targets were exchanged and are wrong. The "
        f"mean of them ({trials.units.name}) is {shown(np.nanmean(trials.mean_in[wrong]))} in "
        f"models trained on them, and {shown(np.nanmean(trials.mean_out[wrong]))} in models "
        "trained without them."
    )
    return Outcome((first, *_rankings(table, int(wrong.sum()), "targets")), table)


def find_wrong(
    config: Config, number: int, dataset: AnyDataset, trials: Summed, out: Path
) -> Outcome:
    """Ranks training examples by memorization and by baselines, and counts the wrong labels.

    Most baselines are one minus the probability of the label: by one model trained on all examples
    (its loss after training gives the same ranks), by the same model in the mean over its epochs,
    by the model of a cross-validation that left the example out, and by all trials that left it
    out. Another is confident learning (Northcutt et al. 2021) on the folds, if `cleanlab` is
    installed.

    Args:
      config: model, recipe and seed.
      number: number of folds of the cross-validation.
      dataset: the examples, with `clean_train_labels`.
      trials: sums over trials on these examples.
      out: folder for the baselines' models, in which an interrupted call continues.

    Returns:
      One row for each way of ranking and number of examples looked at: the number of `trainings` it
      costs; the area under the ROC curve, `auc`, with its 95% interval; how far this area is
      `behind` that of memorization, with its 95% interval (`behind_low`, `behind_high`, a paired
      bootstrap over examples); and, for the first `looked_at` examples, the number of wrong labels
      (`found`), `precision`, `recall`, and the share of all right labels (`false_alarms`).

    Raises:
      InputError: if no labels, or all, were replaced.
    """
    labels = dataset.train_labels
    if dataset.clean_train_labels is None:
        raise InputError("dataset.label_noise: expected labels replaced at random, received none")
    wrong = labels != dataset.clean_train_labels
    if not 2 <= wrong.sum() <= len(wrong) - 2:
        raise InputError(f"dataset.label_noise: {wrong.sum()} of {len(wrong)} labels are wrong")
    folds = folds_of(config, number, len(labels))
    everything = np.ones(len(labels), bool)
    models = follow(config, dataset, [everything, *(fold == 0 for fold in folds)], out)
    held_out = np.einsum("kn,knc->nc", folds, models.probabilities[1:])
    scores = _scores(trials, models, held_out, labels)
    flagged = _confident_learning(labels, held_out)
    if flagged is not None:
        scores["confident learning (cleanlab)"] = (flagged[0], len(folds))
    table = _table(scores, wrong, draw(config, len(labels), 0))
    learned = float(np.nanmean(trials.accuracy_in[wrong]))
    said = _findings(table, wrong, learned, None if flagged is None else flagged[1])
    return Outcome(said, table)


def _scores(
    trials: Summed, models: Dynamics, held_out: np.ndarray, labels: np.ndarray
) -> dict[str, tuple[np.ndarray, int]]:
    """Scores, which are high for suspicious labels, and the number of trainings each costs."""
    cost, folds = trials.counts.num_trials, len(models.probabilities) - 1
    scores = {MEMORIZATION: (trials.memorization, cost)}
    if trials.confidence_memorization is not None and trials.held_out_confidence is not None:
        scores["memorization of probability"] = (trials.confidence_memorization, cost)
        scores["left out of trials"] = (1 - trials.held_out_confidence, cost)
    else:
        scores["left out of trials"] = (1 - trials.held_out_accuracy, cost)
    left_out = held_out[np.arange(len(labels)), labels]
    return {
        **scores,
        f"left out of {folds} folds": (1 - left_out, folds),
        "one model, while training": (1 - models.confidence[0].mean(axis=0), 1),
        "one model, after training": (1 - models.confidence[0, -1], 1),
    }


def _confident_learning(
    labels: np.ndarray, held_out: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Cleanlab's scores, and the labels that it calls wrong; None if it is not installed."""
    try:
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores
    except ImportError:
        return None
    probabilities = held_out / held_out.sum(axis=1, keepdims=True)
    quality = get_label_quality_scores(
        labels, probabilities, method="normalized_margin", adjust_pred_probs=True
    )
    return -quality, np.asarray(find_label_issues(labels, probabilities, n_jobs=1))


def _table(
    scores: dict[str, tuple[np.ndarray, int]], wrong: np.ndarray, order: np.ndarray
) -> pd.DataFrame:
    """The table of `find_wrong`; examples with equal scores are looked at in a random order."""
    values = [score for score, _ in scores.values()]
    found, (behind_low, behind_high) = areas(values, wrong), behind_first(values, wrong)
    total = int(wrong.sum())
    curve = np.geomspace(1, len(wrong), _LOOKS).round().astype(int)
    looks = np.union1d(curve, [max(1, round(share * total)) for share in _SHARES])
    parts = []
    for number, (name, (score, trainings)) in enumerate(scores.items()):
        low, high = found.interval(number)
        ranked = np.lexsort((order, -np.nan_to_num(score, nan=-np.inf)))
        hits = np.cumsum(wrong[ranked])[looks - 1]
        columns = {
            "ranked_by": name,
            "trainings": trainings,
            "auc": found.area[number],
            "auc_low": low,
            "auc_high": high,
            "behind": found.area[0] - found.area[number],
            "behind_low": behind_low[number],
            "behind_high": behind_high[number],
            "looked_at": looks,
            "found": hits,
            "precision": hits / looks,
            "recall": hits / total,
            "false_alarms": (looks - hits) / (len(wrong) - total),
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def _findings(
    table: pd.DataFrame, wrong: np.ndarray, learned: float, flagged: np.ndarray | None
) -> tuple[str, ...]:
    total = int(wrong.sum())
    said = [
        f"{total:,} of {len(wrong):,} training labels are wrong. Models trained on these predict "
        f"{learned:.0%} of them; memorization finds no wrong label that models do not learn.",
        *_rankings(table, total),
    ]
    if flagged is None:
        said.append("Confident learning was left out: `pip install 'tfmem[experiments]'`.")
    else:
        hits = int((flagged & wrong).sum())
        said.append(
            f"Confident learning flags {int(flagged.sum()):,} labels as wrong: {hits:,} of them "
            f"are wrong, which are {hits / total:.0%} of all wrong labels."
        )
    return tuple(said)


def _rankings(table: pd.DataFrame, total: int, what: str = "labels") -> list[str]:
    """A sentence on each way of ranking `total` wrong labels, or targets."""
    said = []
    for _, rows in table.groupby("ranked_by", sort=False):
        first = rows.iloc[0]
        half, whole = (
            rows.set_index("looked_at")["precision"][max(1, round(share * total))]
            for share in (0.5, 1.0)
        )
        behind = ""
        if first["ranked_by"] != MEMORIZATION:
            behind = (
                f", and the area for memorization minus this is {first['behind']:+.4f} (95%: "
                f"{first['behind_low']:+.4f} to {first['behind_high']:+.4f})"
            )
        said.append(
            f"Ranked by {first['ranked_by']} ({first['trainings']:,} trained): the area under the "
            f"ROC curve is {first['auc']:.4f} (95%: {first['auc_low']:.4f} to "
            f"{first['auc_high']:.4f}){behind}. Of the first {max(1, round(total / 2)):,} {what} "
            f"{half:.0%} are wrong, of the first {total:,} {what} {whole:.0%}."
        )
    return said


_STYLES = tuple(
    zip(
        (VERMILION, ORANGE, BLUE, SKY, GREEN, GREY, PURPLE),
        ("-", "-", "--", "--", "-.", ":", (0, (3, 1, 1, 1))),
        strict=True,
    )
)
_FALSE_ALARMS = 0.2  # share of false alarms up to which the ROC curve is drawn


def label_errors_figure(table: pd.DataFrame, _: object) -> Figure:
    """Draws ROC curves, and precision over the number of labels looked at.

    Args:
      table: the table of `find_wrong`.
    """
    what = table["of"].iloc[0] if "of" in table else "labels"
    figure = new_figure(WIDE, 5.4)
    left, right = (plain(axes) for axes in figure.subplots(1, 2))
    for (color, line), (name, rows) in zip(
        _STYLES, table.groupby("ranked_by", sort=False), strict=False
    ):
        first = rows.iloc[0]
        label = (
            f"{name} ({first['trainings']:,}): "
            f"{first['auc']:.3f} [{first['auc_low']:.3f}, {first['auc_high']:.3f}]"
        )
        left.plot(
            [0.0, *rows["false_alarms"]],
            [0.0, *rows["recall"]],
            color=color,
            linestyle=line,
            label=label,
        )
        right.plot(rows["looked_at"], rows["precision"], color=color, linestyle=line)
    left.set_xlim(-0.003, _FALSE_ALARMS)
    left.set_ylim(0, 1.02)
    left.set_xlabel(f"share of correct {what} looked at")
    left.set_ylabel(f"share of wrong {what} found")
    left.xaxis.set_major_formatter(PercentFormatter(1))
    left.set_xticks([0, 0.05, 0.1, 0.15, 0.2])
    figure.legend(
        frameon=False,
        fontsize=9,
        loc="outside lower center",
        ncols=2,
        title="ranked by (models trained): area under the ROC curve [95%]",
        title_fontsize=9,
    )
    wrong = round(rows["found"].iloc[-1])
    right.axvline(wrong, color=GREY, linewidth=0.8)
    right.annotate(
        f"{wrong:,} wrong {what}", (wrong, 0.02), (-4, 0), textcoords="offset points", ha="right"
    )
    right.set_xscale("log")
    right.set_ylim(0, 1.02)
    right.set_xlabel(f"{what} looked at, most suspicious first (log scale)")
    right.set_ylabel("share of them that are wrong")
    for axes in (left, right):
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    return figure


EXPERIMENT = Experiment(
    name="label-errors",
    question="How well does memorization find wrong labels?",
    source="Feldman & Zhang (2020), Sec. 3.1; Northcutt et al. (2021)",
    trains="a run, and one model and `folds` models for the baselines",
    reading=(
        "Left: the nearer a curve is to the upper left corner, the fewer correct labels one looks "
        "at in vain. Right: which share of the labels that one has looked at are wrong. If "
        "memorization lies far below the others, models have not learned the wrong labels: train "
        "for longer before trusting it."
    ),
    settings=LabelErrorSettings,
    needs=(Predictions,),
    sections=("seed", "dataset", "model", "task", "training", "estimation"),
    conduct=label_errors,
    draw=label_errors_figure,
    checks=(of_classes(stacked), different_labels),
    example="digits_label_errors --out runs/digits_label_errors",
    results="findings.md#label-errors",
)
