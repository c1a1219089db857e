"""The network of configs/digits.yaml with AdamW and a cosine schedule, as a user would write it."""

import keras

STEPS = 20 * 16  # epochs, and batches of 64 among 1,006 examples


def build():
    """Returns the compiled model."""
    model = keras.Sequential([
        keras.Input((8, 8, 1)),
        keras.layers.Flatten(),
        keras.layers.Dense(128, "relu"),
        keras.layers.Dense(64, "relu"),
        keras.layers.Dense(10),
    ])  # fmt: skip
    model.compile(
        keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(3e-3, STEPS)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model
