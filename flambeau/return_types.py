"""The named tuples that operations with several results return: `flambeau.return_types.max` and the like."""

from __future__ import annotations

from flambeau import linalg as _linalg  # noqa: F401  # defines the results of its operations
from flambeau.ops.arguments import RESULTS as _RESULTS

__all__ = list(_RESULTS)

globals().update(_RESULTS)
