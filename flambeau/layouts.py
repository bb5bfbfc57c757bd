"""The `layout` class: how the elements of a tensor are kept. It names layouts and makes none."""

from __future__ import annotations

__all__ = ["layout", "sparse_coo", "sparse_csc", "sparse_csr", "strided"]


class layout(str):  # noqa: N801
    """How elements are kept: `strided` (all of them), `sparse_coo` and `sparse_csr` (those that are not zero).

    >>> fl.ones(2).layout
    flambeau.strided
    """

    __slots__ = ()

    def __new__(cls, name: str) -> layout:
        return _known.setdefault(name, str.__new__(cls, name))

    @property
    def name(self) -> str:
        """The name without a prefix."""
        return str.__str__(self)

    def __repr__(self) -> str:
        return f"flambeau.{self.name}"

    __str__ = __repr__


_known: dict[str, layout] = {}
strided = layout("strided")
sparse_coo = layout("sparse_coo")
sparse_csr = layout("sparse_csr")
sparse_csc = layout("sparse_csc")
