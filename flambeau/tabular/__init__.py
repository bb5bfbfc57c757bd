"""The quick path: from a table to a trained, measured and saved model in one call.

    model = flambeau.tabular.train("houses.csv", target="price")
    print(model.report)
    model.save("houses-model")
    flambeau.tabular.load("houses-model").predict("new.csv")

Here live: reading tables (`reading`), what columns are (`columns`), inputs from them (`encoding`, `effects`,
`target`), the networks and their training (`network`, `training`), figures (`metrics`, `baselines`, `report`,
`picture`), the model and its folder (`model`, `folder`), and a generator of houses with a demonstration on them
(`houses`, `demo`). Not here: the command line (`flambeau.cli`) and anything that every network needs (`flambeau.nn`,
`flambeau.optim`). pandas, scikit-learn, rich and matplotlib are imported when used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .errors import TableError
    from .model import Model, load, train

__all__ = ["Model", "TableError", "load", "train"]

_HOMES = {"Model": "model", "load": "model", "train": "model", "TableError": "errors"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
