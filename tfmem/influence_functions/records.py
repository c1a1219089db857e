"""Self-influence as memorization records, which whatever reads the subsampled ones reads too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfmem.influence_functions.scores import Scores
from tfmem.influence_functions.solver import Solver
from tfmem.store.records import encode_example, shard_name
from tfmem.store.results import SUMMARY_NAME
from tfmem.store.writing import write_set


def estimator_name(solver: str) -> str:
    """What records call the estimator: `self_influence/SOLVER`, also its folder in a run."""
    return f"self_influence/{solver}"


def write_scores(
    scores: Scores, labels: np.ndarray, solver: Solver, folder: Path, more: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes one memorization record an example, and with them how they were obtained, as JSON.

    `memorization` is `M_remove / n`, which estimates what the subsampled estimator does: how much
    less the model believes in a label when the example is left out. `n_in` and `n_out` are 0, what
    only trials give is NaN; `residual` and `probability` come on top.

    Args:
      scores: of any training examples.
      labels: int64 `[n]`, of all training examples.
      solver: what the scores are from.
      folder: receives the records, which `tfmem.store.results.read_memorization` reads, and the
        summary, which `read_summary` reads; both become valid in one moment.
      more: what else the summary is to note.

    Returns:
      The summary.

    Raises:
      InputError: if the folder cannot be written to.
    """
    name = estimator_name(scores.solver)
    unknown = dict.fromkeys(("stderr", "ci_low", "ci_high", "accuracy_in", "accuracy_out"), np.nan)
    payloads = [
        encode_example(
            {
                **unknown,
                "index": int(index),
                "label": int(labels[index]),
                "n_in": 0,
                "n_out": 0,
                "memorization": float(value),
                "residual": float(residual),
                "label_probability": float(probability),
                "estimator": name.encode(),
            }
        )
        for index, value, residual, probability in zip(
            scores.examples,
            scores.memorization,
            scores.residuals,
            scores.probabilities,
            strict=True,
        )
    ]
    summary = _summary(scores, solver) | dict(more)
    files: dict[str, bytes | list[bytes]] = {
        shard_name("memorization", 0, 1): payloads,
        SUMMARY_NAME: json.dumps(summary, indent=2).encode() + b"\n",
    }
    write_set(folder, {"estimator": name}, files.items())
    return summary


def _summary(scores: Scores, solver: Solver) -> dict[str, Any]:
    known = scores.residuals[np.isfinite(scores.residuals)]
    return {
        "estimator": estimator_name(scores.solver),
        "memorization": "M_remove / num_train",
        "num_train": scores.num_train,
        "num_parameters": solver.objective.num_parameters,
        "weight_decay": float(solver.objective.decay.max()),
        "curvature": scores.curvature,
        "curvature_examples": len(solver.objective.curvature_examples),
        "damping": scores.damping,
        "converged": int(scores.converged.sum()),
        "not_converged": int((~scores.converged).sum()),
        "negative": int(scores.negative.sum()),
        "largest_residual": float(known.max()) if len(known) else None,
        "effective_dimension": getattr(solver, "effective_dimension", None),
    }
