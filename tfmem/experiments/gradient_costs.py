"""What attributions by gradients cost, on disk, so that it includes what earlier calls did."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tfmem.experiments.measuring import Measured
from tfmem.store.files import write_atomically


@dataclass(frozen=True)
class Cost:
    """What scores cost, beside the training of the models.

    Attributes:
      models: number of models that were trained.
      passes: passes over the training examples.
      seconds: elapsed seconds.
      cpu_seconds: processor seconds of all cores.
      memory: bytes by which the memory of the process grew at most.
    """

    models: int = 0
    passes: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory: int = 0

    def plus(self, took: Measured) -> Cost:
        """The cost with that of a further computation, without further models or passes."""
        return replace(
            self,
            seconds=self.seconds + took.seconds,
            cpu_seconds=self.cpu_seconds + took.cpu_seconds,
            memory=max(self.memory, took.memory),
        )


class Costs:
    """Costs of growing sums in a file.

    A call that is stopped before it has added a model's scores leaves no trace, so what it spent on
    them is not in the costs.

    Attributes:
      continued: whether there were costs of the same scores.
      finished: by number of models, what the scores cost that have been written.
    """

    def __init__(self, path: Path, about: bytes) -> None:
        """Takes up the costs that lie in a file, unless they are those of other scores.

        Args:
          path: the file.
          about: what decides the scores.
        """
        self._path, self._about = path, hashlib.sha256(about).hexdigest()
        content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self.continued = content.get("about") == self._about
        parts, finished = (
            {int(number): Cost(**cost) for number, cost in content[name].items()}
            if self.continued
            else {}
            for name in ("parts", "finished")
        )
        self._parts: dict[int, Cost] = parts
        self.finished: dict[int, Cost] = finished

    def add(self, done: int, took: Measured, models: int, passes: int) -> None:
        """Adds what the latest scores in the sums cost.

        Args:
          done: how many models, or checkpoints, are in the sums.
          took: what the last of them cost.
          models: number of models up to it.
          passes: passes over the training examples that it took.
        """
        cost = self._parts.get(done - 1, Cost()).plus(took)
        self._parts[done] = replace(cost, models=models, passes=passes * done)
        self._write()

    def finish(self, number: int, done: int, took: Measured, passes: int) -> None:
        """Notes that scores have been written, and what that took.

        Args:
          number: number of models that they are from.
          done: how many models, or checkpoints, are in the sums.
          took: what writing them cost, which is among the costs of all later scores.
          passes: passes over the training examples that each of these took.
        """
        part = self._parts.get(done)
        if part is None:  # a call was stopped when the last of them was in the sums, and not here
            before = self._parts.get(done - 1, Cost())
            part = replace(before, models=number, passes=passes * done)
        self._parts[done] = self.finished[number] = part.plus(took)
        self._write()

    def _write(self) -> None:
        content = {
            "about": self._about,
            "parts": {done: asdict(cost) for done, cost in self._parts.items()},
            "finished": {number: asdict(cost) for number, cost in self.finished.items()},
        }
        write_atomically(self._path, json.dumps(content).encode())
