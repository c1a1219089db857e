"""The loop over epochs, which is the same for every trainer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from tfmem.config import TrainingSettings
from tfmem.messages.errors import InputError
from tfmem.subsets import Trial
from tfmem.subsets.orders import Orders
from tfmem.training.augmentation import draw_moves, epoch_draws, needs_draws
from tfmem.training.initialization import Initializer
from tfmem.training.outcome import PatientWatcher, TrialOutcome, Variable, Watcher

EVALUATION_BATCH = 512
_MOST_OUTPUTS = 1 << 24  # numbers that models return at once for sequences


class Machine(Protocol):
    """The programs of a trainer."""

    @property
    def initializer(self) -> Initializer:
        """Makes the initial values of one model's weights and state."""

    @property
    def variables(self) -> Sequence[Variable]:
        """The variables: weights and state, what the optimizer remembers, the scales of losses."""

    def rates(self, steps: int) -> np.ndarray:
        """The learning rate of each of `steps` steps, float32 `[steps]`."""

    def assign(self, values: Sequence[np.ndarray]) -> None:
        """Sets weights and state to `values`, `[models, ...]` each, and resets optimizers."""

    def run_epoch(
        self, orders: np.ndarray, draws: np.ndarray | None, rates: np.ndarray
    ) -> np.ndarray:
        """Trains for one epoch.

        Args:
          orders: int64 `[models, m]`, examples in the order of visits.
          draws: uint64 `[models, m]`, random bits for the augmentation of each; None without it.
          rates: float32 `[steps]`, the learning rate of each step.

        Returns:
          Mean loss of each model over the examples of the steps that it took, float `[models]`;
          NaN if it took no step.
        """

    def predict(self) -> Sequence[TrialOutcome]:
        """The predictions of each model, without its loss."""


@runtime_checkable
class QuickMachine(Machine, Protocol):
    """A machine that can run several epochs in one program."""

    def epochs_at_once(self, size: int) -> int:
        """The number of epochs over `size` examples that together take well below a second."""

    def run_epochs(self, orders: np.ndarray, rates: np.ndarray) -> np.ndarray:
        """Trains for several epochs without augmentation.

        Args:
          orders: int64 `[epochs, models, m]`.
          rates: float32 `[epochs, steps]`.

        Returns:
          Mean losses `[epochs, models]` (see `Machine.run_epoch`).
        """


class Steps(Protocol):
    """Takes the steps of a machine on batches of one size."""

    def __call__(
        self, batches: np.ndarray, moves: np.ndarray | None, rates: np.ndarray, /
    ) -> Iterable[tuple[np.ndarray, np.ndarray]]:
        """Takes the steps, in one part or several.

        Args:
          batches: int64 `[models, steps, batch]`, the examples of each step.
          moves: int32 `[models, steps, batch, 3]`, as `draw_moves` describes them, or None.
          rates: float32 `[steps]`, the learning rates.

        Returns:
          For each part the sum of the losses of the steps that each model took, and the number of
          those steps: `[models]`.
        """


def train_epochs(
    machine: Machine,
    settings: TrainingSettings,
    trials: Sequence[Trial],
    subsets: Sequence[np.ndarray],
    watcher: Watcher,
) -> list[TrialOutcome]:
    """Trains models, from the watcher's saved state if it has one, and returns their predictions.

    Training stops early when no model has a finite loss any more.
    """
    size = len(subsets[0])
    steps = -(-size // settings.batch_size)
    drawn = needs_draws(settings.augmentation)
    rates = machine.rates(settings.epochs * steps)

    def draws_of(epoch: int, orders: np.ndarray) -> np.ndarray | None:
        each = zip(trials, subsets, orders, strict=True)
        kind = settings.augmentation
        return np.stack([epoch_draws(t, epoch, s, o, kind) for t, s, o in each]) if drawn else None

    first, losses = watcher.resume(machine.variables)
    if losses is None:
        machine.assign(machine.initializer.of_stack(trials))
        losses = np.full(len(trials), np.inf)
    orders_of = Orders(trials, subsets, range(first, settings.epochs))
    quick = machine if isinstance(machine, QuickMachine) and not drawn else None
    patient = watcher if isinstance(watcher, PatientWatcher) else None
    at_once = quick.epochs_at_once(size) if quick and patient else 1
    for epoch in range(first, settings.epochs, at_once):
        several = range(epoch, min(epoch + at_once, settings.epochs))
        orders = orders_of(several)
        chosen = rates[epoch * steps : several.stop * steps]
        if quick and patient and len(several) > 1:
            every = quick.run_epochs(orders, chosen.reshape(-1, steps))
            finite = np.isfinite(every).any(axis=1)
            every = every[: len(every) if finite.all() else int(finite.argmin()) + 1]
            losses = every[-1]
            patient.after_epochs(epoch, every, machine.variables)
        else:
            losses = machine.run_epoch(orders[0], draws_of(epoch, orders[0]), chosen)
            watcher.after_epoch(epoch, losses, machine.variables)
        if not np.isfinite(losses).any():
            break
    predicted = zip(machine.predict(), losses, strict=True)
    return [replace(outcome, loss=_loss(outcome, float(loss))) for outcome, loss in predicted]


def run_batches(
    run: Steps,
    settings: TrainingSettings,
    orders: np.ndarray,
    draws: np.ndarray | None,
    rates: np.ndarray,
) -> np.ndarray:
    """Runs the steps of an epoch: those on full batches, then the one on the examples left over.

    Args:
      run: takes steps on batches of one size.
      settings: batch size, augmentation.
      orders: as in `Machine.run_epoch`.
      draws: as there.
      rates: as there.

    Returns:
      Mean losses, as in `Machine.run_epoch`.
    """
    parts = batches_of_epoch(settings, orders, draws, rates)
    return mean_losses([(part.length, *done) for part in parts for done in run(*part)])


class Batches(NamedTuple):
    """The steps of an epoch that have batches of one size; see `Steps`."""

    examples: np.ndarray
    moves: np.ndarray | None
    rates: np.ndarray

    @property
    def length(self) -> int:
        """The number of examples in a batch."""
        return self.examples.shape[-1]


def batches_of_epoch(
    settings: TrainingSettings, orders: np.ndarray, draws: np.ndarray | None, rates: np.ndarray
) -> list[Batches]:
    """The steps of an epoch: those on full batches, then the one on the examples left over.

    Args:
      settings: batch size, augmentation.
      orders: as in `Machine.run_epoch`; or with a first axis for epochs, which all arrays of the
        result have then.
      draws: as there.
      rates: as there, and with the same first axis.
    """
    moves = draw_moves(draws, settings.augmentation)
    whole, left = divmod(orders.shape[-1], settings.batch_size)
    parts = []
    for first, count, length in ((0, whole, settings.batch_size), (whole, min(left, 1), left)):
        if not count:
            continue
        start = first * settings.batch_size
        part, shape = slice(start, start + count * length), (*orders.shape[:-1], count, length)
        chosen = None if moves is None else moves[..., part, :].reshape(*shape, 3)
        batches = orders[..., part].reshape(shape)
        parts.append(Batches(batches, chosen, rates[..., first : first + count]))
    return parts


def mean_losses(done: Sequence[tuple[int, np.ndarray, np.ndarray]]) -> np.ndarray:
    """Mean losses of models over an epoch, as `Machine.run_epoch` returns them.

    Args:
      done: for some steps the size of their batches, the sum of the losses of those that each model
        took, `[models]`, and the number of these; both may have a first axis for epochs.
    """
    losses, examples = np.zeros((2, *done[0][1].shape))
    for length, sums, taken in done:
        losses += length * sums
        examples += length * taken
    return np.divide(losses, examples, out=np.full_like(losses, np.nan), where=examples > 0)


def _loss(outcome: TrialOutcome, loss: float) -> float:
    """The loss, or NaN if the last step spoilt the weights, which the loss does not show yet."""
    seen = outcome.train.margin if outcome.train.score is None else outcome.train.score
    return float("nan") if seen is not None and np.isnan(seen).all() else loss


def evaluation_batch(output_shape: Sequence[int | None], models: int = 1) -> int:
    """The number of examples that are predicted at once: fewer for long sequences of many classes.

    Args:
      output_shape: of one example; `[length, ..., classes]` for sequences.
      models: number of models that predict at once.
    """
    if len(output_shape) < 2:
        return EVALUATION_BATCH
    numbers = models * int(np.prod([size or 1 for size in output_shape]))
    return max(1, min(EVALUATION_BATCH, _MOST_OUTPUTS // numbers))


def joined(parts: Sequence[Mapping[str, Any]], axis: int = 0) -> dict[str, Any]:
    """Joins what programs returned for successive batches, arrays by name."""
    return {
        name: np.concatenate([np.asarray(part[name]) for part in parts], axis=axis)
        for name in parts[0]
    }


def out_of_memory(settings: TrainingSettings) -> InputError:
    """The error about a single model that does not fit in the memory of its device."""
    return InputError(
        "one model at a time does not fit in the memory of its device: choose a smaller "
        f"training.batch_size than {settings.batch_size}, or fewer training.lanes"
    )
