"""Layers: the same parameters, outputs, state keys and repr as PyTorch's."""

import pytest

import flambeau as fl
from flambeau import nn

LAYERS = [
    ("Linear", (3, 4), {}, [(2, 3)]),
    ("Linear", (3, 4), {"bias": False}, [(3,)]),
    ("Bilinear", (3, 4, 2), {}, [(5, 3), (5, 4)]),
    ("LayerNorm", ((3, 4),), {}, [(2, 3, 4)]),
    ("LayerNorm", (4,), {"bias": False, "eps": 0.1}, [(2, 4)]),
    ("LayerNorm", (4,), {"elementwise_affine": False}, [(2, 4)]),
    ("RMSNorm", (4,), {}, [(2, 4)]),
    ("RMSNorm", (4,), {"eps": 0.1, "elementwise_affine": False}, [(2, 4)]),
    ("GroupNorm", (2, 4), {}, [(2, 4, 3)]),
    ("PReLU", (), {"num_parameters": 3}, [(2, 3, 2)]),
    ("Flatten", (), {}, [(2, 3, 4)]),
    ("Unflatten", (1, (2, 3)), {}, [(4, 6)]),
    ("CosineSimilarity", (), {"dim": 1}, [(2, 3), (2, 3)]),
    ("PairwiseDistance", (), {}, [(2, 3), (2, 3)]),
    ("Identity", (1, 2), {"unused": 3}, [(2, 3)]),
    ("Hardtanh", (-0.3, 0.4), {}, [(2, 3)]),
    ("ReLU6", (), {}, [(2, 3)]),
    ("Threshold", (0.1, 0.2), {}, [(2, 3)]),
    ("ELU", (0.5,), {}, [(2, 3)]),
    ("CELU", (0.5,), {}, [(2, 3)]),
    ("LeakyReLU", (), {}, [(2, 3)]),
    ("GELU", ("tanh",), {}, [(2, 3)]),
    ("GLU", (), {}, [(2, 4)]),
    ("Softplus", (), {}, [(2, 3)]),
    ("Hardshrink", (), {}, [(2, 3)]),
    ("Softshrink", (), {}, [(2, 3)]),
    ("Softmax", (1,), {}, [(2, 3)]),
    ("LogSoftmax", (-1,), {}, [(2, 3)]),
    ("Softmin", (0,), {}, [(2, 3)]),
    ("Softmax2d", (), {}, [(2, 3, 2, 2)]),
    ("MSELoss", (), {}, [(2, 3), (2, 3)]),
    ("HuberLoss", (), {"delta": 0.5}, [(2, 3), (2, 3)]),
    *((name, (), {}, [(2, 3)]) for name in (
        "ReLU", "SELU", "SiLU", "Mish", "Hardsigmoid", "Hardswish", "Sigmoid", "Tanh", "LogSigmoid", "Softsign",
        "Tanhshrink",
    )),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "options", "shapes"), LAYERS)
def test_as_in_torch(name, arguments, options, shapes):
    torch = pytest.importorskip("torch")
    ours, theirs = getattr(nn, name)(*arguments, **options), getattr(torch.nn, name)(*arguments, **options)
    assert repr(ours) == repr(theirs)
    reference = theirs.state_dict()
    assert {k: tuple(v.shape) for k, v in ours.state_dict().items()} == {
        k: tuple(v.shape) for k, v in reference.items()
    }
    ours.load_state_dict({k: fl.tensor(v.tolist()) for k, v in reference.items()})
    inputs = [torch.randn(shape) for shape in shapes]
    result = ours(*(fl.tensor(t.tolist()) for t in inputs))
    expected = theirs(*inputs)
    assert tuple(result.shape) == tuple(expected.shape)
    assert torch.allclose(torch.tensor(result.tolist()), expected, atol=1e-5)


def test_embedding():
    fl.manual_seed(0)
    layer = nn.Embedding(5, 3, padding_idx=-1)
    assert layer.padding_idx == 4 and layer.weight[4].tolist() == [0, 0, 0]
    index = fl.tensor([[1, 4], [1, 0]])
    out = layer(index)
    assert out.shape == (2, 2, 3) and out[0, 0].tolist() == layer.weight[1].tolist()
    out.sum().backward()
    assert layer.weight.grad[:, 0].tolist() == [1, 2, 0, 0, 0]
    assert repr(layer) == "Embedding(5, 3, padding_idx=4)"
    table = fl.tensor([[3.0, 4.0], [0.3, 0.4]])
    fixed = nn.Embedding.from_pretrained(table)
    assert not fixed.weight.requires_grad and fixed(fl.tensor(1)).tolist() == pytest.approx([0.3, 0.4])
    short = nn.Embedding.from_pretrained(table.clone(), freeze=True, max_norm=1.0)
    assert short(fl.tensor([0, 1])).flatten().tolist() == pytest.approx([0.6, 0.8, 0.3, 0.4], rel=1e-4)
    with pytest.raises(AssertionError, match="Padding_idx"):
        nn.Embedding(5, 3, padding_idx=5)
    with pytest.raises(AssertionError, match="2-dimensional"):
        nn.Embedding.from_pretrained(fl.ones(3))


def test_starting_values():
    fl.manual_seed(0)
    layer = nn.Linear(100, 50)
    bound = 0.1
    for tensor in (layer.weight, layer.bias):
        assert -bound <= tensor.min().item() and tensor.max().item() <= bound
        assert tensor.abs().max().item() > 0.9 * bound
    fl.manual_seed(0)
    assert nn.Linear(100, 50).weight.tolist() == layer.weight.tolist()
    assert nn.Linear(2, 2, dtype=fl.float64, device="cpu").weight.dtype == fl.float64


def test_losses_keep_their_weights():
    loss = nn.CrossEntropyLoss(weight=fl.ones(3))
    assert list(loss.state_dict()) == ["weight"] and loss.double().weight.dtype == fl.float64
    assert nn.CrossEntropyLoss()(fl.zeros(2, 3), fl.tensor([0, 1])).item() == pytest.approx(1.0986123)
    assert nn.BCEWithLogitsLoss(pos_weight=fl.tensor(2.0))(fl.zeros(1), fl.ones(1)).item() == pytest.approx(1.3862944)
    assert nn.NLLLoss()(fl.tensor([[-1.0, -2.0]]), fl.tensor([1])).item() == 2
    for wrong in (lambda: nn.MultiMarginLoss(p=3), lambda: nn.TripletMarginLoss(margin=0), lambda: nn.GroupNorm(2, 3)):
        with pytest.raises(ValueError):
            wrong()


def test_clipping_and_vectors():
    a, b = nn.Parameter(fl.zeros(2)), nn.Parameter(fl.zeros(1, 2))
    a.grad, b.grad = fl.tensor([3.0, 0.0]), fl.tensor([[0.0, 4.0]])
    assert nn.utils.clip_grad_norm_([a, b], 10.0).item() == 5 and a.grad.tolist() == [3, 0]
    assert nn.utils.clip_grad_norm_(iter([a, b]), 1.0).item() == 5
    assert a.grad.tolist() == pytest.approx([0.6, 0], rel=1e-4) and b.grad.flatten().tolist() == pytest.approx([0, 0.8])
    assert nn.utils.get_total_norm([a.grad, b.grad], float("inf")).item() == pytest.approx(0.8)
    nn.utils.clip_grad_value_([a, b], 0.5)
    assert a.grad.tolist() == pytest.approx([0.5, 0]) and b.grad.flatten().tolist() == pytest.approx([0, 0.5])
    a.grad = fl.tensor([float("nan"), 0.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        nn.utils.clip_grad_norm_([a], 1.0, error_if_nonfinite=True)
    vector = nn.utils.parameters_to_vector([a, b])
    assert vector.shape == (4,)
    nn.utils.vector_to_parameters(fl.arange(4.0), [a, b])
    assert a.tolist() == [0, 1] and b.tolist() == [[2, 3]] and a.requires_grad
    with pytest.raises(fl.ShapeError, match="4 elements, but the vector has 3"):
        nn.utils.vector_to_parameters(fl.ones(3), [a, b])
