"""The README.md of a publication: what each file and column is, its sign, range and error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tfmem
from tfmem.estimation.units import Units

_FILES = {
    "examples": "a row for each training and each test example: what it is called, here and "
    "elsewhere",
    "memorization": "a row for each training example (also `memorization.npz`, an array for each "
    "column)",
    "influence": "a row for each pair of a training and a test example of one class",
    "pairs": "a row for each selected pair of high influence, the most influential first",
    "subsets": "a row for each model: the subset that it was trained on",
}
_INFLUENCE = ("label", "train_index", "test_index", "influence", "stderr", "ci_low", "ci_high")
_COLUMNS = {
    "split": "`train` or `test`",
    "index": "index of the example within its split, from 0; all files use it",
    "label": "number of the class of the example; of a pair, that of its training example",
    "test_label": "number of the test example's class",
    "class": "name of the class",
    "id": "the data owner's name of the example",
    "official_index": "index of the example in the official files of the data set (for digits, in "
    "`sklearn.datasets.load_digits`)",
    "tfds_index": "position of the example in the order of "
    "`tfds.load(…, shuffle_files=False)`, which is not the official order",
    "n_in": "number of models that were trained on the example",
    "n_out": "number of models that were not",
    "train_index": "index of the training example",
    "test_index": "index of the test example",
    "stderr": "standard error of the estimate in this row, from the variance over models",
    "ci_low": "lower end of the 95% interval of that estimate",
    "ci_high": "upper end of that interval",
    "p_value": "one- or two-sided, as pairs were selected: probability of such an influence if "
    "there is none",
    "log10_p_value": "its decimal logarithm, where the number itself is too small",
    "q_value": "false discovery rate of the pairs up to this one",
    "trial_id": "number of the model",
    "size": "number of training examples in its subset",
    "subset_sha256": "SHA-256 of `numpy.packbits(mask, bitorder=\"little\")`, where `mask` is "
    "bool `[num_train]`",
    "diverged": "whether the model diverged; estimates leave it out",
}  # fmt: skip


def readme(
    title: str,
    metadata: Mapping[str, Any],
    units: Units,
    columns: Mapping[str, Sequence[str]],
    has_influence: bool,
) -> str:
    """The text of `README.md`.

    Args:
      title: its title.
      metadata: contents of `metadata.json`.
      units: how values of the statistic are called.
      columns: names of the columns of each table, by the name of the table.
      has_influence: whether influence of all pairs of one class is published.
    """
    data = metadata["dataset"]
    tables = {**columns, **({"influence": _INFLUENCE} if has_influence else {})}
    licence = metadata["licence"]
    parts = [
        f"# {title}",
        "",
        f"Estimates from {metadata['trials']:,} models ({metadata['model']}), each trained on a "
        f"random subset of {metadata['mean_subset_fraction']:.1%} of the {data['num_train']:,} "
        f"training examples of {data['name']}, and tested on {data['num_test']:,} test examples. "
        f"Made with tfmem {tfmem.__version__}; nothing here needs it to be read.",
        "",
        f"- **memorization** of a training example: {units.more} that were not. "
        + _range(units, "memorized more"),
        "- **influence** of a training on a test example: the same difference, for the prediction "
        "of the test example. Positive influence helps, negative harms.",
        "",
        "Both are the subsampled estimates of Feldman & Zhang (2020, *What Neural Networks "
        "Memorize and Why*, Alg. 1): the mean over models with the training example minus the mean "
        "over models without it. NaN says that an example was in every subset, or in none; where "
        "there is no effect, estimates are near 0.",
        "",
        "**Error.** Every estimate has its own standard error and 95% interval, over the choice of "
        "subsets and the randomness of training. They describe *this* architecture and recipe; "
        "another one memorizes other examples."
        + (
            f" The mean of the {models} models of a subset counts as one model, here and in `n_in` "
            "and `n_out`."
            if (models := metadata["models_of_a_subset"]) > 1
            else ""
        ),
        "",
        "**Order.** `index` counts the examples of a split in the run's own order"
        + (
            "; `examples.parquet` has the official and other orders."
            if "official_index" in columns["examples"]
            else ", in which `labels.npz` lists their labels."
        )
        + f" SHA-256 of all inputs and labels in this order: `{data['fingerprint']}`.",
        "",
        "**Licence.** "
        + (f"{licence}." if licence else "None is stated: ask whoever published this folder."),
        "",
        "## Files",
        "",
        *(f"- `{name}.parquet`: {_FILES[name]}" for name in tables),
        "- `pairs.npz`: the selected pairs as the paper's authors released theirs: `tr_idx`, "
        "`tt_idx`, `infl`, `mem`",
        *(
            [
                "- `influence.npz`: as the authors' class-wise matrices: `infl_matrix_class{K}` "
                "`[train, test]` of the training examples `tr_classidx_{K}` and the test examples "
                "`tt_classidx_{K}`; `tr_mem` is memorization"
            ]
            if has_influence
            else []
        ),
        "- `labels.npz`: `train_labels`, `test_labels`, `class_names`",
        "- `metadata.json`: data, numbers of models, statistic, versions; `settings.yaml`: all "
        "settings of the run",
        "- `SHA256SUMS`: `sha256sum --check SHA256SUMS` checks every file",
        "",
    ]
    for name, of_table in tables.items():
        parts += [f"## {name}.parquet", "", "| column | meaning |", "|---|---|"]
        parts += [f"| `{each}` | {_meaning(each, name, units)} |" for each in of_table]
        parts.append("")
    parts += [
        "## Reading",
        "",
        "```python",
        "import numpy as np, pandas as pd",
        "",
        'memorization = pd.read_parquet("memorization.parquet").set_index("index")',
        'most = memorization["memorization"].nlargest(10)',
        'array = np.load("memorization.npz")["memorization"]',
        "```",
        "",
    ]
    return "\n".join(parts)


def _range(units: Units, more: str) -> str:
    if units.bounded:
        return f"From -1 to 1; higher is {more}, values near 0 (of either sign) are noise around 0."
    return f"In the unit of the score ({units.name}), without bounds; higher is {more}."


def _meaning(column: str, table: str, units: Units) -> str:
    unit = "from -1 to 1" if units.bounded else f"in units of {units.name}"
    if column == "memorization":
        return f"memorization of the training example, {unit}"
    if column == "influence":
        return f"influence of the training on the test example, {unit}"
    if column in ("accuracy_in", "score_in", "accuracy_out", "score_out"):
        which = "trained on it" if column.endswith("_in") else "not trained on it"
        of = "how often models get it right" if units.name == "right" else f"mean {units.name}"
        return f"{of}, of the models that were {which}"
    return _COLUMNS[column]
