"""Which examples each trial sees: drawn, by group, or given.

This room knows no models and imports no TensorFlow.

`subsets_of` is its entrance: whoever trains asks what it returns for the subset of trial `k`.
"""

from tfmem.subsets.drawing import DrawnSubsets, Trial
from tfmem.subsets.given import GivenSubsets
from tfmem.subsets.kept import subsets_of, with_subset_digests
from tfmem.subsets.stacks import Subsets

__all__ = [
    "DrawnSubsets",
    "GivenSubsets",
    "Subsets",
    "Trial",
    "subsets_of",
    "with_subset_digests",
]
