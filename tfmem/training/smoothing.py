"""Cross-entropy with smoothed labels."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable("tfmem")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy to a label that is taken for each other class with some probability.

    The target of an example is `1 - smoothing` on its label plus `smoothing / classes` on every
    class (Szegedy et al. 2016, Sec. 7). Keras has this only for labels that are one-hot vectors.
    """

    def __init__(self, smoothing: float, name: str = "smoothed_crossentropy") -> None:
        """Takes the share of the target that is spread over all classes."""
        super().__init__(name=name)
        self.smoothing = smoothing
        self.from_logits = True

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each example, `[batch]`.

        Args:
          y_true: class numbers, `[batch]`.
          y_pred: logits, `[batch, classes]`.
        """
        labels = keras.ops.cast(keras.ops.reshape(y_true, [-1]), "int32")
        right = keras.losses.sparse_categorical_crossentropy(labels, y_pred, from_logits=True)
        spread = keras.ops.logsumexp(y_pred, axis=-1) - keras.ops.mean(y_pred, axis=-1)
        return (1 - self.smoothing) * right + self.smoothing * spread

    def get_config(self) -> dict[str, Any]:
        """The arguments with which an equal loss is made."""
        return {"smoothing": self.smoothing, "name": self.name}
