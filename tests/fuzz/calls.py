"""What is called: a call is data (a name, arguments, options), made from a number, the same for every library."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

FLOATS = ("float32", "float32", "float64", "float16")
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
        gradient = self.gradients and dtype in ("float32", "float64") and self.kind != "extreme"
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


UNARY = (
    "abs acos acosh angle asin asinh atan atanh bitwise_not ceil cos cosh deg2rad digamma erf erfc erfinv exp "
    "exp2 expm1 floor frac isfinite isinf isnan isneginf isposinf lgamma log log10 log1p log2 logical_not logit "
    "neg negative positive rad2deg reciprocal relu round rsqrt sigmoid sign signbit sin sinc sinh sqrt square tan "
    "tanh trunc nan_to_num i0 nn.functional.gelu nn.functional.silu nn.functional.mish nn.functional.softplus "
    "nn.functional.elu nn.functional.selu nn.functional.hardswish nn.functional.hardsigmoid nn.functional.relu6 "
    "nn.functional.leaky_relu nn.functional.logsigmoid nn.functional.softsign nn.functional.tanhshrink "
    "nn.functional.hardshrink nn.functional.softshrink nn.functional.celu special.expit special.log_ndtr "
    "special.entr special.i1 special.i0e special.ndtr clone isreal t ravel flatten"
).split()
BINARY = (
    "add sub mul div true_divide floor_divide remainder fmod pow maximum minimum fmax fmin atan2 hypot copysign "
    "nextafter logaddexp logaddexp2 logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor "
    "bitwise_left_shift bitwise_right_shift eq ne lt le gt ge xlogy heaviside gcd lcm ldexp float_power isclose "
    "special.xlog1py rsub nn.functional.mse_loss nn.functional.l1_loss nn.functional.smooth_l1_loss "
    "nn.functional.huber_loss"
).split()
IN_PLACE = (
    "add_ sub_ mul_ div_ pow_ remainder_ fmod_ floor_divide_ eq_ lt_ logical_and_ bitwise_and_ copy_ atan2_ copysign_ "
    "clamp_min_ clamp_max_ fill_"
).split()
REDUCTIONS = (
    "sum mean prod amax amin any all nansum nanmean logsumexp var std var_mean std_mean count_nonzero norm".split()
)
ONE_DIM = (
    "argmax argmin max min cumsum cumprod cummax cummin logcumsumexp softmax log_softmax sort argsort median "
    "nanmedian mode unbind flip diff nn.functional.softmin nn.functional.normalize"
).split()


def unary(m: Maker) -> Call:
    """A function of one tensor."""
    return Call(m.r.choice(UNARY), [m.tensor()], {})


def binary(m: Maker) -> Call:
    """A function of two tensors that broadcast, or of a tensor and a number."""
    name, shape = m.r.choice(BINARY), m.shape()
    first = m.tensor(shape)
    second = (
        m.number() if m.odds(0.25) else m.tensor(m.broadcast(shape), first.array.dtype.name if m.odds(0.6) else None)
    )
    options: dict[str, Any] = {}
    if name in ("add", "sub") and m.odds(0.15):
        options["alpha"] = m.r.choice((2, -1, 0.5))
    if name == "div" and m.odds(0.4):
        options["rounding_mode"] = m.r.choice(("floor", "trunc", None, "round"))
    return Call(name, [second, first] if m.odds(0.1) else [first, second], options)


def ternary(m: Maker) -> Call:
    """A function of three operands."""
    shape = m.shape()
    name = m.r.choice(
        ("where", "addcmul", "addcdiv", "lerp", "clamp", "masked_fill", "clip", "nn.functional.threshold")
    )
    x, dtype = m.tensor(shape), None
    if m.odds(0.7):
        dtype = x.array.dtype.name
    other = [m.tensor(m.broadcast(shape), dtype) for _ in range(2)]
    if name == "where":
        condition = m.tensor(m.broadcast(shape), "bool" if m.odds(0.95) else None)
        return Call(name, [condition, x, m.number() if m.odds(0.3) else other[0]], {})
    if name in ("clamp", "clip"):
        numbers = m.odds(0.6)
        return Call(name, [x, *((m.number(), m.number()) if numbers else other)], {})
    if name == "masked_fill":
        return Call(name, [x, m.tensor(m.broadcast(shape), "bool"), m.number()], {})
    if name == "nn.functional.threshold":
        return Call(name, [x, 0.5, m.r.choice((-1.0, 20, 0))], {})
    if name == "lerp" and m.odds(0.5):
        return Call(name, [x, other[0], m.r.choice((0.0, 0.25, 1.0, 2.5))], {})
    return Call(name, [x, *other], {"value": m.r.choice((2, 0.5))} if name != "lerp" and m.odds(0.3) else {})


def in_place(m: Maker) -> Call:
    """A method that changes its tensor."""
    shape = m.shape()
    first = m.tensor(shape, view=m.r.choice(("same", "transposed", "stepped", "inner")))
    second = (
        m.number() if m.odds(0.4) else m.tensor(m.broadcast(shape), first.array.dtype.name if m.odds(0.7) else None)
    )
    return Call("." + m.r.choice(IN_PLACE), [first, second], {})


def reduction(m: Maker) -> Call:
    """A reduction over some dimensions."""
    name, x = m.r.choice(REDUCTIONS), m.tensor()
    ndim = max(x.array.ndim - (x.view == "offset" and x.array.ndim > 1), 0)
    options: dict[str, Any] = {}
    dims = m.dims(ndim)
    if name == "norm":
        options["p"] = m.r.choice((2, 1, 0, 3, float("inf"), float("-inf"), "fro"))
    if name == "prod" and not isinstance(dims, int):
        dims = m.dim(ndim) if m.odds(0.5) else None
    if dims is not None or name == "logsumexp":
        options["dim"] = 0 if dims is None else dims
        if m.odds(0.4) and name != "count_nonzero":
            options["keepdim"] = m.bool()
    if name in ("var", "std", "var_mean", "std_mean") and m.odds(0.5):
        options["correction"] = m.r.choice((0, 1, 2))
    if name in ("sum", "mean", "prod", "nansum") and m.odds(0.2):
        options["dtype"] = ("dtype", m.dtype("float32", "float64", "int64"))
    return Call(name, [x], options)


def along(m: Maker) -> Call:
    """A function along one dimension."""
    name, x = m.r.choice(ONE_DIM), m.tensor()
    if name in ("median", "nanmedian") and x.view == "expanded":  # wrong in PyTorch, which reorders shared memory
        x = x._replace(view="same")
    ndim = x.array.ndim - (x.view == "offset" and x.array.ndim > 1)
    options: dict[str, Any] = {}
    if name == "flip":
        return Call(name, [x, [m.dim(ndim)] if ndim else []], {})
    if name == "sort" and m.odds(0.5):
        options = {"descending": m.bool(), "stable": True}
    if name == "argsort":
        options = {"stable": True}
    if name == "diff":
        return Call(name, [x], {"n": m.r.randint(0, 2), "dim": m.dim(ndim)})
    if name in ("argmax", "argmin", "max", "min", "median", "nanmedian") and m.odds(0.25):
        return Call(name, [x], {})
    if name in ("argmax", "argmin", "max", "min", "median", "nanmedian", "mode") and m.odds(0.4):
        options["keepdim"] = m.bool()
    return Call(name, [x], {"dim": m.dim(ndim), **options})


def layout(m: Maker) -> Call:
    """A function that moves elements or renames dimensions."""
    x = m.tensor(view="same" if m.odds(0.5) else None)
    shape, ndim = list(x.array.shape), x.array.ndim
    name = m.r.choice(
        "reshape view permute transpose squeeze unsqueeze roll expand chunk split tensor_split narrow select "
        "unfold diagonal tril triu repeat tile rot90 movedim cat stack hstack vstack dstack broadcast_to "
        "repeat_interleave unflatten swapaxes flatten diag diag_embed contiguous as_strided nn.functional.pad "
        "block_diag kron meshgrid atleast_2d split_with_sizes"
        "cartesian_prod combinations fliplr flipud".split()
    )
    dim = m.dim(ndim)
    small = [m.r.randint(0, 3) for _ in range(m.r.randint(max(ndim - 1, 0), ndim + 1))]
    if name in ("reshape", "view"):
        n, sizes = int(np.prod(shape)), []
        while n > 1 and len(sizes) < 4:
            factor = m.r.choice([k for k in range(1, n + 1) if n % k == 0][:8])
            sizes.append(factor)
            n //= factor
        sizes.append(n)
        if m.odds(0.4):
            sizes[m.r.randrange(len(sizes))] = -1
        if m.odds(0.05):
            sizes.append(m.r.choice((2, -1, -2)))
        return Call("." + name, [x, tuple(sizes)], {})
    if name == "permute":
        order = m.r.sample(range(ndim), ndim) if m.odds(0.95) else [dim] * ndim
        return Call(name, [x, tuple(order)], {})
    if name in ("transpose", "swapaxes", "movedim"):
        return Call(name, [x, dim, m.dim(ndim)], {})
    if name in ("squeeze", "unsqueeze"):
        return Call(name, [x, dim], {})
    if name == "roll":
        return Call(name, [x, m.r.randint(-5, 5)], {"dims": dim} if m.odds(0.7) else {})
    if name in ("expand", "broadcast_to"):
        sizes = [m.r.randint(0, 2)] * m.odds(0.3) + [
            m.r.randint(1, 3) if n == 1 else -1 if m.odds(0.3) else n for n in shape
        ]
        return Call("." + name, [x, tuple(sizes)], {})
    if name in ("chunk", "tensor_split"):
        return Call(name, [x, m.r.randint(0 if m.odds(0.1) else 1, 4)], {"dim": dim})
    if name == "split":
        return Call(name, [x, m.r.randint(0 if m.odds(0.1) else 1, 4)], {"dim": dim})
    if name == "split_with_sizes":
        n = shape[dim] if -ndim <= dim < ndim else 1
        cut = m.r.randint(0, n)
        return Call("split", [x, [cut, n - cut + (1 if m.odds(0.1) else 0)]], {"dim": dim})
    if name == "narrow":
        return Call(name, [x, dim, m.r.randint(-2, 4), m.r.randint(-1, 4)], {})
    if name == "select":
        return Call(name, [x, dim, m.r.randint(-4, 4)], {})
    if name == "unfold":
        return Call("." + name, [x, dim, m.r.randint(0, 4), m.r.randint(0 if m.odds(0.1) else 1, 3)], {})
    if name in ("diagonal", "diag_embed"):
        return Call(
            name, [x], {"offset": m.r.randint(-3, 3), "dim1": m.dim(ndim), "dim2": m.dim(ndim)} if m.odds(0.5) else {}
        )
    if name in ("tril", "triu", "diag"):
        return Call(name, [x, m.r.randint(-3, 3)], {})
    if name in ("repeat", "tile"):
        return Call("." + name, [x, tuple(small)], {})
    if name == "rot90":
        return Call(name, [x, m.r.randint(-3, 5), [m.dim(ndim), m.dim(ndim)]], {})
    if name in ("cat", "stack", "hstack", "vstack", "dstack", "block_diag", "cartesian_prod"):
        other = [
            m.tensor(list(shape), x.array.dtype.name if m.odds(0.7) else None, view="same")
            for _ in range(m.r.randint(0, 2))
        ]
        if name == "block_diag":
            return Call(name, [x, *other], {})
        if name == "cartesian_prod":
            return Call(
                name, [m.tensor([m.r.randint(0, 4)], "int64", view="same") for _ in range(m.r.randint(1, 3))], {}
            )
        return Call(name, [[x, *other]], {"dim": dim} if name in ("cat", "stack") else {})
    if name == "repeat_interleave":
        return Call(name, [x, m.r.randint(0, 3)], {"dim": dim} if m.odds(0.7) else {})
    if name == "unflatten":
        n = shape[dim] if -ndim <= dim < ndim else 1
        return Call(name, [x, dim, m.r.choice(((1, n), (n, 1), (-1, 1), (2, -1)))], {})
    if name == "flatten":
        return Call(name, [x, m.dim(ndim), m.dim(ndim)], {})
    if name == "as_strided":
        sizes = tuple(m.r.randint(0, 3) for _ in range(m.r.randint(0, 3)))
        strides = tuple(m.r.randint(0, 4) for _ in sizes)
        return Call(name, [m.tensor([40], view="same"), sizes, strides, m.r.randint(0, 10)], {})
    if name == "nn.functional.pad":
        count = m.r.choice((2, 4)) if m.odds(0.95) else 3
        mode = m.r.choice(("constant", "constant", "reflect", "replicate", "circular"))
        pads = tuple(m.r.randint(-1 if mode == "constant" else 0, 3) for _ in range(count))
        return Call(name, [x, pads], {"mode": mode})
    if name == "kron":
        return Call(name, [m.tensor(m.shape(m.r.randint(0, 2))), m.tensor(m.shape(m.r.randint(0, 2)))], {})
    if name == "meshgrid":
        return Call(
            name,
            [m.tensor([m.r.randint(0, 4)], "float32", view="same") for _ in range(m.r.randint(1, 3))],
            {"indexing": m.r.choice(("xy", "ij"))},
        )
    if name == "combinations":
        return Call(
            name, [m.tensor([m.r.randint(0, 5)], view="same")], {"r": m.r.randint(0, 3), "with_replacement": m.bool()}
        )
    return Call(name, [x], {})


def indexing(m: Maker) -> Call:
    """Reading and writing at positions that tensors name."""
    name = m.r.choice(
        "gather scatter scatter_add scatter_reduce index_select index_add index_copy index_fill take "
        "take_along_dim masked_select masked_scatter nonzero argwhere __getitem__ __getitem__ __getitem__ "
        "__setitem__ index_put_ nn.functional.embedding"
        "nn.functional.one_hot".split()
    )
    shape = m.shape(m.r.choice((1, 1, 2, 2, 3)))
    x, ndim = m.tensor(shape, view="same" if m.odds(0.6) else "transposed"), len(shape)
    if x.view == "transposed" and ndim > 1:
        shape = [shape[-1], *shape[1:-1], shape[0]]
    dim = m.dim(ndim)
    size = shape[dim] if -ndim <= dim < ndim else 1
    if name in ("gather", "take_along_dim", "scatter", "scatter_add", "scatter_reduce"):
        sizes = [m.r.randint(0 if m.odds(0.05) else 1, max(n, 1)) for n in shape]
        if name == "take_along_dim" and -ndim <= dim < ndim:
            sizes = [n if d != dim % ndim else m.r.randint(1, 4) for d, n in enumerate(shape)]
        index = m.index(sizes, size, negative=False)
        index = index._replace(array=index.array.astype("int64"))
        if name == "gather":
            return Call(name, [x, dim, index], {})
        if name == "take_along_dim":
            return Call(name, [x, index, dim], {})
        source = m.tensor(
            [n + m.r.randint(0, 1) for n in sizes], x.array.dtype.name if m.odds(0.95) else None, view="same"
        )
        if name == "scatter":  # equal positions with different values: any of them may be written
            source = source._replace(array=np.full_like(source.array, 1))
        if name == "scatter_reduce":
            how = m.r.choice(("sum", "prod", "mean", "amax", "amin"))
            return Call(name, [x, dim, index, source, how], {"include_self": m.bool()})
        return Call(name, [x, dim, index, source], {})
    if name == "index_select":
        return Call(name, [x, dim, m.index([m.r.randint(0, 5)], size, negative=False)], {})
    if name in ("index_add", "index_copy"):
        count = m.r.randint(0, 4) if name == "index_add" else min(size, 1)
        index = m.index([count], size, negative=False)
        sizes = [n if d != dim % max(ndim, 1) else count for d, n in enumerate(shape)]
        return Call(name, [x, dim, index, m.tensor(sizes, x.array.dtype.name, view="same")], {})
    if name == "index_fill":
        return Call(name, [x, dim, m.index([m.r.randint(0, 4)], size)._replace(view="same"), m.number()], {})
    if name == "take":
        index = m.index(m.shape(), int(np.prod(shape)))
        return Call(name, [x, index._replace(array=index.array.astype("int64"))], {})
    if name in ("masked_select", "masked_scatter"):
        mask = m.tensor(m.broadcast(shape), "bool", view="same")
        if name == "masked_select":
            return Call(name, [x, mask], {})
        return Call(
            name,
            [
                x,
                mask,
                m.tensor([int(np.prod(shape)) + m.r.randint(-1, 1) if shape else 1], x.array.dtype.name, view="same"),
            ]
            if int(np.prod(shape)) > 1
            else [x, mask, x],
            {},
        )
    if name in ("nonzero", "argwhere"):
        return Call(name, [x], {})
    if name == "nn.functional.embedding":
        weight = m.tensor(m.shape(2), m.dtype("float32", "float64"), view="same")
        return Call(name, [m.index(m.shape(), weight.array.shape[0], negative=False), weight], {})
    if name == "nn.functional.one_hot":
        index = m.index(m.shape(), 5, negative=False)
        return Call(
            name, [index._replace(array=index.array.astype("int64"))], {"num_classes": m.r.choice((-1, 5, 6, 9))}
        )
    key: list[Any] = []
    left = list(shape)
    while left and m.odds(0.8):
        n = left.pop(0)
        what = m.r.choice(("int", "slice", "slice", "index", "mask", "list", "none", "ellipsis", "bool"))
        if what in ("none", "bool"):
            left.insert(0, n)
            key.append(None if what == "none" else m.bool())
        elif what == "int":
            key.append(m.r.randint(-n, max(n - 1, 0)) if m.odds(0.95) else n)
        elif what == "slice":
            key.append(
                slice(*(m.r.choice((None, m.r.randint(-n - 1, n + 1))) for _ in range(2)), m.r.choice((None, 1, 2, 3)))
            )
        elif what == "index":
            key.append(m.index(m.shape(m.r.randint(0, 2)), n))
        elif what == "mask":
            mask = m.numbers.random(n) < 0.5
            key.append(Data(mask, "same"))
        elif what == "list":
            key.append([m.r.randint(-n, max(n - 1, 0)) for _ in range(m.r.randint(0, 3))])
        else:
            key.append(Ellipsis)
            break
    chosen: Any = tuple(key) if len(key) != 1 or m.odds(0.3) else key[0]
    if name == "__getitem__":
        return Call(".__getitem__", [x, chosen], {})
    if name == "index_put_":
        index = [m.index([m.r.randint(0, 3)], n) for n in shape[:1]]
        return Call(".index_put_", [x, index, m.tensor([], x.array.dtype.name, view="same")], {"accumulate": m.bool()})
    value = m.number() if m.odds(0.6) else m.tensor([], x.array.dtype.name, view="same")
    return Call(".__setitem__", [x, chosen, value], {})


def searching(m: Maker) -> Call:
    """Sorting with a count, searching and counting."""
    name = m.r.choice(
        (
            "topk kthvalue unique searchsorted bucketize bincount histc quantile nanquantile isin "
            "unique_consecutive msort"
        ).split()
    )
    x = m.tensor()
    ndim = x.array.ndim - (x.view == "offset" and x.array.ndim > 1)
    if name in ("topk", "kthvalue"):
        return Call(name, [x, m.r.randint(0, 4)], {"dim": m.dim(ndim)})
    if name in ("unique", "unique_consecutive"):
        options = {"return_inverse": m.bool(), "return_counts": m.bool()}
        return Call(name, [x], options)
    if name in ("searchsorted", "bucketize"):
        ordered = m.tensor([m.r.randint(0, 6)], m.dtype("float32", "int64", "float64"), view="same", plain=True)
        ordered = ordered._replace(array=np.sort(ordered.array))
        values = m.tensor(dtype=ordered.array.dtype.name)
        return Call(name, [ordered, values] if name == "searchsorted" else [values, ordered], {"right": m.bool()})
    if name == "bincount":
        options = {"minlength": m.r.randint(0, 5)}
        return Call(name, [m.index([m.r.randint(0, 8)], 6, negative=m.odds(0.1))], options)
    if name == "histc":
        return Call(
            name,
            [m.tensor(dtype=m.dtype("float32", "float64"), plain=True)],
            {"bins": m.r.randint(0 if m.odds(0.1) else 1, 6), "min": m.r.choice((0, -2)), "max": m.r.choice((0, 2))},
        )
    if name in ("quantile", "nanquantile"):
        x = m.tensor(dtype=m.dtype("float32", "float64"), view="same")
        return Call(
            name,
            [x, m.r.choice((0.0, 0.25, 0.5, 1.0, 1.5))],
            {
                "dim": m.dim(x.array.ndim),
                "keepdim": m.bool(),
                "interpolation": m.r.choice(("linear", "lower", "higher", "nearest", "midpoint")),
            },
        )
    if name == "isin":
        dtype = m.dtype("int64", "float32")
        return Call(name, [m.tensor(dtype=dtype), m.tensor(dtype=dtype)], {"invert": m.bool()})
    return Call(name, [x], {})


def product(m: Maker) -> Call:
    """Products of matrices and vectors."""
    n, k, p = (m.r.choice((0, 1, 2, 3, 5, 8, 17)) for _ in range(3))
    dtype = m.dtype("float32", "float64", "float32", "int64", "float16", "bool")
    wrong = m.odds(0.05)
    if m.kind == "extreme" and dtype == "float16":  # a product that overflows before it is added to
        dtype = "float32"

    def matrix(rows: int, columns: int, *batch: int) -> Data:
        if m.odds(0.3):
            return (
                m.tensor([*batch, columns, rows] if not batch else [columns, *batch, rows], dtype, view="transposed")
                if not batch
                else m.tensor([*batch, rows, columns], dtype, view="same")
            )
        return m.tensor([*batch, rows, columns], dtype, view="same")

    name = m.r.choice(
        (
            "matmul matmul mm bmm addmm baddbmm mv dot outer inner tensordot einsum nn.functional.linear addmv "
            "linalg.vecdot nn.functional.bilinear cdist nn.functional.cosine_similarity"
        ).split()
    )
    a, b = matrix(n, k), matrix(k + wrong, p)
    if name == "matmul":
        shapes = m.r.choice(
            (
                ([k], [k]),
                ([n, k], [k]),
                ([k], [k, p]),
                ([2, n, k], [k, p]),
                ([2, 1, n, k], [3, k, p]),
                ([n, k], [2, k, p]),
                ([2, n, k], [2, k, p]),
                ([], [k]),
            )
        )
        return Call(name, [m.tensor(list(shape), dtype) for shape in shapes], {})
    if name == "mm":
        return Call(name, [a, b], {})
    if name == "bmm":
        return Call(name, [matrix(n, k, 2), matrix(k + wrong, p, 2)], {})
    if name in ("addmm", "baddbmm"):
        batch = () if name == "addmm" else (2,)
        start = m.tensor(m.broadcast([*batch, n, p]), dtype)
        options = {"beta": m.r.choice((0, 1, 2)), "alpha": m.r.choice((1, 2, 0))} if m.odds(0.5) else {}
        if m.kind == "extreme":  # a product that overflows float16 before it is scaled, or is scaled by 0
            options.pop("alpha", None)
        return Call(name, [start, matrix(n, k, *batch), matrix(k + wrong, p, *batch)], options)
    if name == "mv":
        return Call(name, [a, m.tensor([k + wrong], dtype)], {})
    if name == "addmv":
        return Call(name, [m.tensor([n], dtype), a, m.tensor([k + wrong], dtype)], {})
    if name in ("dot", "inner", "linalg.vecdot"):
        return Call(name, [m.tensor([k], dtype), m.tensor([k + wrong], dtype)], {})
    if name == "outer":
        return Call(name, [m.tensor([n], dtype), m.tensor([p], dtype)], {})
    if name == "tensordot":
        return Call(name, [a, b], {"dims": m.r.choice((0, 1, ([1], [0]), 2))})
    if name == "einsum":
        text = m.r.choice(
            ("ij,jk->ik", "ij,jk", "ij,jk->", "ij,jk->ki", "ij,jk->ijk", "ij,jk->j", "ij,kj->ik", "ij->ji,jk")
        )
        return Call(name, [text, a, b], {})
    if name == "nn.functional.linear":
        return Call(
            name, [matrix(n, k), m.tensor([p, k + wrong], dtype), m.tensor([p], dtype) if m.bool() else None], {}
        )
    if name == "nn.functional.bilinear":
        return Call(name, [m.tensor([n, k], dtype), m.tensor([n, p], dtype), m.tensor([3, k, p], dtype)], {})
    if name == "cdist":
        return Call(
            name,
            [
                m.tensor([n, k], m.dtype("float32", "float64"), plain=True),
                m.tensor([p, k], "float64" if m.odds(0.1) else "float32", plain=True),
            ],
            {"p": m.r.choice((2.0, 1.0))},
        )
    # Plain: squares of 1e30 overflow, in PyTorch only where there is more than one of them.
    return Call(name, [m.tensor([n, k], dtype, plain=True) for _ in range(2)], {"dim": m.dim(2)})


def layers(m: Maker) -> Call:
    """What layers compute: convolutions, pools, normalisation, losses."""
    name = m.r.choice(
        (
            "conv1d conv2d conv_transpose1d conv_transpose2d max_pool1d max_pool2d avg_pool1d avg_pool2d "
            "adaptive_avg_pool2d adaptive_max_pool1d layer_norm group_norm batch_norm rms_norm instance_norm "
            "cross_entropy nll_loss kl_div binary_cross_entropy binary_cross_entropy_with_logits interpolate "
            "unfold pixel_shuffle glu prelu softmax cosine_embedding_loss margin_ranking_loss triplet_margin_loss "
            "local_response_norm"
        ).split()
    )
    dtype = m.dtype("float32", "float32", "float64")
    function = "nn.functional." + name
    batch, channels = m.r.choice((0, 1, 2, 3)) if m.odds(0.3) else 2, m.r.choice((1, 2, 4, 6))
    side = [m.r.choice((1, 3, 4, 5, 8, 9)) for _ in range(2)]
    if name.startswith("conv"):
        dims = int(name[-2])
        groups = m.r.choice((1, 1, 2, channels))
        out = m.r.choice((2, 4, 6)) if groups in (1, 2) else channels
        kernel = [m.r.choice((1, 2, 3)) for _ in range(dims)]
        transposed = "transpose" in name
        weight = (
            [channels, out // groups if groups else out, *kernel]
            if transposed
            else [out, max(channels // groups, 1), *kernel]
        )
        x = m.tensor([batch, channels, *side[:dims]], dtype, plain=True)
        bias = m.tensor([out], dtype, view="same", plain=True) if m.bool() else None
        options: dict[str, Any] = {
            "stride": m.r.choice((1, 2, 3)),
            "padding": m.r.choice((0, 1, 2)),
            "dilation": m.r.choice((1, 1, 2)),
            "groups": groups,
        }
        if transposed and m.odds(0.3):
            options["output_padding"] = 1
        return Call(function, [x, m.tensor(weight, dtype, view="same", plain=True), bias], options)
    if "pool" in name:
        dims = int(name[-2])
        x = m.tensor([batch, channels, *side[:dims]] if m.odds(0.8) else [channels, *side[:dims]], dtype)
        if name.startswith("adaptive"):  # plain: sums of 1e30 and -1e30 depend on their order
            return Call(function, [m.tensor(list(x.array.shape), dtype, plain=True), m.r.choice((1, 2, 3, 5))], {})
        options = {"stride": m.r.choice((None, 1, 2)), "padding": m.r.choice((0, 0, 1)), "ceil_mode": m.bool()}
        if name.startswith("avg"):
            options["count_include_pad"] = m.bool()
        return Call(function, [x, m.r.choice((1, 2, 3))], options)
    if name in ("layer_norm", "rms_norm"):
        shape = m.shape(m.r.choice((1, 2, 3)))
        last = shape[m.r.randrange(len(shape)) :]
        return Call(
            function,
            [m.tensor(shape, dtype), tuple(last), m.tensor(last, dtype, view="same") if m.bool() else None],
            {},
        )
    if name == "group_norm":
        return Call(function, [m.tensor([batch, channels, side[0]], dtype), m.r.choice((1, 2, channels, 3))], {})
    if name in ("batch_norm", "instance_norm"):
        x = m.tensor([batch, channels, side[0]], dtype)
        if name == "instance_norm":
            return Call(function, [x], {})
        stats = [
            m.tensor([channels], dtype, low=0.5, high=2, view="same", plain=True)._replace(gradient=False)
            for _ in range(2)
        ]
        return Call(function, [x, *stats], {"training": m.bool()})
    if name in ("cross_entropy", "nll_loss"):
        classes = m.r.choice((1, 2, 5, 10))
        rest = [m.r.choice((1, 3))] * m.odds(0.3)
        target = m.index([batch, *rest], classes, negative=False)
        target = target._replace(array=target.array.astype("int64"))
        options = {"reduction": m.r.choice(("mean", "sum", "none", "other" if m.odds(0.1) else "mean"))}
        if m.odds(0.3):
            options["ignore_index"] = m.r.choice((0, 1, -100))
        if name == "cross_entropy" and m.odds(0.3):
            options["label_smoothing"] = 0.1
        return Call(function, [m.tensor([batch, classes, *rest], dtype), target], options)
    if name in ("kl_div", "binary_cross_entropy", "binary_cross_entropy_with_logits"):
        shape = m.shape()
        x, y = (m.tensor(shape, dtype, low=0.01, high=0.99, plain=True) for _ in range(2))
        return Call(function, [x, y], {"reduction": m.r.choice(("mean", "sum", "none"))})
    if name == "interpolate":
        mode = m.r.choice(("nearest", "bilinear", "bicubic", "nearest-exact", "linear", "area"))
        return Call(
            function,
            [m.tensor([batch, channels, *side], dtype, plain=True)],
            {"size": tuple(m.r.choice((1, 2, 5, 7)) for _ in range(2)), "mode": mode},
        )
    if name == "unfold":
        return Call(
            function,
            [m.tensor([batch, channels, *side], dtype), m.r.choice((1, 2, 3))],
            {"padding": m.r.choice((0, 1)), "stride": m.r.choice((1, 2))},
        )
    if name == "pixel_shuffle":
        return Call(function, [m.tensor([batch, m.r.choice((4, 8, 3)), *side], dtype), 2], {})
    if name == "glu":
        return Call(function, [m.tensor(dtype=dtype)], {"dim": -1})
    if name == "prelu":
        return Call(
            function,
            [m.tensor([batch, channels, side[0]], dtype), m.tensor([m.r.choice((1, channels))], dtype, view="same")],
            {},
        )
    if name == "softmax":
        x = m.tensor(dtype=dtype)
        return Call(function, [x], {"dim": m.dim(x.array.ndim)})
    if name == "local_response_norm":
        return Call(function, [m.tensor([batch, channels, *side], dtype, plain=True), m.r.choice((1, 2, 3))], {})
    rows = [m.tensor([batch, 5], dtype, plain=True) for _ in range(3)]
    if name == "triplet_margin_loss":
        return Call(function, rows, {})
    sign = m.tensor([batch], dtype, view="same")._replace(gradient=False)
    sign = sign._replace(array=np.where(sign.array > 0, 1, -1).astype(dtype))
    if name == "margin_ranking_loss":
        return Call(
            function,
            [
                m.tensor([batch], dtype, view="same", plain=True),
                m.tensor([batch], dtype, view="same", plain=True),
                sign,
            ],
            {},
        )
    return Call(function, [*rows[:2], sign], {})


def creating(m: Maker) -> Call:
    """Tensors from numbers."""
    name = m.r.choice(
        (
            "arange arange linspace logspace full eye zeros ones tril_indices triu_indices hann_window vander "
            "tensor full_like"
        ).split()
    )
    number = lambda: m.r.choice((0, 1, 5, -3, 2.5, -0.5, 7, 1e3))  # noqa: E731
    options: dict[str, Any] = {"dtype": ("dtype", m.dtype())} if m.odds(0.4) else {}
    if name == "arange":
        return Call(name, [number(), number(), m.r.choice((1, 2, -1, 0.5, 0, -2.5))][: m.r.randint(1, 3)], options)
    if name in ("linspace", "logspace"):
        return Call(
            name,
            [m.r.choice((0, -2, 1.5)), m.r.choice((3, 2.5, -1)), m.r.choice((0, 1, 2, 5, 50, -1))],
            options if options.get("dtype", ("", "float32"))[1] in ("float32", "float64") else {},
        )
    if name in ("zeros", "ones"):
        return Call(name, [tuple(m.shape()) if m.odds(0.95) else (2, -1)], options)
    if name == "full":
        return Call(name, [tuple(m.shape()), m.number()], options)
    if name == "full_like":
        return Call(name, [m.tensor(), m.number()], options)
    if name in ("eye", "tril_indices", "triu_indices"):
        sizes = [m.r.randint(0, 5), m.r.randint(0, 5)]
        return Call(
            name, sizes if m.odds(0.95) else [-1, 2], options if name == "eye" else {"offset": m.r.randint(-3, 3)}
        )
    if name == "hann_window":
        return Call(name, [m.r.randint(0, 9)], {"periodic": m.bool()})
    if name == "vander":
        return Call(
            name, [m.tensor([m.r.randint(0, 4)], view="same")], {"N": m.r.randint(0, 4), "increasing": m.bool()}
        )

    def nested(depth: int) -> Any:
        if depth == 0:
            return m.number()
        width = m.r.randint(0, 3)
        return [nested(depth - 1 if m.odds(0.97) else 0) for _ in range(width)]

    return Call(name, [nested(m.r.randint(0, 3))], options)


def linear_algebra(m: Maker) -> Call:
    """Factors and solutions of well-conditioned matrices."""
    name = m.r.choice(
        (
            "det inv slogdet cholesky solve pinv matrix_rank matrix_power svdvals eigvalsh matrix_norm "
            "vector_norm matrix_exp lu_factor"
        ).split()
    )
    n = m.r.choice((0, 1, 2, 3, 5))
    batch = m.r.choice(([], [2], [0], [2, 1]))
    a = m.numbers.standard_normal([*batch, n, n])
    a = a @ np.swapaxes(a, -1, -2) + 3 * np.eye(n)
    dtype = m.dtype("float32", "float64")
    x = Data(a.astype(dtype), "same", m.gradients)
    if m.odds(0.05):
        x = m.tensor()
    if name == "solve":
        return Call("linalg.solve", [x, m.tensor([*batch, n, 2], dtype, view="same", plain=True)], {})
    if name == "matrix_power":
        return Call("linalg.matrix_power", [x, m.r.randint(-2, 3)], {})
    if name == "matrix_norm":
        return Call("linalg.matrix_norm", [x, m.r.choice(("fro", "nuc", 1, -1, float("inf"), 2))], {})
    if name == "vector_norm":
        return Call("linalg.vector_norm", [x, m.r.choice((2, 1, 0, 3.5, float("inf")))], {"dim": m.dims(x.array.ndim)})
    return Call("linalg." + name, [x], {})


FAMILIES: dict[Callable[[Maker], Call], int] = {
    unary: 12, binary: 16, ternary: 6, in_place: 7, reduction: 12, along: 10, layout: 14, indexing: 14, searching: 6,
    product: 8, layers: 10, creating: 5, linear_algebra: 3,
}  # fmt: skip


def make(seed: int) -> Call:
    """The call of this number."""
    maker = Maker(seed)
    family = maker.r.choices(list(FAMILIES), list(FAMILIES.values()))[0]
    return family(maker)
