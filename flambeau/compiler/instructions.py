"""The instructions every emitter shares: arithmetic on scalars and vectors as LLVM IR text.

`Code` writes the instructions of one function: each method appends instructions and returns the name of their result.
Every value is written for a number of lanes; one lane is a plain scalar, so the vector body and the scalar tail are the
same text at two widths and give the same bits. There are no fast-math flags, nothing is contracted, nothing is called.

Nothing here is undefined, whatever the data: integer division by zero gives 0 and does not trap (the caller raises),
shifts by the width or more give 0 or the sign, a float outside an integer's range converts as x86 does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau.compiler import philox
from flambeau.compiler.function_text import FunctionText
from flambeau.compiler.program import Program, Value
from flambeau.compiler.registers import (
    BITS,
    REGISTER,
    UNSIGNED,
    constant,
    is_float,
    literal,
    vector,
)

_SIMPLE = {
    "add": ("fadd", "add", "or"), "sub": ("fsub", "sub", "xor"), "mul": ("fmul", "mul", "and"), "div": ("fdiv", "", ""),
    "and": ("", "and", "and"), "or": ("", "or", "or"), "xor": ("", "xor", "xor"),
}  # fmt: skip
_ROUNDING = {"floor": "floor", "ceil": "ceil", "trunc": "trunc", "round": "roundeven"}


class Code(FunctionText):
    """The text of one LLVM function under construction, with what computes its values."""

    # --- arithmetic ---

    def compare(self, operation: str, a: str, b: str, dtype: str, lanes: int) -> str:
        """A comparison with a bool result; comparisons with NaN are false, `ne` is true."""
        full = vector(REGISTER[dtype], lanes)
        if is_float(dtype):
            return self.new(f"fcmp {'une' if operation == 'ne' else 'o' + operation} {full} {a}, {b}")
        sign = "" if operation in ("eq", "ne") else "u" if dtype in UNSIGNED else "s"
        return self.new(f"icmp {sign}{operation} {full} {a}, {b}")

    def extreme(self, largest: bool, a: str, b: str, dtype: str, lanes: int) -> str:
        """maximum or minimum; a NaN on either side gives NaN. Of two zeros the sign is that of `a`.

        Only `b` is looked at for NaN, as the x86 instruction keeps a NaN in `a`: a chain of maxima, in which `a` is
        what was found so far, does not wait for that.
        """
        type_ = REGISTER[dtype]
        full = vector(type_, lanes)
        if is_float(dtype):
            wins = self.new(f"fcmp {'ogt' if largest else 'olt'} {full} {b}, {a}")
            best = self.select(wins, b, a, type_, lanes)
            nan = self.new(f"fcmp uno {full} {b}, {literal(type_, 0, lanes)}")
            return self.select(nan, b, best, type_, lanes)
        if dtype == "bool":
            return self.new(f"{'or' if largest else 'and'} {full} {a}, {b}")
        name = ("u" if dtype in UNSIGNED else "s") + ("max" if largest else "min")
        return self.intrinsic(name, type_, lanes, a, b)

    def shift(self, left: bool, a: str, b: str, dtype: str, lanes: int) -> str:
        """A shift; a negative count counts as too large, which gives 0, or the sign for a signed shift right."""
        type_ = REGISTER[dtype]
        full, width = vector(type_, lanes), BITS[dtype]
        fits = self.new(f"icmp ult {full} {b}, {literal(type_, width, lanes)}")
        count = self.select(fits, b, literal(type_, width - 1, lanes), type_, lanes)
        if not left and dtype not in UNSIGNED:
            return self.new(f"ashr {full} {a}, {count}")
        result = self.new(f"{'shl' if left else 'lshr'} {full} {a}, {count}")
        return self.select(fits, result, literal(type_, 0, lanes), type_, lanes)

    def divide(self, operation: str, a: str, b: str, dtype: str, lanes: int) -> str:
        """idiv truncates towards zero, irem has the sign of `a`; by zero both are 0, INT_MIN / -1 wraps."""
        type_ = REGISTER[dtype]
        full, zero, one = vector(type_, lanes), literal(type_, 0, lanes), literal(type_, 1, lanes)
        signed = dtype not in UNSIGNED
        none = self.new(f"icmp eq {full} {b}, {zero}")
        if BITS[dtype] <= 32:
            # float64 holds every 32-bit quotient well enough that truncating it is exact; there is no vector division.
            wide = vector("double", lanes)
            convert, back = ("sitofp", "fptosi") if signed else ("uitofp", "fptoui")
            divisor = self.select(none, one, b, type_, lanes)
            x, y = (self.new(f"{convert} {full} {v} to {wide}") for v in (a, divisor))
            ratio = self.new(f"fdiv {wide} {x}, {y}")
            longer = vector("i64" if BITS[dtype] == 32 else "i32", lanes)
            quotient = self.new(f"{back} {wide} {ratio} to {longer}")  # 64 bits: INT_MIN / -1 does not fit 32
            quotient = self.new(f"trunc {longer} {quotient} to {full}")
        else:
            bad = none
            if signed:
                minus = self.new(f"icmp eq {full} {b}, {literal(type_, -1, lanes)}")
                bad = self.new(f"or {vector('i1', lanes)} {none}, {minus}")
            divisor = self.select(bad, one, b, type_, lanes)
            quotient = self.new(f"{'s' if signed else 'u'}div {full} {a}, {divisor}")
            if signed:
                quotient = self.select(minus, self.new(f"sub {full} {zero}, {a}"), quotient, type_, lanes)
        if operation == "irem":
            product = self.new(f"mul {full} {quotient}, {b}")
            quotient = self.new(f"sub {full} {a}, {product}")
        return self.select(none, zero, quotient, type_, lanes)

    # --- conversions ---

    def cast(self, a: str, source: str, to: str, lanes: int) -> str:
        """Convert as PyTorch does on x86; to bool is `!= 0`, the half types go through float32."""
        if source == to:
            return a
        if source == "float16":
            return self.cast(self._from_half(a, lanes), "float32", to, lanes)
        if source == "bfloat16":
            wide = self.new(f"zext {vector('i16', lanes)} {a} to {vector('i32', lanes)}")
            wide = self.new(f"shl {vector('i32', lanes)} {wide}, {literal('i32', 16, lanes)}")
            wide = self.new(f"bitcast {vector('i32', lanes)} {wide} to {vector('float', lanes)}")
            return self.cast(wide, "float32", to, lanes)
        if to in ("float16", "bfloat16"):
            a = self.cast(a, source, "float32", lanes)
            return self._to_half(a, lanes) if to == "float16" else self._to_bfloat(a, lanes)
        from_, into = vector(REGISTER[source], lanes), vector(REGISTER[to], lanes)
        if to == "bool":
            return self.compare("ne", a, literal(REGISTER[source], 0, lanes), source, lanes)
        if is_float(source) and is_float(to):
            return self.new(f"{'fpext' if to == 'float64' else 'fptrunc'} {from_} {a} to {into}")
        if is_float(to):
            return self.new(f"{'uitofp' if source in UNSIGNED else 'sitofp'} {from_} {a} to {into}")
        if is_float(source):
            # C's conversion on x86: out of range and NaN give the smallest integer; narrow integers keep the low bits.
            # (uint8 through 64 bits as PyTorch does; a float32 that does not fit 32 bits has eight zeros there anyway.)
            double = to in ("int64", "uint64", "uint32") or (to == "uint8" and source == "float64")
            wide = "i64" if double else "i32"
            limit = literal(REGISTER[source], 2.0 ** (int(wide[1:]) - 1), lanes)
            upper = ""
            if to == "uint64":  # the upper half of its range is converted less 2 ** 63
                half = literal(REGISTER[source], 2.0**63, lanes)
                upper = self.new(f"fcmp oge {from_} {a}, {half}")
                a = self.select(upper, self.new(f"fsub {from_} {a}, {half}"), a, REGISTER[source], lanes)
            size = self.intrinsic("fabs", REGISTER[source], lanes, a)
            fits = self.new(f"fcmp olt {from_} {size}, {limit}")
            # Poison where it does not fit, which the select does not choose.
            whole = self.new(f"fptosi {from_} {a} to {vector(wide, lanes)}")
            whole = self.select(fits, whole, literal(wide, 1 << (int(wide[1:]) - 1), lanes), wide, lanes)
            if upper:
                more = self.new(f"xor {into} {whole}, {literal(wide, 1 << 63, lanes)}")
                return self.select(upper, more, whole, wide, lanes)
            if wide == REGISTER[to]:
                return whole
            return self.new(f"trunc {vector(wide, lanes)} {whole} to {into}")
        if BITS[source] == BITS[to]:
            return a
        if BITS[source] > BITS[to]:
            return self.new(f"trunc {from_} {a} to {into}")
        return self.new(f"{'zext' if source in UNSIGNED else 'sext'} {from_} {a} to {into}")

    def _from_half(self, a: str, lanes: int) -> str:
        short, full = vector("i16", lanes), vector("float", lanes)
        if self.target.half:
            half = self.new(f"bitcast {short} {a} to {vector('half', lanes)}")
            return self.new(f"fpext {vector('half', lanes)} {half} to {full}")
        # Without the instruction: shift the bits into place and scale by 2**112; infinity and NaN need their exponent.
        word = vector("i32", lanes)
        bits = self.new(f"zext {short} {a} to {word}")
        shifted = self.new(f"shl {word} {bits}, {literal('i32', 13, lanes)}")
        size = self.new(f"and {word} {shifted}, {literal('i32', 0x0FFFE000, lanes)}")
        scaled = self.new(f"bitcast {word} {size} to {full}")
        scaled = self.new(f"fmul {full} {scaled}, {literal('float', 2.0**112, lanes)}")
        scaled = self.new(f"bitcast {full} {scaled} to {word}")
        special = self.new(f"icmp uge {word} {size}, {literal('i32', 0x0F800000, lanes)}")
        infinite = self.new(f"or {word} {size}, {literal('i32', 0x7F800000, lanes)}")
        scaled = self.select(special, infinite, scaled, "i32", lanes)
        sign = self.new(f"and {word} {bits}, {literal('i32', 0x8000, lanes)}")
        sign = self.new(f"shl {word} {sign}, {literal('i32', 16, lanes)}")
        return self.new(f"bitcast {word} {self.new(f'or {word} {scaled}, {sign}')} to {full}")

    def _to_half(self, a: str, lanes: int) -> str:
        short, full, word = vector("i16", lanes), vector("float", lanes), vector("i32", lanes)
        if self.target.half:
            half = self.new(f"fptrunc {full} {a} to {vector('half', lanes)}")
            return self.new(f"bitcast {vector('half', lanes)} {half} to {short}")
        # Without the instruction: normal results by rounding the bits, small ones by letting an addition round them.
        bits = self.new(f"bitcast {full} {a} to {word}")
        size = self.new(f"and {word} {bits}, {literal('i32', 0x7FFFFFFF, lanes)}")
        odd = self.new(f"lshr {word} {size}, {literal('i32', 13, lanes)}")
        odd = self.new(f"and {word} {odd}, {literal('i32', 1, lanes)}")
        near = self.new(f"add {word} {size}, {literal('i32', 0xFFF - (112 << 23), lanes)}")
        near = self.new(f"add {word} {near}, {odd}")
        near = self.new(f"lshr {word} {near}, {literal('i32', 13, lanes)}")
        small = self.new(f"bitcast {word} {size} to {full}")
        small = self.new(f"fadd {full} {small}, {literal('float', 0.5, lanes)}")
        small = self.new(f"bitcast {full} {small} to {word}")
        small = self.new(f"sub {word} {small}, {literal('i32', 0x3F000000, lanes)}")
        is_small = self.new(f"icmp ult {word} {size}, {literal('i32', 0x38800000, lanes)}")
        result = self.select(is_small, small, near, "i32", lanes)
        large = self.new(f"icmp uge {word} {size}, {literal('i32', 0x477FF000, lanes)}")
        result = self.select(large, literal("i32", 0x7C00, lanes), result, "i32", lanes)
        nan = self.new(f"icmp ugt {word} {size}, {literal('i32', 0x7F800000, lanes)}")
        result = self.select(nan, literal("i32", 0x7E00, lanes), result, "i32", lanes)
        sign = self.new(f"lshr {word} {bits}, {literal('i32', 16, lanes)}")
        sign = self.new(f"and {word} {sign}, {literal('i32', 0x8000, lanes)}")
        return self.new(f"trunc {word} {self.new(f'or {word} {result}, {sign}')} to {short}")

    def _to_bfloat(self, a: str, lanes: int) -> str:
        # Round to nearest even by integers: the CPU's own instruction flushes subnormals.
        full, word = vector("float", lanes), vector("i32", lanes)
        bits = self.new(f"bitcast {full} {a} to {word}")
        odd = self.new(f"lshr {word} {bits}, {literal('i32', 16, lanes)}")
        odd = self.new(f"and {word} {odd}, {literal('i32', 1, lanes)}")
        near = self.new(f"add {word} {bits}, {literal('i32', 0x7FFF, lanes)}")
        near = self.new(f"add {word} {near}, {odd}")
        near = self.new(f"lshr {word} {near}, {literal('i32', 16, lanes)}")
        nan = self.new(f"fcmp uno {full} {a}, {literal('float', 0, lanes)}")
        near = self.select(nan, literal("i32", 0x7FC0, lanes), near, "i32", lanes)
        return self.new(f"trunc {word} {near} to {vector('i16', lanes)}")

    def compute(self, value: Value, arguments: Sequence[str], lanes: int) -> str:
        """The instructions of one value of a program, its arguments being in registers."""
        operation, to = value.op, value.dtype
        if operation == "random_word":
            return self.random_word(arguments[0], arguments[1], lanes)
        dtype = value.args[0].dtype if value.args else to
        type_ = REGISTER[dtype]
        full = vector(type_, lanes)
        a, b = arguments[0], arguments[1] if len(arguments) > 1 else ""
        if operation in ("where", "copysign", "fma"):
            if operation == "where":
                a = self.cast(a, dtype, "bool", lanes)
                return self.select(a, b, arguments[2], REGISTER[to], lanes)
            if operation == "copysign":
                return self.intrinsic("copysign", type_, lanes, a, b)
            if not is_float(dtype) or not self.target.fma:
                product = self.new(f"{'fmul' if is_float(dtype) else 'mul'} {full} {a}, {b}")
                return self.new(f"{'fadd' if is_float(dtype) else 'add'} {full} {product}, {arguments[2]}")
            return self.intrinsic("fma", type_, lanes, *arguments)
        if operation in _SIMPLE:
            floating, integral, boolean = _SIMPLE[operation]
            instruction = floating if is_float(dtype) else boolean if dtype == "bool" else integral
            if instruction:
                return self.new(f"{instruction} {full} {a}, {b}")
        if operation in ("real", "imag"):
            return self.part(a, dtype, lanes, operation == "imag")
        if operation == "complex":
            return self.together(a, b, to, lanes)
        if operation in ("lookup", "scale"):
            if operation == "lookup":
                return self._in_sixteens(self._lookup, to, lanes, (dtype, a), attr=value.attr)
            return self._in_sixteens(self._scale, to, lanes, (dtype, a), (dtype, b))
        if operation == "cast":
            return self.cast(a, dtype, to, lanes)
        if operation == "bitcast":
            return a if type_ == REGISTER[to] else self.new(f"bitcast {full} {a} to {vector(REGISTER[to], lanes)}")
        if operation in ("lt", "le", "eq", "ne"):
            return self.compare(operation, a, b, dtype, lanes)
        if operation in ("maximum", "minimum"):
            return self.extreme(operation == "maximum", a, b, dtype, lanes)
        if operation in ("shl", "shr"):
            return self.shift(operation == "shl", a, b, dtype, lanes)
        if operation in ("idiv", "irem") and not is_float(dtype):
            return self.divide(operation, a, b, dtype, lanes)
        if operation == "not":
            return self.new(f"xor {full} {a}, {literal(type_, -1 if dtype != 'bool' else 1, lanes)}")
        if operation == "isnan":
            return self.new(f"fcmp uno {full} {a}, {a}") if is_float(dtype) else literal("i1", 0, lanes)
        if is_float(dtype):
            return self._float_unary(operation, a, dtype, lanes)
        zero = literal(type_, 0, lanes)
        if operation in _ROUNDING or (operation == "abs" and dtype in UNSIGNED):
            return a
        if operation == "neg":
            return self.new(f"sub {full} {zero}, {a}")
        if operation == "abs":
            negative = self.new(f"icmp slt {full} {a}, {zero}")
            return self.select(negative, self.new(f"sub {full} {zero}, {a}"), a, type_, lanes)
        if operation == "sign":
            positive = self.compare("ne", a, zero, dtype, lanes)
            one, minus = literal(type_, 1, lanes), literal(type_, -1, lanes)
            if dtype in UNSIGNED:
                return self.select(positive, one, zero, type_, lanes)
            negative = self.new(f"icmp slt {full} {a}, {zero}")
            return self.select(negative, minus, self.select(positive, one, zero, type_, lanes), type_, lanes)
        raise NotImplementedError(f"emit: {operation} on {dtype} is not a primitive; lower the program first")

    # --- what only 512-bit vectors have ---

    def _in_sixteens(
        self, instruction: Callable[..., str], to: str, lanes: int, *operands: tuple[str, str], attr: Any = None
    ) -> str:
        """An instruction that exists for 16 lanes of 32 bits only, at any number of lanes (a power of two)."""
        if not self.target.tables:
            raise NotImplementedError(f"emit: {self.target.name} has no tables in registers: lower without them")
        if lanes == 16:
            return instruction(*(a for _, a in operands), attr)
        if lanes > 16:
            half = lanes // 2
            halves = [
                self._in_sixteens(
                    instruction,
                    to,
                    half,
                    *((dtype, self._part(a, REGISTER[dtype], lanes, first, half)) for dtype, a in operands),
                    attr=attr,
                )
                for first in (0, half)
            ]
            order = ", ".join(f"i32 {i}" for i in range(lanes))
            full = vector(REGISTER[to], half)
            return self.new(f"shufflevector {full} {halves[0]}, {full} {halves[1]}, <{lanes} x i32> <{order}>")
        wide = []
        for dtype, a in operands:
            type_ = REGISTER[dtype]
            if lanes == 1:
                wide.append(self.new(f"insertelement <16 x {type_}> poison, {type_} {a}, i64 0"))
            else:
                wide.append(self._part(a, type_, lanes, 0, 16))
        result = instruction(*wide, attr)
        if lanes == 1:
            return self.new(f"extractelement <16 x {REGISTER[to]}> {result}, i64 0")
        return self._part(result, REGISTER[to], 16, 0, lanes)

    def _part(self, a: str, type_: str, lanes: int, first: int, count: int) -> str:
        """`count` lanes from `first` on; those that do not exist hold anything."""
        order = ", ".join(f"i32 {i}" if i < lanes else "i32 poison" for i in range(first, first + count))
        full = vector(type_, lanes)
        return self.new(f"shufflevector {full} {a}, {full} poison, <{count} x i32> <{order}>")

    def _lookup(self, index: str, table: Sequence[float]) -> str:
        numbers = "<" + ", ".join(f"float {literal('float', number)}" for number in table) + ">"
        pairs = [("<16 x float>", numbers), ("<16 x i32>", index)]
        return self.call("llvm.x86.avx512.permvar.sf.512", "<16 x float>", pairs)

    def _scale(self, a: str, exponent: str, _: Any) -> str:
        full = "<16 x float>"
        pairs = [(full, a), (full, exponent), (full, "zeroinitializer"), ("i16", "-1"), ("i32", "4")]
        return self.call("llvm.x86.avx512.mask.scalef.ps.512", full, pairs)

    def spell_out(self, outputs: Sequence[Value], registers: dict[int, str], lanes: int) -> list[str]:
        """Values that are built on those in `registers`, on as many lanes."""
        for value in Program("", "map", (), tuple(outputs)).topological():
            if value.op == "const":
                registers[id(value)] = constant(value, lanes)
            elif id(value) not in registers:
                registers[id(value)] = self.compute(value, [registers[id(a)] for a in value.args], lanes)
        return [registers[id(value)] for value in outputs]

    def random_word(self, place: str, seed: str, lanes: int) -> str:
        """The random word of each lane's place."""
        leaves = [Value("input", (), "int64", i) for i in range(2)]
        registers = dict(zip(map(id, leaves), (place, seed), strict=True))
        return self.spell_out([philox.spelled_out(*leaves)], registers, lanes)[0]

    def random_words(self, first: str, seed: str, lanes: int) -> list[str]:
        """The random words of a block of places, a vector after the other: `first`, of one lane, begins a block."""
        counter = self.new(f"lshr i64 {first}, 2")
        registers, leaves = {}, [Value("input", (), "uint32", i) for i in range(4)]
        for leaf, wide, shift in zip(leaves, (counter, counter, seed, seed), (0, 32, 0, 32), strict=True):
            half = self.new(f"lshr i64 {wide}, {shift}") if shift else wide
            registers[id(leaf)] = self.splat(self.new(f"trunc i64 {half} to i32"), "i32", lanes)
        low = id(leaves[0])
        registers[low] = self.new(f"or {vector('i32', lanes)} {registers[low]}, {self.steps('i32', lanes)}")
        c0, c1, k0, k1 = leaves
        return self.spell_out(philox.rounds(c0, c1, k0, k1, philox.SHARED), registers, lanes)

    def _float_unary(self, operation: str, a: str, dtype: str, lanes: int) -> str:
        type_ = REGISTER[dtype]
        full = vector(type_, lanes)
        if operation == "neg":
            return self.new(f"fneg {full} {a}")
        if operation == "abs":
            return self.intrinsic("fabs", type_, lanes, a)
        if operation == "sqrt":
            return self.intrinsic("sqrt", type_, lanes, a)
        if operation == "rsqrt":
            root = self.intrinsic("sqrt", type_, lanes, a)
            return self.new(f"fdiv {full} {literal(type_, 1, lanes)}, {root}")
        if operation in _ROUNDING:
            return self.intrinsic(_ROUNDING[operation], type_, lanes, a)
        if operation == "sign":
            zero, one, minus = (literal(type_, n, lanes) for n in (0, 1, -1))
            positive = self.select(self.new(f"fcmp ogt {full} {a}, {zero}"), one, zero, type_, lanes)
            return self.select(self.new(f"fcmp olt {full} {a}, {zero}"), minus, positive, type_, lanes)
        raise NotImplementedError(f"emit: {operation} on {dtype} is not a primitive; lower the program first")
