"""Several Python threads at once: separate graphs, shared leaves, a shared graph."""

from __future__ import annotations

import threading

import pytest

import flambeau as fl


def in_threads(count: int, work) -> None:
    """Run work(number) in threads; the first exception of any is raised here."""
    failures = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive(), "a thread hangs"
    if failures:
        raise failures[0]


def test_graphs_of_different_threads_do_not_meet():
    results = {}

    def work(number: int) -> None:
        x = fl.full((50,), float(number), requires_grad=True)
        for _ in range(20):
            x.grad = None
            ((x * x).sin().sum() * 2).backward()
        results[number] = x.grad[0].item()

    in_threads(4, work)
    expected = {}
    for number in range(4):
        x = fl.tensor(float(number), requires_grad=True)
        ((x * x).sin() * 2).backward()
        expected[number] = x.grad.item()
    assert results == pytest.approx(expected)


def test_threads_add_to_the_gradient_of_a_shared_leaf():
    w = fl.ones(1000, requires_grad=True)

    def work(number: int) -> None:
        for _ in range(25):
            (w * (number + 1)).sum().backward()

    in_threads(4, work)
    assert w.grad.tolist() == [250.0] * 1000


def test_a_retained_graph_can_be_walked_by_several_threads():
    x = fl.ones(100, dtype=fl.float64, requires_grad=True)
    y = (x * 2).exp().sum()

    def work(number: int) -> None:
        for _ in range(10):
            (g,) = fl.autograd.grad(y, x, retain_graph=True)
            assert g.tolist() == pytest.approx([2 * 7.38905609893065] * 100)

    in_threads(3, work)


def test_large_work_in_several_threads_is_right():
    a = fl.rand(400, 400, generator=fl.Generator().manual_seed(0))
    expected = (a @ a).sum().item()

    def work(number: int) -> None:
        for _ in range(3):
            x = a.clone().requires_grad_()
            y = (x @ x).sum()
            y.backward()
            assert y.item() == expected

    in_threads(3, work)


def test_graphs_made_in_one_thread_are_released_in_another():
    made = []
    in_threads(1, lambda number: made.append((fl.ones(10, requires_grad=True) * 2).exp().sum()))
    made.pop().backward()
    gone = []
    in_threads(2, lambda number: gone.append((fl.ones(10, requires_grad=True) * 2).exp()))
    gone.clear()
