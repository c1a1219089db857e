"""Settings of texts: where they are, their tokens for language models, and planted texts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tfmem.config.base import NotNegative, Positive, Settings, Share


class TokenSettings(Settings):
    """How a text becomes the tokens that a language model predicts, each from those before it.

    Attributes:
      unit: `word` is a run of letters and digits, or any other single character, in lower case;
        `byte` is a byte of the text in UTF-8, which needs no vocabulary.
      vocabulary: number of words that have a number of their own, the most frequent ones of the
        training texts. Models read other words as one and the same, and are neither trained nor
        scored on predicting them.
      length: number of tokens of a text that are predicted, its end included; longer texts lose
        their end.
      packed: whether the texts of a batch share windows of `length` tokens in training, which saves
        the time that padding takes. No text sees another, so models learn the same up to rounding.
    """

    unit: Literal["word", "byte"] = "word"
    vocabulary: Annotated[int, Field(ge=8)] = 5000
    length: Annotated[int, Field(ge=2)] = 64
    packed: bool = False


class CanarySettings(Settings):
    """Texts of random words that are planted among the training texts (Carlini et al. 2019).

    A model can only know them by heart, so they show what an estimate finds.

    Attributes:
      copies: for each, `count` canaries are planted this many times. Each copy is an example.
      count: number of different canaries for each number of copies.
      length: number of words of a canary.
      words: number of words from which they are drawn with equal probability, the most frequent
        ones of the training texts.
      seed: decides the words.
    """

    copies: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)] = (1, 2, 10)
    count: Positive = 5
    length: Positive = 10
    words: Positive = 1000
    seed: NotNegative = 0


class TextSettings(Settings):
    """Which columns of a table, or of a data set of TFDS, hold sentences and labels.

    Attributes:
      columns: the column that holds an example's sentence, or the two for two sentences. A file of
        plain lines has one column, whatever it is called.
      label: the column that holds an example's class: a name, or a number from 0. None leaves
        classes out, as language models do; of the treebank, it also keeps neutral sentences.
      class_names: names of the classes, by number; None takes the labels that occur, sorted.
      test_share: for local files without a file of test examples, the share of the training
        examples that is held out for testing; 0 expects a file of test examples.
      tokens: makes a language of the texts: models predict each token from those before it.
      most: numbers of training and of test texts to keep, drawn at random, but always the same;
        None keeps all.
      canaries: texts of random words to plant among the training texts; None plants none.
    """

    columns: Annotated[tuple[str, ...], Field(strict=False, min_length=1, max_length=2)] = (
        "sentence",
    )
    label: str | None = "label"
    class_names: Annotated[tuple[str, ...], Field(strict=False, min_length=2)] | None = None
    test_share: Share = 0.0
    tokens: TokenSettings | None = None
    most: Annotated[tuple[Positive, NotNegative], Field(strict=False)] | None = None
    canaries: CanarySettings | None = None

    @model_validator(mode="after")
    def _without_classes(self) -> TextSettings:
        for name in ("tokens", "canaries"):
            if getattr(self, name) is not None and self.label is not None:
                raise ValueError(f"label: null with {name}, because a language has no classes")
        if self.label is None and self.class_names is not None:
            raise ValueError("no class_names with label: null")
        return self
