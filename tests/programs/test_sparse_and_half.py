"""Programs about graphs and tables with sparse tensors, mixed precision, and the names of one-process programs."""

from __future__ import annotations

from typing import Any

import numpy as np

from .support import Programs

programs = Programs()


@programs.add()
def graph_convolutions(torch: Any) -> dict[str, Any]:
    """A two-layer graph network: normalised adjacency as a sparse matrix, trained for a few steps."""
    nn, F = torch.nn, torch.nn.functional
    rng = np.random.default_rng(0)
    nodes, features, classes = 30, 7, 3
    edges = np.unique(rng.integers(0, nodes, (2, 120)), axis=1)
    index = torch.from_numpy(np.concatenate([edges, np.stack([np.arange(nodes)] * 2)], 1))
    values = torch.ones(index.shape[1])
    adjacency = torch.sparse_coo_tensor(index, values, (nodes, nodes)).coalesce()
    degree = torch.sparse.sum(adjacency, dim=1).to_dense()
    scale = degree.pow(-0.5)
    places = adjacency.indices()
    weights = scale[places[0]] * adjacency.values() * scale[places[1]]
    adjacency = torch.sparse_coo_tensor(places, weights, adjacency.shape)

    class GraphConvolution(nn.Module):
        def __init__(self, inputs, outputs):
            super().__init__()
            self.weight = nn.Parameter(torch.from_numpy(rng.standard_normal((inputs, outputs)).astype("float32")))
            self.bias = nn.Parameter(torch.zeros(outputs))

        def forward(self, x, adj):
            return torch.spmm(adj, torch.mm(x, self.weight)) + self.bias

    first, second = GraphConvolution(features, 8), GraphConvolution(8, classes)
    x = torch.from_numpy(rng.standard_normal((nodes, features)).astype("float32"))
    target = torch.from_numpy(rng.integers(0, classes, nodes))
    optimizer = torch.optim.Adam([*first.parameters(), *second.parameters()], lr=0.01, weight_decay=5e-4)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        logits = second(F.relu(first(x, adjacency)), adjacency)
        loss = F.nll_loss(F.log_softmax(logits, dim=1), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    csr = adjacency.coalesce().to_sparse_csr()
    return {"losses": losses, "weight": first.weight.detach(), "product": csr @ x, "rows": csr.crow_indices()}


@programs.add()
def graph_attention(torch: Any) -> dict[str, Any]:
    """Attention over the edges of a graph: a sparse softmax of learned scores, with gradients to them."""
    rng = np.random.default_rng(1)
    index = torch.from_numpy(np.array([[0, 0, 1, 2, 2, 2], [1, 2, 0, 0, 1, 2]]))
    h = torch.from_numpy(rng.standard_normal((3, 4)).astype("float32")).requires_grad_()
    a = torch.from_numpy(rng.standard_normal(8).astype("float32")).requires_grad_()
    scores = torch.cat([h[index[0]], h[index[1]]], dim=1) @ a
    attention = torch.sparse.softmax(torch.sparse_coo_tensor(index, scores, (3, 3)), dim=1)
    out = torch.sparse.mm(attention, h)
    out.pow(2).sum().backward()
    return {"attention": attention.to_dense().detach(), "out": out.detach(), "h": h.grad, "a": a.grad}


@programs.add()
def word_vectors(torch: Any) -> dict[str, Any]:
    """Skip-gram vectors with negative samples: sparse embeddings, SparseAdam for one table and SGD for the other."""
    rng = np.random.default_rng(2)
    center = torch.nn.Embedding(20, 5, sparse=True)
    context = torch.nn.Embedding(20, 5, sparse=True, padding_idx=0)
    for table in (center, context):
        table.weight.data = torch.from_numpy(rng.standard_normal((20, 5)).astype("float32"))
    optimizers = [
        torch.optim.SparseAdam(list(center.parameters()), lr=0.05),
        torch.optim.SGD(context.parameters(), lr=0.5),
    ]
    losses = []
    for _ in range(4):
        words = torch.from_numpy(rng.integers(0, 20, 8))
        others = torch.from_numpy(rng.integers(0, 20, (8, 3)))
        score = torch.bmm(context(others), center(words).unsqueeze(2)).squeeze(2)
        loss = -torch.nn.functional.logsigmoid(score).mean()
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        assert center.weight.grad.is_sparse
        for optimizer in optimizers:
            optimizer.step()
        losses.append(loss.item())
    return {"losses": losses, "center": center.weight.detach(), "context": context.weight.detach()}


@programs.add(rtol=2e-2, atol=2e-2)
def mixed_precision(torch: Any) -> dict[str, Any]:
    """A small convolutional network trained under autocast with a gradient scaler; gradients stay in float32."""
    nn, F = torch.nn, torch.nn.functional
    rng = np.random.default_rng(3)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 3))
    for parameter in net.parameters():
        shape = tuple(parameter.shape)
        parameter.data = torch.from_numpy((rng.standard_normal(shape) / 6).astype("float32"))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
    x = torch.from_numpy(rng.standard_normal((8, 1, 8, 8)).astype("float32"))
    target = torch.from_numpy(rng.integers(0, 3, 8))
    losses, dtypes, scales = [], [], []
    for step in range(4):
        optimizer.zero_grad()
        with torch.autocast(device_type="cpu", dtype=torch.bfloat16):
            logits = net(x)
            loss = F.cross_entropy(logits, target)
            dtypes.append([str(t.dtype).partition(".")[2] for t in (logits, loss, logits + x.sum())])
        scaler.scale(loss).backward()
        if step == 1:
            net[0].bias.grad[0] = float("inf")  # the step is left out
        scaler.unscale_(optimizer)
        if step != 1:
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
        scales.append(scaler.get_scale())
    with torch.no_grad(), torch.autocast("cpu"):
        half = net(x)
        with torch.autocast("cpu", enabled=False):
            full = net(x)
    return {
        "losses": losses, "dtypes": dtypes, "scales": scales, "half": half.float(), "full": full,
        "state": scaler.state_dict()["_growth_tracker"], "grad": str(net[0].weight.grad.dtype).partition(".")[2],
        "on": [torch.is_autocast_enabled("cpu"), torch.is_autocast_cpu_enabled()],
    }  # fmt: skip


@programs.add()
def autograd_functions_under_autocast(torch: Any) -> dict[str, Any]:
    """custom_fwd and custom_bwd: inputs in float32 inside, and autocast as forward had it in backward."""
    amp = torch.amp

    class Square(torch.autograd.Function):
        @staticmethod
        @amp.custom_fwd(device_type="cpu", cast_inputs=torch.float32)
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x @ x

        @staticmethod
        @amp.custom_bwd(device_type="cpu")
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return grad @ x.t() + x.t() @ grad

    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    with torch.autocast("cpu"):
        y = Square.apply(x)
    y.sum().backward()
    return {"y": y.detach(), "dtype": str(y.dtype).partition(".")[2], "grad": x.grad}


@programs.add()
def names_of_programs_for_one_process(torch: Any) -> dict[str, Any]:
    """What training scripts ask before they choose a device, a group or a compiler."""
    import importlib

    for name in ("jit", "hub", "multiprocessing", "distributed", "nn.parallel", "accelerator", "cuda.amp", "compiler"):
        importlib.import_module(f"{torch.__name__}.{name}")
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(2, 2)
            self.fc.weight.data = torch.eye(2)
            self.fc.bias.data = torch.zeros(2)

        @torch.jit.ignore
        def helper(self, x):
            return x * 2

        @torch.jit.unused
        def other(self, x):
            return x

        def forward(self, x):
            if torch.jit.is_scripting() or torch.jit.is_tracing() or torch._C._get_tracing_state():
                return x
            return self.helper(self.fc(x))

    @torch.compiler.disable
    def plain(x):
        return x + 1

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if torch.cuda.device_count() > 1:
        raise AssertionError("there is more than one device")
    model = nn.DataParallel(Net()).to(device)
    found = {
        "out": plain(model(torch.ones(1, 2))).detach(), "keys": list(model.state_dict()),
        "group": torch.distributed.is_initialized(), "compiling": torch.compiler.is_compiling(),
        "xpu": torch.xpu.is_available(), "mps": torch.backends.mps.is_available(),
        "states": torch.cuda.get_rng_state_all(),
        "list": torch.jit.annotate(list, [1]), "memory": torch.cuda.memory_allocated(),
        "start": sorted(set(torch.multiprocessing.get_all_start_methods()) & {"spawn", "fork"}),
    }  # fmt: skip
    try:
        torch.distributed.get_rank()
    except ValueError as error:
        found["error"] = "has not been initialized" in str(error)
    try:
        nn.parallel.DistributedDataParallel(Net())
    except (ValueError, RuntimeError) as error:
        found["parallel"] = "has not been initialized" in str(error)
    return found


test_runs, test_agrees_with_torch = programs.tests()
