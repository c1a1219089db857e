"""Trains the last blocks of a network on subsets, above a representation of all examples."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from tfmem.config import AugmentationSettings, Config, DatasetSettings, TailSettings
from tfmem.config.base import Positive, Settings
from tfmem.datasets import AnyDataset, load
from tfmem.encoders import as_arrays
from tfmem.experiments.checks import network_of
from tfmem.experiments.training import independent, train_alone, with_trials, workplace
from tfmem.messages.backends import import_backend
from tfmem.messages.terminal import say
from tfmem.store.npz import NpzFile

_FEATURES = "features.npz"


class LayersSettings(Settings):
    """How the last layers are trained alone (Feldman & Zhang 2020, Fig. C.3).

    Attributes:
      depths: numbers of last blocks that `last-k-layers` trains; 1 is the last layer.
      trials: number of models of each depth; None is as many as the run has.
      epochs: passes over the subset; None is as many as in the run.
    """

    depths: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)] = (1, 2)
    trials: Annotated[int, Field(ge=2)] | None = None
    epochs: Positive | None = None


def retrain(
    config: Config,
    settings: LayersSettings,
    dataset: AnyDataset,
    depths: Sequence[int],
    out: Path,
) -> dict[int, Path]:
    """Trains one run for each depth; finished runs are not trained again.

    One network is trained on all training examples. The outputs of the layers below its last blocks
    are computed once, without augmentation. Then only these blocks are trained, from fresh
    variables, on random subsets that are independent of the run's. A file of outputs has four bytes
    for each value and example, so the files of early layers are large.

    Args:
      config: the run's settings.
      settings: the number of models, and the number of epochs.
      dataset: the examples.
      depths: numbers of last blocks that are trained, as `tfmem.models.tails` counts them; each
        gets a run.
      out: receives a folder for each depth.

    Returns:
      The folder of each depth, with `predictions`, `trials.csv` and, beside it, `features.npz`.

    Raises:
      InputError: if the network has too few blocks, or if every trial diverges.
    """
    network = network_of(config)
    depends = hashlib.sha256(config.digest() + dataset.fingerprint).hexdigest()[:12]
    files: dict[str | int, Path] = {
        depth: out / folder_name(depth) / f"network-{depends}" / _FEATURES for depth in depths
    }
    missing = {depth: path for depth, path in files.items() if not path.exists()}
    if missing:
        _represent(config, dataset, missing)
    changed = with_trials(
        config,
        settings.trials or config.training.trials,
        epochs=settings.epochs or config.training.epochs,
        augmentation=AugmentationSettings(),
        stack_size=1 if config.training.trainer == "mirrored" else None,
    )
    shape = as_arrays(config, dataset).input_shape
    folders = {}
    for depth in depths:
        model = TailSettings(network=network, input_shape=shape, depth=depth)
        of_depth = changed.model_copy(
            update={
                "seed": independent(config, 0, depth).seed,
                "dataset": DatasetSettings(name="npz", data_dir=str(files[depth])),
                "model": model,
            }
        )
        say(f"{folder_name(depth)}: {of_depth.training.trials:,} trials")
        outputs = load(of_depth.dataset)
        folders[depth] = workplace(files[depth].parent, of_depth, outputs)
        train_alone(of_depth, outputs, folders[depth])
    return folders


def folder_name(depth: int) -> str:
    """The name of the folder of a run of the last `depth` blocks."""
    return "last-layer" if depth == 1 else f"last-{depth}-blocks"


def representation_accuracy(folder: Path) -> float:
    """Test accuracy of the network behind the representation, from a folder of `retrain`."""
    with NpzFile(folder.parent / _FEATURES) as arrays:
        return float(arrays.array("test_correct", "b", ("examples",)).mean())


def _represent(config: Config, dataset: AnyDataset, files: dict[str | int, Path]) -> None:
    import_backend()
    from tfmem.training.features import write_features
    from tfmem.training.progress import EpochProgress

    for path in files.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    with EpochProgress(config.training.epochs) as progress:
        write_features(config, dataset, files, lambda trials: progress)
