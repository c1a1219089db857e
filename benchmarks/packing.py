"""Tokens that language models learn from in a second, in windows of one text and of several.

    python -m benchmarks.packing FOLDER [--record]

FOLDER holds sst2, the Stanford treebank. A stack of models trains for an epoch on quarters of the
sentences, after an epoch in which programs are traced. Processor time counts, so other programs may
run beside it: a minute of one core.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from benchmarks.measured import Column, Record, recording
from tfmem.config import from_yaml
from tfmem.datasets import TextDataset, load
from tfmem.encoders import sequences
from tfmem.models.outputs import output_kind
from tfmem.subsets import Trial
from tfmem.training.packing import packing_of
from tfmem.training.platforms import platform
from tfmem.training.scoring import task_for
from tfmem.training.trainers import model_builder

LENGTH, MODELS, SENTENCES = 64, 4, 2000
CONFIG = """
dataset:
  name: treebank
  data_dir: {}
  text:
    label: null
    most: [{}, 10]
    tokens: {{vocabulary: 2000, length: {}, packed: {}}}
model: {{name: decoder, layers: 1, width: {}, heads: 2}}
training: {{trials: {}, fraction: 0.25, batch_size: {}, epochs: 2, learning_rate: 0.3, lanes: 1}}
"""


def measure(folder: Path, packed: bool, batch: int, width: int) -> list[float]:
    """Places for each token, tokens a processor second, and the mean loss in the second epoch."""
    said = str(packed).lower()
    config = from_yaml(CONFIG.format(folder, SENTENCES, LENGTH, said, width, MODELS, batch))
    texts = load(config.dataset)
    if not isinstance(texts, TextDataset):
        raise SystemExit("expected texts")
    data = sequences(texts)
    predicted = np.asarray(data.train_targets) > 0
    build = model_builder(config, data)
    model = build()
    task = task_for(config.task, data, tuple(model.output_shape[1:]), output_kind(model))
    maker = platform().maker(build, model, data, config.training, task, None)
    trainer = maker(None, MODELS)
    trials, size = [Trial(k, 0) for k in range(MODELS)], SENTENCES // 4
    subsets = [trial.subset(SENTENCES, size) for trial in trials]
    trainer.assign(trainer.initializer.of_stack(trials))
    steps = -(-size // batch)
    rates = np.full(2 * steps, 0.1, np.float32)
    for epoch in range(2):
        orders = np.stack([t.epoch_order(s, epoch) for t, s in zip(trials, subsets, strict=True)])
        start = time.process_time()
        losses = trainer.run_epoch(orders, None, rates[epoch * steps :][:steps])
        seconds = time.process_time() - start
    tokens = np.count_nonzero(predicted[np.concatenate(subsets)])
    packing = packing_of(data)
    windows = packing.places(orders[:, :batch]).shape[1] if packing else batch
    each = predicted.sum() / SENTENCES
    return [windows * LENGTH / batch / each, tokens / seconds, float(losses.mean())]


def main() -> None:
    """Prints, or records, a row for each batch size and width."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with sst2")
    recording(parser)
    arguments = parser.parse_args()
    record = Record("language-models-packing")
    rows = []
    for batch, width in ((16, 32), (64, 32), (64, 128)):
        alone, shared = (
            measure(arguments.data / "sst2", packed, batch, width) for packed in (False, True)
        )
        rows.append([batch, width, alone[0], shared[0], alone[1], shared[1], shared[1] / alone[1]])
        record.values[f"losses at batch {batch}, width {width}"] = [alone[2], shared[2]]
        print(rows[-1], record.values, flush=True)
    places, speed = "places for each token", "tokens a processor second"
    columns = [
        Column("texts a batch"),
        Column("width"),
        *(Column(f"{places}, {way}", digits=2) for way in ("a window a text", "packed")),
        *(Column(f"{speed}, {way}", digits=0) for way in ("a window a text", "packed")),
        Column("times as fast", digits=1),
    ]
    record.table("packing", columns, rows)
    record.settings = {
        "sentences": SENTENCES,
        "length": LENGTH,
        "models in a stack": MODELS,
        "vocabulary": 2000,
        "layers": 1,
    }
    print(json.dumps({"values": record.values, "tables": record.tables}, indent=1))
    if arguments.record:
        record.write()


if __name__ == "__main__":
    main()
