"""Cases over sequences: attention, a recurrent network, a small language model; eager, forward and backward."""

from __future__ import annotations

import functools
from typing import Any

from benchmarks.timing import Case


def _attention(framework: Any, shape: tuple[int, ...]) -> dict[str, Any] | None:
    if not hasattr(framework, "nn"):
        return None
    q, k, v = (framework.randn(*shape).requires_grad_(True) for _ in range(3))
    cotangent, attend = framework.randn(*shape), framework.nn.functional.scaled_dot_product_attention

    def step() -> None:
        framework.autograd.grad(attend(q, k, v, is_causal=True), (q, k, v), cotangent)

    return {"step": step}


def _lstm(framework: Any) -> dict[str, Any] | None:
    if not hasattr(framework, "nn"):
        return None
    layer, x = framework.nn.LSTM(32, 128, 2), framework.randn(50, 32, 32)

    def step() -> None:
        layer.zero_grad()
        layer(x)[0].sum().backward()

    return {"step": step}


def language_model(
    framework: Any, vocabulary: int = 65, width: int = 128, length: int = 64, layers: int = 4, heads: int = 4
) -> Any:
    """A transformer that predicts the next character: called with numbers and targets (N, T), gives the loss.

    `logits` of it takes the numbers alone, and gives the scores of every next character, (N, T, V).
    """
    nn, functional = framework.nn, framework.nn.functional

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            n, t, c = x.shape
            parts = self.qkv(self.norm1(x)).split(c, dim=2)
            q, k, v = (part.view(n, t, heads, c // heads).transpose(1, 2) for part in parts)
            seen = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(seen.transpose(1, 2).contiguous().view(n, t, c))
            return x + self.down(functional.gelu(self.up(self.norm2(x))))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token, self.place = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
            self.blocks = nn.ModuleList([Block() for _ in range(layers)])
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

        def logits(self, numbers: Any) -> Any:
            x = self.token(numbers) + self.place(framework.arange(numbers.shape[1]))
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

        def forward(self, numbers: Any, targets: Any) -> Any:
            return functional.cross_entropy(self.logits(numbers).view(-1, vocabulary), targets.view(-1))

    return Model()


def _gpt(framework: Any) -> dict[str, Any] | None:
    if not hasattr(framework, "nn"):
        return None
    framework.manual_seed(0)
    model = language_model(framework)
    optimizer = framework.optim.AdamW(model.parameters(), lr=1e-3)
    numbers, targets = (framework.randint(0, 65, (12, 64)) for _ in range(2))

    def step() -> None:
        optimizer.zero_grad()
        model(numbers, targets).backward()
        optimizer.step()

    return {"step": step}


def _shape(title: str, name: str, shape: tuple[int, ...]) -> Case:
    text = f"causal attention {title}, forward and backward"
    return Case(name, text, "step()", functools.partial(_attention, shape=shape), ratio=1.0, extra=True)


CASES = [
    _shape("12 x 4 x 64 x 32", "attention_short", (12, 4, 64, 32)),
    _shape("4 x 6 x 256 x 64", "attention_middle", (4, 6, 256, 64)),
    _shape("1 x 8 x 2048 x 64", "attention_long", (1, 8, 2048, 64)),
    Case("lstm_train", "two-layer LSTM, 32-128, 50 steps of 32", "step()", _lstm, ratio=1.35, extra=True),
    Case("gpt_train", "GPT of 4 x 128, 12 x 64 characters, AdamW", "step()", _gpt, ratio=1.25, extra=True),
]
