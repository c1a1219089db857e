"""Which training examples a model memorized, and which each of its predictions rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfmem.exchange import load_matrices, load_pairs
    from tfmem.experiments.run import Run, load_run

__all__ = ["Run", "__version__", "load_matrices", "load_pairs", "load_run"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("tfmem")
    # Beam workers import this package: what is not asked for must cost them nothing.
    if name in __all__:
        from tfmem.experiments import run

        if hasattr(run, name):
            return getattr(run, name)
        from tfmem import exchange as published

        return getattr(published, name)
    raise AttributeError(f"module 'tfmem' has no attribute {name!r}")
