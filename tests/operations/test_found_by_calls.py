"""What random calls found: each a rule that once was broken."""

from __future__ import annotations

import math

import pytest

import flambeau as fl
from flambeau.nn import functional as F


def test_infinities_stay_in_their_window_of_adaptive_pooling():
    x = fl.arange(10.0).reshape(1, 1, 2, 5)
    x[0, 0, 0, 0] = math.nan
    y = F.adaptive_avg_pool2d(x, (2, 3))
    assert y.isnan().sum().item() == 1 and y[0, 0, 1].tolist() == [5.5, 7.0, 8.5]
    assert F.adaptive_avg_pool1d(fl.arange(7.0).reshape(1, 7), 3).tolist() == [[1.0, 3.0, 5.0]]
    assert F.adaptive_avg_pool1d(fl.zeros(1, 7), 0).shape == (1, 0)


def test_adaptive_pooling_differentiates():
    x = fl.randn(2, 5, 7, dtype=fl.float64, requires_grad=True)
    assert fl.autograd.gradcheck(lambda x: F.adaptive_avg_pool2d(x, (3, 4)), (x,))


def test_threshold_keeps_integers():
    y = F.threshold(fl.tensor([0, 1, 2]), 0.5, 2.5)
    assert y.tolist() == [2, 1, 2] and y.dtype is fl.int64
    with pytest.raises(RuntimeError, match="overflow"):
        F.threshold(fl.tensor([1], dtype=fl.uint8), 1, 300)


def test_numbers_written_by_masks_lose_their_fraction_and_must_fit():
    mask = fl.tensor([True, False])
    assert fl.zeros(2, dtype=fl.int64).masked_fill(mask, -2.5).tolist() == [-2, 0]
    assert fl.zeros(2, dtype=fl.bool).masked_fill(mask, 0.5).tolist() == [True, False]
    assert fl.zeros(2, dtype=fl.uint8).masked_fill(mask, -1).tolist() == [255, 0]
    for dtype, value in (
        (fl.uint8, 1e10),
        (fl.int8, 300),
        (fl.uint8, -1.0),
        (fl.int64, math.nan),
        (fl.int32, math.inf),
    ):
        with pytest.raises(RuntimeError, match="overflow"):
            fl.zeros(2, dtype=dtype).masked_fill(mask, value)
    x = fl.zeros(2, dtype=fl.int8)
    with pytest.raises(RuntimeError, match="overflow"):
        x[0] = 300
    y = fl.zeros(2, dtype=fl.uint8)
    y[0] = -1
    assert x.tolist() == [0, 0] and y.tolist() == [255, 0]


def test_any_and_all_over_no_dimensions_are_elementwise():
    x = fl.tensor([[0.0, 2.0]])
    for function in (fl.any, fl.all):
        assert function(x, dim=()).tolist() == [[False, True]] and function(x, dim=[]).dtype is fl.bool
    assert fl.amax(x, dim=[]).item() == 2.0
    with pytest.raises(RuntimeError, match="dim"):
        fl.amax(fl.zeros(0, 2), dim=[])


def test_a_dimension_is_named_once_also_where_there_is_none():
    for function in (fl.amax, fl.amin, fl.std):
        with pytest.raises(RuntimeError, match="multiple times"):
            function(fl.tensor(1.0), dim=[0, -1])


def test_nextafter_promotes_and_its_gradient_stays_with_the_first():
    assert fl.nextafter(fl.tensor([1, 2]), fl.tensor([2.0])).dtype is fl.float32
    a, b = (fl.tensor(x, requires_grad=True) for x in ([1.0, 2.0], [1.0, 3.0]))
    fl.nextafter(a, b).sum().backward()
    assert a.grad.tolist() == [0.0, 1.0] and b.grad.tolist() == [0.0, 0.0]


def test_integers_take_no_negative_power_in_place():
    with pytest.raises(RuntimeError, match="negative"):
        fl.tensor([2]).pow_(-1)


def test_quantiles_of_nothing_and_between_infinities():
    for function in (fl.quantile, fl.nanquantile):
        with pytest.raises(RuntimeError, match="non-empty"):
            function(fl.zeros(3, 0), 0.5, dim=0)
    assert fl.quantile(fl.tensor([-math.inf, 1.0]), 0.75).item() == -math.inf


def test_equal_elements_share_the_gradient_of_a_median():
    x = fl.tensor([1.0, 2.0, 2.0, 3.0], requires_grad=True)
    fl.median(x).backward()
    assert x.grad.tolist() == [0.0, 0.5, 0.5, 0.0]


def test_empty_vectors_join_in_their_common_dtype():
    assert fl.cat([fl.zeros(0, dtype=fl.bool), fl.zeros(0, dtype=fl.float16)]).dtype is fl.float16


def test_the_gradient_of_entr_below_zero_is_nan():
    x = fl.tensor([-1.0, 0.5], requires_grad=True)
    fl.special.entr(x).sum().backward()
    assert math.isnan(x.grad[0].item()) and x.grad[1].item() == pytest.approx(-math.log(0.5) - 1)


@pytest.mark.parametrize("dtype", [fl.float16, fl.bfloat16, fl.float32, fl.float64])
def test_minus_zero_is_false(dtype):
    x = fl.tensor([-0.0, 0.0, 1.0], dtype=dtype).repeat(12)
    assert x.logical_not().tolist() == [True, True, False] * 12
    assert x.logical_and(x).tolist() == x.logical_or(x).tolist() == [False, False, True] * 12
    assert x.logical_xor(fl.zeros(36)).tolist() == [False, False, True] * 12


def test_integers_in_losses_count_as_floats():
    x, counts = fl.tensor([1, 2, 3]), fl.tensor([2, 0, 3])
    for each in (x, x.float()):
        found = F.poisson_nll_loss(each, counts, log_input=False, reduction="none")
        assert found.dtype is fl.float32
        fl.testing.assert_close(found, fl.tensor([1.0, 2.0, 3 - 3 * math.log(3)]))
    assert F.poisson_nll_loss(x.double(), counts).dtype is fl.float64
    sign = fl.tensor([1, -1, 1])
    assert F.margin_ranking_loss(x, counts, sign, margin=0.5, reduction="none").tolist() == [1.5, 2.5, 0.5]


def test_hardtanh_keeps_integers():
    x = fl.tensor([-5, 0, 3])
    assert F.hardtanh(x, -1.7, 2.9).tolist() == [-1, 0, 2] and F.hardtanh(x).dtype is fl.int64
    F.hardtanh(x, -2, 2, inplace=True)
    assert x.tolist() == [-2, 0, 2]
    with pytest.raises(RuntimeError, match="negative"):
        F.hardtanh(x.to(fl.uint8))


def test_sum_to_size_of_a_number_is_a_sum():
    assert fl.tensor(True).sum_to_size(()).dtype is fl.tensor(2, dtype=fl.int8).sum_to_size(()).dtype is fl.int64
    assert fl.tensor([True]).sum_to_size((1,)).dtype is fl.bool


def test_a_vector_as_weight_takes_one_bias():
    x, weight = fl.ones(2, 3), fl.ones(3)
    assert F.linear(x, weight, fl.tensor(1.0)).tolist() == F.linear(x, weight, fl.ones(1)).tolist() == [4.0, 4.0]
    with pytest.raises(RuntimeError, match="one element"):
        F.linear(x, weight, fl.ones(2))


def test_windows_are_strided():
    with pytest.raises(ValueError, match="strided"):
        fl.signal.windows.hann(4, layout=fl.sparse_coo)
