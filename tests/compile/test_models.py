"""Models that people train: compiled equals eager, bit for bit, in results, gradients, buffers and optimizer state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flambeau as fl
from benchmarks.sequences import language_model

F, nn, optim = fl.nn.functional, fl.nn, fl.optim
rnn = fl.nn.utils.rnn
#: A model, its loss, its batches, its optimizer, and the largest norm of its gradients.
Case = tuple[Any, Callable[..., Any], Callable[[int], tuple[Any, ...]], Any, float | None]


def digits(build: Callable[[Any], Any]) -> Case:
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10),
    )  # fmt: skip
    return model, lambda x, y: F.cross_entropy(model(x), y), pictures(64, 1, 28), build(model.parameters()), None


def pictures(batch: int, channels: int, size: int) -> Callable[[int], tuple[Any, ...]]:
    return lambda i: (fl.randn(batch, channels, size, size), fl.randint(0, 10, (batch,)))


class Block(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after)
        self.conv2, self.norm2 = nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after)
        self.short = nn.Sequential()
        if stride != 1 or before != after:
            self.short = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Any) -> Any:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.short(x))


def residual(width: int = 8, batch: int = 16) -> Case:
    layers: list[Any] = [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    before = width
    for i, stride in enumerate((1, 2, 2, 2)):
        layers += [Block(before, width << i, stride), Block(width << i, width << i, 1)]
        before = width << i
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 10))
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    return model, lambda x, y: F.cross_entropy(model(x), y), pictures(batch, 3, 32), optimizer, None


def characters() -> Case:
    model = language_model(fl)
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)
    schedule = optim.lr_scheduler.LambdaLR(optimizer, lambda n: min(1.0, (n + 1) / 4))

    def batch(i: int) -> tuple[Any, ...]:
        if i:
            schedule.step()
        return fl.randint(0, 65, (12, 64)), fl.randint(0, 65, (12, 64))

    return model, model, batch, optimizer, 1.0


def recurrent(kind: Any, **options: Any) -> Case:
    model = kind(32, 128, 2, **options)
    return (
        model, lambda x: model(x)[0].square().mean(), lambda i: (fl.randn(50, 32, 32),),
        optim.Adam(model.parameters()), None,
    )  # fmt: skip


def packed() -> Case:
    model = nn.LSTM(8, 16, 2, bidirectional=True)

    def loss(x: Any) -> Any:
        output, (h, _) = model(rnn.pack_padded_sequence(x, [7, 5, 5, 2]))
        padded, lengths = rnn.pad_packed_sequence(output)
        return padded.square().mean() + h.sum() * 0.01, lengths

    return model, loss, lambda i: (fl.randn(7, 4, 8),), optim.Adam(model.parameters()), None


def encoder() -> Case:
    model = nn.TransformerEncoderLayer(64, 4, 128, 0.2, batch_first=True)
    optimizer = optim.RAdam(model.parameters())
    return model, lambda x: model(x).square().mean(), lambda i: (fl.randn(4, 17, 64),), optimizer, None


def attention() -> Case:
    model = nn.MultiheadAttention(64, 4, dropout=0.1, batch_first=True)
    hidden = fl.arange(17) > 14

    def loss(x: Any) -> Any:
        value, weights = model(x, x, x, key_padding_mask=hidden.expand(4, 17))
        return value.square().mean() + weights.sum() * 0.01 + model(x, x, x, need_weights=False)[0].mean()

    return model, loss, lambda i: (fl.randn(4, 17, 64),), optim.NAdam(model.parameters()), None


CASES: dict[str, Callable[[], Case]] = {
    "digits_adam": lambda: digits(optim.Adam),
    "digits_sgd": lambda: digits(lambda p: optim.SGD(p, lr=0.01)),
    "residual": residual,
    "characters": characters,
    "lstm": lambda: recurrent(nn.LSTM),
    "gru": lambda: recurrent(nn.GRU),
    "bidirectional": lambda: recurrent(nn.LSTM, bidirectional=True, dropout=0.1),
    "projection": lambda: recurrent(nn.LSTM, proj_size=16),
    "rnn": lambda: recurrent(nn.RNN),
    "packed": packed,
    "encoder": encoder,
    "attention": attention,
}


def bits(tensor: Any) -> Any:
    return tensor.dtype, tensor.shape, tensor.detach().numpy().tobytes()


def everything(model: Any, optimizer: Any) -> list[Any]:
    tensors = [*model.parameters(), *model.buffers(), *(p.grad for p in model.parameters())]
    tensors += [value for state in optimizer.state.values() for value in state.values()]
    return [bits(t) for t in tensors if isinstance(t, fl.Tensor)]


@pytest.mark.parametrize("name", CASES)
def test_training(name: str) -> None:
    found: list[list[Any]] = [[], []]
    for side in range(2):
        fl.manual_seed(0)
        model, loss, batch, optimizer, limit = CASES[name]()

        def step(*args: Any) -> Any:
            optimizer.zero_grad()  # noqa: B023
            value = loss(*args)  # noqa: B023
            value = value if isinstance(value, tuple) else (value,)
            value[0].backward()
            if limit is not None:  # noqa: B023
                nn.utils.clip_grad_norm_(model.parameters(), limit)  # noqa: B023
            optimizer.step()  # noqa: B023
            return value

        call = fl.compile(step) if side else step
        fl.manual_seed(1)
        for i in range(6):
            result = call(*batch(i))
            found[side].append([*map(bits, result), *everything(model, optimizer)])
    for one, two in zip(*found, strict=True):
        assert one == two
    assert call.plans == 1


@pytest.mark.parametrize("name", ["residual", "characters", "lstm", "packed", "encoder", "attention"])
def test_backward_outside(name: str) -> None:
    found: list[list[Any]] = [[], []]
    for side in range(2):
        fl.manual_seed(0)
        model, loss, batch, optimizer, _ = CASES[name]()
        call = fl.compile(loss) if side else loss
        fl.manual_seed(1)
        for i in range(5):
            optimizer.zero_grad()
            value = call(*batch(i))
            value = value if isinstance(value, tuple) else (value,)
            value[0].backward()
            optimizer.step()
            found[side].append([*map(bits, value), *everything(model, optimizer)])
    for one, two in zip(*found, strict=True):
        assert one == two
    assert call.plans == 1


def test_several_shapes_at_once() -> None:
    found: list[list[Any]] = [[], []]
    for side in range(2):
        fl.manual_seed(0)
        model = residual(4)[0].eval()
        forward = fl.compile(model) if side else model
        fl.manual_seed(1)
        with fl.no_grad():
            for i in range(16):
                found[side].append(bits(forward(fl.randn(1 + i % 4, 3, 32, 32))))
    assert found[0] == found[1]
    assert forward.plans == 4


def test_inference_of_one_sequence() -> None:
    fl.manual_seed(0)
    model = language_model(fl).eval()

    def logits(numbers: Any) -> Any:
        x = model.token(numbers) + model.place(fl.arange(numbers.shape[1]))
        for block in model.blocks:
            x = block(x)
        return model.head(model.norm(x))

    compiled = fl.compile(logits)
    with fl.no_grad():
        for _ in range(5):
            numbers = fl.randint(0, 65, (1, 64))
            assert bits(logits(numbers)) == bits(compiled(numbers))
    assert compiled.plans == 1


def test_running_averages_are_seen_between_calls() -> None:
    fl.manual_seed(0)
    models = [nn.BatchNorm1d(3) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    calls = [models[0], fl.compile(models[1])]
    for i in range(8):
        if i == 5:
            for model in models:
                model.reset_running_stats()
        if i == 6:
            for model in models:
                model.eval()
        x = fl.randn(6, 3)
        assert bits(calls[0](x)) == bits(calls[1](x))
        for one, two in zip(models[0].buffers(), models[1].buffers(), strict=True):
            assert bits(one) == bits(two)
    assert models[1].num_batches_tracked.item() == 1


def test_a_packed_sequence_as_argument() -> None:
    fl.manual_seed(0)
    model = nn.GRU(8, 16)
    compiled = fl.compile(lambda sequence: model(sequence)[0])
    with fl.no_grad():
        for lengths in ([3, 7, 5], [7, 3, 5], [3, 7, 5], [7, 7, 2], [7, 7, 2], [5, 7, 3], [7, 7, 2]):
            sequence = rnn.pack_padded_sequence(fl.randn(7, 3, 8), lengths, enforce_sorted=False)
            one, two = model(sequence)[0], compiled(sequence)
            assert isinstance(two, rnn.PackedSequence)
            for a, b in zip(one, two, strict=True):
                assert bits(a) == bits(b)
    assert compiled.plans == 2  # one for each way in which sequences end
