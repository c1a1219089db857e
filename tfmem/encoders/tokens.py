"""Converts texts to rows of numbers with equal length."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfmem.datasets import TextDataset
from tfmem.messages.errors import InputError, reason

_WORD = re.compile(r"\w+|[^\w\s]")
PADDING, UNKNOWN, FIRST, SEPARATOR = range(4)  # numbers of special tokens in `Words`


@dataclass(frozen=True)
class Tokens:
    """The tokens of texts, as an encoder reads them.

    Attributes:
      ids: int32 `[examples, length]`, the numbers of tokens.
      segments: int32 `[examples, length]`, 1 for the second sentence of a pair, else 0.
      counts: int64 `[examples]`, the number of tokens of each example before the padding.
      cut: number of examples that were longer and lost their end.
    """

    ids: np.ndarray
    segments: np.ndarray
    counts: np.ndarray
    cut: int


@dataclass(frozen=True)
class WordTokens:
    """The tokens of one text, as an encoder reads them, and the words that they belong to.

    Attributes:
      ids: int32 `[tokens]`, the numbers of tokens, without padding.
      segments: int32 `[tokens]`, 1 for the second sentence of a pair, else 0.
      places: int32 `[tokens]`, the word to which each token belongs; -1 for special tokens.
      words: the words as they are written, without those beyond the length.
      sentences: the sentence of each word, from 0.
    """

    ids: np.ndarray
    segments: np.ndarray
    places: np.ndarray
    words: tuple[str, ...]
    sentences: tuple[int, ...]


def read_tokenizer(folder: Path) -> Any:
    """The tokenizer of a pretrained encoder, a `tokenizers.Tokenizer`.

    Args:
      folder: a folder in the format of Hugging Face (`tokenizer.json`, or `vocab.txt` of WordPiece)
        or of KerasHub (`assets/tokenizer` with a vocabulary of WordPiece or of byte pairs).

    Raises:
      InputError: if the folder has no tokenizer in these formats, or it cannot be read.
    """
    try:
        return _tokenizer(folder)
    except InputError:
        raise
    except Exception as error:  # the library raises plain Exception
        raise InputError(
            f"model.preset: {folder}: the tokenizer cannot be read: {reason(error)}"
        ) from None


def _tokenizer(folder: Path) -> Any:
    from tokenizers import ByteLevelBPETokenizer, Tokenizer
    from tokenizers.implementations import BertWordPieceTokenizer
    from tokenizers.processors import RobertaProcessing

    described = folder / "tokenizer.json"
    content = json.loads(described.read_text(encoding="utf-8")) if described.is_file() else {}
    if "model" in content:  # KerasHub has files of this name too
        return Tokenizer.from_file(str(described))
    assets = folder / "assets" / "tokenizer"
    for vocabulary in (folder / "vocab.txt", assets / "vocabulary.txt"):
        if vocabulary.is_file():
            return BertWordPieceTokenizer(str(vocabulary), lowercase=_lowercase(folder, content))
    if (assets / "merges.txt").is_file():
        tokenizer = ByteLevelBPETokenizer(
            str(assets / "vocabulary.json"), str(assets / "merges.txt")
        )
        end, begin = ((token, tokenizer.token_to_id(token)) for token in ("</s>", "<s>"))
        tokenizer.post_processor = RobertaProcessing(end, begin)
        return tokenizer
    raise InputError(
        f"model.preset: {folder}: expected tokenizer.json or vocab.txt, or assets/tokenizer with "
        "vocabulary.txt or vocabulary.json and merges.txt"
    )


def _lowercase(folder: Path, described: dict[str, Any]) -> bool:
    if "config" in described:
        return bool(described["config"].get("lowercase", False))
    settings = folder / "tokenizer_config.json"
    if not settings.is_file():
        return True
    return bool(json.loads(settings.read_text(encoding="utf-8")).get("do_lower_case", True))


def tokenize(tokenizer: Any, texts: np.ndarray, length: int) -> Tokens:
    """The tokens of texts with the encoder's special tokens; the longer sentence is cut.

    Args:
      tokenizer: see `read_tokenizer`; its length is set to `length`.
      texts: strings `[examples, sentences]`.
      length: number of tokens of an example.
    """
    encodings = _encodings(tokenizer, texts, length)
    return Tokens(
        np.array([encoding.ids for encoding in encodings], np.int32),
        np.array([encoding.type_ids for encoding in encodings], np.int32),
        np.array([sum(encoding.attention_mask) for encoding in encodings], np.int64),
        sum(bool(encoding.overflowing) for encoding in encodings),
    )


def word_tokens(tokenizer: Any, sentences: np.ndarray, length: int) -> WordTokens:
    """The tokens of one text, `[sentences]`, as `tokenize` finds them, and their words.

    Words are the parts into which the tokenizer splits a text before it looks for pieces: runs of
    letters and digits, and punctuation.
    """
    (encoding,) = _encodings(tokenizer, sentences[None], length)
    words: dict[tuple[int, int], list[tuple[int, int]]] = {}
    places, count = [], sum(encoding.attention_mask)
    found = zip(encoding.sequence_ids, encoding.word_ids, encoding.offsets, strict=True)
    for sentence, word, span in list(found)[:count]:
        if sentence is None or word is None:
            places.append(-1)
            continue
        words.setdefault((sentence, word), []).append(span)
        places.append(len(words) - 1)
    written = [
        str(sentences[sentence])[spans[0][0] : spans[-1][1]].strip()
        for (sentence, _), spans in words.items()
    ]
    return WordTokens(
        np.array(encoding.ids[:count], np.int32),
        np.array(encoding.type_ids[:count], np.int32),
        np.array(places, np.int32),
        tuple(written),
        tuple(sentence for sentence, _ in words),
    )


def mask_number(tokenizer: Any) -> int:
    """The number of the token that masks a word.

    Raises:
      InputError: if the encoder has no such token.
    """
    for token in ("[MASK]", "<mask>"):
        if (number := tokenizer.token_to_id(token)) is not None:
            return int(number)
    raise InputError("model.preset: expected an encoder with a token [MASK], there is none")


def _encodings(tokenizer: Any, texts: np.ndarray, length: int) -> list[Any]:
    rows: list[Any] = [tuple(row) if len(row) > 1 else row[0] for row in texts.tolist()]
    number, token = _padding(tokenizer)
    tokenizer.enable_truncation(length, strategy="longest_first")
    tokenizer.enable_padding(length=length, pad_id=number, pad_token=token)
    encodings: list[Any] = tokenizer.encode_batch(rows)
    return encodings


def _padding(tokenizer: Any) -> tuple[int, str]:
    """The token that pads short texts: the tokenizer's own setting, or that of BERT or RoBERTa."""
    for token in ("[PAD]", "<pad>"):
        if (number := tokenizer.token_to_id(token)) is not None:
            return number, token
    if (padding := tokenizer.padding) is not None:
        return padding["pad_id"], padding["pad_token"]
    raise InputError(
        "model.preset: expected a tokenizer with a token for padding, [PAD] or <pad>, there is none"
    )


def warn_of_cut(cut: int, dataset: TextDataset, length: int, setting: str = "model.length") -> None:
    """Warns of texts that are longer than `length` tokens, by `setting`, and lose their end."""
    if cut:
        total = len(dataset.train_labels) + len(dataset.test_labels)
        logging.getLogger(__name__).warning(
            "%s: %d of %d texts are longer than %s, %d tokens, and lose their end",
            dataset.name, cut, total, setting, length,
        )  # fmt: skip


class Words:
    """The words of training texts by number, most frequent first, for an encoder without weights.

    Words are runs of letters and digits, or single other characters, in lower case. Number 0 is
    padding, 1 stands for any unknown word, 2 begins an example, and 3 ends a sentence.
    """

    def __init__(self, texts: np.ndarray, size: int) -> None:
        """Counts the words of `texts`, strings `[examples, sentences]`, and keeps `size - 4`."""
        counts = Counter(word for text in texts.ravel() for word in _split(text))
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        self._numbers = {word: SEPARATOR + 1 + rank for rank, word in enumerate(ranked[: size - 4])}

    @property
    def size(self) -> int:
        """The number of numbers."""
        return SEPARATOR + 1 + len(self._numbers)

    def tokenize(self, texts: np.ndarray, length: int) -> Tokens:
        """The tokens of texts: 2, then sentences, each ended by 3; long texts lose their end."""
        ids = np.full((len(texts), length), PADDING, np.int32)
        segments, counts, cut = np.zeros_like(ids), np.zeros(len(texts), np.int64), 0
        for row, sentences in enumerate(texts):
            parts = [[*map(self._number, _split(text)), SEPARATOR] for text in sentences]
            numbers = [FIRST, *(number for part in parts for number in part)]
            segment = [0, *(place for place, part in enumerate(parts) for _ in part)]
            counts[row] = min(len(numbers), length)
            cut += len(numbers) > length
            ids[row, : counts[row]] = numbers[:length]
            segments[row, : counts[row]] = segment[:length]
        return Tokens(ids, segments, counts, cut)

    def word_tokens(self, sentences: np.ndarray, length: int) -> WordTokens:
        """The tokens of one text, strings `[sentences]`, and its words in lower case."""
        tokens = self.tokenize(sentences[None], length)
        count = int(tokens.counts[0])
        places: list[int] = [-1]
        words: list[str] = []
        origins: list[int] = []
        for sentence, text in enumerate(sentences):
            for word in _split(text):
                places.append(len(words))
                words.append(word)
                origins.append(sentence)
            places.append(-1)
        read = sum(place >= 0 for place in places[:count])
        return WordTokens(
            tokens.ids[0, :count],
            tokens.segments[0, :count],
            np.array(places[:count], np.int32),
            tuple(words[:read]),
            tuple(origins[:read]),
        )

    def _number(self, word: str) -> int:
        return self._numbers.get(word, UNKNOWN)


def _split(text: str) -> list[str]:
    return _WORD.findall(text.lower())
