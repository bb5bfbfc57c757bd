"""The statements that are timed. Each is the same text for every framework; only the module differs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.timing import Case

LARGE = 1 << 24
SIDE = 4096


def is_numpy(fw: Any) -> bool:
    return fw.__name__ == "numpy"


def randn(fw: Any, *shape: int) -> Any:
    if is_numpy(fw):
        return fw.random.default_rng(0).standard_normal(shape, dtype=fw.float32)
    fw.manual_seed(0)
    return fw.randn(*shape)


def pair(*shape: int) -> Callable[[Any], dict[str, Any]]:
    """Two tensors a and b of this shape."""

    def setup(fw: Any) -> dict[str, Any]:
        return {"fw": fw, "a": randn(fw, *shape), "b": randn(fw, *shape)}

    return setup


def with_gradient(fw: Any) -> dict[str, Any] | None:
    if is_numpy(fw):
        return None
    return {name: fw.tensor([1.0, 2.0, 3.0], requires_grad=True) for name in "ab"}


def with_output(fw: Any) -> dict[str, Any]:
    names = pair(LARGE)(fw)
    names["c"] = fw.empty_like(names["a"])
    return names


def transposed(fw: Any) -> dict[str, Any]:
    names = pair(SIDE, SIDE)(fw)
    names["b"] = names["b"].T
    return names


def functional(*shape: int) -> Callable[[Any], dict[str, Any] | None]:
    """A tensor x, with weight and bias for its last dimension, and nn.functional as F."""

    def setup(fw: Any) -> dict[str, Any] | None:
        if is_numpy(fw):
            return None
        length = shape[-1]
        return {
            "F": fw.nn.functional, "x": randn(fw, *shape), "n": (length,),
            "w": fw.ones(length), "b": fw.zeros(length),
        }  # fmt: skip

    return setup


def functional_gradient(fw: Any) -> dict[str, Any] | None:
    names = functional(2048, 1024)(fw)
    if names is not None:
        names["x"].requires_grad_(True)
        names["t"] = fw.randint(0, 1024, (2048,))
        names["g"] = randn(fw, 2048, 1024)
    return names


def housing_step(batch: int) -> Callable[[Any], dict[str, Any] | None]:
    """One training step of the 87-64-32-1 network."""

    def setup(fw: Any) -> dict[str, Any] | None:
        if is_numpy(fw):
            return None
        nn = fw.nn
        fw.manual_seed(0)
        model = nn.Sequential(
            nn.Linear(87, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1)
        )  # fmt: skip
        x, y = fw.randn(batch, 87), fw.randn(batch, 1)
        loss_function = nn.MSELoss()
        optimizer = fw.optim.Adam(model.parameters(), lr=0.01)

        def step() -> None:
            optimizer.zero_grad()
            loss = loss_function(model(x), y)
            loss.backward()
            optimizer.step()

        return {"step": step}

    return setup


def double(fw: Any) -> dict[str, Any]:
    names = pair(1024, 1024)(fw)
    for name in "ab":
        names[name] = names[name].astype("float64") if is_numpy(fw) else names[name].double()
    return names


def batches(fw: Any) -> dict[str, Any] | None:
    if is_numpy(fw):
        return None
    from importlib import import_module

    data = import_module(f"{fw.__name__}.utils.data")
    table = data.TensorDataset(fw.randn(8192, 87), fw.randn(8192, 1))
    loader = data.DataLoader(table, batch_size=64, shuffle=True)

    def epoch() -> int:
        return sum(len(x) for x, _ in loader)

    return {"epoch": epoch}


def rows(fw: Any) -> dict[str, Any]:
    names = pair(50_000, 64)(fw)
    if is_numpy(fw):
        names["i"] = fw.random.default_rng(0).integers(0, 50_000, 65_536)
    else:
        names["i"] = fw.randint(0, 50_000, (65_536,))
    return names


BACKWARD = "F.cross_entropy(x, t).backward(); x.grad = None"

CASES = [
    Case("add_small", "a + b, 3 floats", "a + b", pair(3), 150e-9, 5),
    Case("add_small_gradient", "a + b, 3 floats that require grad", "a + b", with_gradient, 260e-9),
    Case("backward_small", "(a * b).sum().backward(), 3 floats", "(a * b).sum().backward()", with_gradient, 2.5e-6),
    Case("add_large", "a + b, 16M float32", "a + b", pair(LARGE), None, 2.5),
    Case("exp_large", "exp(a), 16M float32", "fw.exp(a)", pair(LARGE), None, 2.5),
    Case("gelu", "gelu, 4096 x 4096", "F.gelu(x)", functional(SIDE, SIDE), None, 2),
    Case("softmax", "softmax of rows, 4096 x 4096", "F.softmax(x, -1)", functional(SIDE, SIDE), None, 2),
    Case("layer_norm", "layer_norm, 4096 x 4096", "F.layer_norm(x, n, w, b)", functional(SIDE, SIDE), None, 2),
    Case("step_32", "training step 87-64-32-1, Adam, batch 32", "step()", housing_step(32), 75e-6, 5),
    Case("step_4096", "the same, batch 4096", "step()", housing_step(4096), None, 1.3),
    Case("matmul", "a @ b, 1024 x 1024 float32", "a @ b", pair(1024, 1024), None, 0.9),
    Case("more_add_out", "add(a, b, out=c), 16M float32", "fw.add(a, b, out=c)", with_output, extra=True),
    Case("more_add_transposed", "a + b.T, 4096 x 4096", "a + b", transposed, extra=True),
    Case("more_sum", "a.sum(), 16M float32", "a.sum()", pair(LARGE), extra=True),
    Case("more_sum_rows", "a.sum(1), 4096 x 4096", "a.sum(1)", pair(SIDE, SIDE), extra=True),
    Case("more_sum_columns", "a.sum(0), 4096 x 4096", "a.sum(0)", pair(SIDE, SIDE), extra=True),
    Case("more_argmax", "a.argmax(1), 4096 x 4096", "a.argmax(1)", pair(SIDE, SIDE), extra=True),
    Case("more_cross_entropy", "cross_entropy and its gradient, 2048 x 1024", BACKWARD, functional_gradient,
         extra=True),
    Case("more_layer_norm", "layer_norm and its gradient, 2048 x 1024",
         "F.layer_norm(x, n, w, b).backward(g); x.grad = None", functional_gradient, extra=True),
    Case("more_matmul_small", "a @ b, 32 x 32 float32", "a @ b", pair(32, 32), extra=True),
    Case("more_matmul_double", "a @ b, 1024 x 1024 float64", "a @ b", double, extra=True),
    Case("more_matmul_batch", "a @ b, 64 of 128 x 128", "a @ b", pair(64, 128, 128), extra=True),
    Case("more_rows", "a[i], 65,536 of 50,000 rows of 64", "a[i]", rows, extra=True),
    Case("more_compare", "a[a > 0], 16M float32", "a[a > 0]", pair(LARGE), extra=True),
    Case("more_slice", "a[1:3], 8 x 8", "a[1:3]", pair(8, 8), extra=True),
    Case("more_transpose", "contiguous copy of a.T, 4096 x 4096",
         "a.T.copy() if hasattr(a, 'copy') else a.T.contiguous()", pair(SIDE, SIDE), extra=True),
    Case("more_cumsum", "cumsum(a, 0), 1M float32", "fw.cumsum(a, 0)", pair(1 << 20), extra=True),
    Case("more_sort", "sort(a), 1M float32 (NumPy: values alone)", "fw.sort(a)", pair(1 << 20), extra=True),
    Case("more_randn", "randn, 16M float32", "fw.randn(n)",
         lambda fw: None if is_numpy(fw) else {"fw": fw, "n": LARGE}, extra=True),
    Case("more_epoch", "DataLoader, 8192 rows in shuffled batches of 64", "epoch()", batches, extra=True),
]  # fmt: skip
