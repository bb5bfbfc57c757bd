"""Random tensors and the generators behind them.

The numbers are counter-based (Philox 4x32-10): a generator is a seed and a position, and element i of what it makes is
the same on every device and at every thread count.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from flambeau import _core, dtypes, recording
from flambeau.compiler.philox import BLOCK
from flambeau.devices import CPU, check_device
from flambeau.dtypes import dtype as DType
from flambeau.errors import DTypeError
from flambeau.ops import philox
from flambeau.ops.arguments import (
    Tensor,
    as_shape,
    check_dtype,
    check_out,
    check_tensor,
    deliver,
    not_tensor,
    shape_error,
    to_numpy,
    to_tensor,
)

__all__ = [
    "Generator", "bernoulli", "binomial", "default_generator", "fork_rng", "get_rng_state", "initial_seed",
    "manual_seed", "multinomial", "normal", "poisson", "rand", "rand_like", "randint", "randint_like", "randn",
    "randn_like", "randperm", "seed", "set_rng_state",
]  # fmt: skip

_MASK = (1 << 64) - 1


class Generator:
    """A stream of random numbers: a seed, and how far the stream was read.

    >>> fl.rand(2, generator=fl.Generator().manual_seed(0)).shape
    flambeau.Size([2])
    """

    __slots__ = ("_offset", "_seed", "device")
    device: Any

    def __init__(self, device: Any = None) -> None:
        self.device = CPU if device is None else check_device(device)
        self._seed, self._offset = 0x3D30_19E3, 0

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed` from its beginning; returns the generator."""
        seed = seed.__index__()
        if not -(1 << 63) <= seed <= _MASK:
            raise RuntimeError(f"manual_seed: the seed must fit in 64 bits, got {seed}")
        if recording.active is not None:
            recording.refuse("manual_seed")
        self._seed, self._offset = seed & _MASK, 0
        return self

    def seed(self) -> int:
        """Start a stream with a seed from the operating system; returns the seed."""
        import os

        self.manual_seed(int.from_bytes(os.urandom(8), "little") >> 1)
        return self._seed

    def initial_seed(self) -> int:
        """The seed that the stream was started with."""
        return self._seed

    def get_state(self) -> Any:
        """Seed and position as a uint8 tensor of 16 elements."""
        state = self._seed.to_bytes(8, "little") + self._offset.to_bytes(8, "little")
        return _core.from_buffer(bytearray(state), dtypes.uint8)

    def set_state(self, new_state: Any) -> Generator:
        """Go back to a state that `get_state` gave."""
        state = bytes(check_tensor("set_state", new_state, "new_state").tolist())
        if len(state) != 16:
            raise RuntimeError(f"set_state: a generator state has 16 bytes, got {len(state)}")
        self._seed = int.from_bytes(state[:8], "little")
        self._offset = int.from_bytes(state[8:], "little")
        return self

    def clone_state(self) -> Generator:
        """Another generator at the same place of the same stream."""
        other = Generator(self.device)
        other._seed, other._offset = self._seed, self._offset
        return other

    def take(self, count: int) -> tuple[int, int]:
        """Seed and position for the next `count` numbers, which then count as read."""
        if recording.active is not None:
            recording.refuse("Generator.take")
        position = self._offset
        self._offset = position + count
        return self._seed, position

    def __repr__(self) -> str:
        return f"<flambeau.Generator device={self.device} seed={self._seed} position={self._offset}>"

    def __reduce__(self) -> Any:
        return (_rebuild, (self._seed, self._offset))


def _rebuild(seed: int, offset: int) -> Generator:
    made = Generator()
    made._seed, made._offset = seed, offset
    return made


#: The generator that is used where none is given.
default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Start the default generator from `seed`, so that what follows can be repeated; returns the generator."""
    return default_generator.manual_seed(int(seed))


def seed() -> int:
    """Start the default generator from a seed of the operating system; returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Any:
    """The state of the default generator as a tensor."""
    return default_generator.get_state()


def set_rng_state(new_state: Any) -> None:
    """Put the default generator back to a state that `get_rng_state` gave."""
    default_generator.set_state(new_state)


@contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, **ignored: Any) -> Iterator[None]:
    """A block after which the default generator is where it was before."""
    before = default_generator._seed, default_generator._offset
    try:
        yield
    finally:
        if enabled:
            default_generator._seed, default_generator._offset = before


# --------------------------------------------------------------------------------------------------------- filling


def _checked(generator: Any) -> Generator:
    if not isinstance(generator, Generator):
        raise TypeError(
            f"argument 'generator' must be flambeau.Generator, not {type(generator).__name__}; make one with "
            "flambeau.Generator().manual_seed(0)"
        )
    return generator


#: Inside vmap: how many numbers are drawn where one example needs `count`; set by `flambeau.func.batching`.
draws: Any = None


def next_place(generator: Generator | None, count: int) -> tuple[Any, Any]:
    """Seed, as the kernels read it (signed), and position for the next `count` numbers.

    While a compiled function is recorded they are tensors that follow the generator.
    """
    source = default_generator if generator is None else _checked(generator)
    if draws is not None:
        count = draws(count)
    count += -count % BLOCK  # the next numbers begin a block, which is the quickest
    if recording.active is not None:
        return recording.active.random(source, count)
    seed, position = source.take(count)
    return seed - ((seed >> 63) << 64), position


_LEVELS = {"float16": 2.0**11, "bfloat16": 2.0**8}


def _fill(tensor: Any, kind: str, a: Any, b: Any, generator: Generator | None) -> Any:
    if tensor.is_complex():  # the variance of a complex number is that of its two parts together
        _fill(_core.view_as_real(tensor), kind, a, b * 0.5**0.5 if kind == "normal" else b, generator)
        return tensor
    seed, position = next_place(generator, tensor.numel())
    if kind == "uniform":
        levels = _LEVELS.get(tensor.dtype.name, 2.0**24)
        return philox.random_uniform.inplace(tensor, a, b, seed, position, levels)
    if kind == "normal":
        return philox.random_normal.inplace(tensor, a, b, seed, position)
    if kind == "integers":
        operation = philox.random_integers if b - a < 1 << 32 else philox.random_integers_wide
        return operation.inplace(tensor, a, b - a, seed, position)
    return philox.random_bernoulli.inplace(tensor, a, seed, position)


def _new(name: str, size: Sequence[Any], named: dict[str, Any], dtype: DType | None, device: Any) -> Any:
    if named:
        size = named.pop("size", size)
        for ignored in ("layout", "pin_memory", "memory_format", "names"):
            named.pop(ignored, None)
        if named:
            raise TypeError(f"{name}: got an unexpected keyword argument {next(iter(named))!r}")
    if device is not None:
        check_device(device)
    kind = dtype or dtypes._default
    if not isinstance(kind, DType):
        kind = check_dtype(name, kind)
    if kind.category < 2:
        raise DTypeError(f"{name}: needs a floating dtype, got {kind}; for integers use randint")
    return _core.empty(as_shape(size), kind)


def rand(
    *size: Any, generator: Generator | None = None, out: Any = None, dtype: DType | None = None, device: Any = None,
    requires_grad: bool = False, **named: Any,
) -> Any:  # fmt: skip
    """Numbers evenly distributed over [0, 1), in the given shape."""
    result = _fill(_new("rand", size, named, dtype, device), "uniform", 0.0, 1.0, generator)
    if requires_grad:
        result.requires_grad_(True)
    return deliver(result, out)


def randn(
    *size: Any, generator: Generator | None = None, out: Any = None, dtype: DType | None = None, device: Any = None,
    requires_grad: bool = False, **named: Any,
) -> Any:  # fmt: skip
    """Numbers from the normal distribution with mean 0 and variance 1, in the given shape."""
    result = _fill(_new("randn", size, named, dtype, device), "normal", 0.0, 1.0, generator)
    if requires_grad:
        result.requires_grad_(True)
    return deliver(result, out)


def randint(
    low: Any, high: Any = None, size: Any = None, *, generator: Generator | None = None, out: Any = None,
    dtype: DType | None = None, device: Any = None, requires_grad: bool = False, **named: Any,
) -> Any:  # fmt: skip
    """Integers evenly distributed over low, ..., high - 1; `randint(high, size)` starts from 0."""
    if size is None:
        if isinstance(high, (tuple, list)):
            low, high, size = 0, low, high
        else:
            raise TypeError("randint: give randint(high, size) or randint(low, high, size), with size a tuple")
    elif high is None:
        low, high = 0, low
    if device is not None:
        check_device(device)
    low, high = int(low), int(high)
    if low >= high:
        raise RuntimeError(f"randint: expects 'from' to be less than 'to', but got from={low} >= to={high}")
    dtype = dtype or dtypes.int64
    _check_integers("randint", low, high, dtype)
    result = _integers(_core.empty(as_shape((size,)), dtype), low, high, generator)
    if requires_grad:
        result.requires_grad_(True)
    return deliver(result, out)


def _check_integers(name: str, low: int, high: int, dtype: Any) -> None:
    dtype = check_dtype(name, dtype)
    if dtype.category == 1:
        limits = dtypes.iinfo(dtype)
        if low < limits.min or high - 1 > limits.max:
            raise RuntimeError(f"{name}: [{low}, {high}) is out of bounds for {dtype}, which holds {limits}")


def _integers(result: Any, low: int, high: int, generator: Generator | None) -> Any:
    """Fill a tensor of any dtype with integers from [low, high)."""
    if result.dtype is dtypes.int64:
        return _fill(result, "integers", low, high, generator)
    wide = _fill(_core.empty(tuple(result.shape), dtypes.int64), "integers", low, high, generator)
    result.copy_(wide)
    return result


def randperm(
    n: int, *, generator: Generator | None = None, out: Any = None, dtype: DType | None = None, device: Any = None,
    requires_grad: bool = False, **named: Any,
) -> Any:  # fmt: skip
    """The numbers 0, ..., n - 1 in a random order, every order equally likely."""
    if n < 0:
        raise RuntimeError(f"randperm: n must be non-negative, got {n}")
    if device is not None:
        check_device(device)
    keys = _fill(_core.empty((n,), dtypes.int64), "integers", 0, 1 << 62, generator)
    order = _core.permutation(keys)
    if dtype is not None:
        order = order.to(dtype)
    return deliver(order, out)


def rand_like(input: Any, *, dtype: DType | None = None, generator: Generator | None = None, **options: Any) -> Any:
    """`rand` with the shape, and without `dtype` the dtype, of `input`."""
    if not isinstance(input, Tensor):
        raise not_tensor("rand_like", input)
    return rand(size=input.shape, dtype=dtype or input.dtype, generator=generator, **options)


def randn_like(input: Any, *, dtype: DType | None = None, generator: Generator | None = None, **options: Any) -> Any:
    """`randn` with the shape, and without `dtype` the dtype, of `input`."""
    if not isinstance(input, Tensor):
        raise not_tensor("randn_like", input)
    return randn(size=input.shape, dtype=dtype or input.dtype, generator=generator, **options)


def randint_like(
    input: Any, low: int, high: int | None = None, *, dtype: DType | None = None, generator: Generator | None = None,
    **options: Any,
) -> Any:  # fmt: skip
    """`randint` with the shape, and without `dtype` the dtype, of `input`."""
    check_tensor("randint_like", input)
    if high is None:
        low, high = 0, low
    return randint(low, high, tuple(input.shape), dtype=dtype or input.dtype, generator=generator, **options)


# --------------------------------------------------------------------------------------------------- distributions


def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, out: Any = None,
    dtype: DType | None = None, device: Any = None, requires_grad: bool = False, **ignored: Any,
) -> Any:  # fmt: skip
    """Normally distributed numbers: one for each element of `mean` and `std`, or `size` of them from two numbers."""
    tensors = [x for x in (mean, std) if isinstance(x, Tensor)]
    if not tensors:
        if size is None:
            raise TypeError("normal: two numbers need a size: normal(mean, std, size)")
        result = randn(size=size, generator=generator, dtype=dtype, device=device)
        result = result * std + mean
        if requires_grad:
            result.requires_grad_(True)
        return deliver(result, out)
    if not isinstance(std, Tensor) and std < 0:
        raise RuntimeError(f"normal: expects std >= 0.0, but found std {std}")
    from flambeau.ops.constructors import broadcast_shapes

    shape = broadcast_shapes(*[t.shape for t in tensors])
    noise = _fill(_core.empty(shape, tensors[0].dtype), "normal", 0.0, 1.0, generator)
    plain = [x.detach() if isinstance(x, Tensor) else x for x in (mean, std)]
    return deliver(noise * plain[1] + plain[0], out)


def bernoulli(input: Any, p: float | None = None, *, generator: Generator | None = None, out: Any = None) -> Any:
    """1 with the probability in each element of `input` (or `p`), else 0."""
    check_tensor("bernoulli", input)
    result = _core.empty(tuple(input.shape), input.dtype)
    return deliver(bernoulli_(result, input if p is None else p, generator=generator), out)


def _places_in_rows(edges: Any, values: Any) -> Any:
    """How many of a row's ascending edges (N, C) each of its values (N, S) has reached, by halving all at once."""
    import numpy

    if len(edges) == 1:
        return numpy.searchsorted(edges[0], values[0], "right")[None]
    low = numpy.zeros(values.shape, "int64")
    high = numpy.full(values.shape, edges.shape[-1], "int64")
    for _ in range(edges.shape[-1].bit_length()):
        middle = (low + high) >> 1
        # where low has met high = C, the last edge is read, which changes nothing
        reached = values >= numpy.take_along_axis(edges, numpy.minimum(middle, edges.shape[-1] - 1), -1)
        open_ = low < high
        low, high = numpy.where(reached & open_, middle + 1, low), numpy.where(reached, high, middle)
    return low


def multinomial(
    input: Any, num_samples: int, replacement: bool = False, *, generator: Generator | None = None, out: Any = None
) -> Any:
    """`num_samples` column numbers for each row of weights (C,) or (N, C), drawn with or without replacement.

    Raises RuntimeError for negative weights, rows of zeros, or more samples than columns without replacement.
    """
    check_tensor("multinomial", input)
    if input.ndim not in (1, 2):
        raise shape_error("multinomial", "prob_dist must be 1 or 2 dim", input=input)
    check_out("multinomial", out, dtypes.int64)
    if not input.dtype.is_floating_point:
        raise DTypeError(f"multinomial: needs floating weights, got {input.dtype}; use input.float()")
    if num_samples <= 0:
        raise RuntimeError(f"multinomial: cannot sample num_samples <= 0, got {num_samples}")
    if not replacement and num_samples > input.shape[-1]:
        raise RuntimeError(
            f"multinomial: cannot sample num_samples > prob_dist.size(-1) samples without replacement: {num_samples} "
            f"of {input.shape[-1]}; pass replacement=True"
        )
    rows = math.prod(input.shape[:-1])
    places = _core.empty((rows, num_samples if replacement else input.shape[-1]), dtypes.float64)
    _fill(places, "uniform", 0.0, 1.0, generator)
    draw = functools.partial(_draw, num_samples, replacement)
    return deliver(recording.host("multinomial", draw, input.detach(), places), out)


def _draw(num_samples: int, replacement: bool, input: Any, uniform: Any) -> Any:
    """The columns that uniform numbers choose."""
    import numpy

    weights = input.double()
    if not bool(weights.isfinite().all()) or bool((weights < 0).any()):
        raise RuntimeError("multinomial: probability tensor contains either `inf`, `nan` or element < 0")
    if bool((weights.sum(-1) <= 0).any()):
        raise RuntimeError("multinomial: invalid multinomial distribution (sum of probabilities <= 0)")
    shape, columns = (*weights.shape[:-1], num_samples), weights.shape[-1]
    weights = weights.reshape(-1, columns)
    if not replacement:  # the smallest waiting times, each exponential with its weight as the rate
        waiting = (-uniform).log1p().neg() / weights
        if num_samples * 8 <= columns or columns <= 1024:
            return _core.few_extremes(waiting, num_samples, False).reshape(shape)
        return waiting.argsort(-1, stable=True)[:, :num_samples].reshape(shape)
    rows = to_numpy(weights)
    edges = rows.cumsum(-1)
    last = columns - 1 - numpy.argmax(rows[:, ::-1] > 0, axis=-1)
    found = numpy.minimum(_places_in_rows(edges, to_numpy(uniform) * edges[:, -1:]), last[:, None])
    return to_tensor(found.reshape(shape), dtypes.int64)


def _from_numpy(name: str, draw: Any, generator: Generator | None, *tensors: Any) -> Any:
    """draw(NumPy generator at a fresh place of the stream, *arrays) as a tensor of the first tensor's dtype."""
    place = [x if isinstance(x, Tensor) else _core.full((), x, dtypes.int64) for x in next_place(generator, 1)]

    def compute(seed: Any, position: Any, *tensors: Any) -> Any:
        import numpy

        key = numpy.random.Philox(key=[seed.item() & _MASK, position.item()])
        found = draw(numpy.random.Generator(key), *map(to_numpy, tensors))
        return to_tensor(numpy.asarray(found, "float64"), tensors[0].dtype)

    return recording.host(name, compute, *place, *(t.detach() for t in tensors))


def _host_generator(generator: Generator | None) -> Any:
    """A NumPy generator at a fresh place of the stream, for what NumPy draws and no plan repeats."""
    import numpy

    seed, position = (default_generator if generator is None else _checked(generator)).take(1)
    return numpy.random.Generator(numpy.random.Philox(key=[seed & _MASK, position]))


def poisson(input: Any, generator: Generator | None = None) -> Any:
    """Poisson distributed numbers with the rates in `input`."""
    check_tensor("poisson", input)

    def draw(source: Any, rates: Any) -> Any:
        if (rates < 0).any():
            raise RuntimeError("poisson: rates must not be negative")
        return source.poisson(rates, rates.shape)

    return _from_numpy("poisson", draw, generator, input)


def binomial(count: Any, prob: Any, generator: Generator | None = None) -> Any:
    """How many of `count` trials succeed, each with probability `prob`."""
    check_tensor("binomial", count, "count")
    check_tensor("binomial", prob, "prob")
    return _from_numpy("binomial", lambda source, n, p: source.binomial(n.astype("int64"), p), generator, count, prob)


def random_dropout(input: Any, p: float, generator: Generator | None = None) -> Any:
    """Each element zeroed with probability `p`, the others over 1 - p; backward draws the mask again."""
    if p >= 1.0:
        return input * 0.0
    seed, position = next_place(generator, input.numel())
    return philox.dropout(input, p, 1.0 / (1.0 - p), seed, position)


# ------------------------------------------------------------------------------------------------ in-place methods


def uniform_(self: Any, a: float = 0, b: float = 1, *, generator: Generator | None = None, **limits: Any) -> Any:
    """Fill this tensor with numbers evenly distributed over [a, b)."""
    check_tensor("uniform_", self, "self")
    a, b = limits.pop("from", a), limits.pop("to", b)
    if a > b:
        raise RuntimeError(f"uniform_: expects to return a [from, to) range, but found from={a} > to={b}")
    return _fill(self, "uniform", float(a), float(b), generator)


def normal_(self: Any, mean: float = 0, std: float = 1, *, generator: Generator | None = None) -> Any:
    """Fill this tensor with normally distributed numbers."""
    check_tensor("normal_", self, "self")
    if std < 0:
        raise RuntimeError(f"normal_: expects std >= 0.0, but found std {std}")
    return _fill(self, "normal", float(mean), float(std), generator)


def random_(self: Any, a: Any = None, b: Any = None, *, generator: Generator | None = None, **limits: Any) -> Any:
    """Fill this tensor with integers from [a, b), or [0, a), or all that its dtype can hold."""
    check_tensor("random_", self, "self")
    a, b = limits.pop("from", a), limits.pop("to", b)
    if b is None:
        a, b = (0, a) if a is not None else (0, _random_limit(self.dtype))
    if a >= b:
        raise RuntimeError(f"random_: expects 'from' to be less than 'to', but got from={a} >= to={b}")
    return _integers(self, int(a), int(b), generator)


def _random_limit(dtype: DType) -> int:
    digits = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53, "bool": 1}
    if dtype.name in digits:
        return 2 ** digits[dtype.name] + (dtype.category == 2)
    return min(dtypes.iinfo(dtype).max, (1 << 63) - 2) + 1


def bernoulli_(self: Any, p: Any = 0.5, *, generator: Generator | None = None) -> Any:
    """Fill this tensor with ones, with probability `p` (a number or a tensor), and zeros."""
    check_tensor("bernoulli_", self, "self")
    if isinstance(p, Tensor):
        recording.host("bernoulli_", _check_odds, p.detach())
        uniform = _fill(_core.empty(tuple(self.shape), dtypes.float32), "uniform", 0.0, 1.0, generator)
        return self.copy_(uniform < p.detach())
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_: expects p to be in [0, 1], but got p={p}")
    return _fill(self, "bernoulli", float(p), 0.0, generator)


def _check_odds(p: Any) -> None:
    odds = to_numpy(p)
    if ((odds < 0) | (odds > 1)).any():
        raise RuntimeError("bernoulli_: expects p to be in [0, 1] everywhere")


def _spare(self: Any, generator: Generator | None) -> Any:
    """Float64 numbers from [0, 1) in the shape of this tensor."""
    return _fill(_core.empty(tuple(self.shape), dtypes.float64), "uniform", 0.0, 1.0, generator)


def exponential_(self: Any, lambd: float = 1, *, generator: Generator | None = None) -> Any:
    """Fill this tensor with exponentially distributed numbers of rate `lambd`."""
    check_tensor("exponential_", self, "self")
    if lambd <= 0:
        raise RuntimeError(f"exponential_: expects lambd > 0.0, but found lambd={lambd}")
    return self.copy_((-_spare(self, generator)).log1p() * (-1.0 / lambd))


def cauchy_(self: Any, median: float = 0, sigma: float = 1, *, generator: Generator | None = None) -> Any:
    """Fill this tensor with Cauchy distributed numbers."""
    check_tensor("cauchy_", self, "self")
    if sigma <= 0:
        raise RuntimeError(f"cauchy_: expects sigma > 0.0, but found sigma={sigma}")
    return self.copy_(((_spare(self, generator) - 0.5) * 3.141592653589793).tan() * float(sigma) + float(median))


def geometric_(self: Any, p: float, *, generator: Generator | None = None) -> Any:
    """Fill this tensor with the number of trials until the first success, of probability `p`."""
    check_tensor("geometric_", self, "self")
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_: expects p to be in (0, 1), but got p={p}")
    waited = (-_spare(self, generator)).log1p() * (1.0 / math.log1p(-p))
    return self.copy_(waited.ceil().clamp(min=1.0))


def log_normal_(self: Any, mean: float = 1, std: float = 2, *, generator: Generator | None = None) -> Any:
    """Fill this tensor with numbers whose logarithm is normally distributed."""
    check_tensor("log_normal_", self, "self")
    if std <= 0:
        raise RuntimeError(f"log_normal_: expects std > 0.0, but found std={std}")
    noise = _fill(_core.empty(tuple(self.shape), dtypes.float64), "normal", float(mean), float(std), generator)
    return self.copy_(noise.exp())


METHODS = {
    "bernoulli": bernoulli,
    "bernoulli_": bernoulli_,
    "cauchy_": cauchy_,
    "exponential_": exponential_,
    "geometric_": geometric_,
    "log_normal_": log_normal_,
    "multinomial": multinomial,
    "normal_": normal_,
    "random_": random_,
    "uniform_": uniform_,
}
