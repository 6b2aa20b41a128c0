"""Train on digits with JAX, the whole loop in one call; print the test accuracy."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

x, y, test_x, test_y = np.load(sys.argv[1]).values()
rng = np.random.default_rng(0)
parameters = [(rng.normal(0, (2 / m) ** 0.5, (m, k)).astype("f4"), np.zeros(k, "f4")) for m, k in ((64, 64), (64, 10))]
zeros = [(np.zeros_like(w), np.zeros_like(b)) for w, b in parameters]
rows = np.concatenate([rng.permutation(len(x))[: len(x) // 32 * 32].reshape(-1, 32) for _ in range(15)])


def output(parameters, x):
    (w0, b0), (w1, b1) = parameters
    return jax.nn.relu(x @ w0 + b0) @ w1 + b1


def cost(parameters, x, y):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(output(parameters, x)), y[:, None], axis=-1))


@jax.jit
def fit(parameters, m, v, x, y, rows):
    def step(i, state):
        parameters, m, v = state
        gradients = jax.grad(cost)(parameters, x[rows[i]], y[rows[i]])
        size = 0.01 * jnp.sqrt(1 - 0.999 ** (i + 1)) / (1 - 0.9 ** (i + 1))
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradients)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradients)
        parameters = jax.tree.map(lambda p, m, v: p - size * m / (jnp.sqrt(v) + 1e-8), parameters, m, v)
        return parameters, m, v

    return lax.fori_loop(0, len(rows), step, (parameters, m, v))[0]


parameters = jax.tree.map(np.asarray, fit(parameters, zeros, zeros, x, y.astype("i4"), rows.astype("i4")))
(w0, b0), (w1, b1) = parameters
print(((np.maximum(test_x @ w0 + b0, 0) @ w1 + b1).argmax(axis=1) == test_y).mean())
