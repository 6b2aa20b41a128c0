"""JAX: the whole loop in `lax.fori_loop`, and one jitted step a call; parameters and slots are donated.

Both gather out of the whole data, in an order that NumPy draws each epoch.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from clearprop.bench import Data, Predict, Side, Train, Workload
from clearprop.bench.images import ImageWorkload
from clearprop.bench.sequences import SequenceWorkload
from clearprop.bench.workloads import Array
from peers.jax_images import image_forward, image_parameters, normalised
from peers.jax_sequences import sequence_forward, sequence_parameters

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
CHUNK = 1024
"""Steps in one call of the loop."""
State = tuple[Any, Any, Any, Any]
"""Parameters, both of Adam's slots, and the number of steps done."""


def sides(threads: Iterable[int]) -> list[Side]:
    """Return every form; XLA chooses its threads by itself."""
    return [Loop(), Step()]


def initial(workload: Workload) -> State:
    """Return the first parameters, in Glorot's scale, and empty slots."""
    parameters = _parameters(workload)
    zeros = partial(jax.tree.map, jnp.zeros_like)
    return parameters, zeros(parameters), zeros(parameters), jnp.zeros((), jnp.int32)


def _parameters(workload: Workload) -> Any:
    if isinstance(workload, ImageWorkload):
        return image_parameters(workload)
    return sequence_parameters(workload) if isinstance(workload, SequenceWorkload) else _dense(workload)


def _dense(workload: Workload) -> list[Any]:
    rng = np.random.default_rng(0)
    layers = [
        (jnp.asarray(rng.normal(0, (2 / (m + k)) ** 0.5, (m, k)), jnp.float32), jnp.zeros(k, jnp.float32))
        for m, k in itertools.pairwise(workload.sizes)
    ]
    if workload.norm:
        layers[:-1] = [(w, jnp.ones_like(b), b) for w, b in layers[:-1]]
    return layers


def forward(workload: Workload, parameters: Any, x: Any, key: Any = None) -> Any:
    """Return the network's output; with a key, its form in training."""
    if isinstance(workload, ImageWorkload):
        return image_forward(workload, parameters, x)
    if isinstance(workload, SequenceWorkload):
        return sequence_forward(workload, parameters, x)
    activation = {"relu": jax.nn.relu, "tanh": jnp.tanh}[workload.activation]
    keep = 1 - workload.dropout
    for i, (w, *held) in enumerate(parameters[:-1]):
        x = activation(normalised(x @ w, *held) if workload.norm else x @ w + held[0])
        if workload.dropout and key is not None:
            x = jnp.where(jax.random.bernoulli(jax.random.fold_in(key, i), keep, x.shape), x / keep, 0)
    w, b = parameters[-1]
    return x @ w + b


def cost(workload: Workload, parameters: Any, x: Any, y: Any, key: Any) -> Any:
    """Return the mean loss of a batch."""
    out = forward(workload, parameters, x, key)
    if workload.classes is None:
        return jnp.mean((out - y) ** 2)
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(out), y[..., None], axis=-1))


def update(workload: Workload, state: State, x: Any, y: Any, rows: Any) -> State:
    """Gather a batch, and do one step of Adam."""
    parameters, m, v, count = state
    key = jax.random.fold_in(jax.random.key(0, impl="rbg"), count) if workload.dropout else None
    gradients = jax.grad(partial(cost, workload))(parameters, x[rows], y[rows], key)
    count = count + 1
    size = workload.rate * jnp.sqrt(1 - BETA2**count) / (1 - BETA1**count)
    m = jax.tree.map(lambda mean, g: BETA1 * mean + (1 - BETA1) * g, m, gradients)
    v = jax.tree.map(lambda square, g: BETA2 * square + (1 - BETA2) * g * g, v, gradients)
    parameters = jax.tree.map(lambda p, mean, s: p - size * mean / (jnp.sqrt(s) + EPSILON), parameters, m, v)
    return parameters, m, v, count


def order(workload: Workload, steps: int, generator: np.random.Generator) -> Array:
    """Return the rows of each step (steps, batch); each epoch has an order of its own, without a last small batch."""
    size = min(workload.batch, workload.rows)
    per_epoch = workload.rows // size
    epochs = -(-steps // per_epoch)
    every = np.broadcast_to(np.arange(workload.rows, dtype=np.int32), (epochs, workload.rows))
    return generator.permuted(every, axis=1)[:, : per_epoch * size].reshape(-1, size)[:steps]


class Jax:
    """What both forms share."""

    name, form = "jax", ""

    def prepare(self, workload: Workload, data: Data) -> Train:
        x, y = jnp.asarray(data[0]), jnp.asarray(data[1], jnp.float32 if workload.classes is None else jnp.int32)
        state, generator = initial(workload), np.random.default_rng(0)
        call = self.call(workload)

        def train(steps: int) -> float:
            nonlocal state
            start = time.perf_counter()
            state = jax.block_until_ready(call(state, x, y, order(workload, steps, generator)))
            return (time.perf_counter() - start) / steps

        return train

    def call(self, workload: Workload) -> Callable[[State, Any, Any, Array], State]:
        """Return what does a step for each row of an order."""
        raise NotImplementedError

    def predictor(self, workload: Workload, data: Data) -> Predict:
        parameters = initial(workload)[0]
        last = (lambda out: out) if workload.classes is None else jax.nn.softmax
        predict = jax.jit(lambda x: last(forward(workload, parameters, x)))
        return lambda rows: np.asarray(predict(rows))


class Loop(Jax):
    """All steps in one call."""

    name = "jax, loop"

    def call(self, workload: Workload) -> Callable[[State, Any, Any, Array], State]:
        @partial(jax.jit, donate_argnums=0)
        def chunk(state: State, x: Any, y: Any, rows: Any, steps: Any) -> State:
            return lax.fori_loop(0, steps, lambda i, state: update(workload, state, x, y, rows[i]), state)

        def call(state: State, x: Any, y: Any, rows: Array) -> State:
            for start in range(0, len(rows), CHUNK):
                part = rows[start : start + CHUNK]
                padded = np.zeros((CHUNK, part.shape[1]), np.int32)
                padded[: len(part)] = part
                state = chunk(state, x, y, padded, len(part))
            return state

        return call


class Step(Jax):
    """One call a step."""

    name = "jax, step"

    def call(self, workload: Workload) -> Callable[[State, Any, Any, Array], State]:
        step = jax.jit(partial(update, workload), donate_argnums=0)

        def call(state: State, x: Any, y: Any, rows: Array) -> State:
            for part in rows:
                state = step(state, x, y, part)
            return state

        return call
