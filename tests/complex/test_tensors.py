"""Complex tensors as objects: making, printing, converting, storing, seeing as pairs of real numbers."""

from __future__ import annotations

import copy
import io
import pickle

import numpy
import pytest

import flambeau as fl

NAN, INFINITY = float("nan"), float("inf")
BOTH = pytest.mark.parametrize("dtype", [fl.complex64, fl.complex128], ids=str)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ([1 + 2j, 0.5], "tensor([1.0000+2.j, 0.5000+0.j])"),
        ([1.25 + 2j, 0.5e-9j], "tensor([1.2500+2.0000e+00j, 0.0000+5.0000e-10j])"),
        (1 + 2j, "tensor(1.+2.j)"),
        ([1e10 + 2j, 3j], "tensor([1.0000e+10+2.j, 0.0000e+00+3.j])"),
        ([complex(NAN, 2), complex(1, INFINITY)], "tensor([nan+2.j, 1.+infj])"),
        ([[-1 - 1j]], "tensor([[-1.-1.j]])"),
    ],
)
def test_text_is_pytorchs(data, text):
    assert repr(fl.tensor(data)) == text


def test_text_of_the_other_dtype_and_of_history():
    z = fl.tensor([1 + 2j], dtype=fl.complex128, requires_grad=True)
    assert repr(z) == "tensor([1.+2.j], dtype=flambeau.complex128, requires_grad=True)"
    assert "grad_fn=<MulBackward0>" in repr(z * z)


def test_making():
    assert fl.tensor([1, 2.5, 1j]).dtype is fl.complex64
    assert fl.tensor([[True, 1j]]).tolist() == [[1 + 0j, 1j]]
    assert fl.tensor(1j, dtype=fl.complex128).item() == 1j
    assert fl.full((2,), 1 - 1j).tolist() == [1 - 1j, 1 - 1j]
    assert fl.zeros(2, dtype=fl.cfloat).dtype is fl.complex64 and fl.eye(2, dtype=fl.cdouble)[1, 1].item() == 1
    assert fl.ones_like(fl.tensor([1j])).tolist() == [1 + 0j]
    assert fl.linspace(0, 2j, 3).tolist() == [0, 1j, 2j]
    assert fl.arange(3).to(fl.complex64).tolist() == [0, 1, 2]
    with pytest.raises(RuntimeError, match="cannot be converted"):
        fl.tensor([1j], dtype=fl.float32)
    with pytest.raises(RuntimeError, match="complex64 holds no range"):
        fl.arange(3, dtype=fl.complex64)
    with pytest.raises(RuntimeError, match="without overflow"):
        fl.zeros(2).fill_(1j)
    with pytest.raises(RuntimeError, match="can't be cast"):
        fl.zeros(2).add_(1j)


def test_the_default_complex_dtype_follows_the_floating_one():
    try:
        fl.set_default_dtype(fl.float64)
        assert fl.tensor(1j).dtype is fl.complex128 and (fl.ones(1, dtype=fl.int64) * 1j).dtype is fl.complex128
    finally:
        fl.set_default_dtype(fl.float32)


def test_random_numbers_have_the_variance_of_their_dtype():
    fl.manual_seed(0)
    z = fl.randn(20_000, dtype=fl.complex64)
    assert abs(z.var().item() - 1) < 0.05 and abs(z.real.var().item() - 0.5) < 0.03
    assert abs(fl.rand(20_000, dtype=fl.complex128).imag.mean().item() - 0.5) < 0.02


@BOTH
def test_python_numbers_and_conversions(dtype):
    z = fl.tensor([3 + 4j, 0], dtype=dtype)
    assert z.tolist() == [3 + 4j, 0] and complex(z[0]) == 3 + 4j and bool(z[0]) and not bool(z[1])
    assert z.to(fl.bool).tolist() == [True, False] and z.to(fl.float64).tolist() == [3, 0]
    assert z.to(fl.int64).tolist() == [3, 0] and fl.tensor([2]).to(dtype).tolist() == [2 + 0j]
    assert float(fl.tensor(2 + 0j)) == 2.0 and int(fl.tensor(2 + 0j)) == 2
    with pytest.raises(RuntimeError, match="without overflow"):
        float(z[0])
    assert (2j * z).tolist() == [-8 + 6j, 0] and (z == 3 + 4j).tolist() == [True, False]
    assert (1 / fl.tensor(1j)).item() == -1j and (2 ** fl.tensor([2 + 0j])).tolist() == [4 + 0j]
    assert fl.nonzero(fl.tensor([0, 1j, 0])).tolist() == [[1]]
    assert z.dtype.to_real() is (fl.float32 if dtype is fl.complex64 else fl.float64)
    assert z.is_complex() and fl.is_complex(z) and not z.is_floating_point() and fl.finfo(dtype).eps == fl.finfo(
        dtype.to_real()
    ).eps  # fmt: skip


@BOTH
def test_indexing(dtype):
    array = (numpy.arange(24) + 1j * numpy.arange(24)[::-1]).reshape(4, 6).astype(str(dtype)[9:])
    z = fl.from_numpy(array.copy())
    for key in ((slice(None), [0, 5, 5]), ([1, 2], [3, 4]), array.real > 10):
        mine = fl.from_numpy(key) if isinstance(key, numpy.ndarray) else key
        numpy.testing.assert_array_equal(z[mine].numpy(), array[key])
    z[1, 2], array[1, 2] = 7 - 7j, 7 - 7j
    z[[0, 3]], array[[0, 3]] = 1j, 1j
    z[:, 0] = fl.ones(4)
    array[:, 0] = 1
    numpy.testing.assert_array_equal(z.numpy(), array)
    index = fl.tensor([[0, 1], [2, 2]])
    numpy.testing.assert_array_equal(z.gather(0, index).numpy(), array[index.numpy(), [0, 1]])
    added = fl.zeros(3, dtype=dtype).index_add(0, fl.tensor([0, 0, 2]), fl.tensor([1j, 2, 3 + 1j], dtype=dtype))
    assert added.tolist() == [2 + 1j, 0, 3 + 1j]
    assert fl.cat([z[0, :1], fl.ones(1)]).dtype is dtype
    numpy.testing.assert_array_equal(z.t().contiguous().numpy(), array.T)
    numpy.testing.assert_array_equal(fl.masked_select(z, fl.from_numpy(array.imag > 3)).numpy(), array[array.imag > 3])


@BOTH
def test_views_share_memory_and_are_written_through(dtype):
    z = fl.tensor([1 + 2j, 3 + 4j], dtype=dtype)
    pairs = fl.view_as_real(z)
    assert pairs.tolist() == [[1, 2], [3, 4]] and fl.view_as_complex(pairs).data_ptr() == z.data_ptr()
    z.real[0] = 9.0
    z.imag.mul_(10)
    z.real = fl.tensor([5.0, 6.0])
    assert z.tolist() == [5 + 20j, 6 + 40j]
    assert z.conj().tolist() == [5 - 20j, 6 - 40j] and not z.is_conj() and z.resolve_conj() is z
    matrix = z.reshape(1, 2)
    assert matrix.mH.tolist() == matrix.H.tolist() == matrix.adjoint().tolist() == [[5 - 20j], [6 - 40j]]
    with pytest.raises(RuntimeError, match="non-complex"):
        _ = fl.ones(2).imag
    with pytest.raises(RuntimeError, match="last dimension of size 2"):
        fl.view_as_complex(fl.ones(3))
    with pytest.raises(RuntimeError, match="divisible by 2"):
        fl.view_as_complex(fl.ones(7)[1:].view(3, 2))
    with pytest.raises(TypeError, match="only supported for complex"):
        fl.view_as_real(fl.ones(2))


def test_gradients_through_views_that_were_written():
    z = fl.tensor([1 + 2j, 3 + 4j, -1j], dtype=fl.complex128, requires_grad=True)
    y = z * 2
    y.real[0] = 3.0
    y.imag.mul_(fl.tensor([1.0, 10.0, 100.0], dtype=fl.float64))
    y[2].real.add_(1.0)
    loss = (y * y.conj()).real.sum()
    loss.backward()
    x = z.detach()
    expected = fl.complex(8 * x.real, 8 * x.imag * fl.tensor([1.0, 100.0, 10_000.0], dtype=fl.float64))
    expected.real[0] = 0.0
    expected.real[2] = 8 * x.real[2] + 4
    assert fl.allclose(z.grad, expected)
    pairs = fl.zeros(4, 2, dtype=fl.float64, requires_grad=True)
    whole = pairs * 1.0
    fl.view_as_complex(whole)[1:3].mul_(0).add_(fl.tensor([1j, 2.0], dtype=fl.complex128))
    (whole * fl.arange(8.0, dtype=fl.float64).reshape(4, 2)).sum().backward()
    assert pairs.grad.tolist() == [[0, 1], [0, 0], [0, 0], [6, 7]]


def test_autograd_is_strict_about_what_is_complex():
    z = fl.tensor([1 + 1j], requires_grad=True)
    with pytest.raises(RuntimeError, match="only for real scalar outputs but got complex64"):
        (z * z).sum().backward()
    with pytest.raises(RuntimeError, match="required to have the same dtype"):
        (z * z).backward(fl.ones(1))
    (z * z).backward(fl.tensor([1 + 0j]))
    assert z.grad.tolist() == [2 - 2j]
    with pytest.raises(RuntimeError, match="different type"):
        z.grad = fl.ones(1)


@BOTH
def test_numpy_dlpack_pickle_and_files(dtype, tmp_path):
    array = (numpy.arange(6) - 1j * numpy.arange(6)).reshape(2, 3).astype(str(dtype)[9:])
    z = fl.from_numpy(array)
    z[0, 0] = 5j
    assert array[0, 0] == 5j and z.numpy().dtype == array.dtype
    numpy.testing.assert_array_equal(fl.from_dlpack(z).numpy(), array)
    numpy.testing.assert_array_equal(numpy.from_dlpack(z), array)
    for again in (pickle.loads(pickle.dumps(z)), copy.deepcopy(z)):
        assert again.dtype is dtype and fl.equal(again, z)
    fl.save({"z": z, "part": z[:, 1:], "w": fl.nn.Parameter(z.clone())}, tmp_path / "z.safetensors")
    loaded = fl.load(tmp_path / "z.safetensors")
    assert loaded["z"].dtype is dtype and fl.equal(loaded["z"], z) and fl.equal(loaded["part"], z[:, 1:])
    assert loaded["w"].requires_grad and fl.equal(loaded["w"].detach(), z)
    loaded["part"].zero_()
    assert loaded["z"][0, 1].item() == 0
    buffer = io.BytesIO()
    fl.save(z, buffer)
    buffer.seek(0)
    assert fl.equal(fl.load(buffer), z)


def test_what_has_no_order_is_refused():
    z = fl.tensor([[1j, 2.0], [3.0, 4j]])
    for call in (z.sort, z.argsort, z.median, z.mode, z.max, z.argmax, z.argmin, z.amax, lambda: z.topk(1),
                 lambda: z < z, lambda: z >= 1, lambda: z // 2, lambda: z % 2, z.floor, z.round, z.relu, z.sign,
                 lambda: z.clamp(0, 1), lambda: z.kthvalue(1), lambda: z & z, lambda: z.softmax(0)):  # fmt: skip
        with pytest.raises((TypeError, RuntimeError), match="complex"):
            call()


def test_matching_values():
    z = fl.tensor([1j, complex(NAN, 0), complex(INFINITY, NAN)])
    assert fl.isreal(fl.tensor([1j, 2.0])).tolist() == [False, True]
    assert z.isnan().tolist() == [False, True, True] and z.isinf().tolist() == [False, False, True]
    assert z.isfinite().tolist() == [True, False, False]
    assert fl.nan_to_num(z, nan=7.0).tolist()[:2] == [1j, 7 + 0j]
    fl.testing.assert_close(fl.tensor([1 + 1e-9j]), fl.tensor([1 + 0j]))
    with pytest.raises(AssertionError):
        fl.testing.assert_close(fl.tensor([1 + 1j]), fl.tensor([1 + 1.1j]))


@pytest.mark.parametrize("dtype", [fl.complex64, fl.complex128], ids=str)
def test_what_needs_an_order_says_so(dtype):
    z = fl.ones(4, 4, dtype=dtype)
    calls = {
        "cummax": lambda: fl.cummax(z, 0), "histc": lambda: fl.histc(z), "histogram": lambda: fl.histogram(z, 3),
        "searchsorted": lambda: fl.searchsorted(z[0], z), "igamma": lambda: fl.igamma(z, z),
        "hash_tensor": lambda: fl.hash_tensor(z),
    }  # fmt: skip
    for name, call in calls.items():
        with pytest.raises(fl.DTypeError, match=f"^{name}: "):
            call()


def test_alpha_and_padding():
    z = fl.ones(2, dtype=fl.complex64)
    assert fl.add(z, z, alpha=0.5).tolist() == [1.5, 1.5]
    assert fl.sub(z, 1, alpha=2j).tolist() == [1 - 2j, 1 - 2j]
    assert fl.constant_pad_nd(z, (0, 1), 2j).tolist() == [1, 1, 2j]
    with pytest.raises(fl.DTypeError, match="add: For non-complex input tensors, argument alpha must not be a complex"):
        fl.add(fl.ones(2), fl.ones(2), alpha=2j)


def test_complex_results_and_values_fit_their_targets():
    x = fl.ones(2, dtype=fl.float64)
    with pytest.raises(fl.DTypeError, match="complex: out must be of dtype"):
        fl.complex(x, x, out=fl.empty(2, dtype=fl.complex64))
    with pytest.raises(RuntimeError, match=r"masked_fill: value of .* cannot be converted"):
        x.masked_fill(x > 0, fl.tensor(1j))
