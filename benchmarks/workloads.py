"""The models that are trained side by side: plain PyTorch-style text, the framework module its only parameter.

Each workload is a function of a framework module (flambeau or torch) that returns a step: a function without arguments
that does one whole training step, or one inference. `benchmarks/workloads_jax.py` has the same steps in JAX's style.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.sequences import language_model

Step = Callable[[], Any]


def housing(fw: Any, batch: int) -> Step:
    """The 87-64-32-1 regression with Adam."""
    nn = fw.nn
    fw.manual_seed(0)
    model = nn.Sequential(nn.Linear(87, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
    x, y = fw.randn(batch, 87), fw.randn(batch, 1)
    criterion, optimizer = nn.MSELoss(), fw.optim.Adam(model.parameters(), lr=0.01)

    def step() -> Any:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def digits(fw: Any, batch: int = 64) -> Step:
    """The MNIST example's convolutional network with Adam."""
    nn = fw.nn
    fw.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10),
    )  # fmt: skip
    x, y = fw.randn(batch, 1, 28, 28), fw.randint(0, 10, (batch,))
    criterion, optimizer = nn.CrossEntropyLoss(), fw.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> Any:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def language(fw: Any, layers: int, width: int, heads: int, context: int, batch: int, vocabulary: int = 65) -> Step:
    """A GPT with AdamW."""
    fw.manual_seed(0)
    model = language_model(fw, vocabulary, width, context, layers, heads)
    optimizer = fw.optim.AdamW(model.parameters(), lr=1e-3)
    numbers, targets = (fw.randint(0, vocabulary, (batch, context)) for _ in range(2))

    def step() -> Any:
        optimizer.zero_grad()
        loss = model(numbers, targets)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def generation(fw: Any) -> Step:
    """One forward pass of the character GPT for one text."""
    fw.manual_seed(0)
    model = language_model(fw)
    model.eval()
    numbers = fw.randint(0, 65, (1, 64))

    def step() -> Any:
        with fw.no_grad():
            return model.logits(numbers)

    return step


def recurrent(fw: Any) -> Step:
    """A two-layer LSTM, 32 numbers in, 128 hidden, 50 steps of a batch of 32, with Adam."""
    nn = fw.nn
    fw.manual_seed(0)
    layer, head = nn.LSTM(32, 128, 2), nn.Linear(128, 1)
    parameters = [*layer.parameters(), *head.parameters()]
    x, y = fw.randn(50, 32, 32), fw.randn(32, 1)
    optimizer = fw.optim.Adam(parameters, lr=1e-3)

    def step() -> Any:
        optimizer.zero_grad()
        loss = ((head(layer(x)[0][-1]) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def residual_network(fw: Any) -> Any:
    """ResNet-18 for 32 x 32 images: a 3 x 3 stem, no first pool, ten classes."""
    nn = fw.nn

    class Block(nn.Module):
        def __init__(self, before: int, after: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(after)
            self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(after)
            self.relu = nn.ReLU()
            self.downsample = None
            if stride != 1 or before != after:
                self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

        def forward(self, x: Any) -> Any:
            identity = x if self.downsample is None else self.downsample(x)
            x = self.relu(self.bn1(self.conv1(x)))
            return self.relu(self.bn2(self.conv2(x)) + identity)

    stages, before = [], 64
    for after, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        stages += [Block(before, after, stride), Block(after, after, 1)]
        before = after
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), *stages,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10),
    )  # fmt: skip


def images(fw: Any, batch: int = 16) -> Step:
    """ResNet-18 on 32 x 32 images with SGD."""
    fw.manual_seed(0)
    model = residual_network(fw)
    x, y = fw.randn(batch, 3, 32, 32), fw.randint(0, 10, (batch,))
    criterion = fw.nn.CrossEntropyLoss()
    optimizer = fw.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

    def step() -> Any:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


class Workload(NamedTuple):
    """A step to time, what it must compute, and what is asked of it.

    `operations` counts the multiplications and additions of its contractions. `peer` is the ratio asked of the compiled
    step against the best of torch, torch.compile and JAX, `eager` that of the eager step against torch's eager one.
    """

    name: str
    title: str
    make: Callable[[Any], Step]
    operations: float
    peer: float
    eager: float | None = None
    seconds: float | None = None


def housing_operations(batch: int) -> float:
    sizes = [(87, 64), (64, 32), (32, 1)]
    forward = sum(2 * batch * a * b for a, b in sizes)
    return 3 * forward - 2 * batch * 87 * 64  # nothing flows into the data


def language_operations(layers: int, width: int, context: int, batch: int, vocabulary: int = 65) -> float:
    """Forward; causal attention needs half of the square."""
    tokens = batch * context
    block = 2 * tokens * 12 * width * width + 2 * 2 * tokens * context * width / 2
    return layers * block + 2 * tokens * width * vocabulary


def digits_operations(batch: int) -> float:
    first, second = 2 * batch * 26 * 26 * 32 * 9, 2 * batch * 24 * 24 * 64 * 32 * 9
    linear = 2 * batch * (9216 * 128 + 128 * 10)
    return 2 * first + 3 * (second + linear)


def residual_operations(batch: int) -> float:
    total, side, before = 2 * batch * 1024 * 64 * 27, 32, 64
    stem = total
    for after, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        side //= stride
        area = 2 * batch * side * side
        total += area * after * 9 * (before + 3 * after)
        if stride != 1 or before != after:
            total += area * after * before
        before = after
    return 3 * (total + 2 * batch * 5120) - stem


def recurrent_operations() -> float:
    rows = 50 * 32
    forward = 2 * rows * 512 * (32 + 128 + 128 + 128)
    return 3 * forward - 2 * rows * 512 * 32


WORKLOADS = [
    Workload("housing_32", "87-64-32-1, Adam, batch 32", lambda fw: housing(fw, 32), housing_operations(32), 4, 6,
             25e-6),
    Workload("housing_256", "87-64-32-1, Adam, batch 256", lambda fw: housing(fw, 256), housing_operations(256), 2.8),
    Workload("housing_4096", "87-64-32-1, Adam, batch 4096", lambda fw: housing(fw, 4096), housing_operations(4096),
             1.5),
    Workload("digits", "MNIST network, Adam, batch 64", digits, digits_operations(64), 1.8),
    Workload("gpt_small", "GPT of 4 x 128, 12 x 64 characters, AdamW", lambda fw: language(fw, 4, 128, 4, 64, 12),
             3 * language_operations(4, 128, 64, 12), 1.25, 1.25),
    Workload("gpt_middle", "GPT of 6 x 384, 4 x 256 characters, AdamW", lambda fw: language(fw, 6, 384, 6, 256, 4),
             3 * language_operations(6, 384, 256, 4), 1.1),
    Workload("lstm", "two-layer LSTM 32-128, 50 x 32, Adam", recurrent, recurrent_operations(), 1.35),
    Workload("resnet", "ResNet-18 on 32 x 32, batch 16, SGD", images, residual_operations(16), 1.0),
    Workload("generation", "GPT of 4 x 128, forward of 1 x 64", generation, language_operations(4, 128, 64, 1), 1.8),
]  # fmt: skip
