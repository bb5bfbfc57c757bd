"""The two networks of the quick path: one plain multilayer perceptron, and several of them run as one batched model."""

from __future__ import annotations

from itertools import pairwise

import flambeau as fl
from flambeau import nn

__all__ = ["Ensemble", "perceptron"]


def perceptron(sizes: list[int]) -> nn.Module:
    """Linear layers of the given sizes with ReLU between them, e.g. [87, 64, 32, 1]."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Ensemble(nn.Module):
    """Perceptrons of one shape side by side: weights (M, K_in, K_out), one batched product a layer for all members.

    Arguments: `members`, how many; `sizes`, layer sizes from input to output; `seed`, of the initial weights.
    Input: (M, N, K), each member's own rows. Output: (M, N).
    """

    def __init__(self, members: int, sizes: list[int], seed: int) -> None:
        super().__init__()
        import numpy as np

        generator = np.random.default_rng([seed, 2])
        self.depth = len(sizes) - 1
        for layer, (inputs, outputs) in enumerate(pairwise(sizes)):
            bound = inputs**-0.5
            weight = generator.uniform(-bound, bound, (members, inputs, outputs)).astype(np.float32)
            bias = generator.uniform(-bound, bound, (members, 1, outputs)).astype(np.float32)
            setattr(self, f"weight{layer}", nn.Parameter(fl.from_numpy(weight)))
            setattr(self, f"bias{layer}", nn.Parameter(fl.from_numpy(bias)))

    def forward(self, inputs: fl.Tensor) -> fl.Tensor:
        hidden = inputs
        for layer in range(self.depth):
            hidden = fl.baddbmm(getattr(self, f"bias{layer}"), hidden, getattr(self, f"weight{layer}"))
            if layer < self.depth - 1:
                hidden = fl.relu(hidden)
        return hidden.squeeze(-1)
