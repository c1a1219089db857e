"""Settings of the steps of a run: data, training, selection."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tfmem.config.base import ClassList, NotNegative, Positive, Settings, Share, Threshold


class TextSettings(Settings):
    """Where sentences and labels are in tables, and in data sets of TFDS.

    Attributes:
      columns: the column, or the two, that have an example's sentences.
      label: the column that has its class: a name, or a number from 0.
      class_names: by number; None: the labels that there are, sorted.
      test_share: of local files, the share of the training examples that is held out for testing
        where there is no file of test examples; 0: there is one.
    """

    columns: Annotated[tuple[str, ...], Field(strict=False, min_length=1, max_length=2)] = (
        "sentence",
    )
    label: str = "label"
    class_names: Annotated[tuple[str, ...], Field(strict=False, min_length=2)] | None = None
    test_share: Share = 0.0


class TableSettings(Settings):
    """Which columns of a table are the inputs of models, and which is the label.

    Attributes:
      label: the column that has an example's class: a name, or a number.
      class_names: by number; None: the labels that there are, sorted.
      categories: columns that are categories although all their values are numbers.
      leave_out: columns that are no inputs, such as names and numbers of rows.
      most_categories: of one column; columns of texts with more are refused.
      test_share: the share of the training examples that is held out for testing where there is no
        file of test examples; 0: there is one.
    """

    label: str = "label"
    class_names: Annotated[tuple[str, ...], Field(strict=False, min_length=2)] | None = None
    categories: Annotated[tuple[str, ...], Field(strict=False)] = ()
    leave_out: Annotated[tuple[str, ...], Field(strict=False)] = ()
    most_categories: Positive = 32
    test_share: Share = 0.0


_WITHOUT_SENTENCES = ("digits", "npz", "image_folder", "treebank", "table")
_OF_SOURCES = {  # keys that some sources alone have
    "unlabelled": ("npz", "text_files", "table"),
    "table": ("table",),
    "white": ("npz",),
    "channels": ("npz",),
}


class DatasetSettings(Settings):
    """Which examples, and where they are found.

    Attributes:
      name: `digits` (embedded), `npz` (a file of arrays), `image_folder` (a folder for each class),
        `text_files` (tables of sentences), `table` (of numbers and categories), `treebank` (trees
        of the Stanford treebank), or the name of an image classification set of TFDS, or of a text
        classification set if `text` is set.
      data_dir: folder of official files (MNIST idx, CIFAR binary), the npz file, the folder of
        image folders, of tables or of trees, or a TFDS data folder; None is the default folder of
        TFDS.
      download: whether TFDS may fetch what is not there.
      classes: names or numbers of the classes to keep, in the order of their new numbers; None
        keeps all. An example's index is then its rank among those that are kept.
      label_noise: fraction of training labels replaced by another class, drawn at random.
      label_noise_seed: decides which labels, and by which classes.
      test_split: the TFDS split, or folder or file, of test examples.
      unlabelled: labels that mark rows without a class, such as -1 or '-'; '' is an empty label,
        null or NaN. Such rows are left out and counted.
      white: of an npz file, the value of full intensity; models see its arrays divided by it. None
        is 255 for uint8, and 1 for floats.
      channels: of an npz file, whether images are `[n, channels, height, width]` (`first`) or
        `[n, height, width, channels]` (`last`); None takes `last` and refuses shapes that look like
        `first`.
      text: columns of sentences and labels; None: examples are images, or trees.
      table: columns of a table of numbers and categories.
      image_size: side of the square that models see. If it is set, images may have any size; they
        are read and decoded while training and never held in memory.
      resize: with `image_size`, the length to which the shorter side is brought before the centre
        square is cut out; None is 8/7 of `image_size` (256 for 224).
    """

    name: str = "digits"
    data_dir: str | None = None
    download: bool = False
    classes: ClassList | None = None
    label_noise: Share = 0.0
    label_noise_seed: NotNegative = 0
    test_split: str = "test"
    unlabelled: Annotated[tuple[int | str, ...], Field(strict=False)] = ()
    white: Positive | None = None
    channels: Literal["first", "last"] | None = None
    text: TextSettings | None = None
    table: TableSettings | None = None
    image_size: Positive | None = None
    resize: Positive | None = None

    @model_validator(mode="after")
    def _square_within_image(self) -> DatasetSettings:
        if self.resize and self.resize < (self.image_size or self.resize + 1):
            raise ValueError("resize at least as large as image_size, which must be set")
        return self

    @model_validator(mode="after")
    def _text_or_images(self) -> DatasetSettings:
        if self.text is not None and self.name in (
            "digits",
            "npz",
            "image_folder",
            "treebank",
            "table",
        ):
            raise ValueError(f"no key text with name: {self.name}")
        for key, names in _OF_SOURCES.items():
            if self.name not in names and getattr(self, key):
                raise ValueError(f"no key {key} with name: {self.name}")
        if self.image_size and self.of_texts:
            raise ValueError("image_size only where examples are images")
        return self

    @property
    def of_texts(self) -> bool:
        """Whether examples are texts."""
        return self.text is not None or self.name in ("text_files", "treebank")

    def identity(self) -> dict[str, Any]:
        """What decides the examples, wherever they lie."""
        left_out = {"data_dir", "download"}
        for name in (
            "text",
            "table",
            "unlabelled",
            "white",
            "channels",
        ):  # which older runs do not have
            if getattr(self, name) == type(self).model_fields[name].default:
                left_out.add(name)
        return self.model_dump(exclude=left_out)


class AugmentationSettings(Settings):
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


class TrainingSettings(Settings):
    """How many trials, on which subsets, with which optimizer.

    Attributes:
      trials: number of models `t`.
      fraction: subset fraction `m/n`; every subset has exactly `round(fraction * n)` examples.
      groups: a CSV file `index,group`; each of its groups is in a subset as a whole or not at
        all.
      groups_digest: hash of what is in that file, found when a run begins.
      subsets: an npz file with the subset of each trial, in place of `fraction` (see
        `tfmem.subsets.given`); those of one stack must be of one size.
      subsets_digest: hash of what is in that file, found when a run begins.
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
        logits in float32; `mixed_float16` scales losses dynamically and skips steps that overflow.
      xla: whether programs are compiled by XLA.
      probabilities: whether records also hold how sure models are of the true label, as its margin
        `log(p / (1 - p))` (float16), from which its probability `p` follows.
      exclude_unlearned: whether estimates leave out trials whose model, on its own subset, is right
        no more often than one that always answers with the most frequent class (and not always).
        That selects trials by their outcome, so by default such trials count.
      checkpoint_minutes: least time between checkpoints within a trial, at the end of an epoch.
      keep_checkpoints: whether the weights of finished trials stay.
      tensorboard: whether losses and accuracies are also written as TensorBoard scalars.
    """

    trials: Annotated[int, Field(ge=2)] = 2000
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.7
    groups: str | None = None
    groups_digest: str | None = None
    subsets: str | None = None
    subsets_digest: str | None = None
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
    exclude_unlearned: bool = False
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
        for name in ("groups", "subsets"):
            if getattr(self, f"{name}_digest") is not None and getattr(self, name) is None:
                raise ValueError(f"{name}_digest only with {name}")
        if self.groups is not None and self.subsets is not None:
            raise ValueError("groups or subsets, not both")
        return self


Statistic = Literal["correctness", "probability"]


class EstimationSettings(Settings):
    """What memorization and influence are differences of.

    Attributes:
      statistic: `correctness` is how often models are right, as in the paper; `probability` the
        mean probability of the true label, which takes fewer trials. It is estimated for pairs of
        one class, from records with `training.probabilities`.
    """

    statistic: Statistic = "correctness"


class SelectionSettings(Settings):
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


SolverName = Literal["fast", "cg", "exact", "lissa"]


class SelfInfluenceSettings(Settings):
    """How memorization is estimated from one model, by influence functions.

    Attributes:
      solver: `fast` inverts the curvature for all examples at once, in a sketch; `cg` to a
        tolerance; `exact` for small heads; `lissa` as in Zheng & Jiang (2022).
      damping: added to the diagonal of the curvature; None is the solver's own.
      curvature: what is inverted; None is `gauss_newton`, of `lissa` `hessian`.
      layers: only variables of these layers are moved; none: all that were trained.
      curvature_examples: of so many training examples, drawn at random, the curvature is a mean;
        None is all.
      sketch: of `fast`: numbers that a gradient is sketched to; None is 2,048. Its error falls as
        their root.
      trial: the trial whose seeds the model has.
    """

    solver: SolverName = "fast"
    damping: Annotated[float, Field(ge=0)] | None = None
    curvature: Literal["gauss_newton", "hessian"] | None = None
    layers: Annotated[tuple[str, ...], Field(strict=False)] = ()
    curvature_examples: Positive | None = None
    sketch: Positive | None = None
    trial: NotNegative = 0

    @model_validator(mode="after")
    def _what_goes_with_fast(self) -> SelfInfluenceSettings:
        if self.solver == "fast" and self.curvature == "hessian":
            raise ValueError("curvature gauss_newton with solver: fast")
        if self.solver != "fast" and self.sketch:
            raise ValueError("solver: fast with sketch")
        return self


class AttributionSettings(Settings):
    """How self-influence is attributed to words or patches (Zheng & Jiang 2022, Sec. 2.2).

    Attributes:
      share: of the training examples, the most memorized first.
      examples: in place of a share, these.
      steps: of the path integral.
      patch: side of a patch of an image, in pixels.
      baseline: what an image is compared with, black or the mean of all; texts, with masked words.
    """

    share: Annotated[float, Field(gt=0, le=1)] = 0.1
    examples: Annotated[tuple[NotNegative, ...], Field(strict=False)] = ()
    steps: Positive = 50
    patch: Positive = 2
    baseline: Literal["black", "mean"] = "black"
