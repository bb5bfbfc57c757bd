"""Saying in an error where in a model it happened."""

from __future__ import annotations

from typing import Any

from flambeau.errors import AutogradError, DeviceError, DTypeError, ShapeError

__all__ = ["locate"]

# The errors whose text is ours and may grow a path; every other exception gets a note instead.
_OWN_ERRORS = (ShapeError, DTypeError, DeviceError, AutogradError)


def locate(error: Any, module: Any) -> None:
    """Say in an error that left `module.forward` where in the model it happened.

    Every module that the error passes on its way out puts its own part of the path in front.
    """
    known = getattr(error, "_flambeau_path", None)
    if known is None:
        child, path, ending = module, "", f" ({type(module).__name__})"
        text = f"in {type(module).__name__}"
        original = error.args
    else:
        child, path, ending, old, original = known
        if child is not module:
            step = next((name for name, found in module.named_modules() if found is child), None)
            if step is None:
                return
            path = f"{step}.{path}" if path else step
        text = f"in {type(module).__name__}.{path}{ending}" if path else f"in {type(module).__name__}"
    try:
        if type(error) in _OWN_ERRORS and len(original) == 1:
            error.args = (f"{original[0]} ... {text}",)
        else:
            notes = getattr(error, "__notes__", None)
            if notes is None:
                notes = error.__notes__ = []
            if known is not None and old in notes:
                notes.remove(old)
            notes.append(text)
        error._flambeau_path = (module, path, ending, text, original)
    except (AttributeError, TypeError):
        return  # an exception class that takes no attributes keeps its own text
