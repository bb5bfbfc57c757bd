"""Products, running values and layers on complex numbers, and compiled functions of them."""

from __future__ import annotations

import numpy
import pytest

import flambeau as fl
from flambeau.autograd import gradcheck, gradgradcheck


def random(*shape, seed=0, dtype="complex128"):
    rng = numpy.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)


SHAPES = [((3, 4), (4, 5)), ((4,), (4, 5)), ((3, 4), (4,)), ((4,), (4,)), ((2, 1, 3, 4), (5, 4, 2)), ((0, 4), (4, 2)),
          ((3, 0), (0, 2)), ((70, 65), (65, 33)), ((2, 3, 4), (4, 1))]  # fmt: skip


@pytest.mark.parametrize(("left", "right"), SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_matmul(left, right, dtype):
    a, b = random(*left, dtype=dtype), random(*right, seed=1, dtype=dtype)
    bound = 1e-4 if dtype == "complex64" else 1e-12
    found = fl.from_numpy(a) @ fl.from_numpy(b)
    numpy.testing.assert_allclose(found.numpy(), a @ b, rtol=bound, atol=bound)
    if a.ndim > 1 and b.ndim > 1:  # other strides of both
        turned = fl.from_numpy(numpy.ascontiguousarray(numpy.swapaxes(a, -1, -2))).mT
        apart = fl.from_numpy(numpy.repeat(b, 2, -1))[..., ::2]
        numpy.testing.assert_allclose((turned @ apart).numpy(), a @ b, rtol=bound, atol=bound)


def test_products_and_their_gradients():
    a, b = (fl.from_numpy(random(2, 3, 3, seed=s)).requires_grad_() for s in (0, 1))
    assert gradcheck(lambda x, y: x @ y, (a, b)) and gradgradcheck(lambda x, y: x @ y, (a[:1, :2], b[:1, :, :2]))
    x, w, c = (fl.from_numpy(random(*s, seed=7)).requires_grad_() for s in ((2, 3), (4, 3), (4,)))
    assert gradcheck(fl.nn.functional.linear, (x, w, c))
    numpy.testing.assert_allclose(
        fl.nn.functional.linear(x, w, c).detach().numpy(),
        x.detach().numpy() @ w.detach().numpy().T + c.detach().numpy(),
    )
    assert gradcheck(lambda u, v: fl.einsum("bij,bkj->bik", u, v.conj()), (a, b))
    u, v = random(5), random(5, seed=1)
    p, q = fl.from_numpy(u), fl.from_numpy(v)
    numpy.testing.assert_allclose(fl.vdot(p, q).item(), numpy.vdot(u, v))
    numpy.testing.assert_allclose(fl.dot(p, q).item(), u @ v)
    numpy.testing.assert_allclose(fl.outer(p, q).numpy(), numpy.outer(u, v))
    numpy.testing.assert_allclose(fl.linalg.vecdot(p, q).item(), numpy.vdot(u, v))
    numpy.testing.assert_allclose(fl.cov(fl.from_numpy(random(3, 9))).numpy(), numpy.cov(random(3, 9)))
    numpy.testing.assert_allclose(fl.corrcoef(fl.from_numpy(random(3, 9))).numpy(), numpy.corrcoef(random(3, 9)))


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_products_of_elements_and_running_values(zeros):
    z = random(3, 5)
    z[:, :zeros] = 0
    t = fl.from_numpy(z).requires_grad_()
    numpy.testing.assert_allclose(t.prod().item(), z.prod(), atol=1e-12)
    numpy.testing.assert_allclose(t.prod(1, keepdim=True).detach().numpy(), z.prod(1, keepdims=True), atol=1e-12)
    numpy.testing.assert_allclose(t.cumprod(1).detach().numpy(), z.cumprod(1), atol=1e-12)
    numpy.testing.assert_allclose(t.cumsum(0).detach().numpy(), z.cumsum(0), atol=1e-12)
    for function in (lambda x: x.prod(1), lambda x: x.cumprod(1), lambda x: x.cumsum(1), lambda x: x.logcumsumexp(0)):
        assert gradcheck(function, (t,))
    assert fl.ones(0, dtype=fl.complex64).prod().item() == 1


@pytest.mark.parametrize("transposed", [False, True])
def test_convolution(transposed):
    x, w = random(2, 3, 8), random(3, 4, 3, seed=1) if transposed else random(4, 3, 3, seed=1)
    b = random(4, seed=2)
    layer = fl.conv_transpose1d if transposed else fl.conv1d
    real, imag = ([fl.from_numpy(numpy.ascontiguousarray(part)) for part in (a.real, a.imag)] for a in (x, w))
    expected = fl.complex(
        layer(real[0], imag[0]) - layer(real[1], imag[1]), layer(real[0], imag[1]) + layer(real[1], imag[0])
    )
    expected = expected + fl.from_numpy(b).unsqueeze(-1)
    given = [fl.from_numpy(a).requires_grad_() for a in (x, w, b)]
    assert fl.allclose(layer(*given), expected)
    small = (given[0][:1, :, :4].detach().requires_grad_(), *given[1:])
    assert gradcheck(layer, small)


def _free_phases(*factors):
    """What does not depend on the phases of vectors: their sizes, the values, and the product of two bases."""
    plain = tuple(factor.abs() if factor.ndim == 2 else factor for factor in factors)
    return (*plain, factors[0] @ factors[2]) if len(factors) == 3 else plain


LINALG = {
    "inv": fl.linalg.inv, "det": fl.linalg.det, "slogdet": fl.linalg.slogdet, "logdet": fl.logdet,
    "pinv": fl.linalg.pinv, "qr": fl.linalg.qr, "svdvals": fl.linalg.svdvals, "eigvals": fl.linalg.eigvals,
    "solve": lambda a: fl.linalg.solve(a, a.conj() + 1),
    "cholesky": lambda a: fl.linalg.cholesky(a @ a.mH + 1 * fl.eye(3)),
    "cholesky_upper": lambda a: fl.linalg.cholesky(a @ a.mH + 1 * fl.eye(3), upper=True),
    "svd": lambda a: _free_phases(*fl.linalg.svd(a, full_matrices=False)),
    "eigh": lambda a: _free_phases(*fl.linalg.eigh(a + a.mH)), "eig": lambda a: _free_phases(*fl.linalg.eig(a)),
    "matrix_exp": fl.linalg.matrix_exp,
    "nuclear": lambda a: fl.linalg.norm(a, "nuc"), "norm": fl.linalg.norm, "one": lambda a: fl.linalg.norm(a, 1),
    "power": lambda a: fl.linalg.matrix_power(a, -2),
}  # fmt: skip


@pytest.mark.parametrize("name", LINALG)
def test_linear_algebra_gradients(name):
    a = fl.from_numpy(random(3, 3, seed=4)).requires_grad_()
    assert gradcheck(LINALG[name], (a,), atol=1e-6, rtol=1e-5)


def test_linear_algebra_values():
    a = random(4, 4)
    t, h = fl.from_numpy(a), a @ a.conj().T + numpy.eye(4)
    numpy.testing.assert_allclose(fl.linalg.inv(t).numpy(), numpy.linalg.inv(a))
    numpy.testing.assert_allclose(fl.linalg.cholesky(fl.from_numpy(h)).numpy(), numpy.linalg.cholesky(h))
    values, vectors = fl.linalg.eig(t)
    numpy.testing.assert_allclose((t @ vectors).numpy(), (vectors * values).numpy(), atol=1e-12)
    q, r = fl.linalg.qr(t)
    numpy.testing.assert_allclose((q @ r).numpy(), a, atol=1e-12)
    u, s, vh = fl.linalg.svd(t)
    numpy.testing.assert_allclose(((u * s) @ vh).numpy(), a, atol=1e-12)
    assert s.dtype is fl.float64 and fl.linalg.eigh(fl.from_numpy(h)).eigenvalues.dtype is fl.float64
    real = fl.from_numpy(numpy.array([[0.0, 1.0], [-1.0, 0.0]], "float32"))
    assert sorted(fl.linalg.eigvals(real).tolist(), key=lambda z: z.imag) == [-1j, 1j]


@pytest.mark.parametrize("kind", ["SGD", "Adam", "RMSprop", "AdamW"])
def test_optimizers_take_the_parts_as_parameters(kind):
    start = [1 + 2j, -3j]
    z = fl.tensor(start, requires_grad=True)
    pair = fl.view_as_real(fl.tensor(start)).clone().requires_grad_()
    options = {"lr": 0.1, **({"momentum": 0.9} if kind == "SGD" else {})}
    optimizers = [getattr(fl.optim, kind)([p], **options) for p in (z, pair)]
    for _ in range(5):
        for optimizer, numbers in zip(optimizers, (z, fl.view_as_complex(pair)), strict=True):
            optimizer.zero_grad()
            ((numbers - (1 - 1j)).abs() ** 2).sum().backward()
            optimizer.step()
    assert fl.allclose(fl.view_as_real(z.detach()), pair.detach())


def test_compiled_functions_give_the_bits_of_eager_ones():
    a, b = fl.from_numpy(random(5, 5, dtype="complex64")), fl.from_numpy(random(5, 5, seed=1, dtype="complex64"))

    def function(x, y):
        z = (x * y + 1j).exp() / (y.conj() + 2)
        return (z @ x.mH).abs().sum(0), z.real * 2

    compiled = fl.compile(function)
    for _ in range(3):
        for found, expected in zip(compiled(a, b), function(a, b), strict=True):
            assert fl.equal(found, expected)

    def loss(w):
        return ((a @ w).abs() ** 2).sum()

    w, v = b.clone().requires_grad_(), b.clone().requires_grad_()
    loss(w).backward()
    step = fl.compile(loss)
    for _ in range(2):
        v.grad = None
        step(v).backward()
        assert fl.equal(v.grad, w.grad)
