"""Weights from the internet: files are downloaded once, kept, and read without running code of theirs.

`load` of PyTorch, which downloads a repository and runs its code, is refused.
"""

from __future__ import annotations

import os
from typing import Any

__all__ = ["download_url_to_file", "get_dir", "help", "list", "load", "load_state_dict_from_url", "set_dir"]

_folder: str | None = None


def get_dir() -> str:
    """The folder that downloads are kept in: that of `set_dir`, else FLAMBEAU_HOME/hub or ~/.cache/flambeau/hub."""
    if _folder is not None:
        return _folder
    home = os.environ.get("FLAMBEAU_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "flambeau"
    )
    return os.path.join(home, "hub")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Set the folder that downloads are kept in."""
    global _folder
    _folder = os.path.expanduser(os.fspath(d))


def download_url_to_file(url: str, dst: str, hash_prefix: str | None = None, progress: bool = True) -> None:
    """Download a file, next to its target and renamed when whole.

    Arguments: `url`; `dst`, a path; `hash_prefix`, how the SHA-256 of the file must begin; `progress`, say how far it
    is on the error output. Errors: OSError where the download fails, RuntimeError for another checksum; the target
    is untouched then.
    """
    import hashlib
    import sys
    from urllib.request import Request, urlopen

    dst = os.path.expanduser(dst)
    temporary = f"{dst}.{os.urandom(4).hex()}.partial"
    check = hashlib.sha256()
    try:
        with urlopen(Request(url, headers={"User-Agent": "flambeau.hub"})) as source, open(temporary, "wb") as file:
            size = int(source.headers.get("Content-Length") or 0)
            done = shown = 0
            while block := source.read(1 << 20):
                file.write(block)
                check.update(block)
                done += len(block)
                if progress and size and done * 100 // size >= shown + 10:
                    shown = done * 100 // size
                    print(f"\r{os.path.basename(dst)}: {shown} %", end="", file=sys.stderr, flush=True)
            if shown:
                print(file=sys.stderr)
        digest = check.hexdigest()
        if hash_prefix is not None and digest[: len(hash_prefix)] != hash_prefix:
            raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{digest}")')
        os.replace(temporary, dst)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def load_state_dict_from_url(
    url: str, model_dir: str | None = None, map_location: Any = None, progress: bool = True, check_hash: bool = False,
    file_name: str | None = None, weights_only: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """The weights in a file of `torch.save`, `flambeau.save` or safetensors, downloaded where it is not kept yet.

    Arguments: `url`; `model_dir`, the folder, `get_dir()`/checkpoints by default; `map_location`, as of
    `flambeau.load`; `check_hash`, the file name ends in the first digits of its SHA-256, `name-<digits>.pth`;
    `file_name`, instead of that of the URL; `weights_only` is accepted: no code of the file ever runs. Errors: OSError,
    RuntimeError for another checksum, ValueError for a file that holds other things than weights.
    """
    import re
    from urllib.parse import urlparse

    from flambeau.serialization import load as load_file

    folder = os.path.join(get_dir(), "checkpoints") if model_dir is None else model_dir
    os.makedirs(folder, exist_ok=True)
    name = os.path.basename(urlparse(url).path) if file_name is None else file_name
    if not name:
        raise ValueError(f"hub.load_state_dict_from_url: {url} names no file; pass file_name")
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        digits = re.search(r"-([a-f0-9]+)\.", name) if check_hash else None
        download_url_to_file(url, path, digits.group(1) if digits else None, progress)
    return load_file(path, map_location=map_location)


def _refuse(name: str) -> NotImplementedError:
    return NotImplementedError(
        f"hub.{name}: this would download a repository and run its code; write the model in Python, or install the "
        "package it comes in, and read its weights with flambeau.hub.load_state_dict_from_url"
    )


def load(repo_or_dir: str, model: str, *args: Any, **options: Any) -> Any:
    """Refused: it would run code from the internet."""
    raise _refuse("load")


def list(github: str, *args: Any, **options: Any) -> Any:
    """Refused: it would run code from the internet."""
    raise _refuse("list")


def help(github: str, model: str, *args: Any, **options: Any) -> Any:
    """Refused: it would run code from the internet."""
    raise _refuse("help")
