"""Convolutions beside PyTorch's: forward, and forward with both gradients, sides alternating in one process.

python benchmarks/convolution.py [seconds per layer] [threads] [part of a name]
"""

import math
import sys
import time

import torch

import flambeau
from flambeau import _core

# name: batch, channels in, channels out, size, kernel, stride, padding, dilation, groups
LAYERS = {
    "resnet conv1 7x7/2": (8, 3, 64, (224, 224), (7, 7), 2, 3, 1, 1),
    "resnet18 layer1 3x3": (8, 64, 64, (56, 56), (3, 3), 1, 1, 1, 1),
    "resnet18 layer2 3x3/2": (8, 64, 128, (56, 56), (3, 3), 2, 1, 1, 1),
    "resnet18 layer2 3x3": (8, 128, 128, (28, 28), (3, 3), 1, 1, 1, 1),
    "resnet18 layer3 3x3": (8, 256, 256, (14, 14), (3, 3), 1, 1, 1, 1),
    "resnet18 layer4 3x3": (8, 512, 512, (7, 7), (3, 3), 1, 1, 1, 1),
    "resnet18 layer4 batch 1": (1, 512, 512, (7, 7), (3, 3), 1, 1, 1, 1),
    "resnet18 shortcut 1x1/2": (8, 64, 128, (56, 56), (1, 1), 2, 0, 1, 1),
    "resnet50 1x1 64-256": (8, 64, 256, (56, 56), (1, 1), 1, 0, 1, 1),
    "resnet50 1x1 1024-256": (8, 1024, 256, (14, 14), (1, 1), 1, 0, 1, 1),
    "resnet50 1x1 2048-512": (8, 2048, 512, (7, 7), (1, 1), 1, 0, 1, 1),
    "cifar layer1 32x32": (16, 64, 64, (32, 32), (3, 3), 1, 1, 1, 1),
    "cifar layer4 4x4": (16, 512, 512, (4, 4), (3, 3), 1, 1, 1, 1),
    "mobilenet dw 112": (8, 32, 32, (112, 112), (3, 3), 1, 1, 1, 32),
    "mobilenet dw 56": (8, 128, 128, (56, 56), (3, 3), 1, 1, 1, 128),
    "mobilenet dw 56/2": (8, 128, 128, (56, 56), (3, 3), 2, 1, 1, 128),
    "mobilenet dw 14": (8, 512, 512, (14, 14), (3, 3), 1, 1, 1, 512),
    "mobilenet dw 7": (8, 1024, 1024, (7, 7), (3, 3), 1, 1, 1, 1024),
    "vgg 64-64 224": (1, 64, 64, (224, 224), (3, 3), 1, 1, 1, 1),
    "vgg 256-256 56": (2, 256, 256, (56, 56), (3, 3), 1, 1, 1, 1),
    "vgg 512-512 14": (4, 512, 512, (14, 14), (3, 3), 1, 1, 1, 1),
    "wavenet k2 d1": (4, 64, 128, (4096,), (2,), 1, 0, 1, 1),
    "wavenet k2 d64": (4, 64, 128, (4096,), (2,), 1, 0, 64, 1),
    "wavenet 1x1": (4, 64, 64, (4096,), (1,), 1, 0, 1, 1),
    "mnist conv1 1-32": (64, 1, 32, (28, 28), (3, 3), 1, 0, 1, 1),
    "mnist conv2 32-64": (64, 32, 64, (26, 26), (3, 3), 1, 0, 1, 1),
}  # fmt: skip


def sides(layer):
    """For both frameworks: forward without a graph, and forward with all gradients; and multiply-adds forward."""
    n, c, o, size, kernel, stride, padding, dilation, groups = layer
    dims = len(size)
    x, w, b = torch.randn(n, c, *size), torch.randn(o, c // groups, *kernel) * 0.1, torch.randn(o)
    function = getattr(torch.nn.functional, f"conv{dims}d")
    options = tuple((value,) * dims for value in (stride, padding, dilation))
    y = function(x, w, b, *options, groups)
    g = torch.randn_like(y)
    work = y.numel() * c // groups * math.prod(kernel)
    ours = [flambeau.tensor(t.numpy()) for t in (x, w, b)]
    ours_grad, gradient = [t.clone().requires_grad_() for t in ours], flambeau.tensor(g.numpy())
    theirs_grad = [t.clone().requires_grad_() for t in (x, w, b)]

    def flambeau_forward():
        _core.convolution(*ours, *options, groups, None)

    def torch_forward():
        with torch.no_grad():
            function(x, w, b, *options, groups)

    def flambeau_step():
        _core.convolution(*ours_grad, *options, groups, None).backward(gradient)
        for t in ours_grad:
            t.grad = None

    def torch_step():
        function(*theirs_grad, *options, groups).backward(g)
        for t in theirs_grad:
            t.grad = None

    return (flambeau_forward, torch_forward, flambeau_step, torch_step), work


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    threads = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    only = sys.argv[3] if len(sys.argv) > 3 else ""
    torch.set_num_threads(threads)
    flambeau.set_num_threads(threads)
    logs = [0.0, 0.0]
    count = 0
    print(
        f"{'layer':26}{'forward ms':>11}{'torch':>9}{'ratio':>7}{'GFLOP/s':>9}{'step ms':>10}{'torch':>9}{'ratio':>7}"
    )
    for name, layer in LAYERS.items():
        if only not in name:
            continue
        functions, work = sides(layer)
        times = [[] for _ in functions]
        for f in functions:
            f()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(times[0]) < 3:
            for f, taken in zip(functions, times, strict=True):
                time.sleep(0.01)  # until the other side's threads have stopped spinning
                start = time.perf_counter()
                f()
                taken.append(time.perf_counter() - start)
        a, b, c, d = (
            sorted(taken)[len(taken) // 4] * 1e3 for taken in times
        )  # the lower quartile: the machine is shared
        logs = [logs[0] + math.log(b / a), logs[1] + math.log(d / c)]
        count += 1
        print(
            f"{name:26}{a:11.3f}{b:9.3f}{b / a:7.2f}{2 * work / a / 1e6:9.0f}{c:10.3f}{d:9.3f}{d / c:7.2f}", flush=True
        )
    print(f"geometric mean: forward {math.exp(logs[0] / count):.2f}, step {math.exp(logs[1] / count):.2f}")


if __name__ == "__main__":
    main()
