"""Gradients: of densities and entropies by differences, of draws by differences or by what their expectations are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

import flambeau as fl
from flambeau.errors import AutogradError
from flambeau.ops import sampling

from .families import CASES, Case, name, to_tensor

D = fl.distributions


def of_parameters(case: Case) -> tuple[list[str], list[Any], dict[str, Any]]:
    """Names and tensors of the parameters that can be differentiated, and the others."""
    names = [k for k, v in case.parameters.items() if isinstance(v, np.ndarray)]
    rest = {k: v for k, v in case.parameters.items() if k not in names}
    return names, [to_tensor(case.parameters[k], requires_grad=True) for k in names], rest


def made(case: Case, names: list[str], tensors: tuple[Any, ...], rest: dict[str, Any]) -> Any:
    parameters = dict(zip(names, tensors, strict=True))
    for matrix in ("covariance_matrix", "precision_matrix"):  # differences must keep them symmetric
        if matrix in parameters:
            parameters[matrix] = (parameters[matrix] + parameters[matrix].mT) / 2
    if "scale_tril" in parameters:
        parameters["scale_tril"] = parameters["scale_tril"].tril()
    return getattr(D, case.family)(**parameters, **rest, validate_args=False)


@pytest.mark.parametrize("case", CASES, ids=name)
def test_log_prob_and_entropy(case: Case) -> None:
    names, tensors, rest = of_parameters(case)
    fl.manual_seed(0)
    value = case.ours().sample((2,))
    assert fl.autograd.gradcheck(lambda *t: made(case, names, t, rest).log_prob(value), tensors, atol=1e-4, rtol=1e-4)
    try:
        case.ours().entropy()
    except NotImplementedError:
        return
    assert fl.autograd.gradcheck(lambda *t: made(case, names, t, rest).entropy(), tensors, atol=1e-4, rtol=1e-4)


GAMMA = {"Gamma", "Chi2", "Beta", "Dirichlet", "StudentT", "FisherSnedecor", "InverseGamma", "Wishart"}
PATHWISE = [c for c in CASES if getattr(D, c.family).has_rsample and c.family not in GAMMA]


@pytest.mark.parametrize("case", [c for c in PATHWISE if "Straight" not in c.family], ids=name)
def test_draws_by_differences(case: Case) -> None:
    names, tensors, rest = of_parameters(case)

    def draw(*t: Any) -> Any:
        fl.manual_seed(7)
        return made(case, names, t, rest).rsample((2,))

    assert fl.autograd.gradcheck(draw, tensors, atol=1e-4, rtol=1e-4)


def test_straight_through() -> None:
    logits = fl.zeros(3, requires_grad=True)
    drawn = D.OneHotCategoricalStraightThrough(logits=logits).rsample()
    weights = fl.tensor([1.0, 2.0, 4.0])
    (drawn * weights).sum().backward()
    probs = fl.softmax(fl.zeros(3), -1)
    np.testing.assert_allclose(logits.grad.numpy(), (probs * (weights - (probs * weights).sum())).numpy(), rtol=1e-5)


# ------------------------------------------------------------------------------------------------------- gamma draws


def test_gamma_slope() -> None:
    """Against differences of SciPy's quantile function, which is good to about 1e-7 after the differences."""
    for a in (1e-3, 0.03, 0.4, 1.0, 1.4, 3.0, 20.0, 150.0, 1999.0, 2001.0, 1e5):
        u = np.array([1e-6, 0.01, 0.3, 0.5, 0.9])
        x = np.concatenate([special.gammaincinv(a, u), special.gammainccinv(a, [1e-3, 1e-9])])
        x = x[x > 1e-280]
        upper = special.gammaincc(a, x)
        below = upper > 0.5
        h = 1e-5 * a

        def quantile(shape: float, x: Any = x, a: float = a, below: Any = below, upper: Any = upper) -> Any:
            lower = special.gammaincinv(shape, np.where(below, special.gammainc(a, x), 0.5))
            return np.where(below, lower, special.gammainccinv(shape, np.where(below, 0.5, upper)))

        expected = (np.log(quantile(a + h)) - np.log(quantile(a - h))) / (2 * h)
        np.testing.assert_allclose(sampling.gamma_slope(a, np.log(x)), expected, rtol=2e-6, err_msg=str(a))


def test_gamma_slope_regions_meet() -> None:
    for a, x in ((1.2, 1.5), (7.0, 7.0), (2000.0, 2000.0 + 8.0 * np.sqrt(2000.0))):
        near = sampling.gamma_slope(np.array([a, a]), np.log([x * (1 - 1e-9), x * (1 + 1e-9)]))
        assert abs(near[0] / near[1] - 1) < 1e-6
    just = sampling.gamma_slope(np.array([2000.0 - 1e-6, 2000.0]), np.log([2050.0, 2050.0]))
    assert abs(just[0] / just[1] - 1) < 1e-8
    assert np.isnan(sampling.gamma_slope(np.nan, 0.0))


def slope_of_mean(draw: Callable[..., Any], of: Callable[[Any], Any], *parameters: float, n: int = 40_000) -> list[Any]:
    """The derivatives of the mean of `of(draw(...))` by the gradient of draws, each with its standard error."""
    fl.manual_seed(12)
    leaves = [fl.full((n,), p, dtype=fl.float64, requires_grad=True) for p in parameters]
    of(draw(*leaves)).sum().backward()
    return [(float(t.grad.mean()), float(t.grad.std()) / n**0.5) for t in leaves]


def agrees(found: Any, expected: float) -> bool:
    mean, error = found
    return abs(mean - expected) < 4.5 * error + 1e-9


def trigamma(x: float) -> float:
    return float(special.polygamma(1, x))


@pytest.mark.parametrize("a", [0.05, 0.7, 1.0, 4.0, 60.0, 3000.0])
def test_gamma_expectations(a: float) -> None:
    (slope,) = slope_of_mean(lambda t: D.Gamma(t, 1.0).rsample(), lambda x: x, a)
    assert agrees(slope, 1.0)
    (slope,) = slope_of_mean(lambda t: D.Gamma(t, 1.0).rsample(), lambda x: x.log(), a)
    assert agrees(slope, trigamma(a))


@pytest.mark.parametrize(("a", "b"), [(0.3, 0.6), (1.0, 1.0), (2.0, 5.0), (80.0, 3.0)])
def test_beta_expectations(a: float, b: float) -> None:
    first, second = slope_of_mean(lambda s, t: D.Beta(s, t).rsample(), lambda x: x, a, b)
    assert agrees(first, b / (a + b) ** 2) and agrees(second, -a / (a + b) ** 2)
    first, second = slope_of_mean(lambda s, t: D.Beta(s, t).rsample(), lambda x: x.log(), a, b)
    assert agrees(first, trigamma(a) - trigamma(a + b)) and agrees(second, -trigamma(a + b))


def test_dirichlet_expectations() -> None:
    a = [0.2, 1.5, 6.0]

    def draw(*t: Any) -> Any:
        return D.Dirichlet(fl.stack(list(t), -1)).rsample()

    slopes = slope_of_mean(draw, lambda x: x[..., 1].log(), *a)
    total = trigamma(sum(a))
    assert agrees(slopes[0], -total) and agrees(slopes[1], trigamma(a[1]) - total) and agrees(slopes[2], -total)


def test_student_expectations() -> None:
    df, step = 3.0, 1e-3
    (slope,) = slope_of_mean(lambda t: D.StudentT(t).rsample(), lambda x: (x * x / df).log1p(), df)
    x = np.linspace(-4000, 4000, 2_000_001)
    weights = np.log1p(x * x / df) * (x[1] - x[0])
    above, below = (float((stats.t(v).pdf(x) * weights).sum()) for v in (df + step, df - step))
    assert agrees(slope, (above - below) / (2 * step))


def test_wishart_expectations() -> None:
    scale = to_tensor([[1.0, 0.3], [0.3, 2.0]])

    def draw(df: Any) -> Any:
        return D.Wishart(df, scale.expand(df.shape[0], 2, 2), validate_args=False).rsample()

    (slope,) = slope_of_mean(draw, lambda x: fl.linalg.slogdet(x).logabsdet, 5.0, n=4000)
    assert agrees(slope, 0.5 * (trigamma(2.5) + trigamma(2.0)))


def test_float32_gradient() -> None:
    a = fl.tensor([0.05, 0.5, 3.0, 50.0], requires_grad=True)
    fl.manual_seed(1)
    single = sampling.standard_gamma(a)
    single.sum().backward()
    expected = sampling.gamma_slope(a.detach().numpy(), np.log(single.detach().numpy())) * single.detach().numpy()
    np.testing.assert_allclose(a.grad.numpy(), expected, rtol=1e-4)


def test_second_derivative_of_a_draw_is_refused() -> None:
    for draw in (sampling.standard_gamma, sampling.sample_dirichlet):
        a = fl.ones(3, requires_grad=True)
        x = draw(a)
        (first,) = fl.autograd.grad((x * x).sum(), a, create_graph=True)
        with pytest.raises(AutogradError, match="cannot be differentiated again"):
            first.sum().backward()


def test_gradient_reaches_parameters_through_expand() -> None:
    scale = fl.ones(3, requires_grad=True)
    q = D.Normal(0.0, scale).expand((5, 3))
    q.rsample((2,)).sum().backward()
    assert scale.grad is not None and tuple(scale.grad.shape) == (3,)
