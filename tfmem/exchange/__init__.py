"""The formats in which others publish estimates and predictions, read and written.

Feldman & Zhang (2020) released pairs, class-wise matrices, a demonstration and checkpoints; each
has a module here, and Parquet and CSV another.
"""

from tfmem.exchange.aux_arrays import ReleasedRun, read_run
from tfmem.exchange.checkpoints import import_checkpoints, read_labels
from tfmem.exchange.demonstration import Demonstration, load_demonstration, write_demonstration
from tfmem.exchange.exporting import export
from tfmem.exchange.matrices import ClassMatrix, Matrices, load_matrices, write_matrices
from tfmem.exchange.pairs import load_pairs, pair_statistics, write_pairs
from tfmem.exchange.selection import PublishedPairs, open_pairs

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
