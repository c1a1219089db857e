"""Makes an audit: everything that was found, as tables."""

from __future__ import annotations

from collections.abc import Sequence
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
from tfmem.datasets import AnyDataset, StreamedDataset
from tfmem.datasets.duplicates import find_duplicates
from tfmem.estimation.thresholds import at_least


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
    """

    examples: pd.DataFrame
    effects: pd.DataFrame
    duplicates: pd.DataFrame | None
    classes: pd.DataFrame
    evidence: Evidence
    asked: bool
    truth: str | None

    def of(self, finding: str) -> pd.DataFrame:
        """Selects the examples with a finding, in the order in which one should look at them."""
        return self.examples[self.examples["finding"] == finding]

    @property
    def summary(self) -> list[str]:
        """Counts the findings, one line for each kind."""
        said = [
            f"{len(self.of(LABEL)):,} labels to check",
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
            f"different labels, {pairs.loc[test, 'index'].nunique():,} test examples with a near "
            "duplicate in the training set",
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
    memorization, threshold = evidence.memorization, config.selection.least_memorization
    memorized = at_least(memorization["memorization"].to_numpy(), threshold)
    chosen = np.flatnonzero(memorized | evidence.refused)
    found, test_accuracy = evidence.effects(chosen)
    confidence = evidence.confidence
    examined = examine(memorization.loc[chosen], found, evidence.refused, confidence, opinion)
    names = data.class_names
    examined["action"] = [action(row, names) for _, row in examined.iterrows()]
    duplicates = None
    if not isinstance(data, StreamedDataset):
        alike = find_duplicates(data, config.experiments.audit.similarity)
        duplicates = duplicate_pairs(alike, data.train_labels, data.test_labels)
        twins = only_near_duplicates(examined, found, alike.test)
        examined.loc[twins, "action"] = (
            "it helps only its near duplicate in the test set: see there"
        )
    classes = class_table(memorization, examined, data.test_labels, test_accuracy, threshold)
    clean = data.clean_train_labels
    return Audit(
        examples=examined,
        effects=found,
        duplicates=duplicates,
        classes=classes,
        evidence=evidence,
        asked=opinion is not None,
        truth=None if clean is None else against_truth(examined, data.train_labels, clean),
    )


def flagged(found: Audit, class_names: Sequence[str]) -> pd.DataFrame:
    """Makes a row for each example and reason, as for a spreadsheet; missing numbers are NaN."""
    columns = ["memorization", "ci_low", "ci_high", "accuracy_in", "accuracy_out", "n_out",
               "confidence_out", "helps", "harms", "said", "said_probability"]  # fmt: skip
    examples = found.examples.reset_index().rename(columns={"finding": "reason"})
    parts = [examples[["index", "label", "reason", "action", *columns]].assign(split="train")]
    if found.duplicates is not None:
        parts.append(found.duplicates.drop(columns="conflict").assign(reason=DUPLICATE))
    names = np.array([*class_names, ""], object)
    table = pd.concat(parts, ignore_index=True)
    for name in ("label", "other_label", "said"):
        if name in table:
            table[name] = names[table[name].fillna(-1).to_numpy(np.int64)]
    first = ["reason", "split", "index", "label", "action", *columns]
    whole = {name: "Int64" for name in ("n_out", "helps", "harms", "other_index") if name in table}
    return table.astype(whole)[[*first, *(name for name in table if name not in first)]]
