"""JAX's networks of sequences: the input of all time steps in one product, then `lax.scan`, time first."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from clearprop.bench.sequences import GATES, SequenceWorkload

EPSILON = 1e-5
Held = dict[str, Any]


def sequence_parameters(workload: SequenceWorkload) -> Held:
    """Return the first parameters by name."""
    rng = np.random.default_rng(0)
    embedding, units, last = workload.sizes
    if workload.cell in GATES:
        wide = GATES[workload.cell] * units
        shapes = {"W": (embedding, wide), "U": (units, wide), "b": (wide,), "c": (wide,)}
    else:
        shapes = {"qkv": (units, 3 * units), "qkv_b": (3 * units,), "out": (units, units), "out_b": (units,)}
        shapes |= {"first": (units, workload.hidden), "first_b": (workload.hidden,)}
        shapes |= {"second": (workload.hidden, units), "second_b": (units,), "places": (workload.length, units)}
    shapes |= {"embedding": (workload.tokens, embedding), "last": (units, last), "last_b": (last,)}
    held = {name: jnp.asarray(rng.normal(0, 0.1, shape), jnp.float32) for name, shape in shapes.items()}
    norms = {} if workload.cell in GATES else {f"norm{i}": (jnp.ones(units), jnp.zeros(units)) for i in (1, 2, 3)}
    return held | norms


def sequence_forward(workload: SequenceWorkload, held: Held, x: Any) -> Any:
    """Return the scores for tokens x (n, T)."""
    if workload.cell not in GATES:
        return transformer(workload, held, held["embedding"][x] + held["places"]) @ held["last"] + held["last_b"]
    z = held["embedding"][x.T] @ held["W"] + held["b"]
    h = jnp.zeros((x.shape[0], workload.sizes[1]), jnp.float32)
    cell, start = {"rnn": (rnn, h), "gru": (gru, h), "lstm": (lstm, (h, h))}[workload.cell]
    state, outputs = lax.scan(lambda state, z: cell(held, state, z), start, z)
    if not workload.each:
        return state @ held["last"] + held["last_b"]
    return outputs.transpose(1, 0, 2) @ held["last"] + held["last_b"]


def rnn(held: Held, h: Any, z: Any) -> tuple[Any, Any]:
    """Return the new state, twice."""
    h = jnp.tanh(z + h @ held["U"])
    return h, h


def lstm(held: Held, state: Any, z: Any) -> tuple[Any, Any]:
    """Return the new states, and the one that is given out."""
    h, c = state
    write, forget, new, read = jnp.split(z + h @ held["U"], 4, axis=1)
    c = jax.nn.sigmoid(forget) * c + jax.nn.sigmoid(write) * jnp.tanh(new)
    h = jax.nn.sigmoid(read) * jnp.tanh(c)
    return (h, c), h


def gru(held: Held, h: Any, z: Any) -> tuple[Any, Any]:
    """Return the new state, twice; the reset gate acts after the product."""
    product = h @ held["U"] + held["c"]
    reset, update, new = jnp.split(z, 3, axis=1)
    first, second, third = jnp.split(product, 3, axis=1)
    update, new = jax.nn.sigmoid(update + second), jnp.tanh(new + jax.nn.sigmoid(reset + first) * third)
    h = new + update * (h - new)
    return h, h


def transformer(workload: SequenceWorkload, held: Held, x: Any) -> Any:
    """Return a causal block and the normalisation after it."""
    n, times, units = x.shape
    parts = (normalised(x, held["norm1"]) @ held["qkv"] + held["qkv_b"]).reshape(n, times, 3, workload.heads, -1)
    seen = jax.nn.dot_product_attention(parts[:, :, 0], parts[:, :, 1], parts[:, :, 2], is_causal=True)
    x = x + seen.reshape(n, times, units) @ held["out"] + held["out_b"]
    hidden = jax.nn.relu(normalised(x, held["norm2"]) @ held["first"] + held["first_b"])
    return normalised(x + hidden @ held["second"] + held["second_b"], held["norm3"])


def normalised(x: Any, norm: tuple[Any, Any]) -> Any:
    """Return x normalised over its features."""
    centred = x - x.mean(-1, keepdims=True)
    variance = jnp.square(centred).mean(-1, keepdims=True)
    return centred * lax.rsqrt(variance + EPSILON) * norm[0] + norm[1]
