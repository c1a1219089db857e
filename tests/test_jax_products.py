"""Gradients on JAX are computed by the products for which CPUs have fast programs."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tfmem.training.on_jax.products import with_fast_products

OVER_FIRST_AXES = re.compile(r"dimension_numbers=\(\(\[0(, 1)*\], \[0(, 1)*\]\)")


def gradients_of_two(inputs, changed):
    """A function of the weights of two networks: their gradients, computed by what is `changed`."""

    def of_one(weights, x):
        def loss(weights):
            hidden = jax.nn.relu(jnp.matmul(x, weights[0]))
            return jax.nn.log_softmax(hidden @ weights[1])[..., 0].sum(), hidden.mean()

        return changed(jax.grad(loss, has_aux=True))(weights)

    return lambda weights: jax.vmap(of_one)(weights, inputs)


@pytest.mark.parametrize("shape", [(9, 5), (3, 4, 5)], ids=["rows", "sequences"])
def test_gradients_are_the_same_up_to_rounding(shape):
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=size).astype(np.float32) for size in ((2, 5, 7), (2, 7, 3))]
    inputs = rng.normal(size=(2, *shape)).astype(np.float32)
    plain = gradients_of_two(inputs, lambda function: function)
    fast = gradients_of_two(inputs, with_fast_products)
    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5),
        plain(weights),
        jax.jit(fast)(weights),
    )


@pytest.mark.parametrize("shape", [(9, 5), (3, 4, 5)], ids=["rows", "sequences"])
def test_no_sum_over_first_axes_is_left(shape):
    def program(changed):
        gradient = jax.grad(lambda kernel, x: jnp.tanh(jnp.matmul(x, kernel)).sum())
        return str(jax.make_jaxpr(changed(gradient))(np.ones((5, 7)), np.ones(shape)))

    assert OVER_FIRST_AXES.search(program(lambda function: function))
    assert not OVER_FIRST_AXES.search(program(with_fast_products))


def test_gpus_need_no_other_form(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert with_fast_products(max) is max
