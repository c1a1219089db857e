"""Products of matrices in the form for which XLA has fast programs on CPUs.

The gradient of a kernel is a sum over the examples of a batch, the first axis of both of its
factors. XLA's fast products on CPUs (of its library YNNPACK) sum over the last axis of the left
one. To transpose that and take the fast product costs half as much as the product as it stands.
XLA would put the transposition back into the product, so it must not see that they belong together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, jaxpr_as_fun


def with_fast_products(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of arrays, on CPUs with every sum over first axes in that form.

    The results are the same up to rounding.
    """
    if jax.default_backend() != "cpu":
        return function

    def changed(*arguments: Any) -> Any:
        program, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        results = _evaluated(program, jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return changed


def _evaluated(program: ClosedJaxpr, arguments: list[Any]) -> list[Any]:
    steps: Jaxpr = program.jaxpr
    known = dict(zip([*steps.constvars, *steps.invars], [*program.consts, *arguments], strict=True))

    def read(place: Any) -> Any:
        return place.val if isinstance(place, Literal) else known[place]

    for step in steps.eqns:
        known.update(zip(step.outvars, _taken(step, read), strict=True))
    return [read(place) for place in steps.outvars]


def _taken(step: JaxprEqn, read: Callable[[Any], Any]) -> list[Any]:
    """The results of one step of a program, whose arguments `read` returns."""
    if step.primitive.name in ("jit", "pjit"):
        return _evaluated(step.params["jaxpr"], [read(place) for place in step.invars])
    if step.primitive is jax.lax.dot_general_p and _sums_over_first_axes(step):
        return [_product(step, *map(read, step.invars))]
    places = [place for place in step.invars if not isinstance(place, Literal)]
    alone = Jaxpr([], places, step.outvars, [step], step.effects)
    return jaxpr_as_fun(ClosedJaxpr(alone, []))(*map(read, places))


def _sums_over_first_axes(step: JaxprEqn) -> bool:
    """Whether a product sums over all axes of both arrays but the last ones."""
    (left, right), _ = step.params["dimension_numbers"]
    shapes = [getattr(place.aval, "shape", ()) for place in step.invars]
    return len(left) > 0 and [[*left], [*right]] == [[*range(len(shape) - 1)] for shape in shapes]


def _product(step: JaxprEqn, left: jax.Array, right: jax.Array) -> jax.Array:
    left, right = (each.reshape(-1, each.shape[-1]) for each in (left, right))
    settings = {**step.params, "dimension_numbers": (((1,), (0,)), ((), ()))}
    across = jax.lax.optimization_barrier(right.T)
    return step.primitive.bind(across, left, **settings).T
