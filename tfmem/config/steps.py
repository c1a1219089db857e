"""Settings of the steps of a run: data, training, self-influence."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from tfmem.config.base import ClassList, NotNegative, Positive, Settings, Share
from tfmem.config.texts import TextSettings


class TableSettings(Settings):
    """Which columns of a table are the inputs of models, and which is the label.

    Attributes:
      label: the column that holds an example's class: a name, or a number.
      class_names: names of the classes, by number; None takes the labels that occur, sorted.
      categories: columns that are read as categories although all their values are numbers.
      texts: columns of texts, which models of your own get as strings: each is an input by its
        name, and all other columns together are the input `columns`.
      ids: the column of your names of examples, which models do not see. None takes the index that
        pandas writes into a Parquet file, if that has names.
      leave_out: columns that models do not see, such as row numbers.
      most_categories: most categories that one column may have; a column of texts with more is
        refused.
      test_share: without a file of test examples, the share of the training examples that is held
        out for testing; 0 expects a file of test examples.
    """

    label: str = "label"
    class_names: Annotated[tuple[str, ...], Field(strict=False, min_length=2)] | None = None
    categories: Annotated[tuple[str, ...], Field(strict=False)] = ()
    texts: Annotated[tuple[str, ...], Field(strict=False)] = ()
    ids: str | None = None
    leave_out: Annotated[tuple[str, ...], Field(strict=False)] = ()
    most_categories: Positive = 32
    test_share: Share = 0.0


_WITHOUT_SENTENCES = (
    "digits",
    "npz",
    "image_folder",
    "table",
    "saved",
    "python",
    "labels",
)
_OF_SOURCES = {  # keys that only these sources have
    "unlabelled": ("npz", "text_files", "table"),
    "table": ("table",),
    "white": ("npz",),
    "channels": ("npz",),
    "load": ("python",),
    "arguments": ("python",),
}


class DatasetSettings(Settings):
    """Which examples models are trained and tested on, and where their files are.

    Attributes:
      name: `digits` (embedded), `npz` (a file of arrays), `image_folder` (a folder for each class),
        `text_files` (tables of sentences), `table` (of numbers and categories), `treebank` (trees
        of the Stanford treebank), `saved` (what tfmem wrote of data that were given in Python),
        `labels` (a `labels.npz` alone, whose examples are shown by their names), `python` (a
        function of yours), or the name of an image classification set of TFDS, or of a text
        classification set if `text` is set.
      data_dir: folder of official files (MNIST idx, CIFAR binary), the npz file, the folder of
        image folders, of tables or of trees, or a TFDS data folder; None is the default folder of
        TFDS.
      download: whether TFDS may download a data set that is not on the machine.
      classes: names or numbers of the classes to keep, in the order of their new numbers; None
        keeps all. An example's index is then its rank among the examples that are kept.
      label_noise: fraction of the training labels that is replaced by another class, at random.
      label_noise_seed: decides which labels are replaced, and by which classes.
      test_split: the TFDS split, the folder or the file that holds the test examples.
      unlabelled: labels that mark rows without a class, such as -1 or '-'; '' is an empty label,
        null or NaN. Such rows are left out and counted.
      white: for an npz file, the value of full intensity, by which its arrays are divided. None is
        255 for uint8, and 1 for floats.
      channels: for an npz file, whether images are `[n, channels, height, width]` (`first`) or
        `[n, height, width, channels]` (`last`); None takes `last` and refuses shapes that look like
        `first`.
      text: columns of sentences and labels, tokens of language models; None means that examples
        are images or trees.
      table: columns of a table of numbers and categories.
      load: for `python`, the function that returns training and test examples, as
        `package.module:function`, in any form that `tfmem.run` takes: `(x, y), (x_test, y_test)`.
      arguments: for `python`, the function's keyword arguments.
      digest: for `python`, hash of the function's module, computed when a run begins.
      image_size: side of the square that models see. If it is set, images may have any size, and
        are read and decoded during training instead of being held in memory.
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
    load: str | None = None
    arguments: dict[str, Any] = Field(default_factory=dict)
    digest: str | None = None
    image_size: Positive | None = None
    resize: Positive | None = None

    @model_validator(mode="after")
    def _square_within_image(self) -> DatasetSettings:
        if self.resize and self.resize < (self.image_size or self.resize + 1):
            raise ValueError("resize to be at least as large as image_size, which must be set")
        return self

    @model_validator(mode="after")
    def _text_or_images(self) -> DatasetSettings:
        if self.text is not None and self.name in _WITHOUT_SENTENCES:
            raise ValueError(f"no key text with name: {self.name}")
        if self.name == "treebank" and self.text is not None and self.text.label is not None:
            raise ValueError("text.label: null with name: treebank, whose labels are in its trees")
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
        """The settings that decide the examples, without those that say where they lie."""
        left_out = {"data_dir", "download", "digest"}  # other data have another fingerprint
        for name in ("text", "table", "unlabelled", "white", "channels", "load", "arguments"):
            if not getattr(self, name):  # which older runs do not have
                left_out.add(name)
        found = self.model_dump(exclude=left_out)
        later = {"table": ("texts", "ids"), "text": ("tokens", "most", "canaries")}
        for key, names in later.items():
            for name in names if key in found else ():
                if not found[key][name]:
                    del found[key][name]
        if (tokens := found.get("text", {}).get("tokens")) and not tokens["packed"]:
            del tokens["packed"]
        return found


class AugmentationSettings(Settings):
    """Random changes of the images that a trial is trained on.

    Attributes:
      pad: number of zeros that are added on all sides before the image is cropped to its old size,
        at one of `2 * pad + 1` offsets in each direction.
      flip: whether images are mirrored left to right with probability 1/2. `alternating` draws this
        for the first epoch only; from then on an image is mirrored in every second epoch (Jordan
        2024, "94% on CIFAR-10 in 3.29 seconds", Sec. 3.6), so that no epoch repeats the last.
      random_resized_crop: whether a random part (8 to 100% of the area, aspect 3/4 to 4/3) is
        scaled to the full size; needs `dataset.image_size`.
    """

    pad: NotNegative = 0
    flip: bool | Literal["alternating"] = False
    random_resized_crop: bool = False


class TrainingSettings(Settings):
    """How many trials, on which subsets, with which optimizer.

    Attributes:
      trials: number of models `t`.
      fraction: subset fraction `m/n`; every subset has exactly `round(fraction * n)` examples.
      groups: a CSV file with columns `index` and `group`; a subset holds each group as a whole or
        not at all.
      groups_digest: hash of the contents of that file, computed when a run begins.
      subsets: an npz file with the subset of each trial, in place of `fraction` (see
        `tfmem.subsets.given`); the subsets of one stack must have the same size.
      subsets_digest: hash of the contents of that file, computed when a run begins.
      repeats: number of models, each with seeds of its own, that are trained on each subset: trial
        `k` has subset `k // repeats`. More than 1 tells the noise of training from the effect of
        the subset, as the linear datamodeling score needs; memorization and influence are most
        exact with 1. The models of one subset are not independent: their mean counts as one trial,
        and `n_in` and `n_out` of estimates are numbers of subsets.
      trainer: `stacked` trains many models in one program on each device, or one model if that is
        faster; `mirrored` trains one model over all devices; `fit` calls the model's own `fit`, one
        model at a time; `auto` is `stacked` where that gives the results of `fit`, else `fit`.
      backend: the backend of Keras that trains; None takes the one that Keras runs on in this
        program; `auto` takes the one that, by a short measurement, trains all trials sooner, if JAX
        is installed. Trials are the same on both up to rounding, so a run stays with one of them,
        which is recorded when it begins.
      stack_size: number of models that `stacked` trains together, which is also the number of
        trials in a prediction shard; None lets the trainer choose by memory and a short
        measurement.
      lanes: number of programs that `stacked` runs side by side; None is one for each GPU, or, on a
        machine without one, one for each core, as far as memory allows. A number also divides the
        cores among the lanes, which takes less processor time; those of dense networks are always
        divided.
      memory_share: largest part of the free memory that examples may take while models are trained;
        the batches of larger ones are read from where the examples lie. Estimates do not depend on
        it, except with `fit`, which then visits examples in another order.
      epochs: passes over the subset.
      batch_size: number of examples in a step, over all devices.
      learning_rate: base learning rate of SGD.
      momentum: momentum of SGD.
      nesterov: whether momentum is Nesterov's.
      weight_decay: L2 penalty of kernels; its gradient `weight_decay * w` is added to that of the
        loss.
      label_smoothing: share of an example's target that is spread evenly over all classes.
        Self-influence, and scores by gradients, are those of the loss without it.
      schedule: the course of the learning rate. `warmup_linear` rises linearly from 0 over the
        share `warmup` of all steps and then falls linearly to 0; `warmup_steps` rises in the same
        way and is multiplied by `decay_factor` at each of `decay_epochs` (both Feldman & Zhang
        2020, App. B); `constant` stays at the base rate.
      warmup: fraction of all steps in which the learning rate rises.
      decay_epochs: epochs after which `warmup_steps` lowers the learning rate.
      decay_factor: factor by which `warmup_steps` lowers it.
      augmentation: random changes of training images.
      fit_arguments: a function, as `package.module:function`, that returns a dictionary of what
        else `fit` is called with: callbacks, class weights, sample weights of all training
        examples. It is called anew for each trial.
      precision: Keras' dtype policy; the mixed policies compute layers in 16 bits and keep weights
        and logits in float32; `mixed_float16` scales losses dynamically and skips steps that
        overflow.
      xla: whether programs are compiled by XLA.
      probabilities: whether records also hold how sure models are of the true label, as its margin
        `log(p / (1 - p))` (float16), from which its probability `p` follows.
      exclude_unlearned: whether estimates leave out trials whose model, on its own subset, is right
        no more often than a model that always answers with the most frequent class, unless it is
        always right. This selects trials by their outcome, so by default these trials count.
      checkpoint_minutes: least number of minutes between two checkpoints within a trial, which are
        written at the end of an epoch.
      keep_checkpoints: whether the weights of finished trials are kept.
      tensorboard: whether losses and accuracies are also written as TensorBoard scalars.
    """

    trials: Annotated[int, Field(ge=2)] = 2000
    fraction: Annotated[float, Field(gt=0, lt=1)] = 0.7
    groups: str | None = None
    groups_digest: str | None = None
    subsets: str | None = None
    subsets_digest: str | None = None
    repeats: Positive = 1
    trainer: Literal["auto", "stacked", "mirrored", "fit"] = "stacked"
    backend: Literal["auto", "tensorflow", "jax"] | None = None
    stack_size: Positive | None = None
    lanes: Positive | None = None
    memory_share: Annotated[float, Field(ge=0, le=1)] = 0.25
    epochs: Positive = 30
    batch_size: Positive = 64
    learning_rate: Annotated[float, Field(gt=0)] = 0.1
    momentum: Share = 0.9
    nesterov: bool = False
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    label_smoothing: Share = 0.0
    schedule: Literal["warmup_linear", "warmup_steps", "constant"] = "warmup_linear"
    warmup: Share = 0.15
    decay_epochs: Annotated[tuple[Positive, ...], Field(strict=False)] = (30, 60, 90)
    decay_factor: Annotated[float, Field(gt=0, le=1)] = 0.1
    augmentation: AugmentationSettings = AugmentationSettings()
    fit_arguments: str | None = None
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


TaskName = Literal["auto", "classes", "binary", "multi_label", "regression", "sequence"]


class TaskSettings(Settings):
    """What models are trained for, and how an example is scored.

    Attributes:
      name: `classes` (one output for each class), `binary` (one output for two classes),
        `multi_label` (one output for each label, several of which may hold), `regression` (numbers)
        or `sequence` (a class for each position); `auto` takes what the targets look like.
      score: what a model gets right of an example; more is better. None is the task's first:
        `correct`, `probability`, `margin` or `loss` of classes; `exact_match` or `mean` of
        `multi_label`; `squared_error` or `absolute_error` (both negative) of `regression`;
        `accuracy` or `loss` of `sequence`. Or a function of true values and outputs, as
        `package.module:function`.
      padding: for `sequence`, the target of positions that do not count.
    """

    name: TaskName = "auto"
    score: str | None = None
    padding: int | None = None


SolverName = Literal["fast", "cg", "exact", "lissa"]


class SelfInfluenceSettings(Settings):
    """How memorization is estimated from one model, by influence functions.

    Attributes:
      solver: `fast` inverts the curvature for all examples at once, in a sketch; `cg` inverts it to
        a tolerance; `exact` is for small heads; `lissa` is the solver of Zheng & Jiang (2022).
      damping: number added to the diagonal of the curvature; None is the solver's own.
      curvature: the curvature that is inverted; None is `hessian` for `lissa`, and `gauss_newton`
        for the other solvers.
      layers: names of the layers whose variables are used, names that the model gives them; an
        empty list uses all that were trained.
      curvature_examples: number of training examples, drawn at random, over which the curvature is
        averaged; None takes all.
      sketch: length of the sketch of a gradient, for `fast`; None is 2,048. The error falls with
        its square root.
      trial: the trial whose seeds the model is trained with.
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
            raise ValueError("sketch only with solver: fast")
        return self


class AttributionSettings(Settings):
    """How self-influence is attributed to words or patches (Zheng & Jiang 2022, Sec. 2.2).

    Attributes:
      share: share of the training examples to attribute, the most memorized first.
      examples: indices of the training examples to attribute, in place of a share.
      steps: number of steps of the path integral.
      patch: side of a patch of an image, in pixels.
      baseline: the image that an image is compared with, a black one or the mean of all; texts are
        compared with masked words.
    """

    share: Annotated[float, Field(gt=0, le=1)] = 0.1
    examples: Annotated[tuple[NotNegative, ...], Field(strict=False)] = ()
    steps: Positive = 50
    patch: Positive = 2
    baseline: Literal["black", "mean"] = "black"
