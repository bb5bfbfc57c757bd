"""The base class of all distributions: shapes, checks of arguments and samples, expansion, text."""

from __future__ import annotations

import warnings
from typing import Any

import flambeau as fl
from flambeau import recording
from flambeau.distributions import constraints
from flambeau.distributions.utils import lazy_property

__all__ = ["Distribution"]


def holds(valid: Any) -> bool:
    """Whether a check is true of every element; taken as true while a compiled function is recorded."""
    if recording.active is not None and not recording.active.elsewhere():
        return True
    return bool(valid.all())


class Distribution:
    """A (batch of) probability distributions.

    batch_shape: the shape of independent, differently parameterised distributions. event_shape: the shape of one draw.
    validate_args: whether arguments and values are checked; None takes the default (on, unless Python runs with -O).
    Inside a compiled function only shapes are checked, as a plan reads no values.

    A family lists in `_expanded` the attributes that follow the batch shape, with how many event dimensions each has,
    and in `_kept` those that do not change; `expand` needs no more.
    """

    has_rsample: Any = False
    has_enumerate_support: Any = False
    _validate_args = __debug__
    _expanded: dict[str, int]
    _kept: tuple[str, ...] = ()

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions check their arguments when they are not told otherwise."""
        if value not in (True, False):
            raise ValueError(f"set_default_validate_args: value must be True or False, got {value!r}")
        Distribution._validate_args = value

    def __init__(self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None) -> None:
        self._batch_shape, self._event_shape = fl.Size(batch_shape), fl.Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_arguments()
        super().__init__()

    def _check_arguments(self) -> None:
        try:
            arg_constraints = self.arg_constraints
        except NotImplementedError:
            arg_constraints = {}
            warnings.warn(
                f"{self.__class__} does not define `arg_constraints`. Please set `arg_constraints = {{}}` or "
                "initialize the distribution with `validate_args=False` to turn off validation.",
                stacklevel=3,
            )
        for name, constraint in arg_constraints.items():
            if constraints.is_dependent(constraint):
                continue
            if name not in self.__dict__ and isinstance(getattr(type(self), name), lazy_property):
                continue  # computed from one that is checked
            value = getattr(self, name)
            if not holds(constraint.check(value.detach())):
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) "
                    f"of distribution {self!r} to satisfy the constraint {constraint!r}, "
                    f"but found invalid values:\n{value}"
                )

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The distribution with its batch dimensions expanded to `batch_shape`; the parameters share memory.

        `_instance` is for subclasses: a new object to fill in.
        """
        owner = next((c for c in type(self).__mro__ if "_expanded" in c.__dict__), None)
        if owner is None:
            raise NotImplementedError(f"{type(self).__name__} does not implement expand")
        new = self._get_checked_instance(owner, _instance)
        batch_shape = fl.Size(batch_shape)
        for name, event_dim in self._expanded.items():
            if name in self.__dict__:
                part = self.__dict__[name]
                if not isinstance(part, Distribution):
                    batch_and_event = (*batch_shape, *part.shape[part.ndim - event_dim :])
                    setattr(new, name, part.expand(batch_and_event))
                else:
                    setattr(new, name, part.expand(batch_shape))
        for name in self._kept:
            if name in self.__dict__:
                setattr(new, name, self.__dict__[name])
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        if _instance is None and type(self).__init__ != cls.__init__:  # type: ignore[misc]
            raise NotImplementedError(
                f"Subclass {type(self).__name__} of {cls.__name__} that defines a custom __init__ method "
                "must also define a custom .expand() method."
            )
        return self.__new__(type(self)) if _instance is None else _instance

    @property
    def batch_shape(self) -> Any:
        """The shape of the batch of distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Any:
        """The shape of one draw."""
        return self._event_shape

    @property
    def arg_constraints(self) -> dict[str, Any]:
        """The set in which each parameter must lie."""
        raise NotImplementedError

    @property
    def support(self) -> Any:
        """The set of values that can be drawn."""
        raise NotImplementedError

    @property
    def mean(self) -> Any:
        """The mean."""
        raise NotImplementedError

    @property
    def mode(self) -> Any:
        """The value of highest probability or density."""
        raise NotImplementedError(f"{self.__class__} does not implement mode")

    @property
    def variance(self) -> Any:
        """The variance."""
        raise NotImplementedError

    @property
    def stddev(self) -> Any:
        """The standard deviation: the square root of the variance."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = ()) -> Any:
        """Draws of shape sample_shape + batch_shape + event_shape, without gradient."""
        with fl.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Draws that are differentiable functions of the parameters, where the family allows it."""
        raise NotImplementedError(f"{type(self).__name__} does not implement rsample; use sample()")

    def sample_n(self, n: int) -> Any:
        """Deprecated: `sample((n,))`."""
        warnings.warn(
            "`sample_n(n)` will be deprecated. Use `sample((n,))` instead.", category=FutureWarning, stacklevel=2
        )
        return self.sample(fl.Size((n,)))

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the probability or density of `value`, one for each event."""
        raise NotImplementedError(f"{type(self).__name__} does not implement log_prob")

    def cdf(self, value: Any) -> Any:
        """The probability of a draw of at most `value`."""
        raise NotImplementedError(f"{type(self).__name__} does not implement cdf")

    def icdf(self, value: Any) -> Any:
        """The quantile: the number whose cdf is `value`."""
        raise NotImplementedError(f"{type(self).__name__} does not implement icdf")

    def enumerate_support(self, expand: bool = True) -> Any:
        """All values of a discrete distribution along a new first dimension, expanded over the batch or not."""
        raise NotImplementedError(f"{type(self).__name__} does not implement enumerate_support")

    def entropy(self) -> Any:
        """The entropy, in natural units, of each distribution of the batch."""
        raise NotImplementedError(f"{type(self).__name__} does not implement entropy")

    def perplexity(self) -> Any:
        """exp(entropy)."""
        return fl.exp(self.entropy())

    def _extended_shape(self, sample_shape: Any = ()) -> Any:
        """The shape of what `sample(sample_shape)` returns."""
        return fl.Size(sample_shape) + self._batch_shape + self._event_shape

    def _validate_sample(self, value: Any) -> None:
        """ValueError unless `value` has a shape that fits batch and event, and lies in the support."""
        if not isinstance(value, fl.Tensor):
            raise ValueError(f"The value argument to log_prob must be a Tensor, got {type(value).__name__}")
        shape = value.shape
        if tuple(shape[value.ndim - len(self._event_shape) :]) != tuple(self._event_shape):
            raise ValueError(f"The right-most size of value must match event_shape: {shape} vs {self._event_shape}.")
        expected = self._batch_shape + self._event_shape
        for i, j in zip(reversed(shape), reversed(expected)):
            if i != 1 and j != 1 and i != j:
                raise ValueError(f"Value is not broadcastable with batch_shape+event_shape: {shape} vs {expected}.")
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(
                f"{self.__class__} does not define `support` to enable sample validation. Please initialize the "
                "distribution with `validate_args=False` to turn off validation.",
                stacklevel=3,
            )
            return
        if not holds(support.check(value.detach())):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) "
                f"to be within the support ({support!r}) of the distribution {self!r}, "
                f"but found invalid values:\n{value}"
            )

    def __repr__(self) -> str:
        shown = []
        for name in self.arg_constraints:
            if name in self.__dict__:
                value = self.__dict__[name]
                shown.append(f"{name}: {value if value.numel() == 1 else value.shape}")
        return f"{type(self).__name__}({', '.join(shown)})"
