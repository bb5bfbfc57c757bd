"""Operations that run outside of dispatch, or by NumPy: recorded, they give eager's bits, in gradients as well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flambeau as fl

F, L, randn, randint = fl.nn.functional, fl.linalg, fl.randn, fl.randint
Case = tuple[Callable[..., Any], Callable[[], list[Any]]]


def near_unit() -> list[Any]:
    return [randn(4, 4) + 4 * fl.eye(4)]


def images(channels: int = 3, size: int = 6) -> list[Any]:
    return [randn(2, channels, size, size)]


def heads(keys: int = 5) -> list[Any]:
    return [randn(2, 3, 5, 4), randn(2, 3, keys, 4), randn(2, 3, keys, 4)]


def set_by_mask(x: Any) -> Any:
    y = x * 1
    y[y > 0] = 2.0
    y[x.detach()[:, 0] > 0] = fl.tensor(3.0)
    return y


def set_parts(x: Any, i: Any, v: Any) -> Any:
    y = x * 1
    y[0] = 5.0
    y[1, 2:] = x[2, 2:]
    y[i] = v
    return y


CASES: dict[str, Case] = {
    "sort": (lambda x: fl.sort(x, 1), lambda: [randn(4, 7)]),
    "argsort": (lambda x: fl.argsort(x, 0, True), lambda: [randn(4, 7)]),
    "topk": (lambda x: (fl.topk(x, 3), fl.topk(x, 20)), lambda: [randn(4, 70)]),
    "median": (lambda x: (x.median(), x.median(1), fl.kthvalue(x, 2)), lambda: [randn(4, 7)]),
    "mode": (lambda x: fl.mode(x), lambda: [randint(0, 3, (4, 7))]),
    "quantile": (lambda x: (fl.quantile(x, 0.3, 1), fl.nanquantile(x, fl.tensor([0.2, 0.5]))), lambda: [randn(4, 7)]),
    "running": (lambda x: (x.cumsum(1), x.cummax(1), x.logcumsumexp(1)), lambda: [randn(4, 7)]),
    "cumprod": (lambda x: (x.cumprod(1), (x * fl.tensor([1.0, 0, 1, 1])).cumprod(1)), lambda: [randn(3, 4)]),
    "searching": (lambda a, x: (fl.searchsorted(a, x), fl.bucketize(x, a)), lambda: [randn(9).sort().values, randn(5)]),
    "histc": (lambda x: x.histc(5, -2, 2), lambda: [randn(50)]),
    "isin": (lambda x: fl.isin(x * 2, fl.tensor([1, 2])), lambda: [randint(0, 5, (9,))]),
    "one_hot": (lambda x: F.one_hot(x, 5), lambda: [randint(0, 5, (9,))]),
    "integers": (lambda a, b: (a // b, a % b, fl.gcd(a, b)), lambda: [randint(1, 50, (9,)), randint(1, 50, (9,))]),
    "floats": (lambda a, b: (fl.nextafter(a, b), fl.frexp(a), fl.polygamma(2, a.abs() + 1)), lambda: [randn(9)] * 2),
    "inverse": (lambda x: (L.inv(x), L.det(x), L.slogdet(x)[1], L.pinv(x), L.matrix_rank(x)), near_unit),
    "solve": (lambda a, b: L.solve(a, b), lambda: [*near_unit(), randn(4, 2)]),
    "factors": (lambda x: (L.cholesky(x @ x.T + fl.eye(4)), L.qr(x), L.svdvals(x), L.eigh(x + x.T)), near_unit),
    "scatter": (
        lambda x, i, s: (x.scatter(1, i, s), x.scatter_add(1, i, s), x.scatter_reduce(1, i, s, "amax")),
        lambda: [randn(3, 5), randint(0, 5, (3, 2)), randn(3, 2)],
    ),
    "index_add": (
        lambda x, i, s: (x.index_add(0, i, s), x.index_reduce(0, i, s, "prod")),
        lambda: [randn(3, 5), randint(0, 3, (4,)), randn(4, 5)],
    ),
    "index_copy": (lambda x, s: x.index_copy(0, fl.tensor([0, 2]), s), lambda: [randn(3, 5), randn(2, 5)]),
    "gather": (
        lambda x, i: (x.gather(1, i), x.take(i), x[i.clamp(max=2)]),
        lambda: [randn(3, 5), randint(0, 5, (3, 2))],
    ),
    "set_by_mask": (set_by_mask, lambda: [randn(3, 5)]),
    "set_parts": (set_parts, lambda: [randn(3, 5), fl.tensor([2, 1]), randn(2, 5)]),
    "masked_scatter": (lambda x, s: x.masked_scatter(x > 0, s * 1), lambda: [randn(3, 5), randn(15)]),
    "embedding": (
        lambda w, i: (F.embedding(i, w, padding_idx=1), F.embedding(i, w, scale_grad_by_freq=True)),
        lambda: [randn(7, 5), randint(0, 7, (3, 2))],
    ),
    "embedding_max_norm": (
        lambda w, i: F.embedding(i, w * 1, max_norm=1.0), lambda: [randn(7, 5), randint(0, 7, (6,))],
    ),
    "embedding_bag": (
        lambda w, i, o: F.embedding_bag(i, w, o), lambda: [randn(7, 5), randint(0, 7, (6,)), fl.tensor([0, 2, 5])]
    ),
    "repeat": (lambda x, n: x.repeat_interleave(n, 0), lambda: [randn(3, 5), fl.tensor([1, 0, 2])]),
    "as_strided": (lambda x: (x.as_strided((3, 3), (2, 1)), x.unfold(0, 3, 2)), lambda: [randn(20)]),
    "interpolate": (
        lambda x: [F.interpolate(x, size=(7, 5), mode=mode) for mode in ("nearest", "bilinear", "bicubic", "area")],
        images,
    ),
    "convolution": (
        lambda x, w: (F.conv2d(x, w, padding=1, stride=2), F.conv2d(x.transpose(2, 3), w)),
        lambda: [*images(), randn(4, 3, 3, 3)],
    ),
    "convolution_other": (
        lambda x, w, u: (F.conv_transpose2d(x, w, stride=2), F.conv2d(x, u, groups=3, padding=1)),
        lambda: [*images(), randn(3, 4, 3, 3), randn(3, 1, 3, 3)],
    ),
    "max_pool": (lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2), images),
    "pool": (lambda x: (F.avg_pool2d(x, 3, 2, 1), F.adaptive_avg_pool2d(x, (3, 5)), F.lp_pool2d(x, 2, 2)), images),
    "fold": (lambda x: (F.fold(F.unfold(x, 2), (6, 6), 2), F.pad(x, (1, 2, 1, 0), mode="reflect")), images),
    "norms": (
        lambda x: (F.batch_norm(x, None, None, training=True), F.group_norm(x, 2), F.instance_norm(x)),
        lambda: images(4),
    ),
    "attention": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), heads),
    "attention_mask": (
        lambda q, k, v, m: (
            F.scaled_dot_product_attention(q, k, v, attn_mask=m.detach() > 0),
            F.scaled_dot_product_attention(q, k, v, attn_mask=m),
        ),
        lambda: [*heads(7), randn(5, 7)],
    ),
    "attention_dropout": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, dropout_p=0.3), heads),
    "bernoulli": (lambda x: (fl.bernoulli(x.sigmoid()), x.detach().clone().bernoulli_(0.3)), lambda: [randn(9)]),
    "draws": (
        lambda x: (fl.randperm(9), x * fl.rand(9), fl.normal(x.detach(), 0.5), fl.empty(9).exponential_()),
        lambda: [randn(9)],
    ),
    "multinomial": (
        lambda x: (fl.multinomial(x.detach().exp(), 4), fl.multinomial(x.detach().exp(), 4, True), x),
        lambda: [randn(2, 9)],
    ),
    "poisson": (lambda x: (fl.poisson(x.detach().abs()), x), lambda: [randn(2, 9)]),
    "dropouts": (
        lambda x: (F.dropout2d(x, 0.3), F.alpha_dropout(x, 0.3, True), F.rrelu(x, training=True), F.dropout(x, 0.4)),
        images,
    ),
    "gumbel": (lambda x: F.gumbel_softmax(x, hard=True), lambda: [randn(2, 9)]),
    "constants": (
        lambda x: x + fl.tensor([1.0, 2.0, 3.0]) + fl.tensor(2.0) + fl.arange(3) + fl.tril_indices(2, 2)[0],
        lambda: [randn(2, 3)],
    ),
    "many_parts": (lambda x: fl.cat([x * i for i in range(60)]), lambda: [randn(3)]),
    "pairs": (lambda a: (F.pdist(a), fl.cdist(a, a * 2)), lambda: [randn(5, 4)]),
    "gaussian": (lambda x, y: F.gaussian_nll_loss(x, y, x.abs() + 1), lambda: [randn(4, 5), randn(4, 5)]),
}  # fmt: skip


def tensors(value: Any) -> list[Any]:
    if isinstance(value, fl.Tensor):
        return [value]
    return [t for item in value for t in tensors(item)] if isinstance(value, (list, tuple)) else []


def bits(tensor: Any) -> Any:
    return tensor.dtype, tensor.shape, tensor.detach().numpy().tobytes()


def differentiated(function: Any, args: list[Any]) -> Any:
    result = tensors(function(*args))
    loss = sum((t * t).sum() for t in result if t.requires_grad)
    wanted = [t for t in args if t.requires_grad]
    if not isinstance(loss, fl.Tensor):
        return result
    gradients = fl.autograd.grad(loss, wanted, allow_unused=True)
    return [t.detach() for t in result], [g for g in gradients if g is not None]


@pytest.mark.parametrize("backward", ["none", "inside", "outside"])
@pytest.mark.parametrize("name", CASES)
def test_operation(name: str, backward: str) -> None:
    function, make = CASES[name]

    def inside(*args: Any) -> Any:
        return differentiated(function, list(args)) if backward == "inside" else function(*args)

    found: list[list[Any]] = [[], []]
    for side, call in enumerate((inside, fl.compile(inside))):
        fl.manual_seed(3)
        for _ in range(4):
            args = [t.clone() for t in make()]
            args = [t.requires_grad_(backward != "none") if t.dtype.is_floating_point else t for t in args]
            with fl.set_grad_enabled(backward != "none"):
                result = differentiated(call, args) if backward == "outside" else call(*args)
            found[side] += [*map(bits, tensors(result)), fl.get_rng_state().tolist()]
    assert found[0] == found[1]
    assert call.plans == 1


REFUSED: dict[str, Case] = {
    "nonzero": (lambda x: fl.nonzero(x > 0), lambda: [randn(4)]),
    "masked_select": (lambda x: x[x > 0], lambda: [randn(4)]),
    "unique": (lambda x: fl.unique(x), lambda: [randn(4)]),
    "bincount": (lambda x: fl.bincount(x), lambda: [randint(0, 4, (4,))]),
    "one_hot without num_classes": (lambda x: F.one_hot(x), lambda: [randint(0, 4, (4,))]),
    "linalg.matrix_exp": (lambda x: L.matrix_exp(x), near_unit),
    "repeats": (lambda x: x.repeat_interleave(x.long() + 2), lambda: [fl.zeros(4)]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_shapes_that_depend_on_values_are_an_error(name: str) -> None:
    function, make = REFUSED[name]
    with pytest.raises(RuntimeError, match=rf"{name}.*the value of a tensor is read.*test_operations\.py"):
        fl.compile(function)(*make())


def test_checks_of_values_run_in_plans() -> None:
    compiled = fl.compile(lambda x, i: F.one_hot(i, 3) + x.gather(0, i).unsqueeze(1))
    divide = fl.compile(lambda a, b: a // b)
    x, i, one = fl.arange(3), fl.tensor([0, 2]), fl.tensor([1, 2])
    for _ in range(3):
        compiled(x, i), divide(one, one)
    with pytest.raises(RuntimeError, match="one_hot: Class values must be smaller"):
        compiled(x, fl.tensor([0, 5]))
    with pytest.raises(ZeroDivisionError):
        divide(one, fl.tensor([1, 0]))
    assert compiled(x, i).tolist() == [[1, 0, 0], [2, 2, 3]] and compiled.plans == divide.plans == 1


def test_a_class_that_is_not_there() -> None:
    compiled = fl.compile(lambda x, target: F.cross_entropy(x, target))
    x = randn(3, 4)
    for _ in range(3):
        compiled(x, fl.tensor([0, -100, 3]))
    for call in (F.cross_entropy, compiled):
        with pytest.raises(IndexError, match="cross_entropy: Target 4 is out of bounds: there are 4 classes"):
            call(x, fl.tensor([0, 4, 3]))
        with pytest.raises(IndexError, match="Target -1 "):
            call(x, fl.tensor([-100, -1, 3]))
    assert compiled.plans == 1
