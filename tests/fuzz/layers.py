"""Calls of products, layers, factories and linear algebra."""

from __future__ import annotations

from typing import Any

import numpy as np

from .maker import Call, Data, Maker


def product(m: Maker) -> Call:
    """Products of matrices and vectors."""
    n, k, p = (m.r.choice((0, 1, 2, 3, 5, 8, 17)) for _ in range(3))
    dtype = m.dtype("float32", "float64", "float32", "int64", "float16", "bool")
    wrong = m.odds(0.05)
    if m.kind == "extreme" and dtype == "float16":  # a product that overflows before it is added to
        dtype = "float32"

    def matrix(rows: int, columns: int, *batch: int) -> Data:
        if m.odds(0.3):
            return (
                m.tensor([*batch, columns, rows] if not batch else [columns, *batch, rows], dtype, view="transposed")
                if not batch
                else m.tensor([*batch, rows, columns], dtype, view="same")
            )
        return m.tensor([*batch, rows, columns], dtype, view="same")

    name = m.r.choice(
        (
            "matmul matmul mm bmm addmm baddbmm mv dot outer inner tensordot einsum nn.functional.linear addmv "
            "linalg.vecdot nn.functional.bilinear cdist nn.functional.cosine_similarity"
        ).split()
    )
    a, b = matrix(n, k), matrix(k + wrong, p)
    if name == "matmul":
        shapes = m.r.choice(
            (
                ([k], [k]),
                ([n, k], [k]),
                ([k], [k, p]),
                ([2, n, k], [k, p]),
                ([2, 1, n, k], [3, k, p]),
                ([n, k], [2, k, p]),
                ([2, n, k], [2, k, p]),
                ([], [k]),
            )
        )
        return Call(name, [m.tensor(list(shape), dtype) for shape in shapes], {})
    if name == "mm":
        return Call(name, [a, b], {})
    if name == "bmm":
        return Call(name, [matrix(n, k, 2), matrix(k + wrong, p, 2)], {})
    if name in ("addmm", "baddbmm"):
        batch = () if name == "addmm" else (2,)
        start = m.tensor(m.broadcast([*batch, n, p]), dtype)
        options = {"beta": m.r.choice((0, 1, 2)), "alpha": m.r.choice((1, 2, 0))} if m.odds(0.5) else {}
        if m.kind == "extreme":  # a product that overflows float16 before it is scaled, or is scaled by 0
            options.pop("alpha", None)
        return Call(name, [start, matrix(n, k, *batch), matrix(k + wrong, p, *batch)], options)
    if name == "mv":
        return Call(name, [a, m.tensor([k + wrong], dtype)], {})
    if name == "addmv":
        return Call(name, [m.tensor([n], dtype), a, m.tensor([k + wrong], dtype)], {})
    if name in ("dot", "inner", "linalg.vecdot"):
        return Call(name, [m.tensor([k], dtype), m.tensor([k + wrong], dtype)], {})
    if name == "outer":
        return Call(name, [m.tensor([n], dtype), m.tensor([p], dtype)], {})
    if name == "tensordot":
        return Call(name, [a, b], {"dims": m.r.choice((0, 1, ([1], [0]), 2))})
    if name == "einsum":
        text = m.r.choice(
            ("ij,jk->ik", "ij,jk", "ij,jk->", "ij,jk->ki", "ij,jk->ijk", "ij,jk->j", "ij,kj->ik", "ij->ji,jk")
        )
        return Call(name, [text, a, b], {})
    if name == "nn.functional.linear":
        return Call(
            name, [matrix(n, k), m.tensor([p, k + wrong], dtype), m.tensor([p], dtype) if m.bool() else None], {}
        )
    if name == "nn.functional.bilinear":
        return Call(name, [m.tensor([n, k], dtype), m.tensor([n, p], dtype), m.tensor([3, k, p], dtype)], {})
    if name == "cdist":
        return Call(
            name,
            [
                m.tensor([n, k], m.dtype("float32", "float64"), plain=True),
                m.tensor([p, k], "float64" if m.odds(0.1) else "float32", plain=True),
            ],
            {"p": m.r.choice((2.0, 1.0))},
        )
    # Plain: squares of 1e30 overflow, in PyTorch only where there is more than one of them.
    return Call(name, [m.tensor([n, k], dtype, plain=True) for _ in range(2)], {"dim": m.dim(2)})


def layers(m: Maker) -> Call:
    """What layers compute: convolutions, pools, normalisation, losses."""
    name = m.r.choice(
        (
            "conv1d conv2d conv_transpose1d conv_transpose2d max_pool1d max_pool2d avg_pool1d avg_pool2d "
            "adaptive_avg_pool2d adaptive_max_pool1d layer_norm group_norm batch_norm rms_norm instance_norm "
            "cross_entropy nll_loss kl_div binary_cross_entropy binary_cross_entropy_with_logits interpolate "
            "unfold pixel_shuffle glu prelu softmax cosine_embedding_loss margin_ranking_loss triplet_margin_loss "
            "local_response_norm"
        ).split()
    )
    dtype = m.dtype("float32", "float32", "float64")
    function = "nn.functional." + name
    batch, channels = m.r.choice((0, 1, 2, 3)) if m.odds(0.3) else 2, m.r.choice((1, 2, 4, 6))
    side = [m.r.choice((1, 3, 4, 5, 8, 9)) for _ in range(2)]
    if name.startswith("conv"):
        dims = int(name[-2])
        groups = m.r.choice((1, 1, 2, channels))
        out = m.r.choice((2, 4, 6)) if groups in (1, 2) else channels
        kernel = [m.r.choice((1, 2, 3)) for _ in range(dims)]
        transposed = "transpose" in name
        weight = (
            [channels, out // groups if groups else out, *kernel]
            if transposed
            else [out, max(channels // groups, 1), *kernel]
        )
        x = m.tensor([batch, channels, *side[:dims]], dtype, plain=True)
        bias = m.tensor([out], dtype, view="same", plain=True) if m.bool() else None
        options: dict[str, Any] = {
            "stride": m.r.choice((1, 2, 3)),
            "padding": m.r.choice((0, 1, 2)),
            "dilation": m.r.choice((1, 1, 2)),
            "groups": groups,
        }
        if transposed and m.odds(0.3):
            options["output_padding"] = 1
        return Call(function, [x, m.tensor(weight, dtype, view="same", plain=True), bias], options)
    if "pool" in name:
        dims = int(name[-2])
        x = m.tensor([batch, channels, *side[:dims]] if m.odds(0.8) else [channels, *side[:dims]], dtype)
        if name.startswith("adaptive"):  # plain: sums of 1e30 and -1e30 depend on their order
            return Call(function, [m.tensor(list(x.array.shape), dtype, plain=True), m.r.choice((1, 2, 3, 5))], {})
        options = {"stride": m.r.choice((None, 1, 2)), "padding": m.r.choice((0, 0, 1)), "ceil_mode": m.bool()}
        if name.startswith("avg"):
            options["count_include_pad"] = m.bool()
        return Call(function, [x, m.r.choice((1, 2, 3))], options)
    if name in ("layer_norm", "rms_norm"):
        shape = m.shape(m.r.choice((1, 2, 3)))
        last = shape[m.r.randrange(len(shape)) :]
        return Call(
            function,
            [m.tensor(shape, dtype), tuple(last), m.tensor(last, dtype, view="same") if m.bool() else None],
            {},
        )
    if name == "group_norm":
        return Call(function, [m.tensor([batch, channels, side[0]], dtype), m.r.choice((1, 2, channels, 3))], {})
    if name in ("batch_norm", "instance_norm"):
        x = m.tensor([batch, channels, side[0]], dtype)
        if name == "instance_norm":
            return Call(function, [x], {})
        stats = [
            m.tensor([channels], dtype, low=0.5, high=2, view="same", plain=True)._replace(gradient=False)
            for _ in range(2)
        ]
        return Call(function, [x, *stats], {"training": m.bool()})
    if name in ("cross_entropy", "nll_loss"):
        classes = m.r.choice((1, 2, 5, 10))
        rest = [m.r.choice((1, 3))] * m.odds(0.3)
        target = m.index([batch, *rest], classes, negative=False)
        target = target._replace(array=target.array.astype("int64"))
        options = {"reduction": m.r.choice(("mean", "sum", "none", "other" if m.odds(0.1) else "mean"))}
        if m.odds(0.3):
            options["ignore_index"] = m.r.choice((0, 1, -100))
        if name == "cross_entropy" and m.odds(0.3):
            options["label_smoothing"] = 0.1
        return Call(function, [m.tensor([batch, classes, *rest], dtype), target], options)
    if name in ("kl_div", "binary_cross_entropy", "binary_cross_entropy_with_logits"):
        shape = m.shape()
        x, y = (m.tensor(shape, dtype, low=0.01, high=0.99, plain=True) for _ in range(2))
        return Call(function, [x, y], {"reduction": m.r.choice(("mean", "sum", "none"))})
    if name == "interpolate":
        mode = m.r.choice(("nearest", "bilinear", "bicubic", "nearest-exact", "linear", "area"))
        return Call(
            function,
            [m.tensor([batch, channels, *side], dtype, plain=True)],
            {"size": tuple(m.r.choice((1, 2, 5, 7)) for _ in range(2)), "mode": mode},
        )
    if name == "unfold":
        return Call(
            function,
            [m.tensor([batch, channels, *side], dtype), m.r.choice((1, 2, 3))],
            {"padding": m.r.choice((0, 1)), "stride": m.r.choice((1, 2))},
        )
    if name == "pixel_shuffle":
        return Call(function, [m.tensor([batch, m.r.choice((4, 8, 3)), *side], dtype), 2], {})
    if name == "glu":
        return Call(function, [m.tensor(dtype=dtype)], {"dim": -1})
    if name == "prelu":
        return Call(
            function,
            [m.tensor([batch, channels, side[0]], dtype), m.tensor([m.r.choice((1, channels))], dtype, view="same")],
            {},
        )
    if name == "softmax":
        x = m.tensor(dtype=dtype)
        return Call(function, [x], {"dim": m.dim(x.array.ndim)})
    if name == "local_response_norm":
        return Call(function, [m.tensor([batch, channels, *side], dtype, plain=True), m.r.choice((1, 2, 3))], {})
    rows = [m.tensor([batch, 5], dtype, plain=True) for _ in range(3)]
    if name == "triplet_margin_loss":
        return Call(function, rows, {})
    sign = m.tensor([batch], dtype, view="same")._replace(gradient=False)
    sign = sign._replace(array=np.where(sign.array > 0, 1, -1).astype(dtype))
    if name == "margin_ranking_loss":
        return Call(
            function,
            [
                m.tensor([batch], dtype, view="same", plain=True),
                m.tensor([batch], dtype, view="same", plain=True),
                sign,
            ],
            {},
        )
    return Call(function, [*rows[:2], sign], {})


def creating(m: Maker) -> Call:
    """Tensors from numbers."""
    name = m.r.choice(
        (
            "arange arange linspace logspace full eye zeros ones tril_indices triu_indices hann_window vander "
            "tensor full_like"
        ).split()
    )
    number = lambda: m.r.choice((0, 1, 5, -3, 2.5, -0.5, 7, 1e3))  # noqa: E731
    options: dict[str, Any] = {"dtype": ("dtype", m.dtype())} if m.odds(0.4) else {}
    if name == "arange":
        return Call(name, [number(), number(), m.r.choice((1, 2, -1, 0.5, 0, -2.5))][: m.r.randint(1, 3)], options)
    if name in ("linspace", "logspace"):
        return Call(
            name,
            [m.r.choice((0, -2, 1.5)), m.r.choice((3, 2.5, -1)), m.r.choice((0, 1, 2, 5, 50, -1))],
            options if options.get("dtype", ("", "float32"))[1] in ("float32", "float64") else {},
        )
    if name in ("zeros", "ones"):
        return Call(name, [tuple(m.shape()) if m.odds(0.95) else (2, -1)], options)
    if name == "full":
        return Call(name, [tuple(m.shape()), m.number()], options)
    if name == "full_like":
        return Call(name, [m.tensor(), m.number()], options)
    if name in ("eye", "tril_indices", "triu_indices"):
        sizes = [m.r.randint(0, 5), m.r.randint(0, 5)]
        return Call(
            name, sizes if m.odds(0.95) else [-1, 2], options if name == "eye" else {"offset": m.r.randint(-3, 3)}
        )
    if name == "hann_window":
        return Call(name, [m.r.randint(0, 9)], {"periodic": m.bool()})
    if name == "vander":
        return Call(
            name, [m.tensor([m.r.randint(0, 4)], view="same")], {"N": m.r.randint(0, 4), "increasing": m.bool()}
        )

    def nested(depth: int) -> Any:
        if depth == 0:
            return m.number()
        width = m.r.randint(0, 3)
        return [nested(depth - 1 if m.odds(0.97) else 0) for _ in range(width)]

    return Call(name, [nested(m.r.randint(0, 3))], options)


def linear_algebra(m: Maker) -> Call:
    """Factors and solutions of well-conditioned matrices."""
    name = m.r.choice(
        (
            "det inv slogdet cholesky solve pinv matrix_rank matrix_power svdvals eigvalsh matrix_norm "
            "vector_norm matrix_exp lu_factor"
        ).split()
    )
    n = m.r.choice((0, 1, 2, 3, 5))
    batch = m.r.choice(([], [2], [0], [2, 1]))
    a = m.numbers.standard_normal([*batch, n, n])
    a = a @ np.swapaxes(a, -1, -2) + 3 * np.eye(n)
    dtype = m.dtype("float32", "float64")
    x = Data(a.astype(dtype), "same", m.gradients)
    if m.odds(0.05):
        x = m.tensor()
    if name == "solve":
        return Call("linalg.solve", [x, m.tensor([*batch, n, 2], dtype, view="same", plain=True)], {})
    if name == "matrix_power":
        return Call("linalg.matrix_power", [x, m.r.randint(-2, 3)], {})
    if name == "matrix_norm":
        return Call("linalg.matrix_norm", [x, m.r.choice(("fro", "nuc", 1, -1, float("inf"), 2))], {})
    if name == "vector_norm":
        return Call("linalg.vector_norm", [x, m.r.choice((2, 1, 0, 3.5, float("inf")))], {"dim": m.dims(x.array.ndim)})
    return Call("linalg." + name, [x], {})
