"""Promotion, casting, limits, default dtypes, type names and the older constructors, against PyTorch."""

from __future__ import annotations

import pytest

import flambeau as fl

NAMES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"]
EACH = """
L.ones(2, dtype=L.{a}).type()                   L.ones(2, dtype=L.{a}).type(L.float64)
L.ones(2).type_as(L.ones(1, dtype=L.{a}))       L.ones(2, dtype=L.{a}).new_tensor([1, 2])
L.ones(2, dtype=L.{a}).new_zeros(2)             L.ones(2, dtype=L.{a}).new_full((2,), 1)
L.ones(2, dtype=L.{a}).new_ones(2, dtype=L.int32)  L.ones(2, dtype=L.{a}).new([1, 0])
L.ones(2, dtype=L.{a}).new(2, 3).shape          L.ones(2, dtype=L.{a}).new().shape
L.{a}.itemsize, L.{a}.is_signed, L.{a}.is_floating_point  L.result_type(L.ones(2, dtype=L.{a}), 2.5)
L.result_type(L.ones(2, dtype=L.{a}), 2)        L.result_type(True, L.ones((), dtype=L.{a}))
L.ones(2, dtype=L.{a}).is_signed()              L.finfo(L.{a})
"""
SINGLE = """
L.FloatTensor([1, 2])          L.LongTensor([1.5, 2])        L.LongTensor(L.tensor([1, 2]))   L.FloatTensor()
L.FloatTensor(2, 3).shape      L.FloatTensor([[1, 2], [3, 4]])  L.ByteTensor([1, 2])          L.BoolTensor([1, 0])
L.HalfTensor([1])              L.DoubleTensor.dtype          isinstance(L.ones(2), L.FloatTensor)
isinstance(L.ones(2), L.LongTensor)  L.ones(2).type("torch.LongTensor")  L.ones(2).type(L.LongTensor)  L.ones(2).type(3)
L.Tensor([1, 2])               L.Tensor(2, 3).shape          L.Tensor(L.Size([2])).shape      L.Tensor([True])
L.Tensor(3.5)                  L.autograd.Variable(L.ones(2), requires_grad=True)
isinstance(L.ones(2), L.autograd.Variable)  L.autograd.Variable([1, 2])  L.set_default_dtype(L.int32)
L.ones(2).to("cpu", L.float64) L.ones(2).to(L.ones(1).double())  L.ones(2).to(3)  L.tensor([1, 2]).new_tensor([1.5, 2])
L.ones(2).new_full((2,), 7, requires_grad=True)  L.promote_types(1, 2)
L.can_cast(L.float32, 3)  L.finfo(3)
L.iinfo()
L.result_type(1, 2.5)          L.result_type(True, 2)        L.finfo()                        L.iinfo(L.uint8).max
L.device("cuda", 1).index      L.device(type="cpu").type     L.typename(3)                    L.typename(L.ones(1))
L.is_storage(3)                L.float == L.float32
L.scalar_tensor(3)               L.device("cpu", type="cpu")
"""


def outcome(source: str, library: object) -> str:
    """The text of a value, or "an error"."""
    try:
        text = str(eval(source, {"L": library}))
    except Exception:
        return "an error"
    return text.replace("torch.", "flambeau.")


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore")
def test_values_and_refusals_are_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    sources = [each for line in SINGLE.strip().splitlines() for each in line.split("  ") if each.strip()]
    patterns = [each.strip() for line in EACH.strip().splitlines() for each in line.split("  ") if each.strip()]
    sources += [each.format(a=a) for a in NAMES for each in patterns]
    for a in NAMES:
        for b in NAMES:
            sources += [f"L.promote_types(L.{a}, L.{b})", f"L.can_cast(L.{a}, L.{b})"]
            sources += [f"L.result_type(L.ones({shape}, dtype=L.{a}), L.ones(2, dtype=L.{b}))" for shape in ("2", "()")]
    assert len(sources) > 500
    for source in sources:
        assert outcome(source.strip(), fl) == outcome(source.strip(), torch), source


def test_the_default_dtype_reaches_every_factory() -> None:
    try:
        fl.set_default_dtype(fl.float64)
        made = [
            fl.tensor([1.0]),
            fl.zeros(1),
            fl.arange(1.0),
            fl.tensor(1) / 2,
            fl.linspace(0, 1, 2),
            fl.rand(2),
            fl.eye(2),
        ]
        assert {x.dtype for x in [*made, fl.Tensor([1]), fl.full((1,), 1.0)]} == {fl.float64}
        assert fl.finfo().dtype == "float64" and fl.get_default_dtype() is fl.float64
    finally:
        fl.set_default_dtype(fl.float32)
    assert fl.tensor([1.0]).dtype is fl.float32


def test_integers_cast_to_each_other_but_not_floats_to_integers() -> None:
    assert (
        fl.can_cast(fl.int64, fl.uint8)
        and fl.can_cast(fl.float64, fl.float16)
        and not fl.can_cast(fl.float16, fl.int64)
    )
    assert not fl.can_cast(fl.int8, fl.bool)
    with pytest.raises(TypeError, match="Variable"):
        fl.autograd.Variable([1.0])
    with pytest.raises(TypeError, match="twice"):
        fl.device("cpu", type="cpu")
