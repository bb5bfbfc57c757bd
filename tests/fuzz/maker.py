"""The parts of a call: tensors before they are made, and the stream that shapes, values and layouts are drawn from."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

FLOATS = ("float32", "float32", "float64", "float16")
COMPLEX = ("complex64", "complex64", "complex128")
INTEGERS = ("int64", "int32", "int16", "int8", "uint8")
EXTREMES = (float("nan"), float("inf"), float("-inf"), -0.0, 0.0, 1e30, -1e30, 1e-30, 3.4e38, 65504.0, 1e-40)


class Data(NamedTuple):
    """A tensor before it is made: its elements, and the view of them that is handed over."""

    array: np.ndarray
    view: str
    gradient: bool = False

    def make(self, library: Any) -> Any:
        """The tensor in a library, with memory of its own."""
        base = library.from_numpy(self.array.copy())
        if self.gradient:
            base.requires_grad_(True)
        return VIEWS[self.view](base)


VIEWS: dict[str, Callable[[Any], Any]] = {
    "same": lambda x: x,
    "transposed": lambda x: x.transpose(0, -1) if x.ndim > 1 else x,
    "stepped": lambda x: x[::2] if x.ndim else x,
    "inner": lambda x: x[..., 1:] if x.ndim and x.shape[-1] > 1 else x,
    "expanded": lambda x: x[:1].expand(x.shape) if x.ndim and x.shape[0] > 0 else x,
    "offset": lambda x: x[-1] if x.ndim > 1 and x.shape[0] > 0 else x,
}


class Call(NamedTuple):
    """One call: `name` under the library ("nn.functional.relu"), or a method of the first argument (".add_")."""

    name: str
    arguments: list[Any]
    options: dict[str, Any]

    def text(self) -> str:
        """The call as one line, for a report."""

        def show(value: Any) -> str:
            if isinstance(value, Data):
                elements = np.array2string(value.array, threshold=40, separator=",").replace("\n", "")
                kind = f"{value.array.dtype.name}{list(value.array.shape)} {value.view}"
                return f"<{kind}{' grad' if value.gradient else ''} {elements}>"
            if isinstance(value, (list, tuple)):
                return f"{type(value).__name__}({', '.join(map(show, value))})"
            return repr(value)

        options = [f"{key}={show(value)}" for key, value in self.options.items()]
        return f"{self.name}({', '.join([*map(show, self.arguments), *options])})"


class Maker:
    """Draws the parts of a call from one random stream."""

    def __init__(self, seed: int) -> None:
        self.r = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.kind = self.r.choice(("small", "small", "small", "extreme", "whole"))
        self.gradients = self.r.random() < 0.15
        self.complex = random.Random(-1 - seed).random() < 0.1  # of a stream of its own: other calls stay as they are

    def odds(self, p: float) -> bool:
        """True with probability p."""
        return self.r.random() < p

    def shape(self, ndim: int | None = None) -> list[int]:
        """A shape of up to four dimensions; sizes are mostly small, now and then 0, 1 or large."""
        ndim = self.r.choice((0, 1, 1, 2, 2, 2, 3, 3, 4)) if ndim is None else ndim
        sizes = [self.r.choice((1, 2, 3, 4, 5, 7, 8)) for _ in range(ndim)]
        if sizes and self.odds(0.08):
            sizes[self.r.randrange(ndim)] = 0
        if sizes and self.odds(0.06):
            sizes[-1] = self.r.choice((16, 17, 33, 64, 100, 1000))
        return sizes

    def dtype(self, *allowed: str) -> str:
        """A dtype, mostly a floating one."""
        if allowed:
            return self.r.choice(allowed)
        if self.complex and self.odds(0.7):
            return self.r.choice(COMPLEX)
        return self.r.choice(FLOATS) if self.odds(0.65) else self.r.choice((*INTEGERS, "bool"))

    def tensor(
        self, shape: list[int] | None = None, dtype: str | None = None, low: float = -3, high: float = 3,
        view: str | None = None, plain: bool = False,
    ) -> Data:  # fmt: skip
        """A tensor of a random shape, dtype, layout and kind of values; `plain`: no special values."""
        shape = self.shape() if shape is None else shape
        dtype = self.dtype() if dtype is None else dtype
        if dtype == "bool":
            array = self.numbers.random(shape) < 0.5
        elif dtype in COMPLEX:
            parts = [self.numbers.uniform(low, high, shape) for _ in range(2)]
            array = np.asarray((parts[0] + 1j * parts[1]).astype(dtype))
        elif dtype in FLOATS:
            array = np.asarray(self.numbers.uniform(low, high, shape))
            if self.kind == "whole":
                array = np.round(array)
            if self.kind == "extreme" and not plain:
                chosen = self.numbers.random(shape) < 0.2
                array = np.where(chosen, self.numbers.choice(EXTREMES, shape), array)
            with np.errstate(all="ignore"):
                array = np.asarray(array.astype(dtype))
        else:
            limits = np.iinfo(dtype)
            array = np.asarray(self.numbers.integers(max(int(low), limits.min), int(high) + 1, shape)).astype(dtype)
            if self.kind == "extreme" and not plain and self.odds(0.3) and array.size:
                array.flat[0] = self.r.choice((limits.max, limits.min))
        if view is None:
            view = self.r.choice(list(VIEWS)) if self.odds(0.45) else "same"
        gradient = self.gradients and dtype in ("float32", "float64", *COMPLEX) and self.kind != "extreme"
        return Data(np.ascontiguousarray(array).reshape(shape), view, gradient)

    def index(self, shape: list[int], limit: int, negative: bool = True) -> Data:
        """Positions below `limit`; now and then one is out of range."""
        low = -limit if negative and self.odds(0.3) else 0
        array = self.numbers.integers(min(low, max(limit, 1) - 1), max(limit, 1), shape)
        if array.size and self.odds(0.05):
            array.flat[-1] = limit + self.r.randrange(3)
        return Data(np.asarray(array, dtype=self.r.choice(("int64", "int64", "int64", "int32"))), "same")

    def dim(self, ndim: int) -> int:
        """A dimension, rarely one that is not there."""
        if self.odds(0.04):
            return self.r.choice((ndim, -ndim - 1, 99))
        return self.r.randrange(-ndim, ndim) if ndim else self.r.choice((0, -1))

    def dims(self, ndim: int) -> Any:
        """None, a dimension or a list of several."""
        if self.odds(0.2):
            return None
        if self.odds(0.5):
            return self.dim(ndim)
        return (
            self.r.sample(range(ndim), self.r.randint(0, ndim))
            if self.odds(0.9)
            else [self.dim(ndim) for _ in range(2)]
        )

    def number(self) -> Any:
        """A Python number or bool."""
        return self.r.choice((0, 1, 2, -1, 3, 0.5, -2.5, 2.0, True, 1e10, -7))

    def broadcast(self, shape: list[int]) -> list[int]:
        """A shape that mostly broadcasts with the given one."""
        if self.odds(0.04):
            return self.shape()
        other = [1 if self.odds(0.3) else n for n in shape]
        return other[self.r.randint(0, len(other)) if self.odds(0.3) else 0 :]

    def bool(self) -> bool:
        """True or False."""
        return self.odds(0.5)
