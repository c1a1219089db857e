"""The formats in which others publish estimates and predictions, read and written.

Feldman & Zhang (2020) released pairs, class-wise matrices, a demonstration and checkpoints; each
has a module here, and Parquet and CSV another.
"""

from tfmem.published.aux_arrays import ReleasedRun, read_run
from tfmem.published.checkpoints import import_checkpoints, read_labels
from tfmem.published.demonstration import Demonstration, load_demonstration, write_demonstration
from tfmem.published.exporting import export
from tfmem.published.matrices import ClassMatrix, Matrices, load_matrices, write_matrices
from tfmem.published.pairs import load_pairs, pair_statistics, write_pairs
from tfmem.published.selection import PublishedPairs, open_pairs

__all__ = [
    "ClassMatrix",
    "Demonstration",
    "Matrices",
    "PublishedPairs",
    "ReleasedRun",
    "export",
    "import_checkpoints",
    "load_demonstration",
    "load_matrices",
    "load_pairs",
    "open_pairs",
    "pair_statistics",
    "read_labels",
    "read_run",
    "write_demonstration",
    "write_matrices",
    "write_pairs",
]
