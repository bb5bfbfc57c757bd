"""`vmap` by its older name."""

from flambeau.func import vmap

__all__ = ["vmap"]

_vmap = vmap
