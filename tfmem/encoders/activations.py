"""Outputs of the frozen layers of an encoder for each text, computed once and kept."""

from __future__ import annotations

import sys

import keras
import numpy as np
from rich.console import Console
from rich.progress import track

from tfmem.config import EncoderSettings
from tfmem.datasets import TextDataset
from tfmem.datasets.cache import cached
from tfmem.encoders.pretrained import Encoder, load_encoder
from tfmem.encoders.tokens import Tokens, tokenize, warn_of_cut
from tfmem.messages.errors import InputError

_BATCH = 64
_VERSION = 1  # changes with the meaning of the arrays


def activations(settings: EncoderSettings, dataset: TextDataset) -> tuple[np.ndarray, np.ndarray]:
    """The input of the first trained layer, for all training and test examples.

    The arrays are kept in the cache folder under a hash of the texts, the encoder, the number of
    trained layers and the length. They do not depend on labels.

    Args:
      settings: settings of the encoder, with `digest`.
      dataset: the texts.

    Returns:
      For each split float16 `[examples, length, width]`, with zeros after the last token; without
      trained layers, the last vector of the first token, `[examples, width]`.

    Raises:
      InputError: if the encoder cannot read as many tokens, or has fewer layers.
    """
    key = {
        "version": _VERSION,
        "texts": dataset.texts_digest.hex(),
        "encoder": settings.digest,
        "trained_layers": settings.trained_layers,
        "length": settings.length,
    }

    def build() -> dict[str, np.ndarray]:
        encoder = load_encoder(settings.preset)
        splits = {"train": dataset.train_texts, "test": dataset.test_texts}
        tokens = {split: encode(encoder, texts, settings) for split, texts in splits.items()}
        cut = np.array(sum(part.cut for part in tokens.values()))
        passed = {split: through_frozen(encoder, part, settings) for split, part in tokens.items()}
        return {**passed, "cut": cut}

    arrays = cached("activations", key, {"train", "test", "cut"}, build)
    warn_of_cut(int(arrays["cut"]), dataset, settings.length)
    return arrays["train"], arrays["test"]


def encode(encoder: Encoder, texts: np.ndarray, settings: EncoderSettings) -> Tokens:
    """The tokens of texts `[examples, sentences]` at the configured length.

    Raises:
      InputError: if the encoder cannot read as many tokens.
    """
    if settings.length > encoder.max_length:
        raise InputError(
            f"model.length: expected at most {encoder.max_length} tokens, the limit of "
            f"{settings.preset}, received {settings.length}"
        )
    return tokenize(encoder.tokenizer, texts, settings.length)


def through_frozen(encoder: Encoder, tokens: Tokens, settings: EncoderSettings) -> np.ndarray:
    """Activations of tokens, as `activations` returns them.

    Examples of similar length share a batch, so that little of it is padding.
    """
    frozen = encoder.frozen(settings.trained_layers)
    count, width = len(tokens.ids), encoder.width
    shape = (count, settings.length, width) if settings.trained_layers else (count, width)
    found = np.zeros(shape, np.float16)
    order = np.argsort(tokens.counts, kind="stable")
    batches = [order[start : start + _BATCH] for start in range(0, count, _BATCH)]
    console = Console(file=sys.stderr)
    for rows in track(batches, "frozen layers", console=console, transient=True):
        outputs = keras.ops.convert_to_numpy(frozen(encoder.inputs(tokens, rows), training=False))
        if not settings.trained_layers:
            found[rows] = outputs[:, 0]
            continue
        longest = outputs.shape[1]
        real = np.arange(longest) < tokens.counts[rows, None]
        found[rows, :longest] = np.where(real[..., None], outputs, 0)
    return found
