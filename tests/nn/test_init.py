"""Initialisers: bounds, moments, structure."""

import math

import pytest

import flambeau as fl
from flambeau.nn import init


@pytest.mark.parametrize(
    ("name", "param", "gain"),
    [("linear", None, 1), ("tanh", None, 5 / 3), ("relu", None, math.sqrt(2)), ("selu", None, 0.75),
     ("leaky_relu", None, math.sqrt(2 / (1 + 1e-4))), ("leaky_relu", 0.2, math.sqrt(2 / 1.04))],
)  # fmt: skip
def test_gain(name, param, gain):
    assert init.calculate_gain(name, param) == pytest.approx(gain)


def test_gain_errors():
    with pytest.raises(ValueError, match="Unsupported nonlinearity"):
        init.calculate_gain("nothing")
    with pytest.raises(ValueError, match="negative_slope"):
        init.calculate_gain("leaky_relu", True)


def spread(tensor):
    values = tensor.flatten().tolist()
    mean = sum(values) / len(values)
    return min(values), max(values), mean, math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))


@pytest.mark.parametrize(
    ("fill", "bound"),
    [
        (lambda t: init.xavier_uniform_(t, 2.0), 2 * math.sqrt(6 / 150)),
        (lambda t: init.kaiming_uniform_(t, a=math.sqrt(5)), 1 / math.sqrt(100)),
        (lambda t: init.kaiming_uniform_(t, mode="fan_out", nonlinearity="relu"), math.sqrt(6 / 50)),
        (lambda t: init.uniform_(t, -2, 2), 2),
    ],
)
def test_uniform_bounds(fill, bound):
    fl.manual_seed(1)
    tensor = fl.empty(50, 100)
    assert fill(tensor) is tensor
    low, high, mean, _ = spread(tensor)
    assert -bound <= low < -0.95 * bound and 0.95 * bound < high <= bound and abs(mean) < 0.05 * bound


@pytest.mark.parametrize(
    ("fill", "std"),
    [
        (lambda t: init.xavier_normal_(t), math.sqrt(2 / 150)),
        (lambda t: init.kaiming_normal_(t, nonlinearity="relu"), math.sqrt(2 / 100)),
        (lambda t: init.normal_(t, 0, 3), 3),
    ],
)
def test_normal_spread(fill, std):
    fl.manual_seed(1)
    _, _, mean, found = spread(fill(fl.empty(50, 100)))
    assert abs(found / std - 1) < 0.05 and abs(mean) < 0.1 * std


def test_truncated_normal():
    fl.manual_seed(2)
    low, high, mean, std = spread(init.trunc_normal_(fl.empty(5000), 1.0, 2.0, a=-1.0, b=3.0))
    assert low >= -1 and high <= 3 and abs(mean - 1) < 0.1 and 1.0 < std < 1.15


def test_structures():
    assert init.eye_(fl.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    weight = init.dirac_(fl.empty(4, 2, 3), groups=2)
    assert weight[:, :, 1].tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]] and weight.sum().item() == 4
    assert init.constant_(fl.empty(2), 3).tolist() == [3, 3]
    for rows, columns in ((3, 5), (5, 3)):
        q = init.orthogonal_(fl.empty(rows, columns), gain=2.0)
        product = q @ q.t() if rows < columns else q.t() @ q
        assert fl.allclose(product, 4 * fl.eye(3), atol=1e-5)
    sparse = init.sparse_(fl.empty(10, 4), 0.3)
    assert (sparse == 0).sum(0).tolist() == [3, 3, 3, 3]


def test_errors_and_older_names():
    with pytest.raises(ValueError, match="fewer than 2 dimensions"):
        init.xavier_uniform_(fl.empty(3))
    with pytest.raises(ValueError, match="not supported"):
        init.kaiming_normal_(fl.empty(2, 2), mode="fan")
    with pytest.raises(ValueError, match="2 dimensions"):
        init.eye_(fl.empty(3))
    with pytest.raises(ValueError, match="3, 4, or 5"):
        init.dirac_(fl.empty(3, 3))
    with pytest.warns(FutureWarning, match="nn.init.uniform_"):
        init.uniform(fl.empty(2))
    with pytest.warns(UserWarning, match="zero-element"):
        init.kaiming_uniform_(fl.empty(0, 3))


def test_generator_repeats():
    a = init.xavier_uniform_(fl.empty(3, 3), generator=fl.Generator().manual_seed(5))
    b = init.xavier_uniform_(fl.empty(3, 3), generator=fl.Generator().manual_seed(5))
    assert a.tolist() == b.tolist()
