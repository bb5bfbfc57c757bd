"""Every declared operation on complex numbers: against NumPy in complex128, its gradients by differences in both parts.

An operation either has a NumPy function here, or must refuse complex numbers with a DTypeError.
"""

from __future__ import annotations

import numpy
import pytest

import flambeau as fl
import flambeau.ops.update
from flambeau.autograd import gradcheck, gradgradcheck

from .cases import OPERATIONS, DTypeError, call, declare, draw, operation

ANALYTIC = {
    "acos": numpy.arccos, "acosh": numpy.arccosh, "asin": numpy.arcsin, "asinh": numpy.arcsinh, "atan": numpy.arctan,
    "atanh": numpy.arctanh, "cos": numpy.cos, "cosh": numpy.cosh, "exp": numpy.exp, "exp2": numpy.exp2,
    "expm1": numpy.expm1, "log": numpy.log, "log10": numpy.log10, "log1p": numpy.log1p, "log2": numpy.log2,
    "reciprocal": lambda z: 1 / z, "rsqrt": lambda z: 1 / numpy.sqrt(z), "sigmoid": lambda z: 1 / (1 + numpy.exp(-z)),
    "silu": lambda z: z / (1 + numpy.exp(-z)), "sin": numpy.sin,
    "sinc": lambda z: numpy.where(z == 0, 1, numpy.sin(numpy.pi * z) / (numpy.pi * numpy.where(z == 0, 1, z))),
    "sinh": numpy.sinh, "sqrt": numpy.sqrt, "square": numpy.square, "tan": numpy.tan, "tanh": numpy.tanh,
    "tanhshrink": lambda z: z - numpy.tanh(z),
}  # fmt: skip


def _norm(p):
    return lambda z, *_: (numpy.abs(z) ** p).sum(-1) ** (1 / p)


def _spread(z):
    return numpy.var(z, -1, ddof=1)


def _unit(p):
    return lambda z, *_: z / (numpy.abs(z) ** p).sum(-1, keepdims=True) ** (1 / p)


VALUES = {
    **ANALYTIC, "abs": numpy.abs, "add": numpy.add, "add_scaled": lambda x, y, a: x + a * y,
    "addcdiv": lambda x, a, b, v: x + v * a / b, "addcmul": lambda x, a, b, v: x + v * a * b,
    "all": lambda z: (z != 0).all(-1), "angle": numpy.angle, "any": lambda z: (z != 0).any(-1), "conj": numpy.conj,
    "copy": lambda z: z, "count_nonzero": lambda z: (z != 0).sum(-1), "div": lambda x, y: x / y,
    "dot": lambda x, y: (x * y).sum(-1), "eq": numpy.equal, "fill": lambda z, v: numpy.full(z.shape, v),
    "float_power": lambda x, y: x**y, "isclose": lambda x, y, *_: numpy.isclose(x, y), "isfinite": numpy.isfinite,
    "isinf": numpy.isinf, "isnan": numpy.isnan, "l1_loss": lambda x, y: numpy.abs(x - y),
    "l1_loss_mean": lambda x, y: numpy.abs(x - y).mean(-1), "l1_loss_sum": lambda x, y: numpy.abs(x - y).sum(-1),
    "ldexp": lambda x, y: x * numpy.exp2(y), "lerp": lambda x, y, w: x + w * (y - x),
    "logaddexp": lambda x, y: numpy.log(numpy.exp(x) + numpy.exp(y)),
    "logical_and": lambda x, y: (x != 0) & (y != 0), "logical_not": lambda x: x == 0,
    "logical_or": lambda x, y: (x != 0) | (y != 0), "logical_xor": lambda x, y: (x != 0) ^ (y != 0),
    "logsumexp": lambda z: numpy.log(numpy.exp(z).sum(-1)), "masked_fill": lambda x, m, v: numpy.where(m, v, x),
    "mean": lambda z: z.mean(-1), "mul": numpy.multiply, "ne": numpy.not_equal, "neg": numpy.negative,
    "norm_infinity": lambda z: numpy.abs(z).max(-1), "norm_negative_infinity": lambda z: numpy.abs(z).min(-1),
    "norm_one": _norm(1.0), "norm_p": lambda z, p: _norm(p)(z), "norm_two": _norm(2.0),
    "norm_zero": lambda z: (z != 0).sum(-1).astype(float), "normalize": _unit(2.0),
    "normalize_p": lambda z, p, eps: _unit(p)(z), "pow": lambda x, y: x**y,
    "rms_norm": lambda z, eps: z / numpy.sqrt((z * z).mean(-1, keepdims=True) + eps),
    "rms_norm_weight": lambda z, w, eps: z / numpy.sqrt((z * z).mean(-1, keepdims=True) + eps) * w,
    "rsub": lambda x, y, a: y - a * x, "sgn": lambda z: z / numpy.abs(z), "softsign": lambda z: z / (1 + numpy.abs(z)),
    "std": lambda z, c: numpy.sqrt(_spread(z)), "std_mean": lambda z, c: (numpy.sqrt(_spread(z)), z.mean(-1)),
    "sub": numpy.subtract, "sub_scaled": lambda x, y, a: x - a * y, "sum": lambda z: z.sum(-1),
    "var": lambda z, c: _spread(z), "var_mean": lambda z, c: (_spread(z), z.mean(-1)), "where": numpy.where,
}  # fmt: skip
#: Integers in the place of floats, steps of optimizers (which take numbers as pairs), parts of other operations.
OTHER = {"bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "left_shift", "right_shift"} | {
    name
    for name in OPERATIONS
    if declare.table[name].function.__module__ == flambeau.ops.update.__name__
    or name.startswith("max_pool_")
    or name in ("running_mean", "unscale")
}


def operands(name, dtype, shape=(3, 7), seed=0):
    """Complex operands in all four quadrants, and the numbers behind them."""
    declaration = declare.table[name]
    rng = numpy.random.default_rng(seed + sum(map(ord, name)))
    given, exact = [], []
    for i in range(len(declaration.inputs)):
        array = draw(declaration, i, rng, shape)
        if array.dtype.kind == "f":
            array = rng.uniform(0.2, 1.8, array.shape) * numpy.exp(1j * rng.uniform(-3.1, 3.1, array.shape))
            array = array.astype(dtype)
        given.append(fl.from_numpy(array.copy()))
        exact.append(array.astype("complex128") if array.dtype.kind == "c" else array)
    numbers = [default for _, default in declaration.parameters]
    numbers = [1.5 if n is None else n for n in numbers]
    return given + numbers, exact + numbers


def results(name, exact):
    found = VALUES[name](*exact)
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", VALUES)
def test_value(name, dtype):
    given, exact = operands(name, dtype)
    expected = results(name, exact)
    part = {"complex64": "float32", "complex128": "float64"}[dtype]
    for found, value in zip(call(name, given), expected, strict=True):
        value = numpy.asarray(value)
        wanted = {"c": dtype, "f": part, "b": "bool", "i": "int64"}[value.dtype.kind]
        if name == "float_power":
            wanted = "complex128"
        elif name == "fill":
            wanted = dtype
        assert str(found.dtype) == "flambeau." + wanted
        if value.dtype.kind in "bi":
            numpy.testing.assert_array_equal(found.numpy(), value)
            continue
        bound = (64 + declare.table[name].tolerance) * numpy.finfo(part).eps
        error = numpy.abs(found.numpy() - value) / numpy.maximum(1.0, numpy.abs(value))
        assert error.max() < bound, (name, error.max() / numpy.finfo(part).eps)


AXES = numpy.array([
    2.0, -2.0, 0.5, -0.5, complex(0.0, 2.0), complex(0.0, -2.0), complex(0.0, 0.5), complex(-0.0, -0.5),
    complex(-2.0, -0.0), complex(2.0, -0.0), complex(0.5, -0.0), complex(-0.5, -0.0), 1e-3 + 1e-3j, -30.0 + 1j,
    30.0 - 1j, 3.0 + 1e-9j, 1e-9j - 3.0,
])  # fmt: skip


@pytest.mark.parametrize("name", [name for name in ANALYTIC if name not in ("sinc", "reciprocal", "rsqrt")])
def test_on_the_axes_the_sign_of_zero_chooses_the_side(name):
    z = AXES
    with numpy.errstate(all="ignore"):
        expected = ANALYTIC[name](z)
    (found,) = call(name, [fl.from_numpy(z.copy())])
    near = numpy.isclose(found.numpy(), expected, rtol=1e-13, atol=1e-13, equal_nan=True) | ~numpy.isfinite(expected)
    assert near.all(), [(a, b, c) for a, b, c in zip(z[~near], found.numpy()[~near], expected[~near], strict=True)]


def differentiable(name):
    declaration = declare.table[name]
    kinds = {"all", "any", "count_nonzero", "eq", "ne", "isclose", "isfinite", "isinf", "isnan", "norm_zero", "fill"}
    return declaration.differentiable and name not in kinds and not name.startswith("logical")


def closure(name, shape):
    """The operation as a function of its complex operands alone, and these."""
    given, _ = operands(name, "complex128", shape, 1)
    free = [i for i, t in enumerate(given) if isinstance(t, fl.Tensor) and t.is_complex()]
    if name == "lerp":  # its two formulas meet where |weight| is 1/2
        given[2] = given[2] * 0.1
    inputs = tuple(given[i].requires_grad_() for i in free)

    def function(*tensors):
        arguments = list(given)
        for i, t in zip(free, tensors, strict=True):
            arguments[i] = t
        found = tuple(o for o in call(name, arguments) if o.requires_grad)
        return found[0] if len(found) == 1 else found

    return function, inputs


def test_inverse_tangents_near_their_poles():
    near = numpy.array([0.0, 1e-303, 1e-160, 1e-20, 1e-9, -1e-9])
    poles = numpy.concatenate([near * 1j + 1, near * 1j - 1, near + 1e-9j + 1, near + 1e-9j - 1])
    with numpy.errstate(all="ignore"):
        expected = numpy.arctanh(poles), numpy.arctan(poles * 1j)
    found = fl.atanh(fl.tensor(poles)), fl.atan(fl.tensor(poles * 1j))
    for got, right in zip(found, expected):
        numpy.testing.assert_allclose(got.numpy(), right, rtol=1e-15)


@pytest.mark.parametrize("name", [name for name in VALUES if differentiable(name)])
def test_gradient(name):
    function, inputs = closure(name, (2, 3))
    assert gradcheck(function, inputs, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in VALUES if differentiable(name)])
def test_second_gradient(name):
    function, inputs = closure(name, (1, 2))
    if name in ("copy", "conj"):
        pytest.skip("the gradient is constant")
    assert gradgradcheck(function, inputs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["add", "mul", "div", "sub", "pow", "where", "addcmul", "dot"])
def test_gradient_of_a_real_operand_among_complex_ones_is_real(name):
    given, _ = operands(name, "complex128", (2, 3))
    places = [i for i, t in enumerate(given) if isinstance(t, fl.Tensor) and t.is_complex()]
    for real in places:
        mixed = [t.abs() if i == real else t for i, t in enumerate(given)]
        inputs = tuple(t.detach().requires_grad_() for i, t in enumerate(mixed) if i in places)

        def function(*tensors, mixed=mixed):
            arguments = list(mixed)
            for i, t in zip(places, tensors, strict=True):
                arguments[i] = t
            return call(name, arguments)[0]

        assert gradcheck(function, inputs, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in VALUES and name not in OTHER])
def test_what_has_no_complex_meaning_says_so(name):
    given, _ = operands(name, "complex64")
    with pytest.raises(DTypeError, match=f"^{name}: "):
        call(name, given)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_layouts_and_threads_do_not_change_a_bit(dtype):
    rng = numpy.random.default_rng(3)
    wide = (rng.standard_normal((2, 61, 83)) + 1j * rng.standard_normal((2, 61, 83))).astype(dtype)
    plain = fl.from_numpy(wide[:, ::2, ::2].copy())
    strided = fl.from_numpy(wide)[:, ::2, ::2]
    turned = fl.from_numpy(numpy.ascontiguousarray(wide[:, ::2, ::2].transpose(2, 1, 0))).permute(2, 1, 0)
    offset = numpy.zeros(plain.numel() * plain.element_size() + 8, "u1")[8 if dtype == "complex128" else 4 :]
    moved = offset[: plain.numel() * plain.element_size()].view(dtype).reshape(plain.shape)
    moved[...] = plain.numpy()
    for name in ("exp", "abs", "copy", "tanh"):
        expected = call(name, [plain])[0].numpy()
        for other in (strided, turned, fl.from_numpy(moved)):
            numpy.testing.assert_array_equal(call(name, [other])[0].numpy(), expected)
    spread = call("mul", [strided, strided[:1, :1]])[0].numpy()
    numpy.testing.assert_array_equal(spread, call("mul", [plain, plain[:1, :1].clone()])[0].numpy())
    assert call("exp", [plain[:0]])[0].shape == (0, 31, 42)
    large = fl.from_numpy(rng.standard_normal(140_000).astype("float32" if dtype == "complex64" else "float64"))
    large = fl.view_as_complex(large.view(-1, 2))
    before, found = fl.get_num_threads(), []
    try:
        for threads in (1, 2):
            fl.set_num_threads(threads)
            found.append(
                [large.exp().numpy(), large.sum().numpy(), large.reshape(7, -1).sum(0).numpy(), large.norm().numpy()]
            )
    finally:
        fl.set_num_threads(before)
    for one, two in zip(*found, strict=True):
        numpy.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", ["add", "exp", "mul", "conj"])
def test_out_and_in_place(name):
    given, _ = operands(name, "complex64")
    usual = call(name, given)[0]
    target = fl.empty(3, 7, dtype=fl.complex64)
    assert operation(name)(*given, out=target) is target and fl.equal(target, usual)
    first = given[0].clone()
    operation(name).inplace(first, *given[1:])
    assert fl.equal(first, usual)
    with pytest.raises(DTypeError, match="can't be cast"):
        operation(name)(*given, out=fl.empty(3, 7))
