"""Dtype promotion: by hand where the rule is subtle, and against PyTorch (if present) for every pair and category."""

import itertools

import pytest

from flambeau.compiler.program import CODES, DTYPES
from flambeau.errors import DTypeError
from flambeau.ops import elementwise, promotion, reduce

DIMENSIONED, ZERO_DIMENSIONAL, NUMBER = 0, 1, 2


#: Without the dtypes for which PyTorch has few operations on the CPU.
SIGNED = [name for name in DTYPES if name not in ("uint16", "uint32", "uint64", "complex64", "complex128")]


def meet(*operands):
    return DTYPES[promotion.result_type([(CODES[name], category) for name, category in operands])]


def resolved(operation, *names):
    _, outputs, compute = operation.declaration.resolve([(CODES[name], DIMENSIONED) for name in names])
    return [DTYPES[code] for code in outputs], compute


@pytest.fixture
def restored_default():
    before = promotion.default_dtype()
    yield
    promotion.set_default_dtype(before)


def test_numbers_do_not_widen_tensors():
    assert meet(("float16", DIMENSIONED), ("float64", NUMBER)) == "float16"
    assert meet(("int8", DIMENSIONED), ("int64", NUMBER)) == "int8"
    assert meet(("int8", DIMENSIONED), ("float64", NUMBER)) == "float32"
    assert meet(("bool", DIMENSIONED), ("int64", NUMBER)) == "int64"
    assert meet(("float32", DIMENSIONED), ("float64", ZERO_DIMENSIONAL)) == "float32"
    assert meet(("int32", DIMENSIONED), ("float64", ZERO_DIMENSIONAL)) == "float64"
    assert meet(("float64", NUMBER), ("int64", NUMBER)) == "float32"


def test_half_precision_is_computed_in_float32():
    assert resolved(elementwise.mul, "bfloat16", "bfloat16") == (["bfloat16"], "float32")
    assert resolved(elementwise.mul, "bfloat16", "float16") == (["float32"], "float32")
    assert resolved(elementwise.exp, "float16") == (["float16"], "float32")


def test_the_default_dtype_follows_its_setting(restored_default):
    assert resolved(elementwise.exp, "int32") == (["float32"], "float32")
    promotion.set_default_dtype("float64")
    assert resolved(elementwise.exp, "int32") == (["float64"], "float64")
    assert meet(("int8", DIMENSIONED), ("float64", NUMBER)) == "float64"
    with pytest.raises(DTypeError, match="not a floating-point dtype"):
        promotion.set_default_dtype("int64")


def test_results_of_rules():
    assert resolved(elementwise.eq, "int8", "float64") == (["bool"], "float64")
    assert resolved(elementwise.logical_and, "int8", "float64") == (["bool"], "bool")
    assert resolved(elementwise.div, "int64", "int64") == (["float32"], "float32")
    assert resolved(elementwise.square, "bool") == (["int64"], "int64")
    assert resolved(elementwise.float_power, "int8", "float32") == (["float64"], "float64")
    assert resolved(reduce.sum, "int8") == (["int64"], "int64")
    assert resolved(reduce.any, "uint8") == (["uint8"], "uint8")
    assert resolved(reduce.max_with_index, "float16") == (["float16", "int64"], "float32")
    assert resolved(elementwise.where, "bool", "float32", "float64") == (["float64"], "float64")
    assert resolved(elementwise.masked_fill, "float32", "bool", "float64") == (["float32"], "float32")


@pytest.mark.parametrize(
    ("operation", "names", "message"),
    [
        (elementwise.bitwise_and, ("float32", "int64"), r"bitwise_and: takes integers and bool, found float32, int64"),
        (elementwise.left_shift, ("bool", "bool"), r"left_shift: takes integers, not bool"),
        (elementwise.neg, ("bool",), r"neg: takes integers and floats, not bool"),
        (elementwise.sub, ("bool", "int64"), r"sub: does not take bool operands, found bool, int64: use logical_xor"),
        (reduce.mean, ("int64",), r"mean: takes floating-point dtypes, found int64: convert with \.float\(\)"),
        (elementwise.gelu, ("int32",), r"gelu: takes floating-point dtypes"),
    ],
)
def test_refused_dtypes_name_the_operation_and_the_fix(operation, names, message):
    with pytest.raises(DTypeError, match=message):
        resolved(operation, *names)


def test_a_fractional_parameter_does_not_fit_integers():
    operands = [(CODES["int64"], 0), (CODES["int64"], 0), (CODES["float64"], NUMBER)]
    with pytest.raises(DTypeError, match="add_scaled: alpha is a float but the operands are int64"):
        elementwise.add_scaled.declaration.resolve(operands)


def test_promote_types_and_can_cast_agree_with_pytorch():
    torch = pytest.importorskip("torch")
    for a, b in itertools.product(DTYPES, DTYPES):
        try:
            expected = str(torch.promote_types(getattr(torch, a), getattr(torch, b)))[6:]
        except RuntimeError:
            expected = None
        try:
            found = DTYPES[promotion.promote_types(CODES[a], CODES[b])]
        except DTypeError:
            found = None
        assert found == expected, (a, b)
        assert promotion.can_cast(CODES[a], CODES[b]) == torch.can_cast(getattr(torch, a), getattr(torch, b)), (a, b)


def example(torch, name, category):
    if category == NUMBER:
        return {"bool": True, "int64": 1, "float64": 1.0, "complex128": 1.0j}[name]
    return torch.ones((1,) if category == DIMENSIONED else (), dtype=getattr(torch, name))


def test_result_type_agrees_with_pytorch():
    torch = pytest.importorskip("torch")
    operands = [(name, category) for name in DTYPES for category in (DIMENSIONED, ZERO_DIMENSIONAL)]
    operands += [("bool", NUMBER), ("int64", NUMBER), ("float64", NUMBER), ("complex128", NUMBER)]
    for a, b in itertools.product(operands, operands):
        try:
            expected = str(torch.result_type(example(torch, *a), example(torch, *b)))[6:]
        except RuntimeError:
            expected = None
        if expected == "complex32":  # half precision has no complex dtype here
            expected = "complex64"
        try:
            found = meet(a, b)
        except DTypeError:
            found = None
        assert found == expected, (a, b)


#: Our operation, PyTorch's name: both must give the same dtype or both refuse.
BINARY = {
    "add": "add", "sub": "sub", "mul": "mul", "div": "true_divide", "floor_divide": "floor_divide", "pow": "pow",
    "remainder": "remainder", "fmod": "fmod", "maximum": "maximum", "fmin": "fmin", "atan2": "atan2",
    "copysign": "copysign", "xlogy": "xlogy", "logaddexp": "logaddexp", "hypot": "hypot", "eq": "eq", "lt": "lt",
    "logical_or": "logical_or", "bitwise_and": "bitwise_and", "bitwise_xor": "bitwise_xor",
    "left_shift": "bitwise_left_shift", "right_shift": "bitwise_right_shift", "float_power": "float_power",
}  # fmt: skip
#: PyTorch takes no numbers here; flambeau does.
TENSORS_ONLY = ("maximum", "fmin", "atan2", "logaddexp", "hypot", "logical_or")


@pytest.mark.parametrize("name", BINARY)
def test_binary_operations_give_the_dtype_of_pytorch(name):
    torch = pytest.importorskip("torch")
    declaration = getattr(elementwise, name).declaration
    numbers = [("int64", NUMBER), ("float64", NUMBER)]
    pairs = [((a, DIMENSIONED), (b, DIMENSIONED)) for a in SIGNED for b in SIGNED]
    if name not in TENSORS_ONLY:
        pairs += [((a, DIMENSIONED), number) for a in SIGNED for number in numbers]
    for a, b in pairs:
        try:
            expected = str(getattr(torch, BINARY[name])(example(torch, *a), example(torch, *b)).dtype)[6:]
        except (RuntimeError, TypeError):
            expected = None
        try:
            found = DTYPES[declaration.resolve([(CODES[n], c) for n, c in (a, b)])[1][0]]
        except DTypeError:
            found = None
        assert found == expected, (a, b)


UNARY = (
    "abs neg sign sgn signbit exp expm1 log log1p sin atan floor ceil trunc round frac square sqrt rsqrt reciprocal "
    "erf lgamma digamma sigmoid relu isnan isinf isposinf logical_not bitwise_not deg2rad sinc logit"
).split()
ROWS = "sum nansum mean prod amax any all count_nonzero var std logsumexp".split()


@pytest.mark.parametrize("name", UNARY + ROWS)
def test_unary_operations_give_the_dtype_of_pytorch(name):
    torch = pytest.importorskip("torch")
    operation = getattr(elementwise if name in UNARY else reduce, name)
    reference = getattr(torch, name)
    for dtype in SIGNED:
        array = torch.ones(3, dtype=getattr(torch, dtype))
        try:
            expected = str((reference(array, dim=0) if name in ROWS else reference(array)).dtype)[6:]
        except RuntimeError:
            expected = None
        given = [(CODES[dtype], DIMENSIONED)] + [(CODES["int64"], NUMBER)] * len(operation.declaration.parameters)
        try:
            found = DTYPES[operation.declaration.resolve(given)[1][0]]
        except DTypeError:
            found = None
        assert found == expected, dtype
