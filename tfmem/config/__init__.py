"""What a user can set, validated, and the digest of what decides a trial.

This room imports no TensorFlow and opens no data.

Settings are written in YAML (`configs/*.yaml`) and handed down as frozen objects. An unknown key, a
wrong type or an impossible value is an `InputError` that names the key.
"""

from __future__ import annotations

from tfmem.config.base import Settings, UndeclaredError
from tfmem.config.estimates import EstimationSettings, SelectionSettings, Statistic
from tfmem.config.experiments import AuditSettings, ExperimentSettings
from tfmem.config.gradients import GradientAttributionSettings, MethodName, TestMethod
from tfmem.config.models import (
    AirbenchSettings,
    CnnSettings,
    DecoderSettings,
    DenseNetSettings,
    DenseSettings,
    ElsewhereSettings,
    EncoderSettings,
    FastSettings,
    InceptionSettings,
    LinearSettings,
    ModelSettings,
    PythonSettings,
    ResNetSettings,
    TailSettings,
    TransformerSettings,
)
from tfmem.config.reading import differences, from_sections, from_yaml
from tfmem.config.steps import (
    AttributionSettings,
    AugmentationSettings,
    DatasetSettings,
    SelfInfluenceSettings,
    SolverName,
    TableSettings,
    TaskName,
    TaskSettings,
    TrainingSettings,
)
from tfmem.config.texts import CanarySettings, TextSettings, TokenSettings
from tfmem.config.tree import Config

__all__ = [
    "AirbenchSettings",
    "AttributionSettings",
    "AuditSettings",
    "AugmentationSettings",
    "CanarySettings",
    "CnnSettings",
    "Config",
    "DatasetSettings",
    "DecoderSettings",
    "DenseNetSettings",
    "DenseSettings",
    "ElsewhereSettings",
    "EncoderSettings",
    "EstimationSettings",
    "ExperimentSettings",
    "FastSettings",
    "GradientAttributionSettings",
    "InceptionSettings",
    "LinearSettings",
    "MethodName",
    "ModelSettings",
    "PythonSettings",
    "ResNetSettings",
    "SelectionSettings",
    "SelfInfluenceSettings",
    "Settings",
    "SolverName",
    "Statistic",
    "TableSettings",
    "TailSettings",
    "TaskName",
    "TaskSettings",
    "TestMethod",
    "TextSettings",
    "TokenSettings",
    "TrainingSettings",
    "TransformerSettings",
    "UndeclaredError",
    "differences",
    "from_sections",
    "from_yaml",
]
