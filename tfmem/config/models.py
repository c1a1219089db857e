"""Settings of models, one class a family."""

from __future__ import annotations

from typing import Annotated, Literal

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
      pooling: of the last feature map: `max`, as released; `mean` is the network of 2017, with a
        third branch of max pooling in the downsampling blocks.
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
      depth: layers with weights.
      growth: feature maps that each layer adds.
      bottleneck: whether it is the BC variant: 1x1 bottlenecks, and transitions that halve.
    """

    name: Literal["densenet"] = "densenet"
    depth: Positive = 100
    growth: Positive = 12
    bottleneck: bool = True

    @model_validator(mode="after")
    def _three_equal_blocks(self) -> DenseNetSettings:
        step = 6 if self.bottleneck else 3
        if self.depth <= 4 or (self.depth - 4) % step:
            raise ValueError(f"depth of 4 and a multiple of {step}")
        return self


class FastSettings(Settings):
    """A ResNet of nine layers for small images; `width` is that of its first layer."""

    name: Literal["fast"] = "fast"
    width: Positive = 64


class LinearSettings(Settings):
    """One linear layer, for stored features."""

    name: Literal["linear"] = "linear"


class EncoderSettings(Settings):
    """A pretrained encoder of text: its last layers and a new head are trained, the rest is frozen.

    Attributes:
      preset: a preset of KerasHub (`distil_bert_base_en_uncased`), a folder in the format of
        Hugging Face or of KerasHub, or `package://name/folder`, one in an installed Python package.
      digest: hash of its weights and vocabulary, found when a run begins.
      trained_layers: how many of its transformer layers are trained; 0: the head only.
      length: tokens that are read of an example, the special ones among them; texts that have more
        are cut.
    """

    name: Literal["encoder"] = "encoder"
    preset: str
    digest: str | None = None
    trained_layers: NotNegative = 2
    length: Annotated[int, Field(ge=4)] = 64


class TransformerSettings(Settings):
    """A small encoder of text that is trained from scratch on words.

    Attributes:
      vocabulary: most frequent words of the training texts that have a vector of their own.
      length: words that are read of an example, the special ones among them.
      layers: transformer layers.
      width: of the vectors; a multiple of `heads`.
      heads: of each attention.
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
            raise ValueError("width a multiple of heads")
        return self


Network = (
    DenseSettings
    | CnnSettings
    | InceptionSettings
    | ResNetSettings
    | DenseNetSettings
    | FastSettings
    | LinearSettings
    | EncoderSettings
    | TransformerSettings
)


class TailSettings(Settings):
    """The last blocks of a network, for stored outputs of the layer below them.

    Attributes:
      network: the whole network.
      input_shape: of one example, as the whole network sees it.
      depth: how many blocks; one is the linear layer that gives the logits.
    """

    name: Literal["tail"] = "tail"
    network: Annotated[Network, Field(discriminator="name")]
    input_shape: Widths
    depth: Positive


ModelSettings = Annotated[Network | TailSettings, Field(discriminator="name")]
