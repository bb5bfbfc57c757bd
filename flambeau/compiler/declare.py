"""Declarations: what an operation is to the core and the compiler, and the decorators that make one from a function.

    @elementwise
    def silu(x): return x * sigmoid(x)

A declaration knows the operation's operands, how dtypes promote, how to write it as a program for given dtypes, and
how to derive the declaration of its gradient. All of this runs once for each structure; no tensor is ever seen here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..errors import AutogradError, DTypeError
from ..ops import promotion
from . import scalar
from .program import CODES, COMPLEX, DTYPES, ELEMENT, FLOATS, PARTS, ROW, Input, Program, Value, finish

_FLOAT = frozenset(FLOATS)
_COMPLEX = frozenset(COMPLEX)

#: Every declared operation by name; gradients are not in it.
table: dict[str, Declaration] = {}


class Gradient(NamedTuple):
    """The gradient of an operation for the operands marked in `needs`.

    `operation` computes what must be computed (None: nothing) and is called with `operands`: ("grad", k), ("input",
    i) or ("output", k). For every marked operand in order, `through` is the k of the output gradient that passes
    unchanged (spread over the row, for the gradient of a sum), or -1; `result` is the output of `operation` that
    belongs to it, or -1. Both are -1 where the gradient is zero or the operand cannot have one; `zero` says that all
    are.
    """

    operation: Any
    operands: tuple[tuple[str, int], ...]
    through: tuple[int, ...]
    result: tuple[int, ...]
    zero: bool


class Declaration:
    """One map or row operation: its function over scalar values and all that is declared about it.

    The decorators also give the operation `.vjp`, with which a declaration states a better gradient:

        @tanh.vjp
        def _(grad, output): return grad * (1 - output * output)

    name, kind ("map" or "row"), function, doc
    inputs         names of the tensor operands, in order; Python numbers are allowed in their place
    parameters     (name, default) of the run-time numbers, after the inputs; default None: it must be given
    promotion      how dtypes meet (`flambeau.ops.promotion.resolve`); accepts: which results are allowed
    outputs        one rule an output: "result", "real" (that of its parts, if it is complex), "complex", a dtype, or
                   an input's name, whose dtype it takes
    roles          one an operand: "compute" (converted to the dtype computed in, takes part in promotion), "bool",
                   "int64", "double" (converted to that), "own" (left as it is, half precision as float32), "real",
                   "complex" (converted to the parts of that dtype, or to the complex dtype of such parts)
    levels         one an operand: ELEMENT or ROW (row kind: exists once a row)
    needs_gradient one an operand: whether it can have a gradient
    divisor        the position of an operand that must not be zero where the operation computes with integers, or -1
    override       a stated gradient over scalar values, or None; used among complex numbers if it says so
    tolerance      ULPs by which a float32 result may differ from the exact one; domain, kinks, samples: for the tests
    """

    __slots__ = (
        "_example", "_gradients", "_keyword_only", "accepts", "differentiable", "divisor", "doc", "domain", "fixed",
        "function", "inputs", "kind", "kinks", "levels", "name", "needs_gradient", "outputs", "override",
        "override_complex", "override_names", "parameters", "promotion", "reference", "refuses", "roles", "samples",
        "tolerance",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        kind: str,
        function: Callable[..., Any],
        inputs: tuple[str, ...],
        parameters: tuple[tuple[str, Any], ...] = (),
        *,
        doc: str = "",
        promotion: str = "promote",
        accepts: str = "any",
        refuses: str = "",
        outputs: tuple[str, ...] = ("result",),
        roles: dict[str, str] | None = None,
        row_inputs: tuple[str, ...] = (),
        nondifferentiable: tuple[str, ...] = (),
        differentiable: bool = True,
        tolerance: float = 2.0,
        domain: Any = None,
        kinks: tuple[float, ...] = (),
        samples: tuple[dict[str, Any], ...] = (),
        reference: str | None = None,
        keyword_only: int = 0,
        divisor: str | None = None,
        fixed: tuple[tuple[int, ...], str] | None = None,
    ) -> None:
        self.name, self.kind, self.function, self.doc = name, kind, function, doc
        self.inputs, self.parameters = inputs, parameters
        self.promotion, self.accepts, self.refuses, self.outputs = promotion, accepts, refuses, outputs
        given = roles or {}
        operands = inputs + tuple(name for name, _ in parameters)
        unknown = [n for n in (*given, *row_inputs, *nondifferentiable) if n not in operands]
        if unknown:
            raise ValueError(f"{name}: no operand is called {unknown[0]!r}; the operands are {', '.join(operands)}")
        self.roles = tuple(given.get(operand, "compute") for operand in operands)
        self.levels = tuple(
            ROW if kind == "row" and (i >= len(inputs) or operand in row_inputs) else ELEMENT
            for i, operand in enumerate(operands)
        )
        self.differentiable = differentiable
        self.needs_gradient = tuple(
            i < len(inputs) and self.roles[i] in _FLOWING and operand not in nondifferentiable
            for i, operand in enumerate(operands)
        )
        self.override: Callable[..., Any] | None = None
        self.override_names: tuple[str, ...] = ()
        self.override_complex = False
        self.tolerance, self.domain, self.kinks, self.samples, self.reference = (
            tolerance,
            domain,
            kinks,
            samples,
            reference,
        )
        self.fixed = fixed
        self.divisor = -1 if divisor is None else operands.index(divisor)
        self._keyword_only = keyword_only
        self._gradients: dict[Any, Gradient | None] = {}
        self._example: Program | None = None

    def __repr__(self) -> str:
        return f"<{self.kind} declaration {self.name}({', '.join(self.operand_names)})>"

    def signature(self, writes: bool = False) -> Any:
        """How the operation is called from Python, as `inspect.signature` shows it; `writes`: its in-place twin."""
        from inspect import Parameter, Signature

        names = ["input", *self.inputs[1:]]
        if len(names) == 2 and len(names[1]) == 1:
            names[1] = "other"
        found = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in names]
        for name, value in self.parameters:
            default = Parameter.empty if value is None else value
            found.append(Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=default))
        if self.kind == "row":
            found.append(Parameter("dim", Parameter.POSITIONAL_OR_KEYWORD, default=None))
            found.append(Parameter("keepdim", Parameter.POSITIONAL_OR_KEYWORD, default=False))
        if not writes:
            found.append(Parameter("out", Parameter.KEYWORD_ONLY, default=None))
        return Signature(found)

    @property
    def operand_names(self) -> tuple[str, ...]:
        """The names of all operands, inputs then parameters."""
        return self.inputs + tuple(name for name, _ in self.parameters)

    @property
    def example(self) -> Program:
        """The program for operands of the usual dtypes: float32, or what their roles say."""
        if self._example is None:
            codes = tuple(_EXAMPLE.get(role, self.example_code) for role in self.roles)
            self._example = self.trace(*self.resolve(tuple((code, 0) for code in codes)))
        return self._example

    @property
    def example_code(self) -> int:
        """The dtype code of the usual operands: float32, int64 where floats are not taken."""
        return promotion.INT64 if self.accepts in ("integer", "integral") else promotion.FLOAT32

    @property
    def output_levels(self) -> tuple[str, ...]:
        """The level of every output: ROW for what exists once a row."""
        return tuple(value.level for value in self.example.outputs)

    @property
    def uses_index(self) -> bool:
        """Whether the program reads the position of the element."""
        return any(value.op == "index" for value in self.example.topological())

    # --- dtypes ------------------------------------------------------------------------------------------------------

    def resolve(self, operands: Sequence[tuple[int, int]]) -> tuple[tuple[int, ...], tuple[int, ...], str]:
        """The dtype codes of the operands in memory and of the outputs, and the dtype computed in."""
        if len(operands) != len(self.roles):
            raise TypeError(
                f"{self.name}: takes {len(self.roles)} operands ({', '.join(self.operand_names)}), "
                f"{len(operands)} were given"
            )
        codes = tuple(code for code, _ in operands)
        if self.fixed is not None:
            return codes, self.fixed[0], self.fixed[1]
        count = len(self.inputs)
        meeting = tuple(operands[i] for i in range(count) if self.roles[i] == "compute")
        if self.refuses and any(DTYPES[code] == self.refuses for code, _ in meeting):
            given = ", ".join(DTYPES[code] for code, _ in meeting)
            raise DTypeError(
                f"{self.name}: does not take {self.refuses} operands, found {given}: "
                f"use logical_xor, or logical_not to invert"
            )
        compute, result = promotion.resolve(self.name, self.promotion, self.accepts, meeting or tuple(operands[:count]))
        if promotion.is_whole(compute):
            for i in range(count, len(codes)):
                if self.roles[i] == "compute" and not promotion.is_whole(codes[i]):
                    raise DTypeError(
                        f"{self.name}: {self.operand_names[i]} is a float but the operands are {DTYPES[compute]}: "
                        f"give an integer, or convert the tensors with .float()"
                    )
        outputs = []
        for rule in self.outputs:
            if rule == "result":
                outputs.append(result)
            elif rule == "real":
                outputs.append(CODES.get(PARTS.get(DTYPES[result], ""), result))
            elif rule == "complex":
                outputs.append(promotion.to_complex(result))
            elif rule in self.inputs:
                outputs.append(codes[self.inputs.index(rule)])
            else:
                outputs.append(DTYPES.index(rule))
        return codes, tuple(outputs), promotion.computing_dtype(compute)

    # --- programs ----------------------------------------------------------------------------------------------------

    def apply(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """The function called on one value for each operand; always a tuple."""
        positional = len(values) - self._keyword_only
        keywords = {
            name: value for (name, _), value in zip(self.parameters[::-1], values[positional:][::-1], strict=False)
        }
        result = self.function(*values[:positional], **keywords)
        result = result if isinstance(result, tuple) else (result,)
        if len(result) != len(self.outputs):
            raise TypeError(
                f"{self.name}: declares {len(self.outputs)} outputs but its function returned {len(result)}"
            )
        return result

    def trace(self, operand_codes: Sequence[int], output_codes: Sequence[int], compute_name: str) -> Program:
        """The program for operands and outputs of these dtypes in memory."""
        inputs, values = [], []
        for i, (code, role, level) in enumerate(zip(operand_codes, self.roles, self.levels, strict=True)):
            inputs.append(Input(DTYPES[code], level))
            values.append(_load(Value("input", (), DTYPES[code], i, level), role, compute_name))
        results = []
        try:
            found = self.apply(values)
        except DTypeError as error:
            raise DTypeError(f"{self.name}: {error}") from None
        for value, code in zip(found, output_codes, strict=True):
            if value.__class__ is not Value:
                value = scalar.constant(value, DTYPES[code])
            results.append(scalar.cast(value, DTYPES[code]))
        return finish(self.name, self.kind, tuple(inputs), results)

    def trace_map(self, operand_codes: Sequence[int], output_codes: Sequence[int], compute_name: str) -> Program:
        """`trace` for a map."""
        return self.trace(operand_codes, output_codes, compute_name)

    def trace_row(
        self,
        operand_codes: Sequence[int],
        output_codes: Sequence[int],
        compute_name: str,
        levels: Sequence[str] | None = None,
    ) -> Program:
        """`trace` for a row; `levels`, if given, must be the declared ones."""
        if levels is not None and tuple(levels) != self.levels:
            raise ValueError(f"{self.name}: operand levels are {self.levels}, {tuple(levels)} were given")
        return self.trace(operand_codes, output_codes, compute_name)

    def inline(self, *args: Any, **keywords: Any) -> Any:
        """The function applied to values inside another declaration's function; Python numbers become constants."""
        names = self.operand_names
        if len(args) > len(names):
            raise TypeError(f"{self.name}: takes {len(names)} operands ({', '.join(names)}), {len(args)} were given")
        bound = dict(zip(names, args, strict=False))
        for name, value in keywords.items():
            if name not in names or name in bound:
                raise TypeError(f"{self.name}: the operand {name!r} is unknown or given twice")
            bound[name] = value
        for name, default in self.parameters:
            if name not in bound and default is not None:
                bound[name] = default
        missing = [name for name in names if name not in bound]
        if missing:
            raise TypeError(f"{self.name}: the operand {missing[0]!r} is missing")
        if self.promotion == "float":
            for name in self.inputs:
                value = bound[name]
                if value.__class__ is Value and value.dtype not in _FLOAT and value.dtype not in _COMPLEX:
                    bound[name] = scalar.cast(value, promotion.default_dtype())
        values = tuple(bound[name] for name in names)
        result = self.apply(values)
        if len(result) > 1:
            return result
        output = result[0]
        if self.override is None or output.__class__ is not Value:
            return output
        if not self.override_complex and any(v.__class__ is Value and v.dtype in _COMPLEX for v in values):
            return output
        wanted = [i for i, value in enumerate(values) if self.needs_gradient[i]]
        chosen = [k for k, i in enumerate(wanted) if values[i].__class__ is Value]

        def rule(grad: Value, value: Value) -> tuple[Value | None, ...]:
            found = self._stated((grad,), values, (value,))
            return tuple(found[k] for k in chosen)

        return scalar.stated(output, tuple(values[wanted[k]] for k in chosen), rule)

    # --- gradients ---------------------------------------------------------------------------------------------------

    def vjp(self, function: Callable[..., Any] | None = None, *, complex: bool = False) -> Callable[..., Any]:
        """Decorator that states the gradient of the operation over scalar values.

        The names of the arguments say what it reads, and so what is saved: `grad` (`grad_0`, `grad_1` with several
        outputs), `output` (`output_0`, ...), or the name of an operand. It returns the cotangent of each input that can
        have one (a tuple if there are several; None for zero). It is a program too, so it can be differentiated again.
        Among complex numbers the gradient is derived from the operation, unless `complex` says that the stated one
        holds there as it is.
        """
        if function is None:
            return lambda function: self.vjp(function, complex=complex)
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        several = len(self.outputs) > 1
        known = list(self.operand_names)
        for k in range(len(self.outputs)):
            known += [f"grad_{k}", f"output_{k}"] if several else ["grad", "output"]
        for name in names:
            if name not in known:
                raise TypeError(f"{self.name}: its vjp reads {name!r}, which is none of {', '.join(known)}")
        self.override, self.override_names, self.override_complex = function, tuple(names), complex
        self._gradients.clear()
        return function

    def _stated(
        self, grads: Sequence[Value | None], inputs: Sequence[Any], outputs: Sequence[Value]
    ) -> tuple[Value | None, ...]:
        assert self.override is not None
        several = len(self.outputs) > 1
        scope = dict(zip(self.operand_names, inputs, strict=True))
        for k, (grad, output) in enumerate(zip(grads, outputs, strict=True)):
            scope[f"grad_{k}" if several else "grad"] = grad
            scope[f"output_{k}" if several else "output"] = output
        result = self.override(*(scope[name] for name in self.override_names))
        result = result if isinstance(result, tuple) else (result,)
        expected = sum(self.needs_gradient)
        if len(result) != expected:
            raise TypeError(f"{self.name}: its vjp returned {len(result)} cotangents, {expected} inputs can have one")
        return result

    def gradient(
        self,
        needs: Sequence[bool],
        operand_codes: Sequence[int] | None = None,
        output_codes: Sequence[int] | None = None,
        compute_name: str | None = None,
    ) -> Gradient | None:
        """The operation that computes the gradients of the operands marked in `needs`.

        Without dtypes it is derived for float32. None if no output can have a gradient (comparisons, argmax): then the
        outputs do not require grad.

        Raises
        ------
        AutogradError
            if the outputs depend on these operands but no gradient exists.
        """
        if operand_codes is None:
            codes = tuple(_EXAMPLE.get(role, self.example_code) for role in self.roles)
            operand_codes, output_codes, compute_name = self.resolve(tuple((code, 0) for code in codes))
        if output_codes is None or compute_name is None:
            _, output_codes, compute_name = self.resolve(tuple((code, 0) for code in operand_codes))
        key = (tuple(needs), tuple(operand_codes), tuple(output_codes), compute_name)
        try:
            return self._gradients[key]
        except KeyError:
            pass
        found = self._derive(*key)
        self._gradients[key] = found
        return found

    def _derive(
        self, needs: tuple[bool, ...], operand_codes: tuple[int, ...], output_codes: tuple[int, ...], compute_name: str
    ) -> Gradient | None:
        floating = [promotion.is_inexact(code) for code in output_codes]
        wanted = [
            i
            for i, need in enumerate(needs)
            if need and self.needs_gradient[i] and promotion.is_inexact(operand_codes[i])
        ]
        if not any(floating) or not wanted or (compute_name not in _FLOAT and compute_name not in _COMPLEX):
            return None
        if not self.differentiable:
            raise AutogradError(
                f"{self.name}: has no gradient: call it under no_grad(), "
                f"or on tensors without requires_grad (x.detach())"
            )
        count = len(operand_codes)
        # One placeholder for everything the gradient could read; the ones it does read become its operands.
        inputs, outputs, grads = [], [], []
        for i in range(count):
            leaf = Value("input", (), DTYPES[operand_codes[i]], ("input", i), self.levels[i])
            inputs.append(_load(leaf, self.roles[i], compute_name))
        for k, code in enumerate(output_codes):
            level = self.output_levels[k]
            name = promotion.computing_dtype(code)
            outputs.append(_load(Value("input", (), DTYPES[code], ("output", k), level), "own", compute_name))
            grads.append(Value("input", (), name, ("grad", k), level) if floating[k] else None)
        found = self._cotangents(wanted, grads, inputs, outputs)
        through = {i: _through(value, self.levels[i]) for i, value in zip(wanted, found, strict=True)}
        computed = [i for i, value in zip(wanted, found, strict=True) if through[i] < 0 and not _is_zero(value)]
        marked = [i for i, need in enumerate(needs) if need]
        passing = tuple(through.get(i, -1) for i in marked)
        result = tuple(computed.index(i) if i in computed else -1 for i in marked)
        if not computed:
            return Gradient(None, (), passing, result, max(passing) < 0)
        used: set[tuple[str, int]] = set()
        roots = tuple(value for i, value in zip(wanted, found, strict=True) if i in computed)
        for value in Program("", "map", (), roots).topological():
            if value.op == "input":
                used.add(value.attr)
        operands = [("grad", k) for k in range(len(grads)) if ("grad", k) in used]
        operands += [("input", i) for i in range(len(self.inputs)) if ("input", i) in used]
        operands += [("output", k) for k in range(len(outputs)) if ("output", k) in used]
        tensors = len(operands)
        operands += [("input", i) for i in range(len(self.inputs), count) if ("input", i) in used]
        names, roles, rows, constants = [], {}, [], []
        for kind, i in operands:
            name = self.operand_names[i] if kind == "input" else kind if len(outputs) == 1 else f"{kind}_{i}"
            while name in names:
                name += "_"
            names.append(name)
            roles[name] = self.roles[i] if kind == "input" else "own" if kind == "output" else "compute"
            if kind != "input" and self.outputs[i] in ("result", "real", "complex"):
                roles[name] = "compute" if self.outputs[i] == "result" else self.outputs[i]
            level = self.levels[i] if kind == "input" else self.output_levels[i]
            if level is ROW:
                rows.append(name)
            if kind == "input" and not self.needs_gradient[i] and i < len(self.inputs):
                constants.append(name)

        def function(*values: Value) -> tuple[Value, ...]:
            at = dict(zip(operands, values, strict=True))

            def value(kind: str, i: int, unread: Value) -> Value:
                found = at.get((kind, i))
                return unread if found is None else found

            new_inputs = [value("input", i, _fresh(inputs[i])) for i in range(count)]
            new_outputs = [value("output", k, _fresh(outputs[k])) for k in range(len(outputs))]
            new_grads = [None if g is None else value("grad", k, _fresh(g)) for k, g in enumerate(grads)]
            return tuple(self._cotangents(computed, new_grads, new_inputs, new_outputs))

        declaration = Declaration(
            self.name + "_backward",
            self.kind,
            function,
            tuple(names[:tensors]),
            tuple((name, None) for name in names[tensors:]),
            doc=f"The gradient of {self.name}.",
            outputs=("result",) * len(computed),
            roles=roles,
            row_inputs=tuple(rows),
            nondifferentiable=tuple(constants),
            tolerance=4 * self.tolerance,
            fixed=(tuple(operand_codes[i] for i in computed), compute_name),
        )
        return Gradient(_operation(declaration), tuple(operands), passing, result, False)

    def _cotangents(
        self,
        wanted: list[int],
        grads: Sequence[Value | None],
        inputs: Sequence[Value],
        outputs: Sequence[Value],
    ) -> list[Value]:
        if self.override is not None and (self.override_complex or not any(v.dtype in _COMPLEX for v in inputs)):
            stated = self._stated(grads, inputs, outputs)
            able = [i for i, can in enumerate(self.needs_gradient) if can]
            found = [stated[able.index(i)] for i in wanted]
        else:
            from .differentiate import cotangents

            # An operand converted to a complex dtype is a pair: what flows to it flows to its parts.
            sources = [inputs[i].args if inputs[i].op == "complex" else (inputs[i],) for i in wanted]
            try:
                flat = iter(cotangents(self.apply(inputs), grads, [each for parts in sources for each in parts]))
            except AutogradError as error:
                raise AutogradError(f"{self.name}: {error}") from None
            found = []
            for parts in sources:
                each = [next(flat) for _ in parts]
                if len(parts) == 1 or all(part is None for part in each):
                    found.append(each[0])
                else:
                    zero = scalar.constant(0.0, parts[0])
                    found.append(scalar.complex_of(*(zero if part is None else part for part in each)))
        results = []
        for i, value in zip(wanted, found, strict=True):
            if value is None:
                value = scalar.constant(0.0, inputs[i])
            elif not isinstance(value, Value):
                value = scalar.constant(value, inputs[i])
            if self.levels[i] is ELEMENT:
                value = scalar.spread(value)
            elif value.level is ELEMENT:
                value = scalar.reduce_sum(value)
            results.append(value)
        return results


#: The roles of operands that a gradient may flow to.
_FLOWING = ("compute", "real", "complex")
_EXAMPLE = {"bool": 0, "int64": 5, "double": 9}


def _fresh(value: Value) -> Value:
    """A leaf in the place of a value that turned out not to be read."""
    return Value("input", (), value.dtype, None, value.level)


def _through(value: Value, level: str) -> int:
    """The output gradient that `value` is an unchanged copy of, or -1."""
    while value.op == "cast":
        value = value.args[0]
    return value.attr[1] if value.op == "input" and value.attr[0] == "grad" and level is ELEMENT else -1


def _is_zero(value: Value) -> bool:
    while value.op == "cast":
        value = value.args[0]
    if value.op == "complex":
        return _is_zero(value.args[0]) and _is_zero(value.args[1])
    return value.op == "const" and value.attr == 0


def _load(value: Value, role: str, compute_name: str) -> Value:
    """An operand in the dtype in which the function sees it."""
    if role == "compute":
        return scalar.cast(value, compute_name)
    if role == "bool":
        return scalar.cast(value, "bool")
    if role == "int64":
        return scalar.cast(value, "int64")
    if role == "double":
        return scalar.cast(value, "float64")
    if role == "real":
        return scalar.cast(value, PARTS.get(compute_name, compute_name))
    if role == "complex":
        return scalar.cast(value, "complex128" if compute_name in ("float64", "complex128") else "complex64")
    return scalar.cast(value, "float32") if value.dtype in ("float16", "bfloat16") else value


# --- decorators ------------------------------------------------------------------------------------------------------


def _operation(declaration: Declaration) -> Any:
    from flambeau._core import Operation

    return Operation(declaration)


def _declare(kind: str, function: Callable[..., Any], options: dict[str, Any]) -> Any:
    signature = options.pop("signature", function)
    code = signature.__code__
    positional = code.co_varnames[: code.co_argcount]
    keyword_only = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    defaults = signature.__defaults__ or ()
    keyword_defaults = signature.__kwdefaults__ or {}
    split = len(positional) - len(defaults)
    parameters = tuple(zip(positional[split:], defaults, strict=True))
    parameters += tuple((name, keyword_defaults.get(name)) for name in keyword_only)
    name = options.pop("name", None) or function.__name__.rstrip("_")
    declaration = Declaration(
        name,
        kind,
        function,
        tuple(positional[:split]),
        parameters,
        doc=options.pop("doc", None) or function.__doc__ or "",
        keyword_only=len(keyword_only),
        **options,
    )
    if name in table:
        raise ValueError(f"{name}: an operation of this name is already declared")
    table[name] = declaration
    operation = _operation(declaration)
    operation.vjp = declaration.vjp
    return operation


def elementwise(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Declare a map: one scalar expression over broadcast inputs. Returns the callable operation.

    Positional arguments without default are tensors; the others are run-time numbers. For the options see
    `Declaration`; `signature` is a function to take the arguments from, where the declared one takes any.

        @elementwise(promotion="float")
        def exp(x): return scalar.exp(x)
    """
    if function is not None:
        return _declare("map", function, options)
    return lambda function: _declare("map", function, dict(options))


def row(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Declare a row: maps and reductions over the same dimensions. Returns the callable operation.

    `row_inputs` names the inputs that exist once a row.

        @row(accepts="floating")
        def softmax(x):
            e = exp(x - scalar.reduce_max(x))
            return e / scalar.reduce_sum(e)
    """
    if function is not None:
        return _declare("row", function, options)
    return lambda function: _declare("row", function, dict(options))
