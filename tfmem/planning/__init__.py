"""What trials will show and cost, known before anything is trained.

This room imports no TensorFlow.
"""

from tfmem.planning.costs import Sizes, TrialTime
from tfmem.planning.plan import Plan, Question, Row, make_plan

__all__ = ["Plan", "Question", "Row", "Sizes", "TrialTime", "make_plan"]
