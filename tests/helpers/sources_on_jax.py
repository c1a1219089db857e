"""`python -m tests.helpers.sources_on_jax FOLDER` trains on data of every source but TFDS, on JAX.

TensorFlow cannot be imported in it. It prints how many trials of each were trained.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from tests.helpers.mnist import write_mnist
from tests.helpers.on_jax import Refused

SMALL = [
    "training.trials=3",
    "training.stack_size=3",
    "training.epochs=2",
    "training.batch_size=16",
]
WORDS = "model={name: transformer, vocabulary: 50, length: 8, width: 8, heads: 2}"
TOKENS = "dataset.text={label: null, tokens: {vocabulary: 20, length: 6}}"


def write(folder):
    """Writes 40 training and 12 test examples of each source; returns the settings of each."""
    random = np.random.default_rng(0)
    table, texts, lines, trees = (folder / name for name in ("table", "texts", "lines", "trees"))
    for place in (table, texts, lines, trees, folder / "mnist"):
        place.mkdir()
    pixels = random.integers(0, 256, (40, 28, 28))
    write_mnist(folder / "mnist", pixels, np.arange(40) % 10)
    for split, count in (("train", 40), ("test", 12)):
        labels = np.arange(count) % 2
        words = [" ".join(f"w{k}" for k in row) for row in random.integers(9, size=(count, 4))]
        columns = {"a": random.normal(size=count), "b": random.choice(["x", "y"], count)}
        pd.DataFrame({**columns, "label": labels}).to_csv(table / f"{split}.csv", index=False)
        pd.DataFrame({"sentence": words, "label": labels}).to_csv(
            texts / f"{split}.csv", index=False
        )
        (lines / f"{split}.txt").write_text("\n".join(words))
        (trees / f"{split}.txt").write_text(
            "\n".join(
                f"({4 * y} (2 {w.replace(' ', ') (2 ')}))"
                for w, y in zip(words, labels, strict=True)
            )
        )
        for number in range(count):
            place = folder / "images" / split / "ab"[number % 2]
            place.mkdir(parents=True, exist_ok=True)
            picture = random.integers(0, 256, (9, 9, 3), np.uint8)
            Image.fromarray(picture).save(place / f"{number}.png")
    return {
        "mnist": [f"dataset.data_dir={folder / 'mnist'}"],
        "image_folder": [f"dataset.data_dir={folder / 'images'}",
                         "model={name: airbench, width: 2}", "training.label_smoothing=0.1",
                         "training.augmentation={pad: 2, flip: alternating}"],
        "streamed": ["dataset.name=image_folder", f"dataset.data_dir={folder / 'images'}",
                     "dataset.image_size=8", "training.trainer=auto", "training.stack_size=1",
                     "training.augmentation.random_resized_crop=true"],
        "table": [f"dataset.data_dir={table}"],
        "text_files": [f"dataset.data_dir={texts}", WORDS],
        "treebank": [f"dataset.data_dir={trees}", WORDS],
        "lines": ["dataset.name=text_files", f"dataset.data_dir={lines}", TOKENS,
                  "model={name: decoder, width: 8, heads: 2}"],
    }  # fmt: skip


def trained(folder):
    from tfmem.config import from_yaml
    from tfmem.datasets import load
    from tfmem.training import train

    found = {}
    for name, changes in write(folder).items():
        config = from_yaml("", [*SMALL, f"dataset.name={name}", *changes])
        found[name] = train(config, load(config.dataset), folder / "runs" / name).trained
    return found


if __name__ == "__main__":
    sys.meta_path.insert(0, Refused())
    print(json.dumps(trained(Path(sys.argv[1]))))
