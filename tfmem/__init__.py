"""Which training examples a model memorized, and which each of its predictions rests on."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfmem.exchange.in_memory import influence, memorization
    from tfmem.exchange.matrices import load_matrices
    from tfmem.exchange.pairs import load_pairs
    from tfmem.exchange.writer import PredictionWriter
    from tfmem.influence_functions.front import self_influence
    from tfmem.messages.errors import InputError
    from tfmem.pipelines.estimated import estimate
    from tfmem.pipelines.front import run
    from tfmem.pipelines.opened import Run, load_run

__all__ = [
    "InputError",
    "PredictionWriter",
    "Run",
    "__version__",
    "estimate",
    "influence",
    "load_matrices",
    "load_pairs",
    "load_run",
    "memorization",
    "run",
    "self_influence",
]

_HOMES = {
    "InputError": "tfmem.messages.errors",
    "PredictionWriter": "tfmem.exchange.writer",
    "Run": "tfmem.pipelines.opened",
    "load_run": "tfmem.pipelines.opened",
    "estimate": "tfmem.pipelines.estimated",
    "self_influence": "tfmem.influence_functions.front",
    "run": "tfmem.pipelines.front",
    "influence": "tfmem.exchange.in_memory",
    "memorization": "tfmem.exchange.in_memory",
    "load_matrices": "tfmem.exchange.matrices",
    "load_pairs": "tfmem.exchange.pairs",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("tfmem")
    # Beam workers import this package: what is not asked for must cost them nothing.
    if name in _HOMES:
        if _HOMES[name].startswith("tfmem.pipelines"):
            from tfmem.messages.quiet import import_beam

            import_beam()
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tfmem' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
