"""Convolutions and pools in plain NumPy, written for being read."""

import itertools

import numpy as np


def convolution(x, w, b, stride, padding, dilation, groups):
    """The definition: one window after the other."""
    dims = w.ndim - 2
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)])
    kernel = w.shape[2:]
    out = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)]
    y = np.zeros((x.shape[0], w.shape[0], *out), x.dtype)
    c, o = w.shape[1], w.shape[0] // groups
    for place in itertools.product(*map(range, out)):
        window = tuple(
            slice(i * s, i * s + d * (k - 1) + 1, d) for i, s, d, k in zip(place, stride, dilation, kernel, strict=True)
        )
        for g in range(groups):
            seen = x[(slice(None), slice(g * c, (g + 1) * c), *window)]
            axes = tuple(range(1, dims + 2))
            y[(slice(None), slice(g * o, (g + 1) * o), *place)] = np.tensordot(
                seen, w[g * o : (g + 1) * o], (axes, axes)
            )
    return y if b is None else y + b.reshape(-1, *(1,) * dims)


def input_gradient(g, w, shape, stride, padding, dilation, groups):
    """Every value of the gradient spread over its window."""
    dims = w.ndim - 2
    padded = np.zeros((*shape[:2], *(n + 2 * p for n, p in zip(shape[2:], padding, strict=True))), g.dtype)
    c, o = w.shape[1], w.shape[0] // groups
    for place in itertools.product(*map(range, g.shape[2:])):
        window = tuple(
            slice(i * s, i * s + d * (k - 1) + 1, d)
            for i, s, d, k in zip(place, stride, dilation, w.shape[2:], strict=True)
        )
        for group in range(groups):
            values = g[(slice(None), slice(group * o, (group + 1) * o), *place)]
            padded[(slice(None), slice(group * c, (group + 1) * c), *window)] += np.tensordot(
                values, w[group * o : (group + 1) * o], 1
            )
    inside = tuple(slice(p, p + n) for p, n in zip(padding, shape[2:], strict=True))
    return padded[(slice(None), slice(None), *inside[:dims])]


def pool(x, kernel, stride, padding, dilation, reduce, fill):
    """`reduce` over the windows of the last two dimensions of a padded input."""
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in padding)], constant_values=fill)
    sizes = zip(x.shape[2:], kernel, stride, dilation, strict=True)
    out = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in sizes]
    y = np.zeros((*x.shape[:2], *out), x.dtype)
    for i, j in itertools.product(*map(range, out)):
        rows = slice(i * stride[0], i * stride[0] + dilation[0] * (kernel[0] - 1) + 1, dilation[0])
        columns = slice(j * stride[1], j * stride[1] + dilation[1] * (kernel[1] - 1) + 1, dilation[1])
        y[:, :, i, j] = reduce(x[:, :, rows, columns], axis=(2, 3))
    return y
