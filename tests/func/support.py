"""vmap(f) compared with the loop it stands for: values, and gradients under a random cotangent."""

from __future__ import annotations

import flambeau as fl

SIZE = 3


def leaves(tree):
    if isinstance(tree, fl.Tensor):
        return [tree]
    if isinstance(tree, dict):
        tree = list(tree.values())
    return [x for item in tree for x in leaves(item)] if isinstance(tree, (tuple, list)) else []


def loop(function, args, dims):
    """The leaves of function's results, called for each example, stacked."""
    picked = [[x if d is None else x.select(d, i) for x, d in zip(args, dims, strict=True)] for i in range(SIZE)]
    return [fl.stack(list(column)) for column in zip(*(leaves(function(*p)) for p in picked), strict=True)]


def _wide(x):
    return x.to(fl.complex128) if x.is_complex() else x.double()


def assert_same(function, args, dims, rtol=1e-12, gradients=True):
    """vmap equals the loop for tensors `args` that hold the examples at `dims` (None: shared)."""
    found = leaves(fl.vmap(function, in_dims=tuple(dims))(*args))
    wanted = loop(function, args, dims)
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert a.dtype is b.dtype and a.shape == b.shape, (a.dtype, a.shape, b.dtype, b.shape)
        assert fl.allclose(_wide(a), _wide(b), rtol, 1e-14, equal_nan=True), (a, b)
    if not gradients:
        return

    def pulled(compute):
        fresh = [x.detach().requires_grad_() if x.dtype.category > 1 else x for x in args]
        made = [o for o in compute(fresh) if o.requires_grad]
        if not made:
            return None
        fl.manual_seed(5)
        cotangents = [fl.randn(tuple(o.shape), dtype=o.dtype) for o in made]
        return fl.autograd.grad(made, [x for x in fresh if x.requires_grad], cotangents, allow_unused=True)

    ours = pulled(lambda fresh: leaves(fl.vmap(function, in_dims=tuple(dims))(*fresh)))
    theirs = pulled(lambda fresh: loop(function, fresh, dims))
    assert (ours is None) == (theirs is None)
    for a, b in zip(ours or (), theirs or (), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert fl.allclose(a, b, max(rtol, 1e-9), max(rtol * 1e-2, 1e-12), equal_nan=True), (a, b)


def stacked(examples, dim):
    """One tensor with the examples along `dim`, which may be None: then the first of them."""
    return examples[0] if dim is None else fl.stack(examples, dim)
