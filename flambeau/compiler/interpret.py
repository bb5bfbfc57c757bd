"""Programs run in plain NumPy: slow, simple and trusted, the oracle against which kernels are tested.

Maps take arrays that broadcast; rows take ELEMENT arrays of shape (rows, length) and ROW arrays of shape (rows,).
NumPy has no bfloat16: such values travel as float32 arrays rounded to bfloat16.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import philox
from .program import COMPLEX, FLOATS, ROW, Input, Program, Value


def run(program: Program, arrays: Sequence[Any], *, precise: bool = False, length: int | None = None) -> list[Any]:
    """The outputs of `program` at `arrays`, one for each input.

    With `precise` all floats are float64, whatever their dtype: the exact result, for practical purposes. `length` is
    needed only for a row that has no ELEMENT input.
    """
    import numpy

    row = program.kind == "row"
    inputs = []
    for array, declared in zip(arrays, program.inputs, strict=True):
        array = numpy.asarray(array)
        name = declared.dtype
        array = _round_bfloat16(array) if name == "bfloat16" and not precise else array
        array = array.astype(_dtype(name, precise))
        if row:
            if declared.level is ROW:
                array = array.reshape(-1, 1)
            else:
                if array.ndim != 2:
                    raise ValueError(
                        f"{program.name}: an element input must be (rows, length), found shape {array.shape}"
                    )
                length = array.shape[1] if length is None else length
        inputs.append(array)
    if row and length is None:
        raise ValueError(f"{program.name}: no element input says the length of a row: pass length=")
    rows = max((array.shape[0] for array in inputs if array.ndim), default=1)
    shape: Any = (rows, length) if row else numpy.broadcast_shapes(*(array.shape for array in inputs)) if inputs else ()
    known: dict[int, Any] = {}
    with numpy.errstate(all="ignore"):
        for value in program.topological():
            known[id(value)] = _value(value, [known[id(a)] for a in value.args], inputs, shape, row, precise)
        results = []
        for output in program.outputs:
            array = known[id(output)]
            if row:
                array = (
                    numpy.broadcast_to(array, (rows, 1))[:, 0]
                    if output.level is ROW
                    else numpy.broadcast_to(array, shape)
                )
            else:
                array = numpy.broadcast_to(array, shape)
            results.append(numpy.array(array))
    return results


def _dtype(name: str, precise: bool) -> str:
    if name in COMPLEX:
        return "complex128" if precise else name
    if name in FLOATS:
        return "float64" if precise else "float32" if name == "bfloat16" else name
    return name


def _round_bfloat16(array: Any) -> Any:
    import numpy

    bits = array.astype("float32").view("uint32")
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) & numpy.uint32(0xFFFF0000)
    return numpy.where(numpy.isnan(array), numpy.float32(numpy.nan), rounded.astype("uint32").view("float32"))


def _value(value: Value, args: list[Any], inputs: list[Any], shape: tuple[int, ...], row: bool, precise: bool) -> Any:
    import numpy

    op, dtype = value.op, _dtype(value.dtype, precise)
    if op == "input":
        return inputs[value.attr]
    if op == "const":
        return numpy.full((1, 1) if row else (), value.attr, dtype)
    if op == "index":
        if row:
            return numpy.arange(shape[1], dtype="int64").reshape(1, -1)
        return numpy.arange(int(numpy.prod(shape)), dtype="int64").reshape(shape)
    if op == "length":
        return numpy.full((1, 1), shape[1], "int64")
    if op in ("cast", "bitcast"):
        return _convert(value, args[0], dtype, shape, row, precise)
    if op == "lookup":
        return numpy.asarray(value.attr, dtype)[args[0] & 15]
    if op.startswith("reduce_"):
        return _reduce(op, numpy.broadcast_to(args[0], shape), dtype)
    return numpy.asarray(_OPERATIONS[op](numpy, *args)).astype(dtype)


def _convert(value: Value, array: Any, dtype: str, shape: tuple[int, ...], row: bool, precise: bool) -> Any:
    import numpy

    if value.op == "bitcast":
        if precise and (value.dtype in FLOATS or value.args[0].dtype in FLOATS):
            raise ValueError("a program that reads the bits of floats has no precise run")
        return array.view(dtype)
    if row and value.level is not value.args[0].level:
        array = numpy.broadcast_to(array, shape)
    if value.dtype == "bool":
        return array != 0
    if value.dtype == "bfloat16" and not precise:
        return _round_bfloat16(array)
    if dtype in ("float16", "float32", "float64") or array.dtype.kind != "f":
        return array.astype(dtype)
    return numpy.trunc(array).astype("int64" if dtype != "uint64" else dtype).astype(dtype)


def _reduce(op: str, array: Any, dtype: str) -> Any:
    import numpy

    if op in ("reduce_sum", "reduce_prod"):
        wide = "float64" if array.dtype.kind == "f" else "int64"
        total: Any = numpy.sum if op == "reduce_sum" else numpy.prod
        return total(array.astype(wide), axis=1, keepdims=True).astype(dtype)
    function: Any = {
        "reduce_max": numpy.max,
        "reduce_min": numpy.min,
        "reduce_argmax": numpy.argmax,
        "reduce_argmin": numpy.argmin,
    }[op]
    return function(array, axis=1, keepdims=True).astype(dtype)


def _special(name: str) -> Any:
    def call(numpy: Any, x: Any) -> Any:
        import scipy.special

        return getattr(scipy.special, name)(x)

    return call


def _plain(name: str) -> Any:
    return lambda numpy, *args: getattr(numpy, name)(*args)


def _truncating(name: str) -> Any:
    """Integer division as C does it; zero where the divisor is zero."""

    def call(numpy: Any, a: Any, b: Any) -> Any:
        safe = numpy.where(b == 0, 1, b).astype(b.dtype)
        rest = numpy.fmod(a, safe)
        return numpy.where(b == 0, 0, (a - rest) // safe if name == "idiv" else rest)

    return call


def _together(numpy: Any, a: Any, b: Any) -> Any:
    """The complex numbers of two parts (a + 1j * b would spoil infinities)."""
    a, b = numpy.broadcast_arrays(a, b)
    result = numpy.empty(a.shape, numpy.result_type(a, numpy.complex64))
    result.real, result.imag = a, b
    return result


def _not(numpy: Any, a: Any) -> Any:
    return ~a


def _random_word(numpy: Any, place: Any, seed: Any) -> Any:
    leaves = [Value("input", (), "int64", i) for i in range(2)]
    program = Program("", "map", (Input("int64"), Input("int64")), (philox.spelled_out(*leaves),))
    return run(program, [place, seed])[0]


_OPERATIONS: dict[str, Any] = {
    "neg": lambda numpy, a: -a if a.dtype.kind != "b" else a,
    "abs": _plain("abs"), "sign": lambda numpy, a: (a > 0).astype(a.dtype) - (a < 0).astype(a.dtype),
    "sqrt": _plain("sqrt"), "rsqrt": lambda numpy, a: 1.0 / numpy.sqrt(a), "exp": _plain("exp"),
    "exp2": _plain("exp2"), "expm1": _plain("expm1"), "log": _plain("log"),
    "log2": _plain("log2"), "log10": _plain("log10"),
    "log1p": _plain("log1p"), "sin": _plain("sin"), "cos": _plain("cos"), "tan": _plain("tan"),
    "asin": _plain("arcsin"), "acos": _plain("arccos"), "atan": _plain("arctan"), "sinh": _plain("sinh"),
    "cosh": _plain("cosh"), "tanh": _plain("tanh"), "asinh": _plain("arcsinh"), "acosh": _plain("arccosh"),
    "atanh": _plain("arctanh"), "erf": _special("erf"), "erfc": _special("erfc"), "erfinv": _special("erfinv"),
    "lgamma": _special("gammaln"), "digamma": _special("digamma"), "floor": _plain("floor"), "ceil": _plain("ceil"),
    "round": _plain("rint"), "trunc": _plain("trunc"), "isnan": _plain("isnan"), "not": _not,
    "add": lambda numpy, a, b: a + b, "sub": lambda numpy, a, b: a - b, "mul": lambda numpy, a, b: a * b,
    "div": lambda numpy, a, b: a / b, "idiv": _truncating("idiv"), "irem": _truncating("irem"), "fmod": _plain("fmod"),
    "pow": _plain("power"), "atan2": _plain("arctan2"), "copysign": _plain("copysign"), "maximum": _plain("maximum"),
    "minimum": _plain("minimum"), "lt": lambda numpy, a, b: a < b, "le": lambda numpy, a, b: a <= b,
    "eq": lambda numpy, a, b: a == b, "ne": lambda numpy, a, b: a != b, "and": lambda numpy, a, b: a & b,
    "or": lambda numpy, a, b: a | b, "xor": lambda numpy, a, b: a ^ b, "shl": _plain("left_shift"),
    "shr": _plain("right_shift"), "real": lambda numpy, a: a.real, "imag": lambda numpy, a: a.imag,
    "complex": lambda numpy, a, b: _together(numpy, a, b), "where": _plain("where"),
    "scale": lambda numpy, a, b: numpy.ldexp(a, numpy.nan_to_num(numpy.floor(b)).astype("int32")),
    "random_word": _random_word,
    "fma": lambda numpy, a, b, c: a.astype("float64") * b + c,
}  # fmt: skip
