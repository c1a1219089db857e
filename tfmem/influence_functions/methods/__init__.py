"""Methods that attribute predictions to training examples by gradients of a few trained models.

One file holds a method and ends with its declaration.
"""

from __future__ import annotations

from tfmem.config import MethodName
from tfmem.influence_functions.methods.averaged import INFLUENCE_FUNCTIONS
from tfmem.influence_functions.methods.method import Method
from tfmem.influence_functions.methods.tracin import TRACIN
from tfmem.influence_functions.methods.trak import TRAK

METHODS: dict[MethodName, Method] = {
    each.name: each for each in (TRAK, TRACIN, INFLUENCE_FUNCTIONS)
}
