"""Memory over long runs: ten thousand training steps, and every kind of graph a thousand times."""

from __future__ import annotations

import gc
import resource

import pytest

import flambeau as fl
from flambeau import nn
from tests.autograd.test_release import PROGRAMS

pytestmark = pytest.mark.slow


def resident() -> int:
    """Bytes of this process in memory now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_ten_thousand_training_steps_take_no_more_memory_than_a_thousand():
    fl.manual_seed(0)
    model = nn.Sequential(nn.Linear(87, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
    optimizer = fl.optim.Adam(model.parameters(), lr=1e-3)
    schedule = fl.optim.lr_scheduler.StepLR(optimizer, step_size=1000, gamma=0.9)
    x, y = fl.randn(4096, 87), fl.randn(4096, 1)
    losses = []

    def steps(count: int) -> dict[str, int]:
        for i in range(count):
            rows = fl.randint(0, 4096, (32 + i % 3,))
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(x[rows]), y[rows])
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            if i % 500 == 0:
                losses.append(loss.item())
        gc.collect()
        return {**fl.memory_statistics(), "resident": resident()}

    start = steps(999)
    end = steps(9_000)
    assert end["blocks"] == start["blocks"] and end["allocated"] == start["allocated"]
    assert end["reserved"] == start["reserved"]
    assert end["resident"] - start["resident"] < 4 << 20
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_the_process_does_not_grow(program):
    for _ in range(300):
        program()
    gc.collect()
    before = resident()
    for _ in range(3_000):
        program()
    gc.collect()
    assert resident() - before < 2 << 20, "memory outside tensors: nodes, hooks, strings of errors"
