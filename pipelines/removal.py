"""Removal: what is lost without memorized examples, and without those of high-influence pairs."""

from __future__ import annotations

from collections.abc import Sequence

from tfmem.components.pair_utility import PAIR_UTILITY
from tfmem.components.removal import REMOVAL
from tfmem.config import Config
from tfmem.pipelines.memorization import conducted
from tfmem.pipelines.runner import Step


def removal(config: Config, beam_args: Sequence[str] = ()) -> list[Step]:
    """A run, its memorized examples removed, then those of its pairs, and the page with both."""
    return conducted((REMOVAL, PAIR_UTILITY), config, beam_args)
