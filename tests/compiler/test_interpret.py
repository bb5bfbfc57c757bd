"""The interpreter of programs: dtypes, levels, integer arithmetic, and that `precise` really is float64."""

import math

import numpy
import pytest

from flambeau.compiler import interpret, scalar
from flambeau.compiler.program import ELEMENT, ROW, Input, Program, Value, finish


def leaf(number, dtype="float32", level=ELEMENT):
    return Value("input", (), dtype, number, level)


def run(function, *arrays, dtypes, kind="map", levels=None, **options):
    levels = levels or [ELEMENT] * len(dtypes)
    inputs = tuple(Input(d, level) for d, level in zip(dtypes, levels, strict=True))
    outputs = function(*(leaf(i, d, level) for i, (d, level) in enumerate(zip(dtypes, levels, strict=True))))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    found = interpret.run(finish("test", kind, inputs, outputs), arrays, **options)
    return found[0] if len(found) == 1 else found


def test_a_map_broadcasts_and_keeps_the_dtype():
    found = run(lambda x, y: x * y + 1.0, numpy.ones((3, 1)), numpy.arange(4.0), dtypes=["float32", "float32"])
    assert found.shape == (3, 4)
    assert found.dtype == numpy.float32
    assert found[2].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_precise_is_float64():
    def third(x):
        return x / 3.0

    single = run(third, numpy.ones(1), dtypes=["float32"])
    assert float(single[0]) == float(numpy.float32(1 / 3))
    assert run(third, numpy.ones(1), dtypes=["float32"], precise=True)[0] == 1 / 3


def test_bfloat16_is_rounded_to_nearest_even():
    def same(x):
        return scalar.cast(scalar.cast(x, "float32"), "bfloat16")

    values = [1.0, 1.00390625, 1.01171875, -3.0e38, math.inf, math.nan]
    found = run(same, numpy.array(values), dtypes=["bfloat16"])
    assert found[:3].tolist() == [1.0, 1.0, 1.015625]
    assert math.isnan(found[5])
    assert found[4] == math.inf


def test_rows_have_two_levels():
    def softmax(x, scale):
        e = scalar.exp((x - scalar.reduce_max(x)) * scale)
        total = scalar.reduce_sum(e)
        return e / total, total

    x = numpy.array([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    result, total = run(softmax, x, numpy.array([1.0, 5.0]), dtypes=["float64"] * 2, kind="row", levels=[ELEMENT, ROW])
    assert result.shape == (2, 3)
    assert total.shape == (2,)
    assert result.sum(axis=1).tolist() == pytest.approx([1.0, 1.0])
    assert total[1] == 3.0


def test_reductions():
    x = numpy.array([[3.0, numpy.nan, 1.0], [2.0, 5.0, 5.0]])
    found = run(
        lambda x: (scalar.reduce_max(x), scalar.reduce_argmax(x), scalar.reduce_sum(x), scalar.reduce_prod(x)),
        x, dtypes=["float64"], kind="row",
    )  # fmt: skip
    assert math.isnan(found[0][0])
    assert found[0][1] == 5.0
    assert found[1].tolist() == [1, 1]
    assert found[2][1] == 12.0
    assert found[3][1] == 50.0


def test_an_empty_row_sums_to_zero():
    found = run(lambda x: (scalar.reduce_sum(x), scalar.reduce_prod(x), scalar.length(x)), numpy.ones((2, 0)),
                dtypes=["float32"], kind="row")  # fmt: skip
    assert [v.tolist() for v in found] == [[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]


def test_a_row_value_is_spread_over_the_elements():
    found = run(lambda x: scalar.spread(scalar.reduce_sum(x)), numpy.ones((2, 3)), dtypes=["float32"], kind="row")
    assert found.tolist() == [[3.0] * 3] * 2


def test_the_length_is_needed_where_no_input_says_it():
    def count(x):
        return x * scalar.length(x)

    program = finish("test", "row", (Input("float32", ROW),), [count(leaf(0, level=ROW))])
    with pytest.raises(ValueError, match="pass length="):
        interpret.run(program, [numpy.ones(2)])
    assert interpret.run(program, [numpy.ones(2)], length=7)[0].tolist() == [7.0, 7.0]


def test_index_is_the_position():
    assert run(lambda x: scalar.index(), numpy.ones((2, 2)), dtypes=["float32"]).tolist() == [[0, 1], [2, 3]]
    found = run(lambda x: scalar.index() + scalar.cast(x, "int64"), numpy.ones((2, 2)), dtypes=["float32"], kind="row")
    assert found.tolist() == [[1, 2], [1, 2]]


@pytest.mark.parametrize(("a", "b"), [(7, 2), (-7, 2), (7, -2), (-7, -2), (-128, 3), (6, 0)])
def test_integer_division(a, b):
    def both(x, y):
        return (
            scalar.floor_divide(x, y), scalar.remainder(x, y), scalar.truncated_divide(x, y), scalar.fmod(x, y),
        )  # fmt: skip

    found = [int(v[0]) for v in run(both, numpy.array([a]), numpy.array([b]), dtypes=["int8", "int8"])]
    truncated = 0 if b == 0 else int(a / b)
    assert found == ([0, 0, 0, 0] if b == 0 else [a // b, a % b, truncated, a - truncated * b])


def test_integers_wrap_around():
    assert run(lambda x: x * 2 + 1, numpy.array([127, -128]), dtypes=["int8"]).tolist() == [-1, 1]
    assert run(lambda x: x - 1, numpy.array([0]), dtypes=["uint8"]).tolist() == [255]


@pytest.mark.parametrize(
    ("a", "b"), [(7.5, 2.0), (-7.5, 2.0), (7.5, -2.0), (-0.0, 3.0), (1.0, math.inf), (-1.0, math.inf)]
)
def test_float_division_follows_python(a, b):
    def both(x, y):
        return scalar.floor_divide(x, y), scalar.remainder(x, y)

    quotient, rest = (float(v[0]) for v in run(both, numpy.array([a]), numpy.array([b]), dtypes=["float64"] * 2))
    assert quotient == a // b
    assert rest == (a % b if not math.isinf(b) else a if a > 0 else math.inf)
    if quotient == 0.0:
        assert math.copysign(1.0, quotient) == math.copysign(1.0, a / b)


def test_conversions():
    assert run(lambda x: scalar.cast(x, "int32"), numpy.array([1.9, -1.9]), dtypes=["float32"]).tolist() == [1, -1]
    found = run(lambda x: scalar.cast(x, "bool"), numpy.array([0.0, -0.0, 0.5, math.nan]), dtypes=["float32"])
    assert found.tolist() == [False, False, True, True]
    assert run(lambda x: scalar.bitcast(x, "int32"), numpy.array([1.0]), dtypes=["float32"]).tolist() == [0x3F800000]


def test_bits_of_floats_have_no_precise_run():
    with pytest.raises(ValueError, match="no precise run"):
        run(lambda x: scalar.bitcast(x, "int32"), numpy.ones(1), dtypes=["float32"], precise=True)


# --- how programs are built ------------------------------------------------------------------------------------------


def test_expressions_are_simplified_without_changing_a_bit():
    x, i, b = leaf(0), leaf(1, "int32"), leaf(2, "bool")
    assert x * 1 is x
    assert x / 1.0 is x
    assert x - 0.0 is x
    assert i + 0 is i
    assert scalar.neg(-x) is x
    assert ~~b is b
    assert scalar.where(True, x, 0.0) is x
    assert scalar.cast(scalar.cast(x, "float64"), "float32") is x
    assert (x + 0.0).op == "add"  # -0.0 + 0.0 is 0.0
    assert (x * 0.0).op == "mul"  # of NaN it is NaN
    assert scalar.cast(scalar.cast(x, "float16"), "float32") is not x
    assert scalar.constant(0.1, "float32").attr == float(numpy.float32(0.1))
    assert scalar.constant(300, "uint8").attr == 44


def test_python_numbers_take_the_dtype_they_meet():
    assert (leaf(0, "float64") + 1).dtype == "float64"
    assert (leaf(0, "int8") + 1).dtype == "int8"
    with pytest.raises(TypeError, match=r"the constant 0\.5 is a float but the value it meets is int8"):
        leaf(0, "int8") + 0.5
    with pytest.raises(TypeError, match="takes a floating-point value"):
        scalar.exp(leaf(0, "int8"))
    with pytest.raises(TypeError, match="has no truth"):
        bool(leaf(0) > 0.0)


def test_levels():
    x, r = leaf(0), leaf(1, level=ROW)
    assert (x + r).level is ELEMENT
    assert (r * 2.0).level is ROW
    assert scalar.reduce_mean(x).level is ROW
    assert scalar.reduce_sum(r).op == "mul"  # counted once for every element


def test_equal_values_are_merged():
    x = leaf(0)
    program = finish("test", "map", (Input("float32"),), [scalar.exp(x) + scalar.exp(x) * 0.0, scalar.exp(x) - 0.0])
    assert [v.op for v in program.topological()].count("exp") == 1
    zeros = finish("test", "map", (Input("float32"),), [x * 0.0 + (x + 1.0) * -0.0])
    assert [repr(v.attr) for v in zeros.topological() if v.op == "const"].count("-0.0") == 1


def test_a_program_has_a_text():
    text = Program("test", "map", (Input("float32"),), (leaf(0) * 2.0,)).text()
    assert text.splitlines()[0] == "map test(float32:element)"
    assert text.splitlines()[-1] == "  return %2"
