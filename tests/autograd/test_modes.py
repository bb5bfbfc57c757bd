"""no_grad, enable_grad, set_grad_enabled and inference_mode, as blocks and as decorators."""

from __future__ import annotations

import threading

import pytest

import flambeau as fl


@pytest.fixture
def x() -> fl.Tensor:
    return fl.ones(2, requires_grad=True)


def test_no_grad_records_nothing(x):
    with fl.no_grad():
        assert not fl.is_grad_enabled()
        assert not (x * 2).requires_grad and not x[0].requires_grad
        made = fl.ones(1, requires_grad=True)
    assert fl.is_grad_enabled() and (x * 2).requires_grad and made.requires_grad


def test_enable_grad_works_inside_no_grad(x):
    with fl.no_grad():
        with fl.enable_grad():
            assert (x * 2).requires_grad
        assert not (x * 2).requires_grad


def test_set_grad_enabled_is_a_call_and_a_block(x):
    with fl.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    assert fl.is_grad_enabled()
    fl.set_grad_enabled(False)
    assert not (x * 2).requires_grad
    fl.set_grad_enabled(True)
    assert (x * 2).requires_grad


def test_the_mode_comes_back_after_an_exception(x):
    for mode in (fl.no_grad, lambda: fl.set_grad_enabled(False), fl.inference_mode):
        with pytest.raises(KeyError), mode():
            raise KeyError
        assert fl.is_grad_enabled() and not fl.is_inference_mode_enabled()


@pytest.mark.parametrize(
    ("decorate", "enabled"),
    [
        (lambda: fl.no_grad(), False),
        (lambda: fl.no_grad, False),
        (lambda: fl.enable_grad(), True),
        (lambda: fl.set_grad_enabled(False), False),
        (lambda: fl.inference_mode(), False),
        (lambda: fl.inference_mode, False),
        (lambda: fl.inference_mode(False), True),
    ],
)
def test_modes_decorate_functions(decorate, enabled):
    @decorate()
    def state(a, b=1):
        """What it does."""
        return fl.is_grad_enabled(), a, b

    assert state(5, b=6) == (enabled, 5, 6) and state(1)[0] == enabled
    assert state.__name__ == "state" and state.__doc__ == "What it does."
    assert fl.is_grad_enabled()


def test_a_decorator_may_be_entered_again_from_within_itself():
    @fl.no_grad()
    def down(n):
        assert not fl.is_grad_enabled()
        return n if n == 0 else down(n - 1)

    assert down(3) == 0 and fl.is_grad_enabled()


def test_modes_decorate_generators_and_leave_the_caller_alone():
    @fl.no_grad()
    def steps():
        for i in range(2):
            got = yield i, fl.is_grad_enabled()
            assert got is None or got == "sent"
        return "end"

    iterator = steps()
    assert next(iterator) == (0, False)
    assert fl.is_grad_enabled()
    assert iterator.send("sent") == (1, False)
    with pytest.raises(StopIteration) as stop:
        next(iterator)
    assert stop.value.value == "end" and fl.is_grad_enabled()


def test_exceptions_thrown_into_a_decorated_generator_arrive():
    caught = []

    @fl.no_grad()
    def steps():
        try:
            yield 1
        except KeyError:
            caught.append(fl.is_grad_enabled())
            yield 2

    iterator = steps()
    next(iterator)
    assert iterator.throw(KeyError()) == 2 and caught == [False]
    iterator.close()


def test_inference_mode_results_stay_out_of_graphs(x):
    with fl.inference_mode():
        assert fl.is_inference_mode_enabled()
        y = x * 2
        assert not y.requires_grad and y.is_inference()
    assert not y.is_inference() or not fl.is_inference_mode_enabled()
    with pytest.raises(RuntimeError, match=r"[Ii]nference"):
        (x * y).sum().backward()
    with pytest.raises(RuntimeError, match=r"[Ii]nference"):
        y.add_(1)
    assert (x * y.clone()).requires_grad
    (x * y.clone()).sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_inference_mode_false_turns_it_off_inside(x):
    with fl.inference_mode():
        with fl.inference_mode(False):
            assert (x * 2).requires_grad and not fl.is_inference_mode_enabled()
        assert fl.is_inference_mode_enabled()


def test_each_thread_has_a_mode_of_its_own(x):
    seen = []

    def work():
        seen.append((x * 2).requires_grad)
        with fl.no_grad():
            seen.append((x * 2).requires_grad)

    with fl.no_grad():
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert seen == [True, False] and fl.is_grad_enabled()
