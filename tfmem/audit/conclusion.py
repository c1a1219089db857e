"""Makes an audit: everything that was found, as tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from tfmem.audit.evidence import Evidence
from tfmem.audit.findings import (
    ATYPICAL,
    DUPLICATE,
    LABEL,
    USEFUL,
    action,
    against_truth,
    class_table,
    duplicate_pairs,
    examine,
    only_near_duplicates,
)
from tfmem.config import Config
from tfmem.datasets import AnyDataset, Dataset, StreamedDataset, has_classes, ids_of
from tfmem.datasets.duplicates import find_duplicates

_FEW = 64  # numbers; examples of fewer have high similarities by chance, so only equal ones count


@dataclass(frozen=True)
class Audit:
    """The findings of an audit.

    Attributes:
      examples: the table of `tfmem.audit.findings.examine`, with a column `action`.
      effects: the table of `tfmem.audit.effects`.
      duplicates: the table of `tfmem.audit.findings.duplicate_pairs`; None for streamed data, in
        which the audit does not look for near duplicates.
      classes: the table of `tfmem.audit.findings.class_table`.
      evidence: the evidence from which the findings were made.
      asked: whether models of a cross-validation predicted the classes of examples.
      truth: a sentence on how well wrong labels were found, if labels had been replaced at random.
      what: what is checked: `label`, or `target` where examples have no classes.
      similarity: least similarity of near duplicates; 1 is of equal examples.
    """

    examples: pd.DataFrame
    effects: pd.DataFrame
    duplicates: pd.DataFrame | None
    classes: pd.DataFrame
    evidence: Evidence
    asked: bool
    truth: str | None
    what: str = "label"
    similarity: float = 1.0

    def of(self, finding: str) -> pd.DataFrame:
        """Selects the examples with a finding, in the order in which one should look at them."""
        return self.examples[self.examples["finding"] == finding]

    @property
    def summary(self) -> list[str]:
        """Counts the findings, one line for each kind."""
        said = [
            f"{len(self.of(LABEL)):,} {self.what}s to check",
            f"{len(self.of(USEFUL)):,} useful examples",
            f"{len(self.of(ATYPICAL)):,} other memorized examples",
            *([self.truth] if self.truth else []),
        ]
        if self.duplicates is None:
            return [*said, "no search for near duplicates, because the data are streamed"]
        pairs, test = self.duplicates, self.duplicates["split"] == "test"
        return [
            *said,
            f"{len(pairs):,} pairs of near duplicates: {int(pairs['conflict'].sum()):,} with "
            f"different {self.what}s, {pairs.loc[test, 'index'].nunique():,} test examples with a "
            "near duplicate in the training set",
        ]


def audit(
    evidence: Evidence, data: AnyDataset, config: Config, opinion: np.ndarray | None
) -> Audit:
    """Examines the training examples that are memorized, or whose label models hardly ever predict.

    Args:
      evidence: what is known about the examples.
      data: the data set with the examples.
      config: the settings, of which `selection.memorization` and `experiments.audit` count.
      opinion: `[num_train, classes]`, see `tfmem.audit.opinion`; None without a cross-validation.

    Raises:
      InputError: if the evidence cannot be read, or nearly all examples are near duplicates.
    """
    memorization, units = evidence.memorization, evidence.units
    chosen = np.flatnonzero(evidence.memorized | evidence.refused)
    found, test_accuracy = evidence.effects(chosen)
    confidence = evidence.confidence
    mean_out = f"{units.kind}_out"
    examined = examine(
        memorization.loc[chosen], found, evidence.refused, confidence, opinion, mean_out
    )
    names, what = data.class_names, "label" if has_classes(data) else "target"
    examined["action"] = [action(row, names, what) for _, row in examined.iterrows()]
    duplicates, similarity = None, config.experiments.audit.similarity
    if isinstance(data, Dataset) and data.train_images[0].size < _FEW:
        similarity = 1.0
    if not isinstance(data, StreamedDataset):
        alike = find_duplicates(data, similarity)
        duplicates = duplicate_pairs(alike, *_labels_of(data), what)
        twins = only_near_duplicates(examined, found, alike.test)
        examined.loc[twins, "action"] = (
            "it helps only its near duplicate in the test set: see there"
        )
    classes = class_table(
        memorization, examined, data.test_labels, test_accuracy, evidence.memorized, units.kind
    )
    clean = data.clean_train_labels
    return Audit(
        examples=examined,
        effects=found,
        duplicates=duplicates,
        classes=classes,
        evidence=evidence,
        asked=opinion is not None,
        truth=None if clean is None else against_truth(examined, data.train_labels, clean),
        what=what,
        similarity=similarity,
    )


def _labels_of(data: AnyDataset) -> tuple[np.ndarray, np.ndarray]:
    """What near duplicates should have in common: classes, or sets of labels as numbers.

    Numbers that a regression predicts may differ between examples that are alike.
    """
    train, test = (getattr(data, f"{split}_targets", None) for split in ("train", "test"))
    if has_classes(data) or train is None or test is None or train.dtype.kind == "f":
        return data.train_labels, data.test_labels
    every = np.concatenate([part.reshape(len(part), -1) for part in (train, test)])
    _, numbers = np.unique(every, axis=0, return_inverse=True)
    first, second = np.split(numbers.reshape(-1), [len(train)])
    return first, second


def _own(data: AnyDataset) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Names of training and of test examples, and targets that are a number each."""
    found = {"name": tuple(ids_of(data, split) for split in ("train", "test"))}
    if not has_classes(data):
        targets = (getattr(data, f"{split}_targets", None) for split in ("train", "test"))
        found["target"] = tuple(targets)
    return {
        name: (train, test)
        for name, (train, test) in found.items()
        if train is not None and test is not None and train.ndim == 1
    }


def _of_examples(table: pd.DataFrame, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """What the examples of the rows have in an array of all training, or of all test examples."""
    of = {"train": train, "test": test}
    rows = zip(table["split"], table["index"], strict=True)
    return np.array([of[split][index] for split, index in rows])


def flagged(found: Audit, data: AnyDataset) -> pd.DataFrame:
    """Makes a row for each example and reason, as for a spreadsheet; missing numbers are NaN.

    Examples have their own names and targets in columns `name` and `target`, if they have any.
    """
    kind = found.evidence.units.kind
    columns = ["memorization", "ci_low", "ci_high", f"{kind}_in", f"{kind}_out", "n_out",
               "confidence_out", "helps", "harms", "said", "said_probability"]  # fmt: skip
    examples = found.examples.reset_index().rename(columns={"finding": "reason"})
    parts = [examples[["index", "label", "reason", "action", *columns]].assign(split="train")]
    if found.duplicates is not None:
        parts.append(found.duplicates.drop(columns="conflict").assign(reason=DUPLICATE))
    names = np.array([*data.class_names, ""], object)
    table = pd.concat(parts, ignore_index=True)
    if found.what != "label":  # there are no classes that could be named
        table["reason"] = table["reason"].replace(LABEL, found.what)
        table = table.drop(columns=["label", "other_label", "said", "said_probability",
                                    "confidence_out"], errors="ignore")  # fmt: skip
        columns = [name for name in columns if name in table]
    for name in ("label", "other_label", "said"):
        if name in table:
            table[name] = names[table[name].fillna(-1).to_numpy(np.int64)]
    known = {
        name: _of_examples(table, *values) for name, values in _own(data).items() if values[0].size
    }
    for name, values in known.items():
        table[name] = values
    label = ["label"] if "label" in table else []
    first = ["reason", "split", "index", *known, *label, "action", *columns]
    whole = {name: "Int64" for name in ("n_out", "helps", "harms", "other_index") if name in table}
    return table.astype(whole)[[*first, *(name for name in table if name not in first)]]
