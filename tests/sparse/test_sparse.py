"""Sparse tensors against the dense computation: layouts, arithmetic, products and their gradients, saving."""

from __future__ import annotations

import copy
import io
import pickle

import pytest

import flambeau as fl

PLACES = [[0, 1, 1, 2, 1], [2, 0, 2, 1, 0]]
VALUES = [3.0, 4.0, 5.0, -1.0, 0.5]


def coo(**options):
    return fl.sparse_coo_tensor(PLACES, VALUES, (3, 4), **options)


def dense():
    result = fl.zeros(3, 4)
    for row, column, value in zip(*PLACES, VALUES, strict=True):
        result[row, column] += value
    return result


def layouts():
    return [coo(), coo().coalesce(), coo().to_sparse_csr()]


def same(result, expected):
    result = result.to_dense()
    assert result.shape == expected.shape and result.dtype is expected.dtype
    assert fl.allclose(result, expected, rtol=1e-5, atol=1e-6), (result, expected)


def test_what_a_sparse_tensor_says():
    a = coo()
    assert isinstance(a, fl.Tensor) and fl.is_tensor(a) and a.is_sparse and not fl.ones(2).is_sparse
    assert (a.shape, a.ndim, a.dtype, len(a), a.numel()) == ((3, 4), 2, fl.float32, 3, 12)
    assert (a._nnz(), a.sparse_dim(), a.dense_dim(), a.is_coalesced()) == (5, 2, 0, False)
    assert a.layout is fl.sparse_coo and fl.ones(2).layout is fl.strided and str(fl.sparse_csr) == "flambeau.sparse_csr"
    b = a.coalesce()
    assert b.indices().tolist() == [[0, 1, 1, 2], [2, 0, 2, 1]] and b.values().tolist() == [3.0, 4.5, 5.0, -1.0]
    c = b.to_sparse_csr()
    assert c.crow_indices().tolist() == [0, 1, 3, 4] and c.col_indices().tolist() == [2, 0, 2, 1]
    assert c.layout is fl.sparse_csr and not c.is_sparse and c.is_sparse_csr
    for each in layouts():
        same(each, dense())
        same(each.to_sparse_coo(), dense())
    hybrid = fl.sparse_coo_tensor([[1, 0, 1]], fl.arange(6.0).view(3, 2))
    assert hybrid.shape == (2, 2) and hybrid.dense_dim() == 1 and hybrid.to_dense().tolist() == [[2, 3], [4, 6]]
    assert fl.sparse_coo_tensor((2, 3)).to_dense().tolist() == [[0] * 3] * 2


def test_repr_is_pytorchs():
    assert repr(coo().coalesce()) == (
        "tensor(indices=tensor([[0, 1, 1, 2],\n"
        "                       [2, 0, 2, 1]]),\n"
        "       values=tensor([ 3.0000,  4.5000,  5.0000, -1.0000]),\n"
        "       size=(3, 4), nnz=4, layout=flambeau.sparse_coo)"
    )
    assert repr(fl.eye(2).double().to_sparse_csr().requires_grad_()) == (
        "tensor(crow_indices=tensor([0, 1, 2]),\n"
        "       col_indices=tensor([0, 1]),\n"
        "       values=tensor([1., 1.]), size=(2, 2), nnz=2, dtype=flambeau.float64,\n"
        "       layout=flambeau.sparse_csr, requires_grad=True)"
    )


@pytest.mark.parametrize("which", range(3))
def test_arithmetic_is_the_dense_one(which):
    a, d = layouts()[which], dense()
    for found, expected in (
        (a * 2, d * 2), (2 * a, d * 2), (a / 2, d / 2), (-a, -d), (a + a, d + d), (a - a * 3, d * -2), (a * a, d * d),
        (a.t(), d.t()), (a.abs(), d.abs()), (fl.sin(a), fl.sin(d)), (fl.relu(a), fl.relu(d)), (a.pow(2), d**2),
        (a * fl.arange(4.0), d * fl.arange(4.0)), (fl.ones(3, 4) + a, d + 1), (fl.add(a, a, alpha=2), d * 3),
        (a.double(), d.double()), (a.to(fl.float64), d.double()), (fl.sparse.sum(a, 0), d.sum(0)),
        (fl.sparse.sum(a, dim=(1,)), d.sum(1)), (fl.sum(a), d.sum()), (a.sum(), d.sum()), (a.norm(), d.norm()),
        (a[1], d[1]), (a.index_select(0, fl.tensor([2, 1, 1])), d[fl.tensor([2, 1, 1])]),
        (a.transpose(0, 1).transpose(0, 1), d), (a.clone(), d), (copy.deepcopy(a), d),
        (fl.ones(3, 4).sparse_mask(a), (d != 0).float()),
    ):  # fmt: skip
        same(found, expected)
    if which < 2:
        same(fl.cat([a, a]), fl.cat([d, d]))
        same(fl.cat([a, a], 1), fl.cat([d, d], 1))
    whole = fl.ones(3, 4)
    alias = whole
    whole += a
    whole.add_(a, alpha=-3)
    same(alias, 1 - 2 * d)


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("dtype", [fl.float64, fl.float32, fl.float16, fl.bfloat16, fl.int64])
@pytest.mark.parametrize("columns", [1, 7, 67])
def test_products_are_the_dense_ones(which, dtype, columns):
    a = (layouts()[which] * 2).to(dtype)
    d = a.to_dense()
    x = (fl.arange(4.0 * columns).view(4, columns) % 7).to(dtype)
    expected = d @ x
    for found in (a @ x, fl.mm(a, x), fl.matmul(a, x), fl.sparse.mm(a, x), fl.spmm(a, x), a.mm(x)):
        assert found.dtype is dtype and fl.equal(found, expected)
    assert fl.equal(a @ x[:, 0], d @ x[:, 0])
    assert fl.equal(x.t() @ a.t(), x.t() @ d.t())
    assert fl.equal(fl.addmm(fl.ones(3, columns, dtype=dtype), a, x, beta=2, alpha=3), 2 + 3 * expected)


def test_sparse_times_sparse():
    b = fl.tensor([[0.0, 1, 0], [2, 0, 0], [0, 0, 3], [0, 4, 5]])
    for a in layouts():
        for right in (b.to_sparse(), b.to_sparse_csr()):
            found = a @ right
            assert found.layout is a.layout
            same(found, dense() @ b)


def test_softmax_over_the_kept_elements():
    d = dense()
    masked = fl.where(d != 0, d, float("-inf"))
    for a in layouts():
        for dim in (0, 1):
            expected = fl.nan_to_num(fl.softmax(masked, dim))
            same(fl.sparse.softmax(a, dim), expected)
            logs = fl.where(d != 0, fl.log_softmax(masked, dim), 0.0)
            same(fl.sparse.log_softmax(a, dim), logs)


def build(values, kind):
    a = fl.sparse_coo_tensor(PLACES, values, (3, 4), dtype=fl.float64)
    return a.coalesce() if kind == "coalesced" else a.to_sparse_csr() if kind == "csr" else a


@pytest.mark.parametrize("kind", ["as they are", "coalesced", "csr"])
def test_gradients_to_any_order(kind):
    fl.manual_seed(0)
    values = fl.randn(5, dtype=fl.float64, requires_grad=True)
    x = fl.randn(4, 3, dtype=fl.float64, requires_grad=True)
    c = fl.randn(3, 3, dtype=fl.float64, requires_grad=True)
    weight = fl.randn(3, 4, dtype=fl.float64)
    cases = [
        (lambda v, m: build(v, kind) @ m, (values, x)),
        (lambda v, m, k: fl.addmm(k, build(v, kind), m, beta=2, alpha=3), (values, x, c)),
        (lambda v: build(v, kind).to_dense(), (values,)),
        (lambda v: build(v, kind).coalesce().values() if kind != "csr" else build(v, kind).values(), (values,)),
        (lambda v: fl.sparse.softmax(build(v, kind), 1).to_dense() * weight, (values,)),
        (lambda v: fl.sparse.log_softmax(build(v, kind), 0).to_dense() * weight, (values,)),
        (lambda v: (build(v, kind) @ build(v, kind).t()).to_dense(), (values,)),
        (lambda v: (build(v, kind) * build(v * 2, kind)).to_dense(), (values,)),
        (lambda p, q: fl.sparse.sampled_addmm(build([1.0] * 5, kind), p, q).values(), (c, x.t())),
    ]
    for function, inputs in cases:
        inputs = tuple(i.detach().clone().requires_grad_() for i in inputs)
        assert fl.autograd.gradcheck(function, inputs)
        assert fl.autograd.gradgradcheck(function, inputs)


def test_gradients_of_leaves_and_of_dense_tensors():
    leaf = coo(requires_grad=True)
    fl.sparse.mm(leaf, fl.ones(4, 2)).sum().backward()
    same(leaf.grad, (dense() != 0) * 2.0)  # a place named twice has its gradient once
    whole = fl.tensor([[0.0, 1], [2, 0]], requires_grad=True)
    (whole.to_sparse().coalesce().values() ** 3).sum().backward()
    assert whole.grad.tolist() == [[0, 3], [12, 0]]


def table(**options):
    layer = fl.nn.Embedding(6, 2, sparse=True, **options)
    layer.weight.data = fl.arange(12.0).view(6, 2) / 10
    return layer


def test_embeddings_with_sparse_gradients():
    layer, other = table(padding_idx=2), fl.nn.Embedding(6, 2, padding_idx=2)
    other.weight.data = layer.weight.data.clone()
    places = fl.tensor([[1, 2, 1], [4, 5, 0]])
    for each in (layer, other):
        (each(places) ** 2).sum().backward()
    grad = layer.weight.grad
    assert grad.is_sparse and not grad.is_coalesced() and grad._nnz() == 5
    same(grad, other.weight.grad)
    found = fl.autograd.grad((layer(places) ** 2).sum(), layer.weight)[0]
    assert found.is_sparse
    same(found, other.weight.grad)
    (layer(places) ** 2).sum().backward()
    assert layer.weight.grad.is_sparse
    same(layer.weight.grad, other.weight.grad * 2)
    (layer.weight**3).sum().backward()  # a dense gradient joins
    same(layer.weight.grad, other.weight.grad * 2 + 3 * other.weight.detach() ** 2)
    layer.weight.grad = None
    (fl.nn.functional.embedding(places, layer.weight * 2, sparse=True) ** 2).sum().backward()
    same(
        layer.weight.grad,
        fl.autograd.grad((fl.nn.functional.embedding(places, other.weight * 2) ** 2).sum(), other.weight)[0],
    )
    seen = []
    layer.weight.register_hook(lambda g: seen.append(g.is_sparse))
    layer(places).sum().backward()
    assert seen == [True]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_steps_on_sparse_gradients_are_the_dense_ones(momentum):
    results = []
    for sparse in (True, False):
        layer = table()
        layer.sparse = sparse
        optimizer = fl.optim.SGD(layer.parameters(), lr=0.1, momentum=momentum)
        for k in range(3):
            optimizer.zero_grad()
            (layer(fl.tensor([[1, 2, 1], [4, 5, k]])) ** 2).sum().backward()
            optimizer.step()
        results.append(layer.weight.detach())
    assert fl.allclose(*results)


def test_sparse_adam_is_adam_on_the_rows_that_take_part():
    layer, other = table(), table()
    other.sparse = False
    lazy = fl.optim.SparseAdam(layer.parameters(), lr=0.1)
    usual = fl.optim.Adam(other.parameters(), lr=0.1)
    for _ in range(3):
        for each, optimizer in ((layer, lazy), (other, usual)):
            optimizer.zero_grad()
            (each(fl.tensor([1, 4, 1])) ** 2).sum().backward()
            optimizer.step()
    assert fl.allclose(layer.weight, other.weight, atol=1e-5)
    again = fl.optim.SparseAdam(layer.parameters(), lr=0.1)
    again.load_state_dict(lazy.state_dict())
    assert again.state_dict()["state"][0]["step"] == 3
    with pytest.raises(RuntimeError, match="does not support dense gradients"):
        layer.weight.sum().backward()
        lazy.zero_grad()
        layer.weight.sum().backward()
        lazy.step()
    with pytest.raises(RuntimeError, match="does not support sparse gradients"):
        layer.weight.grad = None
        layer(fl.tensor([1])).sum().backward()
        fl.optim.Adam(layer.parameters()).step()


def test_saving_and_pickling():
    whole = {"a": coo(), "b": coo().coalesce(), "c": coo().to_sparse_csr()}
    file = io.BytesIO()
    fl.save(whole, file)
    file.seek(0)
    for again in (fl.load(file), pickle.loads(pickle.dumps(whole))):
        for name, value in whole.items():
            assert again[name].layout is value.layout and again[name]._nnz() == value._nnz()
            same(again[name], dense())
        assert not again["a"].is_coalesced() and again["b"].is_coalesced()

    class Graph(fl.nn.Module):
        def __init__(self, adjacency):
            super().__init__()
            self.register_buffer("adjacency", adjacency)

        def forward(self, x):
            return fl.sparse.mm(self.adjacency, x)

    one, two = Graph(coo().coalesce()), Graph((coo() * 0).coalesce())
    two.load_state_dict(one.state_dict())
    same(two.adjacency, dense())
    assert one.double().adjacency.dtype is fl.float64


def test_one_result_at_every_number_of_threads():
    fl.manual_seed(1)
    index = fl.randint(0, 500, (2, 20000))
    a = fl.sparse_coo_tensor(index, fl.randn(20000), (500, 500))
    x = fl.randn(500, 33)
    before = fl.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 3):
            fl.set_num_threads(threads)
            v = a._values().clone().requires_grad_()
            y = fl.sparse.mm(fl.sparse_coo_tensor(index, v, (500, 500)), x)
            y.square().sum().backward()
            found.append((y.detach(), v.grad))
    finally:
        fl.set_num_threads(before)
    for y, g in found[1:]:
        assert fl.equal(y, found[0][0]) and fl.equal(g, found[0][1])
    assert fl.allclose(found[0][0], a.to_dense() @ x, atol=1e-3)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: fl.sparse_coo_tensor([[0, 5]], [1.0, 2.0], (3,)), RuntimeError, "size is 3 but found index 5"),
        (lambda: fl.sparse_coo_tensor([[0, -1]], [1.0, 2.0], (3,)), RuntimeError, "found negative index -1"),
        (lambda: fl.sparse_coo_tensor([[0, 1]], [1.0, 2.0, 3.0], (3,)), ValueError, "values must begin with 2"),
        (lambda: fl.sparse_csr_tensor([0, 2, 1], [0, 1], [1.0, 2.0], (2, 2)), RuntimeError, "must rise from 0"),
        (lambda: fl.sparse_csr_tensor([0, 1, 2], [0, 7], [1.0, 2.0], (2, 2)), RuntimeError, "not satisfied"),
        (lambda: fl.sparse_csr_tensor([0, 2, 2], [1, 0], [1.0, 2.0], (2, 2)), RuntimeError, "sorted and distinct"),
        (lambda: coo().indices(), RuntimeError, "call .coalesce"),
        (lambda: coo().numpy(), TypeError, "to_dense"),
        (lambda: coo() @ fl.ones(3, 3), ValueError, "inner sizes differ"),
        (lambda: coo() @ fl.ones(4, 3).double(), TypeError, "same dtype"),
        (lambda: fl.exp(coo()), NotImplementedError, "not sparse|not be sparse"),
        (lambda: coo() + 1, NotImplementedError, "no zeros"),
        (lambda: coo().argmax(), NotImplementedError, "to_dense"),
        (lambda: fl.ones(2).coalesce(), RuntimeError, "sparse"),
        (lambda: fl.ones(2).sparse_mask(fl.ones(2)), TypeError, "to_sparse"),
        (lambda: fl.softmax(coo(), 1), NotImplementedError, "softmax"),
    ],
)
def test_errors_say_what_is_wrong(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_indices_changed_behind_the_tensor_are_caught():
    a = coo().to_sparse_csr()
    a.col_indices().fill_(1000)
    with pytest.raises(IndexError, match="out of bounds"):
        a @ fl.ones(4, 70)


def test_compiled_functions_multiply_by_matrices_they_keep():
    a, x = coo(), fl.ones(4, 2, requires_grad=True)
    (a @ x).sum().backward()
    expected = x.grad.clone()

    @fl.compile
    def function(x):
        return (a @ x) * 2

    for _ in range(4):
        x.grad = None
        y = function(x)
        y.sum().backward()
        assert fl.equal(y, (a @ x) * 2) and fl.equal(x.grad, expected * 2)
    with pytest.raises(TypeError, match="keep it in a closure"):
        fl.compile(lambda m: m @ x)(a)
