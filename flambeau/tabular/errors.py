"""The one error of the quick path: something about the table or the model folder that its user can put right."""

__all__ = ["TableError"]


class TableError(ValueError):
    """The table, an option or a model folder cannot be used; the text says why and what to do about it."""
