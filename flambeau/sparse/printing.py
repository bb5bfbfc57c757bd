"""The text of a sparse tensor, as PyTorch writes it: its indices and values, then what else is worth saying."""

from __future__ import annotations

from typing import Any

from flambeau import dtypes, printing

__all__ = ["sparse_text"]


def _part(name: str, tensor: Any) -> str:
    tensor = tensor.detach()
    if tensor.numel() == 0:
        return f"{name}=tensor([], size={_sizes(tensor.shape)})"
    indent = len("tensor(") + len(name) + len("=tensor(")
    text = printing._text(tensor, " " * (indent - 1), dtypes)
    return f"{name}=tensor({text[indent : text.rindex(']') + 1]})"  # the dtype is told once, at the end


def _sizes(sizes: Any) -> str:
    return str(tuple(sizes))


def sparse_text(tensor: Any) -> str:
    """What `repr` of a sparse tensor gives."""
    by_place = tensor.layout == "sparse_coo"
    if by_place:
        parts = [_part("indices", tensor._index)]
    else:
        parts = [_part("crow_indices", tensor._index[0]), _part("col_indices", tensor._index[1])]
    text = "tensor(" + ",\n       ".join([*parts, _part("values", tensor._value)])
    ends = [f"size={_sizes(tensor.shape)}", f"nnz={tensor._nnz()}"]
    default = dtypes.get_default_dtype().name
    if tensor.dtype.name not in (default, "complex128" if default == "float64" else "complex64", "int64", "bool"):
        ends.append(f"dtype={tensor.dtype}")
    ends.append(f"layout={tensor.layout!r}")
    if tensor.grad_fn is not None:
        ends.append(f"grad_fn=<{tensor.grad_fn.name()}>")
    elif tensor.requires_grad:
        ends.append("requires_grad=True")
    return printing._with_suffixes(text, ends, len("tensor("), new_line=by_place)
