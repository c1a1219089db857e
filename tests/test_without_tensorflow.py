"""Everything except training works without TensorFlow: claims, gathering, estimates."""

import json
import subprocess
import sys

import numpy as np

from tests.helpers.farms import run_farm
from tfmem.aggregation.jobs import estimate
from tfmem.config import from_yaml
from tfmem.datasets import load
from tfmem.store.labels import LABELS_NAME
from tfmem.store.shards import shards_in

ROOMS = ("store", "config", "subsets", "estimation", "planning", "selection", "aggregation")
KINDS = ("memorization", "influence")
# Imports all modules of some rooms. Then one worker finds a claim of another, the next trains what
# is left, and what is in the bucket is gathered and counted, where the data are no more.
PROGRAM = """
import importlib, json, pkgutil, sys
from pathlib import Path

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "tensorflow_datasets", "keras"):
            raise ImportError(f"{name} is imported")

sys.meta_path.insert(0, Refused())
for room in ROOMS:
    package = importlib.import_module(f"tfmem.{room}")
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)

from tests.helpers.farms import run_farm
from tfmem.aggregation.jobs import estimate
from tfmem.components.gather import GATHER
from tfmem.config import from_yaml
from tfmem.datasets import load
from tfmem.store.claims import Claims, Worker
from tfmem.store.folders import open_folder
from tfmem.store.labels import LABELS_NAME
from tfmem.store.shards import shards_in

shared, folder, config = "memory://bucket/run", Path(sys.argv[1]), from_yaml("", SETTINGS)
data = load(config.dataset)
with Claims(open_folder(shared).child("predictions/claims"), Worker(1, 2)) as other:
    other.take("00001")
    first, _ = run_farm(config, data, shared, size=2, worker=Worker(0, 2))
_, trained = run_farm(config, data, shared, size=2, worker=Worker(1, 2))
Path(config.dataset.data_dir).unlink()
places = {"predictions": folder / "predictions", "table": folder / "trials.csv"}
places["predictions"].mkdir()
GATHER.Do({}, places, {"config": config, "folder": shared})
kinds = {kind: str(folder / kind) for kind in KINDS}
estimate(shards_in(places["predictions"]), str(places["predictions"] / LABELS_NAME), kinds)
print(json.dumps([sum(first.elsewhere.values()), trained]))
"""


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for kind in ("predictions", *KINDS)
        for path in sorted((folder / kind).glob("*.tfrecord"))
    }


def test_trials_are_claimed_gathered_from_a_bucket_and_counted_without_it(tmp_path, digits):
    """The files equal those of a run in a folder, and no module of these rooms imports it."""
    alone, gathered = tmp_path / "alone", tmp_path / "gathered"
    gathered.mkdir()
    names = ("train_images", "train_labels", "test_images", "test_labels")
    np.savez(tmp_path / "digits.npz", **{name: getattr(digits, name) for name in names})
    data = ["dataset.name=npz", f"dataset.data_dir={tmp_path}/digits.npz"]
    settings = ["training.trials=6", "training.stack_size=2", *data]
    config = from_yaml("", settings)
    run_farm(config, load(config.dataset), alone, size=2)
    kinds = {kind: str(alone / kind) for kind in KINDS}
    estimate(shards_in(alone / "predictions"), str(alone / "predictions" / LABELS_NAME), kinds)
    code = f"ROOMS, KINDS, SETTINGS = {ROOMS}, {KINDS}, {settings}" + PROGRAM
    words = [sys.executable, "-c", code, str(gathered)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [2, [2, 3]]
    assert files(gathered) == files(alone)
    assert len(files(alone)) > 3
