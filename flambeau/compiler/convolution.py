"""The inner kernels of convolution that matrix products do not have: gathering lines, and sums over shifted lines.

The core (`core/convolve.cpp`) stages, packs and threads, and multiplies with the tiles of `contraction.py`. A module
has one entry, `kernel(table)`, which writes the addresses of its functions in the order of `ConvolveKernels` in
`core/convolve.h`. All strides and offsets are in bytes.
"""

from __future__ import annotations

from flambeau.compiler.contraction import shape
from flambeau.compiler.instructions import item_bytes
from flambeau.compiler.loops import Loops, copy, module_text
from flambeau.compiler.program import DTYPES
from flambeau.compiler.target import Target, host

#: Vectors of a line that one step of `taps` sums: the core rounds lines up to this many.
TAP_VECTORS = 4


def _gather(target: Target, dtype: str, lanes: int, vectors: int) -> tuple[Loops, str]:
    """to[r, :n] = (source + offsets[r])[:n] for r < rows, n <= vectors * lanes."""
    code = Loops(target, dtype, lanes)
    size = code.size
    masks = []
    if target.masked:
        masks = [code.mask(code.integer("sub", "%n", v * lanes), lanes) for v in range(vectors)]

    def row(r: str, _: list[str]) -> list[str]:
        place = code.at("%offsets", code.integer("mul", r, 8))
        source = code.at("%source", code.new(f"load i64, ptr {place}, align 8"))
        to = code.at("%to", code.integer("mul", r, "%to_row"))
        for v, mask in enumerate(masks):
            offset = v * lanes * size
            code.store(code.at(to, offset), code.load(code.at(source, offset), dtype, lanes, mask), dtype, lanes, mask)
        if not masks:
            copy(code, source, to, "%n")
        return []

    code.loop("0", "%rows", 1, [], row)
    return code, code.text("gather", "i64 %rows, ptr %source, ptr %offsets, ptr %to, i64 %to_row, i64 %n")


def _taps(target: Target, dtype: str, lanes: int, vectors: int) -> tuple[Loops, str]:
    """c[i] = init + sum over t < k of weights[t] * (source + offsets[t])[i] for i < n, n a multiple of the step."""
    code = Loops(target, dtype, lanes)
    full, size = code.full, code.size
    start = code.splat(code.new(f"load {code.type}, ptr %init, align {size}"), code.type, lanes)

    def piece(index: str, _: list[str]) -> list[str]:
        source = code.at("%source", code.integer("mul", index, size))

        def tap(t: str, sums: list[str]) -> list[str]:
            offset = code.new(f"load i64, ptr {code.at('%offsets', code.integer('mul', t, 8))}, align 8")
            place = code.at("%weights", code.integer("mul", t, size))
            weight = code.splat(code.new(f"load {code.type}, ptr {place}, align {size}"), code.type, lanes)
            line = code.at(source, offset)
            values = [code.load(code.at(line, v * lanes * size), dtype, lanes) for v in range(vectors)]
            return [code.multiply_add(weight, value, total, lanes) for value, total in zip(values, sums, strict=True)]

        sums = code.loop("0", "%k", 1, [(full, start)] * vectors, tap)[1]
        c = code.at("%c", code.integer("mul", index, size))
        for v in range(vectors):
            code.store(code.at(c, v * lanes * size), sums[v], dtype, lanes)
        return []

    code.loop("0", "%n", lanes * vectors, [], piece)
    return code, code.text("taps", "i64 %n, i64 %k, ptr %weights, ptr %offsets, ptr %source, ptr %init, ptr %c")


def module(dtype: str, target: Target | None = None) -> str:
    """The kernels of a dtype that convolutions are computed in; the table is the core's `ConvolveKernels`."""
    target = target or host()
    lanes, _, vectors = shape(dtype, target)
    functions = [_gather(target, dtype, lanes, vectors), _taps(target, dtype, lanes, TAP_VECTORS)]
    return module_text(target, functions, ["@gather", "@taps", str(lanes * TAP_VECTORS), str(item_bytes(dtype))])


_entries: dict[str, int] = {}


def kernels(code: int) -> int:
    """The entry of the module of the dtype with this code, compiled or from the cache."""
    from flambeau.compiler import cache, jit, service

    dtype = DTYPES[code]
    with service._lock:
        if dtype in _entries:
            return _entries[dtype]
        text = module(dtype)
        version = cache.compiler_version()
        key = cache.digest(version, b"convolution", text) if version else ""
        found = service.disk().get(key) if key else None
        if found is None:
            image = jit.compile_ir(text)
            found = cache.Entry(image.code, image.entry, 0)
            if key:
                service.disk().put(key, found)
        _entries[dtype] = jit.load(found.code, found.entry)
        return _entries[dtype]
