"""Times trials on one backend of Keras, in a program of its own.

`python -m tfmem.training.measured SETTINGS RESULT` is that program.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tfmem.config import Config, from_yaml
from tfmem.datasets import load
from tfmem.messages.backends import Backend
from tfmem.messages.errors import InputError
from tfmem.training.digests import with_digests
from tfmem.training.timing import time_trials


@dataclass(frozen=True)
class Measured:
    """What trials take on one backend.

    Attributes:
      start: seconds until the first trial is trained: programs are imported, traced and compiled,
        and the size of stacks is chosen.
      trial: seconds of a trial on this machine, all of whose lanes are at work.
      took: seconds of the measurement.
    """

    start: float
    trial: float
    took: float

    def seconds(self, trials: int) -> float:
        """Seconds of a number of trials, the start included."""
        return self.start + trials * self.trial


@dataclass(frozen=True)
class Refused:
    """Why trials could not be timed on a backend."""

    why: str


def measure(config: Config, backend: Backend, limit: float | None) -> Measured | Refused:
    """Times trials on a backend as `time_trials` does, in a program of its own.

    Args:
      config: the run's settings, whatever their backend.
      backend: the backend to train on.
      limit: most seconds that the program may take; None if it may take any time.
    """
    training = config.training.model_copy(update={"backend": backend})
    with tempfile.TemporaryDirectory() as folder:
        settings, result = Path(folder) / "settings.yaml", Path(folder) / "result.json"
        written = config.model_copy(update={"training": training}).to_yaml()
        settings.write_text(written, encoding="utf-8")
        words = [sys.executable, "-m", "tfmem.training.measured", str(settings), str(result)]
        start = time.monotonic()
        try:
            ended = subprocess.run(
                words, env={**os.environ, "KERAS_BACKEND": backend}, check=False,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=limit,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Refused(f"it was not measured within {limit:,.0f} s")
        took = time.monotonic() - start
        if not result.exists():
            said = ended.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
            return Refused(f"the measurement failed ({said[-1][:300]})")
        found = json.loads(result.read_text(encoding="utf-8"))
    return Refused(found["why"]) if "why" in found else Measured(**found, took=took)


def _main(settings: Path, result: Path) -> None:
    text = settings.read_text(encoding="utf-8")
    try:
        config = with_digests(from_yaml(text, source=str(settings)))
        dataset = load(config.dataset)
        timed = time_trials(config, dataset, 1)
        trial = timed.seconds(config.training.fraction)
        found = json.dumps({"start": timed.start, "trial": trial})
    except InputError as error:
        found = json.dumps(asdict(Refused(str(error))))
    result.write_text(found, encoding="utf-8")


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
