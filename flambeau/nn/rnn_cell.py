"""Recurrent cells, one step at a time: `RNNCell`, `LSTMCell`, `GRUCell`. Whole sequences: `rnn`."""

from __future__ import annotations

import math
from typing import Any

import flambeau
from flambeau import _core
from flambeau.nn import init
from flambeau.nn.module import Module
from flambeau.nn.parameter import Parameter
from flambeau.ops.recurrent import CELLS, cell_step

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RNNCellBase"]


class RNNCellBase(Module):
    """What the cells share: `weight_ih` (gates·H, input), `weight_hh` (gates·H, H), `bias_ih`, `bias_hh` (gates·H,)."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(flambeau.empty((rows, input_size), device=device, dtype=dtype))
        self.weight_hh = Parameter(flambeau.empty((rows, hidden_size), device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            if bias:
                setattr(self, name, Parameter(flambeau.empty(rows, device=device, dtype=dtype)))
            else:
                self.register_parameter(name, None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new weights, uniform in ±1/√H."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _step(self, mode: str, input: Any, states: tuple[Any, ...]) -> tuple[Any, ...]:
        name = type(self).__name__
        if input.ndim not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.ndim}D instead")
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                f"{name}: input has inconsistent input_size: got {input.shape[-1]}, expected {self.input_size}"
            )
        for state in states:
            if state.ndim not in (1, 2):
                raise ValueError(f"{name}: Expected hidden to be 1D or 2D, got {state.ndim}D instead")
            if state.shape[-1] != self.hidden_size:
                raise RuntimeError(
                    f"{name}: hidden has inconsistent hidden_size: got {state.shape[-1]}, expected {self.hidden_size}"
                )
        single = input.ndim == 1
        if single:
            input, states = input.unsqueeze(0), tuple(state.unsqueeze(0) for state in states)
        if not states:
            start = flambeau.zeros((input.shape[0], self.hidden_size), dtype=input.dtype)
            states = (start, start)
        elif input.shape[0] != states[0].shape[0]:
            raise RuntimeError(
                f"{name}: Input batch size {input.shape[0]} doesn't match hidden batch size {states[0].shape[0]}"
            )
        gates = _core.linear(input, self.weight_ih, self.bias_ih)
        hidden_gates = _core.linear(states[0], self.weight_hh, self.bias_hh)
        made = cell_step(mode, gates, hidden_gates, states[0], states[1] if CELLS[mode].has_cell else None)
        return tuple(None if each is None else each.squeeze(0) for each in made) if single else made

    def extra_repr(self) -> str:
        """Sizes, and the options that are not the usual ones."""
        text = f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")
        kind = getattr(self, "nonlinearity", "tanh")
        return text if kind == "tanh" else f"{text}, nonlinearity={kind}"


class RNNCell(RNNCellBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu of it.

    Example:
        >>> fl.nn.RNNCell(10, 20)(fl.zeros(3, 10)).shape
        Size([3, 20])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Any = None) -> Any:
        """(B, input_size) or (input_size,), and the hidden state or None, to the new hidden state."""
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return self._step(f"RNN_{self.nonlinearity.upper()}", input, () if hx is None else (hx,))[0]


class LSTMCell(RNNCellBase):
    """One step of `LSTM`: called with the input and (h, c), returns the new (h, c).

    Example:
        >>> h, c = fl.nn.LSTMCell(10, 20)(fl.zeros(3, 10))
        >>> h.shape
        Size([3, 20])
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        """(B, input_size) or (input_size,), and (h, c) or None, to the new (h, c)."""
        h, c = self._step("LSTM", input, () if hx is None else tuple(hx))
        return h, c


class GRUCell(RNNCellBase):
    """One step of `GRU`: called with the input and h, returns the new h.

    Example:
        >>> fl.nn.GRUCell(10, 20)(fl.zeros(3, 10)).shape
        Size([3, 20])
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Any, hx: Any = None) -> Any:
        """(B, input_size) or (input_size,), and the hidden state or None, to the new hidden state."""
        return self._step("GRU", input, () if hx is None else (hx,))[0]
