"""Tables of docs/findings.md, from the tables that experiments write (`table.csv`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.measured import Column, Record, percent, quantity
from tfmem.experiments.attribution_quality import NAMES
from tfmem.experiments.score_proxies import MEMORIZATION


def _removal(record: Record, frame: pd.DataFrame) -> None:
    first = Column("without memorization ≥", "", 1)
    if "share" in frame:
        first = Column("without the most memorized", "%", 0)
        frame = frame.assign(threshold=100 * frame["share"])
    columns = (
        first,
        Column("number removed", "", 0),
        Column("accuracy", "%", 2),
        Column("accuracy without as many random ones", "%", 2),
        Column("difference in points (SE)", "", 2),
    )
    for level, pair in frame.dropna(subset="threshold").groupby("threshold"):
        by = {row["removal"]: row for row in pair.to_dict("records")}
        one, other = by["memorized"], by["random"]
        error = (one["accuracy_stderr"] ** 2 + other["accuracy_stderr"] ** 2) ** 0.5
        lost = quantity(100 * (other["accuracy"] - one["accuracy"]), error=100 * error)
        shares = [100 * each["accuracy"] for each in (one, other)]
        record.row("digits", columns, [level, int(one["removed"]), *shares, lost])


def _pair_utility(record: Record, frame: pd.DataFrame) -> None:
    sizes = frame.drop_duplicates("examples").set_index("examples")["size"]
    columns = (
        Column("models (± SD)"),
        Column(f"accuracy on all {sizes['all']} test examples", "%", 2),
        Column(f"on the {sizes['influenced']} test examples of the pairs", "%", 1),
    )
    for removal, rows in frame.groupby("removal", sort=False):
        by = {row["examples"]: row for row in rows.to_dict("records")}
        removed = by["influenced"]["removed"]
        said = {
            "none": "with all training examples",
            "pairs": f"without the {removed} training examples of the pairs",
            "random": f"without {removed} random ones",
        }
        shares = [
            percent(by[each]["accuracy"], by[each]["accuracy_sd"]) for each in ("all", "influenced")
        ]
        record.row("digits", columns, [said[str(removal)], *shares])


def attribution_quality(record: Record, frame: pd.DataFrame) -> None:
    """Adds the score of each kind of attributions with its interval, and what it cost."""
    columns = (
        Column("models trained", "", 0),
        Column("attributions"),
        Column("LDS (95% interval)", "", 3),
        Column("passes over the training examples", "", 0),
        Column("processor time", "s", 1),
    )
    for row in frame.to_dict("records"):
        score = quantity(row["lds"], low=row["ci_low"], high=row["ci_high"])
        name, passes = NAMES[row["attributions"]][0], int(row["passes"]) or None
        cells = [int(row["models"]), name, score, passes, row["cpu_seconds"]]
        record.row("attributions", columns, cells)
    record.values["ceiling"] = float(frame["ceiling"].iloc[0])


def _fraction(record: Record, frame: pd.DataFrame) -> None:
    trials = [name for name in map(str, frame) if name.startswith("rmse_")]
    numbers = [int(name.removeprefix("rmse_")) for name in trials]
    columns = (
        Column("m/n"),
        Column("memorized (≥ 0.25)", "", 0),
        Column("median standard error of these", "", 3),
        Column("mean difference from leave-one-out (SE)", "", 3),
        Column("root mean square difference beyond noise (95%)", "", 3),
        *(Column(f"root mean square error with {each:,} trials", "", 3) for each in numbers),
    )
    for row in frame.to_dict("records"):
        beyond = quantity(row["distance"], low=row["distance_low"], high=row["distance_high"])
        cells = [row["fraction"], int(row["memorized"]), row["stderr_memorized"]]
        cells += [quantity(row["bias"], error=row["bias_stderr"]), beyond]
        record.row("digits", columns, [*cells, *(row[name] for name in trials)])


def _label_errors(record: Record, frame: pd.DataFrame) -> None:
    wrong = round(frame["found"].max())
    columns = (
        Column("ranked by"),
        Column("models trained", "", 0),
        Column("area under the ROC curve (95%)", "", 4),
        Column("memorization's area minus this one (95%)", "", 4),
        Column(f"wrong labels among the first {wrong}", "%", 0),
    )
    for name, rows in frame.groupby("ranked_by", sort=False):
        first = rows.iloc[0]
        share = 100 * rows.set_index("looked_at")["precision"][wrong]
        behind = quantity(first["behind"], low=first["behind_low"], high=first["behind_high"])
        record.row(
            "digits",
            columns,
            [
                str(name),
                int(first["trainings"]),
                quantity(first["auc"], low=first["auc_low"], high=first["auc_high"]),
                None if name == MEMORIZATION else behind,
                share,
            ],
        )


def _last_k_layers(record: Record, frame: pd.DataFrame) -> None:
    columns = (
        Column("trained"),
        Column("memorized examples (≥ 0.25) recovered, 95% interval", "%", 0),
        Column("test accuracy (SD)", "%", 2),
    )
    for row in frame.to_dict("records"):
        depth = row["depth"]
        name = "last layer" if depth == 1 else f"last {depth:.0f} blocks"
        name = "one half of the run by the other" if pd.isna(depth) else name
        found = quantity(
            int(row["recovered"]),
            of=int(row["expected"]),
            low=100 * row["low"],
            high=100 * row["high"],
        )
        record.row("digits", columns, [name, found, percent(row["accuracy"], row["accuracy_sd"])])


def _proxies(record: Record, frame: pd.DataFrame) -> None:
    columns = (
        Column("score"),
        Column("models", "", 0),
        Column("area under the ROC curve", "", 3),
        Column("Spearman", "", 2),
        Column("cost", "", 1),
        Column("forward, backward passes"),
    )
    left_out = frame["score"].str.startswith("consistency") | frame["score"].str.contains(" of ")
    chosen = frame["trainings"].isin((1, 10, 20, 500)) & ~left_out
    for row in frame[chosen].to_dict("records"):
        each: list[Any] = [
            quantity(row[name], low=row[f"{name}_low"], high=row[f"{name}_high"])
            for name in ("auc", "spearman")
        ]
        passes = [row[name] for name in ("forward", "backward")]
        said = "" if pd.isna(passes).any() else ", ".join(f"{number:,.0f}" for number in passes)
        cells = [row["score"], int(row["trainings"]), *each, row["cost"], said]
        record.row("digits", columns, cells)


def _privacy(record: Record, frame: pd.DataFrame) -> None:
    columns = (
        Column("attack"),
        Column("true-positive rate at 0.1% false positives", "%", 2),
        Column("at 1%", "%", 2),
    )
    for name in frame["attack"].unique():
        record.row(
            "attacks", columns, [name, *(_found_out(frame, name, at) for at in (0.001, 0.01))]
        )


def _onion(record: Record, frame: pd.DataFrame) -> None:
    columns = (
        Column("removed"),
        Column("found out at 0.1% in the run's own models", "%", 2),
        Column("in models that were trained without the removed", "%", 2),
    )
    for way, said in (("exposed", "the most exposed tenth"), ("random", "a random tenth")):
        rates = [_found_out(frame, f"{way}, {models}", 0.001) for models in ("run", "trained")]
        record.row("left", columns, [said, *rates])


def _found_out(frame: pd.DataFrame, attack: str, rate: float) -> dict[str, Any]:
    """The true-positive rate of an attack at a false-positive rate, in percent."""
    (row,) = frame[(frame["attack"] == attack) & np.isclose(frame["fpr"], rate)].to_dict("records")
    return quantity(100 * row["tpr"], low=100 * row["tpr_low"], high=100 * row["tpr_high"])


def _typicality(record: Record, frame: pd.DataFrame) -> None:
    shown = {"10": "most memorized 10%", "all": "all", "1": "least memorized 10%"}
    columns = (
        Column("sentences"),
        Column("by memorization"),
        Column("share of positive phrases (95%)", "%", 2),
        Column("in the paper", "%", 2),
    )
    for name, rows in frame.groupby("class", sort=False):
        by = {str(row["group"]): row for row in rows.to_dict("records")}
        for group, said in shown.items():
            shares = {key: 100 * by[group][key] for key in ("fraction", "low", "high", "paper")}
            here = quantity(shares["fraction"], low=shares["low"], high=shares["high"])
            record.row("sentences", columns, [str(name), said, here, shares["paper"]])


TABLES: dict[str, Callable[[Record, pd.DataFrame], None]] = {
    "attribution-quality": attribution_quality,
    "fraction": _fraction,
    "label-errors": _label_errors,
    "last-k-layers": _last_k_layers,
    "onion": _onion,
    "pair-utility": _pair_utility,
    "privacy": _privacy,
    "proxies": _proxies,
    "removal": _removal,
    "typicality": _typicality,
}
