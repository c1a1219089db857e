"""What models are trained for, and how an example is scored.

More is better in every score. Scores are computed with `keras.ops`, within a trainer's program; a
function that a user wrote is called after it, with numpy arrays.

This room does not know data sets, subsets or trainers.
"""

from __future__ import annotations

from tfmem.tasks.task import OutputKind, Scores, Task

# `tfmem.tasks.choosing` makes tasks. It imports Keras, which readers of scores do not need.
__all__ = ["OutputKind", "Scores", "Task"]
