"""The loop that one would write without tfmem: for each subset, build, compile, fit and predict."""

import keras
import numpy as np
import tensorflow as tf

from tfmem.config import PythonSettings
from tfmem.config.functions import resolve
from tfmem.models import build
from tfmem.subsets.drawing import subset_size
from tfmem.training.schedules import Course


def compiled(config, dataset, steps):
    """Builds and compiles a float32 model with the optimizer and the L2 penalty of the settings."""
    settings = config.training
    if isinstance(config.model, PythonSettings):
        return resolve(config.model.build, "model.build")(**config.model.arguments)
    model = build(config.model, dataset.input_shape, len(dataset.class_names))
    for variable in model.trainable_variables:
        if settings.weight_decay and len(variable.shape) > 1:
            variable.regularizer = keras.regularizers.L2(settings.weight_decay / 2)
    model.compile(
        keras.optimizers.SGD(
            Course(settings, steps), momentum=settings.momentum, nesterov=settings.nesterov
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def batches(images, labels, settings, seed):
    """Returns the arguments of `model.fit`: arrays, or a `tf.data` pipeline for augmented ones."""
    augmentation = settings.augmentation
    if not augmentation.pad and not augmentation.flip:
        return {"x": images, "y": labels, "batch_size": settings.batch_size}
    pad = augmentation.pad

    def change(image, label):
        if pad:
            padded = tf.pad(image, [[pad, pad], [pad, pad], [0, 0]])
            image = tf.image.random_crop(padded, tf.shape(image))
        if augmentation.flip:
            image = tf.image.random_flip_left_right(image)
        return image, label

    data = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(len(labels), seed)
    data = data.map(change, num_parallel_calls=tf.data.AUTOTUNE)
    return {"x": data.batch(settings.batch_size).prefetch(tf.data.AUTOTUNE)}


def fit_one(config, dataset, seed):
    """Trains one trial with `model.fit`; returns its mask and its correctness on both splits.

    Returns:
      bool `[num_train]`, `[num_train]` and `[num_test]`: mask, and correctness on either split.
    """
    settings = config.training
    keras.utils.set_random_seed(seed)
    n = len(dataset.train_labels)
    size = subset_size(n, settings.fraction)
    subset = np.random.default_rng(seed).permutation(n)[:size]
    model = compiled(config, dataset, settings.epochs * -(-size // settings.batch_size))
    scaled = [
        images.astype(np.float32) / dataset.white
        for images in (dataset.train_images, dataset.test_images)
    ]
    given = batches(scaled[0][subset], dataset.train_labels[subset], settings, seed)
    model.fit(**given, epochs=settings.epochs, verbose=0)
    guesses = [model.predict(x, batch_size=512, verbose=0).argmax(-1) for x in scaled]
    mask = np.zeros(n, bool)
    mask[subset] = True
    return mask, guesses[0] == dataset.train_labels, guesses[1] == dataset.test_labels
