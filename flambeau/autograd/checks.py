"""gradcheck and gradgradcheck: compare gradients with central differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau import _core
from flambeau.autograd import grad

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]

Tensor = _core.Tensor


class GradcheckError(RuntimeError):
    """A gradient differs from the central difference."""


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _parts(value: Any) -> Any:
    """A complex tensor as the view of its parts; a real one itself."""
    return _core.view_as_real(value) if value.is_complex() else value


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    fast_mode: bool = False,
    check_forward_ad: bool = False,
    check_batched_grad: bool = False,
    **ignored: Any,
) -> bool:
    """Whether the gradients of `func` at `inputs` equal central differences.

    The Jacobian of every floating output with respect to every input that requires grad is compared column by column
    (`fast_mode`: along one random direction only). Inputs should be float64 or complex128; the parts of a complex
    number count as two real ones. `check_forward_ad`: the change along a random direction by `flambeau.func.jvp` is
    compared as well; `check_batched_grad`: the gradients under several cotangents at once by `flambeau.vmap`.
    Raises GradcheckError naming the worst entry (or returns False without `raise_exception`).

    >>> fl.autograd.gradcheck(fl.sin, fl.rand(3, dtype=fl.float64, requires_grad=True))
    True
    """
    from flambeau.layouts import contiguous_format
    from flambeau.ops.create import zeros_like
    from flambeau.ops.random import Generator, rand

    inputs = _tuple(inputs)
    wanted = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
    if not wanted:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, "
            "but none of the them have requires_grad=True."
        )

    def outputs() -> list[Any]:
        return [o for o in _tuple(func(*inputs)) if isinstance(o, Tensor) and o.dtype.category > 1]

    def values() -> list[list[float]]:
        return [_parts(o.detach()).reshape(-1).tolist() for o in outputs()]

    generator = Generator().manual_seed(2)
    try:
        for number, x in enumerate(wanted):
            results = outputs()  # again for each input: the last one's values were moved in place
            analytic = []
            for o in results:
                rows = []
                for k in range(_parts(o).numel()):
                    seed = zeros_like(o, memory_format=contiguous_format).detach()
                    _parts(seed).reshape(-1)[k] = 1.0
                    found = grad(o, x, seed, retain_graph=True, allow_unused=True)[0] if o.requires_grad else None
                    rows.append([0.0] * _parts(x).numel() if found is None else _parts(found).reshape(-1).tolist())
                analytic.append(rows)
            flat = _parts(x.detach())
            directions: Sequence[Any]
            if fast_mode:
                direction = rand(flat.numel(), dtype=flat.dtype, generator=generator)
                directions = [direction.tolist()]
            else:
                directions = [[1.0 if i == j else 0.0 for i in range(flat.numel())] for j in range(flat.numel())]
            original = flat.clone()
            for direction_number, direction in enumerate(directions):
                from flambeau.ops.from_data import tensor

                step = tensor(direction, dtype=flat.dtype).reshape(flat.shape)
                flat.copy_(original + eps * step)
                above = values()
                flat.copy_(original - eps * step)
                below = values()
                flat.copy_(original)
                for o, (high, low) in enumerate(zip(above, below, strict=True)):
                    for k, (a, b) in enumerate(zip(high, low, strict=True)):
                        numeric = (a - b) / (2 * eps)
                        exact = sum(p * q for p, q in zip(analytic[o][k], direction, strict=True))
                        if not abs(numeric - exact) <= atol + rtol * abs(numeric) and numeric != exact:
                            raise GradcheckError(
                                f"gradcheck: Jacobian mismatch for output {o} with respect to input {number}: entry "
                                f"({direction_number}, {k}) is {exact:.6g} by backward and {numeric:.6g} by central "
                                f"difference"
                            )
        if check_forward_ad:
            _check_forward(func, inputs, wanted, eps, atol, rtol, generator)
        if check_batched_grad:
            _check_batched(func, inputs, wanted, atol, rtol, generator)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _with(inputs: tuple[Any, ...], wanted: list[Any], values: Any) -> tuple[Any, ...]:
    replaced = {id(x): value for x, value in zip(wanted, values, strict=True)}
    return tuple(replaced.get(id(x), x) for x in inputs)


def _floating(result: Any) -> tuple[Any, ...]:
    return tuple(o for o in _tuple(result) if isinstance(o, Tensor) and o.dtype.category > 1)


def _check_forward(
    func: Callable[..., Any], inputs: tuple[Any, ...], wanted: list[Any], eps: float, atol: float, rtol: float,
    generator: Any,
) -> None:  # fmt: skip
    from flambeau.func import jvp
    from flambeau.ops.random import rand

    points = tuple(x.detach().clone() for x in wanted)
    directions = tuple(rand(tuple(x.shape), dtype=x.dtype, generator=generator) for x in wanted)

    def moved(step: float) -> tuple[Any, ...]:
        values = [p + step * d for p, d in zip(points, directions, strict=True)]
        return tuple(o.detach() for o in _floating(func(*_with(inputs, wanted, values))))

    found = jvp(lambda *values: _floating(func(*_with(inputs, wanted, values))), points, directions)[1]
    for number, (high, low, exact) in enumerate(zip(moved(eps), moved(-eps), found, strict=True)):
        numeric = (high - low) / (2 * eps)
        if not ((numeric - exact).abs() <= atol + rtol * numeric.abs()).all():
            raise GradcheckError(
                f"gradcheck: the change of output {number} along a random direction differs between jvp and central "
                f"differences, by up to {(numeric - exact).abs().max().item():.3g}"
            )


def _check_batched(
    func: Callable[..., Any], inputs: tuple[Any, ...], wanted: list[Any], atol: float, rtol: float, generator: Any
) -> None:
    from flambeau.func import vjp, vmap
    from flambeau.ops.random import rand

    points = tuple(x.detach().clone() for x in wanted)

    def pulled(*cotangents: Any) -> tuple[Any, ...]:
        pull = vjp(lambda *values: _floating(func(*_with(inputs, wanted, values))), *points)[1]
        return pull(cotangents)

    outputs = _floating(func(*_with(inputs, wanted, points)))
    several = [rand((2, *o.shape), dtype=o.dtype, generator=generator) for o in outputs]
    try:
        found = vmap(pulled, randomness="same")(*several)
    except RuntimeError as error:
        raise GradcheckError(f"gradcheck: the gradient of this function cannot be taken in a batch: {error}") from error
    for i in range(2):
        for number, (batched, single) in enumerate(zip(found, pulled(*(c[i] for c in several)), strict=True)):
            if not ((batched[i] - single).abs() <= atol + rtol * single.abs()).all():
                raise GradcheckError(
                    f"gradcheck: the gradient by input {number} differs between a batch of cotangents and one of them"
                )


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    **ignored: Any,
) -> bool:
    """Whether the gradients of the gradients of `func` equal central differences; arguments as for gradcheck."""
    from flambeau.ops.random import Generator, randn

    inputs = _tuple(inputs)
    generator = Generator().manual_seed(3)
    results = [o for o in _tuple(func(*inputs)) if isinstance(o, Tensor) and o.requires_grad]
    if grad_outputs is None:
        grad_outputs = [randn(tuple(o.shape), dtype=o.dtype, generator=generator).requires_grad_() for o in results]
    grad_outputs = _tuple(grad_outputs)
    count = len(inputs)

    def first(*arguments: Any) -> tuple[Any, ...]:
        given = arguments[:count]
        found = [o for o in _tuple(func(*given)) if isinstance(o, Tensor) and o.requires_grad]
        wanted = [x for x in given if isinstance(x, Tensor) and x.requires_grad]
        gradients = grad(found, wanted, arguments[count:], create_graph=True, allow_unused=True)
        return tuple(g for g in gradients if g is not None)

    return gradcheck(first, (*inputs, *grad_outputs), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception)
