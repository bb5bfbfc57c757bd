"""Operations on lists of tensors against the operation on each tensor."""

from __future__ import annotations

import pytest

import flambeau as fl
from flambeau.ops import foreach


def tensors() -> list[fl.Tensor]:
    return [fl.tensor([0.25, 0.5]), fl.tensor([[0.75], [1.0]])]


def same(found: tuple[fl.Tensor, ...], expected: list[fl.Tensor]) -> bool:
    return len(found) == len(expected) and all(fl.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", foreach._UNARY)
def test_unary(name: str) -> None:
    expected = [getattr(t, name)() for t in tensors()]
    assert all(bool((a.isnan() == b.isnan()).all()) for a, b in zip(expected, tensors(), strict=True)) or name == "acos"
    assert same(getattr(fl, f"_foreach_{name}")(tensors()), expected)
    written = tensors()
    assert getattr(fl, f"_foreach_{name}_")(written) is None
    assert same(tuple(written), expected)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow", "maximum", "minimum", "clamp_min", "clamp_max"])
def test_binary(name: str) -> None:
    single = {"clamp_min": fl.maximum, "clamp_max": fl.minimum}.get(name) or getattr(fl, name)
    others = [fl.tensor([2.0, 0.3]), fl.tensor([[0.5], [3.0]])]
    for other, each in ((others, others), ([2.0, 0.5], [2.0, 0.5]), (0.6, [0.6, 0.6])):
        pairs = zip(tensors(), each, strict=True)
        expected = [single(t, o if isinstance(o, fl.Tensor) or name in ("add", "sub", "mul", "div", "pow")
                           else fl.full_like(t, o)) for t, o in pairs]  # fmt: skip
        assert same(getattr(fl, f"_foreach_{name}")(tensors(), other), expected)
        written = tensors()
        assert getattr(fl, f"_foreach_{name}_")(written, other) is None
        assert same(tuple(written), expected)


def test_more_operands() -> None:
    a, b = tensors(), [fl.tensor([2.0, 3.0]), fl.tensor([[4.0], [5.0]])]
    c = [fl.tensor([1.0, -1.0]), fl.tensor([[0.5], [2.0]])]
    assert same(fl._foreach_add(a, b, alpha=2), [x + 2 * y for x, y in zip(a, b, strict=True)])
    for name in ("addcmul", "addcdiv"):
        single = getattr(fl, name)
        groups = list(zip(a, b, c, strict=True))
        assert same(getattr(fl, f"_foreach_{name}")(a, b, c, 0.5), [single(*g, value=0.5) for g in groups])
        each = [single(*g, value=v) for g, v in zip(groups, (2.0, 3.0), strict=True)]
        assert same(getattr(fl, f"_foreach_{name}")(a, b, c, [2.0, 3.0]), each)
        assert same(getattr(fl, f"_foreach_{name}")(a, b, c, fl.tensor([2.0, 3.0])), each)
        written = tensors()
        getattr(fl, f"_foreach_{name}_")(written, b, c, [2.0, 3.0])
        assert same(tuple(written), each)
    for weight in (0.25, [0.25, 0.25], [fl.full_like(x, 0.25) for x in a]):
        written = tensors()
        fl._foreach_lerp_(written, b, weight)
        for found, x, y in zip(written, a, b, strict=True):
            assert fl.allclose(found, x + 0.25 * (y - x))
    assert [float(x) for x in fl._foreach_norm(b)] == pytest.approx([13**0.5, 41**0.5])
    assert [float(x) for x in fl._foreach_norm(b, 1)] == [5.0, 9.0]
    assert [float(x) for x in fl._foreach_max(b)] == [3.0, 5.0]
    assert same(fl._foreach_pow(2.0, a), [2.0**x for x in a])
    copies = fl._foreach_clone(b)
    fl._foreach_copy_(copies, a)
    assert same(copies, a) and b[0].tolist() == [2.0, 3.0]
    fl._foreach_zero_(list(copies))
    assert all(float(x.abs().sum()) == 0 for x in copies)


def test_gradient() -> None:
    a = [fl.ones(2, requires_grad=True), fl.ones(3, requires_grad=True)]
    sum(x.sum() for x in fl._foreach_mul(a, [2.0, 3.0])).backward()
    assert a[0].grad.tolist() == [2.0, 2.0] and a[1].grad.tolist() == [3.0, 3.0, 3.0]


def test_errors() -> None:
    with pytest.raises(RuntimeError, match="at least one tensor"):
        fl._foreach_add([], 1)
    with pytest.raises(RuntimeError, match="same number"):
        fl._foreach_add(tensors(), [1.0])
    with pytest.raises(TypeError, match="must be Tensor"):
        fl._foreach_neg([1.0])
    with pytest.raises(AttributeError):
        fl._foreach_nothing  # noqa: B018
