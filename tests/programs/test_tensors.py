"""Programs on tensors without networks: introductions, indexing, einsum, clustering, simulation, NumPy, printing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from .support import Programs

programs = Programs()


@programs.add()
def tensor_introduction(torch: Any) -> dict[str, Any]:
    """Creation, attributes, arithmetic, in-place, joining, reshaping and the bridge to NumPy, with what is printed."""
    data = [[1, 2], [3, 4]]
    x_data = torch.tensor(data)
    np_array = np.array(data)
    x_np = torch.from_numpy(np_array)
    x_ones, x_rand = torch.ones_like(x_data), torch.rand_like(x_data, dtype=torch.float)
    assert 0 <= x_rand.min() and x_rand.max() < 1
    shape = (2, 3,)  # fmt: skip
    rand_tensor, ones_tensor, zeros_tensor = torch.rand(shape), torch.ones(shape), torch.zeros(shape)
    text = [
        f"Ones Tensor: \n {ones_tensor} \n", f"Zeros Tensor: \n {zeros_tensor}", str(x_ones), str(x_np.dtype),
        f"Shape of tensor: {rand_tensor.shape}", f"Device tensor is stored on: {rand_tensor.device}",
    ]  # fmt: skip
    tensor = torch.ones(4, 4)
    tensor[:, 1] = 0
    text += [f"First row: {tensor[0]}", f"First column: {tensor[:, 0]}", f"Last column: {tensor[..., -1]}"]
    t1 = torch.cat([tensor, tensor, tensor], dim=1)
    y1 = tensor @ tensor.T
    y2 = tensor.matmul(tensor.T)
    y3 = torch.rand_like(y1)
    torch.matmul(tensor, tensor.T, out=y3)
    assert torch.equal(y1, y2) and torch.equal(y1, y3)
    z3 = torch.rand_like(tensor)
    torch.mul(tensor, tensor, out=z3)
    agg = tensor.sum()
    text.append(f"{agg.item()} {type(agg.item())}")
    tensor.add_(5)
    t = torch.ones(5)
    n = t.numpy()
    t.add_(1)
    assert n.tolist() == [2.0] * 5
    np.add(n, 1, out=n)
    text += [f"t: {t}", f"n: {n}"]
    array = np.ones(3)
    shared = torch.from_numpy(array)
    np.add(array, 1, out=array)
    assert shared.sum() == 6 and shared.dtype == torch.float64
    x = torch.rand(5, 3)
    y = torch.empty(5, 3)
    torch.add(x, x, out=y)
    assert y.view(15).size() == torch.Size([15]) and y.view(-1, 5).shape[0] == 3
    scalar = torch.tensor(3.14159)
    text += [str(scalar), str(torch.arange(10)), str(torch.tensor([1.5, 2.25, -3.0])), str(torch.tensor([True, False])),
             str(torch.tensor([1e-8, 1.0])), str(torch.tensor([1e10, 1.0])), str(torch.zeros(2, 0)),
             str(torch.tensor([])),
             str(torch.arange(24).reshape(2, 3, 4)), str(torch.linspace(0, 1, 5)),
             str(torch.ones(2, dtype=torch.float64)),
             str(torch.arange(2000)), str(torch.zeros(2, 2, requires_grad=True)), str(torch.tensor([0.1, 123456.0])),
             str(torch.full((2, 2), 7)), str(torch.tensor([[-1, 20], [300, 4]], dtype=torch.int32)),
             str(torch.Size([2, 3]))]  # fmt: skip
    return {"text": text, "t1": t1, "y1": y1, "tensor": tensor, "z3": z3}


@programs.add()
def indexing(torch: Any) -> dict[str, Any]:
    """Reads and writes by ints, slices, masks, lists, None, Ellipsis; gather, scatter_, index_add_, where, nonzero."""
    x = torch.arange(60).reshape(3, 4, 5)
    a = x.clone()
    reads = [
        x[0], x[-1, 2], x[:, 1:3], x[..., ::2], x[:, None, 0], x[[0, 2]], x[[0, 2], [1, 3]], x[:, [0, 1], :2],
        x[x > 50],
        x[x % 7 == 0].sum(), x[torch.tensor([[0, 1], [1, 2]])], x[1][torch.tensor([True, False, True, False])], x[()],
        x[0, :, torch.tensor([0, 4])], x[np.array([2, 0])], x[torch.tensor(1)], x[:, -1:, ...], x[True].shape[0],
        x[1:2].squeeze(0)[[0, 1]], x[..., None, -1],
    ]  # fmt: skip
    a[0, 0] = -1
    a[:, 1] = torch.arange(5)
    a[a > 55] = 0
    a[[1, 1], [0, 2]] += 100
    a[..., -1] *= 2
    a[2, torch.tensor([0, 3])] = torch.tensor([[7], [8]])
    a[1, :, 1:3] = x[0, :, :2]
    scores = torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]])
    target = torch.tensor([[1], [2]])
    picked = scores.gather(1, target)
    onehot = torch.zeros(2, 3).scatter_(1, target, 1.0)
    counts = torch.zeros(4).index_add_(0, torch.tensor([0, 1, 1, 3]), torch.ones(4))
    sums = torch.zeros(3).scatter_add(0, torch.tensor([0, 0, 2, 2]), torch.tensor([1.0, 2.0, 3.0, 4.0]))
    lower = torch.tril(torch.ones(4, 4, dtype=torch.long))
    causal = torch.triu(torch.full((3, 3), float("-inf")), diagonal=1)
    nonzero = torch.nonzero(lower.eq(0))
    rows, columns = torch.nonzero(lower, as_tuple=True)
    values, indices = torch.sort(torch.tensor([[3, 1, 2], [9, 7, 8]]), dim=1, descending=True)
    unique, inverse, number = torch.unique(torch.tensor([3, 1, 3, 2, 1]), return_inverse=True, return_counts=True)
    meshx, meshy = torch.meshgrid(torch.arange(3), torch.arange(2), indexing="ij")
    windows = torch.arange(10).unfold(0, 4, 2)
    masked = torch.where(x > 30, x, torch.zeros_like(x))
    with pytest.raises(IndexError):
        x[5]
    with pytest.raises(IndexError):
        x[0, 0, 0, 0]
    with pytest.raises((IndexError, RuntimeError)):
        x[torch.tensor([7])]
    return {
        "reads": reads, "a": a, "picked": picked, "onehot": onehot, "counts": counts, "sums": sums, "nonzero": nonzero,
        "rows": rows, "columns": columns, "sorted": [values, indices], "unique": [unique, inverse, number],
        "mesh": [meshx, meshy], "windows": windows, "masked": masked, "causal": causal.exp(),
        "take": torch.take(x, target),
        "select": x.index_select(2, torch.tensor([4, 0])), "bincount": torch.bincount(torch.tensor([1, 1, 3])),
        "digitize": torch.bucketize(torch.tensor([0.5, 2.5]), torch.arange(4.0)), "flip": x.flip(0, 2)[0],
        "put": torch.zeros(3, 3).index_put_((torch.tensor([0, 2]), torch.tensor([1, 1])), torch.tensor([4.0, 5.0])),
        "diff": torch.diff(torch.tensor([1, 4, 9, 16])), "cart": torch.cartesian_prod(torch.arange(2), torch.arange(2)),
        "combinations": torch.combinations(torch.arange(3)), "topk": torch.topk(scores, 2).values,
        "kth": scores.kthvalue(2)[0],
        "median": scores.median(dim=1), "mode": torch.mode(torch.tensor([1, 2, 2, 3]))[0], "any": (x > 58).any(0).any(),
    }  # fmt: skip


@programs.add(rtol=1e-4)
def einsum_and_friends(torch: Any) -> dict[str, Any]:
    """Contractions as einsum agree with matmul, bmm, tensordot, outer and the trace; attention as one formula."""
    g = np.random.default_rng(0)
    A, B, C = (torch.from_numpy(g.standard_normal(s).astype("f4")) for s in ((3, 4), (4, 5), (2, 3, 4)))
    v = torch.arange(4.0)
    pairs = [
        (torch.einsum("ij,jk->ik", A, B), A @ B), (torch.einsum("ij->ji", A), A.T), (torch.einsum("ij->", A), A.sum()),
        (torch.einsum("ii", A[:, :3]), A[:, :3].trace()), (torch.einsum("ij,j->i", A, v), A.mv(v)),
        (torch.einsum("i,j->ij", v, v), torch.outer(v, v)),
        (torch.einsum("bij,bkj->bik", C, C), C.bmm(C.transpose(1, 2))),
        (torch.einsum("bij,jk->bik", [C, B]), torch.tensordot(C, B, dims=1)),
        (torch.einsum("...j,j", C, v), C.matmul(v)),
        (torch.einsum("ij,ij->i", A, A), A.square().sum(-1)), (torch.einsum("i,i->", v, v), torch.dot(v, v)),
    ]  # fmt: skip
    for one, two in pairs:
        assert torch.allclose(one, two, rtol=1e-4, atol=1e-5)
    q, k, val = (torch.from_numpy(g.standard_normal((2, 6, 3, 4)).astype("f4")).requires_grad_() for _ in range(3))
    energy = torch.einsum("nqhd,nkhd->nhqk", [q, k])
    mask = torch.tril(torch.ones((6, 6))).expand(2, 1, 6, 6)
    attention = torch.softmax(energy.masked_fill(mask == 0, float("-1e20")) / 4**0.5, dim=3)
    out = torch.einsum("nhql,nlhd->nqhd", [attention, val]).reshape(2, 6, 12)
    out.pow(2).sum().backward()
    rotary = torch.outer(torch.arange(6), 1.0 / 10000 ** (torch.arange(0, 4, 2).float() / 4))
    x1, x2 = q.detach()[..., ::2], q.detach()[..., 1::2]
    cos, sin = rotary.cos()[None, :, None], rotary.sin()[None, :, None]
    rotated = torch.stack((x1 * cos - x2 * sin, x1 * sin + x2 * cos), dim=-1).flatten(-2)
    slopes = torch.pow(2, -torch.arange(1, 5) * 2.0)
    alibi = slopes.view(-1, 1, 1) * (torch.arange(3)[None, :] - torch.arange(3)[:, None])
    return {
        "out": out, "q": q.grad, "k": k.grad, "rotated": rotated, "alibi": alibi,
        "kron": torch.kron(A[:2, :2], torch.eye(2)),
        "baddbmm": torch.baddbmm(torch.ones(2, 3, 3), C, C.transpose(-1, -2), beta=0.5),
        "chain": torch.linalg.multi_dot([A, B]),
        "addmm": torch.addmm(torch.ones(5), A, B, alpha=2), "cdist": torch.cdist(A, A + 1),
        "cross": torch.cross(C[0, 0, :3], C[0, 1, :3], dim=0),
    }  # fmt: skip


@programs.add(rtol=1e-3, atol=1e-4)
def clusters_and_components(torch: Any) -> dict[str, Any]:
    """k-means and PCA with tensor operations, checked by scikit-learn; nearest neighbours; a Gaussian process."""
    from sklearn.decomposition import PCA
    from sklearn.neighbors import KNeighborsClassifier

    g = np.random.default_rng(2)
    centres = np.array([[0, 0], [5, 5], [0, 6]], "f4")
    labels = np.repeat([0, 1, 2], 50)
    X = torch.from_numpy((centres[labels] + g.normal(0, 0.6, (150, 2))).astype("f4"))
    centroids = X[[0, 60, 120]].clone()
    for _ in range(10):
        distances = ((X.unsqueeze(1) - centroids.unsqueeze(0)) ** 2).sum(-1)
        assignment = distances.argmin(dim=1)
        new = torch.stack([X[assignment == i].mean(dim=0) for i in range(3)])
        if torch.allclose(new, centroids):
            break
        centroids = new
    assert (assignment == torch.from_numpy(labels)).float().mean() > 0.95

    H = torch.from_numpy(g.standard_normal((80, 3)) @ g.standard_normal((3, 6)))
    centred = H - H.mean(0)
    U, S, Vh = torch.linalg.svd(centred, full_matrices=False)
    scores = centred @ Vh.T[:, :2]
    reference = PCA(2).fit(H)
    assert np.allclose(np.abs(scores), np.abs(reference.transform(H)))
    eigenvalues, eigenvectors = torch.linalg.eigh(torch.cov(H.T))
    assert torch.allclose(eigenvalues.flip(0)[:2], torch.from_numpy(reference.explained_variance_))
    knn = torch.cdist(X, X).topk(6, largest=False).indices[:, 1:]
    votes = torch.from_numpy(labels)[knn].mode(dim=1).values
    assert (votes.numpy() == KNeighborsClassifier(5).fit(X, labels).predict(X)).mean() > 0.9

    xs = torch.linspace(0, 5, 12, dtype=torch.float64)
    lengthscale = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([lengthscale], lr=0.05)
    for _ in range(20):
        K = torch.exp(-0.5 * (xs[:, None] - xs[None, :]) ** 2 / lengthscale**2) + 1e-2 * torch.eye(
            12, dtype=torch.float64
        )
        L = torch.linalg.cholesky(K)
        alpha = torch.cholesky_solve(torch.sin(xs)[:, None], L)
        nll = 0.5 * torch.sin(xs) @ alpha.squeeze() + L.diagonal().log().sum() + 6 * math.log(2 * math.pi)
        optimizer.zero_grad()
        nll.backward()
        optimizer.step()
    return {"centroids": centroids, "S": S, "nll": nll, "lengthscale": lengthscale, "eigenvalues": eigenvalues,
            "corr": torch.corrcoef(H.T),
            "quantile": torch.quantile(X[:, 0], torch.tensor([0.25, 0.5, 0.75]))}  # fmt: skip


@programs.add(rtol=1e-4)
def simulations(torch: Any) -> dict[str, Any]:
    """The game of life by rolls, a Markov chain, PageRank, Mandelbrot in real pairs, springs through an integrator."""
    board = torch.zeros(6, 6, dtype=torch.int)
    board[[0, 1, 2, 2, 2], [1, 2, 0, 1, 2]] = 1
    for _ in range(4):
        neighbours = sum(torch.roll(board, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0))
        board = ((neighbours == 3) | ((board == 1) & (neighbours == 2))).int()
    assert board.sum() == 5
    transition = torch.tensor([[0.9, 0.1], [0.5, 0.5]], dtype=torch.float64)
    stationary = torch.linalg.matrix_power(transition, 60)[0]
    links = torch.tensor([[0.0, 1, 1, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 1, 0]])
    rank = torch.full((4,), 0.25)
    for _ in range(50):
        rank = 0.15 / 4 + 0.85 * rank @ (links / links.sum(1, keepdim=True))
    Y, X = torch.meshgrid(torch.arange(-1.3, 1.3, 0.2), torch.arange(-2, 1, 0.2), indexing="ij")
    zr, zi, ns = torch.zeros_like(X), torch.zeros_like(X), torch.zeros_like(X)
    for _ in range(20):
        zr, zi = zr * zr - zi * zi + X, 2 * zr * zi + Y
        ns += (zr * zr + zi * zi < 4.0).float()
        zr, zi = zr.clamp(-10, 10), torch.clamp(zi, min=-10, max=10)
    k = torch.nn.Parameter(torch.tensor(0.5))
    optimizer, truth = torch.optim.Adam([k], lr=0.1), torch.cos(torch.arange(0, 3, 0.1) * math.sqrt(2.0))
    for _ in range(40):
        position, velocity, path = torch.tensor(1.0), torch.tensor(0.0), []
        for _step in range(30):
            path.append(position)
            velocity = velocity - 0.1 * k * position
            position = position + 0.1 * velocity
        loss = (torch.stack(path) - truth).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert abs(k.item() - 2.0) < 0.3
    walk = torch.cumsum(torch.tensor([1, -1, 1, 1, -1]), dim=0)
    histogram = torch.histc(torch.tensor([1.0, 2, 1]), bins=4, min=0, max=3)
    primes = torch.arange(2, 50)[(torch.arange(2, 50)[:, None] % torch.arange(2, 8) != 0).all(1)]
    return {"board": board, "stationary": stationary, "rank": rank, "ns": ns.sum(), "k": k, "walk": walk,
            "hist": histogram, "primes": primes}  # fmt: skip


@programs.add()
def dtypes_and_devices(torch: Any) -> dict[str, Any]:
    """Promotion, casts, integer and bit arithmetic, comparisons, limits, devices as scripts choose them, seeds."""
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    i, f, d = torch.tensor([7, -7]), torch.tensor([2.0, 0.5]), torch.tensor([1.5, 2.5], dtype=torch.float64)
    values = {
        "if": i + f, "fd": f * d, "i2": i * 2.5, "idiv": i / 2, "floor": i // 2, "mod": i % 3, "fmod": torch.fmod(i, 3),
        "trunc": torch.div(i, 2, rounding_mode="trunc"), "bool": (i > 0) + 1, "cmp": f >= 1, "logic": (i > 0) & (f > 1),
        "not": ~(i > 0), "shift": i << 2, "xor": torch.tensor([5]) ^ 3, "half": f.half() + 1,
        "bf": f.bfloat16().float(),
        "byte": torch.tensor([200], dtype=torch.uint8) + 100, "rsub": 1 - f, "rdiv": 1 / f, "rpow": 2**f, "neg": -i,
        "round": torch.tensor([0.5, 1.5, 2.5, -0.5]).round(), "abs": abs(i), "sgn": torch.sign(f - 1), "long": d.long(),
        "int": torch.tensor(3.7).int(), "type": f.type(torch.DoubleTensor), "to": f.to(device, dtype=torch.float64),
        "as": i.type_as(f), "mean": i.float().mean(), "sumb": (f > 0).sum(), "max": torch.maximum(f, d.float()),
        "clip": torch.clip(f, 0.75, 1.75),
        "nan": torch.nan_to_num(torch.tensor([float("nan"), float("inf")]), posinf=9.0),
        "isnan": torch.isnan(torch.log(torch.tensor([-1.0, 1.0]))), "lerp": torch.lerp(f, torch.zeros(2), 0.3),
        "cum": torch.cumprod(torch.tensor([1, 2, 3]), 0), "std": torch.std_mean(torch.arange(5.0)),
        "logsumexp": f.logsumexp(0),
        "var": torch.var(torch.arange(6.0).view(2, 3), dim=1, correction=0), "prod": i.prod(), "amax": f.amax(0),
        "argsort": torch.argsort(-f), "all": f.all(), "norm": torch.norm(f), "dist": torch.dist(f, d.float(), 1),
    }  # fmt: skip
    assert torch.finfo(torch.float32).eps == np.finfo(np.float32).eps and torch.iinfo(torch.int16).max == 32767
    assert torch.is_tensor(i) and not torch.is_floating_point(i) and isinstance(f, torch.FloatTensor | torch.Tensor)
    torch.manual_seed(5)
    one = torch.randn(3), torch.randint(0, 10, (4,)), torch.randperm(5), torch.bernoulli(torch.full((3,), 0.5))
    torch.manual_seed(5)
    two = torch.randn(3), torch.randint(0, 10, (4,)), torch.randperm(5), torch.bernoulli(torch.full((3,), 0.5))
    assert all(torch.equal(x, y) for x, y in zip(one, two))
    torch.set_default_dtype(torch.float64)
    double = torch.tensor([0.1])
    torch.set_default_dtype(torch.float32)
    assert double.dtype == torch.float64 and len(i) == 2 and [x.item() for x in i] == [7, -7] and 7 in i
    assert bool(torch.tensor(True)) and int(torch.tensor(4)) == 4 and float(torch.tensor([2])) == 2.0
    assert (torch.arange(3) == torch.tensor([0, 1, 2])).all() and list(range(5))[torch.tensor(2)] == 2
    with pytest.raises((RuntimeError, ValueError)):
        bool(i > 0)
    with pytest.raises(RuntimeError):
        torch.ones(2, 3) @ torch.ones(2, 3)
    with pytest.raises(RuntimeError):
        torch.ones(3) + torch.ones(4)
    return values


test_runs, test_agrees_with_torch = programs.tests()
