"""`__array_namespace_info__`: what this namespace can do, asked for by libraries that adapt to it."""

from __future__ import annotations

from typing import Any

from flambeau import dtypes
from flambeau.array_api.data_types import isdtype
from flambeau.devices import check_device, device


class ArrayNamespaceInfo:
    """Devices, dtypes and capabilities of the namespace.

    >>> info = fl.ones(1).__array_namespace__().__array_namespace_info__()
    >>> info.default_dtypes()["real floating"]
    flambeau.float32
    """

    def capabilities(self) -> dict[str, Any]:
        """Boolean indexing and shapes that depend on data work; a tensor has at most 15 dimensions."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 15}

    def default_device(self) -> Any:
        """The device of new tensors: the CPU."""
        return device("cpu")

    def default_dtypes(self, *, device: Any = None) -> dict[str, Any]:
        """The dtypes of new tensors by kind; "complex floating" only where there are complex dtypes."""
        check_device("cpu" if device is None else device)
        real = dtypes.get_default_dtype()
        defaults = {"real floating": real, "integral": dtypes.int64, "indexing": dtypes.int64}
        if "complex64" in dtypes.BY_NAME:
            defaults["complex floating"] = dtypes.BY_NAME["complex128" if real is dtypes.float64 else "complex64"]
        return defaults

    def devices(self) -> list[Any]:
        """Every device tensors can be on."""
        return [device("cpu")]

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, Any]:
        """The dtypes by name, all or those of `kind` (a name of `isdtype`, or a tuple of names)."""
        from flambeau import array_api

        check_device("cpu" if device is None else device)
        found = {name: dtypes.BY_NAME[name] for name in array_api._NAMES if name in dtypes.BY_NAME}
        return found if kind is None else {name: each for name, each in found.items() if isdtype(each, kind)}


def __array_namespace_info__() -> ArrayNamespaceInfo:  # noqa: N807
    """What the namespace can do: an object with devices(), dtypes(), default_dtypes(), capabilities()."""
    return ArrayNamespaceInfo()
