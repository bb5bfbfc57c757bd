"""`flambeau.utils.data`: the data pipeline under the paths where PyTorch programs look for it.

Nothing lives here but names: the pipeline is `flambeau/data`.
"""

from __future__ import annotations

import sys
from importlib import import_module

from flambeau import data as _data
from flambeau.data import *

_FILES = {"dataloader": "loader", "dataset": "dataset", "distributed": "distributed", "sampler": "sampler"}
for _path, _file in _FILES.items():
    _found = import_module(f"flambeau.data.{_file}")
    sys.modules[f"{__name__}.{_path}"] = _found
    globals()[_path] = _found
del _path, _file, _found

__all__ = _data.__all__
