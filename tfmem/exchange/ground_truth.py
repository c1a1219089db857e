"""What attributions of a run's data are judged by, as one npz file for other tools.

- `outputs` float32 `[subsets, num_test]`: mean outputs of the models of each subset.
- `masks` uint8 `[subsets, num_train]`, 0 or 1: the subsets.
- `indices` int64 `[subsets, size]`: their examples, ascending; only if all have the same size.
- `subset_sha256`: SHA-256 of `numpy.packbits(mask, bitorder="little")` of each subset.
- `held_out` bool `[subsets]`: the subsets that `tfmem lds` holds out.
- `model_outputs` float32 `[models, num_test]`: outputs of single models.
- `model_subset`, `model_trial` int64 `[models]`: their subsets and trials.
- `statistic`: what outputs are.
- `train_labels`, `test_labels`, `dataset_fingerprint`: what the examples are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfmem.aggregation.held_outputs import outputs_in
from tfmem.datamodels.outputs import HOLDOUT, held_out
from tfmem.exchange.arrays import write_npz
from tfmem.store.artifacts import Predictions
from tfmem.store.labels import LABELS_NAME, Labels


def write_ground_truth(folder: Path, out: Path) -> None:
    """Writes subsets and outputs of a run.

    Args:
      folder: the run; its outputs are scores if records hold some, and margins otherwise.
      out: the npz file.

    Raises:
      InputError: if the run has no such outputs.
    """
    predictions = folder / Predictions.place
    held = outputs_in(predictions)
    path = predictions / LABELS_NAME
    labels = Labels.from_npz(path.read_bytes(), str(path))
    outputs = held.by_subset()
    masks = np.unpackbits(outputs.masks, axis=1, count=outputs.num_train, bitorder="little")
    sizes = masks.sum(axis=1, dtype=np.int64)

    def arrays() -> Iterator[tuple[str, np.ndarray]]:
        yield "outputs", outputs.means.astype(np.float32)
        yield "masks", masks
        if (sizes == sizes[0]).all():
            yield "indices", np.nonzero(masks)[1].reshape(len(masks), -1)
        hashes = [hashlib.sha256(mask.tobytes()).hexdigest() for mask in outputs.masks]
        yield "subset_sha256", np.array(hashes)
        yield "held_out", held_out(len(outputs), HOLDOUT, held.seed)
        yield "model_outputs", outputs.each.astype(np.float32)
        yield "model_subset", outputs.place
        yield "model_trial", held.trial_ids
        yield "statistic", np.array(str(held.measure))
        yield "train_labels", labels.train_labels
        yield "test_labels", labels.test_labels
        yield "dataset_fingerprint", np.array(labels.dataset_fingerprint.hex())

    write_npz(out, arrays())
