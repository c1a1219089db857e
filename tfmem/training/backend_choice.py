"""Chooses the backend of a run with `training.backend: auto`, once for all programs of the run."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial

from tfmem.config import Config, ElsewhereSettings, PythonSettings, from_yaml
from tfmem.config.functions import is_importable
from tfmem.messages.backends import NAMES, Backend, backend
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import say
from tfmem.store.decisions import decided
from tfmem.store.folders import Folder, open_folder
from tfmem.store.predictions import CONFIG_NAME
from tfmem.training.measured import Measured, Refused, measure

RECORD_NAME = "backend.json"
_GAIN = 0.9  # JAX must take less than this share of TensorFlow's time
_WORTH = 2.0  # JAX is timed if all trials take longer on TensorFlow than so many measurements
_SHORTEST, _LATEST, _TIMES = 30.0, 120.0, 5.0  # how long JAX may be measured


def with_chosen_backend(
    config: Config,
    out: str | os.PathLike[str],
    *,
    in_this_program: bool = False,
    why_tensorflow: str = "",
) -> Config:
    """The settings with the backend that a run's folder keeps, in place of `auto`.

    The backend is the one on which the run began. If it has not begun, a short measurement decides,
    whose result `backend.json` in the folder records, so that all programs of the run agree.
    TensorFlow is taken unless JAX saves a tenth of the time of all trials, or only JAX can train
    the model. JAX is not timed where all trials take little longer than that. Settings with another
    value than `auto` stay as they are.

    Args:
      config: the run's settings, which need not have a section `training`.
      out: the run's folder, a path or the URL of one in a bucket.
      in_this_program: whether models are trained in this program, on the backend that Keras runs on
        here, so that nothing is measured.
      why_tensorflow: what needs TensorFlow, as the subject of a sentence in the plural, so that
        nothing is measured; empty if nothing does.

    Raises:
      InputError: if no backend can train the model.
    """
    if not config.has("training") or not config.training.has("backend"):
        return config
    if config.training.backend != "auto":
        return config
    if isinstance(config.model, ElsewhereSettings):  # no model is trained
        return _with(config, None)
    folder = open_folder(out)
    if begun := _begun(folder.child("predictions")):
        return _with(config, begun)

    def decide() -> bytes:
        if why_tensorflow:
            found = _told("tensorflow", f", on which {why_tensorflow} are computed")
        elif in_this_program or _lives_here(config):
            found = _told(backend(), ", on which Keras runs in this program")
        else:
            found = _decide(config)
        return json.dumps({"settings": config.digest().hex(), **found}, indent=1).encode() + b"\n"

    holds = partial(_is_of, config.digest().hex())
    contents = decided(folder, RECORD_NAME, holds, decide, say)
    return _with(config, json.loads(contents)["backend"])


def _with(config: Config, chosen: Backend | None) -> Config:
    training = config.training.model_copy(update={"backend": chosen})
    return config.model_copy(update={"training": training})


def _begun(folder: Folder) -> Backend | None:
    """The backend on which a run began; None if it did not begin."""
    if not folder.exists(CONFIG_NAME):
        return None
    text = folder.read(CONFIG_NAME).decode(errors="replace")
    recorded = from_yaml(text, source=folder.path(CONFIG_NAME)).training.backend
    return "jax" if recorded == "jax" else "tensorflow"


def _is_of(digest: str, contents: bytes) -> bool:
    """Whether a record is one of a decision for these settings."""
    try:
        found = json.loads(contents)
        return found["settings"] == digest and found["backend"] in NAMES
    except (ValueError, TypeError, KeyError):
        return False


def _lives_here(config: Config) -> bool:
    """Whether a user's model lives in this program, or was written for the Keras that runs here."""
    if not isinstance(config.model, PythonSettings):
        return False
    return "keras" in sys.modules or not is_importable(config.model.build)


def _told(chosen: Backend, why: str, **more: object) -> dict[str, object]:
    """What is recorded of a choice, after saying it."""
    say(f"training.backend: auto takes {NAMES[chosen]}{why}")
    return {"backend": chosen, **more}


def _decide(config: Config) -> dict[str, object]:
    for name, other in (("jax", "tensorflow"), ("tensorflow", "jax")):
        if importlib.util.find_spec(name) is None:
            extra = " (pip install 'tfmem[jax]')" if name == "jax" else ""
            return _told(other, f", because {NAMES[name]} is not installed{extra}")  # type: ignore
    say("training.backend: auto times a few short trials on TensorFlow, and then on JAX …")
    trials, limit = config.training.trials, None
    tensorflow = measure(config, "tensorflow", None)
    if isinstance(tensorflow, Measured):  # there is no use in waiting for what is slower
        whole, took = tensorflow.seconds(trials), tensorflow.took
        if whole < _WORTH * took:
            said = f": {trials:,} trials take about {_shown(whole)} on it, too few to time JAX too"
            seconds = {"tensorflow": {**asdict(tensorflow), "all_trials": whole}}
            return _told("tensorflow", said, trials=trials, seconds=seconds, refused={})
        limit = max(min(whole, _LATEST + _TIMES * took), _SHORTEST)
    return faster({"tensorflow": tensorflow, "jax": measure(config, "jax", limit)}, trials)


def faster(found: Mapping[Backend, Measured | Refused], trials: int) -> dict[str, object]:
    """Says which backend trains all trials sooner, and returns what is recorded of it.

    Args:
      found: what was measured on each backend.
      trials: the number of trials.

    Raises:
      InputError: if no backend can train them.
    """
    times = {name: each for name, each in found.items() if isinstance(each, Measured)}
    why = {name: each.why for name, each in found.items() if isinstance(each, Refused)}
    if not times:
        said = "; ".join(f"{NAMES[name]}: {text}" for name, text in why.items())
        same = len({*why.values()}) == 1
        raise InputError(next(iter(why.values())) if same else f"training.backend: auto: {said}")
    total = {name: each.seconds(trials) for name, each in times.items()}
    chosen = min(total, key=lambda name: total[name] * (_GAIN if name == "tensorflow" else 1))
    shown = " and ".join(
        f"about {_shown(total[name])} on {NAMES[name]} ({_shown(each.trial)} each)"
        for name, each in times.items()
    )
    refused = "".join(f"; not on {NAMES[name]}: {text}" for name, text in why.items())
    measured = {name: {**asdict(each), "all_trials": total[name]} for name, each in times.items()}
    said = f": {trials:,} trials take {shown}{refused}"
    return _told(chosen, said, trials=trials, seconds=measured, refused=why)


def _shown(seconds: float) -> str:
    """A time in the unit that suits it, to three digits."""
    for unit, name in ((3600, "h"), (60, "min"), (1, "s")):
        if seconds >= 3 * unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds * 1000:.3g} ms"
