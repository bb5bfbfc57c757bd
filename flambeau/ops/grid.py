"""Sampling images and volumes at the places a grid names, and grids of affine maps.

Each dimension of a place becomes taps: the elements it lies between, and their weights. Taps and weighted sums are
declared here; between them the elements are gathered, so all of it differentiates, also twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau import _core, dtypes
from flambeau.errors import DTypeError, ShapeError
from flambeau.ops.arguments import check_tensor, in_float32, integers, shape_error, with_gradient

from ..compiler import scalar as s
from ..compiler.declare import elementwise

__all__ = ["affine_grid_generator", "grid_sampler", "grid_sampler_2d", "grid_sampler_3d"]

METHODS: dict[str, Any] = {}

# ------------------------------------------------------------------------------------------------------- declarations


def _place(x, size, align):
    """Where -1 ... 1 lies among 0 ... size - 1; NaN counts as -1."""
    x = s.where(s.isnan(x), s.constant(-1.0, x), x)
    return s.where(align, (x + 1.0) * 0.5 * (size - 1.0), ((x + 1.0) * size - 1.0) * 0.5)


def _clip(place, size):
    """`place` inside 0 ... size - 1; its gradient is 0 at the ends and outside."""
    return s.where(place <= 0.0, 0.0, s.where(place >= size - 1.0, size - 1.0, place))


def _reflect(place, size, align):
    """`place` mirrored at the ends as often as needed: at the outermost elements, or half an element further out."""
    low = s.where(align, s.constant(0.0, place), -0.5)
    span = s.where(align, size - 1.0, size)
    safe = s.where(span > 0.0, span, s.constant(1.0, span))
    away = s.absolute(place - low)
    turns = s.floor(away / safe)
    rest = away - turns * safe
    even = s.floor(turns * 0.5) * 2.0 == turns
    return s.where(span > 0.0, s.where(even, rest, safe - rest) + low, s.constant(0.0, place))


def _inside(place, size, align, border, reflect):
    """`place` as the padding mode takes it: as it is, or brought inside."""
    mirrored = s.where(reflect, _reflect(place, size, align), place)
    return s.where(border | reflect, _clip(mirrored, size), place)


def _index(i, size):
    """A whole number as an index, and 1 where it is one, else 0."""
    held = s.where(i < 0.0, 0.0, s.where(i > size - 1.0, size - 1.0, i))
    return s.cast(held, "int64"), s.where((i >= 0.0) & (i <= size - 1.0), s.constant(1.0, i), 0.0)


_FLAGS: dict[str, Any] = {
    "accepts": "floating", "roles": {"align": "bool", "border": "bool", "reflect": "bool"}, "tolerance": 64,
    "domain": (0.25, 0.35), "samples": ({"size": 9.0},),  # between two elements: weights near 0 are all rounding
}  # fmt: skip


@elementwise(outputs=("result", "int64"), **_FLAGS)
def grid_nearest(x, size=5.0, align=False, border=False, reflect=False):
    """1, or 0 for what lies outside, and the index of the element nearest to a place, halves to the even one."""
    index, valid = _index(s.round_even(_inside(_place(x, size, align), size, align, border, reflect)), size)
    return valid, index


# The first output must be the one with a gradient.
@elementwise(outputs=("result", "result", "int64", "int64"), **_FLAGS)
def grid_linear(x, size=5.0, align=False, border=False, reflect=False):
    """The weights of the two elements around a place, 0 for what lies outside, and their indices."""
    place = _inside(_place(x, size, align), size, align, border, reflect)
    before = s.floor(place)
    first, found_first = _index(before, size)
    second, found_second = _index(before + 1.0, size)
    share = place - before
    return (1.0 - share) * found_first, share * found_second, first, second


def _cubic_taps(place, size, align, border, reflect):
    """Indices of the four elements around a place, and whether each is one; every one is brought inside by itself."""
    before = s.floor(place)
    return [_index(_inside(before + float(k - 1), size, align, border, reflect), size) for k in range(4)]


@elementwise(outputs=("int64",) * 4, **_FLAGS)
def grid_cubic_indices(x, size=5.0, align=False, border=False, reflect=False):
    """The indices of the four elements around a place."""
    return tuple([index for index, _ in _cubic_taps(_place(x, size, align), size, align, border, reflect)])


def _cubic_weights(x, size, align, border, reflect, of):
    """Weights of two of the four elements around a place, by cubic convolution with a = -0.75; 0 outside."""
    place = _place(x, size, align)
    t, a = place - s.floor(place), -0.75
    u = 1.0 - t
    weights = (
        a * t * u * u,
        ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0,
        ((a + 2.0) * u - (a + 3.0)) * u * u + 1.0,
        a * u * t * t,
    )
    taps = _cubic_taps(place, size, align, border, reflect)
    return tuple([weights[k] * taps[k][1] for k in of])


@elementwise(outputs=("result", "result"), **_FLAGS)
def grid_cubic_before(x, size=5.0, align=False, border=False, reflect=False):
    """The weights of the two elements before a place, by cubic convolution; 0 for what lies outside."""
    return _cubic_weights(x, size, align, border, reflect, (0, 1))


@elementwise(outputs=("result", "result"), **_FLAGS)
def grid_cubic_after(x, size=5.0, align=False, border=False, reflect=False):
    """The weights of the two elements after a place, by cubic convolution; 0 for what lies outside."""
    return _cubic_weights(x, size, align, border, reflect, (2, 3))


@elementwise(accepts="real", differentiable=False, tolerance=8, domain=(0.1, 2.0))  # terms of one sign
def blend_two(a, b, u, v):
    """a * u + b * v."""
    return a * u + b * v


# ----------------------------------------------------------------------------------------------------------- sampling


def _blend(a: Any, b: Any, u: Any, v: Any) -> Any:
    """a * u + b * v for values (N, C, L) and weights (N, 1, L), in one pass. The gradient is made of products, which
    differentiate again; the derived one would have more outputs at second order than a kernel may."""
    result = blend_two(a.detach(), b.detach(), u.detach(), v.detach())

    def vjp(g: Any) -> tuple[Any, ...]:
        to_values = [g * weight if value.requires_grad else None for value, weight in ((a, u), (b, v))]
        to_weights = [(g * value).sum(1, True) if weight.requires_grad else None for value, weight in ((a, u), (b, v))]
        return (*to_values, *to_weights)

    return with_gradient(result, (a, b, u, v), vjp, "GridBlendBackward0")


MODES = ("bilinear", "nearest", "bicubic")
PADDING = ("zeros", "border", "reflection")


def _check(name: str, input: Any, grid: Any, mode: str, padding_mode: str) -> int:
    """The number of sampled dimensions."""
    check_tensor(name, input)
    check_tensor(name, grid, "grid")
    if mode not in MODES:
        raise ValueError(f"{name}: expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: {mode!r}")
    if padding_mode not in PADDING:
        raise ValueError(
            f"{name}: expected padding_mode to be 'zeros', 'border', or 'reflection', but got: {padding_mode!r}"
        )
    dims = input.ndim - 2
    if dims not in (2, 3) or grid.ndim != input.ndim:
        raise shape_error(name, "expected 4D or 5D input and grid with the same number of dimensions", input=input,
                          grid=grid)  # fmt: skip
    if grid.shape[0] != input.shape[0]:
        raise shape_error(name, "expected grid and input to have same batch size", input=input, grid=grid)
    if grid.shape[-1] != dims:
        raise shape_error(name, f"expected grid to have size {dims} in last dimension", input=input, grid=grid)
    if 0 in tuple(input.shape[1:]):
        raise shape_error(name, "expected input to have non-empty spatial dimensions and channels", input=input)
    if mode == "bicubic" and dims == 3:
        raise NotImplementedError(f"{name}: bicubic interpolation only supports 4D input, got {tuple(input.shape)}")
    if input.dtype is not grid.dtype:
        raise DTypeError(
            f"{name}: expected input and grid to have same dtype, but input has {input.dtype} and grid has {grid.dtype}"
        )
    if not input.dtype.is_floating_point:
        raise DTypeError(f"{name}: needs a floating dtype, got {input.dtype}; convert with .float()")
    return dims


@in_float32
def grid_sample(name: str, input: Any, grid: Any, mode: str, padding_mode: str, align_corners: bool) -> Any:
    """`input` (N, C, sizes...) at the places `grid` (N, sizes..., d) names; see `nn.functional.grid_sample`."""
    dims = _check(name, input, grid, mode, padding_mode)
    if input.dtype.name in ("float16", "bfloat16"):
        wide = (input.to(dtypes.float32), grid.to(dtypes.float32))
        return grid_sample(name, *wide, mode, padding_mode, align_corners).to(input.dtype)
    n, c = input.shape[0], input.shape[1]
    sizes, out = tuple(input.shape[2:]), tuple(grid.shape[1:-1])
    count = 1
    for size in out:
        count *= size
    if n == 0 or count == 0:
        return _core.full((n, c, *out), 0.0, input.dtype)
    flags = (bool(align_corners), padding_mode == "border", padding_mode == "reflection")
    places = grid.reshape((n, count, dims))
    indices: list[Any] = []
    weights: list[Any] = []
    for d in range(dims):  # the grid's last dimension counts from the last dimension of the input
        line = places.select(2, dims - 1 - d)
        if mode == "bicubic":
            halves = [f(line, float(sizes[d]), *flags) for f in (grid_cubic_before, grid_cubic_after)]
            factors = (*halves[0], *halves[1])
            indices.append(grid_cubic_indices(line.detach(), float(sizes[d]), *flags))
        else:
            found = (grid_linear if mode == "bilinear" else grid_nearest)(line, float(sizes[d]), *flags)
            half = len(found) // 2
            factors = found[:half]
            indices.append(found[half:])
        weights.append([factor.unsqueeze(1) for factor in factors])
    values = input.reshape((n, c, -1))

    def pick(*chosen: Any) -> Any:
        flat = chosen[0]
        for index, size in zip(chosen[1:], sizes[1:], strict=True):
            flat = flat * size + index
        return _core.gather(values, 2, flat.unsqueeze(1).expand((n, c, count)))

    def plane(*before: Any) -> Any:
        (y0, y1), (x0, x1) = indices[-2:]
        rows = [_blend(pick(*before, y, x0), pick(*before, y, x1), *weights[-1]) for y in (y0, y1)]
        return _blend(*rows, *weights[-2])

    def four(values: list[Any], factors: list[Any]) -> Any:
        return _blend(*values[:2], *factors[:2]) + _blend(*values[2:], *factors[2:])

    if mode == "nearest":
        whole = weights[0][0]
        for weight in weights[1:]:
            whole = whole * weight[0]
        result = pick(*[index[0] for index in indices]) * whole.detach()
    elif mode == "bicubic":
        result = four([four([pick(y, x) for x in indices[1]], weights[1]) for y in indices[0]], weights[0])
    elif dims == 2:
        result = plane()
    else:
        result = _blend(plane(indices[0][0]), plane(indices[0][1]), *weights[0])
    return result.reshape((n, c, *out))


def _named(options: tuple[str, ...], number: int, name: str, argument: str) -> str:
    if not 0 <= number < len(options):
        raise ValueError(f"{name}: {argument} must be one of 0 to {len(options) - 1} {options}, got {number}")
    return options[number]


def grid_sampler(input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Any:
    """`nn.functional.grid_sample` with numbers for the modes.

    Arguments: `interpolation_mode`, 0 bilinear, 1 nearest, 2 bicubic; `padding_mode`, 0 zeros, 1 border, 2 reflection.

    >>> fl.grid_sampler(fl.ones(1, 1, 2, 2), fl.zeros(1, 1, 1, 2), 0, 0, False)
    tensor([[[[1.]]]])
    """
    mode = _named(MODES, interpolation_mode, "grid_sampler", "interpolation_mode")
    around = _named(PADDING, padding_mode, "grid_sampler", "padding_mode")
    return grid_sample("grid_sampler", input, grid, mode, around, align_corners)


def _sampler(dims: int) -> Any:
    name = f"grid_sampler_{dims}d"

    def sampler(input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Any:
        if check_tensor(name, input).ndim != dims + 2:
            raise ShapeError(f"{name}: expected {dims + 2}D input, but it is {tuple(input.shape)}")
        return grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)

    sampler.__name__ = sampler.__qualname__ = name
    sampler.__doc__ = f"`grid_sampler` of {dims + 2}D input."
    return sampler


grid_sampler_2d, grid_sampler_3d = _sampler(2), _sampler(3)


def affine_grid_generator(theta: Any, size: Sequence[int], align_corners: bool) -> Any:
    """The places (N, sizes..., d) that affine maps `theta` send a regular grid to; see `nn.functional.affine_grid`.

    >>> fl.affine_grid_generator(fl.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]), (1, 1, 1, 2), False)
    tensor([[[[-0.5000,  0.0000],
              [ 0.5000,  0.0000]]]])
    """
    name = "affine_grid_generator"
    check_tensor(name, theta, "theta")
    sizes = tuple(integers(name, size, "size"))
    if len(sizes) not in (4, 5):
        raise NotImplementedError(f"{name}: only 4D and 5D sizes are supported, got {sizes}")
    dims, out = len(sizes) - 2, sizes[2:]
    if tuple(theta.shape) != (sizes[0], dims, dims + 1):
        raise shape_error(name, f"expected theta ({sizes[0]}, {dims}, {dims + 1}) for size {sizes}", theta=theta)
    columns = []
    for d in range(dims - 1, -1, -1):
        n = out[d]
        line = _core.arange(0.0, float(n), 1.0, theta.dtype)
        if n <= 1:
            line = line * 0.0
        elif align_corners:
            line = line * (2.0 / (n - 1)) - 1.0
        else:
            line = (line * 2.0 + (1.0 - n)) * (1.0 / n)
        columns.append(line.reshape((n,) + (1,) * (dims - 1 - d)).expand(out).reshape((-1, 1)))
    columns.append(_core.full((columns[0].shape[0], 1), 1.0, theta.dtype))
    base = _core.cat(columns, 1)
    return (base @ theta.transpose(1, 2)).reshape((sizes[0], *out, dims))
