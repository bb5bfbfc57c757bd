"""The workloads of `benchmarks/workloads.py` in JAX: one jitted function for a whole step, its state donated.

Written as JAX programs are: channels last for images, `lax.scan` for the recurrent network, a pytree of parameters,
optimizer mathematics inside of the jitted step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

Step = Callable[[], Any]


def _adam_start(parameters: Any) -> Any:
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    return zeros, jax.tree.map(jnp.zeros_like, parameters), jnp.zeros((), jnp.int32)


def _adam(parameters: Any, gradients: Any, state: Any, lr: float, decay: float = 0.0) -> Any:
    first, second, count = state
    count = count + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
    one, two = 1 - 0.9**count, 1 - 0.999**count

    def move(p: Any, m: Any, v: Any) -> Any:
        return p * (1 - lr * decay) - lr * (m / one) / (jnp.sqrt(v / two) + 1e-8)

    return jax.tree.map(move, parameters, first, second), (first, second, count)


def _trained(
    loss: Callable[..., Any],
    parameters: Any,
    data: tuple[Any, ...],
    lr: float,
    decay: float = 0.0,
    random: bool = False,
) -> Step:
    """A step of Adam (AdamW with a decay) on this loss."""

    def update(parameters: Any, state: Any, key: Any, *data: Any) -> Any:
        key, used = jax.random.split(key) if random else (key, key)
        value, gradients = jax.value_and_grad(loss)(parameters, used, *data)
        parameters, state = _adam(parameters, gradients, state, lr, decay)
        return value, parameters, state, key

    run = jax.jit(update, donate_argnums=(0, 1, 2))
    now = [parameters, _adam_start(parameters), jax.random.key(0, impl="rbg")]

    def step() -> Any:
        value, *now[:] = run(*now, *data)
        return value.block_until_ready()

    return step


def _keys(seed: int) -> Callable[[], Any]:
    state = [jax.random.key(seed)]

    def following() -> Any:
        state[0], key = jax.random.split(state[0])
        return key

    return following


def _dense(key: Any, inner: int, outer: int) -> Any:
    bound = 1 / math.sqrt(inner)
    return {"w": jax.random.uniform(key, (inner, outer), minval=-bound, maxval=bound), "b": jnp.zeros(outer)}


def _linear(layer: Any, x: Any) -> Any:
    return x @ layer["w"] + layer["b"]


def _cross_entropy(logits: Any, targets: Any) -> Any:
    logits = jax.nn.log_softmax(logits)
    return -jnp.take_along_axis(logits, targets[..., None], -1).mean()


def _drop(key: Any, x: Any, p: float) -> Any:
    return jnp.where(jax.random.bernoulli(key, 1 - p, x.shape), x / (1 - p), 0)


def housing(batch: int) -> Step:
    key = _keys(0)
    layers = [_dense(key(), 87, 64), _dense(key(), 64, 32), _dense(key(), 32, 1)]
    x, y = jax.random.normal(key(), (batch, 87)), jax.random.normal(key(), (batch, 1))

    def loss(layers: Any, _: Any, x: Any, y: Any) -> Any:
        for layer in layers[:-1]:
            x = jax.nn.relu(_linear(layer, x))
        return ((_linear(layers[-1], x) - y) ** 2).mean()

    return _trained(loss, layers, (x, y), 0.01)


def _convolve(x: Any, w: Any, stride: int = 1, padding: Any = "VALID") -> Any:
    return lax.conv_general_dilated(x, w, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _filter(key: Any, before: int, after: int, size: int) -> Any:
    bound = 1 / math.sqrt(before * size * size)
    return jax.random.uniform(key, (size, size, before, after), minval=-bound, maxval=bound)


def digits(batch: int = 64) -> Step:
    key = _keys(0)
    parameters = {
        "c1": _filter(key(), 1, 32, 3), "b1": jnp.zeros(32), "c2": _filter(key(), 32, 64, 3), "b2": jnp.zeros(64),
        "l1": _dense(key(), 9216, 128), "l2": _dense(key(), 128, 10),
    }  # fmt: skip
    x, y = jax.random.normal(key(), (batch, 28, 28, 1)), jax.random.randint(key(), (batch,), 0, 10)

    def loss(p: Any, key: Any, x: Any, y: Any) -> Any:
        one, two = jax.random.split(key)
        x = jax.nn.relu(_convolve(x, p["c1"]) + p["b1"])
        x = jax.nn.relu(_convolve(x, p["c2"]) + p["b2"])
        x = x.reshape(batch, 12, 2, 12, 2, 64).max((2, 4))
        x = _drop(one, x, 0.25).reshape(batch, -1)
        x = _drop(two, jax.nn.relu(_linear(p["l1"], x)), 0.5)
        return _cross_entropy(_linear(p["l2"], x), y)

    return _trained(loss, parameters, (x, y), 1e-3, random=True)


def _norm(layer: Any, x: Any) -> Any:
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + 1e-5) * layer["w"] + layer["b"]


def _language_parameters(layers: int, width: int, context: int, vocabulary: int) -> Any:
    key = _keys(0)

    def norm() -> Any:
        return {"w": jnp.ones(width), "b": jnp.zeros(width)}

    def block() -> Any:
        return {
            "n1": norm(), "n2": norm(), "qkv": _dense(key(), width, 3 * width), "out": _dense(key(), width, width),
            "up": _dense(key(), width, 4 * width), "down": _dense(key(), 4 * width, width),
        }  # fmt: skip

    return {
        "token": jax.random.normal(key(), (vocabulary, width)), "place": jax.random.normal(key(), (context, width)),
        "blocks": [block() for _ in range(layers)], "norm": norm(), "head": _dense(key(), width, vocabulary)["w"],
    }  # fmt: skip


def _logits(p: Any, numbers: Any, heads: int) -> Any:
    n, t = numbers.shape
    x = p["token"][numbers] + p["place"][:t]
    for b in p["blocks"]:
        parts = jnp.split(_linear(b["qkv"], _norm(b["n1"], x)), 3, -1)
        q, k, v = (part.reshape(n, t, heads, -1) for part in parts)
        seen = jax.nn.dot_product_attention(q, k, v, is_causal=True)
        x = x + _linear(b["out"], seen.reshape(n, t, -1))
        x = x + _linear(b["down"], jax.nn.gelu(_linear(b["up"], _norm(b["n2"], x)), approximate=False))
    return _norm(p["norm"], x) @ p["head"]


def language(layers: int, width: int, heads: int, context: int, batch: int, vocabulary: int = 65) -> Step:
    parameters = _language_parameters(layers, width, context, vocabulary)
    key = _keys(1)
    numbers, targets = (jax.random.randint(key(), (batch, context), 0, vocabulary) for _ in range(2))

    def loss(p: Any, _: Any, numbers: Any, targets: Any) -> Any:
        return _cross_entropy(_logits(p, numbers, heads), targets)

    return _trained(loss, parameters, (numbers, targets), 1e-3, 0.01)


def generation() -> Step:
    parameters = _language_parameters(4, 128, 64, 65)
    numbers = jax.random.randint(jax.random.key(1), (1, 64), 0, 65)
    run = jax.jit(lambda p, numbers: _logits(p, numbers, 4))
    return lambda: run(parameters, numbers).block_until_ready()


def recurrent() -> Step:
    key = _keys(0)
    bound = 1 / math.sqrt(128)

    def layer(inner: int) -> Any:
        def draw(*shape: int) -> Any:
            return jax.random.uniform(key(), shape, minval=-bound, maxval=bound)

        return {"x": draw(inner, 512), "h": draw(128, 512), "b": draw(512)}

    parameters = {"layers": [layer(32), layer(128)], "head": _dense(key(), 128, 1)}
    x, y = jax.random.normal(key(), (50, 32, 32)), jax.random.normal(key(), (32, 1))

    def loss(p: Any, _: Any, x: Any, y: Any) -> Any:
        for one in p["layers"]:

            def cell(state: Any, gates: Any, one: Any = one) -> Any:
                h, c = state
                i, f, g, o = jnp.split(gates + h @ one["h"], 4, -1)
                c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
                h = jax.nn.sigmoid(o) * jnp.tanh(c)
                return (h, c), h

            start = (jnp.zeros((32, 128)), jnp.zeros((32, 128)))
            _, x = lax.scan(cell, start, x @ one["x"] + one["b"])
        return ((_linear(p["head"], x[-1]) - y) ** 2).mean()

    return _trained(loss, parameters, (x, y), 1e-3)


STEPS: dict[str, Callable[[], Step]] = {
    "housing_32": lambda: housing(32),
    "housing_256": lambda: housing(256),
    "housing_4096": lambda: housing(4096),
    "digits": digits,
    "gpt_small": lambda: language(4, 128, 4, 64, 12),
    "gpt_middle": lambda: language(6, 384, 6, 256, 4),
    "lstm": recurrent,
    "generation": generation,
}
