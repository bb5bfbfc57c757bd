"""Layers for images and sequences: repr, state keys and results as PyTorch's, and a small network that learns."""

import numpy as np
import pytest

import flambeau as fl
from flambeau import nn

LAYERS = [
    ("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1, "padding_mode": "circular"}, (2, 4, 9)),
    ("Conv2d", (4, 6, (3, 2)), {"dilation": 2, "groups": 2, "bias": False}, (2, 4, 9, 8)),
    ("Conv2d", (4, 6, 3), {"padding": "same", "padding_mode": "reflect"}, (2, 4, 9, 8)),
    ("Conv3d", (2, 3, 2), {}, (2, 2, 4, 5, 6)),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "padding": 1, "output_padding": 1}, (2, 4, 9)),
    ("ConvTranspose2d", (4, 6, 3), {"groups": 2}, (2, 4, 5, 6)),
    ("ConvTranspose3d", (2, 3, 2), {"stride": 2}, (1, 2, 3, 4, 2)),
    ("BatchNorm1d", (4,), {}, (5, 4)),
    ("BatchNorm2d", (4,), {"momentum": None, "affine": False}, (2, 4, 3, 3)),
    ("BatchNorm3d", (2,), {"track_running_stats": False}, (2, 2, 3, 3, 2)),
    ("InstanceNorm1d", (4,), {}, (2, 4, 5)),
    ("InstanceNorm2d", (4,), {"affine": True, "track_running_stats": True}, (2, 4, 3, 3)),
    ("MaxPool1d", (2,), {}, (2, 3, 7)),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1, "ceil_mode": True}, (2, 3, 8, 7)),
    ("MaxPool3d", (2,), {"dilation": 2}, (1, 2, 5, 6, 7)),
    ("AvgPool1d", (3,), {"padding": 1}, (2, 3, 7)),
    ("AvgPool2d", ((2, 3),), {"divisor_override": 5}, (2, 3, 7, 8)),
    ("AvgPool3d", (2,), {"ceil_mode": True}, (2, 3, 5, 6, 3)),
    ("AdaptiveAvgPool2d", ((3, None),), {}, (2, 3, 7, 8)),
    ("AdaptiveMaxPool1d", (3,), {}, (2, 3, 7)),
    ("LPPool2d", (2, 3), {"stride": 2}, (2, 3, 7, 8)),
    ("Upsample", (), {"scale_factor": 2, "mode": "bilinear"}, (1, 2, 3, 4)),
    ("PixelShuffle", (2,), {}, (1, 8, 3, 4)),
    ("PixelUnshuffle", (2,), {}, (1, 2, 4, 6)),
    ("ChannelShuffle", (2,), {}, (1, 4, 3, 2)),
    ("ZeroPad2d", ((1, 0, 2, 1),), {}, (1, 2, 3, 4)),
    ("ConstantPad1d", (2, 3.5), {}, (1, 2, 3)),
    ("ReflectionPad2d", (1,), {}, (1, 2, 3, 4)),
    ("ReplicationPad3d", (1,), {}, (1, 2, 3, 4, 2)),
    ("CircularPad1d", ((1, 2),), {}, (1, 2, 3)),
    ("Unfold", (2,), {}, (1, 2, 3, 4)),
    ("Fold", ((3, 4), 2), {}, (1, 8, 6)),
]


@pytest.mark.parametrize(("name", "arguments", "options", "shape"), LAYERS)
def test_layer_as_in_pytorch(name, arguments, options, shape):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.nn, name)(*arguments, **options)
    ours = getattr(nn, name)(*arguments, **options)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({key: fl.tensor(value.numpy()) for key, value in theirs.state_dict().items()})
    x = np.random.default_rng(0).standard_normal(shape).astype("float32")
    for _ in range(2):
        expected, found = theirs(torch.from_numpy(x)), ours(fl.tensor(x))
        np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), atol=2e-5)
        for key, value in theirs.state_dict().items():
            np.testing.assert_allclose(ours.state_dict()[key].numpy(), value.numpy(), atol=1e-5)
        theirs.eval()
        ours.eval()


@pytest.mark.parametrize(("name", "arguments", "options", "shape"), LAYERS)
def test_layer_trains(name, arguments, options, shape):
    layer = getattr(nn, name)(*arguments, **options)
    x = fl.randn(*shape, requires_grad=True)
    (layer(x) ** 2).sum().backward()
    assert x.grad is not None and tuple(x.grad.shape) == shape
    assert all(p.grad is not None for p in layer.parameters())


def test_initial_weights():
    fl.manual_seed(0)
    layer = nn.Conv2d(16, 64, 3)
    bound = 1 / 12.0
    for p in layer.parameters():
        assert p.abs().max().item() <= bound
        assert p.abs().max().item() > 0.8 * bound


def test_small_network_learns():
    fl.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(32, 2),
    )  # fmt: skip
    x = fl.randn(64, 1, 8, 8)
    target = (x[:, 0, :, :4].sum((1, 2)) > x[:, 0, :, 4:].sum((1, 2))).long()
    optimizer = fl.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    assert model[1].num_batches_tracked.item() == 40
