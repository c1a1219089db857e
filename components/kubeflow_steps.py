"""The functions that kfp executes in a container, one for each component, by its reference."""

from __future__ import annotations

from collections.abc import Callable

from tfmem.components.kubeflow_adapter import step


def __getattr__(name: str) -> Callable[..., None]:
    if ":" not in name:
        raise AttributeError(name)
    return step(name)
