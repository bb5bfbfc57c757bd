"""Programs in PyTorch's older style and NumPy's names: old overloads, byte masks, memory formats, copies."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from .support import Programs

programs = Programs()


@programs.add()
def older_overloads(torch: Any) -> dict[str, Any]:
    """The factor before the tensor, as optimizers wrote it; functions that write into their input; Python's types."""
    weight = torch.arange(6.0).view(2, 3)
    gradient, momentum = torch.ones(2, 3), torch.zeros(2, 3)
    for _ in range(3):
        momentum.mul_(0.9).add_(0.5, gradient)
        weight.add_(-0.1, momentum)
    mixed = torch.add(weight, 2, gradient)
    written = weight.clone()
    torch.exp_(torch.clamp_(written, -1, 1))
    kinds = [
        torch.zeros(2, dtype=int), torch.ones(2, dtype=bool), torch.tensor([1, 2], dtype=float), weight.to(bool),
        torch.arange(3, dtype=float), torch.zeros_like(weight, dtype=int), torch.linspace(0, 1, 3, dtype=float),
        weight.sum(dtype=float), torch.frombuffer(bytearray(8), dtype=float), torch.nn.Linear(2, 2, dtype=float).weight,
    ]  # fmt: skip
    return {
        "weight": weight, "mixed": mixed, "written": written, "less": weight.sub(2, gradient),
        "kinds": [str(kind.dtype) for kind in kinds], "mapped": torch.ones(2).map_(torch.ones(2), lambda a, b: a + b),
        "same": [torch.is_same_size(weight, gradient), weight.is_same_size(torch.ones(2)), weight.is_set_to(weight)],
        "kept": torch.dropout(weight, 0.5, False), "pooled": torch.max_pool2d(torch.ones(1, 1, 4, 4), 2),
        "normal": torch.layer_norm(weight, (3,)), "order": [list(weight.dim_order()), list(weight.t().dim_order())],
    }  # fmt: skip


@programs.add()
def names_of_numpy(torch: Any) -> dict[str, Any]:
    """`axis` and `keepdims` wherever there are `dim` and `keepdim`, in functions and methods."""
    x = torch.tensor([[3.0, 1.0, 2.0], [9.0, 7.0, 8.0]])
    values, places = x.max(axis=1, keepdims=True)
    with pytest.raises(TypeError):
        x.cumsum(axis=1, dim=0)
    with pytest.raises(TypeError):
        x.cumsum(axes=1)
    return {
        "max": [values, places], "sum": [x.cumsum(axis=1), x.amax(axis=0, keepdims=True), torch.prod(x, axis=1)],
        "order": [x.argsort(axis=1), *torch.sort(x, axis=0), *x.topk(1, axis=0)],
        "joined": [torch.stack([x, x], axis=1), *torch.unbind(x, axis=1), *torch.chunk(x, 3, axis=1)],
        "spread": [x.std(axis=0), torch.var(x, axis=1, keepdims=True), x.logsumexp(axis=0), torch.softmax(x, axis=0)],
        "shape": [x.unsqueeze(axis=1), torch.squeeze(x[None], axis=0), x.all(axis=1), x.argmax(axis=0, keepdims=True)],
    }  # fmt: skip


@programs.add()
def masks_of_bytes(torch: Any) -> dict[str, Any]:
    """A uint8 tensor chooses as a bool one does, alone and beside other indices, with gradients."""
    x = torch.arange(12.0).view(3, 4).requires_grad_()
    rows, columns = torch.ByteTensor([1, 0, 1]), torch.ByteTensor([0, 1, 1, 0])
    whole = (x.detach() > 6).byte()
    chosen = [x[rows], x[:, columns], x[whole], x[rows, 1:3], x[torch.tensor(1, dtype=torch.uint8)]]
    sum(part.square().sum() for part in chosen).backward()
    with pytest.raises(IndexError):
        x[columns]
    return {"chosen": chosen, "gradient": x.grad}


@programs.add()
def memory_formats(torch: Any) -> dict[str, Any]:
    """Channels last are strides: kept by arithmetic, clones and tensors made alike; undone by contiguous()."""
    x = torch.arange(120.0).view(2, 3, 4, 5).requires_grad_()
    last = x.to(memory_format=torch.channels_last)
    (last * torch.arange(5.0)).sum().backward()
    volume = torch.ones(1, 2, 2, 2, 3).contiguous(memory_format=torch.channels_last_3d)
    plain = last.detach()
    strided = [
        plain, plain + 1, plain.relu(), plain.clone(), plain.double(), torch.zeros_like(plain), torch.empty_like(plain),
        torch.full_like(plain, 2), plain.contiguous(), plain.clone(memory_format=torch.contiguous_format), volume,
        torch.empty(2, 3, 4, 5, memory_format=torch.channels_last), torch.ones_like(plain[0, 0].t()),
        torch.empty_like(plain, memory_format=torch.contiguous_format), torch.zeros_like(torch.ones(3).expand(2, 3)),
    ]  # fmt: skip
    with pytest.raises(RuntimeError):
        torch.ones(2, 3).contiguous(memory_format=torch.channels_last)
    with pytest.raises(TypeError):
        torch.ones(2, 3).contiguous(memory_format=3)
    return {
        "strides": [list(each.stride()) for each in strided], "gradient": x.grad,
        "contiguous": [plain.is_contiguous(), plain.is_contiguous(memory_format=torch.channels_last),
                       x.is_contiguous(memory_format=torch.channels_last),
                       torch.ones(2, 3).is_contiguous(memory_format=torch.channels_last)],
        "itself": plain.contiguous(memory_format=torch.channels_last) is plain, "values": plain.sum(1),
        "names": [repr(torch.channels_last), isinstance(torch.preserve_format, torch.memory_format)],
        "network": torch.nn.functional.conv2d(plain, torch.ones(1, 3, 2, 2)),
    }  # fmt: skip


@programs.add()
def copies_share_as_before(torch: Any) -> dict[str, Any]:
    """deepcopy keeps which tensors share memory; copy makes another tensor over the same memory."""
    x = torch.arange(6.0).view(2, 3)
    whole, row, turned, bits = copy.deepcopy([x, x[1], x.t(), x.view(torch.int32)])
    whole[1, 0] = 77
    leaf = torch.ones(2, requires_grad=True)
    other = copy.copy(leaf)
    other.data[0] = 5
    return {
        "kept": x, "row": row, "turned": turned, "bits": bits, "strides": [list(turned.stride()), row.storage_offset()],
        "leaf": leaf, "flags": [other is leaf, other.requires_grad, other.is_leaf, row._base is None],
    }  # fmt: skip


@programs.add()
def results_and_errors(torch: Any) -> dict[str, Any]:
    """The types of results by name; which class of error a mistake raises; names of graph nodes."""
    x = torch.arange(6.0).view(2, 3)
    a = x @ x.T + torch.eye(2)
    linear = torch.linalg
    made = [
        x.max(1), x.sort(1), torch.frexp(x), torch.histogram(x, 3), linear.qr(a), linear.svd(a), linear.eigh(a),
        linear.inv_ex(a), linear.cholesky_ex(a), linear.lstsq(a, a), torch.aminmax(x),
    ]  # fmt: skip
    for wrong, error in (
        (lambda: int(x), ValueError), (lambda: x[1.0], IndexError), (lambda: torch.tensor(["a"]), ValueError),
        (lambda: torch.tensor([None]), RuntimeError), (lambda: torch.tensor({1}), RuntimeError),
        (lambda: torch.cat([]), ValueError), (lambda: torch.stack([x, x[0]]), RuntimeError),
    ):  # fmt: skip
        with pytest.raises(error):
            wrong()
    leaf = torch.ones(2, requires_grad=True)
    leaf.register_hook(lambda gradient: torch.ones(3))
    with pytest.raises(RuntimeError, match="has changed the size"):
        leaf.sum().backward()
    graph = torch.ones(2, 2, requires_grad=True)
    shifted, row = graph + torch.eye(2), torch.zeros(1, 2, dtype=int)
    made_by = [
        graph @ graph, graph[graph > 0], linear.det(graph), linear.inv(shifted), torch.fft.rfft(graph),
        linear.cholesky(shifted), linear.svd(graph).S, graph.scatter_reduce(0, row, graph, "amax"),
    ]  # fmt: skip
    names = [each.grad_fn.name() for each in made_by]
    assert type(x.max(1)) is torch.return_types.max
    return {"made": [type(each).__name__ for each in made], "values": made[2][0], "names": names}


@programs.add(rtol=0, atol=0)
def neighbours_of_halves(torch: Any) -> dict[str, Any]:
    """nextafter steps by one unit of the dtype itself, through zero, to infinity and past NaN."""
    start = [1.0, 0.0, -1.0, 2.0, 3.0, float("nan"), 1.0, -0.0, 1e-40]
    end = [2.0, -1.0, 0.0, 2.0, -9.0, 1.0, float("inf"), 1.0, 0.0]
    found = {}
    for name in ("bfloat16", "float16", "float32"):
        dtype = getattr(torch, name)
        found[name] = torch.nextafter(torch.tensor(start, dtype=dtype), torch.tensor(end, dtype=dtype)).double()
    first = torch.tensor(np.array(1.0), dtype=torch.bfloat16)
    return found | {"broadcast": torch.nextafter(first, torch.tensor([2.0, 0.0], dtype=torch.bfloat16)).double()}


test_runs, test_agrees_with_torch = programs.tests()
