"""Settings of models, one class for each family."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tfmem.config.base import NotNegative, Positive, Settings, Widths


class DenseSettings(Settings):
    """Fully connected ReLU network; the last hidden layer is the penultimate representation."""

    name: Literal["dense"] = "dense"
    hidden: Widths = (128, 64)


class CnnSettings(Settings):
    """Blocks of 3x3 convolution, ReLU and 2x2 max pooling, then one dense hidden layer."""

    name: Literal["cnn"] = "cnn"
    filters: Widths = (16, 32)
    hidden: Positive = 64


class InceptionSettings(Settings):
    """The small Inception of Zhang et al. (2017), as Feldman & Zhang (2020) simplified it.

    Attributes:
      pooling: pooling of the last feature map: `max` is the authors' released network; `mean` is
        the network of 2017, with a third branch of max pooling in the downsampling blocks.
    """

    name: Literal["inception"] = "inception"
    pooling: Literal["max", "mean"] = "max"


class ResNetSettings(Settings):
    """Residual networks.

    Attributes:
      depth: 18 (basic blocks) or 50 (bottlenecks).
      variant: `cifar` is pre-activation (V2) with a 3x3 stem; `imagenet` is V1 with a 7x7 stem,
        max pooling, and zero-initialised last scales.
    """

    name: Literal["resnet"] = "resnet"
    depth: Literal[18, 50] = 50
    variant: Literal["cifar", "imagenet"] = "cifar"


class DenseNetSettings(Settings):
    """DenseNet for small images (Huang et al. 2017, Sec. 3).

    Attributes:
      depth: number of layers with weights.
      growth: number of feature maps that each layer adds.
      bottleneck: whether the network is the BC variant, with 1x1 bottlenecks and transitions that
        halve the number of feature maps.
    """

    name: Literal["densenet"] = "densenet"
    depth: Positive = 100
    growth: Positive = 12
    bottleneck: bool = True

    @model_validator(mode="after")
    def _three_equal_blocks(self) -> DenseNetSettings:
        step = 6 if self.bottleneck else 3
        if self.depth <= 4 or (self.depth - 4) % step:
            raise ValueError(f"depth to be 4 plus a multiple of {step}")
        return self


class FastSettings(Settings):
    """A ResNet of nine layers for small images; `width` is that of its first layer."""

    name: Literal["fast"] = "fast"
    width: Positive = 64


class AirbenchSettings(Settings):
    """The networks that train fastest on CIFAR.

    Attributes:
      width: number of channels of the first group.
      convolutions: number of convolutions in each of the three groups: 2, as in airbench94, or 3,
        two of them with a shortcut, as in airbench96.
    """

    name: Literal["airbench"] = "airbench"
    width: Positive = 64
    convolutions: Literal[2, 3] = 2


class LinearSettings(Settings):
    """One linear layer, for stored features."""

    name: Literal["linear"] = "linear"


class EncoderSettings(Settings):
    """A pretrained encoder of text: its last layers and a new head are trained, the rest is frozen.

    Attributes:
      preset: a preset of KerasHub (`distil_bert_base_en_uncased`), a folder in the format of
        Hugging Face or of KerasHub, or `package://name/folder` for a folder in an installed Python
        package.
      digest: hash of the encoder's weights and vocabulary, computed when a run begins.
      trained_layers: number of transformer layers that are trained, the last ones; 0 trains only
        the head.
      length: number of tokens of an example that are read, special tokens included; longer texts
        lose their end.
    """

    name: Literal["encoder"] = "encoder"
    preset: str
    digest: str | None = None
    trained_layers: NotNegative = 2
    length: Annotated[int, Field(ge=4)] = 64


class TransformerSettings(Settings):
    """A small encoder of text that is trained from scratch on words.

    Attributes:
      vocabulary: number of words that have a vector of their own, the most frequent ones of the
        training texts.
      length: number of words of an example that are read, special tokens included.
      layers: number of transformer layers.
      width: width of the vectors; a multiple of `heads`.
      heads: number of heads of each attention layer.
    """

    name: Literal["transformer"] = "transformer"
    vocabulary: Annotated[int, Field(ge=8)] = 5000
    length: Annotated[int, Field(ge=4)] = 64
    layers: Positive = 1
    width: Positive = 64
    heads: Positive = 4

    @model_validator(mode="after")
    def _equal_heads(self) -> TransformerSettings:
        if self.width % self.heads:
            raise ValueError("width to be a multiple of heads")
        return self


class DecoderSettings(Settings):
    """A small causal language model that is trained from scratch (see `dataset.text.tokens`).

    Attributes:
      layers: number of transformer layers.
      width: width of the vectors; a multiple of `heads`.
      heads: number of heads of each attention layer.
    """

    name: Literal["decoder"] = "decoder"
    layers: Positive = 1
    width: Positive = 64
    heads: Positive = 4

    @model_validator(mode="after")
    def _equal_heads(self) -> DecoderSettings:
        if self.width % self.heads:
            raise ValueError("width to be a multiple of heads")
        return self


Network = (
    DenseSettings
    | CnnSettings
    | InceptionSettings
    | ResNetSettings
    | DenseNetSettings
    | FastSettings
    | AirbenchSettings
    | LinearSettings
    | EncoderSettings
    | TransformerSettings
    | DecoderSettings
)


class TailSettings(Settings):
    """The last blocks of a network, trained on stored outputs of the layer below them.

    Attributes:
      network: the whole network.
      input_shape: shape of one example, as the whole network sees it.
      depth: number of blocks; 1 is the linear layer that gives the logits.
    """

    name: Literal["tail"] = "tail"
    network: Annotated[Network, Field(discriminator="name")]
    input_shape: Widths
    depth: Positive


class PythonSettings(Settings):
    """A model that a user wrote.

    Attributes:
      build: the function that returns it, as `package.module:function` or `FILE.py:function`: a
        compiled Keras model, or anything with `fit` and `predict_proba` or `predict`.
      arguments: the function's keyword arguments.
      digest: hashes of what the function is (`source`) and returns (`architecture`, `training`),
        computed when a run begins. A run is not continued with others.
      ignore_source: whether a run is continued although the function's module has changed.
    """

    name: Literal["python"] = "python"
    build: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    digest: dict[str, str] | None = None
    ignore_source: bool = False


class ElsewhereSettings(Settings):
    """Models that were trained by another program, so that tfmem cannot train more of them."""

    name: Literal["elsewhere"] = "elsewhere"


ModelSettings = Annotated[
    Network | TailSettings | PythonSettings | ElsewhereSettings, Field(discriminator="name")
]
