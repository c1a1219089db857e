"""Splits texts into words, whose vectors are blended with those of masked words."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmem.config import EncoderSettings, TransformerSettings
from tfmem.datasets import TextDataset
from tfmem.encoders.pretrained import load_encoder
from tfmem.encoders.tokens import UNKNOWN, Words, WordTokens, mask_number, word_tokens
from tfmem.influence_functions.attribution.integral import Parts

_ROW = tf.TensorSpec([None], tf.int32)
_SIGNATURE = dict.fromkeys(("ids", "masked", "segments", "places"), _ROW)


class EncoderWords:
    """Splits texts for a pretrained encoder; see `Splitter`.

    Blended vectors pass through the frozen layers as well, whose activations are kept elsewhere.
    The baseline has [MASK] in the place of every word piece. Its special tokens, positions and
    segments are those of the text, so that no memorization is attributed to them.
    """

    signature = _SIGNATURE

    def __init__(self, settings: EncoderSettings, model: keras.Model, dataset: TextDataset) -> None:
        """Takes the trained layers, as a model of activations, and the texts."""
        encoder = load_encoder(settings.preset)
        self._embed, self._frozen, self._others = encoder.above_embedding(settings.trained_layers)
        self._model = model
        self._settings = settings
        self._texts = dataset.train_texts
        self._width = encoder.width
        self._tokenizer = encoder.tokenizer
        self._mask = mask_number(encoder.tokenizer)

    def parts(self, example: int) -> Parts:
        """See `Splitter.parts`."""
        read = word_tokens(self._tokenizer, self._texts[example], self._settings.length)
        return _parts(read, self._mask, self._width)

    def logits(self, weights: tf.Tensor, tensors: Any) -> tf.Tensor:
        """See `Splitter.logits`."""
        blended = _blend(weights, self._embed, tensors)
        shape = tf.shape(blended)[:2]
        inputs = {
            "segment_ids": tf.broadcast_to(tensors["segments"], shape),
            "padding_mask": tf.ones(shape, tf.int32),
        }
        others = [inputs[name] for name in self._others]
        activations = self._frozen([blended, *others], training=False)
        if not self._settings.trained_layers:
            activations = activations[:, 0]
        return self._model(activations, training=False)


class TransformerWords:
    """Splits texts for a transformer without pretrained weights; see `Splitter`.

    The baseline has the number of unknown words in the place of every word.
    """

    signature = _SIGNATURE

    def __init__(
        self, settings: TransformerSettings, model: keras.Model, dataset: TextDataset
    ) -> None:
        """Takes a trained model and its texts."""
        embedded = model.get_layer("words")
        self._embed = embedded
        self._above = keras.Model([model.input, embedded.output], model.output)
        self._settings = settings
        self._texts = dataset.train_texts
        self._words = Words(dataset.train_texts, settings.vocabulary)

    def parts(self, example: int) -> Parts:
        """See `Splitter.parts`."""
        read = self._words.word_tokens(self._texts[example], self._settings.length)
        return _parts(read, UNKNOWN, self._settings.width)

    def logits(self, weights: tf.Tensor, tensors: Any) -> tf.Tensor:
        """See `Splitter.logits`."""
        blended = _blend(weights, self._embed, tensors)
        ids = tf.broadcast_to(tensors["ids"], tf.shape(blended)[:2])
        return self._above([ids, blended], training=False)


def _parts(read: WordTokens, mask: int, width: int) -> Parts:
    tensors = {
        "ids": tf.constant(read.ids),
        "masked": tf.constant(np.where(read.places < 0, read.ids, mask).astype(np.int32)),
        "segments": tf.constant(read.segments),
        "places": tf.constant(np.maximum(read.places, 0)),
    }
    size = len(read.ids) * width
    return Parts((len(read.words),), tensors, size, read.words, read.sentences)


def _blend(weights: tf.Tensor, embed: Any, tensors: Any) -> tf.Tensor:
    """Returns blended vectors `[blends, tokens, width]`; all pieces of a word have its weight."""
    words, masked = (embed(tensors[name][None]) for name in ("ids", "masked"))
    shares = tf.gather(weights, tensors["places"], axis=1)[..., None]
    return masked + shares * (words - masked)
