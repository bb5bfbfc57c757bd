"""Copies of views: the values of the view, memory of their own, gradients; and the scatter into a strided view."""

from __future__ import annotations

import numpy
import pytest

import flambeau
from flambeau.autograd import gradcheck, gradgradcheck

CASES = {
    "alias_copy": ((), lambda x: x),
    "detach_copy": ((), lambda x: x.detach()),
    "diagonal_copy": ((1, 0, 2), lambda x: x.diagonal(1, 0, 2)),
    "permute_copy": (((2, 0, 1),), lambda x: x.permute(2, 0, 1)),
    "select_copy": ((1, -1), lambda x: x.select(1, -1)),
    "slice_copy": ((2, 1, 4, 2), lambda x: x[:, :, 1:4:2]),
    "split_copy": ((2, 2), lambda x: x.split(2, 2)),
    "split_with_sizes_copy": (([1, 3], 2), lambda x: x.split([1, 3], 2)),
    "squeeze_copy": ((1,), lambda x: x.squeeze(1)),
    "transpose_copy": ((0, 2), lambda x: x.transpose(0, 2)),
    "unbind_copy": ((1,), lambda x: x.unbind(1)),
    "unfold_copy": ((2, 3, 1), lambda x: x.unfold(2, 3, 1)),
    "unsqueeze_copy": ((0,), lambda x: x.unsqueeze(0)),
}


def parts(result):
    return list(result) if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("name", CASES)
def test_copies(name):
    arguments, view = CASES[name]
    function = getattr(flambeau, name)
    x = flambeau.arange(24.0, dtype=flambeau.float64).reshape(2, 3, 4)
    expected = parts(view(x))
    kept = [part.numpy().copy() for part in expected]
    found = parts(function(x, *arguments))
    outs = [flambeau.empty(0, dtype=flambeau.float64) for _ in expected]
    function(x, *arguments, out=outs if len(outs) > 1 else outs[0])
    x.fill_(-1.0)
    for one, other, values in zip(found, outs, kept, strict=True):
        numpy.testing.assert_array_equal(one.numpy(), values)
        numpy.testing.assert_array_equal(other.numpy(), values)
    if name != "detach_copy":
        leaf = flambeau.randn(2, 3, 4, dtype=flambeau.float64).requires_grad_()
        assert gradcheck(lambda x: tuple(parts(function(x, *arguments))), (leaf,))


def test_t_copy():
    x = flambeau.arange(6).reshape(2, 3)
    assert flambeau.t_copy(x).tolist() == x.t().tolist()


def test_as_strided():
    x = flambeau.arange(9.0)
    assert flambeau.as_strided_copy(x, (2, 2), (3, 1), 1).tolist() == [[1.0, 2.0], [4.0, 5.0]]
    found = flambeau.as_strided_scatter(x, -flambeau.ones(2, 2), (2, 2), (3, 1), 1)
    assert found.tolist() == [0.0, -1.0, -1.0, 3.0, -1.0, -1.0, 6.0, 7.0, 8.0]
    turned = flambeau.arange(6.0).reshape(2, 3).t()  # not contiguous: places are those of its own storage
    found = flambeau.as_strided_scatter(turned, flambeau.zeros(2), (2,), (1,), 1)
    assert found.tolist() == [[0.0, 3.0], [0.0, 4.0], [0.0, 5.0]]
    leaves = [flambeau.randn(n, dtype=flambeau.float64).requires_grad_() for n in (9, 4)]

    def scatter(x, src):
        return flambeau.as_strided_scatter(x, src.reshape(2, 2), (2, 2), (3, 1), 1)

    assert gradcheck(scatter, leaves) and gradgradcheck(scatter, leaves)
    with pytest.raises(flambeau.ShapeError, match="shape `size`"):
        flambeau.as_strided_scatter(x, flambeau.ones(3), (2,), (1,))
