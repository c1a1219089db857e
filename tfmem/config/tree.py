"""All settings of a run, and the digest of those that decide a trial."""

from __future__ import annotations

import hashlib
import io
import json
from contextlib import suppress
from typing import Annotated, Any

import ruamel.yaml
from pydantic import Field, model_validator

from tfmem.config.base import Settings, UndeclaredError
from tfmem.config.estimates import EstimationSettings, SelectionSettings
from tfmem.config.experiments import ExperimentSettings
from tfmem.config.gradients import GradientAttributionSettings
from tfmem.config.models import (
    DecoderSettings,
    DenseSettings,
    ElsewhereSettings,
    EncoderSettings,
    ModelSettings,
    PythonSettings,
    TransformerSettings,
)
from tfmem.config.steps import (
    AttributionSettings,
    AugmentationSettings,
    DatasetSettings,
    SelfInfluenceSettings,
    TaskSettings,
    TrainingSettings,
)
from tfmem.messages.errors import InputError

# Settings of how a trial is carried out, which change its predictions by rounding at most. `groups`
# and `subsets` are only paths; the digests of these files stay among the settings of a trial.
_EXECUTION = {
    "trials",
    "groups",
    "subsets",
    "trainer",
    "stack_size",
    "lanes",
    "memory_share",
    "xla",
    "probabilities",
    "checkpoint_minutes",
    "keep_checkpoints",
    "tensorboard",
}
# Keys of `training` that older runs do not have, and what these runs did.
_LATER = {
    "exclude_unlearned": False,
    "fit_arguments": None,
    "repeats": 1,
    "backend": None,
    "label_smoothing": 0.0,
}


class Config(Settings):
    """All settings of a run."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    dataset: DatasetSettings = DatasetSettings()
    model: ModelSettings = DenseSettings()
    task: TaskSettings = TaskSettings()
    training: TrainingSettings = TrainingSettings()
    estimation: EstimationSettings = EstimationSettings()
    selection: SelectionSettings = SelectionSettings()
    self_influence: SelfInfluenceSettings = SelfInfluenceSettings()
    attribution: AttributionSettings = AttributionSettings()
    gradient_attribution: GradientAttributionSettings = GradientAttributionSettings()
    experiments: ExperimentSettings = ExperimentSettings()

    @model_validator(mode="before")
    @classmethod
    def _own_models_say_how(cls, given: Any) -> Any:
        """A user's own model is trained in stacks only where that gives what its `fit` gives."""
        if not isinstance(given, dict) or not isinstance(given.get("model"), dict):
            return given
        training = given.get("training", {})
        if given["model"].get("name") != "python" or not isinstance(training, dict):
            return given
        return {**given, "training": {"trainer": "auto", **training}}

    @model_validator(mode="after")
    def _sections_go_together(self) -> Config:
        self.check_sections()
        return self

    def check_sections(self) -> None:
        """Checks that sections go together, as far as they are there.

        Raises:
          ValueError: saying what was expected.
        """
        for check in (_check_crops, _check_augmentation, _check_tokens, _check_statistic):
            with suppress(UndeclaredError):
                check(self)

    def check_trainable(self, what: str) -> None:
        """Refuses models that another program has trained, and a loss that no model would have.

        Args:
          what: that which would train such models.

        Raises:
          InputError: if tfmem cannot train them as the settings say.
        """
        if isinstance(self.model, ElsewhereSettings):
            raise InputError(
                f"{what} trains models, but those of this run were trained by another program "
                "(model.name: elsewhere)"
            )
        smoothing = self.training.label_smoothing
        if isinstance(self.model, PythonSettings) and smoothing:
            raise InputError(
                "training.label_smoothing: expected 0 with model.name: python, because such a "
                "model brings its own loss, which may smooth labels itself; received "
                f"{smoothing:g}"
            )

    def trial_settings(self) -> dict[str, Any]:
        """The settings on which the predictions of trial `k` depend, beside `k` and the data."""
        training = self.training.model_dump(exclude=_EXECUTION)
        for name in ("groups", "subsets"):  # older runs do not have these keys
            if getattr(self.training, name) is None:
                del training[f"{name}_digest"]
        for name, former in _LATER.items():
            if training[name] == former:
                del training[name]
        if training.get("backend") == "tensorflow":  # on which runs without this key trained
            del training["backend"]
        found = {
            "seed": self.seed,
            "dataset": self.dataset.identity(),
            "model": self.model.model_dump(exclude=self._places()),
            "training": training,
        }
        if self.task != TaskSettings():  # older runs do not have this section
            found["task"] = self.task.model_dump()
        return found

    def _places(self) -> set[str]:
        """The settings of the model that only say where its files are."""
        if isinstance(self.model, PythonSettings):
            return {"ignore_source"}
        known = isinstance(self.model, EncoderSettings) and self.model.digest
        return {"preset"} if known else set()

    def digest(self) -> bytes:
        """SHA-256 of `trial_settings`; runs whose records may not be mixed have different ones."""
        canonical = json.dumps(self.trial_settings(), sort_keys=True)
        return hashlib.sha256(canonical.encode()).digest()

    def to_yaml(self) -> str:
        """All settings as YAML, in the form that `from_yaml` reads."""
        text = io.StringIO()
        yaml = ruamel.yaml.YAML(typ="safe", pure=True)
        yaml.default_flow_style = False
        yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
        yaml.dump(self.model_dump(mode="json"), text)
        return text.getvalue()


def _check_crops(config: Config) -> None:
    """Scaled crops are cut while images are read."""
    if config.training.augmentation.random_resized_crop and not config.dataset.image_size:
        raise ValueError("training.augmentation.random_resized_crop with dataset.image_size")


def _check_augmentation(config: Config) -> None:
    """Only images are augmented."""
    of_text = isinstance(config.model, EncoderSettings | TransformerSettings | DecoderSettings)
    if of_text and config.training.augmentation != AugmentationSettings():
        raise ValueError(f"no training.augmentation with model.name: {config.model.name}")


def _check_tokens(config: Config) -> None:
    """A decoder predicts tokens; what has no tokens has no classes either, but for own models."""
    text, name = config.dataset.text, config.model.name
    if name == "decoder" and (text is None or text.tokens is None):
        raise ValueError("dataset.text.tokens with model.name: decoder")
    if text is not None and text.tokens is not None and text.tokens.packed:
        if name != "decoder":
            raise ValueError(f"no dataset.text.tokens.packed with model.name: {name}")
        if config.training.trainer in ("fit", "mirrored"):
            raise ValueError("training.trainer: stacked with dataset.text.tokens.packed")
    if name == "decoder" and config.training.label_smoothing:
        raise ValueError("no training.label_smoothing with model.name: decoder")
    if name in ("encoder", "transformer") and text is not None and text.label is None:
        raise ValueError(f"dataset.text.label, a column of classes, with model.name: {name}")


def _check_statistic(config: Config) -> None:
    """Estimates of confidence need records of it; thresholds must be reachable."""
    statistic = config.estimation.statistic
    if statistic in ("probability", "margin", "loss") and not config.training.probabilities:
        raise ValueError(f"training.probabilities: true with estimation.statistic: {statistic}")
    if statistic is not None:
        config.selection.resolved(statistic)
