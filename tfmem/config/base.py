"""The base of all settings, which are frozen, strict and finite, and types of their values."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(gt=0)]
NotNegative = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]
Widths = Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)]
ClassList = Annotated[tuple[NotNegative | str, ...], Field(strict=False, min_length=2)]
Threshold = Annotated[float, Field(ge=-1, le=1)]


class Settings(BaseModel):
    """One section of the settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
