"""PyTorch's operator database run against another implementation of its API.

For every entry (`OpInfo`) whose function exists: the sample inputs of the database, in float32, int64 and bool, must
give PyTorch's values, shapes and dtypes within the entry's tolerance; and in float64 the gradients under a random
cotangent must be PyTorch's. With `--complex` the same in complex64, complex128 and complex128. Samples that PyTorch
answers with other values for another seed are compared by shape and dtype only.

    python -m tests.conformance [--only NAME] [--samples N] [--complex] [--self] [--missing] [--table]

`--self` checks the harness by taking PyTorch itself for the implementation: everything must pass. `--table` takes every
sample of every counted entry and writes `docs/conformance.md`.
"""

from __future__ import annotations

import builtins
import math
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

VALUE_DTYPES = ("float32", "int64", "bool")
COMPLEX_DTYPES = ("complex64", "complex128")
#: Samples of one entry and dtype that are run; the database has up to some hundreds. 0 means all of them.
SAMPLES = 16
#: Samples with more elements than this are left out, unless all samples are wanted.
LARGEST = 20_000

#: Entries that may draw random numbers: a sample's values count where they are the same for every seed.
RANDOM = (
    "bernoulli", "multinomial", "normal", "rand", "randint", "randn", "rand_like", "randint_like", "randn_like",
    "randperm", "uniform", "exponential", "cauchy", "geometric", "log_normal", "poisson", "nn.functional.dropout",
    "nn.functional.dropout2d", "nn.functional.dropout3d", "nn.functional.alpha_dropout",
    "nn.functional.feature_alpha_dropout", "nn.functional.rrelu", "nn.functional.fractional_max_pool2d",
    "nn.functional.fractional_max_pool3d", "nn.functional.multi_head_attention_forward",
    "nn.functional.scaled_dot_product_attention", "svd_lowrank", "pca_lowrank", "nn.functional.gumbel_softmax",
)  # fmt: skip
#: Seeds that must agree before a random entry's values are compared.
SEEDS = 24
#: Entries whose values are what the memory held.
UNINITIALISED = ("empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided")
#: Entries of a dtype or device that the implementation leaves out as a whole, so that they are not counted as missing.
OUT_OF_SCOPE = ("sparse.", "jiterator", "_native", "torch.ops", "chalf", "_scaled_mm")
#: How the names begin that the share of conformance does not count: PyTorch's own parts, or names beside its API.
UNCOUNTED = ("_", "ops.", "jiterator", "torch.", "masked.", "sparse", "signal.")


#: Outputs that are determined only up to a sign or a basis: compared through what they make.
FREE_BASIS = ("svd", "linalg.svd", "linalg.eigh", "linalg.eig", "qr", "linalg.qr", "svd_lowrank", "pca_lowrank")


#: Entries whose indices are free where elements are equal, as among integers: the values alone are compared.
TIES = ("sort", "argsort", "topk", "kthvalue", "median", "nanmedian", "mode", "msort")


#: Tolerances relative to the largest element, of entries that sum many rounded steps in PyTorch's float32.
LOOSE = {"matrix_exp": 1e-4, "linalg.matrix_exp": 1e-4, "polygamma": 1e-4, "special.polygamma": 1e-4}


class Outcome(NamedTuple):
    """What one entry gave: status is "pass", "fail", "missing", "skip"; detail says why."""

    name: str
    status: str
    detail: str
    samples: int
    different: int = 0


class MissingFunctionError(Exception):
    """The implementation has no such function."""


def database() -> list[Any]:
    """The entries of PyTorch's operator database."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch.testing._internal.common_methods_invocations as invocations

    return list(invocations.op_db)


def full_name(entry: Any) -> str:
    """`div.floor_rounding`: the name and the variant of an entry."""
    return f"{entry.name}.{entry.variant_test_name}" if entry.variant_test_name else entry.name


def in_scope(entry: Any) -> bool:
    """Whether the entry concerns dense tensors."""
    return not any(entry.name.startswith(prefix) or prefix in full_name(entry) for prefix in OUT_OF_SCOPE)


def counted(entry: Any) -> bool:
    """Whether the entry is one of those that the share of conformance is a share of."""
    return not full_name(entry).startswith(UNCOUNTED)


_OPERATORS = {"__radd__", "__rsub__", "__rmul__", "__rdiv__", "__rmod__", "__rpow__", "__rmatmul__", "__getitem__",
              "__rand__", "__ror__", "__rxor__"}  # fmt: skip


def find(api: Any, entry: Any) -> Any:
    """The implementation's function for an entry; MissingFunctionError without one."""
    name = entry.name
    code = getattr(entry.op, "__code__", None)
    if code is not None and entry.op.__name__ == "<lambda>" and not entry.op.__closure__:
        return _rebound(api, entry)
    if name == "max_pool2d_with_indices_backward" and api.__name__ == "flambeau":
        return lambda *args, **kwargs: _max_pool2d_backward(api, *args, **kwargs)
    if name in _OPERATORS:
        method = "__rtruediv__" if name == "__rdiv__" else name
        return lambda input, *args, **kwargs: getattr(input, method)(*args, **kwargs)
    function: Any = api
    for part in name.split("."):
        function = getattr(function, part, None)
        if function is None:
            break
    if callable(function):
        return function
    if "." not in name:
        method = getattr(api.Tensor, name, None)
        if method is not None:
            if callable(method):
                return lambda input, *args, **kwargs: getattr(input, name)(*args, **kwargs)
            return lambda input: getattr(input, name)
    raise MissingFunctionError(entry.name)


def _max_pool2d_backward(api: Any, input: Any, return_indices: Any = None, **kwargs: Any) -> Any:
    """The database's own function of this entry: a forward pass, then the backward pass that is tested."""
    output, indices = api.nn.functional.max_pool2d(input, return_indices=True, **kwargs)
    options = [kwargs.get("kernel_size"), kwargs.get("stride"), kwargs.get("padding", 0), kwargs.get("dilation", 1)]
    ceil_mode = kwargs.get("ceil_mode", False)
    return api.max_pool2d_with_indices_backward(api.ones_like(output), input, *options, ceil_mode, indices)


def _rebound(api: Any, entry: Any) -> Any:
    """The database's own lambda with `torch` meaning the implementation."""
    import types

    lambda_ = entry.op
    names = {"torch": api, "F": getattr(getattr(api, "nn", None), "functional", None)}
    names["wrapper_set_seed"] = lambda function, *args, **kwargs: function(*args, **kwargs)  # the caller sets the seed
    scope = {**lambda_.__globals__, **names}
    made = types.FunctionType(lambda_.__code__, scope, lambda_.__name__, lambda_.__defaults__)
    made.__kwdefaults__ = lambda_.__kwdefaults__

    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return made(*args, **kwargs)
        except AttributeError as error:
            if "has no attribute" in str(error):
                raise MissingFunctionError(entry.name) from error
            raise

    return call


# ------------------------------------------------------------------------------------------------------- conversion


class UnsupportedSampleError(Exception):
    """A sample that uses something the implementation leaves out, such as complex numbers."""


def convert(value: Any, api: Any, requires_grad: bool = False, leaves: list[Any] | None = None) -> Any:
    """A sample's argument with PyTorch's objects replaced by the implementation's."""
    import torch

    if isinstance(value, torch.nn.PairwiseDistance):
        return api.nn.PairwiseDistance(value.norm, value.eps, value.keepdim)
    if isinstance(value, torch.nn.Module) or value is torch.nn.functional.pairwise_distance:
        raise UnsupportedSampleError(type(value).__name__)
    if isinstance(value, torch.Tensor):
        if value.dtype in (torch.bfloat16, torch.complex32) or value.layout is not torch.strided:
            raise UnsupportedSampleError(str(value.dtype))
        wanted = requires_grad and value.requires_grad
        made = _copied(value.detach().resolve_conj().resolve_neg(), api)
        if wanted:
            made.requires_grad_(True)
            if leaves is not None:
                leaves.append(made)
        return made
    if isinstance(value, torch.dtype):
        if not hasattr(api, str(value).split(".")[1]):
            raise UnsupportedSampleError(str(value))
        return getattr(api, str(value).split(".")[1])
    if isinstance(value, torch.device):
        return "cpu"
    if isinstance(value, (torch.layout, torch.memory_format)):
        if not hasattr(api, str(value).split(".")[1]):
            raise UnsupportedSampleError(str(value))
        return getattr(api, str(value).split(".")[1])
    if isinstance(value, torch.Generator):
        raise UnsupportedSampleError(type(value).__name__)
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, (list, tuple)):
        made = [convert(each, api, requires_grad, leaves) for each in value]
        return type(value)(*made) if hasattr(value, "_fields") else type(value)(made)
    if isinstance(value, dict):
        return {key: convert(each, api, requires_grad, leaves) for key, each in value.items()}
    return value


def _copied(value: Any, api: Any) -> Any:
    """A tensor with the values, the strides and the offset of PyTorch's, over a copy of the whole storage."""
    import torch

    whole = value.untyped_storage().nbytes() == value.numel() * value.element_size()
    if whole and value.is_contiguous():
        return value.clone() if api is torch else api.from_numpy(value.numpy().copy())
    flat = torch.empty(0, dtype=value.dtype).set_(value.untyped_storage())
    flat = flat.clone() if api is torch else api.from_numpy(flat.numpy().copy())
    return flat.as_strided(tuple(value.shape), value.stride(), value.storage_offset())


def flatten(result: Any) -> list[Any]:
    """The tensors and numbers of a result, in order."""
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, (list, tuple)):
        return [each for inner in result for each in flatten(inner)]
    return [result]


def is_tensor(value: Any) -> bool:
    """Whether a value is a tensor of either implementation."""
    return hasattr(value, "dtype") and hasattr(value, "requires_grad")


def as_array(value: Any) -> Any:
    """A tensor's or a number's values as a NumPy array."""
    import numpy

    if not is_tensor(value):
        return numpy.asarray(value)
    value = value.detach()
    if "sparse" in str(value.layout):
        value = value.to_dense()
    return value.resolve_conj().resolve_neg().numpy(force=True)


def tolerance(entry: Any, dtype: Any) -> tuple[float, float]:
    """The largest absolute and relative tolerance that the database states for an entry and dtype."""
    import torch

    standard = {torch.float32: (1e-5, 1.3e-6), torch.float64: (1e-7, 1e-7)}
    atol, rtol = standard.get(dtype.to_real() if dtype.is_complex else dtype, (0.0, 0.0))
    if dtype.is_floating_point or dtype.is_complex:
        for info in (*entry.decorators, *entry.skips) if hasattr(entry, "decorators") else ():
            for each in getattr(info, "decorators", ()):
                for kind, stated in getattr(each, "d", {}).items() if hasattr(each, "d") else ():
                    if kind == dtype:
                        atol = max(atol, getattr(stated, "atol", stated))
                        rtol = max(rtol, getattr(stated, "rtol", 0.0))
    # Two correct float32 results may differ by the rounding of intermediate sums.
    return (atol, rtol * 8) if dtype in (torch.float32, torch.complex64) else (atol, rtol)


# -------------------------------------------------------------------------------------------------------- comparing


def difference(ours: Any, theirs: Any, atol: float, rtol: float, values: bool = True, loose: float = 0.0) -> str | None:
    """What is different between two results, or None."""
    import numpy

    left, right = flatten(ours), flatten(theirs)
    if len(left) != len(right):
        return f"{len(left)} results for {len(right)}"
    for a, b in zip(left, right, strict=True):
        if is_tensor(a) != is_tensor(b):
            return f"{type(a).__name__} for {type(b).__name__}"
        if is_tensor(a):
            names = str(a.dtype).split(".")[-1], str(b.dtype).split(".")[-1]
            if names[0] != names[1]:
                return f"dtype {names[0]} for {names[1]}"
            if str(a.layout).split(".")[-1] != str(b.layout).split(".")[-1]:
                return f"layout {a.layout} for {b.layout}"
            if tuple(a.shape) != tuple(b.shape):
                return f"shape {tuple(a.shape)} for {tuple(b.shape)}"
            if names[0] == "bfloat16":
                continue
        elif not isinstance(b, (int, float, bool, complex)):
            if a != b and not callable(b) and str(a).split(".")[-1] != str(b).split(".")[-1]:
                return f"{a!r} for {b!r}"
            continue
        if not values:
            continue
        x, y = as_array(a), as_array(b)
        if x.size == 0:
            continue
        if y.dtype.kind in "fc":
            atol = max(atol, loose * float(numpy.nanmax(numpy.abs(y))))
            kind = {"complex64": "float32", "complex128": "float64"}.get(y.dtype.name, y.dtype.name)
            least = {"float64": (1e-7, 1e-7), "float32": (1e-5, 1.1e-5), "float16": (1e-3, 1e-3)}[kind]
            near = numpy.isclose(x, y, rtol=max(rtol, least[1]), atol=max(atol, least[0]), equal_nan=True)
        else:
            near = x == y
        if not near.all():
            place = tuple(int(i) for i in numpy.argwhere(~near)[0]) if near.ndim else ()
            return f"value at {place}: {x[place]!r} for {y[place]!r}, {(~near).sum()} of {near.size} differ"
    return None


def _size(value: Any) -> int:
    import torch

    if isinstance(value, torch.Tensor):
        return value.numel()
    if isinstance(value, (list, tuple)):
        return builtins.sum(_size(each) for each in value)
    return 0


def samples(entry: Any, dtype: Any, requires_grad: bool, limit: int) -> Iterator[Any]:
    """Up to `limit` samples, spread evenly over all that the database has and that are not large."""
    import torch

    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = list(entry.sample_inputs("cpu", dtype, requires_grad=requires_grad))
    if limit:
        found = [s for s in found if _size(s.input) + _size(s.args) <= LARGEST]
    if limit and len(found) > limit:
        step = len(found) / limit
        found = [found[math.floor(i * step)] for i in range(limit)]
    return iter(found)


def describe(sample: Any) -> str:
    """One line that says what a sample calls with."""
    import torch

    def text(value: Any) -> str:
        if isinstance(value, torch.Tensor):
            return f"{str(value.dtype).split('.')[1]}{list(value.shape)}"
        if isinstance(value, (list, tuple)):
            return "(" + ", ".join(map(text, value)) + ")"
        return repr(value)

    parts = [text(sample.input), *map(text, sample.args)]
    parts += [f"{key}={text(value)}" for key, value in sample.kwargs.items()]
    return ", ".join(parts)[:160]


def check(entry: Any, api: Any, limit: int = SAMPLES, complex_: bool = False) -> Outcome:
    """Run one entry: values in three dtypes, then gradients in float64; or both in complex dtypes."""
    name = full_name(entry)
    try:
        function = find(api, entry)
    except MissingFunctionError:
        return Outcome(name, "missing", "", 0)
    try:
        return _check(entry, name, function, api, limit, complex_)
    except MissingFunctionError:
        return Outcome(name, "missing", "", 0)


def _check(entry: Any, name: str, function: Any, api: Any, limit: int, complex_: bool) -> Outcome:
    import torch

    count, different, problems = 0, 0, []
    supported = entry.supported_dtypes("cpu")
    seen: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dtype_name in COMPLEX_DTYPES if complex_ else VALUE_DTYPES:
            dtype = getattr(torch, dtype_name)
            if dtype not in supported:
                continue
            for sample in samples(entry, dtype, False, limit):
                problem = _check_value(entry, function, api, sample, dtype)
                if problem == "unsupported":
                    continue
                count += 1
                if problem:
                    different += 1
                    if dtype_name not in seen:
                        problems.append(f"{problem} [{describe(sample)}]")
                        seen.add(dtype_name)
                    if limit:
                        break
        differentiated = torch.complex128 if complex_ else torch.float64
        if entry.supports_autograd and differentiated in supported and entry.name not in UNINITIALISED:
            for sample in samples(entry, differentiated, True, limit):
                problem = _check_gradient(entry, function, api, sample)
                if problem == "unsupported":
                    continue
                count += 1
                if problem:
                    different += 1
                    if "gradient" not in seen:
                        problems.append(f"gradient: {problem} [{describe(sample)}]")
                        seen.add("gradient")
                    if limit:
                        break
    if problems:
        return Outcome(name, "fail", " | ".join(problems), count, different)
    return Outcome(name, "pass" if count else "skip", "" if count else "no sample is dense and of these dtypes", count)


def _reference(entry: Any, sample: Any) -> Any:
    import torch

    copies = convert((sample.input, sample.args, sample.kwargs), torch, True)
    function = find(torch, entry) if entry.name in RANDOM else entry.op
    return function(copies[0], *copies[1], **copies[2])


def _check_value(entry: Any, function: Any, api: Any, sample: Any, dtype: Any) -> str | None:
    import torch

    try:
        given = convert((sample.input, sample.args, sample.kwargs), api)
    except UnsupportedSampleError:
        return "unsupported"
    torch.manual_seed(0)
    theirs = _reference(entry, sample)
    determined = entry.name not in UNINITIALISED and _determined(entry, theirs, lambda: _reference(entry, sample))
    try:
        ours = function(given[0], *given[1], **given[2])
    except MissingFunctionError:
        raise
    except Exception as error:  # every failure is a finding of the table
        return f"{type(error).__name__}: {str(error)[:160]}"
    if entry.name in FREE_BASIS:
        ours, theirs = _basis_free(entry.name, ours, theirs)
    if entry.name in TIES and not (dtype.is_floating_point or dtype.is_complex):
        if entry.name == "argsort":
            dim = sample.kwargs.get("dim", sample.args[0] if sample.args else -1)
            problem = difference(ours, theirs, 0, 0, values=False)
            return problem or difference(given[0].gather(dim, ours), sample.input.gather(dim, theirs), 0, 0)
        ours, theirs = flatten(ours)[:1], flatten(theirs)[:1]
    problem = difference(ours, theirs, *tolerance(entry, dtype), determined, LOOSE.get(entry.name, 0.0))
    return None if problem and determined and _rounding(entry, sample, ours, theirs) else problem


def _determined(entry: Any, first: Any, again: Any) -> bool:
    """Whether PyTorch's result is the same for every seed."""
    import torch

    if entry.name not in RANDOM:
        return True
    for seed in range(1, SEEDS):
        torch.manual_seed(seed)
        if difference(again(), first, 0, 0):
            return False
    return True


#: A result in single precision may be this many times as far from the exact one as PyTorch's is.
WORSE = 4


def _rounding(entry: Any, sample: Any, ours: Any, theirs: Any) -> bool:
    """Whether results in single precision are about as near as PyTorch's to those of PyTorch in double precision."""
    import numpy
    import torch

    def doubled(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.dtype in (torch.float32, torch.complex64):
            return value.to(torch.float64 if value.dtype == torch.float32 else torch.complex128)
        if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
            return type(value)(doubled(each) for each in value)
        return value

    options = {key: doubled(value) for key, value in sample.kwargs.items()}
    try:
        exact = flatten(entry.op(doubled(sample.input), *doubled(sample.args), **options))
    except Exception:
        return False
    left, right = flatten(ours), flatten(theirs)
    if not len(left) == len(right) == len(exact):
        return False
    for a, b, true in zip(left, right, exact, strict=True):
        if not (is_tensor(a) and is_tensor(b) and is_tensor(true)) or tuple(a.shape) != tuple(b.shape):
            return False
        x, y, z = as_array(a), as_array(b), as_array(true)
        if x.dtype != y.dtype or x.shape != z.shape:
            return False
        if x.dtype.name not in ("float32", "complex64"):
            if not numpy.array_equal(x, y, equal_nan=x.dtype.kind in "fc"):
                return False
            continue
        if not (numpy.isfinite(y) & numpy.isfinite(z)).all():
            return False
        if x.size and not numpy.abs(x - z).max() <= WORSE * numpy.abs(y - z).max():
            return False
    return True


def _basis_free(name: str, ours: Any, theirs: Any) -> tuple[Any, Any]:
    """Signs of columns are free: absolute values are compared."""

    def plain(result: Any) -> Any:
        return [each.abs() if is_tensor(each) else each for each in flatten(result)]

    left, right = plain(ours), plain(theirs)
    if name.endswith("svd"):  # the columns beyond the rank may be any basis
        return left[1:2], right[1:2]
    return left, right


def _check_gradient(entry: Any, function: Any, api: Any, sample: Any) -> str | None:
    import torch

    their_leaves: list[Any] = []
    our_leaves: list[Any] = []
    try:
        given = convert((sample.input, sample.args, sample.kwargs), api, True, our_leaves)
        reference = convert((sample.input, sample.args, sample.kwargs), torch, True, their_leaves)
    except UnsupportedSampleError:
        return "unsupported"
    if not our_leaves:
        return "unsupported"
    process = sample.output_process_fn_grad

    def their_result() -> Any:
        function = find(torch, entry) if entry.name in RANDOM else entry.op
        return process(function(reference[0], *reference[1], **reference[2]))

    try:
        theirs = their_result()
    except RuntimeError:  # PyTorch has the values only
        return "unsupported"
    if not _determined(entry, theirs, their_result):
        return "unsupported"
    their_outputs = [t for t in flatten(theirs) if is_tensor(t) and t.requires_grad]
    if not their_outputs or any(t.dtype in (torch.bfloat16, torch.complex32) for t in their_outputs):
        return "unsupported"
    generator = torch.Generator().manual_seed(1)
    cotangents = [torch.randn(t.shape, dtype=t.dtype, generator=generator) for t in their_outputs]
    try:
        expected = torch.autograd.grad(their_outputs, their_leaves, cotangents, allow_unused=True)
    except RuntimeError:
        return "unsupported"
    try:
        ours = function(given[0], *given[1], **given[2])
        ours = process(ours)
        pairs = zip(flatten(ours), flatten(theirs), strict=True)
        outputs = [a for a, b in pairs if is_tensor(b) and b.requires_grad]
        weights = [convert(cotangent, api) for cotangent in cotangents]
        kept = [i for i, t in enumerate(outputs) if t.requires_grad]  # the others count as constants
        outputs, weights = [outputs[i] for i in kept], [weights[i] for i in kept]
        if outputs:
            found = api.autograd.grad(outputs, our_leaves, weights, allow_unused=True)
        else:
            found = [None] * len(our_leaves)
    except MissingFunctionError:
        raise
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:160]}"
    for position, (a, b, leaf) in enumerate(zip(found, expected, their_leaves, strict=True)):
        zero = torch.zeros(leaf.shape, dtype=leaf.dtype)
        b = zero if b is None else b
        a = convert(zero, api) if a is None else a
        problem = difference(a, b, 1e-7, 1e-6)
        if problem:
            return f"of input {position}: {problem}"
    return None
