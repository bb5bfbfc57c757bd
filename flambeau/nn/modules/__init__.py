"""`flambeau.nn.modules`: the layers under the paths of PyTorch's files (`nn.modules.loss`, `nn.modules.linear`, ...).

Nothing lives here but names: each path is the file of `flambeau/nn` that holds those layers.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from flambeau import nn as _nn
from flambeau.nn.modules import utils

_FILES = {
    "activation": "activation", "batchnorm": "batch_norm", "container": "container", "conv": "convolution",
    "distance": "distance", "dropout": "dropout", "flatten": "shape", "fold": "resample", "instancenorm": "batch_norm",
    "lazy": "lazy", "linear": "linear", "loss": "loss", "module": "module", "normalization": "normalization",
    "padding": "padding", "pixelshuffle": "resample", "pooling": "pooling", "rnn": "rnn", "sparse": "embedding",
    "transformer": "transformer", "upsampling": "resample",
}  # fmt: skip
for _path, _file in _FILES.items():
    _found = import_module(f"flambeau.nn.{_file}")
    sys.modules[f"{__name__}.{_path}"] = _found
    globals()[_path] = _found
del _path, _file, _found


def __getattr__(name: str) -> Any:
    try:
        return getattr(_nn, name)
    except AttributeError:
        raise AttributeError(f"module 'flambeau.nn.modules' has no attribute {name!r}") from None
