"""`flambeau.utils.data`: the data pipeline under the path where PyTorch programs look for it."""

from flambeau import data as _data
from flambeau.data import *  # noqa: F403

__all__ = _data.__all__
