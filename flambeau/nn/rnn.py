"""Recurrent layers over sequences: `RNN`, `LSTM`, `GRU`. One step at a time: `rnn_cell`."""

from __future__ import annotations

import math
import warnings
from typing import Any

import flambeau
from flambeau import _core, recording
from flambeau.nn import functional as F
from flambeau.nn import init
from flambeau.nn.module import Module
from flambeau.nn.parameter import Parameter
from flambeau.nn.utils.rnn import PackedSequence
from flambeau.ops.recurrent import CELLS, sequence

__all__ = ["GRU", "LSTM", "RNN", "RNNBase"]


class RNNBase(Module):
    """What `RNN`, `LSTM` and `GRU` share: parameters, checks, and the walk over layers and directions.

    `weight_ih_l{k}` (gates·H, input), `weight_hh_l{k}` (gates·H, H or P), `bias_ih_l{k}`, `bias_hh_l{k}` (gates·H,),
    with a projection `weight_hr_l{k}` (P, H); the same with the suffix `_reverse` for the other direction. All are
    uniform in ±1/√H at the start.
    """

    __constants__ = ["mode", "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout"]

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
            )
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects num_layers"
                f" greater than 1, but got dropout={dropout} and num_layers={num_layers}",
                stacklevel=3,
            )
        if not isinstance(hidden_size, int):
            raise TypeError(f"hidden_size should be of type int, got: {type(hidden_size).__name__}")
        if hidden_size <= 0:
            raise ValueError("hidden_size must be greater than zero")
        if num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        if proj_size < 0:
            raise ValueError("proj_size should be a positive integer or zero to disable projections")
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if mode not in CELLS:
            raise ValueError("Unrecognized RNN mode: " + mode)
        self.mode = mode
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        state, directions, gates = proj_size or hidden_size, 2 if bidirectional else 1, CELLS[mode].gates
        self._flat_weights_names: list[list[str]] = []
        for layer in range(num_layers):
            for direction in range(directions):
                width = input_size if layer == 0 else state * directions
                shapes: dict[str, tuple[int, ...]] = {
                    "weight_ih": (gates * hidden_size, width),
                    "weight_hh": (gates * hidden_size, state),
                }
                if bias:
                    shapes |= {"bias_ih": (gates * hidden_size,), "bias_hh": (gates * hidden_size,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                suffix = f"_l{layer}" + "_reverse" * direction
                for name, shape in shapes.items():
                    setattr(self, name + suffix, Parameter(flambeau.empty(shape, device=device, dtype=dtype)))
                self._flat_weights_names.append([name + suffix for name in shapes])
        self.reset_parameters()

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters of every layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._flat_weights_names]

    def flatten_parameters(self) -> None:
        """Nothing to do: parameters need not lie in one block."""

    def reset_parameters(self) -> None:
        """Draw new weights."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    # --- checks ------------------------------------------------------------------------------------------------------

    def _state_shapes(self, batch: int) -> tuple[tuple[int, ...], ...]:
        count = self.num_layers * (2 if self.bidirectional else 1)
        shapes = ((count, batch, self.proj_size or self.hidden_size), (count, batch, self.hidden_size))
        return shapes if self.mode == "LSTM" else shapes[:1]

    def check_input(self, input: Any, batch_sizes: Any) -> None:
        """RuntimeError or ValueError where the input does not fit the layer."""
        weight = self.weight_ih_l0
        if input.dtype != weight.dtype:
            raise ValueError(f"input must have the type {weight.dtype}, got type {input.dtype}; convert with .to(...)")
        expected = 2 if batch_sizes is not None else 3
        if input.ndim != expected:
            raise RuntimeError(f"input must have {expected} dimensions, got {input.ndim}")
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.shape[-1]}"
            )

    def check_forward_args(self, states: tuple[Any, ...], batch: int) -> None:
        """RuntimeError where the starting state does not fit the layer or the batch."""
        names = ("hidden[0]", "hidden[1]") if self.mode == "LSTM" else ("hidden",)
        for name, state, shape in zip(names, states, self._state_shapes(batch), strict=True):
            if tuple(state.shape) != shape:
                raise RuntimeError(
                    f"Expected {name} size {shape}, got {list(state.shape)}"
                    if self.mode == "LSTM"
                    else f"Expected hidden size {shape}, got {list(state.shape)}"
                )

    # --- the walk ----------------------------------------------------------------------------------------------------

    def forward(self, input: Any, hx: Any = None) -> Any:
        """(T, B, input_size), a sequence (T, input_size) or a PackedSequence, and the starting state or None.

        Returns (output, state at the end): output is (T, B, directions · H), or as the input is.
        """
        cells = self.mode == "LSTM"
        states = () if hx is None else tuple(hx) if cells else (hx,)
        packed = input if isinstance(input, PackedSequence) else None
        single = False
        if packed is not None:
            data, batch_sizes = packed.data, packed.batch_sizes
            self.check_input(data, batch_sizes)
            sizes = recording.values("batch_sizes", batch_sizes)
            batch = sizes[0]
            if packed.sorted_indices is not None:
                states = tuple(state.index_select(1, packed.sorted_indices) for state in states)
        else:
            if input.ndim not in (2, 3):
                raise ValueError(f"{self.mode.split('_')[0]}: Expected input to be 2D or 3D, got {input.ndim}D instead")
            single = input.ndim == 2
            for state in states:
                if state.ndim != input.ndim:
                    kind = "unbatched 2-D" if single else "batched 3-D"
                    raise RuntimeError(
                        f"For {kind} input, hx should also be {input.ndim}-D but got {state.ndim}-D tensor"
                    )
            if single:
                input, states = input.unsqueeze(1), tuple(state.unsqueeze(1) for state in states)
            elif self.batch_first:
                input = input.transpose(0, 1)
            self.check_input(input, None)
            steps, batch = input.shape[0], input.shape[1]
            if steps == 0:
                raise RuntimeError(f"{self.mode}: Expected sequence length to be larger than 0 in RNN")
            sizes, data = [batch] * steps, input.reshape(-1, self.input_size)
        if states:
            self.check_forward_args(states, batch)
        else:
            shapes = self._state_shapes(batch)
            states = tuple(flambeau.zeros(shape, dtype=data.dtype) for shape in shapes)
        data, states = self._walk(data, sizes, states)
        if packed is not None:
            if packed.unsorted_indices is not None:
                states = tuple(state.index_select(1, packed.unsorted_indices) for state in states)
            output: Any = PackedSequence(data, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices)
        else:
            output = data.reshape(len(sizes), batch, -1)
            if single:
                output, states = output.squeeze(1), tuple(state.squeeze(1) for state in states)
            elif self.batch_first:
                output = output.transpose(0, 1)
        return output, states if cells else states[0]

    def _walk(self, data: Any, sizes: list[int], states: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        narrow = _core.autocast_dtype()
        if narrow is not None:  # the whole layer runs in one dtype: an LSTM in that of the region
            narrow = narrow if self.mode == "LSTM" else flambeau.float32
            data, states = data.to(narrow), tuple(state.to(narrow) for state in states)
            before = _core.set_autocast(None)
            try:
                return self._layers(data, sizes, states, narrow)
            finally:
                _core.set_autocast(before)
        return self._layers(data, sizes, states, None)

    def _layers(self, data: Any, sizes: list[int], states: tuple[Any, ...], narrow: Any) -> Any:
        directions = 2 if self.bidirectional else 1
        cells, apart = CELLS[self.mode].has_cell, CELLS[self.mode].apart
        last: list[list[Any]] = [[], []]
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(directions):
                k = layer * directions + direction
                names = self._flat_weights_names[k]
                weights = {name.split("_l")[0]: getattr(self, name) for name in names}
                if narrow is not None:
                    weights = {name: weight.to(narrow) for name, weight in weights.items()}
                bias, hidden_bias = weights.get("bias_ih"), weights.get("bias_hh")
                if bias is not None and not apart:
                    bias, hidden_bias = bias + hidden_bias, None
                gates = _core.linear(data, weights["weight_ih"], bias)
                cell = states[1][k] if cells else None
                output, h, c = sequence(
                    self.mode, gates, sizes, states[0][k], cell, weights["weight_hh"], hidden_bias,
                    weights.get("weight_hr"), direction == 1,
                )  # fmt: skip
                outputs.append(output)
                last[0].append(h)
                last[1].append(c)
            data = outputs[0] if directions == 1 else flambeau.cat(outputs, -1)
            if self.dropout and layer + 1 < self.num_layers:
                data = F.dropout(data, self.dropout, self.training)
        return data, tuple(flambeau.stack(each) for each in last[: 1 + cells])

    def extra_repr(self) -> str:
        """Sizes, and the options that are not the usual ones."""
        text = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size:
            text += f", proj_size={self.proj_size}"
        usual = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        return text + "".join(f", {k}={getattr(self, k)}" for k, v in usual.items() if getattr(self, k) != v)


class RNN(RNNBase):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh) over a sequence, in one or several layers.

    Arguments: `input_size`, `hidden_size` H; `num_layers`; `nonlinearity`, "tanh" or "relu"; `bias`; `batch_first`,
    tensors are (B, T, ...) instead of (T, B, ...); `dropout`, between layers; `bidirectional`. Called with the input
    and the starting state (layers · directions, B, H), zeros when None. Errors: ValueError, RuntimeError.

    Example:
        >>> output, h = fl.nn.RNN(10, 20, 2)(fl.zeros(5, 3, 10))
        >>> output.shape, h.shape
        (Size([5, 3, 20]), Size([2, 3, 20]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        **more: Any,
    ) -> None:
        if more:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(
            f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first, dropout,
            bidirectional, 0, device, dtype,
        )  # fmt: skip
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory over a sequence, in one or several layers.

    i, f, o = σ(...), g = tanh(...) of W_ih x_t + b_ih + W_hh h_{t-1} + b_hh; c_t = f c_{t-1} + i g;
    h_t = o tanh(c_t), times W_hr with a projection.

    Arguments: as of `RNN`, and `proj_size`, the size of h where it is projected. Called with the input and (h_0, c_0),
    zeros when None. Returns (output, (h_n, c_n)). Errors: ValueError, RuntimeError.

    Example:
        >>> output, (h, c) = fl.nn.LSTM(10, 20, 2)(fl.zeros(5, 3, 10))
        >>> output.shape, c.shape
        (Size([5, 3, 20]), Size([2, 3, 20]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device,
            dtype,
        )  # fmt: skip


class GRU(RNNBase):
    """Gated recurrent units over a sequence, in one or several layers.

    r, z = σ(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh); n = tanh(W_in x_t + b_in + r (W_hn h_{t-1} + b_hn));
    h_t = (1 - z) n + z h_{t-1}.

    Arguments: as of `RNN`, without `nonlinearity`. Called with the input and h_0. Returns (output, h_n).

    Example:
        >>> fl.nn.GRU(10, 20)(fl.zeros(5, 3, 10))[0].shape
        Size([5, 3, 20])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        **more: Any,
    ) -> None:
        if more:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )
