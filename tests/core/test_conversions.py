"""What Python asks of any object: bool, int, float, index, len, iteration, membership, format, hash, equality, repr."""

from __future__ import annotations

import math

import numpy as np
import pytest

import flambeau as fl


def test_one_element_converts_whatever_its_shape():
    for x in (fl.tensor(2.5), fl.tensor([2.5]), fl.tensor([[[2.5]]])):
        assert float(x) == 2.5 and int(x) == 2 and bool(x) and x.item() == 2.5
    assert int(fl.tensor(-2.7)) == -2 and int(fl.tensor(True)) == 1 and not fl.tensor(0.0)
    assert isinstance(fl.tensor(1).item(), int) and isinstance(fl.tensor(1.0).item(), float)
    assert fl.tensor(True).item() is True
    assert bool(fl.tensor(math.nan)) and math.isnan(float(fl.tensor(math.nan)))
    assert complex(fl.tensor(2.5)) == 2.5


@pytest.mark.parametrize("convert", [float, int, bool, fl.Tensor.item], ids=["float", "int", "bool", "item"])
def test_more_than_one_element_is_an_error(convert):
    for x in (fl.zeros(2), fl.zeros(2, 3)):
        with pytest.raises((RuntimeError, ValueError), match=r"(?s)one|ambiguous"):
            convert(x)


def test_no_element_is_an_error_for_numbers_too():
    for convert in (float, int, fl.Tensor.item):
        with pytest.raises((RuntimeError, ValueError)):
            convert(fl.zeros(0))


def test_nan_and_infinity_have_no_integer():
    for value in (math.nan, math.inf):
        with pytest.raises((ValueError, OverflowError)):
            int(fl.tensor(value))


@pytest.mark.parametrize("dtype", [fl.bool, fl.uint8, fl.int8, fl.int16, fl.int32, fl.int64])
def test_whole_tensors_serve_as_indices(dtype):
    one = fl.tensor(1, dtype=dtype)
    assert [10, 20, 30][one] == 20 and list(range(one)) == [0] and hex(one) == "0x1"
    assert fl.zeros(one, one).shape == (1, 1)


def test_floats_and_several_elements_do_not():
    for x in (fl.tensor(1.0), fl.tensor([1, 2])):
        with pytest.raises(TypeError):
            [10, 20][x]


def test_len_and_iteration_go_along_the_first_dimension():
    x = fl.arange(6.0).reshape(3, 2)
    assert len(x) == 3 and [row.tolist() for row in x] == x.tolist()
    first, *rest = x
    first.zero_()
    assert x[0].tolist() == [0, 0] and len(rest) == 2
    assert list(fl.zeros(0, 2)) == [] and len(fl.zeros(0, 2)) == 0
    assert [row.tolist() for row in reversed(fl.arange(3))] == [2, 1, 0]
    with pytest.raises(TypeError, match="0-d"):
        len(fl.tensor(1))
    with pytest.raises(TypeError, match="0-d"):
        iter(fl.tensor(1))


def test_iteration_keeps_gradients():
    x = fl.ones(3, requires_grad=True)
    sum(v * i for i, v in enumerate(x)).backward()
    assert x.grad.tolist() == [0, 1, 2]


def test_membership_asks_whether_any_element_is_equal():
    x = fl.tensor([1.0, 2.0])
    assert 2 in x and 2.0 in x and fl.tensor(1.0) in x and 3 not in x
    assert math.nan not in fl.tensor([math.nan])


def test_tensors_are_hashed_by_identity():
    x = fl.ones(2)
    y = x[:]
    assert hash(x) != hash(y) or x is y
    assert len({x, y, x}) == 2 and {x: 1}[x] == 1


def test_format_of_one_element_formats_the_number():
    assert f"{fl.tensor(3.14159):.2f}" == "3.14" and f"{fl.tensor(7):04d}" == "0007" and f"{fl.tensor(2.0)}" == "2.0"
    assert f"{fl.ones(2)}" == "tensor([1., 1.])"
    with pytest.raises(TypeError):
        f"{fl.ones(2):.2f}"


def test_rounding_and_math_functions():
    assert math.floor(fl.tensor(2.7)) == 2 and math.sqrt(fl.tensor(4.0)) == 2
    assert round(float(fl.tensor(2.5)), 1) == 2.5


def test_tolist_nests_like_the_shape():
    assert fl.arange(4).reshape(2, 2).tolist() == [[0, 1], [2, 3]] and fl.tensor(5).tolist() == 5
    assert fl.zeros(2, 0).tolist() == [[], []] and fl.arange(6).reshape(2, 3).T.tolist() == [[0, 3], [1, 4], [2, 5]]
    for name in ("float16", "bfloat16", "float32", "float64"):
        assert fl.tensor([1.5, -2.0], dtype=getattr(fl, name)).tolist() == [1.5, -2]


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (lambda: fl.tensor(3), "tensor(3)"),
        (lambda: fl.tensor(2.5), "tensor(2.5000)"),
        (lambda: fl.tensor(True), "tensor(True)"),
        (lambda: fl.tensor([1, -20]), "tensor([  1, -20])"),
        (lambda: fl.tensor([1.0, 2.0]), "tensor([1., 2.])"),
        (lambda: fl.tensor([1.5, math.nan, math.inf, -math.inf]), "tensor([1.5000,    nan,    inf,   -inf])"),
        (lambda: fl.tensor([1e-8, 1.0]), "tensor([1.0000e-08, 1.0000e+00])"),
        (lambda: fl.tensor([[1, 2], [3, 4]]), "tensor([[1, 2],\n        [3, 4]])"),
        (lambda: fl.zeros(0), "tensor([])"),
        (lambda: fl.zeros(2, 0), "tensor([], size=(2, 0))"),
        (lambda: fl.tensor([1, 2], dtype=fl.int32), "tensor([1, 2], dtype=flambeau.int32)"),
        (lambda: fl.ones(2, dtype=fl.float64), "tensor([1., 1.], dtype=flambeau.float64)"),
        (lambda: fl.ones(2, requires_grad=True), "tensor([1., 1.], requires_grad=True)"),
        (lambda: fl.ones(2, requires_grad=True) * 2, "tensor([2., 2.], grad_fn=<MulBackward0>)"),
    ],
)
def test_repr_is_pytorchs(tensor, text):
    assert repr(tensor()) == text


def test_large_tensors_are_summarised():
    text = repr(fl.arange(10_000.0).reshape(100, 100))
    assert "..." in text and len(text) < 1000
    assert repr(fl.zeros(1).expand(5, 1000, 1000, 10)).count("...") > 1


def test_repr_agrees_with_pytorch_on_many_tensors():
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    arrays = [
        generator.normal(size=5).astype("f4"), generator.normal(size=(2, 3)).astype("f4") * 1e5,
        np.array([1.0, -0.0], "f4"), generator.integers(-5, 500, (2, 4)), np.array([[True, False]]),
        generator.normal(size=(2, 1, 3)), np.arange(2000),
        np.array([1e10, 1.0]), np.array([123456.0, 0.001]), np.array([np.nan, 1.0]), np.float32([1, 1e30]),
    ]  # fmt: skip
    for array in arrays:
        assert repr(fl.from_numpy(array)) == repr(torch.from_numpy(array)).replace("torch.", "flambeau.")


def test_print_options_change_the_digits():
    fl.set_printoptions(precision=2)
    try:
        assert repr(fl.tensor([1.23456])) == "tensor([1.23])"
    finally:
        fl.set_printoptions(profile="default")
    assert repr(fl.tensor([1.23456])) == "tensor([1.2346])"
