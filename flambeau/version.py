"""The version, and the libraries this build can use, under the names where PyTorch programs look for them."""

from __future__ import annotations

from flambeau import __version__

__all__ = ["__version__", "cuda", "debug", "git_version", "hip"]

debug = False
cuda: str | None = None
hip: str | None = None
git_version: str | None = None
