"""Distributions inside compiled functions: the same draws and densities, without the checks of values."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as fl

D = fl.distributions

FAMILIES = {
    "Bernoulli": lambda a: D.Bernoulli(logits=a),
    "Exponential": lambda a: D.Exponential(a.exp()),
    "Gumbel": lambda a: D.Gumbel(a, 1.0),
    "Laplace": lambda a: D.Laplace(a, a.exp()),
    "LogNormal": lambda a: D.LogNormal(a, 0.5),
    "Normal": lambda a: D.Normal(a, a.exp()),
    "RelaxedOneHotCategorical": lambda a: D.RelaxedOneHotCategorical(fl.ones(()), logits=a),
    "Uniform": lambda a: D.Uniform(a, a + 1.0),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_log_prob_compiled(family: str) -> None:
    make, a = FAMILIES[family], fl.tensor([[0.1, -0.4, 0.7]])
    fl.manual_seed(0)
    value = make(a).sample()

    def density(a: Any, value: Any) -> Any:
        return make(a).log_prob(value)

    compiled = fl.compile(density)
    for _ in range(3):
        assert fl.allclose(compiled(a, value), density(a, value), rtol=1e-6)


@pytest.mark.parametrize("family", ["Normal", "Laplace", "Uniform"])
def test_draws_compiled(family: str) -> None:
    make, a = FAMILIES[family], fl.tensor([0.1, -0.4, 0.7])

    def draw(a: Any) -> Any:
        q = make(a)
        x = q.rsample((2,))
        return x, q.log_prob(x)

    compiled = fl.compile(draw)
    fl.manual_seed(4)
    expected = [draw(a) for _ in range(3)]
    fl.manual_seed(4)
    for x, log_prob in expected:
        found_x, found = compiled(a)
        assert fl.allclose(found_x, x, rtol=1e-6) and fl.allclose(found, log_prob, rtol=1e-5)


def test_training_step_compiled() -> None:
    """The gradient of an evidence bound through a reparameterised draw, as in a variational autoencoder."""
    loc, scale = fl.zeros(4, requires_grad=True), fl.zeros(4, requires_grad=True)

    def step() -> Any:
        q = D.Normal(loc, scale.exp())
        loss = D.kl_divergence(q, D.Normal(0.0, 1.0)).sum() - D.Normal(1.0, 0.5).log_prob(q.rsample()).sum()
        loc.grad = scale.grad = None
        loss.backward()
        return loss.detach(), loc.grad.clone(), scale.grad.clone()

    compiled = fl.compile(step)
    fl.manual_seed(4)
    expected = [step() for _ in range(3)]
    fl.manual_seed(4)
    for each in expected:
        for found, value in zip(compiled(), each, strict=True):
            assert fl.allclose(found, value, rtol=1e-5, atol=1e-6)
