"""Stacks of models on JAX: `jax.vmap` over Keras' stateless calls, an epoch as one `lax.scan`."""
