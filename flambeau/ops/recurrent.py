"""Recurrent cells: the fused map of one step of each, and the node that runs a layer over a whole sequence.

A step reads the gates' inputs (what the input and the hidden state contribute, each one linear map) and gives the new
state. Its gradient is derived from it. The walk over the steps is the core's (`_core.recurrent_forward`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from flambeau import _core
from flambeau.compiler import scalar as s
from flambeau.compiler.declare import Declaration, elementwise
from flambeau.compiler.program import CODES

__all__ = ["CELLS", "Cell", "cell_step", "sequence"]

_OPTIONS: dict[str, Any] = {"accepts": "real", "tolerance": 8, "domain": (0.1, 3.0)}


@elementwise(**_OPTIONS)
def lstm_cell(kept, input, candidate):
    """The new cell of a long short-term memory, from what was kept of the old one and two gates."""
    return kept + s.sigmoid(input) * s.tanh(candidate)


@elementwise(**_OPTIONS)
def lstm_hidden(output, cell):
    """The new hidden state of a long short-term memory, from its last gate and the new cell."""
    return s.sigmoid(output) * s.tanh(cell)


@elementwise(**_OPTIONS)
def gru_candidate(candidate, reset, hidden_candidate):
    """What a gated recurrent unit would take over, with the reset gate on what the hidden state gives."""
    return s.tanh(candidate + s.sigmoid(reset) * hidden_candidate)


@elementwise(**_OPTIONS)
def gru_hidden(update, new, hidden):
    """The new hidden state of a gated recurrent unit, between the candidate and the old one."""
    return new + s.sigmoid(update) * (hidden - new)


def _lstm(input, forget, candidate, output, cell):
    cell = lstm_cell(s.sigmoid(forget) * cell, input, candidate)
    return lstm_hidden(output, cell), cell


def _gru(reset, update, candidate, hidden_reset, hidden_update, hidden_candidate, hidden):
    new = gru_candidate(candidate, reset + hidden_reset, hidden_candidate)
    return gru_hidden(update + hidden_update, new, hidden)


# Whole steps as one map each, for the walk only: an eager map has at most 4 outputs, so no more gradients than that.
_LSTM = Declaration(
    "lstm_step", "map", _lstm, ("input", "forget", "candidate", "output", "cell"), outputs=("result", "result"),
    accepts="floating",
)  # fmt: skip
_GRU = Declaration(
    "gru_step", "map", _gru,
    ("reset", "update", "candidate", "hidden_reset", "hidden_update", "hidden_candidate", "hidden"),
    accepts="floating",
)  # fmt: skip

_TANH = Declaration("rnn_tanh_step", "map", lambda gate: s.tanh(gate), ("gate",), accepts="floating")
_RELU = Declaration("rnn_relu_step", "map", lambda gate: s.where(gate <= 0.0, 0.0, gate), ("gate",), accepts="floating")

#: How a cotangent of the state meets that of the output.
_SUM = Declaration("recurrent_sum", "map", lambda a, b: a + b, ("a", "b"))

# What the core calls an operand of a step (core/recurrent.h).
_GRAD_HIDDEN, _GRAD_CELL, _HIDDEN, _CELL, _GATE, _HIDDEN_GATE = 0, 1, 2, 3, 16, 32


class Cell(NamedTuple):
    """A kind of recurrent cell: its step's declaration, how many gates, what the step's operands are, and two flags."""

    step: Any
    gates: int
    operands: tuple[int, ...]
    has_cell: bool  # besides the hidden state there is a cell
    apart: bool  # the gates from the hidden state are not just added to those from the input


_PLAIN = tuple(_GATE + i for i in range(4))
CELLS = {
    "LSTM": Cell(_LSTM, 4, (*_PLAIN, _CELL), True, False),
    "GRU": Cell(_GRU, 3, (*_PLAIN[:3], *(_HIDDEN_GATE + i for i in range(3)), _HIDDEN), False, True),
    "RNN_TANH": Cell(_TANH, 1, (_GATE,), False, False),
    "RNN_RELU": Cell(_RELU, 1, (_GATE,), False, False),
}

_kernels: dict[tuple[str, str], tuple[Any, ...]] = {}


def _map_kernel(declaration: Declaration, codes: tuple[int, ...], classes: str) -> int:
    from flambeau.compiler import service

    operand_codes, output_codes, compute = declaration.resolve(tuple((code, 0) for code in codes))
    return service.compile_map(declaration, operand_codes, output_codes, compute, classes)


def _compiled(mode: str, dtype: Any) -> tuple[Any, ...]:
    """((forward map, addition), operands, (backward map, addition), operands and results, how many results, direct)."""
    found = _kernels.get((mode, dtype.name))
    if found is not None:
        return found
    cell, code = CELLS[mode], CODES[dtype.name]
    forward = cell.step
    codes = (code,) * len(forward.inputs)
    outputs = 1 + cell.has_cell
    address = _map_kernel(forward, codes, "c" * (outputs + len(codes)))
    gradient = forward.gradient((True,) * len(codes), codes)
    declaration = gradient.operation.declaration
    saved = []
    for kind, i in gradient.operands:
        if kind == "output":  # kept as the layer's output: the state after the step
            raise NotImplementedError(f"{mode}: the gradient of a step may not read its output")
        saved.append((_GRAD_HIDDEN, _GRAD_CELL)[i] if kind == "grad" else cell.operands[i])
    made = [cell.operands[i] for i, at in enumerate(gradient.result) if at >= 0]
    backward = _map_kernel(declaration, (code,) * len(saved), "c" * (len(made) + len(saved)))
    sums = _map_kernel(_SUM, (code, code), "ccc")
    found = ((address, sums), cell.operands, (backward, sums), (*saved, *made), len(made), _HIDDEN in made)
    _kernels[mode, dtype.name] = found
    return found


def sequence(
    mode: str, gates: Any, sizes: Sequence[int], h: Any, c: Any, weight: Any, bias: Any, projection: Any, reverse: bool
) -> tuple[Any, ...]:
    """One direction of one layer: (output, h at the end, and c at the end or None).

    `gates` (rows, gates * hidden) is the input's contribution, a fresh tensor that this may write to; its rows are the
    steps' sequences, `sizes` of them at each step. `h` (batch, state), `c` (batch, hidden), `weight` (gates * hidden,
    state), `bias` only where a cell keeps the hidden gates apart, `projection` (state, hidden) or None.
    """
    cell = CELLS[mode]
    tensors = (gates, h, c, weight, bias, projection)
    recording = _core.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
    before = _core.set_grad_enabled(False)
    try:
        rows, dtype, hidden = gates.shape[0], gates.dtype, gates.shape[1] // cell.gates
        state = h.shape[1]
        output = _core.empty((rows, state), dtype)
        hidden_gates = _core.empty((rows, gates.shape[1]), dtype) if cell.apart else None
        last_h, last_c = h.clone().contiguous(), None if c is None else c.clone().contiguous()
        previous_h = _core.empty((rows, state), dtype)
        previous_c = None if c is None else _core.empty((rows, hidden), dtype)
        inside = None if projection is None else _core.empty((rows, hidden), dtype)
        compiled = _compiled(mode, dtype)
        work = (
            gates, hidden_gates, weight.t().contiguous(), None if bias is None else bias.contiguous(),
            None if projection is None else projection.t().contiguous(), last_h, last_c, previous_h, previous_c,
            inside, output, None, None, None, None,
        )  # fmt: skip
        sizes = tuple(sizes)
        _core.recurrent_forward(work, sizes, compiled[1], compiled[0], (hidden, state, cell.gates, reverse, False, 0))
    finally:
        _core.set_grad_enabled(before)
    results = (output, last_h) if last_c is None else (output, last_h, last_c)
    if not recording:
        return output, last_h, last_c

    def backward(*grads: Any) -> tuple[Any, ...]:
        kept = tuple(None if t is None else t.unpack() for t in saved)
        if _core.is_grad_enabled():
            return _again(mode, kept, previous_h, sizes, reverse, grads)
        return _backward(mode, kept, (previous_h, previous_c, hidden_gates, inside), sizes, reverse, grads)

    _core.attach(results, tensors, backward, f"{mode.title().replace('_', '')}Backward0")
    saved = tuple(None if t is None else _core.Saved(t, mode) for t in tensors)
    return output, last_h, last_c


def _backward(
    mode: str, tensors: tuple[Any, ...], kept: tuple[Any, ...], sizes: tuple[int, ...], reverse: bool, grads: Any
) -> tuple[Any, ...]:
    gates, h, c, weight, bias, projection = tensors
    previous_h, previous_c, hidden_gates, inside = kept
    cell, dtype, (rows, state) = CELLS[mode], gates.dtype, previous_h.shape
    hidden = gates.shape[1] // cell.gates
    compiled = _compiled(mode, dtype)

    def own(grad: Any, like: Any) -> Any:
        if like is None:
            return None
        return _core.full(tuple(like.shape), 0, dtype) if grad is None else grad.clone().contiguous()

    by_h, by_c = own(grads[1], h), own(grads[2] if c is not None else None, c)
    by_output = _core.full((rows, state), 0, dtype) if grads[0] is None else grads[0].contiguous()
    by_gates = _core.empty(tuple(gates.shape), dtype)
    by_hidden = _core.empty(tuple(gates.shape), dtype) if cell.apart else None
    by_inside = None if projection is None else _core.empty((rows, hidden), dtype)
    by_state = None if projection is None else _core.empty((rows, state), dtype)
    work = (
        gates, hidden_gates, weight.contiguous(), None, None if projection is None else projection.contiguous(),
        by_h, by_c, previous_h, previous_c, inside, by_output, by_gates, by_hidden, by_inside, by_state,
    )  # fmt: skip
    numbers = (hidden, state, cell.gates, reverse, compiled[5], compiled[4])
    _core.recurrent_backward(work, sizes, compiled[3], compiled[2], numbers)
    from_hidden = by_gates if by_hidden is None else by_hidden
    by_weight = from_hidden.t() @ previous_h if weight.requires_grad else None
    by_bias = from_hidden.sum(0) if bias is not None else None
    by_projection = None if by_state is None else by_state.t() @ inside
    return by_gates, by_h, by_c, by_weight, by_bias, by_projection


def cell_step(mode: str, gates: Any, hidden_gates: Any, h: Any, c: Any, projection: Any = None) -> tuple[Any, Any]:
    """The new (h, c) of one step, from the gates (batch, gates * hidden) of the input and of the hidden state."""
    if mode == "GRU":
        (reset, update, candidate), (r, u, n) = gates.chunk(3, -1), hidden_gates.chunk(3, -1)
        return gru_hidden(update + u, gru_candidate(candidate, reset + r, n), h), None
    if mode != "LSTM":
        gates = gates + hidden_gates
        return (gates.tanh() if mode == "RNN_TANH" else gates.relu()), None
    input, forget, candidate, output = (gates + hidden_gates).chunk(4, -1)
    c = lstm_cell(forget.sigmoid() * c, input, candidate)
    h = lstm_hidden(output, c)
    return (h if projection is None else _core.linear(h, projection)), c


def _again(
    mode: str, tensors: tuple[Any, ...], previous_h: Any, sizes: tuple[int, ...], reverse: bool, grads: Any
) -> tuple[Any, ...]:
    """The gradients as a graph that can be differentiated again: step by step, by other operations."""
    import flambeau
    from flambeau.autograd import grad as gradient

    gates, h, c, weight, bias, projection = tensors
    if not CELLS[mode].apart:  # the hidden state's part was added in place: take it off again
        before = _core.set_grad_enabled(False)
        fresh = gates - previous_h @ weight.t()
        _core.set_grad_enabled(before)
        if gates.requires_grad:
            _core.attach((fresh,), (gates,), lambda grad: (grad,), "RecurrentInputBackward0")
        gates = fresh
    starts = [0]
    for size in sizes:
        starts.append(starts[-1] + size)
    hidden, cell, outputs = h, c, [None] * len(sizes)
    for t in reversed(range(len(sizes))) if reverse else range(len(sizes)):
        n = sizes[t]
        one, other = hidden[:n], None if cell is None else cell[:n]
        new, new_cell = cell_step(
            mode, gates[starts[t] : starts[t + 1]], _core.linear(one, weight, bias), one, other, projection
        )
        outputs[t] = new
        hidden = new if n == hidden.shape[0] else flambeau.cat((new, hidden[n:]))
        if cell is not None:
            cell = new_cell if n == cell.shape[0] else flambeau.cat((new_cell, cell[n:]))
    results = [flambeau.cat(outputs), hidden, cell]
    pairs = [
        (r, g) for r, g in zip(results, grads, strict=False) if g is not None and r is not None and r.requires_grad
    ]
    inputs = (gates, h, c, weight, bias, projection)
    wanted = [t for t in inputs if t is not None and t.requires_grad]
    found = iter(gradient([r for r, _ in pairs], wanted, [g for _, g in pairs], create_graph=True, allow_unused=True))
    return tuple(next(found) if t is not None and t.requires_grad else None for t in inputs)
