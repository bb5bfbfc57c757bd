"""Functions of nn.functional: values and gradients as in PyTorch, and errors for shapes that do not fit."""

import pytest

import flambeau as fl
import flambeau.nn.functional as F
from flambeau import nn

X = ((3, 5), 1.5)
ACTIVATIONS = [
    ("relu", {}), ("relu6", {}), ("elu", {"alpha": 0.7}), ("selu", {}), ("celu", {"alpha": 0.7}),
    ("leaky_relu", {"negative_slope": 0.2}), ("hardtanh", {"min_val": -0.5, "max_val": 0.7}), ("hardsigmoid", {}),
    ("hardswish", {}), ("hardshrink", {"lambd": 0.3}), ("softshrink", {"lambd": 0.3}), ("tanhshrink", {}),
    ("softsign", {}), ("softplus", {"beta": 2.0, "threshold": 1.0}), ("sigmoid", {}), ("logsigmoid", {}), ("tanh", {}),
    ("silu", {}), ("mish", {}), ("gelu", {}), ("gelu", {"approximate": "tanh"}),
    ("threshold", {"threshold": 0.1, "value": 9}),
    ("softmax", {"dim": 1}), ("softmax", {"dim": 0}), ("softmin", {"dim": 1}), ("log_softmax", {"dim": -1}),
    ("normalize", {}), ("normalize", {"p": 3.0, "dim": 0}), ("layer_norm", {"normalized_shape": (5,)}),
    ("layer_norm", {"normalized_shape": (3, 5), "eps": 0.1}), ("rms_norm", {"normalized_shape": (5,), "eps": 1e-5}),
    ("rms_norm", {"normalized_shape": (3, 5)}), ("rrelu", {}),
]  # fmt: skip
UNIT, SIGN, CLASS, PROBABILITY, LOGARITHM = "unit", "sign", "class", "probability", "logarithm"
LOSSES = [
    ("mse_loss", [X, X], {}), ("l1_loss", [X, X], {}), ("smooth_l1_loss", [X, X], {"beta": 0.5}),
    ("smooth_l1_loss", [X, X], {"beta": 0.0}), ("huber_loss", [X, X], {"delta": 0.6}),
    ("binary_cross_entropy", [((3, 5), UNIT), ((3, 5), UNIT)], {}),
    ("binary_cross_entropy", [((3, 5), UNIT), ((3, 5), UNIT)], {"weight": ((3, 1), UNIT)}),
    ("binary_cross_entropy_with_logits", [X, ((3, 5), UNIT)], {}),
    ("binary_cross_entropy_with_logits", [X, ((3, 5), UNIT)], {"weight": ((5,), UNIT), "pos_weight": ((5,), UNIT)}),
    ("binary_cross_entropy_with_logits", [X, ((3, 5), UNIT)], {"pos_weight": ((5,), UNIT)}),
    ("kl_div", [((3, 5), LOGARITHM), ((3, 5), PROBABILITY)], {}),
    ("kl_div", [((3, 5), LOGARITHM), ((3, 5), LOGARITHM)], {"log_target": True}),
    ("soft_margin_loss", [X, ((3, 5), SIGN)], {}), ("poisson_nll_loss", [X, ((3, 5), UNIT)], {}),
    ("poisson_nll_loss", [((3, 5), UNIT), ((3, 5), "count")], {"log_input": False, "full": True}),
    ("gaussian_nll_loss", [X, X, ((3, 5), UNIT)], {"full": True}), ("gaussian_nll_loss", [X, X, ((3, 1), UNIT)], {}),
    ("cross_entropy", [X, ((3,), CLASS)], {}), ("cross_entropy", [X, ((3,), CLASS)], {"ignore_index": 1}),
    ("cross_entropy", [X, ((3,), CLASS)], {"weight": ((5,), UNIT), "label_smoothing": 0.1, "ignore_index": 2}),
    ("cross_entropy", [X, ((3,), CLASS)], {"label_smoothing": 0.3}),
    ("cross_entropy", [((2, 5, 4, 3), 1.0), ((2, 4, 3), CLASS)], {"weight": ((5,), UNIT)}),
    ("cross_entropy", [((5,), 1.0), ((), CLASS)], {}),
    ("cross_entropy", [X, ((3, 5), PROBABILITY)], {"label_smoothing": 0.2}),
    ("cross_entropy", [X, ((3, 5), PROBABILITY)], {"weight": ((5,), UNIT)}),
    ("cross_entropy", [((2, 5, 4), 1.0), ((2, 5, 4), PROBABILITY)], {}),
    ("nll_loss", [((3, 5), LOGARITHM), ((3,), CLASS)], {"ignore_index": 1}),
    ("nll_loss", [((3, 5), LOGARITHM), ((3,), CLASS)], {"weight": ((5,), UNIT)}),
    ("nll_loss", [((2, 5, 3), LOGARITHM), ((2, 3), CLASS)], {"weight": ((5,), UNIT), "ignore_index": 0}),
    ("multi_margin_loss", [X, ((3,), CLASS)], {}),
    ("multi_margin_loss", [X, ((3,), CLASS)], {"p": 2, "margin": 0.5, "weight": ((5,), UNIT)}),
    ("multilabel_soft_margin_loss", [X, ((3, 5), UNIT)], {"weight": ((5,), UNIT)}),
    ("multilabel_margin_loss", [X, ((3, 5), "labels")], {}),
    ("hinge_embedding_loss", [X, ((3, 5), SIGN)], {"margin": 0.8}),
    ("margin_ranking_loss", [X, X, ((3, 5), SIGN)], {"margin": 0.3}),
    ("cosine_embedding_loss", [X, X, ((3,), SIGN)], {"margin": 0.1}),
    ("triplet_margin_loss", [X, X, X], {}), ("triplet_margin_loss", [X, X, X], {"p": 1, "swap": True, "margin": 0.5}),
]  # fmt: skip
OTHERS = [
    ("linear", [X, ((4, 5), 1.0), ((4,), 1.0)], {}), ("linear", [((2, 3, 5), 1.0), ((4, 5), 1.0)], {}),
    ("bilinear", [((2, 3, 5), 1.0), ((2, 3, 4), 1.0), ((6, 5, 4), 1.0), ((6,), 1.0)], {}),
    ("prelu", [X, ((5,), UNIT)], {}), ("prelu", [((2, 3, 4), 1.0), ((3,), UNIT)], {}), ("prelu", [X, ((1,), UNIT)], {}),
    ("glu", [((3, 6), 1.0)], {}), ("glu", [((4, 3), 1.0)], {"dim": 0}),
    ("cosine_similarity", [X, X], {}), ("cosine_similarity", [((2, 3, 4), 1.0), ((2, 3, 4), 1.0)], {"dim": -1}),
    ("cosine_similarity", [X, ((5,), 1.0)], {"dim": -1}),
    ("pairwise_distance", [X, X], {}), ("pairwise_distance", [X, X], {"p": 1.0, "keepdim": True}),
    ("layer_norm", [X, (5,), ((5,), 1.0), ((5,), 1.0)], {}), ("layer_norm", [X, (3, 5), ((3, 5), 1.0)], {}),
    ("rms_norm", [X, (5,), ((5,), 1.0)], {}), ("group_norm", [((2, 6, 3), 1.0), 3, ((6,), 1.0), ((6,), 1.0)], {}),
    ("group_norm", [((2, 6), 1.0), 2], {}),
]  # fmt: skip


def numbers(count, seed):
    """The same numbers in [-1, 1) on every machine, from a linear congruence."""
    state, found = seed * 7919 + 12345, []
    for _ in range(count):
        state = (1103515245 * state + 12345) % 2**31
        found.append(state / 2**30 - 1)
    return found


def make(library, spec, seed):
    """A tensor of the described kind, the same numbers in both libraries."""
    shape, kind = spec
    size = 1
    for n in shape:
        size *= n
    values = numbers(size, seed)
    if isinstance(kind, float):
        return library.tensor([v * kind for v in values], dtype=library.float64).reshape(shape)
    if kind == CLASS:
        return library.tensor([int((v + 1) * 2.5) for v in values]).reshape(shape)
    if kind == "labels":
        rows = [[3, 0, -1, 1, 2], [1, 2, 4, -1, 0], [-1, 0, 0, 0, 0]]
        return library.tensor(rows)
    if kind == "count":
        return library.tensor([float(int((v + 1) * 4)) for v in values], dtype=library.float64).reshape(shape)
    if kind == SIGN:
        return library.tensor([1.0 if v > 0 else -1.0 for v in values], dtype=library.float64).reshape(shape)
    result = library.tensor([0.1 + 0.4 * (v + 1) for v in values], dtype=library.float64).reshape(shape)
    if kind == UNIT:
        return result
    dim = 1 if len(shape) > 1 else 0
    result = result / result.sum(dim, keepdim=True)
    return result.log() if kind == LOGARITHM else result


def is_spec(value):
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], tuple)


def evaluate(library, name, arguments, options):
    """The result, its gradients under a cotangent of its own, for every floating input."""
    inputs = []

    def turn(value, learn):
        if not is_spec(value):
            return value
        tensor = make(library, value, len(inputs) + 1)
        if learn and tensor.dtype == library.float64:
            tensor = tensor.detach().requires_grad_()
        inputs.append(tensor)
        return tensor

    learned = 1 if name in ("cross_entropy", "binary_cross_entropy", "kl_div", "poisson_nll_loss") else 9
    targets = {"soft_margin_loss", "multi_margin_loss", "hinge_embedding_loss", "multilabel_soft_margin_loss"}
    learned = 1 if name in targets else 2 if name == "cosine_embedding_loss" else learned
    called = [turn(v, i < learned) for i, v in enumerate(arguments)]
    result = getattr(library.nn.functional, name)(*called, **{k: turn(v, False) for k, v in options.items()})
    wanted = [t for t in inputs if t.requires_grad]
    cotangent = make(library, (tuple(result.shape), 1.0), 99)
    return result.detach().tolist(), [g.tolist() for g in library.autograd.grad(result, wanted, cotangent)]


def flat(values):
    return [v for each in values for v in flat(each)] if isinstance(values, list) else [values]


def compare(name, arguments, options):
    torch = pytest.importorskip("torch")
    value, gradients = evaluate(fl, name, arguments, options)
    expected, expected_gradients = evaluate(torch, name, arguments, options)
    assert flat(value) == pytest.approx(flat(expected), rel=1e-9, abs=1e-11)
    # PyTorch computes the gradients of these two with a constant rounded to single precision.
    exact = 1e-7 if name in ("celu", "hardsigmoid") else 1e-8
    for mine, theirs in zip(gradients, expected_gradients, strict=True):
        assert flat(mine) == pytest.approx(flat(theirs), rel=exact, abs=1e-10)


@pytest.mark.parametrize(("name", "options"), ACTIVATIONS)
def test_one_input(name, options):
    compare(name, [X], options)


@pytest.mark.filterwarnings("ignore:.*batchmean.*")
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("name", "arguments", "options"), LOSSES)
def test_losses(name, arguments, options, reduction):
    compare(name, arguments, {**options, "reduction": reduction})


@pytest.mark.parametrize(("name", "arguments", "options"), OTHERS)
def test_several_inputs(name, arguments, options):
    compare(name, arguments, options)


def test_kl_div_batchmean():
    compare("kl_div", [((3, 5), LOGARITHM), ((3, 5), PROBABILITY)], {"reduction": "batchmean"})


def test_weighted_losses():
    weight = fl.tensor([1.0, 3.0])
    assert F.mse_loss(fl.zeros(2), fl.tensor([1.0, 2.0]), weight=weight).item() == pytest.approx(13 / 4)
    assert F.l1_loss(fl.zeros(2), fl.tensor([1.0, 2.0]), weight=weight, reduction="sum").item() == pytest.approx(7)


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy",
                                  "binary_cross_entropy_with_logits", "soft_margin_loss", "kl_div"])  # fmt: skip
def test_shapes_that_only_broadcast_are_an_error(name):
    with pytest.raises(fl.ShapeError, match=r"input is \(4, 1\) and target is \(4,\).*target\.unsqueeze\(-1\)"):
        getattr(F, name)(fl.full((4, 1), 0.5), fl.full((4,), 0.5))
    with pytest.raises(ValueError, match=r"input is \(4,\) and target is \(2, 2\).*target\.reshape\(\(4,\)\)"):
        getattr(F, name)(fl.full((4,), 0.5), fl.full((2, 2), 0.5))


def test_class_targets_that_do_not_fit():
    logits = fl.zeros(3, 5)
    with pytest.raises(IndexError, match="Target 5 is out of bounds"):
        F.cross_entropy(logits, fl.tensor([0, 5, 1]))
    with pytest.raises(IndexError, match="Target -1 is out of bounds"):
        F.nll_loss(logits, fl.tensor([0, -1, 1]))
    with pytest.raises(IndexError, match="out of bounds"):
        F.nll_loss(logits, fl.tensor([-100, -1, 1]))
    with pytest.raises(fl.ShapeError, match=r"target must be \(3,\).*target is \(3, 1\); use target\.squeeze"):
        F.cross_entropy(logits, fl.zeros(3, 1, dtype=fl.int64))
    with pytest.raises(fl.DTypeError, match=r"target\.long\(\)"):
        F.cross_entropy(logits, fl.zeros(3))
    with pytest.raises(fl.ShapeError, match="each of the 5 classes"):
        F.cross_entropy(logits, fl.zeros(3, dtype=fl.int64), weight=fl.ones(4))
    with pytest.raises(ValueError, match="label_smoothing"):
        F.cross_entropy(logits, fl.zeros(3, dtype=fl.int64), label_smoothing=2.0)
    everything_ignored = F.cross_entropy(logits, fl.full((3,), -100))
    assert everything_ignored.item() != everything_ignored.item()


def test_reductions_and_older_arguments():
    for name in ("mse_loss", "cross_entropy", "kl_div"):
        target = fl.zeros(2, dtype=fl.int64) if name == "cross_entropy" else fl.zeros(2, 2)
        with pytest.raises(ValueError, match="not a valid value for reduction"):
            getattr(F, name)(fl.zeros(2, 2), target, reduction="average")
    with pytest.warns(UserWarning, match="reduction='sum'"):
        assert F.mse_loss(fl.ones(2), fl.zeros(2), size_average=False).item() == 2
    with pytest.warns(UserWarning, match="reduction='none'"):
        assert nn.L1Loss(reduce=False)(fl.ones(2), fl.zeros(2)).tolist() == [1, 1]


def test_in_place():
    for name, value in (("relu", [0, 2]), ("relu_", [0, 2]), ("hardtanh", [-1, 1]), ("leaky_relu", [-0.03, 2])):
        x = fl.tensor([-3.0, 2.0])
        result = getattr(F, name)(x) if name.endswith("_") else getattr(F, name)(x, inplace=True)
        assert result is x and x.tolist() == pytest.approx(value)
    for module in (
        nn.ReLU(True),
        nn.SiLU(inplace=True),
        nn.ELU(inplace=True),
        nn.Threshold(0, 1, True),
        nn.ReLU6(True),
    ):
        x = fl.tensor([-3.0, 2.0])
        assert module(x) is x


def test_dropout():
    fl.manual_seed(0)
    x = fl.ones(100, 100)
    y = F.dropout(x, 0.25)
    kept = (y != 0).float().mean().item()
    assert 0.73 < kept < 0.77 and y.max().item() == pytest.approx(4 / 3)
    assert F.dropout(x, 0.3, training=False) is x and F.dropout(x, 1.0).abs().sum().item() == 0
    channels = F.dropout2d(fl.ones(8, 16, 3, 3), 0.5)
    per_channel = channels.reshape(8, 16, 9)
    assert bool(((per_channel == 0).all(-1) | (per_channel == 2).all(-1)).all())
    z = F.alpha_dropout(fl.randn(200, 200), 0.2, training=True)
    assert abs(z.mean().item()) < 0.03 and abs(z.std().item() - 1) < 0.03
    g = fl.ones(3, requires_grad=True)
    out = F.dropout(g, 0.5)
    out.sum().backward()
    assert g.grad.tolist() == out.tolist()
    with pytest.raises(ValueError, match="between 0 and 1"):
        F.dropout(x, 1.5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        nn.Dropout(-0.1)


def test_dropout_in_predictions_warns_once(monkeypatch):
    from flambeau.nn.dropout import _Dropout

    monkeypatch.setattr(_Dropout, "_warned", False)
    layer = nn.Dropout()
    layer(fl.ones(2))
    with fl.no_grad():
        with pytest.warns(UserWarning, match=r"model\.eval\(\)"):
            layer(fl.ones(2))
        layer(fl.ones(2))
        assert layer.eval()(fl.ones(2)).tolist() == [1, 1]


def test_gumbel_softmax():
    fl.manual_seed(1)
    logits = fl.zeros(200, 3, requires_grad=True)
    soft = F.gumbel_softmax(logits)
    assert fl.allclose(soft.sum(-1), fl.ones(200))
    hard = F.gumbel_softmax(logits, hard=True)
    assert bool(((hard.detach() - hard.detach().round()).abs() < 1e-6).all())
    (hard * fl.arange(3.0)).sum().backward()
    assert logits.grad.abs().sum().item() > 0


def test_implicit_dimension_warns():
    with pytest.warns(UserWarning, match="Implicit dimension"):
        assert fl.allclose(F.softmax(fl.zeros(2, 4)).sum(1), fl.ones(2))


def test_wrong_arguments():
    for call, kind in (
        (lambda: F.gelu(fl.ones(1), approximate="fast"), RuntimeError),
        (lambda: F.glu(fl.ones(3)), fl.ShapeError),
        (lambda: F.softshrink(fl.ones(1), -1), RuntimeError),
        (lambda: F.layer_norm(fl.ones(2, 3), (2,)), fl.ShapeError),
        (lambda: F.group_norm(fl.ones(2, 3), 2), RuntimeError),
        (lambda: F.prelu(fl.ones(2, 3), fl.ones(4)), fl.ShapeError),
        (lambda: F.huber_loss(fl.ones(1), fl.ones(1), delta=0), RuntimeError),
        (lambda: F.triplet_margin_loss(fl.ones(1), fl.ones(1), fl.ones(1), margin=0), ValueError),
        (lambda: F.linear(fl.ones(2, 3), fl.ones(4, 5)), fl.ShapeError),
        (lambda: F.bilinear(fl.ones(2, 3), fl.ones(2, 3), fl.ones(4, 3, 5)), fl.ShapeError),
    ):
        with pytest.raises(kind):
            call()
