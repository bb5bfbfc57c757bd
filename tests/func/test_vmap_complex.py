"""Complex tensors in vmap, jvp and Jacobians: as their real parts go."""

from __future__ import annotations

import pytest

import flambeau as fl
from flambeau.func import grad, jacfwd, jacrev, jvp, vjp, vmap
from tests.func.support import SIZE, assert_same

FUNCTIONS = {
    "arithmetic": lambda z, w: z * w + z / (w + 3) - 2j * z,
    "functions": lambda z, w: (z.exp() * w.sin()).sqrt(),
    "parts": lambda z, w: z.real * w.imag + z.abs() + w.angle(),
    "conjugate": lambda z, w: (z.conj() * w).sum(-1),
    "matmul": lambda z, w: z @ w.mH,
    "transposes": lambda z, w: (z.H, w.mT, z.adjoint()),
    "views": lambda z, w: fl.view_as_complex(fl.view_as_real(z).flip(0)) + w,
    "made of parts": lambda z, w: fl.complex(z.real, w.real) * fl.polar(w.real.exp(), z.imag),
    "reductions": lambda z, w: (z.sum(0), w.mean(), (z * w).prod(1), z.cumsum(1)),
    "a number": lambda z, w: z + 1j + fl.full((2, 2), 1 - 2j, dtype=fl.complex128) * w,
    "comparison": lambda z, w: fl.where(z == z, w, z),
    "transform": lambda z, w: fl.fft.fft(z) + fl.fft.ifft(w, dim=0),
    "real transform": lambda z, w: fl.fft.irfft(fl.fft.rfft(z.real)) * w.imag,
    "in place": lambda z, w: (z + 0 * w).mul_(w).add_(1j),
    "indexing": lambda z, w: z[0] * w[:, 1],
}


def _z(*shape, seed=0):
    return fl.randn(*shape, dtype=fl.complex128, generator=fl.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dims", [(0, 0), (1, -1), (0, None), (None, 0)])
def test_complex_functions(name, dims):
    args = []
    for seed, dim in enumerate(dims):
        shape = [2, 2]
        if dim is not None:
            shape.insert(dim if dim >= 0 else 2, SIZE)
        args.append(_z(*shape, seed=seed))
    assert_same(FUNCTIONS[name], args, dims, rtol=1e-9)


def test_the_parts_of_an_example_can_be_written():
    def changed(x):
        z = fl.complex(x, x)
        z.imag = 2 * x
        z.real.mul_(3)
        return z

    x = fl.arange(4.0)
    assert vmap(changed)(x).tolist() == [3 * i + 2j * i for i in range(4)]


def test_jvp_and_vjp_of_complex_functions():
    z, v, u = _z(3), _z(3, seed=1), _z(3, seed=2)

    def function(z):
        return z.exp() * z.conj()

    value, change = jvp(function, (z,), (v,))
    wanted = z.exp() * v * z.conj() + z.exp() * v.conj()
    assert fl.equal(value, function(z)) and fl.allclose(change, wanted)
    pulled = vjp(function, z)[1](u)[0]
    # <u, J v> = <J* u, v> in the real inner product of the parts.
    assert fl.allclose((u.conj() * change).sum().real, (pulled.conj() * v).sum().real)


def test_jacobians_of_analytic_functions():
    z = _z(3)
    assert fl.allclose(jacfwd(fl.exp)(z), fl.diag_embed(z.exp()))
    assert fl.allclose(jacrev(fl.exp)(z), fl.diag_embed(z.exp().conj()))
    assert fl.allclose(grad(lambda z: z.abs().square().sum())(z), 2 * z)
    assert fl.allclose(vmap(grad(lambda z: z.abs().square()))(z), 2 * z)


def test_gradcheck_forward_and_batched():
    z = _z(3).requires_grad_()
    assert fl.autograd.gradcheck(lambda z: z.exp() * z.conj(), z, check_forward_ad=True, check_batched_grad=True)
    with fl.autograd.forward_ad.dual_level():
        dual = fl.autograd.forward_ad.make_dual(z.detach(), z.detach() * 1j)
        change = fl.autograd.forward_ad.unpack_dual(dual.sin()).tangent
    assert fl.allclose(change, z.detach().cos() * z.detach() * 1j)
