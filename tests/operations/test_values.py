"""Every declared operation against the oracle: dtypes, layouts, sizes, special numbers, in place, `out=`, threads."""

from __future__ import annotations

import numpy
import pytest

import flambeau

from .cases import (
    MAPS,
    OPERATIONS,
    ROWS,
    DTypeError,
    assert_close,
    call,
    declare,
    draw,
    operands,
    operation,
    oracle,
    samples,
    settings,
)  # fmt: skip

INTEGERS = ("bool", "uint8", "int8", "int16", "int32", "int64")


def generator(name):
    return numpy.random.default_rng(sum(map(ord, name)))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_value(name, dtype):
    declaration = declare.table[name]
    for sample in samples(declaration):
        for shape in ((3, 37), (2, 1)):
            given, exact = operands(declaration, generator(name), shape, dtype, sample)
            expected, dtypes = oracle(declaration, given, exact, shape)
            for found, value, kind in zip(call(name, given), expected, dtypes, strict=True):
                assert_close(declaration, found, value, kind, f"{name} {dtype} {shape} {sample}")


@pytest.mark.parametrize("name", OPERATIONS)
def test_integers(name):
    declaration = declare.table[name]
    taken = 0
    for dtype in INTEGERS:
        rng = generator(name)
        given, exact = [], []
        for i, role in enumerate(declaration.roles[: len(declaration.inputs)]):
            array = draw(declaration, i, rng, (3, 21))
            if role == "compute" or role == "own":
                low, high = declaration.domain or (-3.0, 4.0)
                low = max(low, 0.0) if dtype in ("bool", "uint8") else low
                array = rng.integers(int(numpy.ceil(low)), int(numpy.ceil(high)) + 1, array.shape).astype(dtype)
            given.append(flambeau.from_numpy(numpy.require(array, requirements="C")))
            exact.append(array)
        numbers = settings(declaration)
        given += numbers
        exact += [numpy.asarray(number) for number in numbers]
        if name in ROUNDED_BOUND:
            pytest.skip("the bound is no float32")
        try:
            found = call(name, given)
        except DTypeError:
            continue
        taken += 1
        expected, dtypes = oracle(declaration, given, exact, (3, 21))
        for result, value, kind in zip(found, expected, dtypes, strict=True):
            assert_close(declaration, result, value, kind, f"{name} {dtype}")
    if not taken:
        pytest.skip("takes floats only")


def layouts(array):
    """The same values as contiguous, transposed, sliced and offset tensors."""
    plain = flambeau.from_numpy(array.copy())
    yield "transposed", flambeau.from_numpy(numpy.ascontiguousarray(array.T)).t() if array.ndim == 2 else plain
    wide = numpy.zeros([2 * n + 1 for n in array.shape], array.dtype)
    wide[tuple([slice(1, None, 2)] * array.ndim)] = array
    part = flambeau.from_numpy(wide)
    for d in range(array.ndim):
        part = part.slice(d, 1, 2 * array.shape[d] + 1, 2)
    yield "sliced", part


@pytest.mark.parametrize("name", OPERATIONS)
def test_layouts(name):
    declaration = declare.table[name]
    shape = (5, 19)
    given, _ = operands(declaration, generator(name), shape, "float32")
    usual = call(name, given)
    variants = [list(layouts(t.numpy())) if isinstance(t, flambeau.Tensor) else [("", t)] * 2 for t in given]
    for position in range(2):
        other = [variant[position][1] for variant in variants]
        for found, expected in zip(call(name, other), usual, strict=True):
            message = f"{name} {variants[0][position][0]}"
            if declaration.kind == "map":  # where an element lies must not matter at all
                numpy.testing.assert_array_equal(found.numpy(), expected.numpy(), err_msg=message)
            elif found.dtype.is_floating_point:
                bound = (declaration.tolerance + 1) * 2.0**-21
                numpy.testing.assert_allclose(found.numpy(), expected.numpy(), bound, bound, err_msg=message)
            else:
                numpy.testing.assert_array_equal(found.numpy(), expected.numpy(), err_msg=message)


@pytest.mark.parametrize("name", OPERATIONS)
def test_one_operand_broadcast(name):
    declaration = declare.table[name]
    if len(declaration.inputs) < 2:
        pytest.skip("one operand")
    shape = (4, 17)
    given, exact = operands(declaration, generator(name), shape, "float32")
    spread = [i for i in range(1, len(declaration.inputs)) if declaration.levels[i] != "row"]
    for i in spread:
        narrow = exact[i][:1] if declaration.kind == "map" or i % 2 else exact[i]
        exact[i] = numpy.broadcast_to(narrow, shape)
        given[i] = flambeau.from_numpy(narrow.astype(given[i].numpy().dtype).copy()).expand(shape)
    expected, dtypes = oracle(declaration, given, exact, shape)
    for found, value, kind in zip(call(name, given), expected, dtypes, strict=True):
        assert_close(declaration, found, value, kind, f"{name} with stride 0")


@pytest.mark.parametrize("name", MAPS)
def test_sizes_zero_and_scalars(name):
    declaration = declare.table[name]
    for shape in ((0,), (3, 0), ()):
        given, exact = operands(declaration, generator(name), shape, "float32")
        expected, dtypes = oracle(declaration, given, exact, shape)
        for found, value, kind in zip(call(name, given), expected, dtypes, strict=True):
            assert_close(declaration, found, value, kind, f"{name} {shape}")


@pytest.mark.parametrize("name", ROWS)
def test_no_rows(name):
    declaration = declare.table[name]
    given, _ = operands(declaration, generator(name), (0, 3), "float32")
    for found, level in zip(call(name, given), declaration.output_levels, strict=True):
        assert tuple(found.shape) == ((0,) if level == "row" else (0, 3))


SPECIAL = numpy.array(
    [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -3.0, 100.0, -100.0, 1e-30, 1e30, 2.0**-126, 2.0**-149, -(2.0**-140),
     numpy.inf, -numpy.inf, numpy.nan],
    "float32",
)  # fmt: skip
#: float32 runs out of range, or of digits, on the way to a result that float64 reaches.
OUT_OF_RANGE = {
    "addcdiv", "addcmul", "lerp", "remainder", "floor_divide", "trunc_divide", "fmod", "logaddexp2", "pow", "zeta",
    "poisson_nll_loss", "poisson_nll_log_loss", "binary_cross_entropy", "kl_div_log", "xlog1py",
    "lgamma",  # at -inf the limit does not exist: the kernel follows PyTorch and says inf, the oracle -inf
}  # fmt: skip
#: 1 - 1e-6 is no float32: the bound itself is rounded.
ROUNDED_BOUND = {"logit_clamped"}


@pytest.mark.parametrize("name", [n for n in MAPS if len(declare.table[n].inputs) <= 2])
def test_special_numbers(name):
    declaration = declare.table[name]
    if any(role not in ("compute", "own") for role in declaration.roles[: len(declaration.inputs)]):
        pytest.skip("an operand is no float")
    if declaration.accepts in ("integral", "integer"):
        pytest.skip("takes integers only")
    if name in ROUNDED_BOUND:
        pytest.skip("the bound is no float32")
    grids = numpy.meshgrid(*[SPECIAL] * len(declaration.inputs), indexing="ij")
    given = [flambeau.from_numpy(grid.reshape(-1).copy()) for grid in grids] + settings(declaration)
    exact = [grid.reshape(-1).astype("float64") for grid in grids]
    exact += [numpy.asarray(number) for number in settings(declaration)]
    with numpy.errstate(all="ignore"):
        expected, dtypes = oracle(declaration, given, exact, exact[0].shape)
    for found, value, kind in zip(call(name, given), expected, dtypes, strict=True):
        if name in OUT_OF_RANGE:
            sizes = [numpy.abs(a) for a in exact[: len(grids)]]
            ordinary = numpy.all([(size < 50) & ((size > 1e-4) | (size == 0)) for size in sizes], 0)
            keep = flambeau.from_numpy(ordinary)
            found, value = found[keep], value[ordinary]
        assert_close(declaration, found, value, kind, f"{name} at special numbers", subnormal=2.0**-126)


@pytest.mark.parametrize("name", MAPS)
def test_out_and_in_place(name):
    declaration = declare.table[name]
    given, _ = operands(declaration, generator(name), (4, 9), "float32")
    usual = call(name, given)
    if len(usual) == 1:
        target = flambeau.empty((4, 9), dtype=usual[0].dtype)
        returned = operation(name)(*given, out=target)
        assert returned is target
        numpy.testing.assert_array_equal(target.numpy(), usual[0].numpy(), err_msg=f"{name} out=")
    if usual[0].dtype is not given[0].dtype or len(usual) > 1:
        return
    first = given[0].clone()
    returned = operation(name).inplace(first, *given[1:])
    assert returned is first
    numpy.testing.assert_array_equal(first.numpy(), usual[0].numpy(), err_msg=f"{name} in place")


@pytest.mark.parametrize("name", OPERATIONS)
def test_threads_do_not_change_a_bit(name):
    declaration = declare.table[name]
    shape = (1, 70_001) if declaration.kind == "map" else (3, 40_003)
    given, _ = operands(declaration, generator(name), shape, "float32")
    before = flambeau.get_num_threads()
    try:
        flambeau.set_num_threads(1)
        one = call(name, given)
        flambeau.set_num_threads(2)
        two = call(name, given)
    finally:
        flambeau.set_num_threads(before)
    for a, b in zip(one, two, strict=True):
        numpy.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=name)
