"""What models are trained for, and how an example is scored.

More is better in every score. Scores are computed with `keras.ops`, within a trainer's program; a
function that a user wrote is called after it, with numpy arrays.

This room does not know data sets, subsets or trainers.
"""

from __future__ import annotations

from tfmem.tasks.choosing import Targets, make_task
from tfmem.tasks.task import OutputKind, Scores, Task

__all__ = ["OutputKind", "Scores", "Targets", "Task", "make_task"]
