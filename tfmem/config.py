"""One validated settings tree per run, and the digest of what decides a trial.

The tree is written in YAML (`configs/*.yaml`), validated here, and handed down as frozen objects.
An unknown key, a wrong type or an impossible value is an `InputError` that names the key.
"""

from __future__ import annotations

import difflib
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

import ruamel.yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml.error import YAMLError

from tfmem.errors import InputError

Positive = Annotated[int, Field(gt=0)]
NotNegative = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Widths = Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)]
Classes = Annotated[tuple[NotNegative | str, ...], Field(strict=False, min_length=2)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DatasetSettings(_Settings):
    """Which examples, and where they are found.

    Attributes:
      name: `digits` (embedded), `npz` (a file of arrays), `image_folder` (a folder for each class),
        or the name of an image classification set of TFDS.
      data_dir: folder of official files (MNIST idx, CIFAR binary), the npz file, the folder of
        image folders, or a TFDS data folder; None is the default folder of TFDS.
      download: whether TFDS may fetch what is not there.
      classes: names or numbers of the classes to keep, in the order of their new numbers; None
        keeps all. An example's index is then its rank among those that are kept.
      label_noise: fraction of training labels replaced by another class, drawn at random.
      label_noise_seed: decides which labels, and by which classes.
      test_split: the TFDS split, or folder, of test examples.
      image_size: side of the square that models see. If it is set, images may have any size; they
        are read and decoded while training and never held in memory.
      resize: with `image_size`, the length to which the shorter side is brought before the centre
        square is cut out; None is 8/7 of `image_size` (256 for 224).
    """

    name: str = "digits"
    data_dir: str | None = None
    download: bool = False
    classes: Classes | None = None
    label_noise: Share = 0.0
    label_noise_seed: NotNegative = 0
    test_split: str = "test"
    image_size: Positive | None = None
    resize: Positive | None = None

    @model_validator(mode="after")
    def _square_within_image(self) -> DatasetSettings:
        if self.resize and self.resize < (self.image_size or self.resize + 1):
            raise ValueError("resize at least as large as image_size, which must be set")
        return self

    def identity(self) -> dict[str, Any]:
        """What decides the examples, wherever they lie."""
        return self.model_dump(exclude={"data_dir", "download"})


class DenseSettings(_Settings):
    """Fully connected ReLU network; the last hidden layer is the penultimate representation."""

    name: Literal["dense"] = "dense"
    hidden: Widths = (128, 64)


class CnnSettings(_Settings):
    """Blocks of 3x3 convolution, ReLU and 2x2 max pooling, then one dense hidden layer."""

    name: Literal["cnn"] = "cnn"
    filters: Widths = (16, 32)
    hidden: Positive = 64


class InceptionSettings(_Settings):
    """The small Inception of Zhang et al. (2017), as Feldman & Zhang (2020) simplified it.

    Attributes:
      pooling: of the last feature map: `max`, as released; `mean` is the network of 2017, with a
        third branch of max pooling in the downsampling blocks.
    """

    name: Literal["inception"] = "inception"
    pooling: Literal["max", "mean"] = "max"


class ResNetSettings(_Settings):
    """Residual networks.

    Attributes:
      depth: 18 (basic blocks) or 50 (bottlenecks).
      variant: `cifar` is pre-activation (V2) with a 3x3 stem; `imagenet` is V1 with a 7x7 stem,
        max pooling, and zero-initialised last scales.
    """

    name: Literal["resnet"] = "resnet"
    depth: Literal[18, 50] = 50
    variant: Literal["cifar", "imagenet"] = "cifar"


class DenseNetSettings(_Settings):
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


class FastSettings(_Settings):
    """A ResNet of nine layers for small images; `width` is that of its first layer."""

    name: Literal["fast"] = "fast"
    width: Positive = 64


class LinearSettings(_Settings):
    """One linear layer, for stored features."""

    name: Literal["linear"] = "linear"


ModelSettings = Annotated[
    DenseSettings
    | CnnSettings
    | InceptionSettings
    | ResNetSettings
    | DenseNetSettings
    | FastSettings
    | LinearSettings,
    Field(discriminator="name"),
]
_MODELS = tuple(
    family.model_fields["name"].default for family in get_args(get_args(ModelSettings)[0])
)


class AugmentationSettings(_Settings):
    """Random changes of the images that a trial is trained on.

    Attributes:
      pad: zeros added on all sides before a crop of the old size, at one of all `2 * pad + 1`
        offsets in each direction.
      flip: whether one half of the images is mirrored left to right.
      random_resized_crop: whether a random part (8 to 100% of the area, aspect 3/4 to 4/3) is
        scaled to the full size; needs `dataset.image_size`.
    """

    pad: NotNegative = 0
    flip: bool = False
    random_resized_crop: bool = False


class TrainingSettings(_Settings):
    """How many trials, on which subsets, with which optimizer.

    Attributes:
      trials: number of models `t`.
      fraction: subset fraction `m/n`; every subset has exactly `round(fraction * n)` examples.
      groups: a CSV file `index,group`; each of its groups is in a subset as a whole or not at
        all.
      groups_digest: hash of what is in that file, found when a run begins.
      trainer: `stacked` trains many models in one program, or one where that is faster, on each
        device; `mirrored` trains one model over all devices.
      stack_size: models trained together by `stacked`, which is also the number of trials in a
        prediction shard; None lets the trainer choose from memory and a short measurement.
      lanes: programs that run side by side in `stacked`; None is one for each GPU, or one for each
        core where there is none, as far as memory goes. A number also divides the cores among them,
        which is faster still.
      epochs: passes over the subset.
      batch_size: examples per step (over all devices).
      learning_rate: base learning rate of SGD.
      momentum: momentum of SGD.
      nesterov: whether momentum is Nesterov's.
      weight_decay: L2 penalty of kernels; its gradient `weight_decay * w` is added to the loss's.
      schedule: `warmup_linear` rises linearly from 0 over the first `warmup` of all steps and falls
        linearly to 0; `warmup_steps` rises likewise and is multiplied by `decay_factor` at each of
        `decay_epochs` (both Feldman & Zhang 2020, App. B); `constant` stays at the base rate.
      warmup: fraction of all steps spent rising.
      decay_epochs: epochs after which `warmup_steps` falls.
      decay_factor: what it then multiplies the rate by.
      augmentation: random changes of training images.
      precision: Keras' dtype policy; mixed ones compute layers in 16 bits and keep weights and
        logits in float32.
      xla: whether programs are compiled by XLA.
      probabilities: whether records also hold the probability of the true label (float16).
      checkpoint_minutes: least time between checkpoints within a trial, at the end of an epoch.
      keep_checkpoints: whether the weights of finished trials stay.
      tensorboard: whether losses and accuracies are also written as TensorBoard scalars.
    """

    trials: Annotated[int, Field(ge=2)] = 2000
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.7
    groups: str | None = None
    groups_digest: str | None = None
    trainer: Literal["stacked", "mirrored"] = "stacked"
    stack_size: Positive | None = None
    lanes: Positive | None = None
    epochs: Positive = 30
    batch_size: Positive = 64
    learning_rate: Annotated[float, Field(gt=0)] = 0.1
    momentum: Share = 0.9
    nesterov: bool = False
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    schedule: Literal["warmup_linear", "warmup_steps", "constant"] = "warmup_linear"
    warmup: Share = 0.15
    decay_epochs: Annotated[tuple[Positive, ...], Field(strict=False)] = (30, 60, 90)
    decay_factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    augmentation: AugmentationSettings = AugmentationSettings()
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    xla: bool = False
    probabilities: bool = True
    checkpoint_minutes: Annotated[float, Field(ge=0)] = 5.0
    keep_checkpoints: bool = False
    tensorboard: bool = False

    @model_validator(mode="after")
    def _one_model_at_a_time(self) -> TrainingSettings:
        if self.trainer == "mirrored" and self.stack_size not in (None, 1):
            raise ValueError("stack_size must be 1 with trainer: mirrored")
        return self

    @model_validator(mode="after")
    def _digest_of_a_file(self) -> TrainingSettings:
        if self.groups_digest is not None and self.groups is None:
            raise ValueError("groups_digest only with groups")
        return self


# How a trial is carried out, which changes its predictions by rounding at most; `groups` is where
# they are read, and what they are is in their digest.
_EXECUTION = {
    "trials",
    "groups",
    "trainer",
    "stack_size",
    "lanes",
    "xla",
    "probabilities",
    "checkpoint_minutes",
    "keep_checkpoints",
    "tensorboard",
}
Threshold = Annotated[float, Field(ge=-1, le=1)]


class SelectionSettings(_Settings):
    """Which pairs are selected; by default those of Feldman & Zhang (2020, Sec. 2).

    Attributes:
      memorization: least memorization of the training example, inclusive.
      influence: least influence, inclusive; `fdr` or `top_k` take its place.
      fdr: the false discovery rate to select at, over all pairs that are tested.
      top_k: how many training examples are selected for each test example.
      pairs: `same_class` tests pairs of one class, `all` every training with every test example.
      sign: which influences are looked for; `both` compares absolute values.
    """

    memorization: Threshold = 0.25
    influence: Threshold = 0.15
    fdr: Annotated[float, Field(gt=0, lt=1)] | None = None
    top_k: Positive | None = None
    pairs: Literal["same_class", "all"] = "same_class"
    sign: Literal["positive", "negative", "both"] = "positive"

    @model_validator(mode="after")
    def _one_rule(self) -> SelectionSettings:
        if self.fdr is not None and self.top_k is not None:
            raise ValueError("fdr or top_k, not both")
        return self


class Config(_Settings):
    """Everything that a run depends on."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    dataset: DatasetSettings = DatasetSettings()
    model: ModelSettings = DenseSettings()
    training: TrainingSettings = TrainingSettings()
    selection: SelectionSettings = SelectionSettings()

    @model_validator(mode="after")
    def _scaled_crops_are_cut_while_reading(self) -> Config:
        if self.training.augmentation.random_resized_crop and not self.dataset.image_size:
            raise ValueError("training.augmentation.random_resized_crop with dataset.image_size")
        return self

    def trial_settings(self) -> dict[str, Any]:
        """What the predictions of trial `k` depend on, beside `k` and the data themselves."""
        training = self.training.model_dump(exclude=_EXECUTION)
        if self.training.groups is None:
            del training["groups_digest"]  # which runs from before there were groups do not have
        return {
            "seed": self.seed,
            "dataset": self.dataset.identity(),
            "model": self.model.model_dump(),
            "training": training,
        }

    def digest(self) -> bytes:
        """SHA-256 of `trial_settings`; records of runs that may not be mixed differ in it."""
        canonical = json.dumps(self.trial_settings(), sort_keys=True)
        return hashlib.sha256(canonical.encode()).digest()

    def to_yaml(self) -> str:
        """The resolved tree, in the form that `from_yaml` reads."""
        text = io.StringIO()
        yaml = ruamel.yaml.YAML(typ="safe", pure=True)
        yaml.default_flow_style = False
        yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
        yaml.dump(self.model_dump(mode="json"), text)
        return text.getvalue()


def from_yaml(text: str, overrides: Sequence[str] = (), source: str = "configuration") -> Config:
    """Reads a settings tree.

    Args:
      text: YAML; keys that are left out keep their defaults.
      overrides: `"training.trials=500"`: a dotted key, and a value in YAML; later ones win.
      source: what the text is called in error messages.

    Raises:
      InputError: with one line for each key that is unknown, of a wrong type or out of range.
    """
    tree = _parse(text, source)
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise InputError(f"{source}: expected a mapping of settings, received {tree!r}")
    for override in overrides:
        _override(tree, override)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        problems = [p for p in error.errors() if p["type"] != "too_short" or p["input"] == []]
        lines = [f"{source}: {_explain(problem)}" for problem in problems]
        raise InputError("\n".join(lines)) from None


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Lines `key: old -> new` for every leaf in which two settings trees differ."""
    lines = []
    for key in [*old, *(key for key in new if key not in old)]:
        before, after, name = old.get(key), new.get(key), f"{prefix}{key}"
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            lines += differences(before, after, f"{name}.")
        elif before != after:
            lines.append(f"{name}: {before!r} -> {after!r}")
    return lines


def _parse(text: str, source: str) -> Any:
    try:
        return ruamel.yaml.YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise InputError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from None


def _override(tree: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator or not key:
        raise InputError(f"--set: expected KEY=VALUE, received {override!r}")
    *parents, leaf = key.split(".")
    for parent in parents:
        child = tree.setdefault(parent, {})
        if not isinstance(child, dict):
            raise InputError(f"--set {key}: {parent!r} is a value, it has no keys below it")
        tree = child
    tree[leaf] = _parse(value, f"--set {key}")


def _explain(problem: Any) -> str:
    """One line for one pydantic error: the key, what was expected, what was received."""
    path = [str(part) for part in problem["loc"]]
    if len(path) > 1 and path[0] == "model" and path[1] in _MODELS:
        del path[1]  # the tag of the union is not a key
    key = ".".join(path) or "settings"
    if problem["type"] == "extra_forbidden":
        close = difflib.get_close_matches(path[-1], _keys_beside(problem["loc"]), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"{key}: unknown key{hint} (received {problem['input']!r})"
    if problem["type"].startswith("union_tag"):
        name = problem["ctx"].get("tag")
        return f"{key}.name: expected {_expected_tags(problem)}, received {name!r}"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"{key}: expected {message}, received {problem['input']!r}"


def _expected_tags(problem: Any) -> str:
    return problem["ctx"].get("expected_tags", "one of " + ", ".join(map(repr, _MODELS)))


def _keys_beside(location: Sequence[Any]) -> list[str]:
    settings: Any = Config
    for part in location[:-1]:
        candidates = get_args(settings) or (settings,)
        tagged = [c for c in candidates if _tag(c) == part]
        if tagged:
            settings = tagged[0]
        elif part in getattr(settings, "model_fields", {}):
            settings = settings.model_fields[part].annotation
        else:
            return []
    return list(getattr(settings, "model_fields", {}))


def _tag(settings: Any) -> str | None:
    fields = getattr(settings, "model_fields", {})
    return fields["name"].default if "name" in fields else None
