"""Compiles loops to machine code."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function, parallel: bool = False) -> Function:
    """The function in machine code, which runs beside other threads; a division by 0 gives NaN.

    The code is kept in `__pycache__` beside the source or, if that cannot be written, in the user's
    cache; `NUMBA_CACHE_DIR` names another place. Several processes may write it at once: a file
    appears whole or not at all. If no place can be written, as in a container without a home, every
    process compiles for itself, which takes about a second a function.

    Args:
      function: of arrays and numbers, in the part of Python that numba compiles.
      parallel: whether its `prange` loops are shared among threads.
    """
    options = partial(njit, nogil=True, error_model="numpy", parallel=parallel)
    try:
        return cast(Function, options(cache=True)(function))
    except RuntimeError:  # numba has no place for its cache
        return cast(Function, options()(function))
