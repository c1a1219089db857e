"""The script that an expert would write in JAX: `vmap` over models, `scan` over steps.

    python -m benchmarks.peers.in_jax digits 2000 digits.npz

It trains a model on each of many random subsets, in stacks of 16, a thread for each core, and
writes which examples are in each subset, and which of all examples each model gets right.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers.networks import dense, dense_weights, transformer, transformer_weights
from benchmarks.peers.tasks import TASKS

STACK = 16


def momentum(weights, state, gradients, rate):
    """A step of gradient descent with momentum 0.9."""
    state = jax.tree.map(lambda v, g: 0.9 * v - rate * g, state, gradients)
    return jax.tree.map(jnp.add, weights, state), state


def adamw(weights, state, gradients, rate, decay=0.004):
    """A step of AdamW, with the defaults of Keras."""
    mean, square, count = state
    count += 1
    mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradients)
    square = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g**2, square, gradients)
    scale = rate * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    weights = jax.tree.map(
        lambda w, m, s: w - rate * decay * w - scale * m / (jnp.sqrt(s) + 1e-7),
        weights, mean, square,
    )  # fmt: skip
    return weights, (mean, square, count)


class Script:
    """Trains stacks of one task; compiles when the first is trained."""

    def __init__(self, name):
        task = self.task = TASKS[name]()
        self.threads = os.cpu_count() or 1
        self._x, self._y = jnp.asarray(task.x), jnp.asarray(task.y)
        drawn = transformer_weights, transformer, task.sizes
        plain = dense_weights, dense, (task.sizes,)
        self._draw: Any
        self._logits: Any
        self._draw, self._logits, self._sizes = drawn if name == "transformer" else plain
        self._update: Any = adamw if name == "cancer" else momentum
        self._train = jax.jit(jax.vmap(self._train_one))

    def _loss(self, weights, batch):
        log_p = jax.nn.log_softmax(self._logits(weights, self._x[batch]))
        return -jnp.take_along_axis(log_p, self._y[batch][:, None], 1).mean()

    def _train_one(self, weights, orders):
        """Trains on `orders`, int32 `[epochs, m]`; returns which of all examples are right."""

        def step(carry, batch_and_rate):
            batch, rate = batch_and_rate
            return self._update(*carry, jax.grad(self._loss)(carry[0], batch), rate), None

        def epoch(carry, order_and_rates):
            order, rates = order_and_rates
            full = len(order) // size * size
            batches = order[:full].reshape(-1, size), rates[: full // size]
            carry, _ = jax.lax.scan(step, carry, batches)
            return step(carry, (order[full:], rates[-1])) if full < len(order) else (carry, None)

        size = self.task.batch
        state = jax.tree.map(jnp.zeros_like, weights)
        if self._update is adamw:
            state = state, state, 0.0
        rates = self.task.rates.reshape(len(orders), -1)
        (weights, _), _ = jax.lax.scan(epoch, (weights, state), (orders, rates))
        logits = jax.lax.map(lambda x: self._logits(weights, x[None])[0], self._x, batch_size=512)
        return logits.argmax(1) == self._y

    def stack(self, seed):
        """Trains a stack; returns masks and correctness, bool `[STACK, examples]`."""
        rng, task = np.random.default_rng(seed), self.task
        every = np.tile(np.arange(task.num_train, dtype=np.int32), (STACK, 1))
        subset = rng.permuted(every, axis=1)[:, : task.size]
        orders = rng.permuted(np.repeat(subset[:, None], task.epochs, 1), axis=2)
        mask = np.zeros((STACK, task.num_train), bool)
        np.put_along_axis(mask, subset, True, 1)
        return mask, np.asarray(self._train(self._draw(rng, STACK, *self._sizes), orders))

    def stacks(self, seeds):
        """Trains a stack for each seed, several at once."""
        with ThreadPoolExecutor(self.threads) as threads:
            return list(threads.map(self.stack, seeds))


def main():
    """Trains and writes."""
    name, trials, out = sys.argv[1:]
    found = Script(name).stacks(range(-(-int(trials) // STACK)))
    masks, correct = (np.concatenate(part) for part in zip(*found, strict=True))
    print(f"{len(masks)} trials, test accuracy {correct[:, masks.shape[1] :].mean():.2%}")
    np.savez(out, masks=np.packbits(masks, 1), correct=np.packbits(correct, 1))


if __name__ == "__main__":
    main()
