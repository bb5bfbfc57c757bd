"""Declarations against PyTorch (if present): values and gradients, at ordinary and at special numbers."""

import math

import numpy
import pytest
from gradient_check import analytic, codes_of, draw, evaluate

from flambeau.compiler import declare, interpret, scalar, split
from flambeau.compiler.program import CODES, DTYPES, ELEMENT, ROW
from flambeau.errors import AutogradError
from flambeau.ops import elementwise, loss, normalise, reduce, update

FLOAT64 = CODES["float64"]


def numbers(*values):
    return numpy.asarray(values, "float64")


NAN, INF = math.nan, math.inf
SPECIAL = numbers(
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 6.0, 100.0, -100.0, 1e-300, 1e300, INF, -INF, NAN
)

#: Elementwise operations of one tensor: PyTorch's expression.
UNARY = {
    name: f"torch.{name}"
    for name in (
        "abs neg sign sgn signbit floor ceil trunc round frac square sqrt rsqrt reciprocal exp exp2 expm1 log log2 "
        "log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh sinc deg2rad rad2deg isnan isinf "
        "isfinite isposinf isneginf sigmoid relu selu erf erfc erfinv lgamma digamma logit logical_not"
    ).split()
} | {
    "relu6": "F.relu6", "hardtanh": "F.hardtanh", "leaky_relu": "F.leaky_relu", "elu": "F.elu", "celu": "F.celu",
    "gelu": "F.gelu", "gelu_tanh": "lambda x: F.gelu(x, approximate='tanh')", "silu": "F.silu", "mish": "F.mish",
    "softplus": "F.softplus", "softsign": "F.softsign", "hardsigmoid": "F.hardsigmoid", "hardswish": "F.hardswish",
    "hardshrink": "F.hardshrink", "softshrink": "F.softshrink", "tanhshrink": "F.tanhshrink",
    "logsigmoid": "F.logsigmoid",
    "logit_clamped": "lambda x: torch.logit(x, 1e-6)",
    "ndtr": "torch.special.ndtr", "ndtri": "torch.special.ndtri", "entr": "torch.special.entr",
    "nan_to_num": "lambda x: torch.nan_to_num(x, 0.0, 3.4028234663852886e38, -3.4028234663852886e38)",
    "round_decimals": "lambda x: torch.round(x, decimals=0)", "log_ndtr": "torch.special.log_ndtr",
    "i0": "torch.special.i0", "i0e": "torch.special.i0e", "i1": "torch.special.i1", "i1e": "torch.special.i1e",
    "polygamma_of_order": "lambda x: torch.polygamma(2, x)",
}  # fmt: skip
BINARY = {
    name: f"torch.{name}"
    for name in (
        "add sub mul div floor_divide remainder fmod pow maximum minimum fmax fmin atan2 hypot copysign heaviside "
        "logaddexp logaddexp2 xlogy eq ne lt le gt ge logical_and logical_or logical_xor isclose float_power ldexp"
    ).split()
} | {
    "xlog1py": "torch.special.xlog1py", "trunc_divide": "lambda x, y: torch.div(x, y, rounding_mode='trunc')",
    "rsub": "torch.rsub", "prelu": "lambda x, y: torch.where(x > 0, x, x * y)",
    "clamp_min": "lambda x, y: torch.clamp(x, min=y)",
    "clamp_max": "lambda x, y: torch.clamp(x, max=y)",
}  # fmt: skip

#: Where PyTorch itself answers differently from its own documentation, or from its other kernels.
SPECIAL_GRADIENT_SKIPS = {
    "lgamma", "digamma", "trigamma", "tan", "softplus", "logit_clamped", "entr", "sinc", "ndtri", "erfinv", "prelu",
    "float_power", "floor_divide", "heaviside", "mish", "gelu_tanh", "silu", "gelu", "tanhshrink", "ldexp", "logit",
    "i0", "i0e", "i1", "i1e", "polygamma_of_order", "log_ndtr",
    "xlogy", "xlog1py", "logaddexp2", "logaddexp", "copysign", "pow", "hypot",
}  # fmt: skip
SPECIAL_VALUE_SKIPS = {
    "trigamma", "digamma", "lgamma", "float_power", "ndtri", "entr",
    "i0", "i0e", "i1", "i1e", "polygamma_of_order", "log_ndtr",
}  # fmt: skip


def compare(torch, name, reference, arrays, special):
    declaration = declare.table[name]
    needs = [a.dtype.kind == "f" and not ("soft_margin" in name and i) for i, a in enumerate(arrays)]
    tensors = [torch.tensor(a, requires_grad=need) for a, need in zip(arrays, needs, strict=True)]
    expected = reference(*tensors)
    expected = expected if isinstance(expected, tuple) else (expected,)
    full = list(arrays) + [numpy.asarray(value) for _, value in declaration.parameters]
    values = evaluate(declaration, full)
    if not special or name not in SPECIAL_VALUE_SKIPS:
        for value, other in zip(values, expected, strict=False):
            numpy.testing.assert_allclose(value, other.detach().numpy(), rtol=1e-12, atol=1e-16, err_msg=name)
    if values[0].dtype.kind != "f" or not declaration.differentiable or (special and name in SPECIAL_GRADIENT_SKIPS):
        return
    rng = numpy.random.default_rng(0)
    cotangents = [rng.uniform(0.5, 1.5, v.shape) if v.dtype.kind == "f" else None for v in values]
    for k in range(len(expected), len(values)):
        cotangents[k] = numpy.zeros(values[k].shape)
    found, _, _ = analytic(declaration, full, cotangents, values, arrays[0].shape[-1])
    wanted = [i for i, need in enumerate(declaration.needs_gradient) if need]
    try:
        theirs = torch.autograd.grad(
            [e for e in expected if e.requires_grad],
            [tensors[i] for i in wanted if needs[i]],
            [torch.tensor(c) for c, e in zip(cotangents, expected, strict=False) if e.requires_grad],
            allow_unused=True,
        )
    except RuntimeError as error:
        if "not implemented" in str(error):
            return
        raise
    for i, mine, other in zip([i for i in wanted if needs[i]], found, theirs, strict=False):
        other = numpy.zeros(arrays[i].shape) if other is None else other.numpy(force=True)
        where = f"gradient of {name} by {declaration.operand_names[i]}"
        # PyTorch's 1/6 in hardsigmoid is a float32, its trigamma has ten digits.
        rtol = 1e-7 if name in ("hardsigmoid", "digamma") else 1e-10
        numpy.testing.assert_allclose(mine, other, rtol=rtol, atol=1e-13, err_msg=where)


def reference_of(torch, text):
    return eval(text, {"torch": torch, "F": torch.nn.functional, "numpy": numpy})  # the texts are the tables above


@pytest.mark.parametrize("name", UNARY)
def test_unary_operations_agree_with_pytorch(name):
    torch = pytest.importorskip("torch")
    declaration = declare.table[name]
    rng = numpy.random.default_rng(1)
    with numpy.errstate(all="ignore"):
        compare(torch, name, reference_of(torch, UNARY[name]), [draw(declaration, 0, rng, 3, 40)], False)
        compare(torch, name, reference_of(torch, UNARY[name]), [SPECIAL], True)


@pytest.mark.parametrize("name", BINARY)
def test_binary_operations_agree_with_pytorch(name):
    torch = pytest.importorskip("torch")
    declaration = declare.table[name]
    rng = numpy.random.default_rng(2)
    arrays = [draw(declaration, i, rng, 3, 40) for i in range(2)]
    compare(torch, name, reference_of(torch, BINARY[name]), arrays, False)
    special = SPECIAL[numpy.abs(SPECIAL) != 1e300]  # products that overflow differ in order only
    left, right = (a.ravel() for a in numpy.meshgrid(special, special))
    compare(torch, name, reference_of(torch, BINARY[name]), [left, right], True)


TERNARY = {
    "clamp": "torch.clamp", "lerp": "torch.lerp", "addcmul": "torch.addcmul", "addcdiv": "torch.addcdiv",
    "threshold": "lambda x, t, v: torch.where(x <= t, v, x)",
}  # fmt: skip


@pytest.mark.parametrize("name", TERNARY)
def test_ternary_operations_agree_with_pytorch(name):
    torch = pytest.importorskip("torch")
    rng = numpy.random.default_rng(3)
    arrays = [draw(declare.table[name], i, rng, 3, 40) for i in range(3)]
    compare(torch, name, reference_of(torch, TERNARY[name]), arrays, False)


INTEGER = (
    "add sub mul floor_divide remainder fmod pow maximum eq lt clamp_min bitwise_and bitwise_or bitwise_xor".split()
)
INTEGER += ["left_shift", "right_shift", "trunc_divide"]
INTEGER_REFERENCES = {
    "left_shift": "torch.bitwise_left_shift", "right_shift": "torch.bitwise_right_shift",
    "trunc_divide": "lambda x, y: torch.div(x, y, rounding_mode='trunc')", "clamp_min": "torch.maximum",
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64"])
@pytest.mark.parametrize("name", INTEGER)
def test_integer_arithmetic_agrees_with_pytorch(name, dtype):
    torch = pytest.importorskip("torch")
    limits = numpy.iinfo(dtype)
    values = {0, 1, 2, 3, 5, 7, 13, limits.max, limits.max - 1, limits.min, limits.min + 1}
    if limits.min < 0:
        values |= {-1, -2, -3, -7, -8}
    values = numpy.array(sorted(values), dtype)
    left, right = (a.ravel() for a in numpy.meshgrid(values, values))
    if name in ("floor_divide", "remainder", "fmod", "trunc_divide"):
        overflow = (left == limits.min) & (right == -1) if limits.min < 0 else numpy.zeros(left.shape, bool)
        keep = (right != 0) & ~overflow
        left, right = left[keep], right[keep]
    declaration = declare.table[name]
    code = CODES[dtype]
    program = declaration.trace(*declaration.resolve([(code, 0), (code, 0)]))
    (found,) = interpret.run(program, [left, right])
    reference = reference_of(torch, INTEGER_REFERENCES.get(name, f"torch.{name}"))
    expected = reference(torch.tensor(left), torch.tensor(right)).numpy()
    if name == "pow":  # PyTorch's negative powers of integers differ between dtypes
        found, expected = found[right >= 0], expected[right >= 0]
    numpy.testing.assert_array_equal(found, expected)


def test_integer_division_by_zero_gives_zero():
    for operation in (elementwise.floor_divide, elementwise.trunc_divide, elementwise.remainder, elementwise.fmod):
        declaration = operation.declaration
        program = declaration.trace(*declaration.resolve([(5, 0), (5, 0)]))
        low = numpy.iinfo("int64").min
        (found,) = interpret.run(program, [numpy.array([7, -7, low]), numpy.array([0, 0, -1])])
        assert found[:2].tolist() == [0, 0]
        assert found[2] in (low, 0)


# --- rows ------------------------------------------------------------------------------------------------------------

#: Row operations over the last dimension: (PyTorch's expression, numbers for the parameters).
ROWS = {
    "sum": "lambda x: x.sum(1)", "mean": "lambda x: x.mean(1)", "prod": "lambda x: x.prod(1)",
    "nansum": "lambda x: x.nansum(1)", "nanmean": "lambda x: x.nanmean(1)",
    "amax": "lambda x: x.amax(1)", "amin": "lambda x: x.amin(1)", "aminmax": "lambda x: tuple(x.aminmax(dim=1))",
    "argmax": "lambda x: x.argmax(1)", "argmin": "lambda x: x.argmin(1)",
    "max_with_index": "lambda x: tuple(x.max(1))", "min_with_index": "lambda x: tuple(x.min(1))",
    "any": "lambda x: x.any(1)", "all": "lambda x: x.all(1)", "count_nonzero": "lambda x: x.count_nonzero(1)",
    "var": "lambda x: x.var(1)", "std": "lambda x: x.std(1)", "var_mean": "lambda x: torch.var_mean(x, 1)",
    "std_mean": "lambda x: torch.std_mean(x, 1)", "logsumexp": "lambda x: x.logsumexp(1)",
    "norm_zero": "lambda x: torch.linalg.vector_norm(x, 0, 1)",
    "norm_one": "lambda x: torch.linalg.vector_norm(x, 1, 1)",
    "norm_two": "lambda x: torch.linalg.vector_norm(x, 2, 1)", "norm_p": "lambda x: torch.linalg.vector_norm(x, 2., 1)",
    "norm_infinity": "lambda x: torch.linalg.vector_norm(x, numpy.inf, 1)",
    "norm_negative_infinity": "lambda x: torch.linalg.vector_norm(x, -numpy.inf, 1)",
    "softmax": "lambda x: x.softmax(1)", "log_softmax": "lambda x: x.log_softmax(1)",
    "softmin": "lambda x: F.softmin(x, 1)", "normalize": "lambda x: F.normalize(x, dim=1)",
    "normalize_p": "lambda x: F.normalize(x, dim=1)",
    "layer_norm": "lambda x: F.layer_norm(x, x.shape[1:])",
    "rms_norm": "lambda x: F.rms_norm(x, x.shape[1:], eps=1.1920928955078125e-07)",
    "layer_norm_weight": "lambda x, w: F.layer_norm(x, x.shape[1:]) * w",
    "layer_norm_affine": "lambda x, w, b: F.layer_norm(x, x.shape[1:]) * w + b",
    "rms_norm_weight": "lambda x, w: F.rms_norm(x, x.shape[1:], eps=1.1920928955078125e-07) * w",
    "batch_norm": "lambda x: (F.batch_norm(x.T, None, None, training=True).T, x.mean(1).detach())",
    "batch_norm_affine": "lambda x, w, b: F.batch_norm(x.T, None, None, w, b, training=True).T",
    "cosine_similarity": "lambda x, y: F.cosine_similarity(x, y, 1)", "dot": "lambda x, y: (x * y).sum(1)",
    "sum_of_squares": "lambda x: (x * x).sum(1)",
    "cross_entropy": "lambda x, t: F.cross_entropy(x, t, reduction='none')",
    "nll_loss": "lambda x, t: F.nll_loss(x, t, reduction='none')",
    "cross_entropy_soft": "lambda x, t: F.cross_entropy(x, t, reduction='none')",
    "multi_margin_loss": "lambda x, t: F.multi_margin_loss(x, t, reduction='none')",
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_rows_agree_with_pytorch(name):
    torch = pytest.importorskip("torch")
    declaration = declare.table[name]
    rng = numpy.random.default_rng(4)
    arrays = [draw(declaration, i, rng, 4, 6) for i in range(len(declaration.inputs))]
    compare(torch, name, reference_of(torch, ROWS[name]), arrays, False)


@pytest.mark.parametrize("name", ["amax", "amin", "argmax", "argmin", "max_with_index", "logsumexp", "softmax", "sum",
                                  "norm_two", "norm_one", "norm_infinity", "std", "nansum", "nanmean", "any",
                                   "all"])  # fmt: skip
def test_rows_with_special_numbers_agree_with_pytorch(name):
    torch = pytest.importorskip("torch")
    rows = numpy.array([
        [1.0, NAN, 3.0], [2.0, 2.0, 2.0], [0.0, 0.0, 0.0], [INF, 1.0, 0.0], [-INF, -INF, -INF], [0.0, 0.0, 3.0],
        [1000.0, -1000.0, 0.0], [NAN, 1.0, NAN],
    ])  # fmt: skip
    # Where flambeau differs on purpose: logsumexp of a row of -inf has gradient 0, a norm that is NaN has gradient NaN.
    if name in ("std", "logsumexp", "norm_infinity"):
        rows = rows[[1, 2, 5, 6]] if name != "std" else rows[1:3]
    compare(torch, name, reference_of(torch, ROWS[name]), [rows], False)


LOSSES = {
    "mse_loss": "F.mse_loss", "l1_loss": "F.l1_loss", "smooth_l1_loss": "F.smooth_l1_loss",
    "huber_loss": "F.huber_loss",
    "binary_cross_entropy": "F.binary_cross_entropy", "soft_margin_loss": "F.soft_margin_loss",
    "binary_cross_entropy_with_logits": "F.binary_cross_entropy_with_logits", "kl_div": "F.kl_div",
    "poisson_nll_loss": "lambda x, t, reduction: F.poisson_nll_loss(x, t, log_input=False, reduction=reduction)",
    "poisson_nll_log_loss": "F.poisson_nll_loss",
    "kl_div_log": "lambda *a, reduction: F.kl_div(*a, log_target=True, reduction=reduction)",
    "hinge_embedding_loss": "F.hinge_embedding_loss", "margin_ranking_loss": "F.margin_ranking_loss",
    "gaussian_nll_loss": "F.gaussian_nll_loss",
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_losses_agree_with_pytorch(name):
    torch = pytest.importorskip("torch")
    declaration = declare.table[name]
    rng = numpy.random.default_rng(5)
    arrays = [draw(declaration, i, rng, 4, 6) for i in range(len(declaration.inputs))]
    if "hinge" in name or "margin" in name:
        arrays[-1] = numpy.sign(arrays[-1])
    reference = reference_of(torch, LOSSES[name])
    compare(torch, name, lambda *a: reference(*a, reduction="none"), arrays, False)
    arrays = [numpy.tile(a, (3, 1)) for a in arrays]
    for suffix in ("sum", "mean"):
        reduced = lambda *a: torch.stack([reference(*(t[r] for t in a), reduction=suffix) for r in range(3)])  # noqa: B023, E731
        if name.startswith("kl_div") and suffix == "mean":
            reduced = lambda *a: reference(*a, reduction="none").mean(1)  # noqa: E731
        compare(torch, f"{name}_{suffix}", reduced, arrays, False)


def test_classes_with_weights_smoothing_and_ignored_targets():
    torch = pytest.importorskip("torch")
    rng = numpy.random.default_rng(6)
    x, weight = rng.standard_normal((5, 4)), rng.uniform(0.5, 2.0, 4)
    target = numpy.array([0, 3, -100, 2, 2])
    for smoothing in (0.0, 0.2):
        expected = torch.nn.functional.cross_entropy(
            torch.tensor(x), torch.tensor(target), torch.tensor(weight), label_smoothing=smoothing
        )
        arrays = [x, target, numpy.tile(weight, (5, 1)), numpy.asarray(-100), numpy.asarray(smoothing)]
        values, weights = evaluate(loss.cross_entropy_weighted.declaration, arrays)
        assert values.sum() / weights.sum() == pytest.approx(float(expected), rel=1e-12)
        expected = torch.nn.functional.cross_entropy(torch.tensor(x), torch.tensor(target), label_smoothing=smoothing)
        (values,) = evaluate(loss.cross_entropy.declaration, [x, target, numpy.asarray(-100), numpy.asarray(smoothing)])
        (mean,) = evaluate(loss.mean_of_valid.declaration, [values[None], target[None], numpy.asarray(-100)])
        assert mean[0] == pytest.approx(float(expected), rel=1e-12)


def test_a_target_that_is_no_class_gives_nan():
    (values,) = evaluate(loss.nll_loss.declaration, [numpy.ones((2, 3)), numpy.array([3, 0]), numpy.asarray(-100)])
    assert math.isnan(values[0])
    assert values[1] == -1.0


# --- optimisers ------------------------------------------------------------------------------------------------------


UPDATES = {
    "sgd": ("SGD", {"lr": 0.1, "weight_decay": 0.01}, (), {}),
    "sgd_momentum": ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.2, "weight_decay": 0.01}, ("buffer",),
                     {"first": lambda step: step == 1}),
    "adam": ("Adam", {"lr": 0.1, "weight_decay": 0.01}, ("average", "square"), {}),
    "adam_amsgrad": ("Adam", {"lr": 0.1, "amsgrad": True}, ("average", "square", "largest"), {}),
    "adamw": ("AdamW", {"lr": 0.1, "weight_decay": 0.1, "maximize": True}, ("average", "square"), {}),
    "adamw_amsgrad": ("AdamW", {"lr": 0.1, "amsgrad": True}, ("average", "square", "largest"), {}),
    "adamax": ("Adamax", {"lr": 0.1}, ("average", "largest"), {}),
    "adagrad": ("Adagrad", {"lr": 0.1}, ("square",), {}),
    "adadelta": ("Adadelta", {"lr": 0.7}, ("square", "change"), {}),
    "rmsprop": ("RMSprop", {"lr": 0.1, "momentum": 0.9}, ("square", "buffer"), {}),
    "rmsprop_centered": ("RMSprop", {"lr": 0.1, "centered": True}, ("square", "buffer", "average"), {}),
    "rprop": ("Rprop", {"lr": 0.1}, ("previous", "step_size"), {}),
}  # fmt: skip


@pytest.mark.parametrize("name", UPDATES)
def test_updates_agree_with_pytorch(name):
    torch = pytest.importorskip("torch")
    optimiser, options, state_names, live = UPDATES[name]
    declaration = declare.table[name]
    rng = numpy.random.default_rng(7)
    parameter = rng.standard_normal(6)
    theirs = torch.nn.Parameter(torch.tensor(parameter))
    stepper = getattr(torch.optim, optimiser)([theirs], **options)
    state = {n: numpy.full(6, options["lr"]) if n == "step_size" else numpy.zeros(6) for n in state_names}
    for step in range(1, 5):
        gradient = rng.standard_normal(6)
        theirs.grad = torch.tensor(gradient)
        stepper.step()
        settings = dict(declaration.parameters)
        settings |= {key: value for key, value in options.items() if key in settings}
        settings |= {key: function(step) for key, function in live.items()}
        for key, beta in (("correction1", 0.9), ("correction2", 0.999)):
            if key in settings:
                settings[key] = 1.0 - beta**step
        arrays = [parameter, gradient, *(state[n] for n in declaration.inputs[2:])]
        arrays += [numpy.asarray(value) for value in settings.values()]
        results = dict(zip(declaration.outputs, evaluate(declaration, arrays), strict=True))
        parameter = results.pop("parameter")
        state = results
        numpy.testing.assert_allclose(parameter, theirs.detach().numpy(), rtol=1e-9, atol=1e-12)


# --- what every declaration promises ---------------------------------------------------------------------------------

ALL = [name for name, declaration in declare.table.items() if isinstance(declaration, declare.Declaration)]


@pytest.mark.parametrize("name", ALL)
def test_every_declaration_has_a_docstring_and_traces(name):
    declaration = declare.table[name]
    assert declaration.doc.strip().endswith("."), "a docstring ends with a full stop"
    program = declaration.example
    assert program.name == name
    if declaration.kind == "map":
        assert all(value.level is ELEMENT for value in program.topological())
    for value in program.topological():
        assert value.dtype in DTYPES
        if value.op not in ("input", "cast", "const"):
            assert value.dtype not in ("float16", "bfloat16")


@pytest.mark.parametrize("name", ALL)
def test_every_declaration_traces_for_half_precision(name):
    declaration = declare.table[name]
    if declaration.accepts in ("integer", "integral"):
        return
    codes = [
        CODES["bfloat16"] if role == "compute" else CODES[role] if role in CODES else 9 for role in declaration.roles
    ]
    operands, outputs, compute = declaration.resolve([(code, 0) for code in codes])
    program = declaration.trace(operands, outputs, compute)
    assert [value.dtype for value in program.outputs] == [DTYPES[code] for code in outputs]
    assert (
        "float64" not in {v.dtype for v in program.topological()}
        or "double" in declaration.roles
        or name == "float_power"
    )


def test_operations_called_with_values_are_inlined():
    @declare.elementwise(name="test_inlined")
    def operation(x, y):
        return elementwise.relu(x) + y

    assert [v.op for v in operation.declaration.example.topological()].count("where") == 1
    del declare.table["test_inlined"]


def test_an_inlined_operation_keeps_its_stated_gradient():
    @declare.elementwise(name="test_stated")
    def operation(x):
        return elementwise.abs(elementwise.sigmoid(x))

    @operation.vjp
    def _(grad, output):
        return grad * 7.0

    @declare.elementwise(name="test_outer")
    def outer(x):
        return operation(x) * 2.0

    declaration = outer.declaration
    ones = [numpy.ones(1)]
    found, _, _ = analytic(declaration, [numpy.zeros(1)], ones, evaluate(declaration, [numpy.zeros(1)]), None)
    assert found[0].tolist() == [14.0]
    del declare.table["test_stated"], declare.table["test_outer"]


def test_mistakes_in_a_declaration_are_named():
    with pytest.raises(ValueError, match="add: an operation of this name is already declared"):
        declare.elementwise(name="add")(lambda x: x)
    with pytest.raises(ValueError, match="no operand is called 'w'"):
        declare.elementwise(name="test_wrong", roles={"w": "bool"})(lambda x: x)
    with pytest.raises(TypeError, match="its vjp reads 'outptu'"):
        elementwise.tan.declaration.vjp(lambda grad, outptu: grad)
    with pytest.raises(TypeError, match="has no truth"):
        declare.elementwise(name="test_truth")(lambda x: x if x > 0 else -x).declaration.example  # noqa: B018
    del declare.table["test_truth"]
    with pytest.raises(AutogradError, match="bitcast"):
        bits = declare.elementwise(name="test_bits", accepts="floating")(
            lambda x: scalar.bitcast(scalar.bitcast(x, "int32"), "float32")
        )
        bits.declaration.gradient((True,))
    del declare.table["test_bits"]


# --- splitting -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["sum", "mean", "amax", "norm_two", "norm_p", "prod", "count_nonzero", "mse_loss_mean", "any"]
)
def test_a_split_row_gives_the_same(name):
    declaration = declare.table[name]
    rng = numpy.random.default_rng(8)
    arrays = [rng.uniform(0.5, 1.5, (1, 12)) for _ in declaration.inputs]
    arrays += [numpy.asarray(value) for _, value in declaration.parameters]
    operands, outputs, compute = declaration.resolve(tuple((code, 0) for code in codes_of(arrays)))
    partial, final = split.split_row(declaration.trace(operands, outputs, compute), len(declaration.inputs))
    tensors, numbers = arrays[: len(declaration.inputs)], arrays[len(declaration.inputs) :]
    pieces = [interpret.run(partial, [*(a[:, i : i + 4] for a in tensors), *numbers]) for i in (0, 4, 8)]
    columns = [numpy.stack([piece[k][0] for piece in pieces])[None] for k in range(len(partial.outputs))]
    (found,) = interpret.run(final, [*columns, numpy.asarray(12), *numbers])
    numpy.testing.assert_allclose(found, evaluate(declaration, arrays)[0], rtol=1e-12)
    assert all(value.level is ROW for value in partial.outputs)


def test_special_functions_far_out():
    special = pytest.importorskip("scipy.special")
    x = numbers(-300.0, -50.0, -10.5, -10.0, -9.5, 0.0, 3.0, 30.0)
    (found,) = evaluate(elementwise.log_ndtr.declaration, [x])
    numpy.testing.assert_allclose(found, special.log_ndtr(x), rtol=1e-12)
    orders, q = numbers(1.5, 2.0, 3.0, 20.0, 1.0), numbers(0.01, 5.0, 1.0, 2.0, 3.0)
    (found,) = evaluate(elementwise.zeta.declaration, [orders, q])
    numpy.testing.assert_allclose(found, special.zeta(orders, q), rtol=1e-12)
    x = numbers(0.0, 1e-3, 7.9, 8.1, 700.0, -20.0)
    for name in ("i0", "i1", "i0e", "i1e"):
        (found,) = evaluate(getattr(elementwise, name).declaration, [x])
        numpy.testing.assert_allclose(found, getattr(special, name)(x), rtol=2e-13, err_msg=name)


def test_trigamma_is_exact():
    special = pytest.importorskip("scipy.special")
    x = numbers(1e-3, 0.3, 0.5, 1.0, 7.7, 100.0, -0.5, -3.3)
    (found,) = evaluate(elementwise.trigamma.declaration, [x])
    reflected = (math.pi / numpy.sin(math.pi * x)) ** 2 - special.polygamma(1, numpy.abs(1.0 - x))
    numpy.testing.assert_allclose(found, numpy.where(x > 0, special.polygamma(1, numpy.abs(x)), reflected), rtol=1e-11)


def test_what_needs_the_elements_twice_is_not_split():
    for operation in (reduce.var, normalise.softmax, reduce.logsumexp, loss.cross_entropy):
        assert split.split_row(operation.declaration.example, len(operation.declaration.inputs)) is None


def test_updates_have_no_gradient():
    with pytest.raises(AutogradError, match="adam: has no gradient"):
        update.adam.declaration.gradient((True,) * 4 + (False,) * 8)
