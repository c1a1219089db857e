"""Attributions as TFRecords, in shards that are kept when the work is stopped."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tfmem.influence_functions.attribution.needs import check_examples
from tfmem.messages.errors import InputError
from tfmem.store.files import write_atomically
from tfmem.store.records import (
    decode_example,
    encode_example,
    feature,
    parse_shard_name,
    read_records,
    shard_name,
)

if TYPE_CHECKING:
    from tfmem.influence_functions.attribution.integral import Attribution

ATTRIBUTION_NAME = "attribution.json"
_KIND = "attributions"
_EXAMPLES = 32  # number of examples in a shard


def top_share(memorization: pd.Series, share: float) -> np.ndarray:
    """Returns the examples with the highest estimates, int64, highest first.

    Args:
      memorization: estimates by index; an example with NaN counts in the share, but is not chosen.
      share: the share of examples that is chosen: their number is rounded, and at least one.

    Raises:
      InputError: if the share is not from 0 to 1, or there are no estimates.
    """
    if not 0 < share <= 1:
        raise InputError(f"share: expected above 0 and up to 1, received {share:g}")
    known = memorization.dropna().sort_values(ascending=False, kind="stable")
    if known.empty:
        raise InputError("memorization: expected estimates, all are NaN")
    return known.index[: max(1, round(share * len(memorization)))].to_numpy(np.int64)


def chosen_examples(
    memorization: pd.Series, share: float, examples: Sequence[int] = ()
) -> np.ndarray:
    """Returns the examples that settings name, or else the most memorized; see `top_share`.

    Raises:
      InputError: as `top_share` does, or if there is no such example.
    """
    if not examples:
        return top_share(memorization, share)
    check_examples(examples, len(memorization))
    return np.array(list(dict.fromkeys(examples)), np.int64)


def write_attributions(
    attribute: Callable[[np.ndarray], Iterable[Attribution]],
    examples: np.ndarray,
    settings: Mapping[str, Any],
    folder: Path,
    after_each: Callable[[int], None],
) -> None:
    """Writes the attributions of examples, shard by shard.

    Shards of the same examples with the same settings are kept; others are deleted.

    Args:
      attribute: makes the attributions of examples `[count]`; not called if all shards exist.
      examples: int64, the indices of the examples.
      settings: the settings that decide the attributions; kept as JSON in `attribution.json`.
      folder: the folder of the records.
      after_each: is told how many examples have been done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    noted = json.dumps({**settings, "examples": examples.tolist()}, indent=1).encode() + b"\n"
    summary, shards = folder / ATTRIBUTION_NAME, -(-len(examples) // _EXAMPLES)
    if not summary.exists() or summary.read_bytes() != noted:
        for path in folder.glob(f"{_KIND}-*.tfrecord"):
            path.unlink()
        write_atomically(summary, noted)
    names = [shard_name(_KIND, shard, shards) for shard in range(shards)]
    there = next((n for n, name in enumerate(names) if not (folder / name).exists()), shards)
    after_each(min(there * _EXAMPLES, len(examples)))
    if there == shards:
        return
    found = iter(attribute(examples[there * _EXAMPLES :]))
    for name in names[there:]:
        payloads = []
        # After the last example, `found` warns of those that have not converged. The last shard
        # waits for that.
        for attribution in found if name == names[-1] else islice(found, _EXAMPLES):
            payloads.append(_encode(attribution))
            after_each(1)
        write_atomically(folder / name, payloads)


def _encode(attribution: Attribution) -> bytes:
    parts = attribution.parts
    texts: dict[str, Any] = {}
    if parts.words:
        texts["words"] = [word.encode() for word in parts.words]
        texts["sentences"] = np.array(parts.sentences, np.int64)
    return encode_example(
        {
            **texts,
            "index": attribution.index,
            "shape": np.array(parts.shape, np.int64),
            "scores": attribution.scores.astype(np.float32),
            "memorization": attribution.memorization,
            "replace": attribution.replace,
            "gap": attribution.gap,
            "steps": attribution.steps,
        }
    )


def is_complete(folder: Path) -> bool:
    """Returns whether all shards of attributions exist, and no work on them was stopped."""
    paths = list(folder.glob(f"{_KIND}-*.tfrecord"))
    return {named[2] for path in paths if (named := parse_shard_name(path.name))} == {len(paths)}


def read_attributions(folder: str | os.PathLike[str]) -> pd.DataFrame:
    """Reads attribution records.

    Args:
      folder: the folder `attribution` of a run.

    Returns:
      One row an example, by `index`: `words` (list of strings, empty for images) and `sentences`
      (int64 `[words]`, which sentence each is of); `scores`, float32 of the shape of the words or
      of the grid of patches; `memorization`, `M_remove / n`; `replace`,
      `M_replace`, which the scores sum to but for `gap`, a share of it; `steps`. NaN where the
      solver has not converged.

    Raises:
      InputError: if there are no records, some are missing, or a record lacks a feature.
    """
    paths = sorted(Path(folder).glob(f"{_KIND}-*.tfrecord"))
    shards = {named[2] for path in paths if (named := parse_shard_name(path.name))}
    if shards != {len(paths)}:
        raise InputError(
            f"{folder}: expected all shards of attributions, found {len(paths)} of "
            f"{max(shards, default=1)}; `tfmem attribute` makes them, and continues"
        )
    rows = []
    for path in paths:
        with open(path, "rb") as file:
            rows += [_decode(*record) for record in read_records(file, str(path))]
    if not rows:
        raise InputError(f"{folder}: expected records of attributions, received empty files")
    table = pd.DataFrame(rows).set_index("index")
    if table.index.has_duplicates:
        twice = table.index[table.index.duplicated()][0]
        raise InputError(f"{folder}: expected each example once, received {twice} again")
    return table


def _decode(payload: bytes, source: str) -> dict[str, Any]:
    features = decode_example(payload, source)
    shape, scores = (feature(features, name, np.ndarray, source) for name in ("shape", "scores"))
    words, sentences = _words(features, source)
    axes = [len(words)] if words else shape.tolist()
    # Scores of patches have two axes, rows and columns.
    if shape.tolist() != axes or not (words or len(axes) == 2) or math.prod(axes) != len(scores):
        raise InputError(
            f"{source}: expected a score for each of {axes} parts, received {len(scores)} of "
            f"shape {shape.tolist()}"
        )
    return {
        "index": feature(features, "index", int, source),
        "words": words,
        "sentences": sentences,
        "scores": scores.reshape(axes),
        **{
            name: feature(features, name, float, source)
            for name in ("memorization", "replace", "gap")
        },
        "steps": feature(features, "steps", int, source),
    }


def _words(features: Mapping[str, Any], source: str) -> tuple[list[str], np.ndarray]:
    """Returns the words of a text and their sentences, which are empty for an image."""
    if "words" not in features:
        return [], np.zeros(0, np.int64)
    found = features["words"]
    sentences = feature(features, "sentences", np.ndarray, source)
    try:
        words = [word.decode() for word in (found if isinstance(found, list) else [found])]
    except (AttributeError, ValueError):
        raise InputError(f"{source}: words: expected texts in UTF-8") from None
    if len(sentences) != len(words) or not np.isin(sentences, (0, 1)).all():
        raise InputError(f"{source}: sentences: expected 0 or 1 for each of {len(words)} words")
    return words, sentences
