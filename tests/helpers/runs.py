"""Makes runs from records without training, aggregates them and damages them."""

import numpy as np

from tests.helpers.oracle import FINGERPRINT, random_records
from tfmem.aggregation.counting import Room
from tfmem.aggregation.jobs import estimate
from tfmem.config import SelectionSettings
from tfmem.store.labels import Labels
from tfmem.store.records import shard_name
from tfmem.store.shards import write_shard

SELECTION = SelectionSettings(memorization=0.1, influence=0.1)
KINDS = ("memorization", "influence", "pairs")
MULTI_PROCESS = [
    "--runner=FnApiRunner",
    "--direct_running_mode=multi_processing",
    "--direct_num_workers=2",
]


def write_run(folder, records, labels, shards=1):
    predictions = folder / "predictions"
    predictions.mkdir(parents=True)
    (predictions / "labels.npz").write_bytes(labels.to_npz())
    for shard in range(shards):
        write_shard(predictions / shard_name("predictions", shard, shards), records[shard::shards])
    return predictions


def aggregate(folder, beam_args=(), statistic="correctness", room=Room()):  # noqa: B008
    estimate(
        str(folder / "predictions" / "*.tfrecord"),
        str(folder / "predictions" / "labels.npz"),
        {kind: str(folder / kind) for kind in KINDS},
        SELECTION,
        beam_args,
        statistic,
        room,
    )


def contents(folder):
    paths = sorted(path for kind in KINDS for path in (folder / kind).rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def random_run(trials=130):
    rng = np.random.default_rng(0)
    labels = Labels(rng.integers(0, 3, 40), rng.integers(0, 4, 25), tuple("abcde"), FINGERPRINT)
    return random_records(rng, trials, 40, 25), labels


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(bytes(data))


def damage_flipped(folder, shard, records):
    flip(shard, 40)
    return "record 0: corrupt"
