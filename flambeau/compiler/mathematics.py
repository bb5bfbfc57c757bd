"""How a kernel computes exp, sin, erf, pow and the rest: each is rewritten into operations that are CPU instructions.

`lower` writes one transcendental operation on float32 or float64 values as a small tree of primitives: add, sub, mul,
div, fma, sqrt, abs, neg, round, trunc, comparisons, where, integer arithmetic and shifts, cast, bitcast.
`lower_program` does so for a whole program. There are no loops, branches or tables in memory: every lane computes the
same operations, so a result depends on its argument only. The formulas are in `mathematics_exponential`,
`mathematics_trigonometric` and `mathematics_special`, and in `mathematics_tables` those for CPUs that hold a table in
a register; what is not here: the operations users call (`flambeau.ops`) and derivatives (`differentiate`).

NaN, infinities, zeros of both signs and subnormal numbers (as arguments and as results) are treated as C99 says;
sign(NaN) is 0, as in PyTorch. `fma` must round once, as the instruction does. Where a target has a product and a sum in
its place, float64 sin, cos, tan and pow, erfc and fmod lose accuracy; the others stay within a few ULP.

The largest errors measured, in units in the last place (ULP), and the number of primitive operations (constants and
bitcasts excluded). float32 was compared with float64 for one bit pattern in 211 of all 2**32, subnormal, huge and
negative ones included, and sin, cos and tan for the three float32 nearest each multiple of pi/2 up to 2**24 pi/2;
float64 with 80-bit or multiple precision at 2 * 10**6 arguments of all exponents (3 * 10**4 for the error and gamma
functions); functions of two arguments at 10**6 pairs or more.

           float32         float64
          error  ops      error  ops   method
  exp       1.41   18    1.36   25   own fit; reduction by 2 n ln 2, so that subnormal results need no extra care
  exp2      0.91   19    0.79   24   own fit
  expm1     1.41   20    2.07   25   own fit
  log       0.89   28    0.79   34   own fit; float64: FreeBSD e_log.c
  log2      1.04   39    0.72   46   as log, in two parts
  log10     0.99   40    0.67   47   as log, in two parts
  log1p     1.41   33    1.35   39   log(u) with the rounding error of u = 1 + x in its reduced argument
  sinh      2.54   29    2.20   40   own fit below 1, exp above
  cosh      1.72   20    1.88   27   exp
  tanh      1.49   26    1.36   37   own fit below 0.55, exp above; float64: Cephes tanh.c below 0.625
  asinh     1.77   46    1.72   52   log1p
  acosh     2.02   44    2.40   50   log1p
  atanh     2.01   40    2.03   46   log1p
  pow       0.50   65    0.89  126   log2 and exp2 in float64; float64: log2 as a sum of two floats
  sin       1.52   40    1.48  172   own fit; reductions of Payne-Hanek and Cody-Waite
  cos       1.52   40    1.47  172   the same
  tan       3.17   41    2.88  173   their quotient
  asin      2.30   19    2.19   26   own fit
  acos      1.13   25    1.15   32   own fit
  atan      1.28   20    1.83   33   own fit
  atan2     1.46   34    2.07   47   atan
  erf       1.40   31    0.88   75   own fit; large arguments through log2(erfc), float64 through erfc
  erfc      3.72   54    2.93   78   own fit in Shepherd and Laframboise's variable
  erfinv    2.11   62    2.12  145   own fit in Giles's variables; float64: one step of Halley's iteration
  lgamma    0.50  155    5.95  153   own fit on [1.5, 2.5], recurrence, Stirling, reflection; float32 in float64
  digamma   0.50  101      75   99   sum of eight terms, asymptotic series, reflection; float32 in float64
  fmod         0   45       0  258   exact; float64: powers of two modulo y by repeated squaring
  rsqrt     1.49    2    1.49    2   1 / sqrt(x)
  sign         0    4       0    4   exact
  copysign     0    3       0    3   exact

Two roundings keep rsqrt from being correctly rounded. In float64 lgamma and digamma are accurate to 1.4 and 7 units of
2**-52 * max(|result|, 1), which is what ERROR_BOUNDS states for them; the table counts results above 0.1 in size, of
positive arguments: next to their zeros, as between the poles, relative accuracy is lost.
"""

from __future__ import annotations

from collections.abc import Callable

from . import mathematics_exponential as exponential
from . import mathematics_special as special
from . import mathematics_tables as tabular
from . import mathematics_trigonometric as trigonometric
from .mathematics_arithmetic import cast
from .program import Program, Value
from .target import host

_LOWERINGS: dict[str, Callable[..., Value]] = {
    "exp": exponential.exp,
    "exp2": exponential.exp2,
    "expm1": exponential.expm1,
    "log": exponential.log,
    "log2": exponential.log2,
    "log10": exponential.log10,
    "log1p": exponential.log1p,
    "sinh": exponential.sinh,
    "cosh": exponential.cosh,
    "tanh": exponential.tanh,
    "asinh": exponential.asinh,
    "acosh": exponential.acosh,
    "atanh": exponential.atanh,
    "pow": exponential.power,
    "sin": trigonometric.sin,
    "cos": trigonometric.cos,
    "tan": trigonometric.tan,
    "asin": trigonometric.asin,
    "acos": trigonometric.acos,
    "atan": trigonometric.atan,
    "atan2": trigonometric.atan2,
    "erf": special.erf,
    "erfc": special.erfc,
    "erfinv": special.erfinv,
    "lgamma": special.lgamma,
    "digamma": special.digamma,
    "fmod": special.fmod,
    "rsqrt": special.rsqrt,
    "sign": special.sign,
    "copysign": special.copysign,
}

#: float32, where the CPU picks from tables in registers: `Target.tables`.
_TABULAR: dict[str, Callable[..., Value]] = {"exp": tabular.exp, "exp2": tabular.exp2, "erf": tabular.erf}

#: The operations this module replaces.
LOWERED = frozenset(_LOWERINGS)

#: The error tests allow, in ULP: the measured maximum and a margin, because no sample holds the worst argument.
#: For lgamma and digamma the unit is that of max(|result|, 1).
ERROR_BOUNDS: dict[tuple[str, str], float] = {
    ("exp", "float32"): 1.75, ("exp", "float64"): 1.5,
    ("exp2", "float32"): 1.25, ("exp2", "float64"): 1.0,
    ("expm1", "float32"): 1.75, ("expm1", "float64"): 2.25,
    ("log", "float32"): 1.0, ("log", "float64"): 1.0,
    ("log2", "float32"): 1.25, ("log2", "float64"): 1.0,
    ("log10", "float32"): 1.25, ("log10", "float64"): 1.0,
    ("log1p", "float32"): 1.75, ("log1p", "float64"): 1.5,
    ("sinh", "float32"): 2.75, ("sinh", "float64"): 2.5,
    ("cosh", "float32"): 2.0, ("cosh", "float64"): 2.0,
    ("tanh", "float32"): 1.75, ("tanh", "float64"): 1.5,
    ("asinh", "float32"): 2.0, ("asinh", "float64"): 2.0,
    ("acosh", "float32"): 2.25, ("acosh", "float64"): 2.5,
    ("atanh", "float32"): 2.25, ("atanh", "float64"): 2.25,
    ("pow", "float32"): 0.75, ("pow", "float64"): 1.0,
    ("sin", "float32"): 1.75, ("sin", "float64"): 1.75,
    ("cos", "float32"): 1.75, ("cos", "float64"): 1.75,
    ("tan", "float32"): 3.5, ("tan", "float64"): 3.0,
    ("asin", "float32"): 2.5, ("asin", "float64"): 2.5,
    ("acos", "float32"): 1.25, ("acos", "float64"): 1.25,
    ("atan", "float32"): 1.5, ("atan", "float64"): 2.0,
    ("atan2", "float32"): 1.75, ("atan2", "float64"): 2.25,
    ("erf", "float32"): 1.5, ("erf", "float64"): 1.0,
    ("erfc", "float32"): 4.0, ("erfc", "float64"): 3.25,
    ("erfinv", "float32"): 2.25, ("erfinv", "float64"): 2.25,
    ("lgamma", "float32"): 0.75, ("lgamma", "float64"): 2.0,
    ("digamma", "float32"): 0.75, ("digamma", "float64"): 8.0,
    ("fmod", "float32"): 0.0, ("fmod", "float64"): 0.0,
    ("rsqrt", "float32"): 1.75, ("rsqrt", "float64"): 1.75,
    ("sign", "float32"): 0.0, ("sign", "float64"): 0.0,
    ("copysign", "float32"): 0.0, ("copysign", "float64"): 0.0,
}  # fmt: skip


def lower(op: str, args: tuple[Value, ...], dtype: str, tables: bool = False) -> Value:
    """`op` of `args` as values of primitive operations, for the dtypes float32 and float64; `tables`: `Target.tables`.

    Raises NotImplementedError for an operation or a dtype that has no lowering.
    """
    function = _LOWERINGS.get(op)
    if function is None:
        raise NotImplementedError(f"{op}: there is no lowering of this operation; it is a primitive or unknown")
    if dtype not in ("float32", "float64"):
        raise NotImplementedError(f"{op}: lowered for float32 and float64 only, not {dtype}: cast its arguments first")
    if tables and dtype == "float32":
        function = _TABULAR.get(op, function)
    return function(*(cast(argument, dtype) for argument in args))


def lower_program(program: Program, tables: bool | None = None) -> Program:
    """The same program in primitives only, no value twice; `tables`: `Target.tables`, this machine's if not given."""
    tables = host().tables if tables is None else tables
    unique: dict[tuple[object, ...], Value] = {}
    lowered: dict[int, Value] = {}

    def intern(value: Value, args: tuple[Value, ...]) -> Value:
        # repr tells 0.0 from -0.0 and 1 from 1.0, and makes NaN equal to itself.
        key = value.op, tuple(map(id, args)), value.dtype, repr(value.attr), value.level
        found = unique.get(key)
        if found is None:
            found = unique[key] = Value(value.op, args, value.dtype, value.attr, value.level)
        return found

    for value in program.topological():
        args = tuple(lowered[id(argument)] for argument in value.args)
        if value.op in LOWERED and value.dtype in ("float32", "float64"):
            # The arguments have their final form: only what `lower` built on them is rebuilt.
            root = lower(value.op, args, value.dtype, tables)
            known = {id(argument): argument for argument in args}
            for inner in _between(root, set(known)):
                known[id(inner)] = intern(inner, tuple(known[id(argument)] for argument in inner.args))
            lowered[id(value)] = known[id(root)]
        else:
            lowered[id(value)] = intern(value, args)
    return program._replace(outputs=tuple(lowered[id(value)] for value in program.outputs))


def _between(root: Value, done: set[int]) -> list[Value]:
    # The values under root, each after its arguments, without those in `done` and what is under them.
    order: list[Value] = []
    stack: list[tuple[Value, bool]] = [(root, False)]
    while stack:
        value, expanded = stack.pop()
        if id(value) in done:
            continue
        if expanded:
            done.add(id(value))
            order.append(value)
        else:
            stack.append((value, True))
            stack.extend((argument, False) for argument in reversed(value.args))
    return order
