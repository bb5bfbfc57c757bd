"""The `layout` and `memory_format` classes: how the elements of a tensor are kept, and in what order. Names only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "channels_last", "channels_last_3d", "contiguous_format", "layout", "memory_format", "preserve_format",
    "sparse_coo", "sparse_csc", "sparse_csr", "strided",
]  # fmt: skip


class layout(str):  # noqa: N801
    """How elements are kept: `strided` (all of them), `sparse_coo` and `sparse_csr` (those that are not zero).

    >>> fl.ones(2).layout
    flambeau.strided
    """

    __slots__ = ()

    def __new__(cls, name: str) -> Self:
        return _known.setdefault(name, str.__new__(cls, name))

    @property
    def name(self) -> str:
        """The name without a prefix."""
        return str.__str__(self)

    def __repr__(self) -> str:
        return f"flambeau.{self.name}"

    __str__ = __repr__


_known: dict[str, Any] = {}
strided = layout("strided")
sparse_coo = layout("sparse_coo")
sparse_csr = layout("sparse_csr")
sparse_csc = layout("sparse_csc")


class memory_format(layout):  # noqa: N801
    """In what order the elements of a dense tensor lie: row-major, or channels last.

    >>> fl.ones(1, 3, 2, 2).contiguous(memory_format=fl.channels_last).stride()
    (12, 1, 6, 3)
    """

    __slots__ = ()


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
