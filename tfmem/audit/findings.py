"""Finds out what is wrong with a training example, or useful about it, and what to do.

There are two kinds of memorized examples, which memorization alone does not distinguish. Examples
with a wrong label, or that no one could classify, do not help with other examples. Rare examples
do: because of them, models are right on test examples that are rare in the same way (Feldman &
Zhang 2020, Sec. 1). Influence on test examples distinguishes the two kinds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tfmem.datasets.duplicates import Duplicates

LABEL, USEFUL, ATYPICAL, DUPLICATE = "label", "useful", "atypical", "duplicate"
_SURE = 0.5


def examine(
    memorization: pd.DataFrame,
    effects: pd.DataFrame,
    refused: np.ndarray,
    confidence: np.ndarray | None,
    opinion: np.ndarray | None,
    mean_out: str = "accuracy_out",
) -> pd.DataFrame:
    """Gives each candidate one of three findings.

    - `useful`: it helps more test examples of its class than it harms in any class. This finding
      takes precedence, because models without a rare example hardly ever predict it, too.
    - `label`: models without it hardly ever predict its label. The label is wrong, or the example
      is ambiguous. It need not be memorized, because models may refuse to learn a wrong label.
    - `atypical`: it is memorized, and neither of these.

    Args:
      memorization: rows of the candidates, by `index`; see `Evidence`.
      effects: influences of the candidates; see `tfmem.audit.effects`.
      refused: bool `[num_train]`; see `Evidence`.
      confidence: `[num_train]`, mean probability of the label by models without the example; None
        if it is not known.
      opinion: `[num_train, classes]`, see `tfmem.audit.opinion`; None without a cross-validation.
      mean_out: the column of `memorization` with means of models without the example.

    Returns:
      The rows, with `finding`, `helps` and `harms` (numbers of test examples), `helped` (the sum of
      influences on those that it helps), `confidence_out`, `said` (the most probable class by
      `opinion`, -1 without it) and `said_probability`. Labels to check come first, ordered by
      `confidence_out` (or `mean_out`), the least first; then useful examples by `helped`, then
      atypical ones by memorization.
    """
    index = memorization.index.to_numpy(np.int64)
    positive = effects[effects["influence"] > 0].groupby("train_index")["influence"]
    negative = effects[effects["influence"] < 0].groupby("train_index")["influence"]
    helps, harms = (
        side.size().reindex(index, fill_value=0).to_numpy(np.int64) for side in (positive, negative)
    )
    finding = np.select([helps > harms, refused[index]], [USEFUL, LABEL], ATYPICAL)
    given = memorization[mean_out].to_numpy(float) if confidence is None else confidence[index]
    table = memorization.assign(
        finding=finding,
        helps=helps,
        harms=harms,
        helped=positive.sum().reindex(index, fill_value=0.0).to_numpy(float),
        confidence_out=np.nan if confidence is None else given,
        said=-1 if opinion is None else opinion[index].argmax(axis=1),
        said_probability=np.nan if opinion is None else opinion[index].max(axis=1),
    )
    first = np.select([finding == LABEL, finding == USEFUL], [given, -table["helped"]], 0.0)
    kind = pd.Categorical(finding, [LABEL, USEFUL, ATYPICAL]).codes
    return table.iloc[np.lexsort((-table["memorization"], first, kind))]


def against_truth(examined: pd.DataFrame, labels: np.ndarray, clean: np.ndarray) -> str:
    """Says how well wrong labels were found, if it is known which labels are wrong.

    Args:
      examined: the table of `examine`.
      labels: int64 `[num_train]`, the labels on which models were trained.
      clean: int64 `[num_train]`, the labels before some were replaced at random.
    """
    wrong, flagged = labels != clean, examined[examined["finding"] == LABEL]
    index = flagged.index.to_numpy(np.int64)
    hits = index[wrong[index]]
    parts = [
        f"{int(wrong.sum()):,} of {len(labels):,} labels had been replaced at random",
        f"{len(hits):,} of the {len(index):,} labels to check are among them (precision "
        f"{_share(len(hits), len(index))}, recall {_share(len(hits), int(wrong.sum()))})",
    ]
    said = flagged.loc[hits, "said"].to_numpy()
    if (said >= 0).all():
        named = int((said == clean[hits]).sum())
        parts.append(f"networks name the correct label for {named:,} of these")
    useful = examined.index[examined["finding"] == USEFUL].to_numpy(np.int64)
    parts.append(
        f"{int(wrong[useful].sum()):,} of the {len(useful):,} useful examples have a wrong label"
    )
    return "; ".join(parts)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "undefined"


def action(row: pd.Series, class_names: Sequence[str], what: str = "label") -> str:
    """Says what to do about a training example that was examined.

    Args:
      row: a row of the table of `examine`.
      class_names: names of the classes.
      what: what the example has: a `label`, or a `target` that is no class.
    """
    if row["finding"] == USEFUL:
        return "keep it, and look for more examples like it"
    if row["finding"] == ATYPICAL:
        return f"keep it, if the {what} is right"
    if row["said"] < 0:
        return f"check the {what}"
    said = class_names[row["said"]]
    if row["said"] != row["label"] and row["said_probability"] >= _SURE:
        return f"check the label: is it {said}?"
    return "check it: ambiguous, or unlike all other examples"


def only_near_duplicates(
    examined: pd.DataFrame, effects: pd.DataFrame, alike: pd.DataFrame
) -> np.ndarray:
    """Finds useful examples that help only near duplicates of themselves.

    Args:
      examined: the table of `examine`.
      effects: the table of `tfmem.audit.effects`.
      alike: near duplicates, with `test_index` and `train_index`.

    Returns:
      The indices of the examples, int64.
    """
    useful = examined.index[examined["finding"] == USEFUL]
    helped = effects[(effects["influence"] > 0) & effects["train_index"].isin(useful)]
    known = pd.MultiIndex.from_frame(alike[["train_index", "test_index"]])
    twin = pd.MultiIndex.from_frame(helped[["train_index", "test_index"]]).isin(known)
    return np.setdiff1d(useful.to_numpy(np.int64), helped.loc[~twin, "train_index"])


def duplicate_pairs(
    found: Duplicates, train_labels: np.ndarray, test_labels: np.ndarray, what: str = "label"
) -> pd.DataFrame:
    """Lists pairs of near duplicates, those with different labels first, then test examples.

    Returns:
      `split`, `index` and `label` of one example, which is the test example if the pair has one;
      `other_index` and `other_label` of the other one, a training example; `similarity`,
      `conflict` and `action`.
    """
    names = {"train_index": "index"}, {"test_index": "index", "train_index": "other_index"}
    parts = []
    for split, table, columns, labels in (
        ("train", found.train, names[0], train_labels),
        ("test", found.test, names[1], test_labels),
    ):
        part = table.rename(columns=columns)[["index", "other_index", "similarity"]]
        label = labels[part["index"].to_numpy(np.int64)]
        parts.append(part.assign(split=split, label=label))
    pairs = pd.concat(parts, ignore_index=True)
    pairs["other_label"] = train_labels[pairs["other_index"].to_numpy(np.int64)]
    conflict, test = pairs["label"] != pairs["other_label"], pairs["split"] == "test"
    pairs["conflict"] = conflict
    pairs["action"] = np.select(
        [conflict, test],
        [
            f"they look alike but have different {what}s: check both",
            "remove one: the test set must not contain training examples",
        ],
        "keep one, or never divide them between training and test",
    )
    order = np.lexsort((-pairs["similarity"], ~test, ~conflict))
    return pairs.iloc[order].reset_index(drop=True)


def class_table(
    memorization: pd.DataFrame,
    examined: pd.DataFrame,
    test_labels: np.ndarray,
    test_accuracy: np.ndarray,
    memorized: np.ndarray,
    kind: str = "accuracy",
) -> pd.DataFrame:
    """Makes a table with one row for each class, by label.

    Returns:
      The number of `examples`, their mean `memorization` and its standard error over examples
      (`stderr`), the numbers of `memorized` examples and of each finding, the mean `accuracy_out`
      of training examples, the number of `tests`, and `test_accuracy`, NaN without test examples;
      `kind` takes the place of `accuracy` in these names.
    """
    labels = memorization["label"]
    by_class = memorization.groupby("label")
    value = by_class["memorization"]
    counts = examined.groupby(["label", "finding"]).size().unstack(fill_value=0)
    tests = pd.Series(test_accuracy).groupby(test_labels)
    table = pd.DataFrame(
        {
            "examples": value.size(),
            "memorization": value.mean(),
            "stderr": value.sem(),
            "memorized": pd.Series(memorized, memorization.index).groupby(labels).sum(),
            f"{kind}_out": by_class[f"{kind}_out"].mean(),
        }
    )
    for finding in (LABEL, USEFUL, ATYPICAL):
        known = counts[finding] if finding in counts else pd.Series(dtype=int)
        table[finding] = known.reindex(table.index, fill_value=0)
    table["tests"] = tests.size().reindex(table.index, fill_value=0)
    return table.assign(**{f"test_{kind}": tests.mean().reindex(table.index)})
