"""Scores of training examples by gradients: their norms, and self-influence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tfmem.config import Config
from tfmem.datasets import AnyDataset, StreamedDataset
from tfmem.encoders import as_arrays
from tfmem.messages.backends import import_tensorflow_for
from tfmem.messages.errors import InputError
from tfmem.training.dynamics import clock

NORM, EARLY_NORM, SELF_INFLUENCE = "norm", "early_norm", "self_influence"
NORM_SECONDS, SELF_INFLUENCE_SECONDS = "norm_seconds", "self_influence_seconds"


class GradientProbe:
    """Scores of one model by gradients of its trained variables; see `Probe`.

    The scores are `early_norm` and, after the last epoch, `norm`, the lengths of the gradients of
    each example's cross entropy (Paul et al. 2021, Def. 2.1, for one model: GraNd), float64
    `[num_train]`; `self_influence` (`tfmem.influence_functions`, solver `fast`), NaN if the solver
    refuses the model; and the seconds that both took after the last epoch, without the tracing of
    programs.
    """

    def __init__(self, config: Config, dataset: AnyDataset, early: int) -> None:
        """Takes the settings and the data that models are trained with.

        Args:
          config: model and recipe.
          dataset: the examples, in memory.
          early: the epoch of `early_norm`, counted from 0.

        Raises:
          InputError: if the data set is streamed.
        """
        import_tensorflow_for("gradients of examples")
        self._config = config
        data = as_arrays(config, dataset)
        if isinstance(data, StreamedDataset):
            raise InputError("dataset.image_size: gradients need a data set in memory")
        self._dataset = data
        self.epochs: tuple[int, ...] = (early, config.training.epochs - 1)
        self.name = f"gradients {self.epochs}"

    def __call__(self, epoch: int, values: Sequence[np.ndarray]) -> Mapping[str, np.ndarray]:
        """See `Probe`."""
        from tfmem.influence_functions.fast import FastSolver
        from tfmem.influence_functions.objective import Objective
        from tfmem.influence_functions.scores import remove_scores
        from tfmem.influence_functions.solver import row_norms
        from tfmem.training.trainers import model_in_float32

        data, said = self._dataset, dict[str, np.ndarray]()
        model = model_in_float32(self._config, data)
        variables = [*model.trainable_variables, *model.non_trainable_variables]
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        inputs = data.train_images.astype(np.float32) / data.white
        decay = self._config.training.weight_decay
        objective = Objective(
            model, inputs, data.train_labels, weight_decay=decay, padded=data.padded
        )

        def norms(count: int) -> np.ndarray:
            found = objective.loss_gradients(*objective.take(np.arange(count)))
            return np.concatenate([row_norms(rows) for _, rows in found])

        norms(2)  # traces the programs
        now = clock()
        start = now()
        found = norms(len(data.train_labels))
        if epoch == self.epochs[0]:
            said[EARLY_NORM] = found
        if epoch == self.epochs[1]:
            said[NORM] = found
            said[NORM_SECONDS] = np.array(now() - start)
            start = now()
            try:
                said[SELF_INFLUENCE] = remove_scores(FastSolver(objective)).memorization
            except InputError:
                said[SELF_INFLUENCE] = np.full(len(found), np.nan)
            said[SELF_INFLUENCE_SECONDS] = np.array(now() - start)
        return said
