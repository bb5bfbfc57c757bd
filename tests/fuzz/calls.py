"""What is called: a call is data (a name, arguments, options), made from a number, the same for every library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .layers import creating, layers, linear_algebra, product
from .maker import Call, Data, Maker

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


FAMILIES: dict[Callable[[Maker], Call], int] = {
    unary: 12, binary: 16, ternary: 6, in_place: 7, reduction: 12, along: 10, layout: 14, indexing: 14, searching: 6,
    product: 8, layers: 10, creating: 5, linear_algebra: 3,
}  # fmt: skip


def make(seed: int) -> Call:
    """The call of this number."""
    maker = Maker(seed)
    family = maker.r.choices(list(FAMILIES), list(FAMILIES.values()))[0]
    return family(maker)
