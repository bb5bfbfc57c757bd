"""The arithmetic of optimisers: one map each, from a parameter, its gradient and its state to their new values.

Output k is written over the input it is named after. Hyperparameters are run-time numbers in float64, rounded to the
parameter's dtype where `torch.optim` rounds them. None of these has a gradient.
"""

from __future__ import annotations

from ..compiler import scalar as s
from ..compiler.declare import elementwise


def _update(*outputs, flags=(), numbers=()):
    """Declare an update whose outputs replace the named inputs."""
    roles = dict.fromkeys(numbers, "double") | dict.fromkeys(flags, "bool")
    domain = (0.1, 2.0)  # running means of squares are not negative
    return elementwise(
        accepts="floating", differentiable=False, outputs=outputs, roles=roles, tolerance=8, domain=domain
    )


def _downhill(gradient, maximize):
    """The gradient to descend along: turned around if maximising."""
    return s.where(maximize, -gradient, gradient)


def _descent(parameter, gradient, weight_decay, maximize):
    """The gradient to descend along, plus weight decay."""
    gradient = _downhill(gradient, maximize)
    return s.where(weight_decay != 0.0, gradient + s.cast(weight_decay, parameter) * parameter, gradient)


def _lerp(start, end, weight):
    """start + weight * (end - start) as `torch.lerp` does it, for a number `weight` in float64."""
    small = s.cast(weight, start)
    return s.where(
        s.absolute(weight) < 0.5, start + small * (end - start), end - (end - start) * s.cast(1.0 - weight, start)
    )


def _mean_square(square, gradient, keep):
    """The running mean of the gradient's square."""
    return square * s.cast(keep, square) + s.cast(1.0 - keep, square) * gradient * gradient


@_update("parameter", numbers=("lr", "weight_decay"), flags=("maximize",))
def sgd(parameter, gradient, lr=0.001, weight_decay=0.0, maximize=False):
    """parameter - lr * gradient."""
    gradient = _descent(parameter, gradient, weight_decay, maximize)
    return parameter + s.cast(-lr, parameter) * gradient


@_update(
    "parameter",
    "buffer",
    numbers=("lr", "momentum", "dampening", "weight_decay"),
    flags=("nesterov", "maximize", "first"),
)
def sgd_momentum(
    parameter,
    gradient,
    buffer,
    lr=0.001,
    momentum=0.9,
    dampening=0.0,
    weight_decay=0.0,
    nesterov=False,
    maximize=False,
    first=False,
):
    """buffer = momentum * buffer + (1 - dampening) * gradient, the gradient itself the first time;
    parameter - lr * buffer, or with Nesterov parameter - lr * (gradient + momentum * buffer)."""
    gradient = _descent(parameter, gradient, weight_decay, maximize)
    factor = s.cast(momentum, parameter)
    kept = s.where(first, gradient, buffer * factor + s.cast(1.0 - dampening, parameter) * gradient)
    direction = s.where(nesterov, gradient + factor * kept, kept)
    return parameter + s.cast(-lr, parameter) * direction, kept


_ADAM = ("lr", "beta1", "beta2", "eps", "weight_decay", "correction1", "correction2")


def _moments(gradient, average, square, beta1, beta2):
    return _lerp(average, gradient, 1.0 - beta1), _mean_square(square, gradient, beta2)


def _adam(parameter, gradient, average, square, largest, lr, beta1, beta2, eps, correction1, correction2):
    """The step of all four kinds; `largest` is None without AMSGrad."""
    average, square = _moments(gradient, average, square, beta1, beta2)
    below = square if largest is None else s.maximum(largest, square)
    size = s.sqrt(below) / s.cast(s.sqrt(correction2), parameter) + s.cast(eps, parameter)
    parameter = parameter + s.cast(-(lr / correction1), parameter) * average / size
    return (parameter, average, square) if largest is None else (parameter, average, square, below)


def _decayed(parameter, lr, weight_decay):
    return s.where(weight_decay != 0.0, parameter * s.cast(1.0 - lr * weight_decay, parameter), parameter)


def _decayed_or_coupled(parameter, gradient, lr, weight_decay, decoupled, maximize):
    """Parameter and gradient with the decay taken from the parameter, as AdamW does, or added to the gradient."""
    coupled = _descent(parameter, gradient, weight_decay, maximize)
    gradient = s.where(decoupled, _downhill(gradient, maximize), coupled)
    return s.where(decoupled, _decayed(parameter, lr, weight_decay), parameter), gradient


@_update("parameter", "average", "square", numbers=_ADAM, flags=("maximize",))
def adam(
    parameter,
    gradient,
    average,
    square,
    lr=0.001,
    beta1=0.9,
    beta2=0.999,
    eps=1e-08,
    weight_decay=0.0,
    correction1=1.0,
    correction2=1.0,
    maximize=False,
):
    """average and square are running means of the gradient and its square;
    parameter - lr / correction1 * average / (sqrt(square / correction2) + eps) with correction = 1 - beta ** step."""
    gradient = _descent(parameter, gradient, weight_decay, maximize)
    return _adam(parameter, gradient, average, square, None, lr, beta1, beta2, eps, correction1, correction2)


@_update("parameter", "average", "square", "largest", numbers=_ADAM, flags=("maximize",))
def adam_amsgrad(
    parameter,
    gradient,
    average,
    square,
    largest,
    lr=0.001,
    beta1=0.9,
    beta2=0.999,
    eps=1e-08,
    weight_decay=0.0,
    correction1=1.0,
    correction2=1.0,
    maximize=False,
):
    """`adam` with the largest square so far in the denominator."""
    gradient = _descent(parameter, gradient, weight_decay, maximize)
    return _adam(parameter, gradient, average, square, largest, lr, beta1, beta2, eps, correction1, correction2)


@_update("parameter", "average", "square", numbers=_ADAM, flags=("maximize",))
def adamw(
    parameter,
    gradient,
    average,
    square,
    lr=0.001,
    beta1=0.9,
    beta2=0.999,
    eps=1e-08,
    weight_decay=0.01,
    correction1=1.0,
    correction2=1.0,
    maximize=False,
):
    """`adam` with the decay taken from the parameter itself: parameter * (1 - lr * weight_decay) first."""
    parameter, gradient = _decayed(parameter, lr, weight_decay), _downhill(gradient, maximize)
    return _adam(parameter, gradient, average, square, None, lr, beta1, beta2, eps, correction1, correction2)


@_update("parameter", "average", "square", "largest", numbers=_ADAM, flags=("maximize",))
def adamw_amsgrad(
    parameter,
    gradient,
    average,
    square,
    largest,
    lr=0.001,
    beta1=0.9,
    beta2=0.999,
    eps=1e-08,
    weight_decay=0.01,
    correction1=1.0,
    correction2=1.0,
    maximize=False,
):
    """`adamw` with the largest square so far in the denominator."""
    parameter, gradient = _decayed(parameter, lr, weight_decay), _downhill(gradient, maximize)
    return _adam(parameter, gradient, average, square, largest, lr, beta1, beta2, eps, correction1, correction2)


@_update(
    "parameter",
    "average",
    "largest",
    numbers=("lr", "beta1", "beta2", "eps", "weight_decay", "correction1"),
    flags=("maximize",),
)
def adamax(
    parameter,
    gradient,
    average,
    largest,
    lr=0.002,
    beta1=0.9,
    beta2=0.999,
    eps=1e-08,
    weight_decay=0.0,
    correction1=1.0,
    maximize=False,
):
    """largest = max(beta2 * largest, |gradient| + eps); parameter - lr / correction1 * average / largest."""
    gradient = _descent(parameter, gradient, weight_decay, maximize)
    average = _lerp(average, gradient, 1.0 - beta1)
    largest = s.maximum(largest * s.cast(beta2, largest), s.absolute(gradient) + s.cast(eps, largest))
    return parameter + s.cast(-(lr / correction1), parameter) * average / largest, average, largest


@_update(
    "parameter",
    "average",
    "square",
    flags=("decoupled", "maximize"),
    numbers=("lr", "beta1", "beta2", "eps", "weight_decay", "correction2", "gradient_step", "average_step"),
)
def nadam(
    parameter,
    gradient,
    average,
    square,
    lr=0.002,
    beta1=0.9,
    beta2=0.999,
    eps=1e-08,
    weight_decay=0.0,
    correction2=1.0,
    gradient_step=0.0,
    average_step=0.0,
    decoupled=False,
    maximize=False,
):
    """parameter - (gradient_step * gradient + average_step * average) / (sqrt(square / correction2) + eps).

    gradient_step is lr (1 - mu) / (1 - mu_product), average_step is lr mu_next / (1 - mu_product mu_next).
    """
    parameter, gradient = _decayed_or_coupled(parameter, gradient, lr, weight_decay, decoupled, maximize)
    average, square = _moments(gradient, average, square, beta1, beta2)
    size = s.sqrt(square / s.cast(correction2, square)) + s.cast(eps, square)
    parameter = parameter + s.cast(-gradient_step, parameter) * gradient / size
    return parameter + s.cast(-average_step, parameter) * average / size, average, square


@_update(
    "parameter",
    "average",
    "square",
    flags=("rectified", "decoupled", "maximize"),
    numbers=("lr", "beta1", "beta2", "eps", "weight_decay", "correction1", "correction2", "rectification"),
)
def radam(
    parameter,
    gradient,
    average,
    square,
    lr=0.001,
    beta1=0.9,
    beta2=0.999,
    eps=1e-08,
    weight_decay=0.0,
    correction1=1.0,
    correction2=1.0,
    rectification=1.0,
    rectified=True,
    decoupled=False,
    maximize=False,
):
    """parameter - lr * average / correction1, rectified by its factor over the root of the square."""
    parameter, gradient = _decayed_or_coupled(parameter, gradient, lr, weight_decay, decoupled, maximize)
    average, square = _moments(gradient, average, square, beta1, beta2)
    step = average / s.cast(correction1, average) * s.cast(lr, average)
    adapted = step * (s.cast(s.sqrt(correction2), square) / (s.sqrt(square) + s.cast(eps, square)))
    return parameter - s.where(rectified, adapted * s.cast(rectification, square), step), average, square


@_update("parameter", "square", numbers=("lr", "eps", "weight_decay"), flags=("maximize",))
def adagrad(parameter, gradient, square, lr=0.01, eps=1e-10, weight_decay=0.0, maximize=False):
    """square = square + gradient ** 2; parameter - lr * gradient / (sqrt(square) + eps), lr already decayed."""
    gradient = _descent(parameter, gradient, weight_decay, maximize)
    square = square + gradient * gradient
    return parameter + s.cast(-lr, parameter) * gradient / (s.sqrt(square) + s.cast(eps, square)), square


@_update("parameter", "square", "change", numbers=("lr", "rho", "eps", "weight_decay"), flags=("maximize",))
def adadelta(parameter, gradient, square, change, lr=1.0, rho=0.9, eps=1e-06, weight_decay=0.0, maximize=False):
    """parameter - lr * delta with delta = sqrt(change + eps) / sqrt(square + eps) * gradient, of running means."""
    gradient = _descent(parameter, gradient, weight_decay, maximize)
    small = s.cast(eps, square)
    square = _mean_square(square, gradient, rho)
    delta = s.sqrt(change + small) / s.sqrt(square + small) * gradient
    return parameter + s.cast(-lr, parameter) * delta, square, _mean_square(change, delta, rho)


_RMSPROP = ("lr", "alpha", "eps", "weight_decay", "momentum")


def _rmsprop_step(parameter, gradient, size, buffer, lr, momentum):
    buffer = s.where(momentum > 0.0, buffer * s.cast(momentum, buffer) + gradient / size, buffer)
    plain = parameter + s.cast(-lr, parameter) * gradient / size
    return s.where(momentum > 0.0, parameter + s.cast(-lr, parameter) * buffer, plain), buffer


@_update("parameter", "square", "buffer", numbers=_RMSPROP, flags=("maximize",))
def rmsprop(
    parameter, gradient, square, buffer, lr=0.01, alpha=0.99, eps=1e-08, weight_decay=0.0, momentum=0.0, maximize=False
):
    """parameter - lr * gradient / (sqrt(square) + eps), square the running mean of gradient ** 2; with momentum."""
    gradient = _descent(parameter, gradient, weight_decay, maximize)
    square = _mean_square(square, gradient, alpha)
    size = s.sqrt(square) + s.cast(eps, square)
    parameter, buffer = _rmsprop_step(parameter, gradient, size, buffer, lr, momentum)
    return parameter, square, buffer


@_update("parameter", "square", "buffer", "average", numbers=_RMSPROP, flags=("maximize",))
def rmsprop_centered(
    parameter,
    gradient,
    square,
    buffer,
    average,
    lr=0.01,
    alpha=0.99,
    eps=1e-08,
    weight_decay=0.0,
    momentum=0.0,
    maximize=False,
):
    """`rmsprop` with sqrt(square - average ** 2) in the denominator, average the running mean of the gradient."""
    gradient = _descent(parameter, gradient, weight_decay, maximize)
    square = _mean_square(square, gradient, alpha)
    average = _lerp(average, gradient, 1.0 - alpha)
    size = s.sqrt(square - average * average) + s.cast(eps, square)
    parameter, buffer = _rmsprop_step(parameter, gradient, size, buffer, lr, momentum)
    return parameter, square, buffer, average


@_update(
    "parameter",
    "previous",
    "step_size",
    numbers=("eta_minus", "eta_plus", "smallest", "greatest"),
    flags=("maximize", "first"),
)
def rprop(
    parameter,
    gradient,
    previous,
    step_size,
    eta_minus=0.5,
    eta_plus=1.2,
    smallest=1e-06,
    greatest=50.0,
    maximize=False,
    first=False,
):
    """Step sizes grow by eta_plus while the gradient keeps its sign and shrink by eta_minus when it turns."""
    gradient = _downhill(gradient, maximize)
    product = gradient * s.where(first, 0.0, previous)
    minus, plus = s.cast(eta_minus, product), s.cast(eta_plus, product)
    factor = s.where(product > 0.0, plus, s.where(product < 0.0, minus, 1.0))
    step_size = s.clamp(step_size * factor, s.cast(smallest, product), s.cast(greatest, product))
    gradient = s.where(product < 0.0, 0.0, gradient)
    return parameter - s.sign(gradient) * step_size, gradient, step_size


@_update("parameter", "mean", numbers=("eta", "lambd", "mu", "weight_decay"), flags=("maximize",))
def asgd(parameter, gradient, mean, eta=0.01, lambd=0.0001, mu=1.0, weight_decay=0.0, maximize=False):
    """parameter * (1 - lambd * eta) - eta * gradient; mean moves to it by mu, or is it if mu is 1."""
    gradient = _descent(parameter, gradient, weight_decay, maximize)
    parameter = parameter * s.cast(1.0 - lambd * eta, parameter) + s.cast(-eta, parameter) * gradient
    return parameter, s.where(mu == 1.0, parameter, mean + (parameter - mean) * s.cast(mu, mean))


@_update("mean", numbers=("weight",))
def running_mean(mean, value, weight=0.1):
    """mean + weight * (value - mean): a running (exponential moving) average."""
    return _lerp(mean, value, weight)


@_update("gradient", numbers=("inverse_scale",))
def unscale(gradient, inverse_scale=1.0):
    """gradient * inverse_scale: undoes the scaling of a loss."""
    return gradient * s.cast(inverse_scale, gradient)
