"""Watches what is traced of a model, for state that the model's variables do not hold.

A program that was traced keeps what it drew while it was traced. On TensorFlow it also keeps the
states of its random operations, of Keras' generator for calls without a seed, and of variables that
Keras does not know. No seed and no assignment gives these their first values again.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import numpy as np

_STEPS = ("train_step", "predict_step")


class Traces:
    """What was traced of a model's steps.

    Attributes:
      keep_state: whether the steps draw from or write to something beside the model's variables.
    """

    def __init__(self) -> None:
        self.keep_state = False
        self._graphs: list[Any] = []

    @contextmanager
    def watched(self, model: keras.Model) -> Iterator[None]:
        """Watches the steps that `fit` and `predict` take within the context."""
        for name in _STEPS:
            setattr(model, name, partial(self._step, getattr(model, name)))
        try:
            yield
        finally:
            for name in _STEPS:
                delattr(model, name)
        if keras.backend.backend() == "tensorflow":
            self.keep_state |= not self._graphs or self._has_other_variables(model)
            self.keep_state |= any(map(_draws, self._graphs))
        self._graphs.clear()

    def _step(self, step: Callable[..., Any], *arguments: Any) -> Any:
        before = _states()
        result = step(*arguments)
        # Keras seeds its generator for calls without a seed from `random`.
        self.keep_state |= _states() != before
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            graph = tf.compat.v1.get_default_graph()
            if hasattr(graph, "outer_graph"):  # a function's
                self._graphs.append(graph)
        return result

    def _has_other_variables(self, model: keras.Model) -> bool:
        parts = model.variables, model.metrics_variables, model.optimizer.variables
        known = {id(v.value) for part in parts for v in part}
        return any(id(v) not in known for graph in self._graphs for v in graph.variables)


@contextmanager
def tracing_unsaid() -> Iterator[None]:
    """Keeps TensorFlow from warning that programs are traced often."""
    logger = logging.getLogger("tensorflow")
    logger.addFilter(_says_no_retracing)
    try:
        yield
    finally:
        logger.removeFilter(_says_no_retracing)


def _says_no_retracing(record: logging.LogRecord) -> bool:
    return "tf.function retracing" not in record.getMessage()


def _states() -> tuple[Any, ...]:
    drawn = np.random.get_state(legacy=False)  # noqa: NPY002 - what models draw from
    return random.getstate(), str(drawn)


def _draws(graph: Any) -> bool:
    """Whether a graph has an operation that draws numbers and remembers how many."""
    definition = graph.as_graph_def()
    functions = (function.node_def for function in definition.library.function)
    return any("seed2" in node.attr for nodes in (definition.node, *functions) for node in nodes)
